"""Which languages texts are in, by lingua: offline, the same answer every time."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

SURE = 0.8
"""Least confidence; below it a short text is in no language we would swear to."""

SAMPLE_CHARS = 300
"""More of a text does not change the answer."""


def languages(texts: Sequence[str]) -> dict[str, int]:
    """Count texts by language (ISO 639-1 code), leaving out those that are not sure; sorted by code."""
    counts: Counter[str] = Counter()
    for ranked in _detector().compute_language_confidence_values_in_parallel(
        [t[:SAMPLE_CHARS] for t in texts]
    ):
        if ranked and ranked[0].value >= SURE:
            counts[ranked[0].language.iso_code_639_1.name.lower()] += 1
    return dict(sorted(counts.items()))


@lru_cache(maxsize=1)
def _detector() -> Any:  # noqa: ANN401  lingua is a compiled module
    from lingua import LanguageDetectorBuilder

    return LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode().build()
