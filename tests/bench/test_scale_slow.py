"""Figures of the slow loop say for how many users they hold."""

from bench import scale_slow
from bench.scale import World


def test_an_exponent_is_that_of_as_many_users(tmp_path, monkeypatch):
    written = {}
    monkeypatch.setattr(scale_slow, "write_figures", lambda _, figures: written.update(figures))
    took = {"cpu_seconds": 4.0, "peak_mb": 300, "commit": "abc", "load": 1.0}
    worlds = [World(size, tmp_path) for size in (10_000, 100_000)]
    for world, users in zip(worlds, (500, 5000), strict=True):
        world.folder.mkdir(parents=True)
        world.keep("split", took)
        world.keep("evaluate", took | {"users": users})
    scale_slow.report(worlds)
    assert written["split_exponent"] == 0 and "evaluate_exponent" not in written
    assert (written["evaluate_users_10000"], written["evaluate_users_100000"]) == (500, 5000)
