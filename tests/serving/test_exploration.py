"""Lists that explore: exact propensities, budgets, repeated requests, and nothing at all where it is off."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from recsys.cli import main
from recsys.profiles.ridge import Ridge
from recsys.publishing.store import ReleaseStore
from recsys.ranking.exploring import choice_probabilities
from recsys.serving.answers import Answer, ListRequest, Taste
from recsys.serving.exploration import Explorer, user_group
from recsys.serving.params import ServeParams
from recsys.serving.recommender import Recommender
from recsys.serving.service.following import Follower
from recsys.settings import Settings
from recsys.storage.opening import open_storage
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import FILMS, ROOT, FilmWorkspace
from tests.publishing.test_ranked import bring_weights
from tests.serving.service import served
from tests.serving.test_recommender import of_release

KNOWN = {"alien", "jaws", "babe", "dumbo", "rocky"}
NEW = set(FILMS) - KNOWN
SHIPPED = Settings.load(ROOT / "params.yaml").serve.model_dump()
ANN = Taste(likes=("alien", "jaws"))


def explorer(**changes: object) -> Explorer:
    values = {"policy": "thompson", "share": 0.4, "sigma": 0.7, "uniform": 0.2, "budget": 10**6} | changes
    return Explorer(
        ServeParams.model_validate(SHIPPED | {f"explore_{name}": value for name, value in values.items()})
    )


@pytest.fixture(params=["dot", "item_weights"])
def recommender(
    request: pytest.FixtureRequest, film_workspace: FilmWorkspace, folder: Storage
) -> Recommender:
    if request.param == "item_weights":
        bring_weights(film_workspace)
        film_workspace.build()
    return of_release(film_workspace, folder)


def ids(answer: Answer) -> list[str]:
    return [one.item_id for one in answer.items]


def test_without_an_explorer_and_for_unknown_people_nothing_changes(recommender: Recommender) -> None:
    plain = recommender.recommend(ANN, ListRequest(k=5, request_id="x"))
    assert plain == recommender.recommend(ANN, ListRequest(k=5)) and plain.exploration is None
    unknown = recommender.recommend(Taste(), ListRequest(k=5), explorer(share=1.0))
    assert unknown == recommender.recommend(Taste(), ListRequest(k=5))
    never = recommender.recommend(ANN, ListRequest(k=5), explorer(share=0.0))
    assert never.items == plain.items and never.exploration is not None
    assert never.exploration.propensities == (1.0,) * 5 and never.exploration.draws == ()


@pytest.mark.whole
@pytest.mark.parametrize("policy", ["thompson", "linucb", "uniform"])
def test_lists_occur_as_often_as_their_propensities_say(recommender: Recommender, policy: str) -> None:
    n, who, wanted = 2000, explorer(policy=policy), ListRequest(k=3)
    answers = [
        recommender.recommend(ANN, ListRequest(k=3, request_id=f"{policy} {number}"), who)
        for number in range(n)
    ]
    counted = Counter(tuple(ids(one)) for one in answers)
    chance = {tuple(ids(one)): float(np.prod(one.exploration.propensities)) for one in answers}  # type: ignore[union-attr]
    assert 0.98 < sum(chance.values()) < 1 + 1e-9  # rare lists did not occur
    for listed, times in counted.items():
        error = np.sqrt(chance[listed] * (1 - chance[listed]) / n)
        assert abs(times / n - chance[listed]) < 5 * error + 1 / n, listed
    plain = tuple(ids(recommender.recommend(ANN, wanted)))
    assert chance[plain] == pytest.approx(0.6**3)


def test_a_draw_has_the_policys_probability_given_the_draws_before(recommender: Recommender) -> None:
    answer = recommender.recommend(ANN, ListRequest(k=2, request_id="one"), explorer(share=1.0))
    found = answer.exploration
    assert found is not None and [draw.place for draw in found.draws] == [1, 2]
    left = list(range(len(found.candidates.item_ids)))
    for draw, propensity in zip(found.draws, found.propensities, strict=True):
        mean_C, deviation_C = (getattr(found.candidates, name)[left] for name in ("mean_C", "deviation_C"))
        chance_C = choice_probabilities("thompson", mean_C, 0.7 * deviation_C, 0.2)
        chosen = left.index(found.candidates.item_ids.index(draw.item_id))
        assert draw.probability == propensity == pytest.approx(chance_C[chosen])
        left.remove(left[chosen])


def test_only_new_items_that_may_be_in_the_list_are_drawn(recommender: Recommender) -> None:
    plain = recommender.recommend(ANN, ListRequest(k=3))
    for number in range(200):
        answer = recommender.recommend(ANN, ListRequest(k=3, request_id=str(number)), explorer(share=0.7))
        drawn = {draw.item_id for draw in answer.exploration.draws}  # type: ignore[union-attr]
        assert drawn <= NEW - set(ids(plain))
        others = [item for item in ids(answer) if item not in drawn]
        assert others == ids(plain)[: len(others)] and len(set(ids(answer))) == 3
    few = ListRequest(k=2, candidates=("babe", "dumbo", "heat"), exclude_seen=True, request_id="few")
    assert set(ids(recommender.recommend(ANN, few, explorer(share=1.0)))) <= {"babe", "dumbo", "heat"}
    liked = Taste(likes=("alien", "heat"))
    seen = {
        item
        for number in range(100)
        for item in ids(
            recommender.recommend(liked, ListRequest(k=3, request_id=str(number)), explorer(share=1.0))
        )
    }
    assert "heat" not in seen


def test_places_beyond_the_last_candidate_go_to_the_ranker_for_sure(recommender: Recommender) -> None:
    whole = recommender.recommend(
        ANN, ListRequest(k=20), explorer(share=1.0)
    )  # every item is in the list anyway
    assert whole.exploration is not None and set(whole.exploration.propensities) == {1.0}
    one = recommender.recommend(ANN, ListRequest(k=5, request_id="a"), explorer(share=1.0, pool=1))
    assert one.exploration is not None
    assert one.exploration.propensities == (1.0,) * 5 and len(one.exploration.draws) == 1


def test_no_item_is_drawn_beyond_its_budget_by_threads_either(recommender: Recommender) -> None:
    who = explorer(share=0.6, budget=20, policy="uniform")

    def one(_: int) -> list[str]:
        return [draw.item_id for draw in recommender.recommend(ANN, ListRequest(k=3), who).exploration.draws]  # type: ignore[union-attr]

    with ThreadPoolExecutor(8) as threads:
        counted = Counter(item for drawn in threads.map(one, range(400)) for item in drawn)
    open_items = NEW - set(ids(recommender.recommend(ANN, ListRequest(k=3))))
    assert counted == dict.fromkeys(open_items, 20)
    spent = recommender.recommend(ANN, ListRequest(k=3), who)
    assert spent.exploration is not None and spent.exploration.propensities == (1.0,) * 3


def test_a_repeated_request_gets_its_list_again_and_spends_nothing(recommender: Recommender) -> None:
    who = explorer(share=0.6, budget=5, policy="uniform")
    first = {name: recommender.recommend(ANN, ListRequest(k=3, request_id=name), who) for name in "abcdef"}
    for _ in range(3):
        for name, answer in first.items():
            again = recommender.recommend(ANN, ListRequest(k=3, request_id=name), who)
            assert again.items == answer.items
            assert again.exploration.list_id == answer.exploration.list_id  # type: ignore[union-attr]
            assert again.exploration.propensities == answer.exploration.propensities  # type: ignore[union-attr]
        for _ in range(20):  # budgets run out meanwhile
            recommender.recommend(ANN, ListRequest(k=3), who)
    assert len({tuple(ids(one)) for one in first.values()}) > 1
    for number in range(100):  # one id for many users is no way around the budget
        likes = ("alien", "jaws", *(["babe"] if number % 2 else []), *(["rocky"] if number % 3 else []))
        recommender.recommend(Taste(likes=likes), ListRequest(k=3, request_id="all"), who)
    assert int(recommender._new_items._n_drawn_I.max()) <= 5
    lists = [recommender.recommend(ANN, ListRequest(k=3), explorer()).exploration.list_id for _ in range(20)]  # type: ignore[union-attr]
    assert len(set(lists)) == 20  # without an id each list has one of its own


def test_no_two_users_and_no_two_questions_share_a_list_id_or_coins(recommender: Recommender) -> None:
    who, base = explorer(share=0.5, policy="uniform"), {"k": 3, "request_id": "one", "whose": "a" * 32}

    def answer(taste: Taste = ANN, **changes: object) -> Answer:
        return recommender.recommend(taste, ListRequest(**base | changes), who)  # type: ignore[arg-type]

    others = [{"whose": "b" * 32}, {"whose": ""}, {"k": 4}, {"request_id": "two"}, {"exclude_seen": False}]
    others += [{"where": {"tags": {"not": "none has it"}}}, {"candidates": tuple(FILMS)[:-1]}]
    tastes = [ANN, Taste(likes=("alien", "babe"))]
    answers = [answer(**one) for one in others] + [answer(taste) for taste in tastes]
    found = [one.exploration.list_id for one in answers]  # type: ignore[union-attr]
    assert len(set(found)) == len(found)
    assert answer().exploration.list_id in found  # type: ignore[union-attr]
    explored = Counter(
        bool(answer(whose=str(n)).exploration.draws)
        for n in range(200)  # type: ignore[union-attr]
    )
    assert 145 < explored[True] < 200  # 175 expected: users do not all explore at once


def test_the_log_tells_one_of_a_thousand_groups_and_no_user(recommender: Recommender) -> None:
    who = explorer(share=1.0)
    groups = set()
    for number in range(300):
        name = f"{number:032x}"
        found = who.log_fields(recommender.recommend(ANN, ListRequest(k=2, whose=name), who))
        assert name not in json.dumps(found) and found["user_group"] == user_group(name) < 1000
        groups.add(found["user_group"])
    assert 200 < len(groups) < 300
    assert who.log_fields(recommender.recommend(ANN, ListRequest(k=2), who))["user_group"] is None


def test_deviations_are_those_of_the_users_posterior() -> None:
    rng = np.random.default_rng(0)
    vectors_ID, asked_ID = rng.normal(size=(30, 6)), rng.normal(size=(4, 6))
    ridge = Ridge(vectors_ID.T @ vectors_ID, 2.0)
    covariance_DD = np.linalg.inv(vectors_ID.T @ vectors_ID + 2.0 * np.eye(6))
    expected_I = np.sqrt(np.einsum("id,de,ie->i", asked_ID, covariance_DD, asked_ID))
    np.testing.assert_allclose(ridge.deviations(asked_ID), expected_I)
    lexical = Ridge(vectors_ID.T @ vectors_ID, 2.0, lexical_width=2)
    rest_DD = np.linalg.inv(vectors_ID[:, 2:].T @ vectors_ID[:, 2:] + 2.0 * np.eye(4))
    rest_I = np.einsum("id,de,ie->i", asked_ID[:, 2:], rest_DD, asked_ID[:, 2:])
    np.testing.assert_allclose(lexical.deviations(asked_ID) ** 2, rest_I + asked_ID[:, 1] ** 2 / 2.0)


@pytest.mark.servers
def test_the_service_logs_what_off_policy_reads(encoded_workspace: FilmWorkspace, tmp_path: Path) -> None:
    store = tmp_path / "store"
    encoded_workspace.publish(open_storage(str(store)))
    on = {"explore_policy": "thompson", "explore_share": 0.5}
    folder = tmp_path / "serving"
    folder.mkdir()
    feedback = f"sqlite:///{folder}/feedback.sqlite"
    with served(str(store), folder, "--feedback", feedback, params=on) as client:
        for number in range(60):
            body = {"history": ["alien", "jaws"], "k": 3, "request_id": f"r{number}"}
            answer = client.post("/v1/recommend", json=body).json()
            assert client.post("/v1/recommend", json=body).json() == answer
            assert len(answer["list_id"]) == 32 and all(0 < one["propensity"] <= 1 for one in answer["items"])
            liked = [answer["items"][place - 1]["item_id"] for place in answer["explored"]][:1]
            event = {"user": "zoe", "event": "click", "list_id": answer["list_id"]}
            events = [{**event, "event_id": f"e{number}", "item_id": item} for item in liked if number % 2]
            if events:
                for _ in range(2):
                    assert client.post("/v1/feedback", json={"events": events}).status_code == 200
        broken = json.dumps({"history": ["alien"], "request_id": "\ud800"})
        kind = {"content-type": "application/json"}
        half = client.post("/v1/recommend", content=broken, headers=kind)
        assert half.status_code == 422 and "request_id" in half.text
        popular = client.post("/v1/recommend", json={"k": 3}).json()
        assert popular["basis"] == "popular" and "list_id" not in popular
    log = folder / "serve.log"
    assert "zoe" not in log.read_text()
    words = ["off-policy", "served", str(log), "--policy", "uniform", "--json"]
    done = CliRunner(env={"RECSYS_WORKSPACE": str(folder)}).invoke(main, words)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    logged = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    lines = [line for line in logged if line["message"] == "explored"]
    lists = {line["list_id"]: line for line in lines}
    assert len(lines) == 2 * len(lists) and found["n_groups"] == len(lists)
    rewards = [line for line in logged if line["message"] == "feedback on a list"]
    assert not [line for line in rewards if "event_id" in line]
    n_liked = len({line["list_id"] for line in rewards})
    assert found["logged"]["mean"] == pytest.approx(n_liked / found["n"]) and n_liked > 5


@pytest.mark.servers
def test_off_is_the_default_and_answers_as_before(encoded_workspace: FilmWorkspace, tmp_path: Path) -> None:
    assert Settings.load(ROOT / "params.yaml").serve.explore_policy == "none"
    store = tmp_path / "store"
    encoded_workspace.publish(open_storage(str(store)))
    with served(str(store), tmp_path) as client:
        body = {"history": ["alien"], "k": 2}
        plain = client.post("/v1/recommend", json=body)
        assert client.post("/v1/recommend", json={**body, "request_id": "x"}).content == plain.content
    answer = plain.json()
    assert list(answer) == ["release", "basis", "items", "unknown"]
    shown = ["item_id", "score", "title", "description", "tags", "image", "attributes"]
    assert [sorted(one) for one in answer["items"]] == [sorted(shown)] * 2


@pytest.mark.parametrize("explores", [True, False])
def test_the_first_list_that_explores_loads_nothing(
    encoded_workspace: FilmWorkspace, tmp_path: Path, explores: bool
) -> None:
    storage = open_storage(str(tmp_path / "store"))
    encoded_workspace.publish(storage)
    follower = Follower(ReleaseStore(storage), tmp_path / "downloads", 5, explores=explores)
    follower.look()
    assert follower.served is not None
    recommender = follower.served.recommender
    assert ("_new_items" in vars(recommender)) == explores
    if explores:
        assert not recommender._new_items._n_drawn_I.any()
        before = recommender._new_items
        answer = recommender.recommend(ANN, ListRequest(k=2), explorer(share=1.0))
        assert (
            answer.exploration is not None and answer.exploration.draws and recommender._new_items is before
        )


def test_a_release_without_new_items_is_warmed_too(recommender: Recommender) -> None:
    recommender._new_items.is_new_I[:] = False
    recommender.warm_exploring()
    assert recommender.recommend(ANN, ListRequest(k=2), explorer(share=1.0)).exploration.draws == ()  # type: ignore[union-attr]
