from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.errors import TrainingError
from recsys.training.inputs import TokenInputs
from recsys.training.known import Known, Plan
from recsys.training.optimizing import fresh_scaler, learning_rate, make_optimizer, make_scaler, move
from recsys.training.plans import plan_batch
from recsys.training.ranks import ALONE
from recsys.training.stepping import Encoding, Memory, encode_all
from recsys.training.texts import tokenise
from recsys.training.tower import open_tower
from tests.training.tastes import make_tastes, params
from tests.training.test_plans import known

PLAIN = Memory(10_000, cached=False)


@pytest.fixture(scope="module")
def training_set():
    return make_tastes()


@pytest.fixture
def step(training_set, tiny_encoder):
    """Gradient of one batch, by parameter name; the tower is the same each time."""

    def run(memory=PLAIN, break_above=None, plan=None, say=lambda sentence: None, **changes):
        chosen = params(**changes)
        tower = open_tower(tiny_encoder, "mean", "all", 1, 2, chosen.dropout)
        tower.train()
        inputs = TokenInputs(tokenise(training_set.texts, tiny_encoder, 32), "cpu")
        if break_above is not None:
            tower.register_forward_pre_hook(lambda module, fed: _no_memory_above(break_above, fed[0]))
        vectors = replace(
            known(training_set, **changes), vectors_ID=np.eye(16, dtype=np.float32)[np.arange(96) % 16]
        )
        plan = plan or plan_batch(vectors, 0)
        loss, memory = Encoding(tower, inputs, chosen, ALONE, say).gradient(plan, 0, memory, 1.0)
        return loss, {name: value.grad for name, value in tower.trained() if value.grad is not None}, memory

    return run


def _no_memory_above(tokens, fed):
    """What a GPU does: sized by what is encoded at once."""
    if sum(block.shape[0] * block.shape[1] for block in fed) > tokens:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def same(a, b, rtol=2e-4, atol=2e-6):
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=rtol, atol=atol, msg=name)


def test_cached_gradients_are_the_plain_ones_dropout_included(step):
    loss, plain, _ = step(Memory(64, cached=False))
    cached_loss, cached, _ = step(Memory(64, cached=True))
    assert cached_loss == pytest.approx(loss, rel=1e-6)
    same(plain, cached)


@pytest.mark.parametrize("word_dropout", [0.0, 0.4])
def test_the_size_of_groups_changes_no_gradient(step, word_dropout):
    _, one, _ = step(Memory(10_000, cached=False), dropout=0.0, word_dropout=word_dropout)
    _, other, _ = step(Memory(20, cached=True), dropout=0.0, word_dropout=word_dropout)
    same(one, other)


def test_out_of_memory_halves_what_is_encoded_at_once_says_so_and_changes_no_gradient(step):
    reports = []
    _, plain, _ = step(dropout=0.0)
    _, after, memory = step(Memory(400, cached=False), break_above=60, say=reports.append, dropout=0.0)
    assert memory == Memory(50, cached=True)
    assert (
        len(reports) == 3
        and "out of memory; from here on 200 tokens" in reports[0]
        and "50 tokens" in reports[2]
    )
    same(plain, after)


def test_memory_that_does_not_suffice_for_anything_is_an_error_with_a_remedy(step):
    with pytest.raises(TrainingError, match="too little memory, even for"):
        step(Memory(400, cached=False), break_above=1)


@pytest.mark.parametrize("cached", [False, True])
def test_a_loss_that_is_not_finite_stops_and_names_the_batch(step, cached):
    plan = Plan(np.arange(6), lambda x: x.sum() * torch.nan)
    with pytest.raises(TrainingError, match=r"batch 0: the loss is nan \(items in rows \[0, 1, 2, 3, 4\]"):
        step(Memory(100, cached), plan=plan)


def test_an_adversarial_pass_adds_the_gradient_on_moved_inputs(step):
    _, plain, _ = step(dropout=0.0)
    _, moved, _ = step(dropout=0.0, adversarial_epsilon=0.1)
    _, cached, _ = step(Memory(64, cached=True), dropout=0.0, adversarial_epsilon=0.1)
    assert not all(torch.allclose(plain[name], moved[name], rtol=1e-3) for name in plain)
    same(moved, cached, rtol=5e-4, atol=5e-6)


