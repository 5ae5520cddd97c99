"""How OpenVINO is used here: silent, without telemetry, float32 between quantised layers."""

import os
import sys
from pathlib import Path
from typing import Any


def load_openvino() -> Any:  # noqa: ANN401  the module
    """Import openvino without its telemetry, which sends a report on import. OpenVINO works without that package."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: its import fails
    import openvino

    return openvino


def compile_requests(model: Path, threads: int | None = None) -> tuple[Any, ...]:
    """Compile an IR for this machine's cores.

    A batch on one core costs a sixth less CPU than the same batch on two, which wait for each other.

    Nothing is cached on disk: compiling MiniLM takes 0.2 s, and a cache left by a killed process would need checks.

    Args:
        model: model.xml of a packed encoder.
        threads: how many batches are computed at a time; None: as many as there are processors.

    Returns:
        A request (openvino.InferRequest) for each of them. A request takes one batch at a time, on one thread.
    """
    openvino = load_openvino()
    core = openvino.Core()
    n_threads = threads or len(os.sched_getaffinity(0))
    options = {
        "INFERENCE_PRECISION_HINT": "f32",  # bf16, the default where a processor has it, would cost 1e-3
        "NUM_STREAMS": n_threads,
        "INFERENCE_NUM_THREADS": n_threads,
    }
    compiled = core.compile_model(core.read_model(model), "CPU", options)
    return tuple(compiled.create_infer_request() for _ in range(n_threads))
