"""Plan a first load: hours, memory, disk and bytes moved of each step, and which step breaks first.

Measurements on small catalogues are extrapolated by straight lines (`costs.py`), and sizes of arrays are computed
exactly (`sizes.py`). The plan assumes what the code does: all workers encode and project, and one of them runs every
other step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from recsys.encoders.rates import LIKE_FLOAT32, PRECISIONS
from recsys.errors import ConfigError
from recsys.planning.costs import Rates, Size, StageCost
from recsys.planning.sizes import EXACT_ROWS, cache_bytes, gram_bytes, index_bytes, vectors_bytes

GIB = 2**30
Limit = tuple[Callable[[Size], float], float, str]
"""Need at a size, a straight line or nearly; the most that there is; its name."""
PART_ITEMS = 1_000_000
"""Items of a landed file, and so of a part: what the plan assumes."""
UPLOADED_AT_ONCE = 8 * 2**20
"""Bytes of a request to S3: boto3 sends larger files in pieces of this size."""
MULTI_CORE = {"profiles@champion", "index"}
"""Steps that use all cores of a machine; the others are taken to use one."""
WITH_PROFILES = {"profiles@champion", "users", "index", "publish"}
"""Steps that hold profiles: what they need of memory for each item is taken to grow with the width."""
NOTHING = "nothing yet"
TEXT_BYTES = 4
"""Of a token, in a text."""
UNKNOWN_BYTES = 320
"""Memory for each text to encode beside its own characters: two Python strings, one a hash, and places in two dicts."""


@dataclass(frozen=True)
class Machines:
    """What there is to run on."""

    workers: int
    cores: int
    """Of each worker."""
    memory_bytes: float
    disk_bytes: float
    """Of each worker, free."""
    gpus: int = 0
    """In all workers together."""
    gpu_texts_per_s: float | None = None
    """Of one GPU; None: unknown, then GPUs are not counted on."""


@dataclass(frozen=True)
class Shape:
    """What the catalogue and the model look like."""

    size: Size
    tokens: float
    """Mean tokens of a text."""
    width: int
    """Of a profile."""
    base_width: int
    """Of the encoder's vectors."""
    links: int
    """`index.links`."""
    precision: str

    @property
    def parts(self) -> int:
        """Parts of the catalogue."""
        return ceil(self.size.items / PART_ITEMS)

    def array_bytes(self, step: str) -> float:
        """Bytes of the arrays that a step writes; all that it writes beyond its tables."""
        n = self.size.items
        profiles = vectors_bytes(n, self.width, self.parts)
        index = index_bytes(n, self.width, self.links)
        found: dict[str, float] = {
            "profiles@champion": profiles,
            "users": 2 * gram_bytes(self.width) + n / 8,  # and the state that it is updated from
            "index": index,
            "publish": profiles + index + gram_bytes(self.width),
        }
        return found.get(step, 0.0)


@dataclass(frozen=True)
class Step:
    """What one step needs."""

    name: str
    hours: float
    workers: int
    """Machines that work on it."""
    memory_bytes: float
    """Of each machine."""
    disk_bytes: float
    """That it leaves, in all."""
    moved_bytes: float
    """Over the network, to and from the bucket, and between workers."""
    requests: int
    """To the bucket."""
    holds_items: float
    """Items, with interactions in proportion, that this step can take on these machines."""
    breaks: str
    """The resource that runs out first; NOTHING where there is still room."""


