"""Commands `off-policy table` and `off-policy served`: what another policy would have earned."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.context import console, print_json, settings_or_shipped, shown
from recsys.cli.options import json_option

if TYPE_CHECKING:
    from recsys.evaluation.off_policy import Estimates, LoggedChoices

LOGS = click.argument(
    "logs", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
seed_option = click.option("--seed", default=0, show_default=True, help="Seed of the resampling.")
ROWS = {
    "logged": "the policy that was logged",
    "ips": "target, IPS",
    "snips": "target, SNIPS",
    "dr": "target, doubly robust",
}
POLICIES = ("thompson", "linucb", "greedy", "uniform")


@click.group("off-policy")
def off_policy() -> None:
    """Estimate what a policy would earn, from the log of another policy.

    The log must contain the probability with which each choice was drawn. Each choice is weighted by the ratio of its
    probabilities under the target policy and under the logged one.

    IPS, the mean of ratio times reward, is unbiased, but has a high variance.

    SNIPS divides by the sum of the ratios instead. Use it if there is no reward model.

    DR, doubly robust, corrects a reward model's prediction by what was logged. Use it if there is a good model.

    The effective sample size is the number of rows of equal weight that would be as informative. Where it is small,
    where one row has much of the weight, or where the mean ratio is not about 1, the command warns: then no interval
    can be trusted.
    """


@off_policy.command()
@LOGS
@click.option(
    "--reward",
    default="reward",
    show_default=True,
    metavar="COLUMN",
    help="Reward of a choice, such as click: 0 or 1.",
)
@click.option(
    "--propensity",
    default="propensity",
    show_default=True,
    metavar="COLUMN",
    help="Probability of the logged action when it was drawn.",
)
@click.option("--target", metavar="COLUMN", help="Probability of the logged action under the target policy.")
@click.option(
    "--uniform",
    metavar="N",
    type=click.IntRange(1),
    help="Instead of --target: it chooses uniformly among N actions.",
)
@click.option("--user", metavar="COLUMN", help="Rows of one user are resampled together.")
@click.option("--predicted", metavar="COLUMN", help="A model's reward of the logged action; for DR.")
@click.option(
    "--expected",
    metavar="COLUMN",
    help="The same, averaged over the target's actions in that situation; for DR.",
)
@seed_option
@json_option
def table(
    logs: tuple[Path, ...],
    reward: str,
    propensity: str,
    target: str | None,
    uniform: int | None,
    user: str | None,
    predicted: str | None,
    expected: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Estimate from LOGS with a row per choice: Parquet, CSV or JSON lines (.jsonl).

    Example: recsys off-policy table bts_all.parquet --reward click --propensity propensity_score --uniform 80
    """
    from recsys.evaluation.off_policy_table import read_choices

    if (target is None) == (uniform is None):
        raise click.UsageError("give either --target or --uniform")
    if (predicted is None) != (expected is None):
        raise click.UsageError("doubly robust needs --predicted and --expected")
    named = {"target": target, "user": user, "predicted": predicted, "expected": expected}
    columns = {"reward": reward, "propensity": propensity}
    columns |= {ours: theirs for ours, theirs in named.items() if theirs is not None}
    _show(read_choices(logs, columns, uniform), seed, as_json)


@off_policy.command()
@LOGS
@click.option(
    "--policy",
    required=True,
    type=click.Choice(POLICIES),
    help="Target policy: the probability it would have given to each new item that could be drawn.",
)
@click.option(
    "--sigma",
    type=click.FloatRange(min=0, min_open=True),
    help="Sigma of the target policy. [default: serve.explore_sigma]",
)
@click.option(
    "--uniform-share",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of the target policy's probability that is spread evenly over all candidates.",
)
@seed_option
@json_option
def served(
    logs: tuple[Path, ...],
    policy: str,
    sigma: float | None,
    uniform_share: float,
    seed: int,
    as_json: bool,
) -> None:
    """Estimate from LOGS of `recsys serve` while it explored: the share of explored places that users like.

    The service logs every list that explored, and every event of feedback that names a `list_id`. Section `feedback`
    defines which events are likes. Lists of one user are resampled together, by the group of users in the log. The
    reward model of DR is linear in a score's mean and standard deviation.

    Example: recsys off-policy served serve.log --policy greedy
    """
    from recsys.evaluation.off_policy_lists import Target, read_lists

    chosen = settings_or_shipped()
    target = Target(policy, sigma or chosen.serve.explore_sigma, uniform_share)
    found = read_lists(
        logs, chosen.feedback, target, lambda line: console().print(shown(line), soft_wrap=True)
    )
    if found.n_alone:
        words = f"{found.n_alone:,} lists tell nothing of their users: each is resampled alone"
        console().print(shown(words), soft_wrap=True)
    if found.n_unknown:
        console().print(shown(f"{found.n_unknown:,} events name lists that are not in these logs"))
    _show(found.choices, seed, as_json)


def _show(choices: "LoggedChoices", seed: int, as_json: bool) -> None:
    from recsys.errors import RequestError
    from recsys.evaluation.off_policy import estimate

    try:
        found = estimate(choices, seed=seed)
    except ValueError as fault:
        raise RequestError(
            str(fault), remedy="log more, or ask for a policy nearer to the logged one"
        ) from fault
    if as_json:
        print_json(_plain(found))
    else:
        _print(found)
    for line in found.warnings:
        console().print(shown(f"warning: {line}"), soft_wrap=True)


def _plain(found: "Estimates") -> dict[str, Any]:
    plain = {
        name: value.model_dump() if hasattr(value, "model_dump") else value
        for name, value in vars(found).items()
    }
    return plain | {"warnings": list(found.warnings)}


def _print(found: "Estimates") -> None:
    from rich.table import Table

    table = Table("mean reward of", "estimate", "95 % interval")
    for name, words in ROWS.items():
        interval = getattr(found, name)
        if interval is not None:
            table.add_row(words, f"{interval.mean:.5f}", f"{interval.low:.5f} to {interval.high:.5f}")
    console().print(table)
    console().print(
        shown(
            f"{found.n:,} choices in {found.n_groups:,} groups; effective sample size {found.effective_n:,.0f}; mean "
            f"weight {found.mean_weight.mean:.3f}; largest share of the weight {found.largest_share:.1%}"
        ),
        soft_wrap=True,
    )
