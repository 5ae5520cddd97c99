"""Errors of the platform and the demo."""


class LocalError(RuntimeError):
    """Base class. The message is shown without a traceback."""
