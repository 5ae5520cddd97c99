"""What `recsys status` says about the landing zone is what the next `recsys ingest` does."""

import pytest
import yaml

from recsys.catalogue.ingest import ingest
from recsys.effects.status import status
from recsys.settings import Settings
from recsys.storage.opening import open_storage

KEY = "a-key-for-tests-0123456789"
LANDED = "catalogue/wide.csv"


@pytest.fixture
def wide(workspace):
    """A landing zone with a file that is refused: it has one column more than may be."""
    set_limit(workspace, 2)
    path = workspace.root / "landing" / LANDED
    path.parent.mkdir(parents=True)
    path.write_text("item_id,title,colour\na,A red lamp,red\n")
    return str(workspace.root / "landing")


def set_limit(workspace, n_columns):
    params = yaml.safe_load(workspace.params.read_text("utf-8"))
    params["ingest"]["max_columns"] = n_columns
    workspace.params.write_text(yaml.safe_dump(params), "utf-8")


def take_in(workspace, landing):
    return ingest(open_storage(landing), workspace, Settings.load(workspace.params).ingest, KEY)


def pending(workspace, landing):
    return [one["file"] for one in status(workspace, landing, None)["pending"]]


def test_a_refused_file_waits_again_once_limits_have_changed(workspace, wide):
    assert pending(workspace, wide) == [LANDED]
    (refused,) = take_in(workspace, wide).outcomes
    assert refused.status == "refused" and pending(workspace, wide) == []
    set_limit(workspace, 3)
    assert pending(workspace, wide) == [LANDED]
    (accepted,) = take_in(workspace, wide).outcomes
    assert accepted.status == "accepted" and pending(workspace, wide) == []
