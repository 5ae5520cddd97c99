"""The encoder in training: transformer, pooling, unit length. It is cut in two where only the top layers are trained.

Blocks hold texts of one token count (as in `encoders/transformer.py`), so there is neither padding nor a mask.
"""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recsys.encoders.pooling import pooled
from recsys.errors import EncoderError
from recsys.training.packing import attending, use_packed_attention

# Shape suffixes: B texts, L tokens, D dimension.
SAME = 1e-4
PROBE_TOKENS = 12
PROBES = ((2, 7), (1, PROBE_TOKENS))
"""Texts and tokens of the blocks on which packing is tested."""
UNUSED = "pooler"


class Tower(nn.Module):
    """The encoder in training: turns texts into unit vectors, with gradient.

    Args:
        model: a transformers encoder.
        pooling: mean, cls or last.
        cut: layers below this one are frozen and computed by `lower`; None: all layers are trained.
    """

    def __init__(self, model: Any, pooling: str, cut: int | None) -> None:  # noqa: ANN401  a transformers model
        super().__init__()
        self.model = model
        self.pooling = pooling
        self.cut = cut
        self.packs = False

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        """Unit vectors of texts, given in blocks of one length.

        Args:
            blocks: with a cut, results of `lower` [B, L, D]; else token ids [B, L] or word embeddings [B, L, D].

        Returns:
            x_BD of all blocks one after the other, rows of length 1.
        """
        hidden = self._packed(blocks) if self.packs else [self._alone(block) for block in blocks]
        pooled_BD = torch.cat([pooled(one, self.pooling) for one in hidden])
        return nn.functional.normalize(pooled_BD, dim=1)

    def _alone(self, block: Tensor) -> Tensor:
        """Last activations [B, L, D] of one block."""
        if self.cut is not None:
            return run_layers(layers_of(self.model)[self.cut :], block)
        name = "inputs_embeds" if block.is_floating_point() else "input_ids"
        last_BLD: Tensor = self.model(**{name: block}).last_hidden_state
        return last_BLD

    def _packed(self, blocks: Sequence[Tensor]) -> list[Tensor]:
        """Last activations of each block; the layers process all tokens together."""
        hidden = blocks if self.cut is not None else self._embedded(blocks)
        sizes = [(one.shape[0], one.shape[1]) for one in hidden]
        pack_1TD = torch.cat([one.reshape(1, -1, one.shape[2]) for one in hidden], dim=1)
        with attending(sizes):
            pack_1TD = run_layers(layers_of(self.model)[self.cut or 0 :], pack_1TD)
        pieces = pack_1TD.split([n * length for n, length in sizes], dim=1)
        return [piece.reshape(*size, -1) for piece, size in zip(pieces, sizes, strict=True)]

    def _embedded(self, blocks: Sequence[Tensor]) -> list[Tensor]:
        """Inputs of the first layer. Words are looked up once, since each look-up has a gradient of the whole table."""
        if not blocks[0].is_floating_point():
            words_TD = self.embed(torch.cat([one.flatten() for one in blocks]))
            pieces = words_TD.split([one.numel() for one in blocks])
            blocks = [piece.reshape(*one.shape, -1) for piece, one in zip(pieces, blocks, strict=True)]
        return [self.model.embeddings(inputs_embeds=one) for one in blocks]

    def lower(self, ids_BL: Tensor) -> Tensor:
        """Activations [B, L, D] below the cut; they do not change in training."""
        return run_layers(layers_of(self.model)[: self.cut], self.model.embeddings(input_ids=ids_BL))

    def embed(self, ids_BL: Tensor) -> Tensor:
        """Word embeddings [B, L, D]."""
        words_BLD: Tensor = self.model.get_input_embeddings()(ids_BL)
        return words_BLD

    def trained(self) -> Iterator[tuple[str, Any]]:
        """Names and parameters that are trained."""
        return ((name, value) for name, value in self.model.named_parameters() if value.requires_grad)


def open_tower(
    folder: Path,
    pooling: str,
    layers: str,
    top_layers: int,
    lora_rank: int,
    dropout: float,
    n_layers: int | None = None,
) -> Tower:
    """Load a transformer for training.

    Args:
        folder: a result of `find_source`: config.json and safetensors.
        pooling: mean, cls or last.
        layers: all, top or lora.
        top_layers: number of trained layers, for top.
        lora_rank: rank of the adapters, for lora.
        dropout: of the transformer's dropout layers.
        n_layers: so many layers of the model are kept, for a student, see `kept_layers`; None: all.

    Returns:
        The tower, on the CPU; always with the same initial weights.

    Raises:
        EncoderError: the model cannot be loaded, has fewer than `n_layers` layers, or cannot be cut in two.
    """
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)  # for weights that the file lacks, such as an unused pooler's
    try:
        model = transformers.AutoModel.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            attn_implementation="sdpa",
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise EncoderError(
            f"transformers cannot load {folder}: {error}", remedy="choose a model that AutoModel loads"
        ) from error
    if n_layers is not None:
        _keep_layers(model, n_layers, folder)
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = dropout
        elif isinstance(
            getattr(part, "dropout_prob", None), float
        ):  # attention with dropout inside its kernel
            part.dropout_prob = dropout
    if layers == "lora":
        return _packing(Tower(_with_adapters(model, lora_rank), pooling, None))
    for name, value in model.named_parameters():
        value.requires_grad = layers == "all" and UNUSED not in name
    if layers == "all":
        return _packing(Tower(model, pooling, None))
    return _packing(_cut(model, pooling, top_layers, folder))


