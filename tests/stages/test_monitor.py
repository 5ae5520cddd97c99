"""Stage `monitor` in a small real workspace: silent while it learns, loud with examples when something moved."""

import json

import numpy as np
import pytest

from recsys.catalogue.compaction import compact_above
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.parts import list_parts
from recsys.errors import ArtifactMissing, ConfigError, DataDamaged
from recsys.models.reference import ModelReference
from recsys.monitoring.params import MonitorParams
from recsys.monitoring.report import WatchReport
from recsys.monitoring.signals import signals_of
from recsys.profiles.items import list_segments
from recsys.stages import stage
from recsys.storage.tables import map_arrow
from tests.publishing.film_workspace import FilmWorkspace, tiny_model
from tests.stages.catalogue_world import contents

PLOTS = """a detective hunts bank robbers through the city at night while his marriage falls apart
two astronauts drift in orbit after an accident and must find a way home before the air runs out
a young pig learns to herd sheep on a quiet farm and wins the heart of the old farmer
a court composer envies a young genius and his music until envy turns into something darker
a bar owner in wartime Morocco meets the woman he once loved and has to choose again
a boxer from the docks gets one shot at the title and trains as nobody trained before
a great white shark terrifies a beach town whose mayor does not want to close the water
an old warlord divides his kingdom between three sons and learns what loyalty is worth""".splitlines()
WORDS = sorted({word for plot in PLOTS for word in plot.split()})
GERMAN = """Ein alter Fischer kehrt nach vielen Jahren in sein Dorf an der Küste zurück und findet alles verändert
Die junge Lehrerin kämpft gegen die Gleichgültigkeit der Behörden und gewinnt schließlich das Vertrauen der Kinder
Zwischen den Bergen verschwindet ein Zug und niemand will die Fahrgäste gesehen haben außer einem Hirten""".splitlines()
SMALL = {"learn_arrivals": 6, "window_arrivals": 20, "shown_arrivals": 8, "sample_rows": 40, "min_rows": 10}


def plots(day, n=24):
    """n plots of made-up films of a day."""
    generator = np.random.default_rng(day)
    return {
        f"film-{day}-{number}": f"{PLOTS[generator.integers(len(PLOTS))]} "
        + " ".join(generator.choice(WORDS, 5, replace=False))
        for number in range(n)
    }


def german(day, n=24):
    return {f"film-{day}-{number}": f"{GERMAN[number % 3]} {number}" for number in range(n)}


@pytest.fixture
def house(tmp_path):
    films = FilmWorkspace(tmp_path / "workspace", tiny_model(tmp_path / "workspace/var/cache/encoders"))
    films.settings = films.settings.model_copy(
        update={"monitor": films.settings.monitor.model_copy(update=SMALL)}
    )
    return films


def watch(films):
    """Build what landed, run the stage; answers the report of the catalogue and that of interactions."""
    films.build()
    stage("monitor")(films.settings, films.at)
    return WatchReport.load(films.at.watch_report).tables


def test_a_new_shop_is_told_that_it_is_learned(house):
    for day in range(3):
        house.items(plots(day), day)
    catalogue, interactions = watch(house)
    assert catalogue.sentence() == "learning, 3 of 6 earlier arrivals"
    assert [one.is_learning for one in catalogue.judged] == [True] * 3
    assert interactions.sentence() == "learning, 0 of 6 earlier arrivals"


def test_ordinary_arrivals_stay_silent_and_another_language_is_named_with_examples(house):
    for day in range(14):
        house.items(plots(day), day)
    catalogue, _ = watch(house)
    assert [one.alarms for one in catalogue.judged] == [()] * 8
    house.items(german(20), 20)
    catalogue, _ = watch(house)
    alarms = {alarm.signal: alarm for alarm in catalogue.alarms}
    assert {"language", "words", "new_words"} <= alarms.keys()
    assert all(alarm.is_new for alarm in alarms.values())
    moved = {one.name: (one.before, one.now) for one in alarms["language"].moved}
    assert moved["de"][1] > 0.9 and moved["de"][0] < 0.1
    assert "und" in {one.name for one in alarms["words"].moved}
    assert alarms["words"].rows[0].item_id.startswith("film-20-")
    house.items(german(21), 21)
    again = {alarm.signal: alarm.is_new for alarm in watch(house)[0].alarms}
    assert again["language"] is False


def test_what_all_profiles_have_in_common_is_left_out_of_samples(house):
    encoder = house.model.encoder.model_copy(update={"lexical_width": 1})
    house.set_model(ModelReference.of(encoder))
    house.items(plots(0), 0)
    watch(house)
    (path,) = (one for one in house.at.samples.glob("*.arrow") if "vector" in map_arrow(one).schema.names)
    sampled_ND = np.array(map_arrow(path)["vector"].to_pylist())
    (segment,) = list_segments(house.at.profiles("champion"))
    rest_ND = np.array(segment.vectors())[:, 1:]
    rest_ND /= np.linalg.norm(rest_ND, axis=1, keepdims=True)
    nearest_N = (sampled_ND @ rest_ND.T).max(axis=1)
    assert sampled_ND.shape[1] == rest_ND.shape[1] and nearest_N == pytest.approx(1, abs=2e-3)


