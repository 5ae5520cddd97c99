"""The report about pictures: placeholders, and every broken picture with its remedy."""

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recsys.images.reasons import REMEDIES
from recsys.images.records import Fetched, Tried
from recsys.storage.atomic import write_whole

REPORT, BROKEN = "report.json", "broken.csv"
COLUMNS = ("item_id", "address", "reason", "detail", "tried_at", "remedy")
MAX_EXAMPLES = 5


def placeholders(picture_of: Mapping[str, str], share: float, n_items: int) -> dict[str, int]:
    """Pictures that too many items share to show any of them, such as "no photo yet".

    Args:
        picture_of: item -> hash of its picture.
        share: of the items with pictures, in (0, 1].
        n_items: the fewest items.

    Returns:
        Hash -> number of items, of pictures that at least `n_items` and more than `share` of the items have.
    """
    counts = Counter(picture_of.values())
    return {sha256: n for sha256, n in sorted(counts.items()) if n >= n_items and n > share * len(picture_of)}


def write_report(
    folder: Path,
    address_of: Mapping[str, str],
    records: Mapping[str, Fetched],
    found: Mapping[str, int],
    tried: Tried,
    max_broken_share: float,
) -> dict[str, Any]:
    """Write report.json and broken.csv.

    Args:
        folder: artifacts/images/records.
        address_of: item -> address of its picture, for all items that name one.
        records: address -> what became of it.
        found: placeholders, by hash.
        tried: what this run did.
        max_broken_share: of what was tried; more is worth a warning.

    Returns:
        The report.
    """
    broken = {item: records[address] for item, address in address_of.items() if records[address].reason}
    report = {
        "items_with_address": len(address_of),
        "items_broken": len(broken),
        "items_with_placeholder": sum(found.values()),
        "items_with_picture": len(address_of) - len(broken) - sum(found.values()),
        "pictures": len({one.sha256 for one in records.values() if one.sha256} - found.keys()),
        "tried": tried.n,
        "tried_and_broken": tried.n_broken,
        "broken": _by_reason(broken),
        "placeholders": dict(found),
        "warnings": [*_too_many_broken(tried, max_broken_share), *_same_pictures(found)],
    }
    write_whole(folder / BROKEN, _csv(broken).encode())
    write_whole(folder / REPORT, (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
    return report


def _too_many_broken(tried: Tried, max_share: float) -> list[str]:
    if tried.n_broken <= max_share * tried.n:
        return []
    return [f"{tried.n_broken:,} of {tried.n:,} pictures tried in this run are broken: {BROKEN} says why"]


def _same_pictures(found: Mapping[str, int]) -> list[str]:
    return [
        f"{n:,} items have one and the same picture, {sha256}: it counts as missing"
        for sha256, n in found.items()
    ]


def _by_reason(broken: Mapping[str, Fetched]) -> dict[str, dict[str, Any]]:
    """Reason -> number of items, remedy, and the first items as examples."""
    items: dict[str, list[str]] = defaultdict(list)
    for item in sorted(broken):
        items[str(broken[item].reason)].append(item)
    return {
        reason: {
            "items": len(some),
            "remedy": REMEDIES[reason],
            "examples": [{"item_id": item, "detail": broken[item].detail} for item in some[:MAX_EXAMPLES]],
        }
        for reason, some in sorted(items.items())
    }


def _csv(broken: Mapping[str, Fetched]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in sorted(broken):
        one = broken[item]
        tried_at = "" if one.tried_at is None else datetime.fromtimestamp(one.tried_at, UTC).isoformat()
        writer.writerow([item, one.address, one.reason, one.detail, tried_at, REMEDIES[str(one.reason)]])
    return text.getvalue()
