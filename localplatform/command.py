"""What `python -m localplatform` and `python -m demo` share: the console, a clean exit, errors as messages."""

import os
import signal
import sys
from types import FrameType

import click
from rich.console import Console

from localplatform.errors import LocalError
from localplatform.processes import QUIET, path_with_venv
from recsys.errors import RecsysError

INTERRUPTED = 130
# A log file or a pipe has no width, and eighty columns are too few for a table.
console = Console(width=None if sys.stdout.isatty() else 132)


def run_command(main: click.Command) -> int:
    """Run a command line, and stop every server at its end, whatever ends it.

    Args:
        main: the command or group.

    Returns:
        The exit code: 130 when it was interrupted, 1 after an error that was shown as its message.
    """
    os.environ.update(QUIET | {"PATH": path_with_venv()})
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        main.main(standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, click.Abort):
        console.print("\n[yellow]interrupted; everything that was started has been stopped[/]")
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (LocalError, RecsysError) as error:
        console.print(f"[red]{type(error).__name__}[/]: ", end="")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
