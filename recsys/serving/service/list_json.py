"""Lists as JSON. What it shows of an item is made once, and kept until too much is.

The bytes are those of `ListAnswer` and `SearchAnswer`, which describe them in /openapi.json.
"""

from collections.abc import Sequence
from functools import partial
from weakref import WeakKeyDictionary

import pydantic_core
from fastapi import Response

from recsys.serving.answers import Answer
from recsys.serving.items import Items
from recsys.serving.recommender import Recommender

KEPT_BYTES = 8_000_000
"""Of what is kept for a release; about 20,000 items whose descriptions are short."""
NOTHING: dict[str, object] = {"title": None, "description": None, "tags": [], "image": None, "attributes": {}}
"""In the order of `ShownItem`."""
to_json = partial(pydantic_core.to_json, inf_nan_mode="null")  # as models are written


class ShownItems:
    """What answers show of a release's items, as JSON without score. Shared between threads.

    Args:
        items: of the release.
    """

    def __init__(self, items: Items) -> None:
        self._items = items
        self._kept: dict[str, bytes] = {}
        self._n_bytes = 0

    def of(self, item_ids: Sequence[str]) -> list[bytes]:
        """Fields of `ShownItem` after the score.

        Args:
            item_ids: of the release.

        Returns:
            For each item such as `"title":"…","tags":[]`, without braces.
        """
        kept = self._kept
        found = {one: kept.get(one) for one in item_ids}
        if missing := [one for one, content in found.items() if content is None]:
            made = {
                item_id: to_json(NOTHING | detail)[1:-1]
                for item_id, detail in zip(missing, self._items.details_of(missing), strict=True)
            }
            found |= made
            self._keep(made)
        return [content for one in item_ids if (content := found[one]) is not None]

    def _keep(self, made: dict[str, bytes]) -> None:
        """Keep items. Where they are too many, all are dropped: whatever is in lists comes back with the next ones."""
        n_bytes = sum(map(len, made.values()))
        if self._n_bytes + n_bytes > KEPT_BYTES:
            self._kept, self._n_bytes = {}, 0
        self._kept.update(made)
        self._n_bytes += n_bytes


_shown_of: WeakKeyDictionary[Recommender, ShownItems] = WeakKeyDictionary()


def list_answered(answer: Answer, recommender: Recommender) -> Response:
    """A list with what a page shows of its items.

    Args:
        answer: the list.
        recommender: of its release.

    Returns:
        `ListAnswer`.
    """
    return _response(answer, recommender, [b""] * len(answer.items), b"")


def search_answered(answer: Answer, recommender: Recommender) -> Response:
    """The same of a search, with probabilities.

    Args:
        answer: the list.
        recommender: of its release.

    Returns:
        `SearchAnswer`.
    """
    probabilities = [b',"probability":' + to_json(one.probability) for one in answer.items]
    rest = {"n_candidates": answer.n_candidates, "temperature": recommender.temperature}
    return _response(answer, recommender, probabilities, b"," + to_json(rest)[1:-1])


def _response(answer: Answer, recommender: Recommender, of_items: Sequence[bytes], rest: bytes) -> Response:
    shown = _shown_of.get(recommender)
    if shown is None:
        shown = _shown_of.setdefault(recommender, ShownItems(recommender.items))
    details = shown.of([one.item_id for one in answer.items])
    # an empty text splits into one piece
    scores = to_json([float(one.score) for one in answer.items])[1:-1].split(b",") if answer.items else []
    items = b",".join(
        b'{"item_id":%b,"score":%b,%b%b}' % (to_json(one.item_id), score, detail, further)
        for one, score, detail, further in zip(answer.items, scores, details, of_items, strict=True)
    )
    head = to_json({"release": answer.release, "basis": answer.basis})[:-1]
    unknown = to_json(answer.unknown)
    content = b'%b,"items":[%b],"unknown":%b%b}' % (head, items, unknown, rest)
    return Response(content, media_type="application/json")
