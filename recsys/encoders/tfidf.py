"""TF-IDF vectors. They are learned from given texts only, so that nothing is learned from a holdout."""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.stop_words import ENGLISH
from recsys.errors import EncoderError
from recsys.features.scripts import UNSPACED_RANGES
from recsys.importing import load_when_used, uncollected

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


# Shape suffixes: N texts, V terms, P pairs of a text and a term.
UNSPACED_CHARACTERS = (1, 2)
"""Lengths of character n-grams, for scripts without spaces between words."""
UNSPACED_SHARE = 0.3
"""Texts with at least this share of such letters get character n-grams."""
UNSPACED = re.compile(f"[{UNSPACED_RANGES}]")
WORD = re.compile(r"\b\w\w+\b")


@dataclass(frozen=True)
class TfidfEncoder:
    """Words and pairs of words, or character n-grams, with fixed weights.

    Vectors are those of scikit-learn's TfidfVectorizer with these terms and weights, to the last bit. It is not used
    here, since importing it takes longer than opening a model.
    """

    terms: Sequence[str]
    """In the order of the dimensions."""
    idf_V: NDArray[np.floating]
    """Inverse document frequency of each."""
    characters: tuple[int, int] | None
    """Shortest and longest character n-gram; None: words."""

    @property
    def dim(self) -> int:
        """Number of distinct terms learned."""
        return len(self.terms)

    def encode(self, texts: Sequence[str]) -> "csr_matrix":
        """float32 sparse [len(texts), dim]; rows of length 1, or empty where no term is known."""
        from scipy.sparse import csr_matrix

        columns, counts, ends = array("i"), array("f"), [0]
        for text in texts:
            places = map(self._place_of.get, self._terms_of(text.lower()))
            found = sorted(Counter(place for place in places if place is not None).items())
            columns.extend([place for place, _ in found])
            counts.extend([count for _, count in found])
            ends.append(len(columns))
        indptr, column_P = np.array(ends, np.int32), np.array(columns, np.int32)
        count_P = np.array(counts, np.float32)
        value_P = np.log(count_P) + 1
        value_P *= self.idf_V[column_P]
        row_P = np.repeat(np.arange(len(texts)), np.diff(indptr))
        length_N = np.sqrt(np.bincount(row_P, value_P * value_P, len(texts)))
        unit_P = (value_P / length_N[row_P]).astype(np.float32)
        return csr_matrix((unit_P, column_P, indptr), shape=(len(texts), self.dim))

    def _terms_of(self, text: str) -> Iterable[str]:
        """Terms of a text in lower case, known or not."""
        if self.characters is not None:
            return _character_ngrams(text, *self.characters)
        words = [word for word in WORD.findall(text) if word not in ENGLISH]
        return [*words, *(f"{one} {other}" for one, other in zip(words[:-1], words[1:], strict=True))]

    @cached_property
    def _place_of(self) -> dict[str, int]:
        return {term: place for place, term in enumerate(self.terms)}


def _character_ngrams(text: str, shortest: int, longest: int) -> Iterable[str]:
    """Runs of characters within words, which a blank begins and ends; a shorter word is one run, once."""
    for word in text.split():
        padded = f" {word} "
        for n in range(shortest, longest + 1):
            yield from (padded[start : start + n] for start in range(max(1, len(padded) - n + 1)))
            if n >= len(padded):
                break


def fit_tfidf(texts: Sequence[str]) -> TfidfEncoder:
    """Learn terms and their inverse document frequencies: words and pairs of words, without English stop words.

    Scripts without spaces, such as Chinese, get character n-grams of one and two. On titles of CiteULike (cold items,
    H) words with pairs reach ndcg@20 .229, single words .205.

    Args:
        texts: to learn from; never those of a holdout.

    Returns:
        The fitted encoder.

    Raises:
        EncoderError: there is no term in any text.
    """
    characters = UNSPACED_CHARACTERS if _is_unspaced(texts) else None
    try:
        fitted = _vectorizer(characters).fit(texts)
    except ValueError as error:
        raise EncoderError(
            f"no terms in {len(texts)} texts: {error}", remedy="give it texts with words"
        ) from error
    return TfidfEncoder([str(term) for term in fitted.get_feature_names_out()], fitted.idf_, characters)


def _vectorizer(characters: tuple[int, int] | None) -> Any:  # noqa: ANN401  sklearn is not typed
    options: dict[str, Any] = (
        {"stop_words": "english", "ngram_range": (1, 2)}
        if characters is None
        else {"analyzer": "char_wb", "ngram_range": characters}
    )
    load_when_used("scipy.stats")  # nearly half of the time of the import
    with uncollected():
        from sklearn.feature_extraction.text import TfidfVectorizer
    return TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **options)


def _is_unspaced(texts: Sequence[str]) -> bool:
    letters = sum(character.isalpha() for text in texts for character in text)
    return sum(len(UNSPACED.findall(text)) for text in texts) > UNSPACED_SHARE * letters
