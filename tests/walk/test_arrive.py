"""`recsys arrive` in a real small workspace with DVC, beside the commands that a person would run one by one."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from recsys import Release
from recsys.features.views_file import views_at
from recsys.stages import FAST_LOOP
from tests.encoders.pictures import save_clip
from tests.images.server import pictures_server
from tests.walk.place import RECSYS, Place

pytestmark = pytest.mark.whole
REPRO = (sys.executable, "-m", "dvc", "repro", "--single-item")
ONE_BY_ONE = (
    (*RECSYS, "ingest"),
    (*RECSYS, "fetch-champion", "--published"),
    (*REPRO, *FAST_LOOP),
    (*RECSYS, "publish"),
)


@pytest.fixture
def place(landed, tmp_path):
    return Place(shutil.copytree(landed, tmp_path / "home", symlinks=True))


@pytest.fixture(scope="module")
def by_hand(landed, tmp_path_factory):
    """The same files, taken in by the commands one by one."""
    place = Place(shutil.copytree(landed, tmp_path_factory.mktemp("by-hand") / "home", symlinks=True))
    for command in ONE_BY_ONE:
        place.run(*command)
    return place


def test_it_makes_the_release_and_the_dvc_lock_of_the_commands_one_by_one(arrived, by_hand):
    place, (first, second) = arrived
    assert all(f"Running stage '{stage}'" in first.output for stage in FAST_LOOP)
    assert (first.release, first.lock, first.data) == (by_hand.release, by_hand.lock, by_hand.data)
    assert "Running stage 'profiles@champion'" in second.output and second.release != first.release
    assert "Running stage" not in place.run(*REPRO, *FAST_LOOP)  # DVC by hand agrees that all are up to date
    assert "nothing new has landed" in place.arrive("--skip-code", code=99)


def test_relations_that_land_later_are_in_the_next_release_and_encode_nothing(place):
    place.arrive()
    one, other = Release.open(place.small.store, cache=place.root / "reader").items[:2]
    folder = Path(place.small.landing, "relations")
    folder.mkdir()
    (folder / "graph.csv").write_text(f"head,relation,tail\n{one},maker,Acme\nAcme,made,{other}\n")
    output = place.arrive("--skip-code")
    assert "Running stage 'features'" in output and "0 texts encoded" in output
    release = Release.open(place.small.store, cache=place.root / "reader")
    assert len(release.manifest.view_parts) == 1
    (why,) = release.explain(one, history=[other]).contributions
    assert [(fact.relation, fact.thing, fact.other_relation) for fact in why.shared] == [
        ("maker", "Acme", "made")
    ]
    assert "nothing new has landed" in place.arrive("--skip-code", code=99)


def test_a_step_that_fails_ends_it_with_its_words_and_nothing_is_published(place):
    valid = (place.root / "params.yaml").read_text()
    (place.root / "params.yaml").write_text(valid + "unknown: {}\n")
    output = place.arrive(code=1)
    assert "unknown is not a key" in output and "Traceback" not in output
    (place.root / "params.yaml").write_text(valid)
    shutil.rmtree(Path(place.small.landing, "catalogue"))
    output = place.arrive(code=255)  # DVC's
    assert "holds no catalogue part" in output and "failed to reproduce 'validate'" in output
    assert "Traceback" not in output and "Running stage 'features'" not in output
    assert not Path(place.small.store, "CURRENT").exists()


@pytest.mark.parametrize(
    ("moment", "killed"),
    [
        ("data/catalogue", "the first process"),
        ("artifacts/features", "the group"),
        ("artifacts/users", "the first process"),
    ],
)
def test_killed_anywhere_and_run_again_it_makes_the_same_release(place, by_hand, moment, killed):
    command = (*RECSYS, "arrive")
    with subprocess.Popen(
        command, cwd=place.root, env=place.environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:  # fmt: skip
        while not (place.root / moment).exists() and process.poll() is None:
            time.sleep(0.002)
        (os.killpg if killed == "the group" else os.kill)(process.pid, signal.SIGKILL)
    place.arrive()
    assert place.release == by_hand.release


def test_a_stage_with_a_command_of_its_own_is_run_by_dvc(place):
    text = (place.root / "dvc.yaml").read_text()
    own = "python -m recsys run users && touch ran-by-a-shell"
    (place.root / "dvc.yaml").write_text(text.replace("cmd: python -m recsys run users", f"cmd: {own}"))
    place.arrive()
    assert (place.root / "ran-by-a-shell").exists() and place.release


def with_pictures(place, server, clip):
    """Let the catalogue name pictures of a server, and a vision encoder turn them into vectors."""
    params = yaml.safe_load((place.root / "params.yaml").read_text())
    params["images"] |= {"encoder": str(clip), "sources": [server.url], "private_addresses": True}
    (place.root / "params.yaml").write_text(yaml.safe_dump(params))
    place.run(
        sys.executable, "-m", "dvc", "remote", "add", "-d", "kept", str(place.root.parent / "remote"), "-q"
    )


def land_picture(place, item, address, day):
    row = {"item_id": item, "title": f"ban bel {item}", "image": address}
    place.small.land("catalogue", f"{item}.jsonl", [row], day)


def kept(root):
    """Name -> bytes of the pictures of a workspace."""
    return {path.name: path.read_bytes() for path in (root / "artifacts/images/pictures").iterdir()}


def test_pictures_come_with_an_arrival_and_go_wherever_its_data_goes(place, tmp_path):
    """Into the view, the DVC remote, a workspace of the slow loop, and a restored one; fetched once in all."""
    with pictures_server() as server:
        with_pictures(place, server, save_clip(tmp_path / "clip"))
        land_picture(place, "p1", f"{server.url}/picture/1", 2)
        land_picture(place, "broken", f"{server.url}/status/404", 3)
        place.arrive()
        asked = {"/picture/1": 1, "/status/404": 1}
        assert server.requests == asked and len(kept(place.root)) == 1
        assert "Running stage" not in place.run(*REPRO, *FAST_LOOP)
        land_picture(place, "p2", f"{server.url}/picture/2", 4)
        output = place.arrive()
        assert server.requests == asked | {"/picture/2": 1} and len(kept(place.root)) == 2
        assert "images: 1 tried; 2 of 3 items that name a picture have one" in output
        view = views_at(place.root / "artifacts/features", ["p1", "broken", "p2", "i1"])["image"]
        assert list(view.has_N) == [True, False, True, False]
        own, restored = tmp_path / "own/train_challenger.1", tmp_path / "restored"
        place.recsys("workspace", "make", str(own), "--train")
        place.recsys("restore", place.release, "--to", str(restored))
        assert kept(own) == kept(restored) == kept(place.root)
        for workspace in (own, restored):
            place.environment["RECSYS_WORKSPACE"] = str(workspace)
            place.recsys("run", "images")
        assert server.requests == asked | {"/picture/2": 1}
