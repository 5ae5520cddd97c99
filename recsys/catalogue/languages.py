"""Which languages texts are in, by lingua: offline, the same answer every time."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

SURE = 0.8
"""Minimum confidence; below it a text counts as uncertain."""

SAMPLE_CHARS = 300
"""More of a text does not change the answer."""


def languages(texts: Sequence[str]) -> dict[str, int]:
    """Count texts by language (ISO 639-1 code), without uncertain ones; sorted by code."""
    counts = Counter(found for found in language_of_each(texts) if found is not None)
    return dict(sorted(counts.items()))


def language_of_each(texts: Sequence[str]) -> list[str | None]:
    """The language of each text (ISO 639-1 code); None where it is uncertain or there are no words."""
    ranked = _detector().compute_language_confidence_values_in_parallel([t[:SAMPLE_CHARS] for t in texts])
    return [
        one[0].language.iso_code_639_1.name.lower() if one and one[0].value >= SURE else None
        for one in ranked
    ]


@lru_cache(maxsize=1)
def _detector() -> Any:  # noqa: ANN401  lingua is a compiled module
    from lingua import LanguageDetectorBuilder

    return LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode().build()
