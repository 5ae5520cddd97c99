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


def compile_request(model: Path, threads: int | None = None) -> Any:  # noqa: ANN401  an openvino.InferRequest
    """Compile an IR for this machine's cores.

    Nothing is cached on disk: compiling MiniLM takes 0.2 s, and a cache left by a killed process would need checks.

    Args:
        model: model.xml of a packed encoder.
        threads: how many work on one batch; None: as many as there are processors.

    Returns:
        A request, which takes one batch at a time.
    """
    openvino = load_openvino()
    core = openvino.Core()
    options = {
        "INFERENCE_PRECISION_HINT": "f32",  # bf16, the default where a processor has it, would cost 1e-3
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time on all threads
        "INFERENCE_NUM_THREADS": threads or len(os.sched_getaffinity(0)),
    }
    return core.compile_model(core.read_model(model), "CPU", options).create_infer_request()
