"""Columns of others that may be ours: `id` or `sku` for item_id, `name` for title."""

from collections.abc import Iterable, Mapping

from recsys.catalogue.folding import folded

_LIKELY = {
    "item_id": "id item itemid product productid movieid bookid articleid sku asin isbn gtin handle slug uid urlkey",
    "user_id": "user userid customer customerid visitorid memberid clientid accountid uid reviewerid",
    "title": "name productname itemname headline producttitle movietitle",
    "description": "body bodyhtml text overview plot abstract summary content productdescription longdescription",
    "tags": "genres genre categories category keywords labels",
    "event": "eventtype eventname action actiontype interaction interactiontype type",
    "value": "rating ratings stars score points grade overall",
    "timestamp": "time ts date datetime unixtime unixreviewtime createdat eventtime eventtimestamp",
    "head": "headid subject subjectid source sourceid from fromid entity entity1 itemid",
    "relation": "relationid predicate relationtype edge edgetype property",
    "tail": "tailid object objectid target targetid to toid value entity2",
    "vector": "embedding embeddings vec values features",
    "view": "modality kind type",
}
"""Ours -> what others call it, folded; the likeliest first."""


def likely_names(columns: Iterable[str], wanted: str) -> list[str]:
    """Columns of a file that may be the missing one.

    Args:
        columns: of the file.
        wanted: the column that it should have.

    Returns:
        Their names, the likeliest first.
    """
    by_fold = {folded(name): name for name in sorted(columns, reverse=True)}
    return [by_fold[likely] for likely in _LIKELY.get(wanted, "").split() if likely in by_fold]


def as_our_own(kind: str, names: Mapping[str, str]) -> str:
    """What makes columns of a landed file ours, for messages.

    Args:
        kind: of the table.
        names: their name -> ours.

    Returns:
        The line for params.yaml.
    """
    pairs = ", ".join(
        f"{theirs if theirs.isidentifier() else repr(theirs)}: {ours}" for theirs, ours in names.items()
    )
    return f"set ingest.column_names: {{{kind}: {{{pairs}}}}} in params.yaml, or rename the columns"
