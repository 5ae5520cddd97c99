"""Effect `watch`: run stage `monitor`, watch the releases too, write a page, and send alerts about what changed."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recsys.alerts import send
from recsys.artifacts import Artifacts
from recsys.catalogue.kinds import KINDS
from recsys.catalogue.parts import list_parts
from recsys.errors import StorageError
from recsys.monitoring.metrics import metrics
from recsys.monitoring.page import render
from recsys.monitoring.params import MonitorParams
from recsys.monitoring.releases import ReleaseFacts, watch_releases
from recsys.monitoring.report import Judged, Watched, WatchReport
from recsys.monitoring.sent import SentAlerts
from recsys.profiles.items import list_segments
from recsys.publishing.store import Pointer, ReleaseStore
from recsys.storage.atomic import write_whole
from recsys.storage.protocol import Storage

TRIES = 3
"""An arrival in progress may remove a file while it is being read; then reading starts again."""
REMEDY = (
    "Look at the page. If the change is wanted, do nothing: after monitor.accept_after arrivals, later ones are "
    "compared with it. Otherwise ask the supplier for the texts again, or land the earlier rows again; "
    "`recsys rollback previous` brings the previous release back at once."
)


def watch(
    at: Artifacts,
    params: MonitorParams,
    storage: Storage | None,
    judge: Callable[[], None],
    *,
    if_new: bool = False,
) -> WatchReport | None:
    """Judge the newest arrivals and releases, write page and metrics, and send new alarms to RECSYS_ALERT_URL.

    It holds no lock of DVC, so no arrival waits for it. After a kill, the next run does the same; an alert may then be
    sent twice, with the same id.

    Args:
        at: the workspace.
        params: section `monitor`.
        storage: where releases live; None: they are not watched.
        judge: runs stage `monitor`.
        if_new: do nothing where the last call looked at the same arrivals and releases.

    Returns:
        Everything that is watched; None where nothing has been walked yet, or nothing is new.

    Raises:
        StorageError: the store, or the receiver of alerts, is out of reach.
    """
    if not at.features.is_dir() or not at.profiles("champion").is_dir():
        return None
    pointer = ReleaseStore(storage).pointer() if storage else None
    looked_at, note = _looked_at(at, params, pointer), at.watch / "looked_at"
    if if_new and note.is_file() and note.read_text("utf-8") == looked_at:
        return None
    _arrivals(judge)
    tables = [*WatchReport.load(at.watch_report).tables]
    if storage is not None:
        tables.append(watch_releases(_facts(at, storage, pointer, params), params))
    report = WatchReport(tables=tuple(tables))
    report.save(at.watch / "report.json")
    write_whole(at.watch / "page.html", render(report, params).encode())
    if params.metrics_file:
        write_whole(at.root / params.metrics_file, metrics(report).encode())
    _send_alerts(at, report, params)
    write_whole(note, looked_at.encode())
    return report


@contextmanager
def remembering(states: Storage | None, at: Artifacts, store: Storage | None = None) -> Iterator[None]:
    """For workers that share no disk: watch the arrivals of all workers, and store alarms for all of them.

    Args:
        states: RECSYS_STATE; None: all workers see the same disk, and nothing happens.
        at: the workspace of arrivals.
        store: where releases live; None: arrivals are not brought.

    Yields:
        Nothing; afterwards what was found is stored.

    Raises:
        StateMoved: another worker has looked meanwhile.
        StorageError: a store or DVC's remote is out of reach.
    """
    if states is None:
        yield
        return
    from recsys.effects.states import arrivals_state, arriving, bring_arrivals, watch_state

    if store is not None:
        with arriving(at, waits=False) as is_free:
            if is_free:  # else an arrival is under way here, and goes on from the newest state itself
                bring_arrivals(arrivals_state(states, at), store)
    state = watch_state(states, at)
    state.bring()
    yield
    state.keep()


def _looked_at(at: Artifacts, params: MonitorParams, pointer: Pointer | None) -> str:
    """A hash of what is watched: parts, profiles, the newest release, settings."""
    names = [f"{part.id} {part.arrival.rows_sha256}" for kind in KINDS for part in list_parts(at.data, kind)]
    names += [segment.name for segment in list_segments(at.profiles("champion"))]
    names += [pointer.current.head if pointer else "", params.model_dump_json()]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _arrivals(judge: Callable[[], None]) -> None:
    for left in reversed(range(TRIES)):
        try:
            judge()
        except FileNotFoundError:
            if not left:
                raise
        else:
            return


def _facts(
    at: Artifacts, storage: Storage, pointer: Pointer | None, params: MonitorParams
) -> list[ReleaseFacts]:
    """Facts of the newest releases, oldest first; manifests that were read before are not read again.

    Releases that `collect` has deleted stay among them: it keeps fewer than watching needs to learn from.
    """
    store, path = ReleaseStore(storage), at.watch / "releases.json"
    known = {one.release: one for one in _known(path)}
    landed = {
        record.part: record.arrived_at
        for kind in KINDS
        for part in list_parts(at.data, kind)
        for record in part.arrival.landed()
    }
    written = store.release_ids() if pointer else {}
    line: list[ReleaseFacts] = []
    step = pointer.current.head if pointer else None
    while step and len(line) < params.window_arrivals + params.shown_arrivals:
        if step not in known:
            if step not in written:
                break
            known[step] = _read(store, step, written, landed)
        line.append(known[step])
        step = known[step].parent
    content = [json.loads(one.model_dump_json()) for one in reversed(line)]
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())
    return line[::-1]


def _known(path: Path) -> list[ReleaseFacts]:
    try:
        return [ReleaseFacts.model_validate(one) for one in json.loads(path.read_bytes())]
    except (FileNotFoundError, ValueError):
        return []


def _read(
    store: ReleaseStore, release: str, written: Mapping[str, datetime], landed: Mapping[str, datetime]
) -> ReleaseFacts:
    manifest = store.manifest(release)
    if manifest.parent is None:
        new = manifest.parts
    elif manifest.parent in written:
        new = manifest.parts - store.manifest(manifest.parent).parts
    else:  # the parent was collected: which parts were new in this one is not known any more
        new = frozenset()
    ages = [(written[release] - landed[part]).total_seconds() for part in sorted(new) if part in landed]
    return ReleaseFacts(
        release=release,
        parent=manifest.parent,
        written_at=written[release],
        index_recall=manifest.index_recall,
        ages_s=tuple(age for age in ages if age >= 0),
        n_early=sum(age < 0 for age in ages),
    )


def _send_alerts(at: Artifacts, report: WatchReport, params: MonitorParams) -> None:
    """Send one alert for each newly judged arrival with a new alarm; record which alarms should start a training."""
    sent = SentAlerts.load(at.watch)
    for table in report.tables:
        for one in unchecked(table, sent.checked.get(table.table)):
            calls = sent.calls
            if any(alarm.is_new for alarm in one.alarms):
                _send(alert_of(table, one, at))
                signals = {alarm.signal for alarm in one.alarms if alarm.is_new} & {*params.train_on}
                calls = (*calls, *(f"{table.table} {one.name} {signal}" for signal in sorted(signals)))
            sent = SentAlerts(
                checked=sent.checked | {table.table: one.name}, calls=calls, answered=sent.answered
            )
            sent.save(at.watch)


def unchecked(table: Watched, last: str | None) -> list[Judged]:
    """Judged arrivals after the one that was checked last; only the newest if that is not among them any more."""
    judged = [one for one in table.judged if not one.is_learning]
    names = [one.name for one in judged]
    return judged[names.index(last) + 1 :] if last in names else judged[-1:]


def alert_of(table: Watched, one: Judged, at: Artifacts) -> dict[str, Any]:
    """The alert: the arrival, its alarms with examples, where the page is and what to do."""
    return {
        "event": "drift",
        "id": f"{table.table} {one.name}",
        "table": table.table,
        "arrival": one.name,
        "parts": list(one.parts),
        "rows": one.n_rows,
        "alarms": [
            alarm.model_dump(mode="json")
            | {"reading": one.readings[alarm.signal].model_dump(mode="json")}
            for alarm in one.alarms
        ],
        "page": str(at.watch / "page.html"),
        "remedy": REMEDY,
        "sent_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def _send(alert: Mapping[str, Any]) -> None:
    try:
        send(alert)
    except OSError as error:
        raise StorageError(
            f"the alert about {alert['id']} could not be sent: {error}",
            remedy="check RECSYS_ALERT_URL; the next `recsys watch` sends it",
        ) from error
