"""Effects: what commands do to the world. One module and one function per command, both named after it.

An effect changes the world (landed files, the registry, the release store, workspaces) or reports on it. It is no DVC
stage, and safe to run twice. The command line parses, calls one of these functions and prints what it returns.
`workspaces.py` and `states.py` hold what the effects on workspaces share.
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
