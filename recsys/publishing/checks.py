"""Checks before a release is published: recall of the indexes, and stable results of recorded queries."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys.errors import ReleaseError
from recsys.features.text import feature_files, join_fields
from recsys.models.opening import open_model
from recsys.models.reference import ModelReference
from recsys.publishing.entries import File, SmokeQuery
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.params import PublishParams
from recsys.publishing.release import Manifest
from recsys.publishing.released_profiles import Profiles
from recsys.publishing.users_recall import UsersRecall
from recsys.storage.atomic import whole_file
from recsys.storage.packed import PackedFile
from recsys.storage.tables import in_blocks

QUERY_BATCH_TOKENS = 2048


def require_index_recall(manifest: Manifest, users: UsersRecall | None, minimum: float) -> None:
    """Refuse indexes whose recall is too low, for queries of items or of users.

    Args:
        manifest: of the new release; its segments hold the recall for queries of items.
        users: for queries of users; None where it cannot be less than 1.
        minimum: publish.min_index_recall.

    Raises:
        ReleaseError: one of them is below the minimum; names it.
    """
    remedy = "raise index.search_width or index.links (or exact_below), then dvc repro index"
    for segment in manifest.segments:
        if segment.index.recall < minimum:
            raise ReleaseError(
                f"the {segment.index.kind} index of segment {segment.name} has recall@10 {segment.index.recall:.3f} "
                f"against exact search; publish.min_index_recall is {minimum}",
                remedy=remedy,
            )
    if users is not None and users.recall < minimum:
        viewed = f", with {users.search_width} rows in view" if users.search_width else ""
        raise ReleaseError(
            f"the indexes have recall@10 {users.recall:.3f} against exact search for queries of users "
            f"({manifest.index_recall:.3f} for those of items){viewed}; publish.min_index_recall is {minimum}",
            remedy=remedy,
        )


def smoke_texts(head: Manifest | None, features: Path, n: int) -> tuple[str, ...]:
    """Choose query texts: those of the parent, filled up with the texts of smallest hash.

    Args:
        head: the parent, or None.
        features: folder of feature files.
        n: how many.

    Returns:
        At most n texts.
    """
    texts = [query.text for query in head.smoke[:n]] if head else []
    if len(texts) < n:
        found: dict[str, str] = {}
        for file in feature_files(features):
            rows = pq.read_table(file.path, columns=["text_hash", "text", "deleted"])
            live = rows.filter(pc.invert(rows["deleted"]))
            for block in in_blocks(live.select(["text_hash", "text"])):
                found |= dict(zip(*(column.to_pylist() for column in block.columns), strict=True))
                found = {key: found[key] for key in sorted(found)[: n + len(texts)]}
        fresh = (text for text in found.values() if text not in texts)
        texts += [text for text, _ in zip(fresh, range(n - len(texts)), strict=False)]
    return tuple(texts)


def encode_queries(manifest: Manifest, files: ObjectFiles, texts: Sequence[str]) -> NDArray[np.float32]:
    """Make profiles of queries with the release's preprocessing and model.

    Args:
        manifest: names both.
        files: the release's objects.
        texts: the queries; they may contain markup.

    Returns:
        float32 [len(texts), d].

    Raises:
        EncoderError: the model cannot be opened, or this version does not know the preprocessing.
        StorageError: a file of the model cannot be fetched.
    """
    encoder = open_model(manifest.model, unpacked_model(manifest.model, files), QUERY_BATCH_TOKENS)
    return encoder.encode([query_text(manifest, text) for text in texts])


def query_text(manifest: Manifest, text: str) -> str:
    """Preprocess a query like the release's texts, with the same version of the preprocessing.

    Args:
        manifest: names the preprocessing.
        text: of the query; it may contain markup.

    Returns:
        The text; it may be empty.

    Raises:
        EncoderError: this version of Firstlight does not know that preprocessing.
    """
    return join_fields([text], manifest.preprocessing.max_chars, manifest.preprocessing.version)


def unpacked_model(model: ModelReference, files: ObjectFiles) -> Path:
    """Lay out the release's encoder and head as `open_model` expects them.

    Args:
        model: of the release.
        files: the release's objects.

    Returns:
        The folder of packed parts: encoders/<hash>, heads/<hash>.
    """
    for part in model.parts:
        if part.kind == "ranker":
            continue  # read from the object itself
        folder = part.folder(files.cache)
        folder.mkdir(parents=True, exist_ok=True)
        for entry in part.files:
            target = folder / entry.name
            # Compare bytes: a release of another store may claim the same hash and have left other files here.
            if not target.is_file() or PackedFile.of(target) != entry:
                source = files.path(File(**entry.model_dump()))
                with whole_file(target) as temporary:
                    shutil.copyfile(source, temporary)
    return files.cache


def smoke_lists(
    profiles: Profiles, texts: Sequence[str], parent: Manifest | None, params: PublishParams
) -> tuple[SmokeQuery, ...]:
    """Record the nearest items of every text, and compare them with the parent's.

    Only items count whose newest row was in the parent already. Among them the order changes only if vectors or the
    search changed. Other items were added, removed or edited, so their places may change.

    Args:
        profiles: of the new release.
        texts: queries; the parent's come first.
        parent: the release before it, or None.
        params: the smallest allowed overlap, and k.

    Returns:
        One list per text.

    Raises:
        ReleaseError: an overlap is too small; names the text and both lists.
    """
    if not texts:
        return ()
    vectors = encode_queries(profiles.manifest, profiles.files, texts)
    if parent and _comparable(profiles.manifest, parent):
        _require_overlap(parent, vectors[: len(parent.smoke)], profiles, params.min_smoke_overlap)
    found = profiles.nearest(vectors, params.k)
    return tuple(SmokeQuery(text=text, neighbours=ids) for text, ids in zip(texts, found, strict=True))


def _comparable(manifest: Manifest, parent: Manifest) -> bool:
    return (
        manifest.model.profiles_hash == parent.model.profiles_hash
        and manifest.preprocessing == parent.preprocessing
    )


def _require_overlap(
    parent: Manifest, vectors_QD: NDArray[np.float32], profiles: Profiles, minimum: float
) -> None:
    shared_I = profiles.items_of_parts({part for segment in parent.segments for part in segment.parts})
    queries = parent.smoke[: len(vectors_QD)]
    still_there = profiles.among({item for query in queries for item in query.neighbours}, shared_I)
    wide = max((len(query.neighbours) for query in queries), default=0)
    found = profiles.nearest(vectors_QD, max(1, wide), shared_I)
    for query, now in zip(queries, found, strict=True):
        expected = [item for item in query.neighbours if item in still_there]
        kept = set(expected) & set(now[: len(expected)])
        if len(kept) < minimum * len(expected):
            raise ReleaseError(
                f"the neighbours of {query.text[:60]!r} drifted: {len(kept)} of {expected} are left in "
                f"{list(now[: len(expected)])}; publish.min_smoke_overlap is {minimum}",
                remedy="same encoder, same texts, other vectors: delete the vector cache (var/cache/vectors) and "
                "artifacts/profiles, run dvc repro, publish again",
            )
