"""After intake: tell DVC about new parts; check whether everything accepted is tracked and published."""

import hashlib
import json

from recsys import dvc
from recsys.artifacts import Artifacts
from recsys.catalogue.arrival import write_json
from recsys.catalogue.kinds import KINDS
from recsys.catalogue.parts import all_parts, list_parts


def track(at: Artifacts) -> bool:
    """Bring data.dvc up to date. Quick if DVC tracks exactly these parts already.

    Args:
        at: the workspace.

    Returns:
        False where the workspace has no DVC, so that nothing is tracked.

    Raises:
        StorageError: DVC refused; carries its words.
    """
    if not any((folder / ".dvc").is_dir() for folder in (at.root, *at.root.parents)):
        return False
    if not at.data.is_dir() or is_tracked(at):
        return True
    dvc.track_data(at.root)
    write_json(at.tracked, _state(at))
    return True


def is_tracked(at: Artifacts) -> bool:
    """Whether data.dvc, as `track` left it, covers exactly the accepted parts: no intake is under way."""
    return _known(at) == _state(at)


def is_published(at: Artifacts) -> bool:
    """Whether the last release from this workspace holds exactly the parts that are accepted, of released kinds."""
    released = (name for name, kind in KINDS.items() if kind.released)
    accepted = {part.id for name in released for part in list_parts(at.data, name)}
    try:
        published = set(json.loads(at.published.read_bytes())["parts"])
    except (FileNotFoundError, ValueError, KeyError):
        published = set()
    return accepted == published


def _state(at: Artifacts) -> dict[str, str]:
    """Which parts lie in data/ and what data.dvc says; equal states need no DVC."""
    parts = "\n".join(f"{part.kind}/{part.id} {part.arrival.rows_sha256}" for part in all_parts(at.data))
    key = at.pseudonyms.read_bytes().hex() if at.pseudonyms.exists() else ""
    pointer = at.data_dvc.read_bytes() if at.data_dvc.exists() else b""
    return {
        "parts": hashlib.sha256(f"{parts}\n{key}".encode()).hexdigest(),
        "data_dvc": hashlib.sha256(pointer).hexdigest(),
    }


def _known(at: Artifacts) -> object:
    try:
        return json.loads(at.tracked.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
