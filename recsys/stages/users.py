"""Stage `users`: who likes what, one file per part, and what all users share.

That is the Gram matrix of the items that somebody likes, and the prior: what tastes have in common.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.parts import Part, list_parts
from recsys.catalogue.weighting import Weighting
from recsys.models.reference import ModelReference
from recsys.profiles.gram import GramState, bring_up_to_date
from recsys.profiles.histories_by_user import HistoriesByUser
from recsys.profiles.history_files import history_key, load_histories, write_histories
from recsys.profiles.items import Latest, Segment, latest, list_segments
from recsys.profiles.like_counts import LikeCounts, count_likes
from recsys.profiles.shared_prior import prior_key, prior_of
from recsys.profiles.sites import sharing_of
from recsys.profiles.users_summary import PriorSummary, UsersSummary, prior_name, users_key
from recsys.settings import Settings
from recsys.storage.arrays import npy_bytes
from recsys.storage.atomic import TEMPORARY_PREFIX, write_whole
from recsys.storage.strays import remove_strays


def run(settings: Settings, at: Artifacts) -> None:
    """Learn what all users share, from all that is accepted.

    Reads:   at.data, interactions; at.profiles("champion"); at.model_reference("champion")
    Writes:  at.users: histories/<part>-<key16>.parquet, gram.npy, users.json, and prior-<key16>.npy where there is a
             prior (it stays where neither likes nor the profiles of liked items have changed); at.var, at.like_counts,
             at.histories_by_user: what the matrix sums and what users like, so that the next run only adds and takes
             away (it is exact: the bytes are those of a run from nothing)
    Raises:  ArtifactMissing where stage `profiles` has not run; errors of `sharing_of` with noise or other sites
    """
    model = ModelReference.load(at.model_reference("champion"))
    segments = list_segments(at.profiles("champion"))
    parts = list_parts(at.data, INTERACTIONS)
    files = _histories(parts, at.users / "histories", settings.feedback, model.weighting)
    counted = LikeCounts.load(at.like_counts)
    by_user = HistoriesByUser(at.histories_by_user)
    likes = count_likes(counted, files, by_user)
    if likes is not counted:
        likes.save(at.like_counts)
    sharing = sharing_of(at, settings.users, settings.privacy)
    landed = (
        record for part in (*list_parts(at.data, CATALOGUE), *parts) for record in part.arrival.landed()
    )
    profiled = latest(segments)
    landed_at = (record.arrived_at for record in landed)
    shared = sharing.of(likes, partial(load_histories, files), profiled.item_ids.column, landed_at)
    state_path = at.var / f"gram-{model.profiles_hash[:16]}.state"
    before = GramState.load(state_path)
    state = bring_up_to_date(before, *_rows_of(segments, profiled, shared.items), model.dim)
    state.save(state_path)
    gram = npy_bytes(state.gram)
    write_whole(at.users / "gram.npy", gram)
    gram_sha256 = hashlib.sha256(gram).hexdigest()
    weight = sharing.prior_weight(model.users.ridge_lambda, model.users.prior_weight)
    made_of = prior_key((one.name for one in files), state.rows, gram_sha256, model.profiles_hash, weight)
    prior = _prior(at, files, by_user, segments, profiled, model, weight, made_of) if weight else None
    UsersSummary(
        ridge_lambda=settings.users.lambda_or(model.users.ridge_lambda),
        n_users=shared.n_users,
        n_items=state.n_rows,
        n_pairs=likes.n_pairs,
        profiles_hash=model.profiles_hash,
        gram_sha256=gram_sha256,
        made_of=users_key((segment.name for segment in segments), (path.name for path in files), sharing.key),
        guarantee=shared.guarantee,
        prior=prior,
    ).save(at.users / "users.json")
    for path in at.users.glob(prior_name("*")):
        if prior is None or path.name != prior_name(prior.made_of):
            path.unlink()


def _prior(
    at: Artifacts,
    files: Sequence[Path],
    by_user: HistoriesByUser,
    segments: Sequence[Segment],
    profiled: Latest,
    model: ModelReference,
    weight: float,
    made_of: str,
) -> PriorSummary | None:
    """Write the prior, unless it is there; None where users have too little in common."""
    path, summary = at.users / prior_name(made_of), at.users / "users.json"
    before = UsersSummary.load(summary).prior if summary.is_file() else None
    is_there = before is not None and before.made_of == made_of and path.is_file()
    if before and is_there and hashlib.sha256(path.read_bytes()).hexdigest() == before.sha256:
        return before

    def vectors_of(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        found = np.empty((len(rows), model.dim), np.float32)
        for position, segment in enumerate(segments):
            here = profiled.segment_of_item[rows] == position
            if here.any():
                found[here] = segment.vectors()[profiled.row_of_item[rows[here]]]
        return found

    rows_RD = prior_of(files, by_user, profiled.item_ids, vectors_of, weight, model.lexical_width)
    if rows_RD is None:
        return None
    content = npy_bytes(rows_RD)
    write_whole(path, content)
    digest = hashlib.sha256(content).hexdigest()
    return PriorSummary(weight=weight, n_rows=len(rows_RD), sha256=digest, made_of=made_of)


def _histories(
    parts: tuple[Part, ...], folder: Path, feedback: FeedbackParams, weighting: Weighting
) -> list[Path]:
    """One file per part: those with the right key stay, missing ones are made, strays go."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {
        part.id: folder / f"{part.id}-{history_key(part.arrival.rows_sha256, feedback, weighting)}.parquet"
        for part in parts
    }
    for part in parts:
        if not wanted[part.id].is_file():
            write_histories(part.rows(), feedback, wanted[part.id], weighting)
    remove_strays(folder, set(wanted.values()))
    for abandoned in folder.parent.glob(f"{TEMPORARY_PREFIX}*"):
        abandoned.unlink()
    return list(wanted.values())


def _rows_of(
    segments: tuple[Segment, ...], found: Latest, items: pa.Array
) -> tuple[dict[str, NDArray[np.bool_]], Callable[[str], NDArray[np.float32]]]:
    """Segment name -> which of its rows are the live profiles of `items`; and how to read its vectors."""
    wanted = np.asarray(pc.is_in(found.item_ids.column, value_set=items))
    rows = {}
    for position, segment in enumerate(segments):
        rows[segment.name] = np.zeros(len(segment.vectors()), np.bool_)
        rows[segment.name][found.row_of_item[wanted & (found.segment_of_item == position)]] = True
    vectors = {segment.name: segment for segment in segments}
    return rows, lambda name: vectors[name].vectors()