def test_a_lasting_change_becomes_the_new_state(house):
    for day in range(8):
        house.items(plots(day), day)
    for day in range(20, 27):
        house.items(german(day), day)
    catalogue, _ = watch(house)
    loud = [bool({alarm.signal for alarm in one.alarms} & {"language"}) for one in catalogue.judged]
    assert loud[-7:] == [True] * 5 + [False] * 2


def test_small_arrivals_are_judged_together_and_wait_until_then(house):
    for day in range(7):
        house.items(plots(day, 4), day)
    catalogue, _ = watch(house)
    assert [len(one.parts) for one in catalogue.judged] == [3, 3]
    assert catalogue.n_arrivals == 2 and catalogue.n_waiting == 4


def test_deletes_alone_change_nothing(house):
    for day in range(9):
        house.items(plots(day), day)
    before = watch(house)[0]
    house.items(dict.fromkeys(plots(0)), 30)
    after = watch(house)[0]
    assert after.judged == before.judged and after.n_waiting == 0


def test_running_again_gives_the_same_bytes_and_a_torn_sample_is_drawn_again(house):
    for day in range(8):
        house.items(plots(day), day)
    watch(house)
    samples, report = contents(house.at.samples), house.at.watch_report.read_bytes()
    torn = sorted(house.at.samples.iterdir())[3]
    torn.write_bytes(torn.read_bytes()[:100])
    (house.at.samples / ".tmp-killed").write_bytes(b"half")
    (house.at.samples / "000001-stray-0000000000000000.sample.arrow").write_bytes(b"")
    watch(house)
    assert contents(house.at.samples) == samples
    assert house.at.watch_report.read_bytes() == report


def test_an_arrival_draws_one_sample_and_reads_no_older_part(house, monkeypatch):
    for day in range(8):
        house.items(plots(day), day)
    watch(house)
    house.items(plots(9), 9)
    house.build()
    newest = list_parts(house.at.data, CATALOGUE)[-1].id
    drawn = []

    def noted(walked, missing, *others):
        drawn.append((walked.part.id, sorted(missing)))
        return write(walked, missing, *others)

    from recsys.stages import monitor

    write = monitor.write_catalogue_samples
    monkeypatch.setattr(monitor, "write_catalogue_samples", noted)
    monitor.run(house.settings, house.at)
    assert drawn == [(newest, [newest])]


def test_samples_beyond_the_window_are_removed(house):
    house.settings = house.settings.model_copy(
        update={
            "monitor": house.settings.monitor.model_copy(update={"window_arrivals": 5, "shown_arrivals": 2})
        }
    )
    for day in range(12):
        house.items(plots(day), day)
    catalogue, _ = watch(house)
    assert len(list(house.at.samples.iterdir())) == 7
    assert catalogue.n_arrivals == 12 and [one.is_learning for one in catalogue.judged] == [False, False]


def test_a_merged_part_gives_the_same_samples_rows_in_order(house, monkeypatch):
    monkeypatch.setattr("recsys.monitoring.samples.AT_ONCE", 7)
    for day in range(7):
        house.items(plots(day), day)
    watch(house)
    before = {path.name[:6]: map_arrow(path) for path in house.at.samples.iterdir()}
    compact_above(house.at.data, house.at.staging, 1)
    watch(house)
    after = {path.name[:6]: map_arrow(path) for path in house.at.samples.iterdir()}
    assert before.keys() == after.keys() and len(list_parts(house.at.data, CATALOGUE)) == 1
    for name, table in before.items():
        assert (
            after[name]
            .select(["item_id", "text", "chars"])
            .equals(table.select(["item_id", "text", "chars"]))
        )


def test_a_damaged_part_is_named_with_its_remedy(house):
    house.items(plots(0), 0)
    rate(house, 1, lambda generator: 5.0)
    house.build()
    path = list_parts(house.at.data, INTERACTIONS)[0].rows_path
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataDamaged, match=r"rows\.parquet cannot be read"):
        stage("monitor")(house.settings, house.at)


def test_items_that_wait_for_a_profile_are_in_no_sample(house):
    for day in range(7):
        house.items(plots(day), day)
    house.items(plots(8) | {f"silent-{number}": "" for number in range(24)}, 8)
    catalogue, _ = watch(house)
    assert (catalogue.judged[-1].n_rows, catalogue.alarms) == (24, ())
    items = {one for path in house.at.samples.iterdir() for one in map_arrow(path)["item_id"].to_pylist()}
    assert "film-8-0" in items and not any(one.startswith("silent") for one in items)


