"""Groups of users are judged apart, from a file that nothing else reads."""

import hashlib

import numpy as np
import pytest

from recsys.dataset.histories import PAD
from recsys.errors import ConfigError
from recsys.evaluation.groups import read_groups
from recsys.evaluation.list_metrics import ListJudge
from recsys.evaluation.report import Report
from recsys.gate.decision import decide
from recsys.gate.page import render
from recsys.stages import evaluate, split
from tests.stages.judged_world import make_world, settings

A, B = "a" * 32, "b" * 32


def pseudonym(user: str) -> str:
    return hashlib.sha256(user.encode()).hexdigest()[:32]


def test_a_file_gives_each_pseudonym_its_group(tmp_path):
    (tmp_path / "groups.csv").write_text(f"\ufeffuser,group,note\n{A}, young ,x\n{B},old,\n{A},young,\n")
    assert read_groups(tmp_path / "groups.csv") == {A: "young", B: "old"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"user,group\n{A},x\nann@example.com,y\n", "line 3: user 'ann@example.com' is not a pseudonym"),
        (f"user,group\n{A},\n", "line 2: the group is empty"),
        (f"user,group\n{A},18-30\n{B},55+\n", r"line 3: the group '55\+' cannot name a metric"),
        (f"user,group\n{A},{'x' * 81}\n", "line 2: the group 'x+' cannot name a metric"),
        (f"user,group\n{A},x\n{A},y\n", f"line 3: {A} is in two groups"),
        (f"person,group\n{A},x\n", "line 2: user '' is not a pseudonym"),
        ("user,group\n", "names no user"),
        (b"user,group\n\xff,x\n", "cannot be read"),
    ],
)
def test_a_bad_line_is_named_with_what_is_wrong(tmp_path, content, words):
    path = tmp_path / "groups.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=words) as refused:
        read_groups(path)
    assert refused.value.remedy


def test_a_missing_file_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_groups(tmp_path / "none.csv")


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A world with a challenger; users of the first third are group x, of the second y, the rest are in none."""
    world = make_world(tmp_path_factory.mktemp("world"), noise=0.6, pseudonyms=pseudonym)
    chosen = settings(
        evaluate={
            "bootstrap_rounds": 200, "groups": "groups.csv", "min_group_users": 10, "short_history": 9,
        }
    )  # fmt: skip
    lines = [f"{pseudonym(f'u{user:03d}')},{'xy'[user // 20]}" for user in range(40)]
    (world.at.root / "groups.csv").write_text("\n".join(["user,group", *lines, f"{'f' * 32},tiny"]))
    split.run(chosen, world.at)
    world.challenge(0.05)
    evaluate.run(chosen, world.at)
    return world, chosen, Report.load(world.at.report)


def test_groups_of_the_file_and_by_history_are_judged_on_mixed_lists(judged):
    _, _, report = judged
    found = {part.name: part for part in report.groups}
    assert {"group x", "group y"} <= set(found) and "group tiny" not in found
    mixed = report.slice("mixed")
    histories = [part for name, part in found.items() if "histories" in name]
    assert len(histories) == 2 and sum(part.n_users for part in histories) == mixed.n_users
    means = [part.models["champion"].metrics["ndcg@20"] * part.n_users for part in histories]
    whole = mixed.models["champion"].metrics["ndcg@20"]
    assert sum(means) / mixed.n_users == pytest.approx(whole, abs=1e-5)
    assert found["group x"].n_users == 20
    assert "ndcg@20" in found["group x"].challenger_margins["champion"]
    assert "groups/group x/ndcg@20" in report.flat_metrics()
    assert "challenger/groups/group y/ndcg@20" in report.flat_metrics()


def test_the_page_shows_groups_and_no_pseudonym_of_the_file(judged):
    _, chosen, report = judged
    page = render(report, decide(report, chosen.gate), chosen.gate)
    assert "Groups of users" in page and "group x" in page and pseudonym("u000") not in page


def changed(report, gap=0.0, low=0.0):
    """The report with a challenger that serves group y so much worse."""
    groups = []
    for part in report.groups:
        if part.name == "group y":
            models = dict(part.models)
            metrics = models["challenger"].metrics | {
                "ndcg@20": models["challenger"].metrics["ndcg@20"] - gap
            }
            models["challenger"] = models["challenger"].model_copy(update={"metrics": metrics})
            over = part.challenger_margins["champion"]
            over = over | {"ndcg@20": over["ndcg@20"].model_copy(update={"low": low})}
            part = part.model_copy(  # noqa: PLW2901
                update={"models": models, "challenger_margins": part.challenger_margins | {"champion": over}}
            )
        groups.append(part)
    return report.model_copy(update={"groups": tuple(groups)})


def test_the_gate_refuses_a_gain_that_one_group_pays_for(judged):
    _, chosen, report = judged

    def reasons(one):
        return [reason for reason in decide(one, chosen.gate).reasons if "group" in reason]

    assert reasons(report) == []
    (lost,) = reasons(changed(report, low=-0.2))
    assert "group y" in lost and "lower end must reach -0.05" in lost
    (wider,) = reasons(changed(report, gap=0.5))
    assert "widens from" in wider and "max_rise_gap = 0.05" in wider
    other = chosen.gate.model_copy(update={"floor_metric": "map@20"})  # a metric that no group has
    assert any(
        "are not judged by map@20: set gate.floor_metric" in one for one in decide(report, other).reasons
    )


def test_what_lists_are_like_is_measured(judged):
    _, _, report = judged
    for part in report.slices:
        for scores in part.models.values():
            assert 0 <= scores.metrics["diversity@20"] <= 2 and scores.metrics["novelty@20"] >= 0
    assert report.slice("cold").models["champion"].metrics["new_share@20"] == 1
    assert report.slice("warm").models["champion"].metrics["new_share@20"] == 0
    assert 0 < report.slice("mixed").models["random"].metrics["new_share@20"] < 1
    assert not np.isnan(report.slice("mixed").challenger_margins["champion"]["diversity@20"].mean)


def test_diversity_is_one_minus_the_mean_cosine_of_all_pairs():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(9, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    shown = np.array([[0, 3, 5, 8], [2, 4, PAD, PAD], [7, PAD, PAD, PAD]])
    judged = ListJudge(None, 4, None, vectors, np.zeros(9), np.zeros(9, bool))
    cosines = vectors @ vectors.T
    by_hand = [np.mean([cosines[a, b] for a in row for b in row if a != b]) for row in ([0, 3, 5, 8], [2, 4])]
    assert judged._diversity(shown).tolist() == pytest.approx([1 - by_hand[0], 1 - by_hand[1], 0], abs=1e-6)
    constant = np.hstack([np.full((9, 1), 0.8, np.float32), 0.6 * vectors])
    beside = ListJudge(None, 4, None, constant, np.zeros(9), np.zeros(9, bool), lexical_width=1)
    assert beside._diversity(shown) == pytest.approx(judged._diversity(shown), abs=1e-6)
