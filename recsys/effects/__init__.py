"""Effects: one module per command, with one function of the same name.

An effect changes something outside the workspace's files (landed files, the registry, the release store, other
workspaces), or reports on it. It is not a DVC stage, and it is safe to run twice. The command line parses, calls one of
these functions and prints the result. `workspaces.py` and `states.py` hold code that effects on workspaces share;
`finding.py`, `machine_checks.py` and `storage_checks.py` belong to `doctor`, `forget_states.py` to `forget`.
"""

EFFECTS = (
    "ingest",
    "arrive",
    "quarantine retry",
    "fetch-champion",
    "due",
    "register",
    "promote",
    "champion",
    "webhook",
    "workspace make",
    "workspace sync",
    "workspace finish",
    "catch-up",
    "publish",
    "rollback",
    "resume",
    "collect",
    "compact",
    "forget",
    "restore",
    "gram export",
    "gram merge",
    "keys make",
    "keys sign",
    "watch",
    "wake-training",
    "status",
    "compare",
    "doctor",
    "benchmark cold-start",
)
"""Commands. `workspace make` is function `workspace_make` of module `workspace_make`."""
