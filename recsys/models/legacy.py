"""Models from before models had parts: one reference, one hash and one folder hold everything that was learned.

Such a model is read as an encoder whose files include those of its head and ranker. Its hash stays the same, and so do
the keys of its vectors and profiles. Only manifests of old releases are written in this form again, to check their ids.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recsys.encoders.reference import ITEM_WEIGHTS, OF_THE_MODEL

if TYPE_CHECKING:
    from recsys.models.reference import ModelReference

BY_ITEM_WEIGHTS = "item_weights"


def parts_of_legacy(legacy: Any, ranker: Any = None) -> dict[str, Any]:  # noqa: ANN401  any JSON value
    """The parts of a model in the old form: an encoder.json, or its copy in a manifest. They are not validated yet.

    Args:
        legacy: parsed JSON.
        ranker: the ranker's name in a manifest; None: the files decide.

    Returns:
        What `ModelReference` validates.
    """
    if not isinstance(legacy, Mapping):
        return {"encoder": legacy}
    files = legacy.get("files")
    listed = files if isinstance(files, list | tuple) else ()
    weights = [file for file in listed if isinstance(file, Mapping) and file.get("name") == ITEM_WEIGHTS]
    named: dict[str, Any] = {"name": BY_ITEM_WEIGHTS} if weights else {}
    if weights:
        named |= {"hash": weights[0].get("sha256"), "files": weights}
    if isinstance(ranker, Mapping):
        named |= ranker
    return {
        "hash": legacy.get("hash"),
        "encoder": {key: value for key, value in legacy.items() if key not in OF_THE_MODEL},
        "users": {"ridge_lambda": legacy.get("ridge_lambda")},
        "ranker": named if ranker is None or isinstance(ranker, Mapping) else ranker,
        "registry": legacy.get("registry"),
    }


def as_legacy(model: "ModelReference") -> dict[str, Any]:
    """The inverse of `parts_of_legacy`. Ids of releases are hashes of its result.

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
