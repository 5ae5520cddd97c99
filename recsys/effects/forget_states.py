"""A person in the states of runs, where workers share no disk: what `forget` removes there, and what it names."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from recsys import dvc
from recsys.catalogue.person import ARRAYS, Person
from recsys.errors import StorageError
from recsys.state.document import State
from recsys.state.store import StateStore
from recsys.storage.opening import open_storage
from recsys.storage.protocol import Storage

if TYPE_CHECKING:
    from recsys.state.sync import Sync


def forget_in_states(
    of_arrivals: "Sync | None", person: Person, contents: str
) -> tuple[list[str], list[str]]:
    """Remove the states of runs that have succeeded and hold a person; name all others that do.

    A state holds a person in a file that it carries, or names data that was taken out of DVC's remote since. A worker
    may be at work in a run that has not succeeded, so somebody has to end it. Once a run's state is gone, each worker
    deletes its copy when it makes the next workspace of a run.

    Args:
        of_arrivals: the state of arrivals, which is without the person already; None: all workers see the same disk,
            and nothing happens.
        person: whom, with every alias.
        contents: folder of DVC's remote that holds contents.

    Returns:
        Names of the states that were removed, and sentences about those that are left, or were not looked through since
        the remote is out of reach.

    Raises:
        StorageError: the store is out of reach.
    """
    address = dvc.places(of_arrivals.at.root).remote if of_arrivals is not None else None
    if of_arrivals is None or address is None:
        return [], []
    states, remote = of_arrivals.store, open_storage(address)
    try:
        there = frozenset(
            stored.key.removeprefix(contents).replace("/", "") for stored in remote.list(contents)
        )
    except StorageError as error:
        return [], [f"states of runs were not looked through: {error}"]
    if not there:  # such as a folder that is not mounted: all data would seem to have been taken out
        return [], [f"states of runs were not looked through: DVC's remote {remote.url} is empty"]
    removed, left = list[str](), list[str]()
    for name in states.names():
        state = _holding(states, name, person, remote, contents, there) if name != of_arrivals.name else None
        if state is None:
            continue
        if state.done:
            states.remove(name)
            removed.append(name)
        else:
            left.append(
                f"run {name} holds the person, or data with them: let it end and forget again, or end it by "
                f"`RECSYS_WORKSPACE=<folder of runs>/{name} recsys workspace finish --keep 0`"
            )
    return removed, left


def _holding(
    states: StateStore, name: str, person: Person, remote: Storage, contents: str, there: frozenset[str]
) -> State | None:
    """The state, if it holds the person; None otherwise, and where it was removed meanwhile."""
    while (found := states.read(name)) is not None:
        state = found[0]
        try:
            holds = _names_lost_data(state, remote, contents, there) or _carries(states, name, state, person)
        except StorageError:
            newer = states.read(name)
            if newer is not None and newer[0].nonce == state.nonce:
                raise
            continue  # a worker stored the next version, and deleted what only this one named
        return state if holds else None
    return None


def _names_lost_data(state: State, remote: Storage, contents: str, there: frozenset[str]) -> bool:
    """Whether parts of its data are no longer in DVC's remote."""
    if state.data_dvc is None:
        return False
    md5 = yaml.safe_load(state.data_dvc)["outs"][0]["md5"]
    if md5 not in there:
        return True
    files = json.loads(remote.read(f"{contents}{md5[:2]}/{md5[2:]}"))
    return any(file["md5"] not in there for file in files)


def _carries(states: StateStore, name: str, state: State, person: Person) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "file"
        for path, file in state.files.items():
            if path.endswith(ARRAYS):  # such as the champion's weights, by far the largest of all
                continue
            states.download(name, state, [(file, place)])
            if person.is_in(place):
                return True
    return False
