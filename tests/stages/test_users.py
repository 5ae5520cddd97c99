import hashlib
import shutil
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import make_interactions
from recsys.errors import ArtifactMissing
from recsys.models.reference import ModelReference
from recsys.profiles.gram import gram_of
from recsys.profiles.history_files import history_files, load_histories
from recsys.profiles.items import list_segments, load_profiles
from recsys.profiles.users_summary import UsersSummary
from recsys.ranking.dot import ridge_of
from recsys.stages.users import run
from tests.stages.judged_world import T0, Item, World, make_world


def state(world):
    """Every file with its bytes and its inode, which changes when it is written again."""
    files = sorted(path for path in world.at.users.rglob("*") if path.is_file())
    return {
        path.relative_to(world.at.users).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_ino,
        )
        for path in files
    }


def differences(before, after):
    """Names of files that are new, written again, and gone."""
    both = {*before} & {*after}
    return {*after} - both, {name for name in both if after[name] != before[name]}, {*before} - both


def prior_of(world):
    """The name of the only prior."""
    (path,) = world.at.users.glob("prior*")
    return path.name


@pytest.fixture
def world(tmp_path):
    made = make_world(tmp_path)
    run(made.settings, made.at)
    return made


def test_histories_hold_what_users_interacted_with_oldest_first(world):
    histories = load_histories(file.path for file in history_files(world.at.users / "histories"))
    assert len(histories.users) == 60
    items = histories.items_of("u000")
    assert len(items) == len(set(items)) == 12
    assert all(item < "i120" for item in items[:10]) and all(item >= "i120" for item in items[10:])


def test_gram_is_that_of_the_live_profiles_with_interactions(world):
    profiles = load_profiles(list_segments(world.at.profiles("champion")))
    histories = load_histories(file.path for file in history_files(world.at.users / "histories"))
    item_ids = set(histories.pairs["item_id"].to_pylist())
    rows = [row for row, item in enumerate(profiles.ids) if item in item_ids]
    np.testing.assert_array_equal(np.load(world.at.users / "gram.npy"), gram_of(profiles.vectors[rows]))
    summary = UsersSummary.load(world.at.users / "users.json")
    assert (summary.n_users, summary.n_items, summary.n_pairs) == (60, len(rows), 720)
    assert summary.profiles_hash == "a" * 64 and summary.ridge_lambda == world.settings.users.ridge_lambda


def test_the_prior_is_the_one_that_models_are_judged_with(world):
    profiles = load_profiles(list_segments(world.at.profiles("champion")))
    histories = load_histories(file.path for file in history_files(world.at.users / "histories"))
    pairs = histories.pairs
    known = make_interactions(pairs["user"], pairs["item_id"], histories.users, profiles.ids)
    weight = world.settings.users.prior_weight
    dataset = Dataset(known, profiles.ids, profiles.vectors, 1.0, 0, prior_weight=weight)
    found, summary = (
        np.load(world.at.users / prior_of(world)),
        UsersSummary.load(world.at.users / "users.json"),
    )
    np.testing.assert_allclose(found.T @ found, (rows := ridge_of(dataset).prior_RD).T @ rows, atol=1e-5)
    assert summary.prior.n_rows == len(found) > 0 and summary.prior.weight == weight > 0


def test_where_likes_are_as_they_were_the_prior_stays_and_no_history_is_read(world, monkeypatch):
    monkeypatch.setattr("recsys.stages.users.prior_of", None)
    before = state(world)
    world.land_items([Item("unmet", 2)])
    run(world.settings, world.at)
    name = prior_of(world)
    assert state(world)[name] == before[name]


def test_liked_items_that_swap_their_texts_leave_the_gram_but_not_the_prior(world, monkeypatch):
    before = state(world)
    old = {name: world.vector(Item(name, taste), world.noise) for taste, name in enumerate(("i000", "i001"))}
    swapped = {"i000": old["i001"], "i001": old["i000"]}
    monkeypatch.setattr(world, "vector", lambda item, noise: swapped[item.id])
    world.land_items([Item("i000", 1), Item("i001", 0)])
    run(world.settings, world.at)
    after = state(world)
    name = prior_of(world)
    assert after["gram.npy"][0] == before["gram.npy"][0] and name not in before
    (world.at.users / name).unlink()
    run(world.settings, world.at)
    assert state(world)[name][0] == after[name][0] not in {digest for digest, _ in before.values()}


