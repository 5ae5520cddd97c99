"""A workspace keeps its own params.yaml; an upgrade of Firstlight may need a key that it lacks."""

import pytest


@pytest.mark.parametrize("command", [["ingest"], ["quarantine", "list"], ["status"], ["doctor"]])
def test_every_command_says_which_line_is_missing(empty_intake, command):
    path = empty_intake.at.params
    lines = path.read_text().splitlines()
    (missing,) = [line for line in lines if line.startswith("  grace_s:")]
    path.write_text("\n".join(line for line in lines if line != missing))
    needs = command[0] in ("ingest", "doctor")
    output = empty_intake.run(*command, code=1 if needs else 0).output
    assert "collect.grace_s is missing" in output
    assert "grace_s: 86400" in output
