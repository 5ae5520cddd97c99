"""Whether to train again: the rule by hand, the count on real parts, the challenger's in a real MLflow."""

import pytest

from recsys.catalogue.compaction import merge_parts, remove_merged
from recsys.catalogue.kinds import INTERACTIONS
from recsys.catalogue.parts import list_parts
from recsys.effects.promote import promote
from recsys.effects.register import register
from recsys.errors import RegistryError, RegistryUnreachable
from recsys.registry.due import Due, n_interactions, n_trained
from recsys.registry.mlflow import with_alias
from tests.effects.test_promote import JudgedRegistry as Registry
from tests.publishing.film_workspace import FilmWorkspace, tiny_model
from tests.registry.judged import by_hand, client_of

NOBODY = "http://127.0.0.1:9"  # the discard port: nobody listens


@pytest.mark.parametrize(
    ("after", "accepted", "trained", "begun", "new", "is_due"),
    [
        (5, 0, 0, 0, 0, False),
        (5, 4, 0, 0, 4, False),
        (5, 5, 0, 0, 5, True),  # nothing was ever trained, the pretrained encoder saw none
        (5, 104, 100, 0, 4, False),
        (5, 105, 100, 0, 5, True),
        (5, 105, 100, 105, 0, False),  # under way, or failed on these
        (5, 110, 100, 105, 5, True),  # failed on 105, worth a try on five more
        (5, 110, 105, 100, 5, True),  # failed on 100, a later one was registered
        (5, 60, 100, 0, 0, False),  # interactions were erased
        (0, 1000, 0, 0, 1000, False),  # never by itself
        (1, 1, 0, 0, 1, True),
    ],
)
def test_enough_is_what_came_since_the_last_training_began(after, accepted, trained, begun, new, is_due):
    found = Due(after, accepted, trained, begun)
    assert (found.new, found.is_due) == (new, is_due)
    assert f"{new:,} are new" in found.sentence() and ("not enough" in found.sentence()) is not is_due


def test_the_sentence_has_every_figure_and_the_key_to_turn():
    assert Due(500, 12_400, 12_000).sentence() == (
        "12,400 interactions are accepted, the newest challenger was trained on 12,000: 400 are new, not enough "
        "to train (slow_loop.train_after_interactions = 500)"
    )
    assert "a training on 12,300 was started" in Due(500, 12_400, 12_000, 12_300).sentence()
    assert "begun" not in Due(500, 12_400, 12_000, 12_000).sentence()
    assert "an intake is under way" in Due(1, 9, 0, 0, is_tracked=False).sentence()
    assert not Due(1, 9, 0, 0, is_tracked=False).is_due
    assert "= 0, never" in Due(0, 9, 0).sentence()


