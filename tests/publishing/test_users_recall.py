"""An index is judged by users' queries as well as by items', on what is about to be published."""

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys import Release
from recsys.errors import ReleaseError
from recsys.profiles.histories_by_user import IN_MEMORY, HistoriesByUser
from recsys.profiles.items import list_segments
from recsys.publishing import users_recall as recall_of_users
from recsys.publishing.sampled_users import sampled_likes
from recsys.publishing.users_recall import FEW, UsersRecall, users_recall
from recsys.retrieval import best_rows
from recsys.retrieval.index_building import set_search_width
from recsys.retrieval.index_file import load_faiss
from recsys.retrieval.measuring import index_recall
from recsys.serving.recommender import Recommender
from recsys.storage.folder import FolderStorage
from tests.publishing.film_workspace import DIM, FilmWorkspace
from tests.retrieval.old_files import ivf_file

N_ITEMS, N_USERS, GRAPH_ITEMS = 400, 30, 3000


@pytest.fixture
def coarse(make_workspace: Callable[[str], FilmWorkspace]) -> FilmWorkspace:
    """One segment behind an old IVF index that looks into one of ten cells; users like 5 items each."""
    film_workspace = make_workspace("coarse")
    changes = {"exact_below": 100, "links": 16, "recall_queries": N_USERS}
    params = film_workspace.settings.index.model_copy(update=changes)
    film_workspace.settings = film_workspace.settings.model_copy(update={"index": params})
    film_workspace.items({f"i{n}": f"Story number {n}" for n in range(N_ITEMS)})
    rng = np.random.default_rng(0)
    film_workspace.ratings(
        [(f"u{u}", f"i{n}") for u in range(N_USERS) for n in rng.choice(N_ITEMS, 5, replace=False)]
    )
    film_workspace.build()
    (segment,) = list_segments(film_workspace.at.profiles("champion"))
    (entry,) = json.loads((film_workspace.at.index / "index.json").read_text())
    path, vectors = film_workspace.at.index / entry["file"], np.asarray(segment.vectors())
    path.write_bytes(ivf_file(vectors, lists=10, probes=1))
    measured = entry | {"kind": "ivf", "recall": index_recall(vectors, path, params)}
    (film_workspace.at.index / "index.json").write_text(json.dumps([measured]))
    return film_workspace


def graph_workspace(make_workspace: Callable[[str], FilmWorkspace]) -> FilmWorkspace:
    """One segment behind a graph with few links, searched with few rows in view; users like 5 items each."""
    films = make_workspace("graph")
    changes = {
        "exact_below": 100,
        "links": 16,
        "search_width": 40,
        "least_recall": 0.0,
        "recall_queries": N_USERS,
    }
    index = films.settings.index.model_copy(update=changes)
    films.settings = films.settings.model_copy(update={"index": index})
    films.items({f"i{n}": f"Story number {n} of {n % 97} and {n % 89}" for n in range(GRAPH_ITEMS)})
    rng = np.random.default_rng(0)
    liked = [(u, n) for u in range(N_USERS) for n in rng.choice(GRAPH_ITEMS, 5, replace=False)]
    films.ratings([(f"u{u}", f"i{n}") for u, n in liked])
    films.build()
    (entry,) = json.loads((films.at.index / "index.json").read_text())
    keep_first_links(films.at.index / entry["file"], 3)
    return films


def keep_first_links(path: Path, n: int) -> None:
    """Make a graph hard to walk: of each vector's links on the lowest level only the first n stay."""
    faiss = load_faiss()
    graph = faiss.read_index(str(path))
    links = faiss.vector_to_array(graph.hnsw.neighbors)
    starts, width = faiss.vector_to_array(graph.hnsw.offsets)[:-1], graph.hnsw.cum_nb_neighbors(1)
    for start in starts.astype(int):
        links[start + n : start + width] = -1
    faiss.copy_array_to_vector(links, graph.hnsw.neighbors)
    faiss.write_index(graph, str(path))


def lenient(film_workspace: FilmWorkspace, minimum: float = 0) -> dict[str, object]:
    return {
        "params": film_workspace.settings.publish.model_copy(
            update={"min_index_recall": minimum, "smoke_queries": 0}
        )
    }


def counted_by_hand(release: Release) -> float:
    """Share of recommended items that are among each user's true ten, by a plain product with every item."""
    vectors = np.stack([release.profile(item) for item in release.items]).astype(np.float64)
    row = {item: n for n, item in enumerate(release.items)}
    liked = sorted({item for user in release.users for item in release._profiles.histories.items_of(user)})
    X = vectors[[row[item] for item in liked]]
    metric = np.linalg.inv(X.T @ X + release.ridge_lambda * np.eye(DIM))
    hits = 0
    for user in release.users:
        own = [row[item] for item in release._profiles.histories.items_of(user)]
        scores = vectors @ (metric @ vectors[own].sum(axis=0))
        scores[own] = -np.inf
        best = {release.items[n] for n in np.argsort(-scores)[:10]}
        hits += len(best & {one.item_id for one in release.recommend(pseudonym=user, k=10)})
    return hits / (10 * len(release.users))