def test_without_a_weight_or_with_noise_there_is_no_prior(world, monkeypatch):
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", "0123456789abcdef")
    noisy = world.settings.privacy.model_copy(update={"epsilon": 1.0})
    off = world.settings.users.model_copy(update={"prior_weight": 0.0})
    for changed in ({"users": off}, {"privacy": noisy}):
        run(world.settings, world.at)
        run(world.settings.model_copy(update=changed), world.at)
        assert not [*world.at.users.glob("prior*")]
        assert UsersSummary.load(world.at.users / "users.json").prior is None
        assert "prior" not in (world.at.users / "users.json").read_text()


def test_an_encoder_that_brought_its_own_lambda_is_served_with_it(world):
    path = world.at.model_reference("champion")
    assert UsersSummary.load(world.at.users / "users.json").ridge_lambda == world.settings.users.ridge_lambda
    model = ModelReference.load(path)
    ModelReference.of(model.encoder, None, 77.0).save(path)
    run(world.settings, world.at)
    assert UsersSummary.load(world.at.users / "users.json").ridge_lambda == 77.0


def test_a_second_run_writes_nothing(world):
    before = state(world)
    run(world.settings, world.at)
    assert state(world) == before


def test_new_items_without_interactions_change_nothing_but_the_key_of_what_users_were_made_of(world):
    before, summary_before = state(world), UsersSummary.load(world.at.users / "users.json")
    world.land_items([Item("unmet", 2)])
    run(world.settings, world.at)
    after, summary_after = state(world), UsersSummary.load(world.at.users / "users.json")
    assert summary_after.made_of != summary_before.made_of and summary_after == replace(
        summary_before, made_of=summary_after.made_of
    )
    assert after | {"users.json": before["users.json"]} == before


def test_new_interactions_add_one_history_and_leave_the_others_alone(world):
    before = state(world)
    world.land_items([Item("fresh", 2)])
    part = world.land_interactions([("u000", "fresh", T0 + timedelta(days=200))])
    run(world.settings, world.at)
    new, changed, gone = differences(before, state(world))
    (history,) = new - {prior_of(world)}
    assert history.startswith(f"histories/{part.id}-")
    assert changed == {"gram.npy", "users.json"} and [name[:6] for name in gone] == ["prior-"]
    histories = load_histories(file.path for file in history_files(world.at.users / "histories"))
    assert histories.items_of("u000")[-1] == "fresh"


def test_a_changed_text_changes_the_gram_but_no_history(world):
    before = state(world)
    world.land_items([Item("i000", 5, T0 + timedelta(days=300), "castle once more")])
    run(world.settings, world.at)
    new, changed, gone = differences(before, state(world))
    assert new == {prior_of(world)} and changed == {"gram.npy", "users.json"}
    assert [name[:6] for name in gone] == ["prior-"]


def test_strays_and_damaged_results_do_not_survive_a_run(world):
    before = {name: digest for name, (digest, _) in state(world).items()}
    (world.at.users / "histories" / ".tmp-0123").write_bytes(b"half")
    (world.at.users / ".tmp-0123").write_bytes(b"half")
    for damaged in ("gram.npy", prior_of(world)):
        (world.at.users / damaged).write_bytes(b"half")
    run(world.settings, world.at)
    assert {name: digest for name, (digest, _) in state(world).items()} == before


def test_a_catalogue_without_interactions_has_a_zero_gram_and_no_users(tmp_path):
    world = World(tmp_path)
    world.land_items([Item("i0", 0), Item("i1", 1)])
    run(world.settings, world.at)
    assert not np.load(world.at.users / "gram.npy").any()
    assert UsersSummary.load(world.at.users / "users.json").n_users == 0


def test_missing_profiles_name_the_stage_that_makes_them(tmp_path):
    world = World(tmp_path)
    with pytest.raises(ArtifactMissing, match="profiles@champion"):
        run(world.settings, world.at)


def test_a_run_that_goes_on_gives_the_bytes_of_a_run_from_nothing(world):
    world.land_items([Item("i000", 5, T0 + timedelta(days=300), "castle once more"), Item("fresh", 1)])
    world.land_interactions([("u000", "fresh", T0 + timedelta(days=400)), ("u001", "i149", None)])
    run(world.settings, world.at)
    after = {name: digest for name, (digest, _) in state(world).items()}
    assert {path.name[:4] for path in world.at.var.glob("*.state")} == {"gram", "like"}
    for remembered in world.at.var.glob("*.state"):
        remembered.unlink()
    shutil.rmtree(world.at.users)
    run(world.settings, world.at)
    assert {name: digest for name, (digest, _) in state(world).items()} == after


def test_a_remembered_state_that_is_damaged_changes_nothing(world):
    before = state(world)
    for remembered in world.at.var.glob("*.state"):
        remembered.write_bytes(remembered.read_bytes()[:-7] + b"damaged")
    run(world.settings, world.at)
    assert state(world) == before