def kept_layers(n_layers: int, n_kept: int) -> tuple[int, ...]:
    """Layers that a student takes over: the first and the last one, the others evenly between; of one the first.

    The last layer knows the space of the vectors. Before any training of MiniLM's students on 500 titles of CiteULike,
    cosines with the teacher were .47 for layers 0 and 5, and .29 for the first two.

    Paper: Sanh et al. 2019, "DistilBERT", arXiv:1910.01108, which takes over every second layer.

    Args:
        n_layers: of the model.
        n_kept: of the student, 1 to n_layers.

    Returns:
        Their places, ascending.
    """
    if n_kept == 1:
        return (0,)
    return tuple(round(place * (n_layers - 1) / (n_kept - 1)) for place in range(n_kept))


def _keep_layers(model: Any, n_kept: int, folder: Path) -> None:  # noqa: ANN401  a transformers model
    """Remove all layers but those of `kept_layers`."""
    layers = layers_of(model)
    if n_kept > len(layers):
        raise EncoderError(
            f"{folder} has {len(layers)} layers, finetune.student_layers is {n_kept}",
            remedy="lower finetune.student_layers",
        )
    kept = kept_layers(len(layers), n_kept)
    for place in reversed(range(len(layers))):
        if place not in kept:
            del layers[place]
    model.config.num_hidden_layers = n_kept


def save_tower(tower: Tower, folder: Path) -> None:
    """Write config.json and model.safetensors. Adapters are merged into the weights.

    Args:
        tower: unusable afterwards if it has adapters.
        folder: is created.
    """
    merge = getattr(tower.model, "merge_and_unload", None)
    model = tower.model if merge is None else merge()
    model.save_pretrained(folder)


def layers_of(model: Any) -> Any:  # noqa: ANN401  a transformers model and its nn.ModuleList
    """The transformer's layers.

    Args:
        model: a transformers encoder.

    Returns:
        The nn.ModuleList; empty where the model has no single list of layers.
    """
    wanted = model.config.num_hidden_layers
    lists = (part for part in model.modules() if isinstance(part, nn.ModuleList) and len(part) == wanted)
    return next(lists, nn.ModuleList())


def run_layers(layers: Any, hidden_BLD: Tensor) -> Tensor:  # noqa: ANN401  nn.ModuleList
    """Apply layers one after the other, without a mask.

    Args:
        layers: some of a transformer's.
        hidden_BLD: their input.

    Returns:
        Their output, [B, L, D].
    """
    for layer in layers:
        out = layer(hidden_BLD)
        hidden_BLD = out[0] if isinstance(out, tuple) else out
    return hidden_BLD


def _cut(model: Any, pooling: str, top_layers: int, folder: Path) -> Tower:  # noqa: ANN401
    """Cut the model, and verify on a probe that both parts together compute the same as the model."""
    layers = layers_of(model)
    tower = Tower(model, pooling, max(0, len(layers) - top_layers))
    for layer in layers[tower.cut :]:
        layer.requires_grad_(True)
    whole = Tower(model, pooling, None)
    ids = _probe(model, 1, PROBE_TOKENS)
    model.eval()
    try:
        with torch.inference_mode():
            apart = float((tower([tower.lower(ids)]) - whole([ids])).abs().max())
    except (AttributeError, TypeError, RuntimeError, ValueError) as error:
        raise EncoderError(f"{folder} cannot be cut in two: {error}", remedy=_ALL) from error
    if not len(layers) or not apart < SAME:
        raise EncoderError(
            f"{folder}: its layers one by one differ from the model by {apart:.1e}", remedy=_ALL
        )
    return tower


_ALL = "set finetune.layers to all or lora"


def _probe(model: Any, n: int, length: int) -> Tensor:  # noqa: ANN401  a transformers model
    """Token ids [n, length] from the upper half of the vocabulary, since RoBERTa skips positions of padding tokens."""
    size: int = model.config.vocab_size
    half = size // 2
    return half + torch.arange(n * length).reshape(n, length) % (size - half)


def _packing(tower: Tower) -> Tower:
    """Enable packing if it gives the same vectors on a probe; else the tower works block by block."""
    model = tower.model
    probes = [_probe(model, n, length) for n, length in PROBES]
    tower.eval()
    before = model.config._attn_implementation
    with torch.inference_mode():
        blocks = probes if tower.cut is None else [tower.lower(probe) for probe in probes]
        expected = tower(blocks)
        use_packed_attention(model)
        tower.packs = True
        try:
            tower.packs = float((tower(blocks) - expected).abs().max()) < SAME
        except (AttributeError, TypeError, RuntimeError, ValueError):  # no `embeddings`, or another attention
            tower.packs = False
    if not tower.packs:
        model.config._attn_implementation = before
    return tower


def _with_adapters(model: Any, rank: int) -> Any:  # noqa: ANN401  a peft model
    """LoRA on every linear layer. Hu et al. 2022, ICLR, arXiv:2106.09685."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft 0.21 reads a name that transformers 5.23 renamed
        return get_peft_model(model, config)
