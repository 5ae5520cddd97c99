"""Rates of this machine for plans: from a file, else measured, which takes some minutes."""

import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.encoders.rates import encoder_rates
from recsys.planning.costs import WALK, Line, Rates, Size, StageCost
from recsys.planning.planning import Shape
from recsys.planning.probing import TITLE_TOKENS, Probe, Used
from recsys.processor import processor
from recsys.settings import Settings
from recsys.storage.checksums import key_of

SMALL, LARGE = 5_000, 25_000
SIZES = (
    Size(items=SMALL, interactions=10 * SMALL),
    Size(items=LARGE, interactions=10 * SMALL),
    Size(items=SMALL, interactions=10 * LARGE),
)
"""Catalogues that are measured: one of them has more items, one has more interactions. All have more rows than any step
takes at once, or memory for a block of rows would count as memory for each row."""


def rates_path(at: Artifacts, settings: Settings) -> Path:
    """Where rates are kept: a file per processor, version, encoder and sizes of head and index.

    Args:
        at: the workspace.
        settings: of the workspace.

    Returns:
        A path; the file need not exist.
    """
    recipe = [
        str(processor()), version("firstlight-recsys"), settings.encoder.source, settings.encoder.max_tokens,
        settings.first_light.width, settings.first_light.max_landmarks, settings.index.links,
    ]  # fmt: skip
    key = key_of(recipe)
    return at.rates / f"walk-{key}.json"


def measured_rates(
    at: Artifacts, settings: Settings, report_progress: Callable[[str], None], again: bool = False
) -> Rates:
    """Rates of this machine: those of the file, else measured and kept there.

    Args:
        at: the workspace.
        settings: of the workspace.
        report_progress: is told before each step.
        again: measure although there is a file.

    Returns:
        The rates.

    Raises:
        ConfigError: the file is damaged; --measure replaces it.
        RecsysError: a command failed while it was measured.
    """
    path = rates_path(at, settings)
    if path.is_file() and not again:
        return Rates.load(path)
    found = measure(at, settings, report_progress, SIZES)
    found.save(path)
    report_progress(f"rates are kept in {path}")
    return found


def measure(
    at: Artifacts,
    settings: Settings,
    report_progress: Callable[[str], None],
    sizes: tuple[Size, ...],
) -> Rates:
    """Run the walk on made-up catalogues in a scratch folder, and the encoder in both precisions.

    Args:
        at: the workspace; nothing but rates is written there.
        settings: of the workspace.
        report_progress: is told before each step.
        sizes: that are measured; see `Line.through`.

    Returns:
        The rates; nothing is kept.

    Raises:
        RecsysError: a command failed; gives what it said.
        EncoderError: the encoder cannot be packed.
    """
    encoder = encoder_rates(
        settings.encoder, at.encoders, at.rates, again=True, report_progress=report_progress
    )
    with tempfile.TemporaryDirectory(prefix="recsys-plan-") as scratch:
        probe = Probe(Path(scratch), settings)
        report_progress("making a head")
        model = probe.prepare()
        runs = {size: probe.run(size, model, report_progress) for size in sizes}
        base_width = model.encoder.dim
    return Rates(
        encoder=encoder,
        stages=costs_of(runs, settings, model.dim, base_width),
        width=model.dim,
        base_width=base_width,
        sizes=sizes,
    )


def costs_of(
    runs: dict[Size, dict[str, Used]], settings: Settings, width: int, base_width: int
) -> tuple[StageCost, ...]:
    """Lines through measured runs.

    Args:
        runs: size -> step -> what it took.
        settings: of the runs.
        width: of their profiles.
        base_width: of their encoder's vectors.

    Returns:
        A cost for each step of the walk.
    """
    costs = []
    for step in WALK:
        tables = {}
        for size, used in runs.items():
            shape = Shape(size, TITLE_TOKENS, width, base_width, settings.index.links, "float32")
            tables[size] = max(0.0, used[step].written_bytes - shape.array_bytes(step))
        costs.append(
            StageCost(
                stage=step,
                cpu_seconds=Line.through({size: used[step].cpu_seconds for size, used in runs.items()}),
                memory_bytes=Line.through({size: used[step].peak_bytes for size, used in runs.items()}),
                table_bytes=Line.through(tables),
            )
        )
    return tuple(costs)
