"""Firstlight: cold-start item profiles. The consumer's door is `Release`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys.serving.reader import Release

__all__ = ["Release"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  lazy, so that `import recsys` stays instant
    if name == "Release":
        from recsys.serving.reader import Release

        return Release
    raise AttributeError(f"module 'recsys' has no attribute {name!r}")
