"""First light: a head learned from the catalogue's texts alone, before there are interactions to train on.

It has the form of a trained head, but its directions are the leading principal components of the landmarks' centred
kernel. Centring removes what all texts share: that tells nothing about taste, and changes as newer items arrive. The
head is learned once and does not change while the catalogue grows, so a profile depends on its text and the encoder.
Words that no landmark has are ignored, though the base encoder still reads them.

Papers: Schölkopf, Smola & Müller 1998 (kernel principal components); Williams & Seeger 2000 (Nyström landmarks).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_serializer,
    field_validator,
)
from scipy.sparse import csr_array, csr_matrix

from recsys.encoders.analyzer import Analyzer, analyzer_for
from recsys.encoders.params import FirstLightParams
from recsys.encoders.reference import FIRST_LIGHT, EncoderReference
from recsys.encoders.tfidf import USUAL, TfidfEncoder, fit_tfidf
from recsys.encoders.transformer import open_encoder
from recsys.errors import ArtifactMissing, EncoderError
from recsys.features.text import FIELD_END
from recsys.heads.head_file import tells_fields_apart
from recsys.heads.kernel_head import Kernel, KernelHead
from recsys.heads.packing import pack_head
from recsys.heads.reference import REFERENCE, HeadReference
from recsys.storage.atomic import write_whole
from recsys.storage.packed import verify_files

# Shape suffixes: M landmarks, L width of the base encoder, V terms, D directions.
FIRST_LIGHT_VERSION = 2
"""Part of every record. Raise it when the same texts would give another head. Heads of version 1 are not centred."""
BY_LANGUAGE = 3
"""Version of heads that read texts otherwise than English ones were always read."""
LATER = ("wide_up_to", "field_terms")
"""Params that the first records lack; 0: off."""
SMALLEST_EIGENVALUE = 1e-3
"""Smallest eigenvalue of the kernel (diagonal 1) that counts. Smaller ones come from nearly equal texts."""
FORGOTTEN_AT = 4
"""Texts held in memory at most, as a multiple of the wanted landmarks."""


class FirstLight(BaseModel):
    """What a head of first light was made from; stored as first_light.json among its files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = FIRST_LIGHT_VERSION
    base: str
    """Hash of the base encoder."""
    params: FirstLightParams
    n_landmarks: int
    landmarks: str
    """SHA-256 (hex) over the hashes of their texts."""
    usual: float | None = None
    """Share of the fields at a place that count in full, see `recsys.encoders.tfidf`; None: fields are not told apart,
    or all count in full, as in the first heads that told them apart."""

    @field_validator("params", mode="before")
    @classmethod
    def _with_later_ones(cls, params: Any) -> Any:  # noqa: ANN401  any JSON value
        """Older records lack what came later, which was off for them."""
        return dict.fromkeys(LATER, 0) | params if isinstance(params, dict) else params

    @field_serializer("params", mode="wrap")
    def _without_later_ones(
        self, params: FirstLightParams, plain: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        """Leave out what came later where it is off, which keeps the bytes, and so the hashes, of older heads."""
        written: dict[str, Any] = plain(params)
        return {name: value for name, value in written.items() if name not in LATER or value}

    def save(self, folder: Path) -> tuple[Path]:
        """Write first_light.json; the same record gives the same bytes."""
        later = {"usual"} if self.usual is None else set[str]()
        write_whole(folder / FIRST_LIGHT, (self.model_dump_json(indent=1, exclude=later) + "\n").encode())
        return (folder / FIRST_LIGHT,)

    @classmethod
    def load(cls, folder: Path) -> "FirstLight | None":
        """Read the record in a packed head; None where the head was trained, or the record is damaged."""
        try:
            return cls.model_validate_json((folder / FIRST_LIGHT).read_bytes())
        except (OSError, ValidationError):
            return None


@dataclass(frozen=True)
class Landmarks:
    """Texts to learn from, by ascending hash. Neither the catalogue's order nor repeats matter."""

    texts: tuple[str, ...]
    digest: str
    """SHA-256 (hex) over their hashes."""
    n_texts: int
    """Distinct texts that they were chosen from."""


def choose_landmarks(texts: Iterable[str], most: int) -> Landmarks:
    """Choose the `most` texts with the smallest hashes, or all where there are fewer.

    Args:
        texts: of a catalogue; read once, empty ones are left out.
        most: the most landmarks.

    Returns:
        The landmarks.
    """
    kept: dict[bytes, str] = {}
    distinct: set[bytes] = set()
    for text in texts:
        if not text.strip():
            continue
        digest = hashlib.sha256(text.encode()).digest()
        distinct.add(digest)
        kept[digest] = text
        if len(kept) > FORGOTTEN_AT * most:
            kept = {one: kept[one] for one in sorted(kept)[:most]}
    chosen = sorted(kept)[:most]
    digest_of_all = hashlib.sha256(b"".join(chosen)).hexdigest()
    return Landmarks(tuple(kept[one] for one in chosen), digest_of_all, len(distinct))


def pack_first_light(
    base: EncoderReference,
    texts: Iterable[str],
    cache: Path,
    params: FirstLightParams,
    batch_tokens: int,
) -> HeadReference | None:
    """Learn and pack a head of first light for a pretrained encoder. An existing one is returned at once.

    Args:
        base: packed in `<cache>/encoders`.
        texts: of the catalogue, read once.
        cache: the head is packed in `<cache>/heads`.
        params: section `first_light`.
        batch_tokens: tokens per batch of the encoder.

    Returns:
        The head; None where there are fewer than `params.min_items` different texts, or no words in them.

    Raises:
        ArtifactMissing: the base is not packed here.
        EncoderError: a packed file is damaged.
    """
    landmarks = choose_landmarks(texts, params.max_landmarks)
    if landmarks.n_texts < params.min_items:
        return None
    analyzer = analyzer_for(landmarks.texts)
    record = FirstLight(
        version=FIRST_LIGHT_VERSION if analyzer == Analyzer() else BY_LANGUAGE,
        base=base.hash,
        params=params,
        n_landmarks=len(landmarks.texts),
        landmarks=landmarks.digest,
    )
    by_field = record.model_copy(update={"usual": USUAL})
    if found := _find(by_field, cache / "heads") or _find(record, cache / "heads"):
        return found
    try:
        lexical = fit_words(landmarks.texts, params, analyzer)
    except EncoderError:
        return None
    vectors_ML = open_encoder(base, cache / "encoders", batch_tokens).encode(landmarks.texts)
    head = learn_from_texts(landmarks.texts, vectors_ML, lexical, params, landmarks.n_texts)
    beside = by_field if lexical.longest_field is not None else record
    return pack_head(base, head, cache / "heads", beside=(beside,))


def are_long(words_NV: csr_array | csr_matrix, params: FirstLightParams) -> bool:
    """Whether texts count as long, by their terms."""
    return bool(np.median(np.diff(words_NV.indptr)) >= params.long_from_terms)


def fit_words(
    texts: Sequence[str], params: FirstLightParams, analyzer: Analyzer | None = None
) -> TfidfEncoder:
    """Learn terms and their weights; fields are told apart where texts are long and have several.

    Args:
        texts: to learn from.
        params: section `first_light`.
        analyzer: see `fit_tfidf`.

    Returns:
        The fitted encoder.

    Raises:
        EncoderError: there is no term in any text.
    """
    bag = fit_tfidf(texts, analyzer)
    has_fields = params.field_terms > 0 and any(FIELD_END in text for text in texts)
    if not (has_fields and are_long(bag.encode(texts), params)):
        return bag
    return fit_tfidf(texts, bag.analyzer, params.field_terms)


def learn_from_texts(
    texts: Sequence[str],
    vectors_ML: NDArray[np.float32],
    lexical: TfidfEncoder,
    params: FirstLightParams,
    n_texts: int | None = None,
) -> KernelHead:
    """Learn a centred head whose directions are the leading principal components of the texts' kernel.

    With b the eigenvectors divided by the roots of their eigenvalues, a text's coordinates are
    (k - mean of the landmarks' k) @ (b - mean of b): its centred kernel row, without the mean of the row itself.

    Args:
        texts: the landmarks.
        vectors_ML: their unit vectors by the base encoder.
        lexical: fitted on them.
        params: section `first_light`.
        n_texts: different texts of the catalogue, which bound the width; None: the landmarks are all there are.

    Returns:
        The head.
    """
    from scipy.linalg import eigh

    words_MV, m = csr_array(lexical.encode(texts)), len(texts)
    is_long = lexical.longest_field is not None or are_long(words_MV, params)
    kernel = Kernel(lexical, params.lexical_shares[is_long], params.gamma)
    exact_ML, n_axes = vectors_ML.astype(np.float64), params.width_of(m if n_texts is None else n_texts) - 1
    kernel_MM = kernel.compare(words_MV, exact_ML, csr_array(words_MV.T), exact_ML)
    mean_M = kernel_MM.mean(axis=0)
    kernel_MM += mean_M.mean() - mean_M - mean_M[:, None]
    values_D, axes_MD = eigh(kernel_MM, overwrite_a=True, subset_by_index=(max(0, m - n_axes), m - 1))
    real = np.flatnonzero(values_D > SMALLEST_EIGENVALUE)[::-1]  # largest first
    values_D, axes_MD = values_D[real], axes_MD[:, real]
    # The sign of an eigenvector is arbitrary: the largest entry is made positive, so that runs give the same profiles.
    axes_MD *= np.sign(axes_MD[np.abs(axes_MD).argmax(axis=0), np.arange(len(real))])
    projection_MD = axes_MD / np.sqrt(values_D)
    projection_MD = np.ascontiguousarray(projection_MD - projection_MD.mean(axis=0), np.float32)
    mean_D = (mean_M @ projection_MD).astype(np.float32)
    return KernelHead(kernel, words_MV, vectors_ML, projection_MD, constant=params.constant, mean_D=mean_D)


def learn_over_vectors(
    texts: Sequence[str], vectors_NL: NDArray[np.float32], params: FirstLightParams
) -> KernelHead | None:
    """Learn a head of first light from texts whose vectors exist already. Nothing is packed.

    Args:
        texts: of a catalogue.
        vectors_NL: their unit vectors by the base encoder.
        params: section `first_light`.

    Returns:
        The head; None where there are fewer than `params.min_items` different texts, or no words in them.
    """
    row_of = {text: row for row, text in enumerate(texts)}
    landmarks = choose_landmarks(row_of, params.max_landmarks)
    if landmarks.n_texts < params.min_items:
        return None
    try:
        lexical = fit_words(landmarks.texts, params)
    except EncoderError:
        return None
    rows = [row_of[text] for text in landmarks.texts]
    return learn_from_texts(landmarks.texts, vectors_NL[rows], lexical, params, landmarks.n_texts)


def _find(wanted: FirstLight, heads: Path) -> HeadReference | None:
    """A complete packed head with exactly this record.

    A head without `usual` that tells fields apart would be another one today.
    """
    for path in sorted(heads.glob(f"*/{FIRST_LIGHT}")):
        if FirstLight.load(path.parent) != wanted:
            continue
        try:
            if wanted.usual is None and tells_fields_apart(path.parent):
                continue
            reference = HeadReference.load(path.parent / REFERENCE)
            verify_files(path.parent, reference.files)
        except (ArtifactMissing, EncoderError):
            continue
        return reference
    return None
