"""Make one text of each item; the format of artifacts/features: one parquet file per part, named by content key."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.catalogue.parts import sequence_of
from recsys.catalogue.plain_text import plain_text
from recsys.errors import ArtifactMissing, EncoderError
from recsys.features.params import FeaturesParams
from recsys.storage.checksums import key_of
from recsys.storage.tables import in_blocks

PREPROCESSING_VERSION = 3
"""Part of every key of features and vectors. Raised when the same row would give another text; see `FOLDS`."""
FIELD_END = "\n"
"""Stands between two fields of a text, and nowhere else: within a field every run of white space is one blank. To
most encoders it is a blank like others; exact words are counted by field (`recsys/encoders/tfidf.py`)."""
LINES_FROM = 3
"""Version of the preprocessing since which fields are apart; before, a blank stood between them."""

SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("text", pa.string()),
        ("text_hash", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("updated_at", pa.timestamp("us", tz="UTC")),
        ("deleted", pa.bool_()),
        ("part", pa.string()),
        ("line", pa.int64()),
    ]
)
TEXT_FIELDS = ("title", "description", "tags")
# If the last blank is further back than this, the script has no blanks, and the text is cut inside a word.
LONGEST_WORD = 100
# The key is the end of the name: part ids may hold hyphens, keys may not.
NAME = re.compile(r"(?P<part>\d+-.+)-(?P<key>[0-9a-f]{16})\.parquet")


VIEWS_NAME = re.compile(r"(?P<part>\d+-.+)-(?P<key>[0-9a-f]{16})\.views\.parquet")


@dataclass(frozen=True)
class FeatureFile:
    """The texts of one part in artifacts/features, and the views of its items where there are any."""

    part: str
    key: str
    path: Path
    views_key: str = ""
    """Key of the part's file of views; "" where no view says anything of its items."""
    views_path: Path | None = None

    def content_key(self, *, with_views: bool) -> str:
        """Key of the inputs of profiles: of the texts, or of texts and views."""
        return f"{self.key} {self.views_key}" if with_views and self.views_key else self.key


def feature_key(rows_sha256: str, params: FeaturesParams) -> str:
    """The key of everything that a feature file depends on."""
    return key_of([rows_sha256, params.model_dump(mode="json"), PREPROCESSING_VERSION])


def feature_path(folder: Path, part: str, key: str) -> Path:
    """Path of a part's features."""
    return folder / f"{part}-{key}.parquet"


def feature_files(folder: Path) -> tuple[FeatureFile, ...]:
    """List every feature file of a folder, in order of parts.

    Args:
        folder: artifacts/features.

    Returns:
        The files; those with other names are ignored.

    Raises:
        ArtifactMissing: the folder does not exist; stage `features` makes it.
    """
    if not folder.is_dir():
        raise ArtifactMissing(f"{folder} does not exist", remedy="dvc repro features")
    paths = sorted(folder.iterdir())
    views = {
        match["part"]: (match["key"], path) for path in paths if (match := VIEWS_NAME.fullmatch(path.name))
    }
    named = ((NAME.fullmatch(path.name), path) for path in paths)
    found = [
        FeatureFile(match["part"], match["key"], path, *views.get(match["part"], ("", None)))
        for match, path in named
        if match
    ]
    return tuple(sorted(found, key=lambda file: (sequence_of(file.part), file.path.name)))


def read_features(folder: Path, columns: Sequence[str] = tuple(SCHEMA.names)) -> pa.Table:
    """Read every version of every text.

    Args:
        folder: artifacts/features.
        columns: only these.

    Returns:
        The rows of all files in order of parts, in SCHEMA.

    Raises:
        ArtifactMissing: the folder does not exist.
    """
    found = [pq.read_table(file.path, columns=list(columns)) for file in feature_files(folder)]
    return pa.concat_tables([SCHEMA.empty_table().select(columns), *(one.select(columns) for one in found)])


def item_texts(rows: pa.Table, params: FeaturesParams) -> pa.Table:
    """Join each row's chosen fields to one text.

    Args:
        rows: catalogue rows of one part, in the format of `catalogue/parts.py`.
        params: section `features`.

    Returns:
        One row per catalogue row, in the same order, in SCHEMA. A delete has an empty text, and so has an item without
        text, which only `ingest.allow_without_text` lets in.
    """
    texts, hashes = zip(*(_block_texts(block, params) for block in in_blocks(rows)), strict=True)
    deleted = pc.fill_null(rows["deleted"], False)
    return pa.table(
        {
            "item_id": rows["item_id"],
            "text": pa.chunked_array(texts),
            "text_hash": pa.chunked_array(hashes),
            "tags": rows["tags"],
            "updated_at": rows["updated_at"],
            "deleted": deleted,
            "part": rows["part"],
            "line": rows["line"],
        }
    ).cast(SCHEMA)


