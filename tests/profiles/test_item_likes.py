import itertools

import pyarrow as pa
import pytest

from recsys.errors import DataDamaged, ReleaseError
from recsys.profiles.item_likes import SCHEMA, ItemLikes, Site, merged
from recsys.profiles.privacy import UNIT, noise_scale


def likes(name, counts, digest=None, **noise):
    column = "sum" if noise else "n_users"
    rows = [{"item_id": item, "n_users": 0, "sum": 0} | {column: n} for item, n in sorted(counts.items())]
    site = Site(name=name, digest=digest or f"{ord(name[0]):016x}", n_users=9, **noise)
    return ItemLikes(pa.Table.from_pylist(rows, SCHEMA), (site,))


SITES = [likes("berlin", {"a": 2, "b": 1}), likes("cologne", {"b": 3}), likes("dresden", {"c": 1, "d": 0})]


def test_likes_add_up_in_any_order_and_any_grouping():
    whole = merged(SITES)
    assert whole.table.to_pydict() == {
        "item_id": ["a", "b", "c", "d"], "n_users": [2, 4, 1, 0], "sum": [0, 0, 0, 0]
    }  # fmt: skip
    assert whole.liked.to_pylist() == ["a", "b", "c"]
    for first, second, third in itertools.permutations(SITES):
        assert merged([merged([first, second]), third]).file_name() == whole.file_name()


def test_noisy_sums_of_several_sites_are_read_together():
    sigma = noise_scale(1.0, 1e-6)
    just = int(1.5 * sigma / UNIT)  # below 2 σ at one site; of both together above 2 √2 σ
    noisy = [likes(name, {"a": just, "b": 0}, epsilon=1.0, delta=1e-6) for name in ("berlin", "cologne")]
    assert noisy[0].liked.to_pylist() == []
    assert merged(noisy).liked.to_pylist() == ["a"]
    assert merged([*noisy, likes("dresden", {"b": 1})]).liked.to_pylist() == ["a", "b"]


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (likes("berlin", {"z": 1}, "f" * 16), "berlin"),
        (likes("bremen", {"a": 2, "b": 1}, SITES[0].sites[0].digest), "berlin and bremen"),
    ],
)
def test_a_site_that_would_count_twice_is_refused(other, named):
    with pytest.raises(ReleaseError, match=f"site {named} would count twice"):
        merged([merged(SITES[:2]), other])


def test_sums_that_would_wrap_are_refused_and_the_site_is_named():
    noise = {"epsilon": 1.0, "delta": 1e-6}
    hostile = likes("evil", {"a": -(2**63)}, **noise)
    with pytest.raises(ReleaseError, match=r"sum of all files adds up to .* is of site evil"):
        merged([likes("berlin", {"a": -5}, **noise), hostile])
    most = likes("most", {"a": 2**53 - 5}, **noise)
    assert merged([likes("berlin", {"a": 5}, **noise), most]).table["sum"].to_pylist() == [2**53]
    with pytest.raises(ReleaseError, match="is of site most"):
        merged([likes("berlin", {"b": 6}, **noise), most])


def test_a_file_comes_back_as_saved(tmp_path):
    path = merged(SITES).save(tmp_path)
    found = ItemLikes.load(path)
    assert found.table.equals(merged(SITES).table) and found.sites == merged(SITES).sites
    assert path.name.startswith("likes-berlin+cologne+dresden-")


@pytest.mark.parametrize("damage", ["renamed", "other counts", "no likes", "cut"])
def test_a_file_that_does_not_hold_what_its_name_says_is_refused(tmp_path, damage):
    path = SITES[0].save(tmp_path)
    target = tmp_path / "renamed.parquet" if damage == "renamed" else path
    content = path.read_bytes()
    if damage == "other counts":
        content = likes("berlin", {"a": 2, "b": 2}).save(tmp_path / "other").read_bytes()
    elif damage == "no likes":
        content = b"item_id,n_users"
    elif damage == "cut":
        content = content[: len(content) // 2]
    target.write_bytes(content)
    with pytest.raises(DataDamaged, match=target.name):
        ItemLikes.load(target)


@pytest.mark.parametrize("rows", [[("b", 1), ("a", 1)], [("a", 1), ("a", 1)], [("a", -1)], [("a", 10)]])
def test_impossible_counts_are_refused(tmp_path, rows):
    table = pa.Table.from_pylist([{"item_id": item, "n_users": n, "sum": 0} for item, n in rows], SCHEMA)
    path = ItemLikes(table, SITES[0].sites).save(tmp_path)
    with pytest.raises(DataDamaged, match="sorted|fewer than 0 or more than 9"):
        ItemLikes.load(path)
