"""The choices of validation: how a head, its users and its item weights are learned."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from recsys.encoders.params import FirstLightParams
from recsys.heads.kernel_head import KernelHead
from recsys.heads.params import FusionParams
from recsys.ranking.learning import ItemWeightsSettings

ALONE = "encoder alone"


@dataclass(frozen=True)
class Recipe:
    """The choices of validation."""

    lexical_share: float | None
    """Weight of the words' kernel; None: no head, since the encoder's own vectors were better, or first light's."""
    metric_power: float | None
    """How strongly directions are stretched; None: the directions come from texts, not from users."""
    ridge_lambda: float
    """λ for the dimensions without separate words. Users get `lambda_of`."""
    ndcg: float | None
    """ndcg@k on held-out items; None where there was no user to rank for."""
    tried: Mapping[str, float]
    """Choice -> its ndcg@k on held-out items. For `item weights …` it is the mean over the lists warm and mixed."""
    ease_lambda: float | None = None
    """λ of the item weights; None: no item weights, lists are ordered by profiles alone."""
    head_factor: float = 1.0
    """Factor on the scores of the head, beside item weights."""
    head_share: float = 1.0
    """Share of the warm items that is the head."""
    lift: float = 1.0
    """Factor on the profile score of cold items, beside items with weights."""
    lists: Mapping[str, float] = field(default_factory=dict)
    """ndcg@k of the lists warm, tail and mixed: as chosen, `by profiles alone` and `untrained`. Where event
    heads were tried, of warm, mixed and cold lists `by mlp` and `by item weights` too. Empty where there was no user to
    rank for."""

    prior_weight: float = 0.0
    """Weight of the users' prior, see `recsys.profiles.prior`; 0: plain ridge regression."""
    words_weight: float = 0.0
    """Weight of separate words, in standard deviations of the other scores; 0: no separate words."""
    field_terms: float = 0.0
    """The most that a field counts among exact words, see `FirstLightParams`; 0: fields are not told apart."""
    first_light: FirstLightParams | None = None
    """Settings of the head of first light, where no head that learns from users was better."""
    constant: float = 0.0
    """The constant of a trained head, see `KernelHead.constant`, in units of the other coordinates' median length;
    0: none. Never together with separate words."""
    alike: float = 0.0
    """Of the users of a head, see `recsys.profiles.alike`."""
    view_weights: Mapping[str, float] = field(default_factory=dict)
    """View -> its weight in the kernel, above 0; views that are not named are not used."""

    @property
    def has_head(self) -> bool:
        """Whether profiles are more than the encoder's own vectors."""
        return self.lexical_share is not None or self.first_light is not None

    def lambda_of(self, head: KernelHead) -> float:
        """λ of ridge users over the head's profiles. Separate words take a share of the length, so λ shrinks by it."""
        return self.ridge_lambda * (1 - head.words.share) if head.words else self.ridge_lambda

    def item_weights(self, params: FusionParams) -> ItemWeightsSettings | None:
        """How item weights are learned; None where lists are ordered by profiles alone."""
        if self.ease_lambda is None:
            return None
        return ItemWeightsSettings(
            self.ease_lambda,
            self.head_factor,
            self.head_share,
            self.lift,
            params.max_weighted_items,
            params.weights_per_item,
        )

    @property
    def sentence(self) -> str:
        """The choice in a sentence."""
        prior = f", prior {self.prior_weight:g}" if self.prior_weight else ""
        views = "".join(f", {name} with weight {weight:g}" for name, weight in self.view_weights.items())
        alike = f", alike likes count less by {self.alike:g}" if self.alike else ""
        if self.first_light is not None:
            return f"head of first light{views}, λ = {self.ridge_lambda:g}{prior}{alike}"
        if self.lexical_share is None:
            return f"{ALONE}, λ = {self.ridge_lambda:g}{prior}"
        power = "untaught" if self.metric_power is None else f"metric power {self.metric_power:g}"
        apart = f", words apart with weight {self.words_weight:g}" if self.words_weight else ""
        by_field = " by field" if self.field_terms else ""
        constant = f", constant {self.constant:g}" if self.constant else ""
        kernel = f"head with {self.lexical_share:.0%} words{by_field} in its kernel{views}"
        return f"{kernel}, {power}{apart}{constant}, λ = {self.ridge_lambda:g}{prior}{alike}"

    @property
    def alone(self) -> float | None:
        """Best ndcg@k of the encoder without a head."""
        return max((one for name, one in self.tried.items() if name.startswith(ALONE)), default=None)