def test_names_of_signals_are_checked_and_a_number_may_be_called_like_one(house):
    changed = house.settings.monitor.model_copy(update={"numbers": ("length",), "train_on": ("lengths",)})
    house.settings = house.settings.model_copy(update={"monitor": changed})
    house.items(plots(0), 0)
    house.build()
    with pytest.raises(ConfigError, match="monitor.train_on: there is no signal 'lengths'"):
        stage("monitor")(house.settings, house.at)
    assert {"length", "number:length"} <= signals_of(CATALOGUE, ("length",)).keys()


def test_alarms_in_a_row_must_be_among_those_shown(house):
    values = house.settings.monitor.model_dump() | {"shown_arrivals": 5, "accept_after": 5}
    with pytest.raises(ValueError, match="shown_arrivals is 5: more than accept_after"):
        MonitorParams.model_validate(values)


def test_a_price_that_jumps_is_an_alarm_of_its_own(house):
    for day in range(11):
        factor = 100 if day == 10 else 1
        generator = np.random.default_rng(day)
        prices = {
            item: json.dumps({"price": f"${factor * value:.2f}"})
            for item, value in zip(plots(day), generator.lognormal(3, 0.5, 24), strict=True)
        }
        house.items(plots(day), day, prices)
    catalogue, _ = watch(house)
    (alarm,) = catalogue.alarms
    assert alarm.signal == "price"
    *_, most = alarm.moved  # ranges of prices, not words
    assert most.name.startswith("above ") and most.before == 0 and most.now > 0.8
    prices = [float(row.text.partition("]")[0].removeprefix("[")) for row in (*alarm.rows, *alarm.before)]
    assert min(prices[: len(alarm.rows)]) > max(prices[len(alarm.rows) :]) > 0
    assert {alarm.signal for one in catalogue.judged[:-1] for alarm in one.alarms} == set()


def rate(films, day, event_of, n=60):
    generator = np.random.default_rng(day)
    items = list(plots(0))
    pairs = [(f"u{generator.integers(20)}", items[generator.integers(len(items))]) for _ in range(n)]
    films.ratings(pairs, day, [event_of(generator) for _ in range(n)])


def test_interactions_are_watched_without_any_user_in_a_sample(house):
    house.items(plots(0), 0)
    for day in range(1, 10):
        rate(house, day, lambda generator: float(generator.integers(3, 6)))
    _, interactions = watch(house)
    assert [one.alarms for one in interactions.judged if not one.is_learning] == [()] * 3
    rate(house, 11, lambda generator: 1000.0)
    _, interactions = watch(house)
    assert [alarm.signal for alarm in interactions.alarms] == ["values"]
    tables = [map_arrow(path) for path in house.at.samples.iterdir()]
    assert any("event" in table.column_names for table in tables)
    assert not any({"user", "pseudonym"} & {*table.column_names} for table in tables)
    users = {*list_parts(house.at.data, INTERACTIONS)[0].rows(["user"])["user"].to_pylist()}
    kept = json.dumps([table.to_pylist() for table in tables if "event" in table.column_names])
    assert users and "rating" in kept and not any(user in kept for user in users)
    assert not any(item in kept for item in plots(0))


def test_interactions_that_are_sent_twice_are_told(house):
    house.items(plots(0), 0)
    for day in range(1, 9):
        rate(house, day, lambda generator: 4.0)
    pairs = [(f"u{number % 20}", item) for number, item in enumerate(list(plots(0)) * 2)]
    house.ratings([*pairs, *pairs], 11, [4.0] * 2 * len(pairs))
    _, interactions = watch(house)
    assert "repeats" in {alarm.signal for alarm in interactions.alarms}


def test_without_profiles_it_says_which_stage_is_missing(house):
    house.items(plots(0), 0)
    stage("features")(house.settings, house.at)
    house.at.profiles("champion").mkdir(parents=True)
    with pytest.raises(ArtifactMissing, match="dvc repro profiles@champion"):
        stage("monitor")(house.settings, house.at)


def test_a_damaged_report_is_named_with_its_remedy(house):
    house.at.watch_report.parent.mkdir(parents=True)
    house.at.watch_report.write_text("{")
    with pytest.raises(DataDamaged, match="report.json is damaged"):
        WatchReport.load(house.at.watch_report)


def test_what_came_and_went_is_part_of_the_past(house):
    for day in range(8):
        house.items(plots(day), day)
    days = [20, 8, 9, 21]
    for day in days:
        house.items(german(day) if day >= 20 else plots(day), day)
    catalogue, _ = watch(house)
    loud = [bool({alarm.signal for alarm in one.alarms} & {"language"}) for one in catalogue.judged]
    assert loud[-4:] == [True, False, False, False]
