"""What the platform and the demo raise on purpose."""


class LocalError(RuntimeError):
    """Base of these errors: a person is shown the message, without a traceback."""
