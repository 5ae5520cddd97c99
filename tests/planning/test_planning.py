"""Plans from rates that can be worked out by hand."""

from dataclasses import replace

import pytest

from recsys.encoders.rates import EncoderRates, Rate
from recsys.errors import ConfigError
from recsys.planning.costs import WALK, Line, Rates, Size, StageCost
from recsys.planning.planning import GIB, Machines, Shape, plan
from recsys.planning.sizes import EXACT_ROWS, vectors_bytes
from recsys.processor import Processor


def line(fixed=0.0, per_item=0.0, per_interaction=0.0):
    return Line(fixed=fixed, per_item=per_item, per_interaction=per_interaction)


def some_rates(**memory):
    """Encoding: 100 texts/s in float32 on 2 cores, 400 in int8; each step a second and a millisecond per item."""
    measured = [("float32", 10, 0.01), ("int8", 10, 0.0025), ("float32", 100, 0.1), ("int8", 100, 0.025)]
    encoder = EncoderRates(
        source="x",
        encoder_hash="0" * 64,
        processor=Processor("p", 2, ("AVX2",)),
        rates=tuple(
            Rate(precision=name, tokens=tokens, seconds=seconds) for name, tokens, seconds in measured
        ),
    )
    stages = tuple(
        StageCost(
            stage=step,
            cpu_seconds=line(1, 0.001),
            memory_bytes=memory.get(step.partition("@")[0], line(1e8, 10)),
            table_bytes=line(1000, 100, 10),
        )
        for step in WALK
    )
    return Rates(
        encoder=encoder, stages=stages, width=100, base_width=50, sizes=(Size(items=1000, interactions=10),)
    )


SHAPE = Shape(Size(items=3_600_000, interactions=36_000_000), 10, 100, 50, 32, "float32")
ONE = Machines(workers=1, cores=2, memory_bytes=64 * GIB, disk_bytes=1000 * GIB)


def steps(rates=None, shape=SHAPE, machines=ONE):
    return {step.name: step for step in plan(rates or some_rates(), shape, machines).steps}


def test_encoding_takes_its_rate_and_is_shared_by_workers_cores_and_gpus():
    assert steps()["encode"].hours == pytest.approx(10)  # 3.6 million at 100/s
    assert steps(shape=replace(SHAPE, precision="int8"))["encode"].hours == pytest.approx(2.5)
    assert steps(machines=replace(ONE, workers=4, cores=4))["encode"].hours == pytest.approx(10 / 8)
    with_gpus = replace(ONE, gpus=2, gpu_texts_per_s=5000)
    assert steps(machines=with_gpus)["encode"].hours == pytest.approx(0.1)


def test_gpus_without_a_rate_are_not_counted_on_and_the_plan_says_so():
    made = plan(some_rates(), SHAPE, replace(ONE, gpus=4))
    assert made.steps[4].name == "encode" and made.steps[4].hours == pytest.approx(10)
    assert any("4 GPUs are not counted on" in note for note in made.notes)


def test_profiles_use_all_workers_and_the_index_all_cores_of_one():
    found = steps(machines=replace(ONE, workers=3, cores=4))
    assert found["users"].hours == pytest.approx(3601 / 3600) and found["users"].workers == 1
    assert found["index"].hours == pytest.approx((1 + 3600 / 4) / 3600)
    assert found["profiles@champion"].hours == pytest.approx((1 + 3600 / 12) / 3600)
    assert found["profiles@champion"].workers == 3


def test_disk_is_tables_by_lines_and_arrays_by_their_sizes():
    found = steps()
    n, m = SHAPE.size.items, SHAPE.size.interactions
    assert found["ingest"].disk_bytes == pytest.approx(1000 + 100 * n + 10 * m)
    assert found["profiles@champion"].disk_bytes == pytest.approx(
        1000 + 100 * n + 10 * m + vectors_bytes(n, 100, 4)
    )
    assert found["publish"].moved_bytes == found["publish"].disk_bytes > found["index"].disk_bytes
    assert found["publish"].requests >= found["publish"].disk_bytes / (8 * 2**20)


