"""Memory that a process no longer uses, given back to the system: allocators keep it for later otherwise."""

import ctypes

import pyarrow as pa


def give_memory_back() -> None:
    """Return what Arrow and the C library hold beyond what is in use; tens of milliseconds."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)
