"""The trigger on real folders and a real S3 server, with Airflow's state store replaced by what it promises: a map."""

import asyncio
from contextlib import aclosing

import pytest

from recsys.storage.opening import open_storage


class Kept(dict):
    """What Airflow keeps for an asset, across restarts of the triggerer; values pass through JSON."""

    async def aget(self, key, default=None):
        return self.get(key, default)

    async def aset(self, key, value):
        assert isinstance(value, list) and all(isinstance(one, str) for one in value)
        self[key] = value


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.servers)])
def landing(request, tmp_path, monkeypatch):
    url = (
        str(tmp_path / "landing")
        if request.param == "folder"
        else f"s3://{request.getfixturevalue('bucket')}/zone"
    )
    monkeypatch.setenv("RECSYS_LANDING", url)
    return open_storage(url)


@pytest.fixture
def watch(plugin, monkeypatch):
    """Watch while steps are taken, with two whole looks after each; returns one number of files per event."""
    module = plugin("landing_trigger")
    looks = []

    def counted(landed=module.landed):
        try:
            return landed()
        finally:
            looks.append(1)

    monkeypatch.setattr(module, "landed", counted)

    async def collect(kept, steps):
        trigger = module.LandingTrigger(poll_s=0.02)
        trigger.asset_state_store = kept
        events = []

        async def listen():
            async with aclosing(trigger.run()) as stream:
                async for event in stream:
                    events.append(event.payload["files"])

        listening = asyncio.create_task(listen())
        for step in steps:
            await asyncio.to_thread(step)
            seen = len(looks)
            while (
                len(looks) < seen + 3
            ):  # one may have begun before the step, the last may not have been told yet
                await asyncio.sleep(0.01)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        return events

    return lambda kept, *steps: asyncio.run(collect(kept, steps or [lambda: None]))


def test_one_event_per_look_however_many_files_landed(landing, watch):
    def land_three():
        for n in range(3):
            landing.write(f"catalogue/{n}.jsonl", b"{}")

    landing.write("catalogue/a.jsonl", b"{}")
    landing.write("catalogue/b.jsonl", b"{}")
    events = watch(Kept(), lambda: None, land_three)
    assert events[0] == 2 and sum(events) == 5  # a slow look may see the three in two goes


def test_files_known_before_a_restart_wake_nobody_and_files_that_came_meanwhile_do(landing, watch):
    kept = Kept()
    landing.write("catalogue/a.jsonl", b"{}")
    assert watch(kept) == [1]
    assert watch(kept) == []
    landing.write("catalogue/b.jsonl", b"{}")
    assert watch(kept) == [1]


def test_a_new_version_of_a_file_wakes_again(landing, watch):
    landing.write("catalogue/a.jsonl", b"{}")
    assert watch(Kept(), lambda: None, lambda: landing.write("catalogue/a.jsonl", b'{"more": 1}')) == [1, 1]


def test_files_taken_in_wake_nobody(landing, watch):
    landing.write("catalogue/a.jsonl", b"{}")
    assert watch(Kept(), lambda: None, lambda: landing.move("catalogue/a.jsonl", "processed/1/a.jsonl")) == [
        1
    ]


def test_interactions_alone_wait_for_the_sweep(landing, watch):
    landing.write("interactions/a.csv", b"x")
    assert watch(Kept()) == []


def test_a_file_that_is_still_being_written_wakes_nobody_until_it_has_its_name(tmp_path, monkeypatch, watch):
    folder = tmp_path / "landing" / "catalogue"
    folder.mkdir(parents=True)
    monkeypatch.setenv("RECSYS_LANDING", str(tmp_path / "landing"))
    half = folder / "films.jsonl.part"
    half.write_text("{}")
    events = watch(Kept(), lambda: None, lambda: half.rename(folder / "films.jsonl"))
    assert events == [1]


def test_a_landing_zone_that_cannot_be_read_is_looked_at_again(landing, watch, monkeypatch, caplog):
    landing.write("catalogue/a.jsonl", b"{}")
    good = landing.url
    monkeypatch.delenv("RECSYS_LANDING")
    assert watch(Kept(), lambda: None, lambda: monkeypatch.setenv("RECSYS_LANDING", good)) == [1]
    assert "cannot be read now" in caplog.text


def test_without_a_state_store_it_still_watches(landing, watch):
    landing.write("catalogue/a.jsonl", b"{}")
    assert watch(None) == [1]


def test_airflow_can_make_it_again_from_what_it_wrote_down(plugin):
    module = plugin("landing_trigger")
    path, arguments = module.LandingTrigger(poll_s=3).serialize()
    assert path == f"{module.__name__}.LandingTrigger" and arguments == {"poll_s": 3}


def test_names_that_are_no_utf8_and_pipes_do_not_blind_the_watcher(plugin, tmp_path, monkeypatch):
    import os

    folder = tmp_path / "catalogue"
    folder.mkdir()
    monkeypatch.setenv("RECSYS_LANDING", str(tmp_path))
    os.mkfifo(folder / "pipe.jsonl")
    with open(os.fsencode(str(folder)) + b"/caf\xe9.jsonl", "wb") as file:
        file.write(b"{}")
    module = plugin("landing_trigger")
    before = module.landed()
    (folder / "good.jsonl").write_text("{}")
    assert len(before) == 1 and len(module.landed()) == 2
