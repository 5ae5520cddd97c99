"""Settings that the folder of a sentence-transformers model declares: modules, pooling, and prompts."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.encoders.params import EncoderParams
from recsys.errors import EncoderError
from recsys.progress import report_progress

CHAIN = "modules.json"
PROMPTS = "config_sentence_transformers.json"
KNOWN_MODULES = {"Transformer", "Pooling", "Normalize", "StaticEmbedding"}
"""Any other would be left out silently."""
POOLINGS = {"cls": "cls", "mean": "mean", "lasttoken": "last"}
"""Name in the folder -> value of `encoder.pooling`."""
LEGACY_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Switches in folders from before sentence-transformers 5.2 -> the name there since."""
OF_ITEMS = ("document", "passage", "corpus")
"""Prompts for items; the first that there is counts, as in `SentenceTransformer.encode_document`."""
OF_QUERIES = ("query",)


@dataclass(frozen=True)
class Declared:
    """Declared settings. None: the folder declares nothing."""

    pooling: str | None = None
    """By the folder's own name, such as `lasttoken`."""
    item_prefix: str | None = None
    query_prefix: str | None = None
    pools_prefix: bool = True
    """Whether the tokens of a prefix take part in pooling."""


def read_declared(source: str, folder: Path) -> Declared:
    """Read modules.json, the configuration of its pooling, and the prompts, where they are.

    Args:
        source: `encoder.source`, for messages.
        folder: the model's; modules.json may lie one folder above.

    Returns:
        What they say.

    Raises:
        EncoderError: a file is damaged, or names a module that is not supported.
    """
    root = next((one for one in (folder, folder.parent) if (one / CHAIN).is_file()), folder)
    chain = _read(root / CHAIN, source) or []
    try:
        modules = {module["type"].rpartition(".")[2]: module.get("path", "") for module in chain}
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(source, root / CHAIN, error) from error
    if further := modules.keys() - KNOWN_MODULES:
        raise EncoderError(
            f"encoder.source {source!r} has modules that are not supported: {', '.join(sorted(further))}",
            remedy="choose a model that ends in pooling and normalisation",
        )
    pooling = (
        _read(root / modules.get("Pooling", "") / "config.json", source) if "Pooling" in modules else None
    )
    prompts = _read(root / PROMPTS, source) or {}
    try:
        return Declared(
            _pooling_of(pooling or {}),
            _prompt(prompts, OF_ITEMS),
            _prompt(prompts, OF_QUERIES),
            bool((pooling or {}).get("include_prompt", True)),
        )
    except (TypeError, AttributeError) as error:
        raise _damaged(source, root, error) from error


def settled(params: EncoderParams, folder: Path) -> EncoderParams:
    """The parameters with both prefixes as texts: those of the folder where params.yaml has null.

    Args:
        params: section `encoder`.
        folder: of the source.

    Returns:
        The same but for prefixes that were None.

    Raises:
        EncoderError: the folder names another pooling than the parameters, or pools without the tokens of a prefix.
    """
    found = read_declared(params.source, folder)
    if found.pooling is not None and POOLINGS.get(found.pooling) != params.pooling:
        known = POOLINGS.get(found.pooling)
        raise EncoderError(
            f"encoder.source {params.source!r} was trained with pooling {found.pooling!r}, "
            f"encoder.pooling is {params.pooling!r}",
            remedy=f"set encoder.pooling: {known}"
            if known
            else "choose a model with pooling mean, cls or last",
        )
    chosen = {}
    for key, declared in (("item_prefix", found.item_prefix), ("query_prefix", found.query_prefix)):
        wanted = getattr(params, key)
        chosen[key] = (declared or "") if wanted is None else wanted
        if wanted is not None and declared is not None and wanted != declared:
            report_progress(
                f"encoder.{key} is {wanted!r}, which counts; {params.source} itself names {declared!r}"
            )
    if any(chosen.values()) and not found.pools_prefix:
        raise EncoderError(
            f"encoder.source {params.source!r} pools without the tokens of a prefix, which is not supported",
            remedy='set encoder.item_prefix and encoder.query_prefix to "", or choose another model',
        )
    return params.model_copy(update=chosen)


def _pooling_of(config: dict[str, Any]) -> str | None:
    if "pooling_mode" in config:
        named = config["pooling_mode"]
        return named if isinstance(named, str) else "+".join(named)
    return "+".join(name for switch, name in LEGACY_POOLINGS.items() if config.get(switch)) or None


def _prompt(config: dict[str, Any], names: tuple[str, ...]) -> str | None:
    prompts = config.get("prompts") or {}
    found = next(
        (prompts[name] for name in names if name in prompts), prompts.get(config.get("default_prompt_name"))
    )
    if not isinstance(found, str | None):
        raise TypeError(f"prompt {found!r} is no text")
    return found


def _read(path: Path, source: str) -> Any:  # noqa: ANN401  any JSON value
    try:
        return json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _damaged(source, path, error) from error


def _damaged(source: str, path: Path, error: Exception) -> EncoderError:
    return EncoderError(
        f"encoder.source {source!r}: {path} cannot be read: {error!r}", remedy="save or fetch the model again"
    )
