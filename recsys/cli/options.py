"""Options that several commands have."""

import getpass
import os

import click

store_option = click.option(
    "--store", "store_url", metavar="URL", help="A folder or s3://bucket/prefix. [default: RECSYS_STORE]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
feedback_option = click.option(
    "--feedback",
    metavar="URL",
    help="Feedback store: sqlite:///path or postgresql://… "
    "[default: RECSYS_FEEDBACK, else feedback.sqlite in the workspace]",
)


def _login_name() -> str:
    """Who runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        return f"uid {os.getuid()}"


who_option = click.option(
    "--who",
    default=_login_name,
    envvar="RECSYS_WHO",
    metavar="NAME",
    help="Who acts. [default: RECSYS_WHO, else the login name]",
)
