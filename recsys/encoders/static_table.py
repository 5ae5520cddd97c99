"""Static encoders in the format of model2vec: the vector of a text is the mean of fixed vectors of its tokens.

A folder holds config.json, tokenizer.json and model.safetensors with `embeddings` [R, D]. It may have `weights` [V] of
tokens, and `mapping` [V] from tokens to rows of `embeddings`. They are packed as one OpenVINO model from token ids to
unit vectors, like a transformer, so nothing else differs between the two kinds.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.params import EncoderParams
from recsys.encoders.runtime import load_openvino
from recsys.encoders.source import CONFIG, TOKENIZER, WEIGHTS
from recsys.errors import EncoderError

# Shape suffixes: B texts, L tokens of each, V tokens of the vocabulary, R rows of the table, D dimensions.
MODEL_TYPE = "model2vec"
"""`model_type` in config.json."""
SMALLEST_LENGTH = 1e-6
"""Of a sum of token vectors. A shorter one has no direction, as where a text has no known token."""


@dataclass(frozen=True)
class StaticTable:
    """Vectors and weights of tokens."""

    vectors_RD: NDArray[np.float32]
    row_V: NDArray[np.int64]
    """Row of each token's vector."""
    weight_V: NDArray[np.float32]
    """Weight of each token; 0 for the one of unknown words."""
    other_D: NDArray[np.float32]
    """Unit vector of a text that has no known token: the direction that all tokens share."""

    def encode(self, ids_BL: NDArray[np.int64]) -> NDArray[np.float32]:
        """Unit vectors of texts of one length, in plain numpy: what the packed model is compared with."""
        tokens_BLD = self.vectors_RD[self.row_V[ids_BL]] * self.weight_V[ids_BL][:, :, None]
        mean_BD = tokens_BLD.mean(axis=1)
        length_B1 = np.linalg.norm(mean_BD, axis=1, keepdims=True)
        is_short_B1 = length_B1 < SMALLEST_LENGTH
        return np.where(is_short_B1, self.other_D, mean_BD / np.where(is_short_B1, 1, length_B1))

    def to_openvino(self) -> Any:  # noqa: ANN401  an openvino.Model
        """The same as an OpenVINO model whose only input is `input_ids` [B, L]."""
        openvino = load_openvino()
        op = openvino.opset13
        ids = op.parameter([-1, -1], np.int64, name="input_ids")
        first, along, last = (op.constant(np.int64(axis)) for axis in (0, 1, -1))
        rows = op.gather(op.constant(self.row_V), ids, first)
        weights = op.unsqueeze(op.gather(op.constant(self.weight_V), ids, first), last)
        tokens = op.multiply(op.gather(op.constant(self.vectors_RD), rows, first), weights)
        mean = op.reduce_mean(tokens, along)
        length = op.reduce_l2(mean, along, keep_dims=True)
        is_short = op.less(length, op.constant(np.float32(SMALLEST_LENGTH)))
        unit = op.divide(mean, op.select(is_short, op.constant(np.float32(1)), length))
        other = op.unsqueeze(op.constant(self.other_D), first)
        return openvino.Model([op.select(is_short, other, unit)], [ids], "static")


def is_static(folder: Path) -> bool:
    """Whether a source is a static table. Some versions of model2vec write a config.json without a type."""
    return bool(json.loads((folder / CONFIG).read_text("utf-8")).get("model_type", MODEL_TYPE) == MODEL_TYPE)


def require_static(params: EncoderParams) -> None:
    """Refuse parameters that a static table cannot have.

    Args:
        params: section `encoder`.

    Raises:
        EncoderError: another pooling than the mean, or another precision than float32.
    """
    for key, wanted in (("pooling", "mean"), ("precision", "float32")):
        if getattr(params, key) != wanted:
            raise EncoderError(
                f"encoder.source {params.source!r} is a static table, encoder.{key} is {getattr(params, key)!r}",
                remedy=f"set encoder.{key}: {wanted}; a static table needs neither layers nor int8",
            )


def read_table(folder: Path) -> StaticTable:
    """Read the table of a folder.

    Args:
        folder: a result of `find_source`.

    Returns:
        The table.

    Raises:
        EncoderError: a tensor is missing, or they do not fit together or to the tokenizer.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    try:
        tensors = load_file(folder / WEIGHTS)
        n_tokens = Tokenizer.from_file(str(folder / TOKENIZER)).get_vocab_size()
        unknown = _unknown_token(json.loads((folder / TOKENIZER).read_text("utf-8"))["model"])
        vectors_RD = np.ascontiguousarray(tensors["embeddings"], np.float32)
        row_V = np.asarray(tensors.get("mapping", np.arange(len(vectors_RD))), np.int64)
        weight_V = np.array(tensors.get("weights", np.ones(len(row_V))), np.float32)
        _check(vectors_RD, row_V, weight_V, n_tokens)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise EncoderError(
            f"{folder / WEIGHTS} is not a static table of model2vec: {error!r}",
            remedy="save the model again with StaticModel.save_pretrained(folder)",
        ) from error
    if unknown is not None:
        weight_V[unknown] = 0
    shared_D = (vectors_RD[row_V] * weight_V[:, None]).mean(axis=0)
    length = float(np.linalg.norm(shared_D))
    other_D = (
        shared_D / length if length > SMALLEST_LENGTH else np.eye(1, vectors_RD.shape[1], dtype=np.float32)[0]
    )
    return StaticTable(vectors_RD, row_V, weight_V, other_D)


def without_special_tokens(tokenizer: Path, target: Path) -> None:
    """Copy tokenizer.json without what adds special tokens to a text: a static table has no use for them.

    Args:
        tokenizer: of the source.
        target: the copy.
    """
    plain = json.loads(tokenizer.read_text("utf-8"))
    target.write_text(json.dumps(plain | {"post_processor": None}, ensure_ascii=False), "utf-8")


def _unknown_token(model: dict[str, Any]) -> int | None:
    """Id of the token that stands for unknown words; None where the tokenizer has none."""
    by_id = "unk_id" in model  # Unigram's; its vocabulary is a list
    found = model["unk_id"] if by_id else model["vocab"].get(model.get("unk_token"))
    return None if found is None else int(found)


def _check(
    vectors_RD: NDArray[np.float32], row_V: NDArray[np.int64], weight_V: NDArray[np.float32], n_tokens: int
) -> None:
    """ValueError where arrays do not fit together."""
    if vectors_RD.ndim != 2 or not vectors_RD.size:
        raise ValueError(f"embeddings have shape {vectors_RD.shape}")
    if row_V.shape != weight_V.shape or row_V.ndim != 1 or len(row_V) < n_tokens:
        raise ValueError(f"{len(row_V)} rows and {len(weight_V)} weights for {n_tokens} tokens")
    if row_V.min() < 0 or row_V.max() >= len(vectors_RD):
        raise ValueError(f"mapping names row {row_V.max()} of {len(vectors_RD)}")
    if not (np.isfinite(vectors_RD).all() and np.isfinite(weight_V).all()):
        raise ValueError("a number is not finite")
