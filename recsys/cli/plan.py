"""Command `plan`: what is to be encoded now, or what the first load of a catalogue of some size would take."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from recsys.cli.context import console, print_json, settings, settings_or_shipped, workspace

if TYPE_CHECKING:
    from recsys.planning.planning import ScalePlan, Shape
    from recsys.settings import Settings

GIB = 2**30


class Count(click.ParamType[int]):
    """A whole number that may be written as 100e6 or 5_000_000."""

    name = "count"

    def __init__(self, least: int) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        """See click.ParamType."""
        try:
            found = float(value)
            whole = int(found)
        except (ValueError, OverflowError):  # the latter: infinity
            self.fail(f"{value!r} is not a number", param, ctx)
        if whole != found or whole < self.least:
            self.fail(f"{value} is not a whole number of at least {self.least}", param, ctx)
        return whole


class Positive(click.ParamType[float]):
    """A finite number above 0; click's own ranges let NaN and infinity pass."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """See click.ParamType."""
        try:
            found = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if not 0 < found < float("inf"):
            self.fail(f"{value} is not a number above 0", param, ctx)
        return found


MORE = Positive()


@click.command()
@click.option(
    "--role", "roles", multiple=True, type=click.Choice(["champion", "challenger"]),
    help="Without --items: which model's profiles. [default: all of params.yaml]",
)  # fmt: skip
@click.option(
    "--items", type=Count(1), help="Plan for this many items, such as 100e6, instead of for what has landed."
)
@click.option("--interactions", type=Count(0), help="Number of interactions. [default: ten per item]")
@click.option("--tokens", type=MORE, help="Mean tokens per text. [default: 16, typical of titles]")
@click.option(
    "--width", type=click.IntRange(2, 4096), help="Dimensions of a profile. [default: first_light.width]"
)
@click.option("--workers", type=Count(1), default=1, show_default=True, help="Machines, each like this one.")
@click.option("--cores", type=Count(1), help="Cores of each worker. [default: as on this machine]")
@click.option(
    "--memory", type=MORE, metavar="GIB", help="Memory of each worker. [default: as on this machine]"
)
@click.option(
    "--disk", type=MORE, metavar="GIB", help="Free disk on each worker. [default: as on this machine]"
)
@click.option("--gpus", type=Count(0), default=0, show_default=True, help="GPUs in all workers together.")
@click.option(
    "--gpu-rate",
    type=MORE,
    help="Texts per second that one GPU encodes. [default: measured here, if there is one]",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "int8", "bfloat16", "float16"]),
    help="Precision of the encoder. [default: encoder.precision]",
)
@click.option(
    "--rates", "rates_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rates that another machine measured, instead of this machine's.",
)  # fmt: skip
@click.option("--measure", is_flag=True, help="Measure this machine again; takes some minutes.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.pass_context
def plan(
    context: click.Context,
    /,
    roles: tuple[str, ...],
    items: int | None,
    interactions: int | None,
    rates_file: Path | None,
    measure: bool,
    as_json: bool,
    **wanted: Any,  # noqa: ANN401  options of the plan at scale
) -> None:
    """Estimate time, memory and disk: of what stage `profiles` would encode, or of a catalogue of any size (--items).

    Without --items: texts, tokens and minutes on this machine; only a sample is encoded. It reads the features that
    exist: run `dvc repro features` first to include what has just been ingested.

    With --items: estimate the first load of that many items, from landed to published. For each step it prints hours,
    memory, disk, bytes moved and requests to the bucket, and it names the step that reaches its limit first. To measure
    this machine, synthetic catalogues run through the real commands once, for some minutes; a file keeps the rates.
    docs/scale.md explains how a plan is made and how far to trust it.
    """
    if items is None:
        for option in context.command.params:
            is_given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
            if is_given and option.name not in ("roles", "as_json"):
                raise click.UsageError(f"{option.opts[0]} goes with --items")
        _plan_encoding(roles, as_json)
        return
    if roles:
        raise click.UsageError("--role goes without --items")
    if rates_file and measure:
        raise click.UsageError("--rates and --measure contradict each other")
    n_interactions = 10 * items if interactions is None else interactions
    made = _plan_scale(items, n_interactions, rates_file, measure, wanted)
    if as_json:
        steps = [asdict(step) for step in made.steps]
        first = made.first_to_break
        print_json({"hours": made.hours, "steps": steps, "breaks_first": first.name, "notes": made.notes})
    else:
        _show(made)


def _plan_encoding(roles: tuple[str, ...], as_json: bool) -> None:
    from recsys.stages.profiles import plan as plan_profiles

    chosen, at = settings(), workspace()
    plans = [plan_profiles(chosen, at, role) for role in roles or chosen.profiles.roles]
    if as_json:
        print_json([asdict(one) for one in plans])
        return
    for one in plans:
        console().print(one.sentence(), highlight=False, soft_wrap=True)


def _plan_scale(
    items: int, interactions: int, rates_file: Path | None, again: bool, wanted: dict[str, Any]
) -> ScalePlan:
    from recsys.encoders.rates import TITLE_TOKENS
    from recsys.planning.costs import Rates, Size
    from recsys.planning.machines import these
    from recsys.planning.measuring import measured_rates
    from recsys.planning.planning import Shape
    from recsys.planning.planning import plan as plan_load
    from recsys.progress import report_progress

    chosen = settings_or_shipped()
    rates = (
        Rates.load(rates_file) if rates_file else measured_rates(workspace(), chosen, report_progress, again)
    )
    shape = Shape(
        Size(items=items, interactions=interactions),
        wanted["tokens"] or TITLE_TOKENS,
        wanted["width"] or chosen.first_light.width,
        rates.base_width,
        chosen.index.links,
        wanted["precision"] or chosen.encoder.precision,
    )
    machines = these(
        workspace().root,
        workers=wanted["workers"],
        cores=wanted["cores"],
        memory_bytes=wanted["memory"] and wanted["memory"] * GIB,
        disk_bytes=wanted["disk"] and wanted["disk"] * GIB,
        gpus=wanted["gpus"],
        gpu_texts_per_s=wanted["gpu_rate"] or (_gpu_rate(chosen, shape) if wanted["gpus"] else None),
    )
    return plan_load(rates, shape, machines)


def _gpu_rate(chosen: Settings, shape: Shape) -> float | None:
    """Texts of the planned length and precision that this machine's GPU encodes per second; None without a GPU."""
    from recsys.encoders.rates import texts_per_s
    from recsys.encoders.runtime import has_cuda

    if not has_cuda():
        return None
    params = chosen.encoder.model_copy(update={"precision": shape.precision})
    return texts_per_s(params, workspace().encoders, "cuda", round(shape.tokens))


def _show(made: ScalePlan) -> None:
    from rich.table import Table

    table = Table(
        "step", "hours", "on", "memory", "disk", "moved", "requests", "holds", "until", caption="sizes in GiB"
    )
    for step in made.steps:
        sizes = (f"{n / GIB:,.1f}" for n in (step.memory_bytes, step.disk_bytes, step.moved_bytes))
        name = step.name.partition("@")[0]
        first = "[bold red]" if step is made.first_to_break else ""
        hours, holds = f"{step.hours:,.2f}", f"{step.holds_items / 1e6:,.1f}M"
        requests = f"{step.requests:,}"
        table.add_row(first + name, hours, f"{step.workers:,}", *sizes, requests, holds, step.breaks)
    console().print(table)
    broken = made.first_to_break
    at = f"{broken.breaks}, at {broken.holds_items:,.0f} items"
    console().print(
        f"{made.hours:,.1f} hours in all. First to break: {broken.name}, {at}",
        highlight=False,
        soft_wrap=True,
    )
    for note in made.notes:
        console().print(f"- {note}", highlight=False, markup=False, soft_wrap=True)
