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
    read = core.read_model(model)
    look_up_in_8_bits(read)
    return core.compile_model(read, "CPU", options).create_infer_request()


def look_up_in_8_bits(model: Any) -> None:  # noqa: ANN401  an openvino.Model
    """Widen only the looked-up rows of tables of 8 bits to float32, to the same numbers.

    As packed, a table is widened and then looked up. OpenVINO would widen it once and for all when it compiles: 45 MB
    for the words of MiniLM, in each process.

    Args:
        model: changed in place. Tables that are stored in another way are left alone.
    """
    operations = load_openvino().opset13
    for lookup in model.get_ordered_ops():
        if lookup.get_type_name() != "Gather" or (parts := _table_and_scale(lookup)) is None:
            continue
        rows, axis = lookup.input_value(1), lookup.input_value(2)
        codes, scales = (operations.gather(part, rows, axis) for part in parts)
        lookup.output(0).replace(operations.multiply(operations.convert(codes, "f32"), scales).output(0))
    model.validate_nodes_and_infer_types()


def _table_and_scale(lookup: Any) -> tuple[Any, Any] | None:  # noqa: ANN401  an openvino.Node
    """The table of whole numbers [n, d] that rows are looked up in, and the factor of each row [n, 1]."""
    widened, axis = lookup.input_value(0).get_node(), lookup.input_value(2).get_node()
    if widened.get_type_name() != "Multiply" or axis.get_type_name() != "Constant" or axis.data != 0:
        return None
    converted, scale = (widened.input_value(place).get_node() for place in (0, 1))
    if converted.get_type_name() != "Convert" or scale.get_type_name() != "Constant":
        return None
    table = converted.input_value(0)
    is_table = table.get_node().get_type_name() == "Constant" and len(table.get_shape()) == 2  # noqa: PLR2004
    if not is_table or list(scale.get_output_shape(0)) != [table.get_shape()[0], 1]:
        return None
    return table, scale.output(0)
