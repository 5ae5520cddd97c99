"""Several sites learn one matrix, and noise hides who likes what: through stage, commands and releases."""

import json
from datetime import timedelta

import numpy as np
import pytest
from click.testing import CliRunner

from recsys.artifacts import Artifacts
from recsys.catalogue.pseudonyms import VARIABLE
from recsys.cli import main
from recsys.effects.gram_export import gram_export
from recsys.errors import ConfigError, ReleaseError
from recsys.profiles.users_summary import UsersSummary
from recsys.stages.users import run
from tests.stages.judged_world import T0, Item, World

KEY = "a key of this test only"
TEXTS = [Item(f"i{n:02}", n % 3) for n in range(40)]
LIKES = [(f"u{n % 17:02}", f"i{(7 * n) % 31:02}", T0 + timedelta(hours=n)) for n in range(60)]
"""Of 17 users; items 31 to 39 are liked by nobody."""


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv(VARIABLE, KEY)


def site(folder, likes, privacy=None, **users):
    made = World(folder)
    made.land_items(TEXTS)
    if likes:
        made.land_interactions(likes)
    made.settings = made.settings.model_copy(
        update={
            "users": made.settings.users.model_copy(update=users),
            "privacy": made.settings.privacy.model_copy(update=privacy or {}),
        }
    )
    run(made.settings, made.at)
    return made


def gram(world):
    return (world.at.users / "gram.npy").read_bytes()


