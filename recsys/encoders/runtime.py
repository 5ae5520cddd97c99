"""How packed models are run: on processors by OpenVINO, silent, without telemetry, float32 between quantised layers.

On a CUDA device torch runs them, see `torch_runtime`.
"""

import os
import sys
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.errors import ConfigError, EncoderError

Device = Literal["cpu", "cuda", "auto"]
DRIVER_FILES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""One of them is there where CUDA can be: Linux's driver, and that of Windows' Linux."""


class Runner(Protocol):
    """Runs a packed model. Not for several threads at once."""

    def __call__(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Vectors of a batch.

        Args:
            inputs: int64 token ids [B, L], or uint8 pixels [1, S, S, 3].

        Returns:
            float32 [B, D]; a row depends on the same row of the inputs alone.
        """


class OpenVinoRunner:
    """Implements `Runner` on processors. The model is compiled at its first batch: short texts need none."""

    def __init__(self, model: Path, threads: int | None) -> None:
        self._model, self._threads = model, threads

    @cached_property
    def _request(self) -> Any:  # noqa: ANN401  an openvino.InferRequest
        return compile_request(self._model, self._threads)

    def __call__(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """See `Runner`."""
        self._request.infer({0: inputs}, share_inputs=True)
        vectors: NDArray[np.float32] = self._request.get_output_tensor(0).data.copy()
        return vectors


def open_runner(
    model: Path,
    shapes: Sequence[str],
    precision: str,
    threads: int | None = None,
    device: str = "cpu",
    batch_tokens: int | None = None,
) -> Runner:
    """Open a packed model where it is to run.

    Args:
        model: model.xml.
        shapes: that its inputs and outputs must have, as OpenVINO writes them.
        precision: of the encoder.
        threads: how many work on one batch; None: as many as there are processors. Without meaning on a GPU.
        device: cpu for OpenVINO, or a device of torch; see `device_for`.
        batch_tokens: tokens of a batch of texts; None: of pictures.

    Returns:
        The model.

    Raises:
        EncoderError: its shapes are others, or it cannot be run there.
    """
    found = read_model(model)
    given = [str(one.partial_shape) for one in (*found.inputs, *found.outputs)]
    if given != list(shapes):
        raise EncoderError(
            f"{model} takes and gives {', '.join(given)}, not {', '.join(shapes)}",
            remedy=f"delete {model.parent}: it is packed again",
        )
    if device == "cpu":
        return OpenVinoRunner(model, threads)
    from recsys.encoders.torch_runtime import TorchRunner

    return TorchRunner(model, device, precision, batch_tokens)


def device_for(wanted: Device, precision: str) -> str:
    """Where an encoder runs.

    Args:
        wanted: `profiles.device`.
        precision: of the encoder.

    Returns:
        cpu or cuda. auto is cuda where there is such a device, but for int8, which is made for processors.

    Raises:
        ConfigError: cuda is wanted where there is none, or for int8.
    """
    if wanted == "cpu" or (wanted == "auto" and (precision == "int8" or not has_cuda())):
        return "cpu"
    if precision == "int8":
        raise ConfigError(
            "an int8 encoder runs on processors, and profiles.device is cuda",
            remedy="set encoder.precision: bfloat16 (then recsys fetch-champion --again), or profiles.device: cpu",
        )
    if not has_cuda():
        raise ConfigError(
            "profiles.device is cuda, and torch finds no CUDA device here",
            remedy="run it where there is one (queue gpu), install a torch with CUDA, or set profiles.device: auto",
        )
    return "cuda"


def has_cuda() -> bool:
    """Whether torch finds a CUDA device. Where no driver is, torch is not imported: that takes seconds."""
    if not any(path.exists() for path in DRIVER_FILES) or find_spec("torch") is None:
        return False
    from recsys.encoders.torch_runtime import finds_cuda

    return finds_cuda()


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
    read = read_model(model)
    look_up_in_8_bits(read)
    return compiled(read, threads)


def compiled(model: Any, threads: int | None) -> Any:  # noqa: ANN401  openvino.Model, openvino.InferRequest
    """Compile a model that was read; see `compile_request`."""
    options = {
        "INFERENCE_PRECISION_HINT": "f32",  # bf16, the default where a processor has it, would cost 1e-3
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time on all threads
        "INFERENCE_NUM_THREADS": threads or len(os.sched_getaffinity(0)),
    }
    return load_openvino().Core().compile_model(model, "CPU", options).create_infer_request()


def read_model(model: Path) -> Any:  # noqa: ANN401  an openvino.Model
    """Read an IR: its graph, and its weights, which stay in the file until they are used."""
    return load_openvino().Core().read_model(model)


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
