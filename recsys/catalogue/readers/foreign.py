"""Files of foreign formats: recognised by their first bytes and refused by name."""

import re

_AS_CSV = "export the sheet as CSV (UTF-8)"
_AS_TABLE = "export the rows as JSON lines, CSV or parquet"
_UNPACK = (
    "unpack it and land each file inside; gzip, zstd, bzip2, xz and zip of a single file are read as they are"
)
_FETCH = "land the file itself; this is what a download or checkout left in its place"

_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls)", _AS_CSV),
    (b"PK\x05\x06", "an empty zip archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-zip archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"\x04\x22\x4d\x18", "compressed with lz4", _UNPACK),
    (b"\xff\x06\x00\x00sNaPpY", "compressed with snappy", _UNPACK),
    (b"\x1f\x9d", "compressed with `compress`", _UNPACK),
    (b"\x1f\x8b", "compressed twice", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed twice", _UNPACK),
    (b"BZh91AY", "compressed twice", _UNPACK),
    (b"\xfd7zXZ\0", "compressed twice", _UNPACK),
    (b"PAR1", "a parquet file that was compressed as a whole", _UNPACK),
    (b"%PDF", "a PDF document", _AS_TABLE),
    (b"Obj\x01", "an Avro file", _AS_TABLE),
    (b"ORC", "an ORC file", _AS_TABLE),
    (b"ARROW1", "an Arrow or Feather file", _AS_TABLE),
    (b"FEA1", "a Feather file", _AS_TABLE),
    (b"SQLite format 3\0", "an SQLite database", _AS_TABLE),
    (b"\x93NUMPY", "a NumPy array", _AS_TABLE),
    (b"\x89HDF\r\n", "an HDF5 file", _AS_TABLE),
    (b"\x89PNG", "a picture", _AS_TABLE),
    (b"\xff\xd8\xff", "a picture", _AS_TABLE),
    (b"GIF8", "a picture", _AS_TABLE),
    (b"\x80\x02", "a pickle", _AS_TABLE),
    (b"\x80\x03", "a pickle", _AS_TABLE),
    (b"\x80\x04", "a pickle", _AS_TABLE),
    (b"\x80\x05", "a pickle", _AS_TABLE),
    (b"\x7fELF", "a program", _AS_TABLE),
    (b"{\\rtf", "a text document (RTF)", _AS_CSV),
    (b"version https://git-lfs.github.com", "a pointer of Git LFS, not the file", _FETCH),
)
_COMMENT = re.compile(rb"\s*((--|//)[^\n]*\n|/\*.*?\*/;?)", re.DOTALL)
"""Of SQL or JavaScript."""
_AS_JSON = "land the JSON alone"
_TEXTS = (
    (re.compile(rb"<(!doctype\s+html|html|head|body|table)\b", re.IGNORECASE), "an HTML page", _FETCH),
    (re.compile(rb"<(\?xml|!--|[a-z][\w:-]*[\s>])", re.IGNORECASE), "an XML document", _AS_TABLE),
    (
        re.compile(rb"[A-Za-z_$][\w.$]*\(\s*[\[{]"),
        "JSON in a call of JavaScript (JSONP)",
        _AS_JSON,
    ),
    (
        re.compile(
            rb"((var|let|const)\s+[\w$]+\s*=|(window\.\w+|module\.exports)\s*=|export default)\s*[\[{]"
        ),
        "JavaScript",
        _AS_JSON,
    ),
    (re.compile(rb"\)\]\}'|(for|while) ?\((;;|1)\);"), "JSON behind a guard against scripts", _AS_JSON),
    (
        re.compile(
            rb"(INSERT INTO|CREATE (TABLE|DATABASE)|DROP TABLE|USE `|COPY [\w.\"]+ \()", re.IGNORECASE
        ),
        "a file of SQL statements, such as a dump",
        "export the table as CSV: psql -c '\\copy products to products.csv csv header', mysql --batch",
    ),
    (re.compile(rb"(---\s+)?- [\w\"']+: "), "YAML", _AS_TABLE),
    (re.compile(rb"@[a-z]+\{", re.IGNORECASE), "BibTeX", _AS_TABLE),
    (re.compile(rb"TY  - "), "a list of references (RIS)", _AS_TABLE),
    (re.compile(rb"\d{5}[acdnp][a-z]{2}[^\n]{2}22\d{5}"), "a file of MARC records", _AS_TABLE),
)
"""How texts in other formats begin, after comments."""
_BSON = re.compile(rb"...\0[\x01-\x13][^\0]*\0", re.DOTALL)
"""The length of a document (of less than 16 MB, little-endian), then the type and name of its first value."""
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")
"""Bytes that no text holds; a name such as ORCID may come first in a header."""
_DVC_POINTER = re.compile(rb"outs:\r?\n- (md5|hash|size|path|cache):")
_TAR = (257, b"ustar")
_ZIPPED = (
    (b"xl/", "an Excel workbook (.xlsx)"),
    (b"application/vnd.oasis.opendocument", "an OpenDocument file (.ods)"),
    (b"word/", "a Word document"),
    (b".iwa", "an Apple Numbers document"),
)


def foreign_format(start: bytes) -> tuple[str, str] | None:
    """Recognise a file that cannot be read as rows.

    Args:
        start: its first bytes, decompressed; a few thousand are enough.

    Returns:
        What it is and what to do, or None where it may be text.
    """
    for signature, what, remedy in _SIGNATURES:
        if start.startswith(signature) and (len(signature) > 4 or _BINARY.search(start)):
            return what, remedy
    if start.startswith(b"PK\x03\x04"):
        return next(
            ((what, _AS_CSV) for magic, what in _ZIPPED if magic in start), ("a zip archive", _UNPACK)
        )
    place, magic = _TAR
    if start[place : place + len(magic)] == magic:
        return "a tar archive", _UNPACK
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if _DVC_POINTER.match(text):
        return "a pointer of DVC, not the file", _FETCH
    if _BSON.match(start):
        return "a dump of MongoDB (BSON)", "write JSON lines: mongoexport, or bsondump"
    return _foreign_text(text)


def _foreign_text(text: bytes) -> tuple[str, str] | None:
    """The same for texts. Comments are skipped one by one: one pattern for all might try every way to divide them."""
    begin = 0
    while comment := _COMMENT.match(text, begin):
        begin = comment.end()
    bare = text[begin:].lstrip()
    if begin and bare.startswith((b"[", b"{")):
        return "JSON with comments", "take the comments out"
    return next(((what, remedy) for pattern, what, remedy in _TEXTS if pattern.match(bare)), None)
