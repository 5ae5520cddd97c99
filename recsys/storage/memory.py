"""Memory that allocators hold beyond what a process uses: keep it small, and return it to the system."""

import ctypes

import pyarrow as pa

M_ARENA_MAX = -8
"""Parameter of `mallopt`, from glibc's malloc.h."""


def limit_arenas(n: int) -> None:
    """Let all threads allocate from n arenas of the C library, where it is glibc.

    By default a process has up to eight arenas per core, and each keeps what its threads freed.

    Args:
        n: arenas; those that exist already stay.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, n)


def give_memory_back() -> None:
    """Return what Arrow and the C library hold beyond what is in use; tens of milliseconds."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)
