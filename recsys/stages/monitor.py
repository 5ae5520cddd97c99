"""Stage `monitor`: compare the newest arrivals with earlier ones; alarms with examples.

No step of publishing waits for it. Its cost depends on the newest arrivals only: each landed file is sampled once, and
samples of files beyond the window are removed.
"""

from collections.abc import Mapping
from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.parts import Part, list_parts, sequence_of
from recsys.errors import ArtifactMissing
from recsys.features.text import feature_files
from recsys.models.reference import ModelReference
from recsys.monitoring.horizon import Horizon, Landed, horizon
from recsys.monitoring.params import MonitorParams
from recsys.monitoring.report import Watched, WatchReport
from recsys.monitoring.review import review
from recsys.monitoring.samples import (
    Walked,
    read_arrival,
    sample_path,
    write_catalogue_samples,
    write_interaction_samples,
)
from recsys.monitoring.signals import require_known, signals_of
from recsys.profiles.items import list_segments
from recsys.settings import Settings
from recsys.storage.strays import remove_strays
from recsys.storage.tables import is_mappable

NEW_ARRIVALS = 10
"""Items of so many landed catalogue files before a file of interactions count as new."""


def run(settings: Settings, at: Artifacts) -> None:
    """Judge the newest arrivals of items and of interactions.

    Reads:   at.data, parts of catalogue and interactions; at.features; at.profiles("champion") and its model
    Writes:  at.samples, a file per landed file; at.watch_report
    Raises:  ArtifactMissing when stage `features` or `profiles@champion` has not run; ConfigError where
             `monitor.train_on` names what is not a signal
    """
    params = settings.monitor
    require_known(params.train_on, params.numbers)
    at.samples.mkdir(parents=True, exist_ok=True)
    items, of_items = _catalogue(at, params)
    events, of_events = _interactions(at, params)
    remove_strays(at.samples, {*of_items.values(), *of_events.values()})
    report = WatchReport(
        tables=(
            _watched(CATALOGUE, items, of_items, params),
            _watched(INTERACTIONS, events, of_events, params),
        )
    )
    report.save(at.watch_report)


def _watched(kind: str, found: Horizon, paths: Mapping[str, Path], params: MonitorParams) -> Watched:
    arrivals = [read_arrival(group, [paths[one.record.part] for one in group]) for group in found.groups]
    signals = signals_of(kind, params.numbers)
    return Watched(
        table=kind,
        titles={name: signal.title for name, signal in signals.items()},
        n_arrivals=found.n_before + len(found.groups),
        needed=params.learn_arrivals,
        n_waiting=sum(one.n_live for one in found.waiting),
        judged=review([one for one in arrivals if len(one.rows)], signals, params, found.n_before),
    )


def _catalogue(at: Artifacts, params: MonitorParams) -> tuple[Horizon, dict[str, Path]]:
    """Arrivals of items that have profiles, and the sample of each landed file."""
    features = {one.part: one for one in feature_files(at.features)}
    segments = {name: one for one in list_segments(at.profiles("champion")) for name in one.parts}
    walked = {
        part.id: Walked(part, features[part.id], segments[part.id])
        for part in list_parts(at.data, CATALOGUE)
        if part.id in features and part.id in segments
    }
    if not walked:
        raise ArtifactMissing("no part of the catalogue has profiles", remedy="dvc repro profiles@champion")
    found = horizon([one.part for one in walked.values()], params.min_rows, _n_arrivals(params))
    lexical_width = ModelReference.load(at.model_reference("champion")).lexical_width
    paths: dict[str, Path] = {}
    for part, files in _by_part(found).items():
        made_of = f"{walked[part].made_of} {lexical_width}"
        wanted = {
            one.record.part: sample_path(at.samples, one, made_of, params.sample_rows, params.numbers)
            for one in files
        }
        missing = {name: path for name, path in wanted.items() if not is_mappable(path)}
        if missing:
            write_catalogue_samples(walked[part], missing, params.sample_rows, params.numbers, lexical_width)
        paths |= wanted
    return found, paths


def _interactions(at: Artifacts, params: MonitorParams) -> tuple[Horizon, dict[str, Path]]:
    """Arrivals of interactions, and the sample of each landed file."""
    catalogue = list_parts(at.data, CATALOGUE)
    found = horizon(list_parts(at.data, INTERACTIONS), params.min_rows, _n_arrivals(params))
    paths: dict[str, Path] = {}
    for files in _by_part(found).values():
        part = files[0].part
        lately = {one.record.part: _lately(catalogue, one) for one in files}
        wanted = {}
        for one in files:
            made_of = " ".join([part.arrival.rows_sha256, *lately[one.record.part].values()])
            wanted[one.record.part] = sample_path(at.samples, one, made_of, params.sample_rows)
        missing = {name: path for name, path in wanted.items() if not is_mappable(path)}
        if missing:
            new = {name: _items_of(catalogue, lately[name]) for name in missing}
            write_interaction_samples(part, missing, params.sample_rows, new)
        paths |= wanted
    return found, paths


def _n_arrivals(params: MonitorParams) -> int:
    return params.window_arrivals + params.shown_arrivals


def _by_part(found: Horizon) -> dict[str, list[Landed]]:
    """Landed files by the part that holds their rows."""
    files: dict[str, list[Landed]] = {}
    for group in found.groups:
        for one in group:
            files.setdefault(one.part.id, []).append(one)
    return files


def _lately(catalogue: tuple[Part, ...], file: Landed) -> dict[str, str]:
    """Landed catalogue files shortly before a file of interactions -> hash of the part that holds their rows."""
    before = [
        (record.part, part.arrival.rows_sha256)
        for part in catalogue
        for record in part.arrival.landed()
        if sequence_of(record.part) < sequence_of(file.record.part)
    ]
    return dict(before[1:][-NEW_ARRIVALS:])  # the first one is the whole catalogue of its day


def _items_of(catalogue: tuple[Part, ...], files: Mapping[str, str]) -> frozenset[str]:
    found: set[str] = set()
    for part in catalogue:
        if any(record.part in files for record in part.arrival.landed()):
            rows = part.rows(["item_id", "part"])
            some = zip(rows["item_id"].to_pylist(), rows["part"].to_pylist(), strict=True)
            found.update(item for item, origin in some if origin in files)
    return frozenset(found)