def text_hash(text: str) -> str:
    """SHA-256 of a text, in hex; vectors are found by it."""
    return hashlib.sha256(text.encode()).hexdigest()


NO_TEXT = text_hash("")
"""The hash of items without text."""


def join_fields(values: Iterable[str], max_chars: int, version: int = PREPROCESSING_VERSION) -> str:
    """Normalise values, join them as sentences, a line for each, and cut the result at a word boundary.

    Args:
        values: landed texts, one per field; or a query, which is one field.
        max_chars: the most characters of the result.
        version: of the preprocessing; queries to a release use that of the release.

    Returns:
        The text; it may be empty.

    Raises:
        EncoderError: this version of Firstlight does not know that preprocessing.
    """
    if version not in FOLDS:
        raise EncoderError(
            f"texts were made by preprocessing {version}, known are {', '.join(map(str, FOLDS))}",
            remedy="upgrade firstlight-recsys where you read",
        )
    text, end = "", FIELD_END if version >= LINES_FROM else " "
    for value in filter(None, map(FOLDS[version], values)):
        # A full stop only where the previous field does not end with one.
        stop = "" if not text or unicodedata.category(text[-1]) == "Po" else "."
        text = f"{text}{stop}{end}{value}" if text else value
    return cut(text, max_chars)


def composed(text: str) -> str:
    """Normalise as before version 2: Unicode NFC, and every run of white space becomes one blank."""
    return " ".join(unicodedata.normalize("NFC", text).split())


FOLDS: dict[int, Callable[[str], str]] = {1: composed, 2: plain_text, 3: plain_text}
"""Version of the preprocessing -> its normalisation. A version stays as long as releases use it."""


def cut(text: str, max_chars: int) -> str:
    """The longest prefix of at most `max_chars` characters that ends with a word.

    In scripts without blanks it may end inside a word, but combining characters are not separated.
    """
    if len(text) <= max_chars:
        return text
    blank = max(text.rfind(one, max(1, max_chars - LONGEST_WORD), max_chars + 1) for one in (" ", FIELD_END))
    if blank > 0:
        return text[:blank].rstrip()
    end = max_chars
    while end > 1 and (_clings(text[end]) or text[end - 1] == "\u200d"):
        end -= 1
    return text[:end].rstrip()


def _clings(character: str) -> bool:
    return (
        unicodedata.category(character)[0] == "M"
        or character == "\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )


def _block_texts(rows: pa.Table, params: FeaturesParams) -> tuple[pa.Array, pa.Array]:
    """The texts of some rows, and their hashes."""
    columns = {
        name: rows[name].to_pylist() if name in rows.column_names else [None] * len(rows)
        for name in TEXT_FIELDS
    }
    wants_attributes = any(field not in TEXT_FIELDS for field in params.fields)
    attributes = rows["attributes"].to_pylist() if wants_attributes else [None] * len(rows)
    texts = []
    for row, deleted in enumerate(rows["deleted"].to_pylist()):
        fields = {name: column[row] for name, column in columns.items()}
        texts.append("" if deleted else _row_text(fields, attributes[row], params))
    return pa.array(texts, pa.string()), pa.array(map(text_hash, texts), pa.string())


def _row_text(
    fields: dict[str, str | list[str] | None], attributes: str | None, params: FeaturesParams
) -> str:
    further = json.loads(attributes) if attributes else {}
    chosen = [_words(fields.get(name, further.get(name))) for name in params.fields]
    every = [_words(value) for value in fields.values()]
    # An item whose chosen fields are all empty mostly has another: ingest asks for one field with text. Of items that
    # were let in before version 2 it asked for less, such as a bare tag of HTML.
    return (
        join_fields(chosen, params.max_chars)
        or join_fields(every, params.max_chars)
        or join_fields(every, params.max_chars, version=1)
    )


def _words(value: str | list[str] | float | None) -> str:
    if isinstance(value, list):
        return ", ".join(_words(one) for one in value if one is not None)
    return "" if value is None else str(value)
