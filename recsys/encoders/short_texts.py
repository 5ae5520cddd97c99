"""Single texts of few tokens, as queries are, by the same packed transformer at two fixed sizes.

A model that takes batches of any shape chooses its kernels anew whenever the shape changes: for a query of eight tokens
OpenVINO spends two thirds of its time on that. Here a text is padded to the next size, and a mask hides the padding: of
attention, and of the mean over tokens. So a vector still depends on its text alone, to the last bit.

It is not that of the unpadded text, which sums over tokens in another order. In float32 the two differ by less than
1e-6. In int8 a number between two steps may then be rounded to the other one; of 2,000 queries over MiniLM the cosine
of both was .9991 at least, and that with their float32 vectors is .997 in the mean.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.runtime import compiled, load_openvino, look_up_in_8_bits, read_model

# Shape suffixes: L tokens of a text, S tokens of a size, D dimension.
SIZES = (8, 16)
"""Tokens. Each size has weights of its own in memory, 33 MB for MiniLM, and longer texts gain less."""
MASK = 3
"""Input of an attention: what is added to its scores."""
PROBE = (0, 1, 2)
"""Tokens of a text that shows whether padding is hidden."""


class ShortTexts:
    """Opens a size when a text first needs it, or all at once. Not for several threads at once.

    Args:
        model: model.xml of a packed encoder.
        max_tokens: of a text.
        threads: how many work on a text; None: as many as there are processors.
    """

    def __init__(self, model: Path, max_tokens: int, threads: int | None) -> None:
        self._model, self._threads = model, threads
        self._sizes = tuple(size for size in SIZES if size <= max_tokens)
        self._opened: dict[int, _Sized | None] = {}

    def vector(self, ids_L: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """The vector of one text.

        Args:
            ids_L: its tokens.

        Returns:
            [D]; None where the text is longer than all sizes, or the model is none whose padding can be hidden.
        """
        size = next((one for one in self._sizes if len(ids_L) <= one), None)
        sized = None if size is None else self._at(size)
        return None if sized is None else sized.vector(ids_L)

    def open(self) -> None:
        """Open all sizes."""
        for size in self._sizes:
            self._at(size)

    def _at(self, size: int) -> "_Sized | None":
        """The model at a size; None where its padding cannot be hidden."""
        if size not in self._opened:
            self._opened[size] = _Sized.of(self._model, size, self._threads)
        return self._opened[size]


@dataclass(frozen=True)
class _Sized:
    """The model at one size, and the arrays that it reads and writes."""

    request: Any
    """An openvino.InferRequest."""
    ids_1S: NDArray[np.int64]
    hidden_111S: NDArray[np.float32]
    """Added to scores of attention: 0 for tokens of the text, -inf for those after it."""
    share_1S1: NDArray[np.float32]
    """Of each token in the mean."""
    found_1D: NDArray[np.float32]

    @classmethod
    def of(cls, path: Path, size: int, threads: int | None) -> Self | None:
        """Open it; None where padding cannot be hidden."""
        model = read_model(path)
        look_up_in_8_bits(model)
        if not _mask(model, size):
            return None
        request = compiled(model, threads)
        arrays = [np.zeros(tuple(one.shape), one.element_type.to_dtype()) for one in model.inputs]
        for place, array in enumerate(arrays):
            request.set_input_tensor(place, load_openvino().Tensor(array, shared_memory=True))
        ids_1S, hidden_111S, share_1S1 = arrays
        found = cls(request, ids_1S, hidden_111S, share_1S1, request.get_output_tensor(0).data)
        return found if found._hides_padding() else None

    def vector(self, ids_L: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vector of a text that is no longer than the size, [D]. What follows it is left from texts before."""
        n = len(ids_L)
        self.ids_1S[0, :n] = ids_L
        self.hidden_111S[..., :n], self.hidden_111S[..., n:] = 0, -np.inf
        self.share_1S1[:, :n], self.share_1S1[:, n:] = 1 / n, 0
        self.request.infer()
        found_D: NDArray[np.float32] = self.found_1D[0].copy()
        return found_D

    def _hides_padding(self) -> bool:
        """Whether a text's vector is the same whatever follows it."""
        probe, found = np.array(PROBE), []
        for other in PROBE[:2]:
            self.vector(np.full(self.ids_1S.shape[1], other))
            found.append(self.vector(probe))
        first, second = found
        return bool(np.array_equal(first, second) and np.isfinite(first).all())


def _mask(model: Any, size: int) -> bool:  # noqa: ANN401  an openvino.Model
    """Give a model one size and a mask.

    Args:
        model: its input are tokens [B, L]. Changed in place: then it is [1, S], and two more follow, what is added to
            scores of attention [1, 1, 1, S] and shares of the mean [1, S, 1].
        size: S.

    Returns:
        False where the model has no attention of all tokens to all others, or takes more than one mean.
    """
    openvino = load_openvino()
    operations, kind = openvino.opset13, openvino.Type.f32
    nodes = model.get_ordered_ops()
    attentions = [one for one in nodes if one.get_type_name() == "ScaledDotProductAttention"]
    means = [one for one in nodes if one.get_type_name() == "ReduceMean"]
    if not attentions or not all(map(_is_unmasked, attentions)) or len(means) > 1:
        return False
    hidden, share = operations.parameter([1, 1, 1, size], kind), operations.parameter([1, size, 1], kind)
    for one in attentions:
        one.input(MASK).replace_source_output(hidden.output(0))
    for one in means:
        shared = operations.multiply(one.input_value(0), share)
        summed = operations.reduce_sum(shared, one.input_value(1), one.get_attributes()["keep_dims"])
        one.output(0).replace(summed.output(0))
    model.add_parameters([hidden, share])
    model.reshape({0: [1, size]})
    return True


def _is_unmasked(attention: Any) -> bool:  # noqa: ANN401  an openvino.Node
    """Whether every token heeds all others, by a mask of nothing but zeros."""
    if attention.get_attributes()["causal"] or attention.get_input_size() <= MASK:
        return False
    mask = attention.input_value(MASK).get_node()
    return bool(mask.get_type_name() == "Constant" and not np.any(mask.data))