def test_rows_are_counted_once_however_they_lie_in_parts(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    film_workspace = FilmWorkspace(tmp_path / "workspace", tiny_model(tmp_path / "cache/encoders"))
    assert n_interactions(film_workspace.at.data) == 0
    film_workspace.items({"up": "An old man ties balloons to his house"})  # catalogue rows are none
    film_workspace.ratings([("a", "up"), ("b", "up")])
    film_workspace.ratings([("a", "up")], day=1)  # met again
    assert n_interactions(film_workspace.at.data) == 3
    merge_parts(
        list_parts(film_workspace.at.data, INTERACTIONS), film_workspace.at.data, film_workspace.at.staging
    )
    assert n_interactions(film_workspace.at.data) == 3  # killed here, the merged ones still lie there
    remove_merged(film_workspace.at.data)
    assert n_interactions(film_workspace.at.data) == 3


def test_a_registry_that_is_down_is_no_reason_to_train():
    with pytest.raises(RegistryUnreachable, match=r"127\.0\.0\.1:9"):
        n_trained(NOBODY)


@pytest.fixture
def film_workspace(mlflow_server, model, trained):
    """A registry whose first version, the pretrained encoder, is champion, and a workspace that trains."""
    return Registry(mlflow_server, model, trained)


@pytest.fixture
def accept(workspace):
    """Accepts interactions in the workspace that trains."""
    hand = object.__new__(FilmWorkspace)
    hand.at = workspace
    return lambda n, day: hand.ratings([(f"u{i}", "up") for i in range(n)], day)


@pytest.mark.servers
def test_nothing_was_trained_on_in_an_empty_registry_and_at_first_light(mlflow_server, model, film_workspace):
    assert n_trained(mlflow_server, f"{model}-unknown") == 0
    assert (
        with_alias(film_workspace.uri, "champion", model) is not None
        and n_trained(film_workspace.uri, model) == 0
    )


@pytest.mark.servers
def test_a_challenger_says_how_much_there_was_and_counts_though_its_gate_was_closed(film_workspace, accept):
    accept(7, day=0)
    film_workspace.trained.challenge(reasons=("worse on warm items",))
    film_workspace.register()
    assert n_trained(film_workspace.uri, film_workspace.model) == 7
    accept(4, day=1)
    film_workspace.trained.challenge("second")
    film_workspace.register()
    assert n_trained(film_workspace.uri, film_workspace.model) == 11
    promote(film_workspace.uri, film_workspace.at, "me", None, film_workspace.model)
    by_hand(
        film_workspace.uri, film_workspace.model, "champion", "1"
    )  # back to the pretrained one: nothing to train again for
    assert n_trained(film_workspace.uri, film_workspace.model) == 11


@pytest.mark.servers
def test_the_same_encoder_from_more_interactions_counts_as_trained_on_those(film_workspace, accept):
    """A training that finds no better weights ends with the encoder that it began with, for ever."""
    accept(7, day=0)
    film_workspace.trained.challenge()
    first = film_workspace.register().version
    accept(2, day=1)
    assert (
        film_workspace.register().version == first
        and n_trained(film_workspace.uri, film_workspace.model) == 9
    )


@pytest.mark.servers
def test_without_a_challenger_the_champion_counts(film_workspace, accept):
    accept(3, day=0)
    film_workspace.trained.challenge()
    film_workspace.register()
    promote(film_workspace.uri, film_workspace.at, "me", None, film_workspace.model)
    client_of(film_workspace.uri).delete_registered_model_alias(film_workspace.model, "challenger")
    assert n_trained(film_workspace.uri, film_workspace.model) == 3


@pytest.mark.servers
def test_a_version_that_cannot_say_is_an_error_not_a_training(film_workspace):
    client = client_of(film_workspace.uri)
    run = client.create_run(client.create_experiment(f"somebody's {film_workspace.model}"))
    foreign = client.create_model_version(
        film_workspace.model, f"{run.info.artifact_uri}/model", run.info.run_id
    )
    by_hand(film_workspace.uri, film_workspace.model, "challenger", foreign.version)
    with pytest.raises(RegistryError, match=r"version 2 of .* has no tag encoder_hash.*\n.*recsys ledger"):
        n_trained(film_workspace.uri, film_workspace.model)
    by_hand(film_workspace.uri, film_workspace.model, "challenger", "1")
    for wrong in ("many", "-3", "²", ""):
        client.set_model_version_tag(film_workspace.model, "1", "n_interactions", wrong)
        with pytest.raises(RegistryError, match="version 1 of .* has a tag n_interactions that is no count"):
            n_trained(film_workspace.uri, film_workspace.model)


@pytest.mark.servers
def test_killed_between_any_two_steps_the_newest_challenger_never_lacks_its_count(
    film_workspace, accept, monkeypatch
):
    """The alias moves last: until then the one before counts, and the repeated command completes it."""
    from recsys.registry import mlflow

    accept(7, day=0)
    film_workspace.trained.challenge()

    def killed(*_):
        raise KeyboardInterrupt

    for step in ("add_files", "count_interactions"):
        with monkeypatch.context() as patched:
            patched.setattr(mlflow, step, killed)
            with pytest.raises(KeyboardInterrupt):
                register(film_workspace.uri, film_workspace.at, "trainer", film_workspace.model)
        assert (
            n_trained(film_workspace.uri, film_workspace.model) == 0
            and with_alias(film_workspace.uri, "challenger", film_workspace.model) is None
        )
    film_workspace.register()
    assert n_trained(film_workspace.uri, film_workspace.model) == 7
