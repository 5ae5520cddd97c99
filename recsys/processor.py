"""What the processor of this machine can do. How fast an encoder is, and in which precision, depends on it."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_int8": "AMX int8",
    "amx_bf16": "AMX BF16",
    "asimddp": "NEON dot product",
    "i8mm": "NEON int8 matrix",
    "sve": "SVE",
}
"""Linux's flag -> name, of the instructions that products of matrices use, in float32 or int8."""


@dataclass(frozen=True)
class Processor:
    """One machine's processor."""

    model: str
    cores: int
    """That this process may use."""
    features: tuple[str, ...]
    """Names of `INSTRUCTIONS` that it has; empty where the system does not say."""

    def __str__(self) -> str:
        has = ", ".join(self.features) or "features unknown"
        return f"{self.model}, {self.cores} cores ({has})"


def processor(cpuinfo: Path = CPUINFO) -> Processor:
    """Describe the processor of this machine.

    Args:
        cpuinfo: what Linux says of it. Other systems have no such file: then no features are known.

    Returns:
        Model, cores and features.
    """
    found: dict[str, str] = {}
    if cpuinfo.is_file():
        for line in cpuinfo.read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip().lower(), value.strip())
    flags = set(found.get("flags", found.get("features", "")).split())  # the second on ARM
    model = found.get("model name") or platform.processor() or platform.machine()
    features = tuple(name for flag, name in INSTRUCTIONS.items() if flag in flags)
    return Processor(model, usable_cores(), features)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
