"""Models from before they had parts: one reference, one hash and one folder for everything that was learned.

Such a model becomes an encoder that carries its head, and a ranker whose file the encoder carries. Its hash stays, and
so do the keys of its vectors, profiles and releases. It is written in this form only into releases, for older readers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recsys.encoders.reference import ITEM_WEIGHTS, OF_THE_MODEL

if TYPE_CHECKING:
    from recsys.models.reference import ModelReference

BY_ITEM_WEIGHTS = "item_weights"


def parts_of_lump(lump: Any, ranker: Any = None) -> dict[str, Any]:  # noqa: ANN401  any JSON value
    """The parts of an encoder.json, or of the same in a manifest; not validated yet.

    Args:
        lump: parsed JSON.
        ranker: what a manifest says of the ranker; None: the one that its files tell.

    Returns:
        What `ModelReference` validates.
    """
    if not isinstance(lump, Mapping):
        return {"encoder": lump}
    files = lump.get("files")
    listed = files if isinstance(files, list | tuple) else ()
    weights = [file for file in listed if isinstance(file, Mapping) and file.get("name") == ITEM_WEIGHTS]
    named: dict[str, Any] = {"name": BY_ITEM_WEIGHTS} if weights else {}
    if weights:
        named |= {"hash": weights[0].get("sha256"), "files": weights}
    if isinstance(ranker, Mapping):
        named |= ranker
    return {
        "hash": lump.get("hash"),
        "encoder": {key: value for key, value in lump.items() if key not in OF_THE_MODEL},
        "users": {"ridge_lambda": lump.get("ridge_lambda")},
        "ranker": named if ranker is None or isinstance(ranker, Mapping) else ranker,
        "registry": lump.get("registry"),
    }


def as_lump(model: "ModelReference") -> dict[str, Any]:
    """What `parts_of_lump` took apart, as it was: ids of releases are hashes of this.

    Args:
        model: one whose hash is its encoder's.

    Returns:
        JSON values.
    """
    written = model.encoder.model_dump(mode="json")
    written["registry"] = model.registry.model_dump(mode="json") if model.registry else None
    if model.users.ridge_lambda is not None:
        written["ridge_lambda"] = model.users.ridge_lambda
    return written
