"""Perturbed texts: with typing errors, cut off, or stuffed with popular words.

No change needs to know the language. The same seed and item give the same text.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.features.text import cut
from recsys.features.words import words

LETTERS_PER_TYPO = 30
"""One typing error in so many letters: in about every fifth word of English."""
KEPT_SHARE = 0.5
"""Share of a text that is kept when it is cut."""
N_STUFFED_WORDS = 30
"""Words that are put before a stuffed text."""
STUFFED_SHARE = 0.1
"""Share of the items whose texts are stuffed, so that they compete with items that are not."""


@dataclass(frozen=True)
class Perturbation:
    """One way to perturb a text."""

    share: float
    """Share of the items that it is done to."""
    change: Callable[[str, np.random.Generator, str], str]
    """Text, randomness and words to stuff with -> the perturbed text."""


def with_typos(text: str, rng: np.random.Generator, stuffing: str = "") -> str:
    """Swap, drop, double or replace single letters; a replacement is another letter of the text.

    Args:
        text: in any script.
        rng: of the draws.
        stuffing: not read.

    Returns:
        The text with about one error in LETTERS_PER_TYPO letters, rounded up. A few change nothing, such as a swap of
        equal letters; a text of fewer than two letters stays.
    """
    written = list(text)
    places = [place for place, character in enumerate(written) if character.isalpha()]
    if len(places) < 2:
        return text
    letters = [written[place] for place in places]
    chosen = rng.choice(len(places) - 1, size=-(-len(places) // LETTERS_PER_TYPO), replace=False)
    for place in sorted((places[one] for one in chosen), reverse=True):  # from the end: earlier places stay
        kind = int(rng.integers(4))
        if kind == 0 and place + 1 < len(written):
            written[place : place + 2] = written[place + 1], written[place]
        elif kind == 1:
            del written[place]
        elif kind == 2:  # noqa: PLR2004  one of four
            written.insert(place, written[place])
        else:
            written[place] = letters[int(rng.integers(len(letters)))]
    return "".join(written)


def cut_off(text: str, rng: np.random.Generator, stuffing: str = "") -> str:
    """The first half of a text, up to a whole word where its script has blanks."""
    return cut(text, max(1, round(KEPT_SHARE * len(text)))) or text


def stuffed(text: str, rng: np.random.Generator, stuffing: str) -> str:
    """A text behind popular words. They stand first, since an encoder may read only the beginning."""
    return f"{stuffing} {text}" if stuffing else text


PERTURBATIONS: Mapping[str, Perturbation] = {
    "typos": Perturbation(1.0, with_typos),
    "cut": Perturbation(1.0, cut_off),
    "stuffed": Perturbation(STUFFED_SHARE, stuffed),
}
"""By the names in `evaluate.robustness`."""


def perturbed(
    kind: str, item_ids: Sequence[str], texts: Sequence[str], stuffing: str, seed: int
) -> list[str]:
    """Perturb the texts of items.

    Args:
        kind: a name in PERTURBATIONS.
        item_ids: of the items; they seed what is drawn, so an item's text does not depend on the others.
        texts: of the same items.
        stuffing: what `popular_words` found.
        seed: of what is drawn.

    Returns:
        A text for each item; some may be unchanged.
    """
    change = PERTURBATIONS[kind].change
    return [
        change(text, np.random.default_rng([seed, *hashlib.sha256(item.encode()).digest()[:8]]), stuffing)
        for item, text in zip(item_ids, texts, strict=True)
    ]


def popular_words(texts: Sequence[str], n_users: Sequence[int], n: int = N_STUFFED_WORDS) -> str:
    """The words by which popular items differ most from all items: those that a text would be stuffed with.

    A word's weight is the share of interactions with items that have it, minus the share of items that have it. So
    words that are everywhere have none.

    Args:
        texts: of items with interactions.
        n_users: number of users of each.
        n: number of words.

    Returns:
        Words, the weightiest first, with blanks between them; empty where no word is commoner among popular items.
    """
    total = max(1, sum(n_users))
    weight_of: defaultdict[str, float] = defaultdict(float)
    for text, n_of in zip(texts, n_users, strict=True):
        for word in set(words(text)):
            weight_of[word] += n_of / total - 1 / len(texts)
    ordered = sorted(weight_of.items(), key=lambda pair: (-round(pair[1], 9), pair[0]))
    return " ".join(word for word, weight in ordered[:n] if weight > 0)
