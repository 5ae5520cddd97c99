"""Parameters of intake and the split. Values live in params.yaml."""

from hashlib import sha256
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from recsys.catalogue.folding import SEPARATOR, folded
from recsys.catalogue.kinds import KINDS

Share = Annotated[float, Field(ge=0, le=1)]
Similarity = Annotated[float, Field(gt=0, le=1)]
EventName = Annotated[str, Field(pattern=r"[^\W_]", max_length=64)]


class IngestParams(BaseModel):
    """Section `ingest`: what is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_file_mb: int = Field(gt=0)
    """A larger landed file is refused."""
    max_decoded_mb: int = Field(gt=0)
    """A file that is larger after decompression, with repeated values written out, is refused."""
    reader_memory_mb: int = Field(ge=64)
    """Memory by which the process that reads files may grow; a file that needs more is refused."""
    max_columns: int = Field(gt=0)
    """A wider landed file is refused."""
    max_text_chars: int = Field(gt=0)
    """A row with a longer field is quarantined."""
    max_id_chars: int = Field(gt=0)
    """A row with a longer id is quarantined."""
    allow_without_text: bool
    """Whether rows without text are accepted. Their item gets a profile once the head joins a view with evidence about
    it, such as a picture or a landed vector. Until then it is in no list."""
    max_vector_width: int = Field(gt=0)
    """A row whose vector has more numbers is quarantined."""
    max_quarantined_share: Share
    """A batch with a larger share of bad rows is refused untouched."""
    max_deleted_share: Share
    """A batch that deletes a larger share of a catalogue of 20 items or more is refused."""
    max_pending_days: float = Field(ge=0)
    """Days that interactions wait for their item, by the times of landed files; then they are quarantined."""
    future_tolerance_s: int = Field(ge=0)
    """Seconds that a timestamp may lie ahead of the clock."""
    earliest_year: int = Field(ge=1, le=9999)
    """Older timestamps are quarantined."""
    missing_values: tuple[str, ...]
    """Texts that mean a missing value if they are the whole field. Spelled exactly; outer white space is ignored."""
    column_names: dict[str, dict[str, str]]
    """Folder of the landing zone -> {a column's name in your files: the name that Firstlight knows}, such as
    {catalogue: {sku: item_id, item.name: title}}. Case and separators do not matter. `item.name` is the value `name` in
    the object `item`. It counts in files that lack the known name itself."""
    near_duplicate_similarity: Similarity
    """Jaccard similarity of word 3-shingles (MinHash) from which two long texts count as the same."""
    max_boilerplate_share: Share
    """A batch in which more rows than this share one long text is refused."""
    max_other_language_share: Share
    """A batch with a larger share of texts in a language new to the catalogue is refused."""
    max_volume_ratio: float = Field(gt=1)
    """A batch this many times larger than the median of the last parts is refused."""
    max_length_drift: float = Field(gt=1)
    """A batch whose median text length moved by this factor against the last parts is refused."""
    drift_window: int = Field(gt=0)
    """Number of last parts that a batch is compared with."""
    personal_columns: tuple[str, ...]
    """Columns about people, which never enter a catalogue: those whose name ends in one of these, whatever their case
    and separators. `name` and `full_name` count only beside another such column, or after a word such as `customer`:
    products have names too."""
    trial_rows: int = Field(ge=0)
    """Until more rows of a kind are accepted, volume, length and language of a batch are not checked."""
    small_file_kb: int = Field(ge=0)
    """A landed file up to this size is small: many small files that wait together become one part."""
    group_files: int = Field(ge=1)
    """More small files in a row than this become one part; fewer become a part each."""
    group_mb: int = Field(gt=0)
    """Total size of the small files in one part, at most; at most 10,000 files."""

    @property
    def digest(self) -> str:
        """Hash of all parameters of the section: under others a refused file may pass."""
        return sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @field_validator("column_names")
    @classmethod
    def _known_columns(cls, some: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for kind, names in some.items():
            if kind not in KINDS:
                raise ValueError(f"{kind!r} is no folder of the landing zone: {', '.join(KINDS)}")
            for theirs, ours in names.items():
                if ours not in KINDS[kind].columns:
                    raise ValueError(
                        f"{theirs}: {kind} has no column {ours!r}: write one of {', '.join(KINDS[kind].columns)}; "
                        "other columns keep their names"
                    )
                known = {folded(name) for name in KINDS[kind].columns}
                is_path = SEPARATOR in theirs and folded(theirs) == folded(ours)  # such as item.id
                if folded(theirs) in known and not is_path:
                    raise ValueError(f"{theirs!r} is a column of {kind} already and keeps its meaning")
        return some


class ArrivalsParams(BaseModel):
    """Section `arrivals`: how soon a landed file is noticed (read by the DAG `profile_arrivals`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    poll_s: float = Field(gt=0)
    """Seconds between two checks of the landing zone."""
    sweep_s: float = Field(gt=0)
    """Seconds between two runs without an event. They take in interactions, and files whose event was lost."""


class CompactParams(BaseModel):
    """Section `compact`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_parts: int = Field(ge=2)
    """Parts per kind above which `compact` merges."""


class FeedbackParams(BaseModel):
    """Section `feedback`: which interactions are likes. Histories, split, training and the gate know likes only."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    negative_events: tuple[EventName, ...]
    """Events that are dislikes, whatever their value; case and separators do not matter."""
    withdrawing_events: tuple[EventName, ...]
    """Events that take back what the user did with the item before, as if it had never happened."""
    min_value: float | None
    """An interaction with a lower value is a dislike; null: values are ignored."""
    min_values: dict[EventName, float | None]
    """Event -> its own min_value, for example 3 for rating."""

    @model_validator(mode="after")
    def _one_meaning_each(self) -> Self:
        withdrawing = set(map(folded, self.withdrawing_events))
        if both := [event for event in self.negative_events if folded(event) in withdrawing]:
            raise ValueError(f"{both[0]!r} is in both negative_events and withdrawing_events: keep one")
        return self


class WeightingParams(BaseModel):
    """Section `weighting`: how much likes and dislikes may count in a user's profile. Validation chooses.

    Where nothing is better than yes or no, each like counts as 1 and a dislike as 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    value_weights: tuple[Annotated[float, Field(ge=0, lt=1)], ...]
    """How much a like's value may count: the weakest like weighs 1 minus this, the strongest 1 plus this. Empty:
    values do not count."""
    dislike_weights: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...]
    """How much a dislike may count against a profile, relative to 1 for a like. Empty: it does not count."""
    repeat_weights: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...]
    """What liking an item again may add: the second time half of this, the third a quarter more, and so on. Empty:
    repeating adds nothing."""
    half_lives_days: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...]
    """Days in which an interaction may lose half of its weight, counted back from the user's latest. Empty: age does
    not matter."""
    event_weights: tuple[dict[EventName, Annotated[float, Field(gt=0, le=100)]], ...]
    """Weights that likes may have by their events, each a map of event -> weight; other events weigh 1. Of several
    events of one user and item the largest weight counts. Case and separators do not matter. Empty: all events are
    alike."""
    standard_errors: float = Field(ge=0)
    """A weighting is used if its gain in graded ndcg on validation minus this many standard errors is above 0, and its
    change in ndcg minus as many is not below -max_loss."""
    max_loss: float = Field(ge=0)
    """How much ndcg a weighting may cost on validation. For ndcg all likes count the same."""

    @field_validator("event_weights")
    @classmethod
    def _one_weight_each(cls, some: tuple[dict[str, float], ...]) -> tuple[dict[str, float], ...]:
        for one in some:
            if len(set(map(folded, one))) < len(one):
                raise ValueError(
                    f"{', '.join(one)}: two of them are the same event, for case and separators do not matter"
                )
        return some

    @property
    def reads_more_than_likes(self) -> bool:
        """Whether repeats, times or events may count: then logs of likes alone have something to choose."""
        return any(self.repeat_weights) or bool(self.half_lives_days) or any(self.event_weights)


class SplitParams(BaseModel):
    """Section `split`: the holdout."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    by: Literal["auto", "time", "item-hash"]
    """auto: by time if most interactions have one, else by item hash."""
    test_share: float = Field(gt=0, lt=1)
    """Share of interactions after the cut, or share of items held out cold."""
    near_duplicate_similarity: Similarity
    """Cold items whose text is this close to a warm item's are not judged."""
    min_test_users: int = Field(ge=1)
    """With fewer test users, stage `split` fails."""
    seed: int
    """Salt of the item hash."""
