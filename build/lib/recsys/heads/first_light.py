"""First light: words and meaning joined over the catalogue's own texts, before there is anything to train on.

The head is that of `head.py` without users in it: the directions are the leading principal components of the landmarks'
kernel, so an inner product of two profiles comes close to the kernel itself. It is learned once, from texts alone, and
stays as it is while the catalogue grows: a profile depends on its text and the encoder. Words that no landmark has say
nothing; the base encoder still reads them.

Papers: Schölkopf, Smola & Müller 1998 (kernel principal components); Williams & Seeger 2000 (Nyström landmarks).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from scipy.sparse import csr_array

from recsys.encoders.params import FirstLightParams
from recsys.encoders.reference import FIRST_LIGHT, EncoderReference
from recsys.encoders.tfidf import TfidfEncoder, fit_tfidf
from recsys.encoders.transformer import open_encoder
from recsys.errors import ArtifactMissing, EncoderError
from recsys.heads.kernel_head import Kernel, KernelHead
from recsys.heads.reference import REFERENCE, HeadReference, pack_head
from recsys.storage.atomic import write_whole
from recsys.storage.packed import verify_files

# Shape suffixes: M landmarks, L width of the base encoder, V terms, D directions.
FIRST_LIGHT_VERSION = 1
"""Part of every record; raise it when the same texts would give another head."""
SMALLEST_EIGENVALUE = 1e-3
"""Of the kernel, whose diagonal is 1: below it lie texts that say the same in other words."""
FORGOTTEN_AT = 4
"""Times the landmarks wanted: as many texts are held at most."""


class FirstLight(BaseModel):
    """What a head of first light was made from: first_light.json among its files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = FIRST_LIGHT_VERSION
    base: str
    """Hash of the base encoder."""
    params: FirstLightParams
    n_landmarks: int
    landmarks: str
    """SHA-256 (hex) over the hashes of their texts."""

    def save(self, folder: Path) -> tuple[Path]:
        """Write first_light.json; the same record gives the same bytes."""
        write_whole(folder / FIRST_LIGHT, (self.model_dump_json(indent=1) + "\n").encode())
        return (folder / FIRST_LIGHT,)

    @classmethod
    def load(cls, folder: Path) -> "FirstLight | None":
        """The record in a packed head; None where it was not made at first light, or the record is damaged."""
        try:
            return cls.model_validate_json((folder / FIRST_LIGHT).read_bytes())
        except (OSError, ValidationError):
            return None


@dataclass(frozen=True)
class Landmarks:
    """Texts to learn from, by ascending hash: neither their order nor repeats change anything."""

    texts: tuple[str, ...]
    digest: str
    """SHA-256 (hex) over their hashes."""
    n_texts: int
    """Distinct texts that they were taken from."""


def choose_landmarks(texts: Iterable[str], most: int) -> Landmarks:
    """The texts with the smallest hashes, all where there are no more than `most`.

    Args:
        texts: of a catalogue, read once; empty ones are passed over.
        most: landmarks at most.

    Returns:
        The landmarks.
    """
    kept: dict[bytes, str] = {}
    met: set[bytes] = set()
    for text in texts:
        if not text.strip():
            continue
        digest = hashlib.sha256(text.encode()).digest()
        met.add(digest)
        kept[digest] = text
        if len(kept) > FORGOTTEN_AT * most:
            kept = {one: kept[one] for one in sorted(kept)[:most]}
    chosen = sorted(kept)[:most]
    together = hashlib.sha256(b"".join(chosen)).hexdigest()
    return Landmarks(tuple(kept[one] for one in chosen), together, len(met))


def pack_first_light(
    base: EncoderReference,
    texts: Iterable[str],
    cache: Path,
    params: FirstLightParams,
    batch_tokens: int,
) -> HeadReference | None:
    """Give the pretrained encoder a head that no interaction taught; one that is packed already is answered at once.

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
    wanted = FirstLight(
        base=base.hash, params=params, n_landmarks=len(landmarks.texts), landmarks=landmarks.digest
    )
    if found := _find(wanted, cache / "heads"):
        return found
    try:
        lexical = fit_tfidf(landmarks.texts)
    except EncoderError:
        return None
    vectors_ML = open_encoder(base, cache / "encoders", batch_tokens).encode(landmarks.texts)
    head = learn_from_texts(landmarks.texts, vectors_ML, lexical, params)
    return pack_head(base, head, cache / "heads", beside=(wanted,))


def learn_from_texts(
    texts: Sequence[str], vectors_ML: NDArray[np.float32], lexical: TfidfEncoder, params: FirstLightParams
) -> KernelHead:
    """A head whose directions are the leading principal components of the texts' kernel.

    Args:
        texts: the landmarks.
        vectors_ML: their unit vectors by the base encoder.
        lexical: fitted on them.
        params: section `first_light`; `width` bounds the profile's.

    Returns:
        The head.
    """
    from scipy.linalg import eigh

    words_MV, m = csr_array(lexical.encode(texts)), len(texts)
    is_long = bool(np.median(np.diff(words_MV.indptr)) >= params.long_from_terms)
    kernel = Kernel(lexical, params.lexical_shares[is_long], params.gamma)
    exact_ML, n_axes = vectors_ML.astype(np.float64), params.width - (params.constant > 0)
    kernel_MM = kernel.compare(words_MV, exact_ML, csr_array(words_MV.T), exact_ML)
    values_D, axes_MD = eigh(kernel_MM, overwrite_a=True, subset_by_index=(max(0, m - n_axes), m - 1))
    real = np.flatnonzero(values_D > SMALLEST_EIGENVALUE)[::-1]  # largest first
    values_D, axes_MD = values_D[real], axes_MD[:, real]
    # An eigenvector and its negative are one: the largest entry is positive, so that two runs give the same profiles.
    axes_MD *= np.sign(axes_MD[np.abs(axes_MD).argmax(axis=0), np.arange(len(real))])
    projection_MD = np.ascontiguousarray(axes_MD / np.sqrt(values_D), np.float32)
    return KernelHead(kernel, words_MV, vectors_ML, projection_MD, constant=params.constant)


def _find(wanted: FirstLight, heads: Path) -> HeadReference | None:
    """A whole packed head with this very record."""
    for path in sorted(heads.glob(f"*/{FIRST_LIGHT}")):
        if FirstLight.load(path.parent) != wanted:
            continue
        try:
            reference = HeadReference.load(path.parent / REFERENCE)
            verify_files(path.parent, reference.files)
        except (ArtifactMissing, EncoderError):
            continue
        return reference
    return None
