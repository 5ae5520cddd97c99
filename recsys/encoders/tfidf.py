"""TF-IDF vectors. They are learned from given texts only, so that nothing is learned from a holdout."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recsys.errors import EncoderError
from recsys.features.scripts import UNSPACED_RANGES
from recsys.importing import load_when_used, uncollected

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


UNSPACED_CHARACTERS = (1, 2)
"""Lengths of character n-grams, for scripts without spaces between words."""
UNSPACED_SHARE = 0.3
"""Texts with at least this share of such letters get character n-grams."""
UNSPACED = re.compile(f"[{UNSPACED_RANGES}]")


@dataclass(frozen=True)
class TfidfEncoder:
    """Words and pairs of words, or character n-grams, with fixed weights."""

    vectorizer: Any
    """A fitted sklearn.feature_extraction.text.TfidfVectorizer."""

    @property
    def dim(self) -> int:
        """Number of distinct terms learned."""
        return len(self.vectorizer.vocabulary_)

    def encode(self, texts: Sequence[str]) -> "csr_matrix":
        """float32 sparse [len(texts), dim]; rows of length 1, or empty where no term is known."""
        from scipy.sparse import csr_matrix

        return csr_matrix(self.vectorizer.transform(texts))

    def parts(self) -> tuple[list[str], NDArray[np.float32], tuple[int, int] | None]:
        """The arguments for `tfidf_of`: terms in order, their idf, and the range of character n-grams."""
        terms = [str(term) for term in self.vectorizer.get_feature_names_out()]
        characters = self.vectorizer.ngram_range if self.vectorizer.analyzer == "char_wb" else None
        return terms, np.asarray(self.vectorizer.idf_, np.float32), characters


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
    try:
        return TfidfEncoder(_vectorizer(UNSPACED_CHARACTERS if _is_unspaced(texts) else None).fit(texts))
    except ValueError as error:
        raise EncoderError(
            f"no terms in {len(texts)} texts: {error}", remedy="give it texts with words"
        ) from error


def tfidf_of(
    terms: Sequence[str], idf_V: NDArray[np.float32], characters: tuple[int, int] | None
) -> TfidfEncoder:
    """Rebuild an encoder from `TfidfEncoder.parts`.

    Args:
        terms: in the order of its dimensions.
        idf_V: inverse document frequency of each.
        characters: shortest and longest character n-gram; None: words.

    Returns:
        An encoder with the same vectors.
    """
    vectorizer = _vectorizer(characters, vocabulary={term: place for place, term in enumerate(terms)})
    vectorizer.idf_ = idf_V
    return TfidfEncoder(vectorizer)


def load_vectorizer() -> Any:  # noqa: ANN401  sklearn is not typed
    """Import TfidfVectorizer; scipy.stats, nearly half of the time of that, waits until somebody uses it.

    Returns:
        The class.
    """
    load_when_used("scipy.stats")
    with uncollected():
        from sklearn.feature_extraction.text import TfidfVectorizer
    return TfidfVectorizer


def _vectorizer(characters: tuple[int, int] | None, **more: object) -> Any:  # noqa: ANN401
    options: dict[str, Any] = (
        {"stop_words": "english", "ngram_range": (1, 2)}
        if characters is None
        else {"analyzer": "char_wb", "ngram_range": characters}
    )
    return load_vectorizer()(sublinear_tf=True, dtype=np.float32, **options, **more)


def _is_unspaced(texts: Sequence[str]) -> bool:
    letters = sum(character.isalpha() for text in texts for character in text)
    return sum(len(UNSPACED.findall(text)) for text in texts) > UNSPACED_SHARE * letters
