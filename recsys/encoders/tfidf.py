"""TF-IDF vectors. They are learned from given texts only, so that nothing is learned from a holdout.

The fields of a text may be told apart. As one bag of words, a plot of a hundred words leaves its director next to
nothing. So each field is weighed by itself, and a long one is scaled down until it counts no more than a few rare
words, before the fields are added. A short field of common words, such as a country, keeps its small weight: scaled to
the same length as the others, it would rule them.

Whoever writes the texts may put popular words into a field to be found by everybody. So a field with more terms than
fields at its place usually have is scaled down by as many times as it has too many: each further word makes it count
less.
"""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.analyzer import Analyzer, analyzer_for
from recsys.errors import EncoderError
from recsys.features.text import FIELD_END
from recsys.importing import load_when_used, uncollected

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


# Shape suffixes: N texts, F fields, V terms, P pairs of a text or field and a term.
USUAL = 0.95
"""Share of the fields at a place that count in full."""
FEWEST = 20
"""Fields at a place that tell what is usual there."""


@dataclass(frozen=True)
class TfidfEncoder:
    """Terms with fixed weights.

    Where fields are not told apart, vectors are those of scikit-learn's TfidfVectorizer with these terms and weights,
    to the last bit. It is not used here, since importing it takes longer than opening a model.
    """

    terms: Sequence[str]
    """In the order of the dimensions."""
    idf_V: NDArray[np.floating]
    """Inverse document frequency of each."""
    analyzer: Analyzer = Analyzer()
    """Makes terms of a text."""
    longest_field: float | None = None
    """The largest length of a field's row, before the rows of a text's fields are added; None: fields are not told
    apart. A text of one field has the same vector either way."""
    usual_terms: tuple[float, ...] = ()
    """How many different terms the first, second ... field of a text usually has at most. One with more counts less by
    as many times. Fields beyond these always count in full. Texts leave empty fields out, so a later field may take the
    place of one."""

    @property
    def dim(self) -> int:
        """Number of distinct terms learned."""
        return len(self.terms)

    def encode(self, texts: Sequence[str]) -> "csr_matrix":
        """float32 sparse [len(texts), dim]; rows of length 1, or empty where no term is known."""
        from scipy.sparse import csr_matrix

        if self.longest_field is None:
            rows_NV = self.weighted(texts)
        else:
            fields = [text.split(FIELD_END) for text in texts]
            rows_FV = self.weighted([field for some in fields for field in some])
            ends_N = np.cumsum([0, *map(len, fields)])
            length_F = _lengths(rows_FV)
            scale_F = self.longest_field / np.maximum(length_F, self.longest_field)
            scale_F *= self._usual_share(np.diff(rows_FV.indptr), _places(fields))
            scale_F[np.repeat(np.diff(ends_N) == 1, np.diff(ends_N))] = 1
            sums_NF = csr_matrix((scale_F, np.arange(len(scale_F)), ends_N), shape=(len(texts), len(scale_F)))
            rows_NV = csr_matrix(sums_NF @ rows_FV)
            rows_NV.sort_indices()
        unit_P = (rows_NV.data / np.repeat(_lengths(rows_NV), np.diff(rows_NV.indptr))).astype(np.float32)
        return csr_matrix((unit_P, rows_NV.indices, rows_NV.indptr), shape=rows_NV.shape)

    def _usual_share(self, n_terms_F: NDArray[np.integer], place_F: NDArray[np.int64]) -> NDArray[np.float64]:
        """1 for each field, less for those with more terms than usual."""
        usual_F = np.array([*self.usual_terms, np.inf])[np.minimum(place_F, len(self.usual_terms))]
        return np.asarray(np.minimum(1, usual_F / np.maximum(n_terms_F, 1)), np.float64)

    def weighted(self, texts: Sequence[str]) -> "csr_matrix":
        """Rows before they are scaled: (1 + ln count) * idf, float64 where idf is."""
        from scipy.sparse import csr_matrix

        columns, counts, ends = array("i"), array("f"), [0]
        for text in texts:
            places = map(self._place_of.get, self.analyzer.terms(text))
            found = sorted(Counter(place for place in places if place is not None).items())
            columns.extend([place for place, _ in found])
            counts.extend([count for _, count in found])
            ends.append(len(columns))
        indptr, column_P = np.array(ends, np.int32), np.array(columns, np.int32)
        value_P = np.log(np.array(counts, np.float32)) + 1
        value_P *= self.idf_V[column_P]
        return csr_matrix((value_P, column_P, indptr), shape=(len(texts), self.dim))

    @cached_property
    def _place_of(self) -> dict[str, int]:
        return {term: place for place, term in enumerate(self.terms)}


def _places(fields: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """Places of all fields within their texts, from 0."""
    return np.array([place for some in fields for place in range(len(some))], np.int64)


def _lengths(rows: "csr_matrix") -> NDArray[np.float64]:
    """Euclidean lengths of sparse rows."""
    row_P = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    return np.sqrt(np.bincount(row_P, rows.data * rows.data, rows.shape[0]))


def fit_tfidf(texts: Sequence[str], analyzer: Analyzer | None = None, field_terms: float = 0) -> TfidfEncoder:
    """Learn terms and their inverse document frequencies.

    On titles of CiteULike (cold items, H) words with pairs reach ndcg@20 .229, single words .205.

    Args:
        texts: to learn from; never those of a holdout.
        analyzer: makes terms; None: the one that fits the languages and scripts of the texts.
        field_terms: a field counts at most like so many different terms that only one text has; 0: fields are not
            told apart.

    Returns:
        The fitted encoder.

    Raises:
        EncoderError: there is no term in any text.
    """
    analyzer = analyzer or analyzer_for(texts)
    load_when_used("scipy.stats")  # nearly half of the time of the import
    with uncollected():
        from sklearn.feature_extraction.text import TfidfVectorizer
    terms = analyzer.terms

    def terms_by_field(text: str) -> list[str]:
        return [term for field in text.split(FIELD_END) for term in terms(field)]

    chosen = terms_by_field if field_terms else terms
    try:
        fitted = TfidfVectorizer(analyzer=chosen, sublinear_tf=True, dtype=np.float32).fit(texts)
    except ValueError as error:
        raise EncoderError(
            f"no terms in {len(texts)} texts: {error}", remedy="give it texts with words"
        ) from error
    rarest = log((1 + len(texts)) / 2) + 1  # as idf is computed there
    longest = sqrt(field_terms) * rarest if field_terms else None
    names = [str(term) for term in fitted.get_feature_names_out()]
    found = TfidfEncoder(names, fitted.idf_, analyzer, longest)
    return replace(found, usual_terms=_usual_terms(found, texts)) if field_terms else found


def _usual_terms(encoder: TfidfEncoder, texts: Sequence[str]) -> tuple[float, ...]:
    """For each place with enough fields, the number of different terms that the share USUAL of them do not exceed."""
    fields = [text.split(FIELD_END) for text in texts]
    n_terms_F = np.diff(encoder.weighted([field for some in fields for field in some]).indptr)
    place_F = _places(fields)
    n_places = np.count_nonzero(np.bincount(place_F) >= FEWEST)  # at later places there are never more fields
    return tuple(max(1.0, float(np.quantile(n_terms_F[place_F == one], USUAL))) for one in range(n_places))
