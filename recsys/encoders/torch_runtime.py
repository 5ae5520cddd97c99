"""A packed model run by torch, on a CUDA device.

The packed model is the one that OpenVINO runs on processors: its graph and weights are read as they are, and each
operation is computed by torch. So no other file is needed, and everything that can be packed has the same hash and,
in float32, the same vectors on both: they differ by less than 1e-5.

A vector depends on its text alone: every batch of texts of one length has the same number of rows, filled up where
there are fewer texts, so that the device computes each with the same kernels. Another `batch_tokens` may change last
bits, and so may another device.

It imports torch, so it is itself imported only where a device is used.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.encoders.runtime import read_model
from recsys.encoders.torch_operations import ELEMENTWISE, OTHERS, elementwise
from recsys.encoders.torch_products import HALVES, PRODUCTS, Operation
from recsys.errors import EncoderError

DTYPES = {
    "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "i64": torch.int64, "i32": torch.int32,
    "u8": torch.uint8, "boolean": torch.bool,
}  # fmt: skip
"""OpenVINO's name of a type -> torch's."""
PRODUCTS_IN = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""`encoder.precision` -> what products of matrices are computed in; float32 for others."""


@dataclass(frozen=True)
class _Step:
    """One operation. Numbers are places of its inputs and outputs among all values."""

    run: Operation
    takes: tuple[int, ...]
    gives: tuple[int, ...]
    frees: tuple[int, ...]
    """Values that nothing later takes: their memory is given back."""