@pytest.mark.parametrize("objective", ["ridge", "mean", "pairs"])
def test_a_repeated_batch_is_learned(training_set, tiny_encoder, objective):
    chosen = params(objective=objective, dropout=0.0, learning_rate=0.01)
    tower = open_tower(tiny_encoder, "mean", "all", 1, 2, 0.0)
    inputs = TokenInputs(tokenise(training_set.texts, tiny_encoder, 32), "cpu")
    vectors = encode_all(tower, inputs, 1000, "float32", ALONE)
    plan = plan_batch(Known(training_set, chosen, vectors, 1.0), 0)
    optimizer, losses = make_optimizer(tower, chosen), []
    for step in range(40):
        losses.append(Encoding(tower, inputs, chosen, ALONE, print).gradient(plan, step, PLAIN, 1.0)[0])
        move(optimizer, tower, chosen.learning_rate, chosen.max_grad_norm, step)
    assert losses[-1] < 0.75 * losses[0]


def test_a_gradient_that_is_not_finite_moves_no_weight(tiny_encoder):
    tower = open_tower(tiny_encoder, "mean", "all", 1, 2, 0.0)
    optimizer = make_optimizer(tower, params())
    before = {name: value.detach().clone() for name, value in tower.trained()}
    for _, value in tower.trained():
        value.grad = torch.full_like(value, torch.inf)
    with pytest.raises(TrainingError, match="step 4: the gradient's length is"):
        move(optimizer, tower, 0.1, 1.0, 4)
    assert all(torch.equal(value, before[name]) for name, value in tower.trained())


def scaled(tower, chosen, gradient):
    """Weights after one step whose scaled gradient is this, the scaler and the gradient's length."""
    scaler, optimizer = fresh_scaler("cpu"), make_optimizer(tower, chosen)
    for _, value in tower.trained():
        value.grad = torch.full_like(value, gradient * scaler.get_scale())
    norm = move(optimizer, tower, 0.1, 1.0, 0, scaler)
    return {name: value.detach().clone() for name, value in tower.trained()}, scaler, norm


def test_a_scaled_loss_moves_the_weights_like_a_plain_one(tiny_encoder):
    found, scaler, norm = scaled(open_tower(tiny_encoder, "mean", "all", 1, 2, 0.0), params(), 1.0)
    tower = open_tower(tiny_encoder, "mean", "all", 1, 2, 0.0)
    for _, value in tower.trained():
        value.grad = torch.ones_like(value)
    assert move(make_optimizer(tower, params()), tower, 0.1, 1.0, 0) == pytest.approx(norm)
    same(found, {name: value.detach() for name, value in tower.trained()}, rtol=1e-6)
    assert scaler.get_scale() == fresh_scaler("cpu").get_scale()


def test_an_overflow_in_float16_leaves_the_step_out_and_halves_the_scale(tiny_encoder):
    tower = open_tower(tiny_encoder, "mean", "all", 1, 2, 0.0)
    before = {name: value.detach().clone() for name, value in tower.trained()}
    found, scaler, norm = scaled(tower, params(), torch.inf)
    assert not norm < torch.inf and all(torch.equal(found[name], before[name]) for name in before)
    assert scaler.get_scale() == fresh_scaler("cpu").get_scale() / 2
    assert all(value.grad is None for _, value in tower.trained())


def test_what_overflows_at_every_scale_is_an_error(tiny_encoder):
    tower, scaler = open_tower(tiny_encoder, "mean", "all", 1, 2, 0.0), fresh_scaler("cpu")
    optimizer = make_optimizer(tower, params())
    with pytest.raises(TrainingError, match="the gradient's length is"):
        for step in range(100):
            for _, value in tower.trained():
                value.grad = torch.full_like(value, torch.nan)
            move(optimizer, tower, 0.1, 1.0, step, scaler)
    assert step < 40


def test_only_float16_on_a_gpu_needs_a_scaler():
    assert all(
        make_scaler(params(precision=one), "cpu") is None for one in ("float32", "bfloat16", "float16")
    )
    assert all(make_scaler(params(precision=one), "cuda") is None for one in ("float32", "bfloat16"))


def test_the_learning_rate_rises_then_falls_in_straight_lines():
    chosen = params(learning_rate=1.0, warmup_share=0.2)
    assert [learning_rate(step, 10, chosen) for step in range(10)] == pytest.approx(
        [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    )
