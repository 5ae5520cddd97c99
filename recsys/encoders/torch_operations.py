"""The operations of packed models, in torch: what a graph for OpenVINO is made of, one function each.

It imports torch, so it is itself imported only where a model is run by torch. What an operation computes is defined by
OpenVINO's operation sets (docs.openvino.ai, "Operation Sets"); the tests compare each with OpenVINO.

Whole numbers (shapes, axes, positions) are computed on the processor: reading them back from a GPU would stop it. They
go to a device where they meet what lies there. Products are in `torch_products.py`.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from recsys.encoders.torch_products import Attributes, Operation, on_one_device, widened


def whole(tensor: Tensor) -> list[int]:
    """A tensor of shapes, axes or positions as whole numbers."""
    return [int(one) for one in tensor.flatten().tolist()]


def elementwise(function: Operation) -> Operation:
    """An operation on values at the same place of each input, widened and on one device."""
    return lambda *inputs: function(*on_one_device(*(widened(one) for one in inputs)))


def normalised(attributes: Attributes) -> Operation:
    """Operation MVN: to mean 0 and, where asked, variance 1 over some axes."""

    def run(values: Tensor, axes: Tensor) -> Tensor:
        over = whole(axes)
        values = values - values.mean(over, keepdim=True)
        if not attributes["normalize_variance"]:
            return values
        variance, epsilon = values.square().mean(over, keepdim=True), float(attributes["eps"])
        is_inside = attributes["eps_mode"].lower() == "inside_sqrt"
        deviation = torch.sqrt(variance + epsilon) if is_inside else torch.sqrt(variance) + epsilon
        return values / deviation

    return run


def reduced(function: Operation) -> Callable[[Attributes], Operation]:
    """An operation that takes several axes together."""

    def of(attributes: Attributes) -> Operation:
        def run(values: Tensor, axes: Tensor) -> Tensor:
            over = whole(axes)
            found: Tensor = function(widened(values), over) if over else values
            return found if attributes["keep_dims"] else found.squeeze(over)

        return run

    return of


def _product_over(values: Tensor, axes: list[int]) -> Tensor:
    for axis in axes:
        values = values.prod(axis, keepdim=True)
    return values


def gather(attributes: Attributes) -> Operation:
    """Operation Gather; negative positions count from the end."""
    if attributes["batch_dims"]:
        raise NotImplementedError("Gather with batch dimensions")

    def run(table: Tensor, positions: Tensor, axis: Tensor) -> Tensor:
        (along,) = whole(axis)
        along %= table.ndim
        table, positions = on_one_device(table, positions.long())
        rows = positions.flatten()
        rows = torch.where(rows < 0, rows + table.shape[along], rows)
        found = table.index_select(along, rows)
        shape = (*table.shape[:along], *positions.shape, *table.shape[along + 1 :])
        return widened(found.reshape(shape))

    return run


def gather_elements(attributes: Attributes) -> Operation:
    """Operation GatherElements."""

    def run(values: Tensor, positions: Tensor) -> Tensor:
        values, positions = on_one_device(values, positions.long())
        return values.gather(attributes["axis"], positions)

    return run


def sliced(values: Tensor, start: Tensor, stop: Tensor, step: Tensor, axes: Tensor | None = None) -> Tensor:
    """Operation Slice."""
    over = range(len(start)) if axes is None else whole(axes)
    places = [slice(None)] * values.ndim
    for axis, first, last, by in zip(over, whole(start), whole(stop), whole(step), strict=True):
        places[axis] = slice(first, last, by)
    return values[tuple(places)]


def reshaped(attributes: Attributes) -> Operation:
    """Operation Reshape: 0 keeps a size where it says so, -1 is what remains."""

    def run(values: Tensor, shape: Tensor) -> Tensor:
        sizes = whole(shape)
        if attributes["special_zero"]:
            sizes = [values.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
        return values.reshape(sizes)

    return run


def broadcast(attributes: Attributes) -> Operation:
    """Operation Broadcast."""
    mode = attributes["mode"].lower()
    if mode not in ("numpy", "bidirectional"):
        raise NotImplementedError(f"Broadcast in mode {mode}")

    def run(values: Tensor, shape: Tensor) -> Tensor:
        sizes = whole(shape)
        if mode == "bidirectional":
            sizes = list(torch.broadcast_shapes(values.shape, tuple(sizes)))
        return values.broadcast_to(sizes)

    return run


def squeezed(values: Tensor, axes: Tensor | None = None) -> Tensor:
    """Operation Squeeze."""
    return values.squeeze() if axes is None else values.squeeze(whole(axes))


def unsqueezed(values: Tensor, axes: Tensor) -> Tensor:
    """Operation Unsqueeze: axes count in the result."""
    found = whole(axes)
    n_axes = values.ndim + len(found)
    for axis in sorted(one % n_axes for one in found):
        values = values.unsqueeze(axis)
    return values


def split(attributes: Attributes) -> Operation:
    """Operation Split."""

    def run(values: Tensor, axis: Tensor) -> tuple[Tensor, ...]:
        return values.tensor_split(attributes["num_splits"], int(axis))

    return run


def split_by_lengths(values: Tensor, axis: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
    """Operation VariadicSplit: -1 is what remains."""
    along, sizes = int(axis), whole(lengths)
    rest = values.shape[along] - sum(size for size in sizes if size >= 0)
    return torch.split(values, [rest if size < 0 else size for size in sizes], along)


def summed_up(attributes: Attributes) -> Operation:
    """Operation CumSum."""
    if attributes["exclusive"] or attributes["reverse"]:
        raise NotImplementedError("CumSum, exclusive or reverse")
    return lambda values, axis: values.cumsum(int(axis)).to(values.dtype)


def divided(attributes: Attributes) -> Operation:
    """Operation Divide: of whole numbers the quotient is whole, rounded down, or towards 0."""
    rounding = "floor" if attributes["m_pythondiv"] else "trunc"

    def run(left: Tensor, right: Tensor) -> Tensor:
        is_whole = not (left.is_floating_point() or right.is_floating_point())
        return torch.div(left, right, rounding_mode=rounding if is_whole else None)

    return elementwise(run)


def swish(values: Tensor, beta: Tensor | None = None) -> Tensor:
    """Operation Swish."""
    return values * torch.sigmoid(values if beta is None else values * beta)


def gelu(attributes: Attributes) -> Operation:
    """Operation Gelu."""
    how = "tanh" if attributes["approximation_mode"].lower() == "tanh" else "none"
    return lambda values: functional.gelu(values, approximate=how)


ELEMENTWISE: dict[str, Operation] = {
    "Add": torch.add, "Subtract": torch.sub, "Multiply": torch.mul,
    "Maximum": torch.maximum, "Minimum": torch.minimum, "Power": torch.pow, "Sqrt": torch.sqrt, "Exp": torch.exp,
    "Negative": torch.neg, "Abs": torch.abs, "Erf": torch.erf, "Cos": torch.cos, "Sin": torch.sin, "Tanh": torch.tanh,
    "Sigmoid": torch.sigmoid, "Relu": torch.relu, "Swish": swish, "Less": torch.lt, "LessEqual": torch.le,
    "Greater": torch.gt, "GreaterEqual": torch.ge, "Equal": torch.eq, "NotEqual": torch.ne,
    "LogicalAnd": torch.logical_and, "LogicalOr": torch.logical_or, "LogicalNot": torch.logical_not,
    "BitwiseAnd": torch.bitwise_and, "BitwiseOr": torch.bitwise_or, "Select": torch.where,
}  # fmt: skip
OTHERS: dict[str, Callable[[Attributes], Operation]] = {
    "MVN": normalised,
    "Divide": divided,
    "Gelu": gelu,
    "Clamp": lambda of: lambda values: values.clamp(of["min"], of["max"]),
    "Softmax": lambda of: lambda values: values.softmax(of["axis"]),
    "ReduceMean": reduced(lambda values, axes: values.mean(axes, keepdim=True)),
    "ReduceSum": reduced(lambda values, axes: values.sum(axes, keepdim=True)),
    "ReduceMax": reduced(lambda values, axes: values.amax(axes, keepdim=True)),
    "ReduceProd": reduced(_product_over),
    "ReduceL2": reduced(lambda values, axes: values.square().sum(axes, keepdim=True).sqrt()),
    "CumSum": summed_up,
    "Gather": gather,
    "GatherElements": gather_elements,
    "Slice": lambda _: sliced,
    "Reshape": reshaped,
    "Broadcast": broadcast,
    "Squeeze": lambda _: squeezed,
    "Unsqueeze": lambda _: unsqueezed,
    "Transpose": lambda _: lambda values, order: values.permute(whole(order)),
    "Concat": lambda of: lambda *values: torch.cat(on_one_device(*values), of["axis"]),
    "Split": split,
    "VariadicSplit": lambda _: split_by_lengths,
    "ShapeOf": lambda _: lambda values: torch.tensor(values.shape),
}
"""Attributes of an operation -> what it does."""
