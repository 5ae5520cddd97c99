"""Predictions of a release whose lists event heads rank again: the same over HTTP, by `Release` and as judged."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from recsys import Release
from recsys.errors import ReleaseError, RequestError
from recsys.models.packed import pack_ranker
from recsys.models.reference import ModelReference
from recsys.publishing.store import ReleaseStore
from recsys.ranking.dot import Dot
from recsys.ranking.mlp import Mlp
from recsys.ranking.recommender import learn_recommender
from recsys.serving.service.app import make_app
from recsys.serving.service.following import Follower
from recsys.serving.service.shared import Service
from recsys.settings import Settings
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import ROOT, FilmWorkspace
from tests.publishing.test_judged_lists import bring_mlp, judged_dataset
from tests.ranking.heads import heads_of


@pytest.fixture
def published(film_workspace: FilmWorkspace, folder: Storage) -> tuple:
    mlp = bring_mlp(film_workspace)
    film_workspace.build().publish(folder)
    return mlp, folder


@pytest.fixture
def client(encoded_workspace: FilmWorkspace, folder: Storage, tmp_path: Path) -> Iterator[TestClient]:
    """Over the real encoder, which a service loads before it answers."""
    model = encoded_workspace.model
    mlp = Mlp(Dot(), heads_of(dim=model.dim, width=2), depth=30, purchase_weight=0.5)
    ranker = pack_ranker("mlp", mlp, encoded_workspace.at.cache / "rankers")
    encoded_workspace.set_model(ModelReference.of(model.encoder, None, 3.0, ranker))
    encoded_workspace.build().publish(folder)
    follower = Follower(ReleaseStore(folder), tmp_path / "downloads", 0.05)
    params = Settings.load(ROOT / "params.yaml").serve
    with TestClient(make_app(Service(follower, params, None, None)), "http://127.0.0.1") as found:
        yield found


def test_predictions_are_those_of_the_judged_ranker_in_the_order_of_the_request(published: tuple) -> None:
    mlp, folder = published
    release = Release.open(folder.url)
    dataset = judged_dataset(release)
    judged = learn_recommender(dataset, mlp)
    wanted = ("gravity", "alien", "rocky")
    rows = np.array([dataset.item_ids.index(one) for one in wanted])
    for row, user in enumerate(release.users):
        found = release.predict([*wanted, "nowhere", "gravity"], pseudonym=user)
        expected = mlp.predict(judged.shortlist(row, rows))
        assert [one.item_id for one in found] == list(wanted)
        assert [one.click for one in found] == pytest.approx(expected.click_C.tolist(), abs=1e-5)
        assert [one.purchase for one in found] == pytest.approx(expected.purchase_C.tolist(), abs=1e-5)
        assert [one.value for one in found] == pytest.approx(expected.value_C.tolist(), abs=1e-4)


def test_the_service_answers_with_the_same_numbers_and_names_what_it_does_not_know(
    client: TestClient, folder: Storage
) -> None:
    release = Release.open(folder.url)
    answer = client.post(
        "/v1/predict", json={"history": ["alien", "jaws"], "items": ["gravity", "nowhere"]}
    ).json()
    (expected,) = release.predict(["gravity"], history=["alien", "jaws"])
    assert answer["release"] == release.id and answer["unknown"] == ["nowhere"]
    (found,) = answer["items"]
    assert found == {
        "item_id": "gravity",
        **{name: getattr(expected, name) for name in ("click", "purchase", "value")},
    }


def test_of_somebody_unknown_nothing_is_predicted(client: TestClient) -> None:
    answer = client.post("/v1/predict", json={"items": ["gravity"]})
    assert answer.status_code == 422 and "nothing that is known" in answer.json()["detail"]


def test_the_schema_shows_an_example(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    assert schema["components"]["schemas"]["PredictBody"]["examples"][0]["items"]
    assert "/v1/predict" in schema["paths"]


def test_a_release_without_event_heads_says_what_to_do(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    film_workspace.build().publish(folder)
    release = Release.open(folder.url)
    with pytest.raises(RequestError, match="no event heads") as error:
        release.predict(["gravity"], history=["alien"])
    assert "ranker.kinds" in str(error.value)
    with pytest.raises(ReleaseError, match="no history"):
        release.predict(["gravity"], pseudonym="nobody")
