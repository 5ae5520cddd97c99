"""Columns of others that may be ours: `id` or `sku` for item_id, `name` for title."""

from collections.abc import Iterable, Mapping

from recsys.catalogue.folding import SEPARATOR, folded

_LIKELY = {
    "item_id": "id item itemid product productid movieid bookid articleid sku asin isbn gtin handle slug uid urlkey "
    "objectid contentid aid trackid trackuri spotifytrackuri recordid biblionumber",
    "user_id": "user userid customer customerid visitorid memberid clientid accountid uid reviewerid username "
    "userpseudoid distinctid anonymousid actorid profileid profilename patronid borrowernumber",
    "title": "name productname itemname headline producttitle movietitle booktitle trackname",
    "description": "body bodyhtml text overview plot abstract summary content productdescription longdescription",
    "tags": "genres genre categories category keywords labels",
    "event": "eventtype eventname action actiontype interaction interactiontype verb type",
    "value": "rating ratings stars score points grade overall",
    "timestamp": "time ts date datetime unixtime unixreviewtime createdat eventtime eventtimestamp published "
    "issuedate starttime",
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
        columns: of the file, and paths of values inside, such as `item.id`: the last name of one counts, unless the
            whole of it is likely to be another column, as `customer.id` is.
        wanted: the column that it should have.

    Returns:
        Their names, the likeliest first.
    """
    likely = _LIKELY.get(wanted, "").split()
    names = sorted(columns, reverse=True)
    whole = {folded(name): name for name in names}
    others = {one for ours, some in _LIKELY.items() if ours != wanted for one in some.split()} - {*likely}
    inner = {
        last: name
        for name in names
        if SEPARATOR in name
        and folded(name) not in others
        and (last := folded(name.rpartition(SEPARATOR)[2])) != "type"  # of an actor or a shop as well
    }
    found = [some[one] for some in (whole, inner) for one in likely if one in some]
    return list(dict.fromkeys(found))


def as_our_own(kind: str, names: Mapping[str, str]) -> str:
    """What makes columns of a landed file ours, for messages.

    Args:
        kind: of the table.
        names: their name -> ours.

    Returns:
        The line for params.yaml.
    """
    pairs = ", ".join(
        f"{theirs if _is_plain(theirs) else repr(theirs)}: {ours}" for theirs, ours in names.items()
    )
    return f"set ingest.column_names: {{{kind}: {{{pairs}}}}} in params.yaml, or rename the columns"


def _is_plain(name: str) -> bool:
    """Whether YAML reads a name without quotes."""
    return all(one.isidentifier() for one in name.split(SEPARATOR))