def test_recall_for_users_is_that_of_what_they_are_recommended(
    coarse: FilmWorkspace, folder: FolderStorage, cache: Path
) -> None:
    done = coarse.publish(folder, **lenient(coarse))
    release = Release.open(folder.url, cache=cache)
    assert done.users_recall == pytest.approx(counted_by_hand(release), abs=0.01)
    assert 0.1 < done.users_recall < 0.9
    assert done.manifest.index_recall != done.users_recall


def test_an_index_that_is_good_for_items_alone_is_refused(
    coarse: FilmWorkspace, folder: FolderStorage
) -> None:
    """What stage `index` measured is replaced by a perfect recall for queries of items."""
    path = coarse.at.index / "index.json"
    (entry,) = json.loads(path.read_text())
    path.write_text(json.dumps([entry | {"recall": 1.0}]))
    with pytest.raises(
        ReleaseError, match=r"recall@10 0\.\d+ .* for queries of users \(1\.000 for those of items\)"
    ):
        coarse.publish(folder, **lenient(coarse, 0.95))
    assert folder.read_tagged("CURRENT") is None


def test_an_index_that_is_bad_for_items_is_refused_by_its_segment(
    coarse: FilmWorkspace, folder: FolderStorage
) -> None:
    with pytest.raises(ReleaseError, match="the ivf index of segment 000001-"):
        coarse.publish(folder, **lenient(coarse, 0.95))


def test_a_graph_that_finds_too_few_for_users_is_searched_with_more_rows_in_view(
    make_workspace: Callable[[str], FilmWorkspace], folder: FolderStorage, cache: Path
) -> None:
    films = graph_workspace(make_workspace)
    films.publish(folder, **lenient(films))
    trial = Release.open(folder.url, cache=cache)
    narrow, wide = (users_recall(trial._profiles, films.settings.index, minimum) for minimum in (0.0, 1.1))
    assert narrow and wide and narrow.recall < wide.recall
    assert (narrow.search_width, wide.search_width) == (None, 8 * films.settings.index.search_width)
    minimum = (narrow.recall + wide.recall) / 2
    other = FolderStorage(f"{folder.url}-2")
    done = films.publish(other, **lenient(films, minimum))
    assert done.manifest.search_width in {factor * films.settings.index.search_width for factor in (2, 4, 8)}
    assert done.manifest.format == 14
    assert done.users_recall >= minimum
    release = Release.open(other.url, cache=cache)
    assert counted_by_hand(release) == pytest.approx(done.users_recall, abs=0.01)
    assert films.publish(other, **lenient(films, minimum)).release == done.release


