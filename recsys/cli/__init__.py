"""Command line: parses, calls, prints; decides nothing. Each module here holds the commands of one subject."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from recsys.errors import RecsysError, disk_full

# section of the help -> command name -> (module below recsys.cli, attribute); literal, so that `--help` imports only
# what it names
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Check this workspace": {
        "doctor": ("doctor", "doctor"),
        "status": ("status", "status"),
        "plan": ("plan", "plan"),
    },
    "Take in what has landed": {
        "ingest": ("intake", "ingest"),
        "quarantine": ("intake", "quarantine"),
        "run": ("run", "run"),
        "arrive": ("arrive", "arrive"),
        "compact": ("release", "compact"),
        "forget": ("forget", "forget"),
    },
    "Publish": {
        "publish": ("release", "publish"),
        "releases": ("release", "releases"),
        "rollback": ("release", "rollback"),
        "resume": ("release", "resume"),
        "restore": ("release", "restore"),
        "collect": ("release", "collect"),
        "keys": ("keys", "keys"),
        "gram": ("gram", "gram"),
    },
    "Use a release": {
        "recommend": ("use", "recommend"),
        "similar": ("use", "similar"),
        "trace": ("use", "trace"),
        "export": ("use", "export"),
        "serve": ("serve", "serve"),
        "api-key": ("serve", "api_key"),
    },
    "Train and promote": {
        "fetch-champion": ("registry", "fetch_champion"),
        "register": ("registry", "register"),
        "promote": ("registry", "promote"),
        "ledger": ("registry", "ledger"),
        "champion": ("champion", "champion"),
        "webhook": ("champion", "webhook"),
        "due": ("due", "due"),
        "workspace": ("workspace", "workspace_"),
        "catch-up": ("workspace", "catch_up"),
    },
    "Monitor and evaluate": {
        "watch": ("watch", "watch"),
        "wake-training": ("watch", "wake_training"),
        "compare": ("compare", "compare"),
        "off-policy": ("off_policy", "off_policy"),
        "benchmark": ("benchmark", "benchmark"),
    },
}
COMMANDS = {name: place for section in SECTIONS.values() for name, place in section.items()}
WHOLE = 1_000
"""More characters than a first sentence has; click cuts it off by default."""
NEEDS_EXTRA = (
    "pip install 'firstlight-recsys[train]'; what pip install firstlight-recsys brings reads releases"
)


class Commands(click.Group):
    """A group that imports a command when it is used, and shows deliberate errors without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Commands in the order of the help."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the first sentence of each command's help in full, section by section."""
        for title, section in SECTIONS.items():
            commands = [(name, self.get_command(ctx, name)) for name in section]
            with formatter.section(title):
                formatter.write_dl([(name, one.get_short_help_str(WHOLE)) for name, one in commands if one])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"recsys.cli.{module}"), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  click's own signature
        """Run. A RecsysError becomes its message and exit code 1. Faults of params.yaml are always shown."""
        done = explained(lambda: super(Commands, self).invoke(ctx))
        _warn_of_params()
        return done


def _warn_of_params() -> None:
    """Warn about faults in params.yaml after a command that did not need it, since the next one may."""
    from recsys.cli.context import settings, workspace

    if workspace().params.is_file():
        try:
            settings()
        except RecsysError as error:
            click.echo(f"warning: {error}", err=True)


def explained(call: Callable[[], Any]) -> Any:  # noqa: ANN401  passes on what the call returns
    """Run `call`; show a deliberate error, or a package that is not installed, as its message."""
    try:
        return call()
    except RecsysError as error:
        from recsys.cli.context import printable

        click.echo(printable(f"{type(error).__name__}: {error}", keep="\n\t"), err=True)
        raise SystemExit(1) from error
    except OSError as error:
        full = disk_full(error, error.filename or "a file")
        if full is None:
            raise
        click.echo(f"{type(full).__name__}: {full}", err=True)
        raise SystemExit(1) from error
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "recsys"):  # no package is missing: the code is at fault
            raise
        click.echo(
            f"{package} is not installed: this command needs more than a reader of releases does", err=True
        )
        click.echo(f"  remedy: {NEEDS_EXTRA}", err=True)
        raise SystemExit(1) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="firstlight-recsys")
def main() -> None:
    """Firstlight: catalogue text lands, item profiles are published, recommendations follow.

    A first walk: `recsys doctor` checks this machine, `recsys ingest` takes in what has landed, `dvc repro` builds
    features, profiles, users and index, `recsys publish` makes them a release, `recsys recommend USER` uses it.
    """
