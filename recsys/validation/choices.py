"""What validation tries: one recipe of a head with its users, and how reports name it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.heads.recipe import ALONE

# Shape suffixes: U users of a fold.
BLEND = "plain blend"
FIRST_LIGHT = "first light"


Weights = tuple[tuple[str, float], ...]
"""Views with their weights above 0, by name."""
RidgeChoice = tuple[float, float]
"""λ of ridge users, and the weight of their prior."""

Refinement = tuple[float, float]
"""`constant` and `alike` of a choice."""
PLAIN: Refinement = (0.0, 0.0)


@dataclass(frozen=True)
class Extras:
    """What validation adds to heads of one kind: to first light, or to trained heads."""

    refinement: Refinement = PLAIN
    views: Weights = ()

    def are_of(self, choice: "Choice") -> bool:
        """Whether a head has these extras; one with separate words cannot be refined, so its views alone matter."""
        has_refinement = choice.words_weight > 0 or choice.refinement == self.refinement
        return has_refinement and choice.views == self.views


@dataclass(frozen=True)
class Choice:
    """One recipe to try."""

    lexical_share: float | None
    """None: no head, or that of first light, which sets its own by the length of the texts."""
    metric_power: float | None
    """None: no head, or one whose directions come from texts."""
    words_weight: float
    ridge_lambda: float
    prior_weight: float = 0.0
    """Of users, see `recsys.profiles.prior`."""
    is_first_light: bool = False
    constant: float = 0.0
    """Of a trained head, see `Recipe.constant`."""
    alike: float = 0.0
    """Of the users of a head, see `recsys.profiles.alike`."""
    views: Weights = ()
    """Views in its kernel."""

    @property
    def refinement(self) -> Refinement:
        """What its head is refined by."""
        return self.constant, self.alike

    @property
    def has_head(self) -> bool:
        """Whether profiles are more than the encoder's own vectors."""
        return self.lexical_share is not None or self.is_first_light

    @property
    def name(self) -> str:
        """The choice in words, for reports."""
        prior = f", prior {self.prior_weight:g}" if self.prior_weight else ""
        alike = f", alike {self.alike:g}" if self.alike else ""
        return f"{self._profiles}, λ {self.ridge_lambda:g}{prior}{alike}"

    @property
    def _profiles(self) -> str:
        views = "".join(f"{name} {weight:g}, " for name, weight in self.views)
        if self.is_first_light:
            return f"{views}{FIRST_LIGHT}"
        if self.lexical_share is None:
            return BLEND if self.words_weight else ALONE
        apart = f", words apart {self.words_weight:g}" if self.words_weight else ""
        power = "untaught" if self.metric_power is None else f"power {self.metric_power:g}"
        constant = f", constant {self.constant:g}" if self.constant else ""
        return f"{views}words {self.lexical_share:g}, {power}{apart}{constant}"


Tried = tuple[Choice, NDArray[np.float64]]
"""A choice with its users' metrics on the held-out items, [U, 2]."""