@dataclass(frozen=True)
class ScalePlan:
    """A first load, from landed files to the published release."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    """What a reader should know of this plan."""

    @property
    def hours(self) -> float:
        """One step after another."""
        return sum(step.hours for step in self.steps)

    @property
    def first_to_break(self) -> Step:
        """The step that holds the fewest items."""
        return min(self.steps, key=lambda step: step.holds_items)


def plan(rates: Rates, shape: Shape, machines: Machines) -> ScalePlan:
    """Plan the first load of a catalogue.

    Args:
        rates: what was measured, here or on a machine like the workers.
        shape: of catalogue and model.
        machines: the workers.

    Returns:
        The plan, step by step in the order of the walk; `encode` stands before `profiles@champion`.

    Raises:
        ConfigError: the rates hold nothing for this precision.
    """
    if shape.precision not in (*PRECISIONS, *LIKE_FLOAT32):
        raise ConfigError(
            f"no rates for precision {shape.precision}",
            remedy=f"one of {', '.join((*PRECISIONS, *LIKE_FLOAT32))}",
        )
    left, steps = 0.0, []
    for cost in rates.stages:
        if cost.stage == "profiles@champion":
            steps.append(_encoding(rates, shape, machines, left))
            left += steps[-1].disk_bytes
        steps.append(_step(cost, rates, shape, machines, left))
        left += steps[-1].disk_bytes if cost.stage != "publish" else 0
    return ScalePlan(tuple(steps), tuple(_notes(rates, shape, machines)))


def _encoding(rates: Rates, shape: Shape, machines: Machines, left: float) -> Step:
    """The language model: all workers, each with a model of its own; texts and vectors are on one of them."""
    n, size = shape.size.items, shape.size
    seconds = (
        rates.encoder.seconds(shape.precision, shape.tokens) * rates.encoder.processor.cores / machines.cores
    )
    per_second = machines.workers / seconds
    if machines.gpus and machines.gpu_texts_per_s:
        per_second = machines.gpus * machines.gpu_texts_per_s
    disk = cache_bytes(n, shape.base_width, ceil(n / 65_536))
    surveying = next(one.memory_bytes for one in rates.stages if one.stage == "profiles@champion")

    def memory_at(at: Size) -> float:
        return surveying.at(at) + (UNKNOWN_BYTES + shape.tokens * TEXT_BYTES) * at.items

    limits: list[Limit] = [
        (memory_at, machines.memory_bytes, "memory"),
        (lambda at: (left + disk) * at.items / n, machines.disk_bytes, "disk"),
    ]
    holds, breaks = _room(size, limits)
    n_workers = machines.workers
    return Step(
        name="encode",
        hours=n / per_second / 3600,
        workers=n_workers,
        memory_bytes=memory_at(size),
        disk_bytes=disk,
        moved_bytes=disk + n * shape.tokens * TEXT_BYTES if n_workers > 1 else 0.0,
        requests=0,  # Ray carries texts and vectors, not the bucket
        holds_items=holds,
        breaks=breaks,
    )


def _step(cost: StageCost, rates: Rates, shape: Shape, machines: Machines, left: float) -> Step:
    size, name = shape.size, cost.stage
    n_workers = machines.workers if name == "profiles@champion" else 1
    cores = machines.cores if name in MULTI_CORE else 1
    wider = shape.width / rates.width if name in ("profiles@champion", "index") else 1.0
    growing = cost.cpu_seconds.growing(size) * wider
    seconds = cost.cpu_seconds.fixed + growing / (cores * n_workers)
    heavier = max(1.0, shape.width / rates.width) if name in WITH_PROFILES else 1.0

    def memory_at(at: Size) -> float:
        return cost.memory_bytes.fixed + cost.memory_bytes.growing(at) * heavier

    def disk_at(at: Size) -> float:
        scaled = Shape(at, shape.tokens, shape.width, shape.base_width, shape.links, shape.precision)
        return scaled.array_bytes(name) + cost.table_bytes.at(at)

    disk = disk_at(size)
    moved = disk if name in ("ingest", "publish") else 0.0
    limits: list[Limit] = [
        (memory_at, machines.memory_bytes, "memory"),
    ]
    if name != "publish":  # the store is a bucket
        limits.append((lambda at: left * at.items / size.items + disk_at(at), machines.disk_bytes, "disk"))
    if name == "users":
        limits.append((lambda at: float(at.items), float(EXACT_ROWS), "exact sums"))
    holds, breaks = _room(size, limits)
    n_files = shape.parts * (6 if name == "publish" else 3)
    requests = n_files + ceil(moved / UPLOADED_AT_ONCE) if moved else 0
    return Step(
        name=name,
        hours=seconds / 3600,
        workers=n_workers,
        memory_bytes=memory_at(size),
        disk_bytes=disk,
        moved_bytes=moved,
        requests=requests,
        holds_items=holds,
        breaks=breaks,
    )


def _room(size: Size, limits: Sequence[Limit]) -> tuple[float, str]:
    """How many items fit, with interactions in proportion, and which resource is then exhausted.

    Args:
        size: of the plan; sets the proportion.
        limits: one or more.

    Returns:
        Items, and the name of what is full first. The search ends at a thousand times as many items as planned, and
        not before the sums of `users` are full: a plan always has a step that breaks.
    """
    per_item, end = size.interactions / size.items, max(1000.0 * size.items, 2.0 * EXACT_ROWS)

    def fits(items: float, need: Callable[[Size], float], most: float) -> bool:
        return need(Size(items=max(1, round(items)), interactions=round(items * per_item))) <= most

    found = [(end, NOTHING)]
    for need, most, name in limits:
        if fits(end, need, most):
            continue
        low, high = 0.0, end
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if fits(middle, need, most) else (low, middle)
        found.append((low, name))
    return min(found)


def _notes(rates: Rates, shape: Shape, machines: Machines) -> list[str]:
    """What a reader should know."""
    largest = max(rates.sizes, key=lambda size: size.items)
    factor = max(shape.size.items / largest.items, 1)
    notes = [
        f"measured on {rates.encoder.processor}, up to {largest.items:,} items; this plan goes {factor:,.0f} times as "
        "far, by straight lines",
        "one step after another; all but encode and profiles run on one worker",
    ]
    better = rates.encoder.faster(shape.tokens)
    if better != shape.precision and shape.precision in PRECISIONS:
        gain = rates.encoder.gain(shape.tokens)
        notes.append(
            f"encoder.precision: {better} is worth it here: int8 is {gain:.1f} times as fast as float32"
        )
    if machines.gpus and not machines.gpu_texts_per_s:
        notes.append(
            f"{machines.gpus} GPUs are not counted on, since none is here to measure: give --gpu-rate, texts/s of one"
        )
    return notes
