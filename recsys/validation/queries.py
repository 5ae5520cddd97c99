"""Queries to choose the weights of search by: judged ones from a file, or ones made from the texts of items.

People who know an item search for it with words like those of its text, but rarely with the same sentence. So a query
is a clause of an item's text, and for most queries (`search.hidden_share`) the clause is removed from the text that it
should find, before anything is learned from that text. `python -m bench.search` measures how well such queries stand in
for real ones.

Source: the inverse cloze task of Lee, Chang & Toutanova 2019, "Latent retrieval for weakly supervised open domain
question answering", ACL, where the clause is removed from nine texts in ten.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.errors import ConfigError
from recsys.features.words import words
from recsys.storage.strings import UNKNOWN, Strings

CLAUSE_ENDS = re.compile(r"[.!?;,:\n。！？；，、：]+")
LEAST_WORDS = 3
"""Shorter clauses are not used."""
MOST_WORDS = 12
"""Longer clauses are cut, as queries are short."""
REMEDY = 'give lines such as {"query": "red kettle", "item_id": "4711", "grade": 2}, or clear search.queries'


@dataclass(frozen=True)
class Query:
    """Words, and what they should find."""

    text: str
    relevant: Mapping[int, float]
    """Item row -> grade, above 0."""


def make_queries(
    texts: Sequence[str], rows: NDArray[np.int64], n: int, hidden_share: float, seed: int
) -> tuple[tuple[Query, ...], dict[int, str]]:
    """Make queries, each of which should find an item whose text contains its words, or contained them.

    Args:
        texts: of all items.
        rows: items that may be looked for.
        n: the most queries; each is of another item.
        hidden_share: of the queries, the share whose words are taken out of the item's text.
        seed: of what is drawn.

    Returns:
        Queries, fewer where few texts can be split; and by item row the text that is left of it where a query's words
        were taken out.
    """
    rng = np.random.default_rng([seed, 2])
    found: list[Query] = []
    left: dict[int, str] = {}
    for row in rng.permutation(rows).tolist():
        if len(found) == n:
            break
        clause = draw_clause(texts[row], rng)
        if clause is None:
            continue
        rest = texts[row].replace(clause, " ", 1).strip()
        if rng.random() < hidden_share and words(rest):
            left[row] = rest
        found.append(Query(shortened(clause, MOST_WORDS), {row: 1.0}))
    return tuple(found), left


def draw_clause(text: str, rng: np.random.Generator) -> str | None:
    """Draw a clause of a text: half of its words if it has only one clause, None if it is too short.

    Args:
        text: of an item.
        rng: draws.

    Returns:
        A part of the text, as it is written there.
    """
    parts = (part.strip() for part in CLAUSE_ENDS.split(text))
    clauses = [part for part in parts if len(words(part)) >= LEAST_WORDS]
    if len(clauses) > 1:
        return clauses[rng.integers(len(clauses))]
    blanks = [found.span() for found in re.finditer(r"\S+", text)]
    half = len(blanks) // 2
    if half < LEAST_WORDS:
        return None
    first = int(rng.integers(len(blanks) - half + 1))
    return text[blanks[first][0] : blanks[first + half - 1][1]]


def shortened(clause: str, n: int) -> str:
    """The first n words of a clause."""
    return " ".join(clause.split()[:n])


def read_queries(
    path: Path, item_ids: Sequence[str], report: Callable[[str], None] = lambda _: None
) -> tuple[Query, ...]:
    """Read judged queries.

    Args:
        path: JSON lines with `query`, `item_id` and perhaps `grade` (a number, 0: not relevant; without: 1).
        item_ids: items that may be used; judgements of others are left out, so that none of a held-out item counts.
        report: called with a sentence where queries are left out with them.

    Returns:
        One for each distinct query that has a relevant item, in the order of the file.

    Raises:
        ConfigError: the file is missing or a line is no judgement; names the line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"search.queries: {path} cannot be read: {error}", remedy=REMEDY) from error
    judged = [
        _judgement(line, f"search.queries: {path.name}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    rows = Strings(item_ids).rows_in(pa.array([item for _, item, _ in judged], pa.string())).tolist()
    wanted = {query for query, _, grade in judged if grade > 0}
    found: dict[str, dict[int, float]] = {}
    for (query, _, grade), row in zip(judged, rows, strict=True):
        if grade > 0 and row != UNKNOWN:
            found.setdefault(query, {})[row] = grade
    if left := len(wanted) - len(found):
        report(
            f"search.queries: {left:,} of {len(wanted):,} queries are not used: none of the {len(item_ids):,} items "
            "that settings are chosen on is relevant to them"
        )
    return tuple(Query(text, relevant) for text, relevant in found.items())


def _judgement(line: str, where: str) -> tuple[str, str, float]:
    try:
        plain = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where} is not JSON: {line[:80]!r}", remedy=REMEDY) from error
    if not isinstance(plain, dict):
        raise ConfigError(f"{where} is not a JSON object: {line[:80]!r}", remedy=REMEDY)
    query, item, grade = plain.get("query"), plain.get("item_id"), plain.get("grade", 1)
    if not isinstance(query, str) or not words(query):
        raise ConfigError(f"{where}: query {query!r} holds no words", remedy=REMEDY)
    if not isinstance(item, str | int) or isinstance(item, bool) or not str(item).strip():
        raise ConfigError(f"{where}: item_id {item!r} is not an id", remedy=REMEDY)
    if isinstance(grade, bool) or not isinstance(grade, int | float) or not 0 <= grade < math.inf:
        raise ConfigError(f"{where}: grade {grade!r} is not a number from 0 up", remedy=REMEDY)
    if unknown := sorted(set(plain) - {"query", "item_id", "grade"}):
        raise ConfigError(f"{where} has the unknown key {unknown[0]!r}", remedy=REMEDY)
    try:
        f"{query}{item}".encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{where} holds half a surrogate pair: {line[:80]!r}", remedy=REMEDY) from error
    return query.strip(), str(item), float(grade)
