"""Objectives `texts` and `distill`: no interaction is read, and a killed run ends with the same weights."""

import numpy as np
import pytest
import torch

from recsys.encoders.pack import pack_encoder
from recsys.encoders.params import EncoderParams
from recsys.encoders.transformer import open_encoder
from recsys.errors import EncoderError
from recsys.training.corpus import Corpus, pieces_of
from recsys.training.finetune import finetune
from recsys.training.inputs import TokenInputs, freeze
from recsys.training.known import Known
from recsys.training.losses.imitation import distance_to_teacher
from recsys.training.plans import plan_batch
from recsys.training.texts import tokenise
from recsys.training.tower import kept_layers, layers_of, open_tower, save_tower
from tests.training.deep import deepened
from tests.training.tastes import Watch, make_tastes, params

pytestmark = pytest.mark.whole
DISTILL = {
    "objective": "distill",
    "layers": "all",
    "dropout": 0.0,
    "student_layers": 1,
    "learning_rate": 0.01,
}
ENCODER = {
    "pooling": "mean",
    "item_prefix": "",
    "query_prefix": "",
    "max_tokens": 32,
    "precision": "float32",
    "calibration_texts": 450,
    "batch_tokens": 512,
}


@pytest.fixture(scope="module")
def training_set():
    return make_tastes()


@pytest.fixture(scope="module")
def source(tiny_encoder, tmp_path_factory):
    return deepened(tiny_encoder, tmp_path_factory.mktemp("deep") / "encoder")


@pytest.fixture(scope="module")
def taught(source, training_set, tmp_path_factory):
    """Vectors of the real teacher: the packed encoder of two layers."""
    folder = tmp_path_factory.mktemp("teacher")
    reference = pack_encoder(EncoderParams(source=str(source), **ENCODER), folder, ())
    fit = [training_set.texts[row] for row in training_set.fit_rows]
    further = pieces_of(fit, 200, 1)
    vectors = open_encoder(reference, folder, 512).encode([*training_set.texts, *further])
    return Corpus(further, vectors, reference.hash)


def train(source, folder, training_set, corpus, watch=None, **changes):
    """The tower after training, and how it went."""
    chosen = params(**changes)
    n_layers = chosen.student_layers if chosen.objective == "distill" else None
    tower = open_tower(source, "mean", chosen.layers, 1, 2, chosen.dropout, n_layers)
    tokens = tokenise(training_set.texts, source, 32, (), corpus.further)
    inputs = TokenInputs(tokens, "cpu")
    if tower.cut is not None:
        inputs = freeze(tower, tokens, folder / "frozen", "k", "cpu")
    trained = finetune(training_set, tower, inputs, chosen, 1.0, folder / "run", watch or Watch(), corpus)
    return tower, trained


def weights(tower):
    return {name: value.detach().clone() for name, value in tower.trained()}


