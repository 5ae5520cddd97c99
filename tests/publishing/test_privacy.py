import json

import pytest

from recsys.catalogue.pseudonyms import VARIABLE
from recsys.errors import ReleaseError
from recsys.profiles.privacy import epsilon_of, noise_scale
from recsys.profiles.sites import sharing_of
from recsys.profiles.users_summary import Guarantee
from recsys.publishing.publish import publish
from recsys.publishing.rebase import landed_at
from recsys.publishing.spent import ReleasedPrivacy
from recsys.publishing.store import ReleaseStore
from recsys.serving.reader import Release
from recsys.storage.opening import open_storage

ONE = Guarantee(epsilon=1.0, delta=1e-7, statistics="a" * 16)


def test_the_same_statistics_cost_once_and_others_again():
    first = ReleasedPrivacy.after(ONE, None)
    assert first.n_publications == 1 and first.epsilon_so_far == pytest.approx(1.0)
    assert ReleasedPrivacy.after(ONE, first) == first
    second = ReleasedPrivacy.after(ONE.model_copy(update={"statistics": "b" * 16, "epsilon": 2.0}), first)
    both = (noise_scale(1.0, 1e-7) ** -2 + noise_scale(2.0, 1e-7) ** -2) ** 0.5
    assert second.n_publications == 2
    assert second.epsilon_so_far == pytest.approx(epsilon_of(both, 1e-7))
    assert ReleasedPrivacy.after(None, None) is None
    between = ReleasedPrivacy.after(None, second)  # without noise for a while: what was told stays told
    assert between.guarantee is None and between.epsilon_so_far is None
    third = ReleasedPrivacy.after(ONE.model_copy(update={"statistics": "c" * 16}), between)
    assert third.n_publications == 3 and third.mu > second.mu


def test_releases_with_noise_say_what_they_cost_and_two_publishers_agree(
    make_workspace, tmp_path, monkeypatch
):
    monkeypatch.setenv(VARIABLE, "a key of this test only")
    storage = open_storage(str(tmp_path / "store"))
    mine, other = make_workspace("mine"), make_workspace("other")
    for one in (mine, other):
        privacy = one.settings.privacy.model_copy(update={"epsilon": 8.0, "period_days": 0})
        one.settings = one.settings.model_copy(update={"privacy": privacy})
        one.items({"alien": "a film in space", "jaws": "a film of a fish"})
        one.ratings([("ann", "alien"), ("bob", "jaws")])
        one.build()

    def released(one):
        sharing = sharing_of(one.at, one.settings.users, one.settings.privacy)
        return publish(storage, one.at, one.publisher(sharing=sharing)).manifest

    first = released(mine)
    assert first.format == 13 and first.users.privacy.n_publications == 1
    assert "privacy" in json.loads(first.to_bytes())["users"]
    other.ratings([("cy", "alien")], day=1)
    other.build()
    second = released(other)
    assert second.users.privacy.n_publications == 2 and second.users.privacy.epsilon_so_far > 8
    mine.ratings([("dan", "jaws")], day=2)
    mine.build()
    third = released(mine)  # joined with the other's: neither workspace has counted these users together
    assert third.users.privacy.n_publications == 3
    assert len(third.histories) == 3
    reader = Release.open(str(tmp_path / "store"))
    assert reader.recommend(history=["alien"], k=1)
    found = ReleaseStore(storage).manifest(third.id)
    assert found.users == third.users
    related = found.model_copy(update={"view_parts": (found.provenance.arrivals[0].part,)})
    assert [len(landed_at(one)) for one in (found, related)] == [4, 3]  # relations begin no period of likes
    exact = privacy.model_copy(update={"epsilon": None})
    mine.settings = mine.settings.model_copy(update={"privacy": exact})
    mine.build()
    with pytest.raises(ReleaseError, match=r"have noise \(ε = 8\); this workspace would publish exact ones"):
        released(mine)
    exact = exact.model_copy(update={"allow_exact": True})
    mine.settings = mine.settings.model_copy(update={"privacy": exact})
    without = released(mine)
    assert without.format == 13 and without.users.privacy.guarantee is None
    assert ReleaseStore(storage).manifest(without.id).users.privacy.n_publications == 3
    mine.settings = mine.settings.model_copy(
        update={"privacy": exact.model_copy(update={"allow_exact": False})}
    )
    mine.ratings([("eve", "alien")], day=3)
    mine.build()
    with pytest.raises(
        ReleaseError, match=rf"in releases before {without.id} had noise; this workspace would"
    ):
        released(mine)  # that somebody else agreed does not count for this workspace