def test_the_first_to_break_is_the_step_that_holds_the_fewest_items():
    rates = some_rates(users=line(1e9, 1000, 100))  # 2,000 bytes for an item with ten interactions
    made = plan(rates, SHAPE, ONE)
    assert made.first_to_break.holds_items == pytest.approx((64 * GIB - 1e9) / 2000, rel=1e-3)
    first = plan(rates, SHAPE, replace(ONE, memory_bytes=32 * GIB)).first_to_break
    assert (first.name, first.breaks) == ("users", "memory")
    assert first.holds_items == pytest.approx((32 * GIB - 1e9) / 2000, rel=1e-3)


def test_a_small_disk_breaks_before_memory():
    first = plan(some_rates(), SHAPE, replace(ONE, disk_bytes=GIB)).first_to_break
    assert first.breaks == "disk" and first.holds_items < SHAPE.size.items


def test_sums_of_users_are_exact_up_to_a_number_of_items():
    huge = replace(ONE, memory_bytes=1e15, disk_bytes=1e18)
    found = plan(some_rates(), replace(SHAPE, size=Size(items=10**8, interactions=10**9)), huge)
    assert found.first_to_break.name == "users" and "exact" in found.first_to_break.breaks
    assert found.first_to_break.holds_items == pytest.approx(EXACT_ROWS, rel=1e-6)


def test_a_plan_of_few_items_breaks_where_one_of_many_does():
    huge = replace(ONE, memory_bytes=1e15, disk_bytes=1e18)
    made = plan(some_rates(), replace(SHAPE, size=Size(items=10, interactions=100)), huge)
    assert (made.first_to_break.name, made.first_to_break.breaks) == ("users", "exact sums")
    assert made.first_to_break.holds_items == pytest.approx(EXACT_ROWS, rel=1e-6)
    assert {step.breaks for step in made.steps if step.name != "users"} == {"nothing yet"}


def test_wider_profiles_need_more_memory_where_they_are_held():
    narrow, wide = steps(), steps(shape=replace(SHAPE, width=400))
    assert wide["users"].memory_bytes == pytest.approx(1e8 + 4 * 10 * SHAPE.size.items)
    assert wide["users"].holds_items <= narrow["users"].holds_items
    assert wide["ingest"].memory_bytes == narrow["ingest"].memory_bytes


def test_the_plan_says_how_far_it_goes_and_which_precision_is_worth_it():
    notes = " ".join(plan(some_rates(), SHAPE, ONE).notes)
    assert "3,600 times as far" in notes and "int8 is 4.0 times as fast" in notes
    assert "worth it" not in " ".join(plan(some_rates(), replace(SHAPE, precision="int8"), ONE).notes)


def test_lines_are_found_again_and_slopes_below_zero_become_none():
    true = line(5, 0.25, 0.5)
    sizes = [Size(items=2, interactions=20), Size(items=20, interactions=20), Size(items=2, interactions=200)]
    found = Line.through({size: true.at(size) for size in sizes})
    assert (found.fixed, found.per_item, found.per_interaction) == pytest.approx((5, 0.25, 0.5))
    falling = Line.through(dict(zip(sizes, (10.0, 9.0, 100.0), strict=True)))
    assert falling.per_item == 0 and falling.per_interaction > 0
    assert Line.through(dict.fromkeys(sizes, 0.0)).at(sizes[0]) == 0


def test_sizes_that_tell_nothing_apart_are_refused():
    with pytest.raises(ValueError, match="do not tell"):
        Line.through({Size(items=n, interactions=10 * n): 1.0 for n in (1, 2, 3)})


def test_rates_are_read_as_they_were_written_and_damage_is_named(tmp_path):
    path = tmp_path / "rates.json"
    some_rates().save(path)
    assert Rates.load(path) == some_rates()
    path.write_text(path.read_text().replace('"base_width": 50', '"base_width": 0'))
    with pytest.raises(ConfigError, match="base_width"):
        Rates.load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        Rates.load(tmp_path / "none.json")
    fewer = some_rates().model_copy(update={"stages": some_rates().stages[1:]})
    fewer.save(path)
    with pytest.raises(ConfigError, match="other stages"):
        Rates.load(path)
