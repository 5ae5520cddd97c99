"""What decides about the last bits of a vector: versions of libraries, code, and the kind of processor."""

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from recsys.processor import processor

LIBRARIES = ("openvino", "tokenizers", "numpy", "scipy", "scikit-learn")
"""Packages that compute vectors and profiles."""


@cache
def this_machine() -> frozenset[str]:
    """Traits of this process and its processor. Two with the same traits are expected to compute the same bits."""
    return frozenset(
        [
            f"Python {platform.python_version()}",
            f"Firstlight code {code_digest(Path(__file__).parent)}",
            *(f"{name} {_version(name)}" for name in LIBRARIES),
            *_blas(),
            platform.machine(),
            *processor().features,
        ]
    )


def differences(mine: frozenset[str], theirs: frozenset[str]) -> str:
    """How another machine differs from this one, in words; empty where it does not."""
    more, fewer = sorted(theirs - mine), sorted(mine - theirs)
    parts = [f"has {', '.join(more)}" if more else "", f"lacks {', '.join(fewer)}" if fewer else ""]
    return " and ".join(filter(None, parts))


def code_digest(package: Path) -> str:
    """12 hex digits of the SHA-256 over a package's modules."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def _blas() -> set[str]:
    """The linear algebra of NumPy and SciPy, with the kernels that it chose for this processor."""
    import scipy.linalg  # noqa: F401  it brings a library of its own
    from threadpoolctl import threadpool_info

    ours = ("numpy", "scipy")
    return {
        f"{one['internal_api']} {one['version']} for {one.get('architecture')}"
        for one in threadpool_info()
        if one["user_api"] == "blas" and any(name in one["filepath"] for name in ours)
    }
