"""Choose whether exact words are counted by field: they are, unless first light is surely better without.

First light is learned from texts alone, so it is quickly tried both ways. Trained heads then read words as it does. A
released first light, which has no validation, counts words by field; so this is kept where the folds do not tell.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from recsys.encoders.params import FirstLightParams
from recsys.heads.params import FusionParams
from recsys.validation.choices import Choice, RidgeChoice, Tried
from recsys.validation.comparing import Figures, gain, mean_ndcg
from recsys.validation.sets import ValidationSet
from recsys.validation.trying import OnFolds, try_first_light


@dataclass(frozen=True)
class Fields:
    """How exact words are counted, and how first light ranks with them."""

    first_light: FirstLightParams | None
    """With the chosen `field_terms`; unchanged where both ways are the same."""
    field_terms: float
    """Of trained heads; 0: a text is one bag of words."""
    tried: dict[Choice, Figures]
    """First light as chosen; empty where a fold has too few texts."""


def choose_fields(
    on_folds: OnFolds,
    first_light: FirstLightParams | None,
    ridges: Sequence[RidgeChoice],
    params: FusionParams,
    k: int,
    report: Callable[[str], None],
) -> Fields:
    """Try first light on all folds, with words by field and without.

    Args:
        on_folds: tries choices on all folds.
        first_light: section `first_light`; None: it is not tried, and fields are not told apart.
        ridges: what to try of ridge users.
        params: section `fusion`.
        k: cutoff.
        report: called with a sentence at each step.

    Returns:
        The bag of words if its gain in ndcg@k, with the best λ and prior of each way, minus `standard_errors` of it is
        above 0; else words by field.
    """
    if first_light is None or not params.width:
        return Fields(first_light, 0.0, {})

    def tried(way: FirstLightParams) -> tuple[bool, dict[Choice, Figures]]:
        by_field = []

        def try_on(validation: ValidationSet) -> Iterable[Tried]:
            is_by_field, figures = try_first_light(validation, way, ridges, params, k)
            by_field.append(is_by_field)
            return figures.items()

        found = on_folds(try_on)
        return any(by_field), found

    report("validation: learning the head of first light")
    by_field, apart = tried(first_light)
    if not (by_field and apart):
        return Fields(first_light, 0.0, apart)
    report("validation: learning the head of first light over one bag of words")
    bag_of_words = first_light.model_copy(update={"field_terms": 0.0})
    _, bag = tried(bag_of_words)
    best_bag, best_apart = (max(one.values(), key=mean_ndcg) for one in (bag, apart))
    if gain(best_bag, best_apart, False, params.standard_errors) > 0:
        return Fields(bag_of_words, 0.0, bag)
    return Fields(first_light, first_light.field_terms, apart)