def command(world, monkeypatch, *words):
    """The command as a person types it, with the params.yaml of this world."""
    import yaml

    from tests.publishing.film_workspace import ROOT

    plain = yaml.safe_load((ROOT / "params.yaml").read_text())
    plain["users"] |= {"site": world.settings.users.site, "sites": list(world.settings.users.sites)}
    plain["privacy"] = world.settings.privacy.model_dump()
    world.at.params.write_text(yaml.safe_dump(plain))
    monkeypatch.setenv("RECSYS_WORKSPACE", str(world.at.root))
    done = CliRunner().invoke(main, ["gram", *words, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def three_sites(tmp_path, privacy=None):
    """Users 0 to 1, 2 to 5 and 6 to 16: disjoint, and of uneven numbers."""
    sides = {"berlin": (0, 2), "cologne": (2, 6), "dresden": (6, 17)}
    return {
        name: site(
            tmp_path / name, [one for one in LIKES if low <= int(one[0][1:]) < high], privacy, site=name
        )
        for name, (low, high) in sides.items()
    }


def test_three_sites_have_the_matrix_of_one_site_with_all_users_bit_for_bit(tmp_path, monkeypatch):
    whole, sites = site(tmp_path / "whole", LIKES), three_sites(tmp_path)
    assert len({gram(one) for one in [whole, *sites.values()]}) == 4, "each knows other items"
    files = {
        name: command(one, monkeypatch, "export", "--to", str(tmp_path / "sent"))["file"]
        for name, one in sites.items()
    }
    for name, one in sites.items():
        others = [file for other, file in files.items() if other != name]
        joined = command(one, monkeypatch, "merge", *others, "--to", str(tmp_path / "sent"))
        assert len(joined["sites"]) == 2
        for given in (others, [joined["file"]]):
            users = one.settings.users.model_copy(update={"sites": tuple(given)})
            run(one.settings.model_copy(update={"users": users}), one.at)
            assert gram(one) == gram(whole)
    sent = b"".join(path.read_bytes() for path in (tmp_path / "sent").iterdir())
    assert not any(user.encode() in sent for user, _, _ in LIKES)


def test_a_site_that_lists_its_own_file_is_refused(tmp_path, monkeypatch):
    berlin = three_sites(tmp_path)["berlin"]
    file = command(berlin, monkeypatch, "export", "--to", str(tmp_path))["file"]
    users = berlin.settings.users.model_copy(update={"sites": (file,)})
    with pytest.raises(ReleaseError, match="site berlin would count twice"):
        run(berlin.settings.model_copy(update={"users": users}), berlin.at)


def test_noise_is_of_each_site_and_exported_as_published(tmp_path, monkeypatch):
    private = {"epsilon": 4.0, "delta": 1e-6, "period_days": 0}
    sites = three_sites(tmp_path, private)
    berlin = sites["berlin"]
    summary = UsersSummary.load(berlin.at.users / "users.json")
    files = [command(one, monkeypatch, "export", "--to", str(tmp_path / "sent")) for one in sites.values()]
    assert files[0]["sites"][0]["digest"] == summary.guarantee.statistics, "the noise of the release"
    assert files[0]["items"] == len(TEXTS), "which items are listed tells nothing"
    assert files[0]["liked"] == summary.n_items
    joined = command(berlin, monkeypatch, "merge", *(one["file"] for one in files), "--to", str(tmp_path))
    assert [one["epsilon"] for one in joined["sites"]] == [4.0] * 3
    users = berlin.settings.users.model_copy(update={"sites": tuple(one["file"] for one in files[1:])})
    run(berlin.settings.model_copy(update={"users": users}), berlin.at)
    assert UsersSummary.load(berlin.at.users / "users.json").n_items == joined["liked"]


def test_noisy_sums_that_stage_users_has_not_made_are_not_exported(tmp_path):
    world = site(tmp_path, LIKES, {"epsilon": 4.0, "delta": 1e-6, "period_days": 0}, site="berlin")
    privacy = world.settings.privacy.model_copy(update={"epsilon": 2.0})
    with pytest.raises(ReleaseError, match="account of ε would lack this publication"):
        gram_export(world.at, world.settings.model_copy(update={"privacy": privacy}), tmp_path)
    run(world.settings.model_copy(update={"privacy": privacy}), world.at)
    assert gram_export(
        world.at, world.settings.model_copy(update={"privacy": privacy}), tmp_path
    ).path.exists()


def test_within_a_period_new_likes_leave_the_noisy_statistics_as_they_are(tmp_path):
    private = {"epsilon": 2.0, "delta": 1e-6, "period_days": 30}
    early = T0 - timedelta(days=90)
    world = site(tmp_path, [(user, item, early) for user, item, _ in LIKES], private)
    before = UsersSummary.load(world.at.users / "users.json")
    world.land_interactions([("newcomer", "i39", T0)])
    run(world.settings, world.at)
    after = UsersSummary.load(world.at.users / "users.json")
    assert (after.guarantee, after.gram_sha256) == (before.guarantee, before.gram_sha256)
    assert after.made_of != before.made_of and after.n_pairs == before.n_pairs + 1
    world.land_interactions([("latecomer", "i38", early)])
    run(world.settings, world.at)
    assert (
        UsersSummary.load(world.at.users / "users.json").guarantee.statistics != before.guarantee.statistics
    )


def test_noise_needs_the_key_of_the_pseudonyms(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ConfigError, match=VARIABLE):
        site(tmp_path, LIKES, {"epsilon": 1.0})


def test_an_export_needs_a_name(tmp_path, monkeypatch):
    world = site(tmp_path, LIKES)
    monkeypatch.setenv("RECSYS_WORKSPACE", str(Artifacts(tmp_path).root))
    with pytest.raises(ConfigError, match=r"users\.site is not set"):
        gram_export(world.at, world.settings, tmp_path)


def test_much_privacy_of_few_users_leaves_only_noise_and_a_matrix_that_can_be_used(tmp_path):
    world = site(tmp_path, LIKES, {"epsilon": 0.01, "delta": 1e-6, "period_days": 0})
    eigenvalues = np.linalg.eigvalsh(np.load(world.at.users / "gram.npy"))
    assert eigenvalues.min() > -1e-9


def test_an_item_that_thirty_thousand_users_like_is_one_row_of_the_matrix(tmp_path):
    crowd = [(f"c{n:06}", "i39", T0) for n in range(30_000)]
    world = site(tmp_path, [*LIKES, *crowd])
    summary = UsersSummary.load(world.at.users / "users.json")
    n_liked = len({item for _, item, _ in LIKES}) + 1
    assert (summary.n_users, summary.n_items) == (30_017, n_liked)
    assert summary.n_pairs == len({(user, item) for user, item, _ in LIKES}) + len(crowd)
    assert np.trace(np.load(world.at.users / "gram.npy")) == pytest.approx(n_liked, rel=1e-3)
    users = world.settings.privacy.model_copy(update={"epsilon": 1.0, "period_days": 0})
    run(world.settings.model_copy(update={"privacy": users}), world.at)
    noisy = UsersSummary.load(world.at.users / "users.json")
    assert noisy.guarantee is not None and noisy.n_users == pytest.approx(30_017, abs=300)
