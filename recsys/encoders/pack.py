"""Pack an encoder: a transformer with pooling, or a static table, becomes one OpenVINO model of unit vectors."""

import hashlib
import json
import logging
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.declared import settled
from recsys.encoders.params import EncoderParams
from recsys.encoders.pooling import pooled
from recsys.encoders.reference import MODEL, REFERENCE, TOKENIZER, EncoderReference
from recsys.encoders.runtime import compile_request, load_openvino
from recsys.encoders.source import find_source, source_files
from recsys.encoders.static_table import is_static, read_table, require_static, without_special_tokens
from recsys.encoders.transformer import load_tokenizer, tokens_of
from recsys.errors import ArtifactMissing, EncoderError
from recsys.storage.packed import PackedFile, land, staged, verify_sizes

PACK_VERSION = 1
"""Part of every encoder hash. Raise it when the same source would be packed into another model."""
PREFIXES = ("item_prefix", "query_prefix")
MIN_CALIBRATION_TEXTS = 32
MIN_COSINE = 0.9999
MIN_INT8_COSINE = 0.95
MIN_16_BIT_COSINE = 0.999
SIXTEEN_BITS = {"bfloat16": "bf16", "float16": "f16"}
"""Precision -> OpenVINO's name of the type that weights are rounded to."""


def pack_encoder(params: EncoderParams, encoders: Path, calibration_texts: Sequence[str]) -> EncoderReference:
    """Pack the encoder that `params` describes. An existing one is returned at once, without torch.

    Args:
        params: section `encoder`.
        encoders: folder of packed encoders; the new one becomes `<encoders>/<hash>/`.
        calibration_texts: int8 only: texts that set the scales. The `params.calibration_texts` of them with the
            smallest hashes are used, so their order does not matter.

    Returns:
        The reference, without a registry entry.

    Raises:
        EncoderError: the source is missing, is not made of safetensors, was trained with another pooling, cannot be
            converted, or there are too few calibration texts.
    """
    source = find_source(params.source)
    params = settled(params, source)
    if is_static(source):
        require_static(params)
    chosen = _calibration(params, calibration_texts)
    target = encoders / _recipe_hash(params, source, chosen)
    try:
        reference = EncoderReference.load(target / REFERENCE)
        verify_sizes(target, reference.files)
        # The same files may have been packed under another name: the reference has the name in params.
        return reference.model_copy(update={"source": params.source})
    except (ArtifactMissing, EncoderError):
        shutil.rmtree(target, ignore_errors=True)
    with staged(encoders) as staging:
        reference = _pack(params, source, chosen, staging, target.name)
        land(staging, target, reference.files)
    return reference


def _calibration(params: EncoderParams, texts: Sequence[str]) -> list[str]:
    if params.precision != "int8":
        return []
    distinct = {text for text in texts if text.strip()}
    if len(distinct) < MIN_CALIBRATION_TEXTS:
        raise EncoderError(
            f"int8 needs at least {MIN_CALIBRATION_TEXTS} different texts to set its scales, got {len(distinct)}",
            remedy="let more catalogue text land, or set encoder.precision: float32",
        )
    by_hash = sorted(distinct, key=lambda text: hashlib.sha256(text.encode()).digest())
    return by_hash[: params.calibration_texts]


def _recipe_hash(params: EncoderParams, source: Path, calibration: Sequence[str]) -> str:
    recipe = {
        "files": {path.name: PackedFile.of(path).sha256 for path in source_files(source)},
        "pooling": params.pooling,
        "max_tokens": params.max_tokens,
        "precision": params.precision,
        "pack_version": PACK_VERSION,
        "calibration": [hashlib.sha256(text.encode()).hexdigest() for text in calibration],
    }
    # An empty prefix is left out: encoders from before there were prefixes keep their hashes.
    recipe |= {key: prefix for key in PREFIXES if (prefix := getattr(params, key))}
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def _pack(
    params: EncoderParams, source: Path, calibration: Sequence[str], staging: Path, recipe: str
) -> EncoderReference:
    static = is_static(source)
    (without_special_tokens if static else shutil.copyfile)(source / TOKENIZER, staging / TOKENIZER)
    tokenizer = load_tokenizer(staging / TOKENIZER, params.max_tokens)
    with quietly():
        convert = _convert_static if static else _convert
        model, probes, expected = convert(params, source, tokenizer.get_vocab_size())
        model_path = staging / MODEL
        save_model(model, model_path)
        _compare(model_path, probes, expected, MIN_COSINE)
        if params.precision == "int8":
            samples = [ids[None] for ids in tokens_of(tokenizer, params.item_prefix or "", calibration)]
            exact = [_run(model_path, [sample])[0] for sample in samples[:MIN_CALIBRATION_TEXTS]]
            save_model(_quantise(model, samples), model_path)
            _compare(model_path, samples[:MIN_CALIBRATION_TEXTS], exact, MIN_INT8_COSINE)
        elif params.precision in SIXTEEN_BITS:
            save_model(_rounded(model, SIXTEEN_BITS[params.precision]), model_path)
            _compare(model_path, probes, expected, MIN_16_BIT_COSINE)
    packed = (staging / TOKENIZER, model_path, model_path.with_suffix(".bin"))
    reference = EncoderReference(
        hash=recipe,
        dim=expected[0].shape[-1],
        max_tokens=params.max_tokens,
        pooling=params.pooling,
        precision=params.precision,
        source=params.source,
        files=tuple(PackedFile.of(path) for path in packed),
        item_prefix=params.item_prefix or "",
        query_prefix=params.query_prefix or "",
    )
    reference.save(staging / REFERENCE)
    return reference