class TorchRunner:
    """Implements `Runner` with torch.

    Args:
        model: model.xml of a packed encoder.
        device: of torch, such as cuda.
        precision: of the encoder.
        batch_tokens: tokens of a batch of texts; None: batches are taken as they come.

    Raises:
        EncoderError: the model holds an operation that is not known here; names it.
    """

    def __init__(self, model: Path, device: str, precision: str, batch_tokens: int | None = None) -> None:
        self._device, self._batch_tokens = torch.device(device), batch_tokens
        self._values, self._steps, self._input, self._output = _translate(
            read_model(model), self._device, PRODUCTS_IN.get(precision)
        )

    def __call__(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """See `Runner`."""
        n_rows = len(inputs)
        if self._batch_tokens is not None:
            inputs = filled_up(inputs, self._batch_tokens)
        with torch.inference_mode(), exact_kernels():
            found = self._run(torch.from_numpy(np.array(inputs)).to(self._device))
            vectors: NDArray[np.float32] = found[:n_rows].float().cpu().numpy()
        return vectors

    def _run(self, inputs: torch.Tensor) -> torch.Tensor:
        values = [*self._values]
        values[self._input] = inputs
        for step in self._steps:
            found = step.run(*(values[place] for place in step.takes))
            for place, value in zip(step.gives, found if isinstance(found, tuple) else (found,), strict=True):
                values[place] = value
            for place in step.frees:
                values[place] = None
        output: torch.Tensor = values[self._output]
        return output


def finds_cuda() -> bool:
    """Whether there is a CUDA device, and this torch can use it."""
    return torch.cuda.is_available()


def filled_up(inputs: NDArray[Any], batch_tokens: int) -> NDArray[Any]:
    """A batch with as many rows as every batch of its length has; the last row is repeated.

    Args:
        inputs: [B, L].
        batch_tokens: that a batch may have.

    Returns:
        [max(1, batch_tokens // L), L].
    """
    n_missing = max(1, batch_tokens // inputs.shape[1]) - len(inputs)
    return np.concatenate([inputs, np.repeat(inputs[-1:], n_missing, axis=0)]) if n_missing > 0 else inputs


@contextmanager
def exact_kernels() -> Iterator[None]:
    """Products in the precision that was asked for, by kernels that give the same bits each time."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    wanted: tuple[tuple[Any, str, bool], ...] = (
        (matmul, "allow_tf32", False),
        (matmul, "allow_bf16_reduced_precision_reduction", False),
        (matmul, "allow_fp16_reduced_precision_reduction", False),
        (cudnn, "allow_tf32", False),
        (cudnn, "deterministic", True),
        (cudnn, "benchmark", False),
    )
    before = [getattr(where, name) for where, name, _ in wanted]
    try:
        for where, name, value in wanted:
            setattr(where, name, value)
        yield
    finally:
        for (where, name, _), value in zip(wanted, before, strict=True):
            setattr(where, name, value)


def _translate(
    model: Any,  # noqa: ANN401  an openvino.Model
    device: torch.device,
    dtype: torch.dtype | None,
) -> tuple[list[Any], tuple[_Step, ...], int, int]:
    """Values that are known from the beginning, steps, and the places of input and output among the values."""
    places: dict[tuple[str, int], int] = {}
    values: list[Any] = []
    steps: list[_Step] = []
    first = last = -1
    for node in model.get_ordered_ops():
        takes = tuple(places[_source(node, number)] for number in range(node.get_input_size()))
        if node.get_type_name() == "Result":
            (last,) = takes
            continue
        gives = tuple(range(len(values), len(values) + node.get_output_size()))
        places |= {(node.get_friendly_name(), number): place for number, place in enumerate(gives)}
        values += [None] * len(gives)
        if node.get_type_name() == "Parameter":
            (first,) = gives
        elif node.get_type_name() == "Constant":
            values[gives[0]] = _constant(node)
        else:
            run = _operation(node, dtype)
            if all(values[place] is not None for place in takes):  # computed once and for all
                found = run(*(values[place] for place in takes))
                values[gives[0] : gives[-1] + 1] = found if isinstance(found, tuple) else (found,)
            else:
                steps.append(_Step(run, takes, gives, ()))
    needed = {place for step in steps for place in step.takes} | {last}
    for place, value in enumerate(values):
        if value is not None:
            where = device if belongs_on_device(value) else value.device
            values[place] = value.to(where) if place in needed else None
    known = {place for place, value in enumerate(values) if value is not None}
    return values, _freeing(steps, known | {last}), first, last


def _source(node: Any, number: int) -> tuple[str, int]:  # noqa: ANN401  an openvino.Node
    output = node.input_value(number)
    return output.get_node().get_friendly_name(), output.get_index()


def _constant(node: Any) -> torch.Tensor:  # noqa: ANN401  an openvino.Node
    """Weights, as they are stored. numpy has no bfloat16: OpenVINO shows its bits as float16."""
    values = torch.from_numpy(np.array(node.data))
    return values.view(torch.bfloat16) if node.get_element_type().get_type_name() == "bf16" else values


def belongs_on_device(value: torch.Tensor) -> bool:
    """Whether a constant is moved to the device at once. Whole and single numbers stay until they meet others."""
    return value.is_floating_point() and value.ndim > 0


def _operation(node: Any, dtype: torch.dtype | None) -> Operation:  # noqa: ANN401  an openvino.Node
    name, attributes = node.get_type_name(), node.get_attributes()
    try:
        if name in PRODUCTS:
            return PRODUCTS[name](attributes, dtype)
        if name in ELEMENTWISE:
            return elementwise(ELEMENTWISE[name])
        if name in OTHERS:
            return OTHERS[name](attributes)
        if name == "Convert":
            return _conversion(DTYPES[node.get_element_type().get_type_name()])
        if name == "Range":
            to = DTYPES[node.get_element_type().get_type_name()]
            return lambda first, end, step: torch.arange(first.item(), end.item(), step.item(), dtype=to)
    except (NotImplementedError, KeyError) as error:
        name = f"{name} ({error})"
    raise EncoderError(
        f"the packed encoder holds operation {name}, which torch is not told how to compute",
        remedy="set profiles.device: cpu",
    )


def _conversion(to: torch.dtype) -> Operation:
    """Weights of 16 bits are not widened here but where they are used, see `torch_products`."""
    return lambda values: values if values.dtype in HALVES and to == torch.float32 else values.to(to)


def _freeing(steps: list[_Step], kept: set[int]) -> tuple[_Step, ...]:
    """The same steps; each gives back what is taken for the last time."""
    seen, found = set(kept), []
    for step in reversed(steps):
        done = tuple({place for place in (*step.takes, *step.gives) if place not in seen})
        seen |= set(done)
        found.append(_Step(step.run, step.takes, step.gives, done))
    return tuple(reversed(found))