def test_where_indexes_stay_a_few_users_say_whether_the_rows_in_view_still_suffice(
    make_workspace: Callable[[str], FilmWorkspace],
    folder: FolderStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    films, asked = graph_workspace(make_workspace), []
    measured = recall_of_users._measured
    monkeypatch.setattr(
        recall_of_users, "_measured", lambda *some: asked.append(len(some[1])) or measured(*some)
    )
    minimum = 0.5
    first = films.publish(folder, **lenient(films, minimum))
    assert asked == [N_USERS]
    films.ratings([("u0", "i1"), ("newcomer", "i2")])
    films.build()
    second = films.publish(folder, **lenient(films, minimum))
    assert second.release != first.release
    assert second.manifest.search_width == first.manifest.search_width
    assert asked[1:] == [math.ceil(N_USERS / FEW)]
    assert second.users_recall == pytest.approx(first.users_recall, abs=0.2)
    index = films.settings.index.model_copy(update={"least_recall": 1.0})
    films.ratings([("u1", "i1")])
    films.build()
    third = films.publish(folder, **lenient(films, minimum), index=index)
    assert asked[2:] == [math.ceil(N_USERS / FEW), N_USERS]
    assert third.manifest.search_width == 8 * index.search_width


def test_users_for_whom_fewer_rows_do_are_searched_for_with_fewer_than_items(
    make_workspace: Callable[[str], FilmWorkspace], folder: FolderStorage, cache: Path
) -> None:
    films = graph_workspace(make_workspace)
    (index,) = films.at.index.glob("*.faiss")
    width = films.settings.index.search_width
    set_search_width(index, 8 * width)
    films.publish(folder, **lenient(films))
    profiles = Release.open(folder.url, cache=cache)._profiles

    def found(minimum: float, least: float) -> UsersRecall | None:
        params = films.settings.index.model_copy(update={"least_recall": least})
        return users_recall(profiles, params, minimum)

    few, all_rows = found(0.0, 0.0), found(1.1, 0.0)
    assert few and few.search_width == width and few.recall < 1
    assert all_rows == found(0.0, 1.1) == UsersRecall(all_rows.recall)
    assert all_rows.recall > few.recall
    between = (few.recall + all_rows.recall) / 2
    assert found(between, 0.0) == found(0.0, between) != few
    # As many rows are in view as the release says, and as the file says for an item.
    narrow = Recommender(profiles.manifest.model_copy(update={"search_width": width}), profiles)
    assert narrow._ranked._viewed == width
    assert profiles.searcher.widest == 8 * width


def test_where_search_is_exact_or_nobody_likes_anything_there_is_nothing_to_measure(
    film_workspace: FilmWorkspace, coarse: FilmWorkspace, folder: FolderStorage, cache: Path
) -> None:
    assert film_workspace.publish(folder).users_recall is None
    coarse.publish(FolderStorage(f"{folder.url}-2"), **lenient(coarse))
    release = Release.open(f"{folder.url}-2", cache=cache)
    nobody = release.manifest.model_copy(update={"histories": ()})
    profiles = type(release._profiles)(nobody, release._profiles.files)
    assert users_recall(profiles, coarse.settings.index) is None


def test_the_same_release_measures_the_same(coarse: FilmWorkspace, folder: FolderStorage) -> None:
    first = coarse.publish(folder, **lenient(coarse))
    again = coarse.publish(FolderStorage(f"{folder.url}-2"), **lenient(coarse))
    assert (first.release, first.users_recall) == (again.release, again.users_recall)


def test_an_arrival_measures_with_what_was_kept_and_finds_what_a_fresh_workspace_does(
    coarse: FilmWorkspace, folder: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    coarse.publish(folder, **lenient(coarse))
    drawn, searched = [], []
    draw, search = HistoriesByUser.of, best_rows.best_places
    monkeypatch.setattr(HistoriesByUser, "of", lambda *some: drawn.append(some) or draw(*some))
    monkeypatch.setattr(best_rows, "best_places", lambda *some: searched.append(some) or search(*some))
    coarse.items({f"new{n}": f"Later story {n}" for n in range(20)})
    kept = json.loads((coarse.at.index / "index.json").read_text())
    coarse.build()
    entries = json.loads((coarse.at.index / "index.json").read_text())
    (coarse.at.index / "index.json").write_text(json.dumps(kept + entries[1:]))
    drawn.clear()  # stage `users` draws some for the prior
    arrival = coarse.publish(folder, **lenient(coarse))
    assert not drawn and not searched
    shutil.rmtree(coarse.at.users_recall)
    fresh = coarse.publish(FolderStorage(f"{folder.url}-2"), **lenient(coarse))
    assert drawn and searched
    assert fresh.users_recall == arrival.users_recall
    coarse.ratings([("u0", "new0"), ("newcomer", "new1")])
    coarse.build()
    (coarse.at.index / "index.json").write_text(json.dumps(kept + entries[1:]))
    later = coarse.publish(folder, **lenient(coarse))
    shutil.rmtree(coarse.at.users_recall)
    assert (
        later.users_recall == coarse.publish(FolderStorage(f"{folder.url}-3"), **lenient(coarse)).users_recall
    )


@pytest.mark.parametrize("n", [4, 20, 100])
def test_a_sample_holds_what_users_like_and_new_users_change_little_of_it(
    make_workspace: Callable[[str], FilmWorkspace], folder: FolderStorage, cache: Path, n: int
) -> None:
    films = make_workspace("sampled")
    films.items({f"i{place}": f"Story number {place}" for place in range(9)})
    films.ratings([(f"u{user}", f"i{user % 9}") for user in range(30)])
    films.build()
    films.publish(folder)
    profiles = Release.open(folder.url, cache=cache)._profiles
    before = sampled_likes(profiles, n, seed=1, by_user=IN_MEMORY)
    everybody = Counter(profiles.histories.items_of(user) for user in profiles.histories.users)
    assert len(before) == min(n, 30) and not Counter(before) - everybody
    films.ratings([("newcomer", "i8")])
    films.build()
    films.publish(folder)
    after = sampled_likes(Release.open(folder.url, cache=cache)._profiles, n, seed=1, by_user=IN_MEMORY)
    assert (Counter(before) - Counter(after)).total() <= 1 and len(after) == min(n, 31)
