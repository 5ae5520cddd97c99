"""What a run of stage `profiles` would do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """What a run of the stage would encode."""

    role: str
    segments: int
    """Segments to make."""
    texts: int
    """Distinct texts that no cache knows."""
    tokens: int
    """Their tokens; scaled up from a sample where there are many."""
    minutes: float
    """Estimated from a quick sample on this machine."""

    def sentence(self) -> str:
        """The plan in words, for people."""
        return (
            f"profiles@{self.role}: {self.texts:,} texts to encode, {self.tokens:,} tokens, about {self.minutes:.1f} "
            f"minutes; {self.segments:,} segments to make"
        )