def _convert(
    params: EncoderParams, source: Path, n_vocabulary: int
) -> tuple[Any, list[NDArray[np.int64]], list[NDArray[np.float32]]]:
    """The OpenVINO model, rows of tokens to test it with, and torch's vectors of these rows.

    The model's only input is `input_ids` [B, L]. Rows of one batch have equal length, so neither a mask nor a padding
    token is needed. Token types and positions are the model's defaults (BERT, RoBERTa and XLM-R alike).
    """
    import torch

    unit = _unit_encoder(params, source)
    probes = _probes(params, n_vocabulary)
    openvino = load_openvino()
    try:
        with torch.inference_mode():
            expected = [unit(torch.from_numpy(probe)).numpy() for probe in probes]
        example = {"input_ids": torch.from_numpy(np.repeat(probes[1], 2, axis=0))}
        return openvino.convert_model(unit, example_input=example), probes, expected
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        raise EncoderError(
            f"encoder {params.source!r} does not take {params.max_tokens} tokens, or cannot be converted: {error}",
            remedy="lower encoder.max_tokens to what the model was made for, or choose another model",
        ) from error


def _convert_static(
    params: EncoderParams, source: Path, n_vocabulary: int
) -> tuple[Any, list[NDArray[np.int64]], list[NDArray[np.float32]]]:
    """As `_convert`; the vectors to compare with are numpy's."""
    table, probes = read_table(source), _probes(params, n_vocabulary)
    return table.to_openvino(), probes, [table.encode(probe) for probe in probes]


def _probes(params: EncoderParams, n_vocabulary: int) -> list[NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, n_vocabulary, (1, length)) for length in (3, 16, params.max_tokens)]


def open_pretrained(source: Path | str) -> Any:  # noqa: ANN401  a transformers model
    """Open a pretrained model in float32: from safetensors on this machine alone, and without code of its own."""
    import torch
    from transformers import AutoModel

    return AutoModel.from_pretrained(
        source,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        dtype=torch.float32,
    )


def _unit_encoder(params: EncoderParams, source: Path) -> Any:  # noqa: ANN401  a torch.nn.Module
    import torch

    class UnitEncoder(torch.nn.Module):
        """input_ids [B, L] -> unit vectors [B, D]."""

        def __init__(self) -> None:
            super().__init__()
            self.model = open_pretrained(source)
            self.is_decoder = any(getattr(part, "is_causal", False) for part in self.model.modules())

        def forward(self, input_ids: Any) -> Any:  # noqa: ANN401  tensors
            # Without a mask a decoder looks for texts that share a row, which OpenVINO does not know.
            further = (
                {"attention_mask": torch.ones_like(input_ids), "use_cache": False} if self.is_decoder else {}
            )
            hidden_BLD = self.model(input_ids=input_ids, **further).last_hidden_state
            return torch.nn.functional.normalize(pooled(hidden_BLD, params.pooling), dim=1)

    try:
        return UnitEncoder().eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise EncoderError(
            f"transformers cannot load {source}: {error}", remedy="choose a model that AutoModel loads"
        ) from error


def _quantise(model: Any, samples: list[NDArray[np.int64]]) -> Any:  # noqa: ANN401  openvino.Model
    """Quantise weights and activations to int8. The samples fix the scales, never the batch at hand."""
    import nncf

    return nncf.quantize(
        model,
        nncf.Dataset(samples),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(samples),
    )


def _rounded(model: Any, bits: str) -> Any:  # noqa: ANN401  openvino.Model
    """Round matrices of weights to 16 bits, which are widened where they are used. Vectors of weights are few."""
    openvino = load_openvino()
    for node in model.get_ordered_ops():
        is_weights = node.get_type_name() == "Constant" and node.get_element_type() == openvino.Type.f32
        if is_weights and len(node.get_output_shape(0)) > 1:
            rounded = openvino.opset13.constant(node.data, getattr(openvino.Type, bits))
            widened = openvino.opset13.convert(rounded, "f32").output(0)
            for taker in node.output(0).get_target_inputs():
                taker.replace_source_output(widened)
    model.validate_nodes_and_infer_types()
    return model


def save_model(model: Any, model_path: Path) -> None:  # noqa: ANN401  openvino.Model
    """Write the IR. The same model gives the same bytes, whatever the process did before."""
    model.set_friendly_name("encoder")
    # By default a counter of the process names the operations.
    for number, operation in enumerate(model.get_ordered_ops()):
        operation.set_friendly_name(f"{operation.get_type_name()}_{number}")
    load_openvino().save_model(model, model_path, compress_to_fp16=False)


def _run(model_path: Path, inputs: list[NDArray[np.int64]]) -> list[NDArray[np.float32]]:
    request = compile_request(model_path)
    outputs = []
    for one in inputs:
        request.infer({0: one})
        outputs.append(request.get_output_tensor(0).data.copy())
    return outputs


def _compare(
    model_path: Path, inputs: list[NDArray[np.int64]], expected: list[NDArray[np.float32]], floor: float
) -> None:
    """Refuse a packed model whose vectors differ from those of its source."""
    found = _run(model_path, inputs)
    cosine = float(np.mean([(a * b).sum(axis=1).mean() for a, b in zip(found, expected, strict=True)]))
    if not cosine >= floor:
        raise EncoderError(
            f"the packed model agrees with its source only to cosine {cosine:.4f}, below {floor}",
            remedy="set encoder.precision: float32, or choose another model",
        )


@contextmanager
def quietly() -> Iterator[None]:
    """Keep warnings and progress bars off standard output, which belongs to results."""
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        from transformers.utils import logging as transformers_logging

        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        logging.getLogger("nncf").setLevel(logging.ERROR)
        yield
