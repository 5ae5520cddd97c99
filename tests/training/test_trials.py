import json
from math import log10

import pytest

from recsys.errors import TrainingError
from recsys.training.checkpoint import Epoch
from recsys.training.trials import TRIALS, Attempt, read_trials, search
from tests.training.tastes import params

RANGES = {"learning_rate": (1e-5, 1e-1), "batch_items": (8, 64)}
BEST_RATE = 1e-3


class Trainings:
    """Curves that rise with each epoch, the higher the nearer the learning rate is to BEST_RATE."""

    def __init__(self, work, kill_at=None, broken=lambda params: False, blind=False):
        self.work, self.kill_at, self.broken, self.blind = work, kill_at, broken, blind
        self.n_epochs, self.rates, self.batches = 0, [], []

    def __call__(self, drawn):
        self.rates.append(drawn.learning_rate)
        self.batches.append(drawn.batch_items)
        key = f"{drawn.learning_rate!r} {drawn.batch_items}"
        (self.work / key).mkdir(parents=True, exist_ok=True)
        return Attempt(key, lambda after_epoch: self.train(drawn, after_epoch))

    def train(self, drawn, after_epoch):
        top = 1 / (1 + abs(log10(drawn.learning_rate / BEST_RATE)))
        for number in range(4):
            if self.n_epochs == self.kill_at:
                raise KeyboardInterrupt
            self.n_epochs += 1
            if self.broken(drawn) and number == 1:
                raise TrainingError("batch 7: the loss is nan")
            score = None if self.blind else top * number / 3
            after_epoch(Epoch(number, number, None, 0.0, score, score))


def chosen(**changes):
    return params(
        **({"trials": 12, "trial_ranges": RANGES, "learning_rate": 0.05, "batch_items": 16} | changes)
    )


def run(folder, trainings=None, **changes):
    trainings = trainings or Trainings(folder / "work")
    return (*search(chosen(**changes), trainings, folder / "trials", folder / "work"), trainings)


def test_the_first_trial_has_the_values_of_params_and_the_best_one_is_taken(tmp_path):
    best, trials, made = run(tmp_path)
    assert (made.rates[0], made.batches[0]) == (0.05, 16) and len(trials) == 12
    complete = [trial for trial in trials if trial.state == "complete"]
    first = max(complete, key=lambda trial: trial.best)
    assert best.learning_rate == first.drawn["learning_rate"] != 0.05 and first.best > trials[0].best
    assert all(1e-5 <= rate <= 1e-1 for rate in made.rates)
    assert all(isinstance(batch, int) and 8 <= batch <= 64 for batch in made.batches)
    assert best.model_copy(update=chosen().model_dump(include=set(RANGES))) == chosen()


def test_trials_below_the_median_end_early(tmp_path):
    _, trials, _ = run(tmp_path)
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned and all(2 <= len(trial.scores) <= 4 for trial in pruned)
    medians = sorted(trial.scores[1] for trial in trials[:5])
    assert all(trial.scores[1] < medians[-1] for trial in pruned if len(trial.scores) == 2)


def test_only_the_checkpoints_of_the_best_trial_stay(tmp_path):
    best, _, _ = run(tmp_path)
    assert [path.name for path in (tmp_path / "work").iterdir()] == [
        f"{best.learning_rate!r} {best.batch_items}"
    ]


@pytest.mark.parametrize("kill_at", [0, 3, 17, 30])
def test_a_killed_search_goes_on_and_ends_like_one_that_was_not(tmp_path, kill_at):
    whole, expected, made = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", Trainings(tmp_path / "killed/work", kill_at))
    best, trials, again = run(tmp_path / "killed")
    assert (best, trials) == (whole, expected)
    assert again.n_epochs <= made.n_epochs - kill_at + 4  # no finished trial was trained again


def test_more_trials_go_on_with_those_that_are_there(tmp_path):
    _, few, _ = run(tmp_path, trials=5)
    _, many, made = run(tmp_path, trials=8)
    assert many[:5] == few and len(made.rates) == 3
    assert run(tmp_path, trials=5)[1] == few  # the others are not counted
    assert run(tmp_path / "other", trials=8)[1] == many


def test_a_training_without_a_summary_has_no_trials(tmp_path):
    assert read_trials(tmp_path / "summary.json") == ()


def test_a_trial_that_fails_is_one_that_is_not_chosen(tmp_path):
    trainings = Trainings(tmp_path / "work", broken=lambda drawn: drawn.learning_rate > 1e-2)
    best, trials, _ = run(tmp_path, trainings)
    assert trials[0].state == "failed" and "the loss is nan" in trials[0].why and best.learning_rate <= 1e-2


def test_if_all_fail_it_says_so(tmp_path):
    with pytest.raises(
        TrainingError, match="each of 3 trials failed, the last one: batch 7: the loss is nan"
    ):
        run(tmp_path, Trainings(tmp_path / "work", broken=lambda drawn: True), trials=3)


def test_where_nothing_can_be_validated_one_trial_is_enough(tmp_path):
    best, trials, _ = run(tmp_path, Trainings(tmp_path / "work", blind=True))
    assert len(trials) == 1 and best == chosen()


def test_a_damaged_list_begins_anew(tmp_path):
    _, expected, _ = run(tmp_path)
    (tmp_path / "trials" / TRIALS).write_text("[{")
    assert run(tmp_path)[1] == expected
    assert len(json.loads((tmp_path / "trials" / TRIALS).read_text())) == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": 3, "trial_ranges": {}}, "set layers and trial_ranges"),
        ({"trials": 3, "layers": "none"}, "set layers and trial_ranges"),
        ({"trial_ranges": {"grad_cache": (0, 1)}}, "grad_cache is not a number"),
        ({"trial_ranges": {"seeds": (1, 2)}}, "seeds is not a number that changes a training"),
        ({"trial_ranges": {"learning_rat": (0, 1)}}, "learning_rat is not a number"),
        (
            {"trials": 2, "trial_ranges": {"temperature": (0.5, 0.9)}},
            r"temperature is 0\.05, its range 0\.5 to 0\.9",
        ),
        ({"trial_ranges": {"temperature": (0.9, 0.5)}}, r"temperature is 0\.05, its range 0\.9 to 0\.5"),
        ({"trials": 3, "trial_ranges": {"dropout": (0, 1.5)}}, r"dropout cannot be 1\.5: .* less than 1"),
        ({"trials": 3, "trial_ranges": {"batch_items": (1, 64)}}, "batch_items cannot be 1: "),
        ({"trials": 3, "trial_ranges": {"learning_rate": (1e-5, float("inf"))}}, "finite number"),
        (
            {"trials": 3, "objective": "pairs", "trial_ranges": {"hard_share": (0, 0.5)}},
            r"hard_share cannot be 0\.5: .* pairs of users' items",
        ),
    ],
)
def test_ranges_that_say_nothing_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        params(**changes)