def identical(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_distance_to_the_teacher_is_one_minus_the_mean_cosine():
    student = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    teacher = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    assert float(distance_to_teacher(student, teacher)) == pytest.approx(1 - (1 + 0.96) / 2)


def test_a_student_of_one_layer_comes_nearer_to_its_teacher_on_texts_that_it_never_read(
    source, training_set, taught, tmp_path
):
    tower, trained = train(source, tmp_path, training_set, taught, epochs=8, **DISTILL)
    assert len(layers_of(tower.model)) == 1
    first, best = trained.epochs[0].cosine, trained.best.cosine
    assert best > first and 1 - best < 0.5 * (1 - first)
    assert trained.figures(5)["cosine"] == best and trained.figures(5)["pretrained/cosine"] == first
    assert trained.best == max(trained.epochs, key=lambda epoch: epoch.cosine)


def test_the_student_is_saved_as_a_model_of_its_own_layers(source, tmp_path):
    tower = open_tower(source, "mean", "all", 1, 2, 0.0, n_layers=1)
    save_tower(tower, tmp_path)
    again = open_tower(tmp_path, "mean", "all", 1, 2, 0.0)
    assert len(layers_of(again.model)) == 1
    ids = [torch.tensor([[2, 5, 6, 3]])]
    tower.eval(), again.eval()
    assert torch.equal(tower(ids), again(ids))


@pytest.mark.parametrize(
    ("n_layers", "n_kept", "expected"),
    [
        (6, 1, (0,)),
        (6, 2, (0, 5)),
        (6, 3, (0, 2, 5)),
        (6, 6, tuple(range(6))),
        (12, 4, (0, 4, 7, 11)),
        (1, 1, (0,)),
    ],
)
def test_a_student_takes_over_the_first_and_the_last_layer_and_others_between(n_layers, n_kept, expected):
    assert kept_layers(n_layers, n_kept) == expected


def test_a_student_of_all_layers_is_its_teacher_before_any_training(source):
    whole, student = (open_tower(source, "mean", "all", 1, 2, 0.0, n_layers=n) for n in (None, 2))
    ids = [torch.tensor([[2, 5, 6, 3]])]
    whole.eval(), student.eval()
    assert torch.equal(whole(ids), student(ids))


def test_a_student_cannot_have_more_layers_than_its_source(source):
    with pytest.raises(EncoderError, match="has 2 layers, finetune.student_layers is 3"):
        open_tower(source, "mean", "all", 1, 2, 0.0, n_layers=3)


@pytest.mark.parametrize("layers", ["top", "all", "lora"])
def test_texts_learns_to_find_each_text_again_under_dropout(source, training_set, tmp_path, layers):
    watch = Watch()
    corpus = Corpus(("abcd efgh", "ijkl mnop", "qrst uvwx"))
    train(
        source,
        tmp_path,
        training_set,
        corpus,
        watch,
        objective="texts",
        layers=layers,
        epochs=6,
        dropout=0.2,
    )
    n = len(watch.losses) // 6
    assert np.mean(watch.losses[-n:]) < np.mean(watch.losses[:n])


def test_an_epoch_visits_each_text_once_and_for_simcse_twice(training_set, taught):
    vectors = np.zeros((len(training_set.item_ids), 4), np.float32)
    for objective, times in (("distill", 1), ("texts", 2)):
        chosen = params(**(DISTILL | {"objective": objective, "dropout": 0.1}))
        known = Known(training_set, chosen, vectors, 1.0, taught)
        rows = np.concatenate([plan_batch(known, number).rows for number in range(known.steps_per_epoch)])
        found, counts = np.unique(rows, return_counts=True)
        np.testing.assert_array_equal(found, taught.rows_to_learn_from(training_set))
        assert set(counts) == {times}


def test_no_interaction_is_read(source, training_set, taught, tmp_path):
    """Other users with other likes: the same weights."""
    from recsys.training.data import make_training_set
    from tests.training.tastes import make_split, taste_pairs, taste_texts

    pairs = [(user, f"i{(int(item[1:]) * 5 + 1) % 96:03d}") for user, item in taste_pairs()]
    split, versions = make_split(pairs, taste_texts())
    other = make_training_set(split, versions, 0.2, 1)
    assert other.texts == training_set.texts and (other.fit_UI != training_set.fit_UI).nnz
    one, _ = train(source, tmp_path / "one", training_set, taught, epochs=1, **DISTILL)
    two, _ = train(source, tmp_path / "two", other, taught, epochs=1, **DISTILL)
    assert identical(weights(one), weights(two))


class Stopped(Watch):
    """Stops after some steps, as a killed process would: between two checkpoints."""

    def on_step(self, loss, n_examples):
        super().on_step(loss, n_examples)
        if len(self.losses) == 7:
            raise KeyboardInterrupt


@pytest.mark.parametrize("changes", [DISTILL, {"objective": "texts", "layers": "all"}])
def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_weights(
    source, training_set, taught, tmp_path, changes
):
    whole, one = train(source, tmp_path / "whole", training_set, taught, **changes)
    with pytest.raises(KeyboardInterrupt):
        train(source, tmp_path / "other", training_set, taught, Stopped(), **changes)
    watch = Watch()
    resumed, other = train(source, tmp_path / "other", training_set, taught, watch, **changes)
    assert 0 < watch.start[0] < one.n_steps
    assert identical(weights(whole), weights(resumed)) and one == other


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "distill", "layers": "top"}, "set layers: all"),
        ({"objective": "texts", "dropout": 0.0}, "two draws of dropout"),
        ({"objective": "texts", "layers": "none"}, "two draws of dropout"),
        ({"objective": "texts", "field_dropout": 0.5}, "set field_dropout: 0"),
        (DISTILL | {"hard_share": 0.5}, "set hard_share: 0"),
    ],
)
def test_parameters_that_the_objective_cannot_use_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        params(**changes)
