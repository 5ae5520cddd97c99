"""First light: a head learned from the catalogue's texts alone, before there are interactions to train on.

It has the form of a trained head, but its directions come from texts, see `from_texts.py`. The head is learned once and
does not change while the catalogue grows, so a profile depends on its text and the encoder. Words that no landmark has
are ignored, though the base encoder still reads them.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_serializer,
    field_validator,
)

from recsys.encoders.analyzer import Analyzer, analyzer_for
from recsys.encoders.params import FirstLightParams
from recsys.encoders.reference import FIRST_LIGHT, EncoderReference
from recsys.encoders.tfidf import USUAL
from recsys.encoders.transformer import open_encoder
from recsys.errors import ArtifactMissing, EncoderError
from recsys.heads.from_texts import choose_landmarks, fit_words, learn_from_texts
from recsys.heads.head_file import tells_fields_apart
from recsys.heads.packing import pack_head
from recsys.heads.reference import REFERENCE, HeadReference
from recsys.storage.atomic import write_document
from recsys.storage.packed import verify_files

# Shape suffixes: M landmarks, L width of the base encoder.
FIRST_LIGHT_VERSION = 2
"""Part of every record. Raise it when the same texts would give another head. Heads of version 1 are not centred."""
BY_LANGUAGE = 3
"""Version of heads that read texts otherwise than English ones were always read."""
LATER = ("wide_up_to", "field_terms")
"""Params that the first records lack; 0: off."""


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
        write_document(folder / FIRST_LIGHT, self, exclude=later)
        return (folder / FIRST_LIGHT,)

    @classmethod
    def load(cls, folder: Path) -> "FirstLight | None":
        """Read the record in a packed head; None where the head was trained, or the record is damaged."""
        try:
            return cls.model_validate_json((folder / FIRST_LIGHT).read_bytes())
        except (OSError, ValidationError):
            return None


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
