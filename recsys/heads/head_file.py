"""The files of a kernel head: head.npz holds its arrays, head.json its terms and numbers.

A head is written in the oldest version that can express it: version 10 has a constant that comes first without a mean,
9 has centred views, 8 says how many terms fields usually have, 7 tells fields apart, 6 has stop words other than the
English ones or cuts runs of characters, 5 has views, 4 a mean, 3 separate words or a constant. Version 1 is read like
version 2.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.encoders.analyzer import Analyzer
from recsys.encoders.reference import HEAD, TERMS
from recsys.encoders.stop_words import ENGLISH
from recsys.encoders.tfidf import TfidfEncoder
from recsys.errors import EncoderError
from recsys.heads.kernel_head import Kernel, KernelHead, Words
from recsys.heads.view_kernels import NamesKernel, VectorsKernel, ViewKernel
from recsys.storage.arrays import npz_bytes, read_arrays, shared
from recsys.storage.atomic import write_whole

Read = TypeVar("Read")
HEAD_VERSION = 10
"""The newest version."""
ARRAYS = ("idf", "words_data", "words_indices", "words_indptr", "vectors", "projection")
"""Arrays of head.npz. A file with arrays beyond those that its version names is refused."""
MAX_CHARACTERS = 16
"""Longest character n-gram."""
WORDS = "words_projection"
"""A further array in version 3."""
MEAN = "mean"
"""A further array in version 4."""
OF_NAMES = ("idf", "data", "indices", "indptr")
"""Further arrays in version 5 for each sparse view, as `view_<place>_<array>`."""
OF_VECTORS = ("vectors",)
"""Likewise for each dense view."""
OF_CENTRED = ("mean",)
"""Likewise in version 9 for each centred view."""


def write_head(head: KernelHead, folder: Path) -> tuple[Path, Path]:
    """Write head.npz and head.json; the same head gives the same bytes."""
    lexical = head.kernel.lexical
    arrays: dict[str, NDArray[Any]] = {
        "idf": lexical.idf_V.astype(np.float32, copy=False),
        "words_data": head.words_MV.data.astype(np.float32),
        "words_indices": head.words_MV.indices.astype(np.int32),
        "words_indptr": head.words_MV.indptr.astype(np.int64),
        "vectors": head.vectors_ML.astype(np.float32, copy=False),
        "projection": head.projection_MD.astype(np.float32, copy=False),
    }
    if head.words is not None:
        arrays[WORDS] = head.words.projection_MW
    if head.mean_D is not None:
        arrays[MEAN] = head.mean_D
    plain: dict[str, Any] = {
        "version": _version(head),
        "lexical_share": head.kernel.lexical_share,
        "gamma": head.kernel.gamma,
        "characters": lexical.analyzer.characters,
        "terms": list(lexical.terms),
    } | ({"words_share": head.words.share} if head.words else {})
    if lexical.analyzer.stop_words != ENGLISH:
        plain["stop_words"] = sorted(lexical.analyzer.stop_words)
    if lexical.analyzer.cuts_runs:
        plain["cuts_runs"] = True
    if lexical.longest_field is not None:
        plain["longest_field"] = lexical.longest_field
    if lexical.usual_terms:
        plain["usual_terms"] = list(lexical.usual_terms)
    if head.constant > 0:
        plain["constant"] = head.constant
    flags = {"centred": head.mean_D is not None, "constant_first": head.constant_first}
    plain |= {name: True for name, is_set in flags.items() if is_set}
    if head.views:
        plain["views"] = [_plain_view(name, head.views[name]) for name in sorted(head.views)]
        arrays |= {
            f"view_{place}_{key}": array
            for place, name in enumerate(sorted(head.views))
            for key, array in _arrays_of_view(head.views[name])
        }
    by_rows = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_whole(folder / HEAD, npz_bytes(by_rows))
    write_whole(folder / TERMS, (json.dumps(plain, ensure_ascii=False) + "\n").encode())
    return folder / HEAD, folder / TERMS


def read_head(folder: Path) -> KernelHead:
    """Read what `write_head` wrote.

    Args:
        folder: a packed head's.

    Returns:
        The head.

    Raises:
        EncoderError: a file is missing or damaged, or was written by a newer version.
    """
    try:
        plain: dict[str, Any] = json.loads((folder / TERMS).read_text(encoding="utf-8"))
        if plain["version"] > HEAD_VERSION:
            raise EncoderError(
                f"{folder / TERMS} is of version {plain['version']}, newest known is {HEAD_VERSION}",
                remedy="update Firstlight",
            )
        more = [name for name, key in ((WORDS, "words_share"), (MEAN, "centred")) if key in plain]
        more += [
            f"view_{place}_{key}"
            for place, one in enumerate(plain.get("views", []))
            for key in (
                *(OF_NAMES if "names" in one else OF_VECTORS),
                *(OF_CENTRED if "centred" in one else ()),
            )
        ]
        head = _head_of(plain, read_arrays(folder / HEAD, (*ARRAYS, *more)))
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError, MemoryError) as error:
        raise EncoderError(
            f"{folder} has no readable head: {error}",
            remedy=f"delete {folder} and run recsys fetch-champion, or dvc repro finetune for a challenger",
        ) from error
    return replace(
        head,
        folder=folder,
        vectors_ML=shared(folder / "vectors.float32.npy", head.vectors_ML, np.float32),
        projection_MD=shared(folder / "projection.float32.npy", head.projection_MD, np.float32),
    )


def view_weights(folder: Path) -> dict[str, float]:
    """The weights of a packed head's views, by name; empty where it joins none. Its arrays are not read.

    Args:
        folder: a packed head's.

    Returns:
        View -> weight, above 0.

    Raises:
        EncoderError: head.json is missing or damaged.
    """
    return {name: float(one["weight"]) for name, one in _views(folder).items()}


def names_in_views(folder: Path) -> frozenset[str]:
    """Every name in the views of a packed head, such as the entities of a graph. Its arrays are not read.

    Args:
        folder: a packed head's.

    Returns:
        The names; none of words.

    Raises:
        EncoderError: head.json is missing or damaged.
    """
    return frozenset(name for one in _views(folder).values() for name in one.get("names", []))


def tells_fields_apart(folder: Path) -> bool:
    """Whether a packed head counts words by field, by its head.json; EncoderError where that is damaged."""
    return _read_of(folder, lambda plain: plain.get("longest_field") is not None)


def _views(folder: Path) -> dict[str, Mapping[str, Any]]:
    """What head.json says of each view, by name; its weight is a number."""
    return _read_of(
        folder,
        lambda plain: {
            str(one["name"]): {**one, "weight": float(one["weight"])} for one in plain.get("views", [])
        },
    )


def _read_of(folder: Path, what: Callable[[dict[str, Any]], Read]) -> Read:
    """What head.json says of something."""
    try:
        return what(json.loads((folder / TERMS).read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise EncoderError(
            f"{folder / TERMS} cannot be read: {error}",
            remedy=f"delete {folder} and run recsys fetch-champion",
        ) from error


def _version(head: KernelHead) -> int:
    analyzer = head.kernel.lexical.analyzer
    if head.constant_first:
        return 10
    if any(one.mean_M is not None for one in head.views.values()):
        return 9
    if head.kernel.lexical.usual_terms:
        return 8
    if head.kernel.lexical.longest_field is not None:
        return 7
    if analyzer.cuts_runs or analyzer.stop_words != ENGLISH:
        return 6
    if head.views:
        return 5
    if head.mean_D is not None:
        return 4
    return 3 if head.words or head.constant > 0 else 2


def _head_of(plain: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> KernelHead:
    """Build a head from both files; ValueError where they do not fit together or hold a non-finite number."""
    terms, characters = plain["terms"], plain["characters"]
    vectors_ML, projection_MD, idf_V = arrays["vectors"], arrays["projection"], arrays["idf"]
    n, n_terms = len(vectors_ML), len(terms)
    _check_names(terms, "a term")
    if characters is not None and not 1 <= characters[0] <= characters[1] <= MAX_CHARACTERS:
        raise ValueError(f"{TERMS} has character n-grams of {characters}")
    shapes = (vectors_ML.ndim, projection_MD.ndim, len(projection_MD), idf_V.shape)
    words = Words(arrays[WORDS], float(plain["words_share"])) if WORDS in arrays else None
    fits = words is None or (words.projection_MW.ndim == 2 and len(words.projection_MW) == n)
    mean_D = arrays.get(MEAN)
    fits &= mean_D is None or (words is None and mean_D.shape == projection_MD.shape[1:])
    if shapes != (2, 2, n, (n_terms,)) or not fits:
        raise ValueError(f"{HEAD} holds arrays that do not fit {n} landmarks and {n_terms} terms")
    if words is not None and not 0 < words.share < 1:
        raise ValueError(f"{TERMS} has words_share {words.share}")
    _check_finite(arrays)
    words_MV = _sparse([arrays[f"words_{key}"] for key in ("data", "indices", "indptr")], (n, n_terms))
    stop_words = plain.get("stop_words")
    if stop_words is not None:
        _check_names(stop_words, "a stop word")
    analyzer = Analyzer(
        ENGLISH if stop_words is None else frozenset(stop_words),
        plain.get("cuts_runs") is True,
        (characters[0], characters[1]) if characters else None,
    )
    longest = plain.get("longest_field")
    if longest is not None and not 0 < float(longest) < np.inf:
        raise ValueError(f"{TERMS} has a longest_field of {longest}")
    usual = tuple(map(float, plain.get("usual_terms", ())))
    if not all(1 <= one < np.inf for one in usual) or (usual and longest is None):
        raise ValueError(f"{TERMS} has usual_terms of {list(usual)}")
    lexical = TfidfEncoder(terms, idf_V, analyzer, None if longest is None else float(longest), usual)
    kernel = Kernel(lexical, float(plain["lexical_share"]), float(plain["gamma"]))
    if not (0 <= kernel.lexical_share <= 1 and 0 <= kernel.gamma < np.inf):
        raise ValueError(f"{TERMS} has lexical_share {kernel.lexical_share} and gamma {kernel.gamma}")
    constant = float(plain.get("constant", 0))
    if not 0 <= constant < np.inf:
        raise ValueError(f"{TERMS} has a constant of {constant}")
    is_first = plain.get("constant_first") is True
    if is_first and words is not None:
        raise ValueError(f"{TERMS} has a constant that comes first, and separate words")
    views = {
        str(one["name"]): _view_of(
            one, {key: arrays.get(f"view_{place}_{key}") for key in OF_NAMES + OF_VECTORS + OF_CENTRED}, n
        )
        for place, one in enumerate(plain.get("views", []))
    }
    return KernelHead(kernel, words_MV, vectors_ML, projection_MD, words, constant, mean_D, views, is_first)


def _check_names(names: list[object], what: str) -> None:
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ValueError(f"{TERMS} names {what} twice, or one that is no text")


def _check_finite(arrays: Mapping[str, NDArray[Any]]) -> None:
    for name, array in arrays.items():
        if name.endswith(("indices", "indptr")):
            continue
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"{name} in {HEAD} is not of finite float32 numbers")


def _sparse(parts: list[NDArray[Any]], shape: tuple[int, int]) -> csr_array:
    made = csr_array(tuple(parts), shape=shape)
    made.check_format(full_check=True)  # an index out of bounds would read foreign memory
    return made


def _plain_view(name: str, kernel: ViewKernel) -> dict[str, Any]:
    common = {"name": name, "weight": kernel.weight} | ({} if kernel.mean_M is None else {"centred": True})
    if isinstance(kernel, NamesKernel):
        return common | {"decay": kernel.decay, "names": list(kernel.names)}
    return common | {"gamma": kernel.gamma, "source": kernel.source}


def _arrays_of_view(kernel: ViewKernel) -> Iterator[tuple[str, NDArray[Any]]]:
    if kernel.mean_M is not None:
        yield "mean", kernel.mean_M
    if isinstance(kernel, VectorsKernel):
        yield "vectors", kernel.vectors_ML
        return
    yield "idf", kernel.idf_E
    yield "data", kernel.rows_ME.data.astype(np.float32)
    yield "indices", kernel.rows_ME.indices.astype(np.int32)
    yield "indptr", kernel.rows_ME.indptr.astype(np.int64)


def _view_of(plain: Mapping[str, Any], arrays: Mapping[str, Any], n: int) -> ViewKernel:
    """Build the kernel of a view over n landmarks; ValueError where its parts do not fit."""
    name, weight = plain["name"], float(plain["weight"])
    if not 0 < weight < np.inf:
        raise ValueError(f"view {name!r} in {TERMS} has the weight {weight}")
    mean_M = arrays["mean"]
    if mean_M is not None and mean_M.shape != (n,):
        raise ValueError(f"view {name!r} in {HEAD} has a mean that does not fit {n} landmarks")
    if "names" not in plain:
        gamma, vectors_ML = float(plain["gamma"]), arrays["vectors"]
        if not 0 <= gamma < np.inf or vectors_ML.ndim != 2 or len(vectors_ML) != n:
            raise ValueError(f"view {name!r} in {HEAD} does not fit {n} landmarks, or has gamma {gamma}")
        return VectorsKernel(weight, gamma, str(plain["source"]), vectors_ML, mean_M)
    decay, names = float(plain["decay"]), plain["names"]
    _check_names(names, f"in view {name!r} a name")
    if not 0 <= decay < np.inf or arrays["idf"].shape != (len(names),):
        raise ValueError(f"view {name!r} in {HEAD} does not fit {len(names)} names, or has decay {decay}")
    rows_ME = _sparse([arrays[key] for key in ("data", "indices", "indptr")], (n, len(names)))
    return NamesKernel(weight, decay, tuple(names), arrays["idf"], rows_ME, mean_M)
