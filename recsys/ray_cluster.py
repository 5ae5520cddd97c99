"""Work in many processes of a Ray cluster; the only module that imports ray.

The driver, which is the process that calls `map_in_actors`, has the work list and takes in the results. Actors open
what they need once, from bytes that travel through Ray, and then compute one piece of work after the other: they share
no disk with the driver or with each other. A process or a node that dies costs its pieces, which others compute again.

All must compute alike, to the last bit. So a node with other versions, other code or another kind of processor is
refused, by name, before it computes anything.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from queue import Empty, Queue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.errors import ClusterError
from recsys.machine import differences, this_machine

ADDRESS = "RAY_ADDRESS"
"""Variable with the address of a cluster that this machine has joined, such as head:6379."""
WINDOW = 256
"""Pieces of work that the cluster's memory holds at once, with their results."""
RETRIES = 5
"""So often a piece of work whose actor died is computed again. Ray would do so for ever, also where it is the piece
that kills actors, by the memory that it takes."""
LOOK_S = 2.0
"""Seconds without a result after which the driver looks whether the cluster's head is still there."""
LOOKS = 3
"""So many looks in vain, one after the other, count as its end."""

Computation = Callable[[Any], NDArray[np.float32]]


def map_in_actors(
    open_computation: Callable[[Any], Computation],
    materials: object,
    work: Iterator[Any],
    actor_cpus: int,
) -> Iterator[NDArray[np.float32]]:
    """Compute pieces of work on the cluster.

    Args:
        open_computation: a function of a module, called in each actor once, with the materials. It gives the function
            that computes a piece of work.
        materials: what it needs; sent to each node once.
        work: pieces, taken as the cluster needs them.
        actor_cpus: processors of one actor.

    Yields:
        One array per piece, in the order of the pieces.

    Raises:
        ClusterError: there is no cluster at RAY_ADDRESS, it has no node with so many processors, a node would compute
            otherwise, or the cluster's head is gone. What was yielded is right in any case.
    """
    with _cluster() as n_cpus_of_node:
        n_actors = sum(n // actor_cpus for n in n_cpus_of_node)
        if n_actors == 0:
            raise ClusterError(
                f"no node of the Ray cluster has {actor_cpus} processors: they have {n_cpus_of_node}",
                remedy="lower profiles.actor_cpus, or let larger machines join",
            )
        import ray

        _require_same(actor_cpus)
        arguments = (this_machine(), open_computation, ray.put(materials))
        while window := list(islice(work, WINDOW)):
            rows = _watched(_results(window, arguments, actor_cpus, min(n_actors, len(window))))
            yield from (row["result"] for row in rows)


def _results(
    window: list[Any], arguments: tuple[Any, ...], actor_cpus: int, n_actors: int
) -> Iterator[dict[str, Any]]:
    """Rows with the results of a window of the work list, in its order."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    # Nothing depends on the size of a block: a piece is a row, and a row is a block.
    pieces = ray.data.from_items([{"work": piece} for piece in window], override_num_blocks=len(window))
    # A pool of a fixed size would wait for ever for an actor whose node is gone where no other node has room for it.
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=n_actors, max_tasks_in_flight_per_actor=2)
    made = pieces.map(
        _Actor, fn_constructor_args=arguments, compute=pool, num_cpus=actor_cpus, max_task_retries=RETRIES
    )
    return iter(made.iter_rows())


class _Actor:
    """In a process of a node: opens the computation once, then computes piece by piece."""

    def __init__(
        self,
        driver: frozenset[str],
        open_computation: Callable[[Any], Computation],
        materials: Any,  # noqa: ANN401  an ObjectRef
    ) -> None:
        import ray

        # A node may have joined after the driver has looked.
        if different := differences(driver, this_machine()):
            raise ClusterError(_refusal(_this_node(), different), remedy=ALIKE)
        self._compute = open_computation(ray.get(materials))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"result": self._compute(row["work"])}


ALIKE = "start every node of the cluster from one image, on processors of one kind"


def _refusal(node: str, different: str) -> str:
    return f"node {node} of the Ray cluster may compute other vectors than this machine: it {different}"


@contextmanager
def _cluster() -> Iterator[list[int]]:
    """Join the cluster at RAY_ADDRESS, or start one on this machine; the number of processors of each of its nodes."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # no report home
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters is raised
    try:
        import ray
    except ImportError as error:
        raise ClusterError(
            "profiles.engine is ray, which is not installed here",
            remedy="pip install 'firstlight-recsys[ray]', or profiles.engine: local",
        ) from error
    address = os.environ.get(ADDRESS) or "local"
    where = f"no Ray cluster can be joined at {address}"
    remedy = f"check {ADDRESS} (host:port); this machine must have joined, with the same ray and Python (ray start)"
    if address != "local" and not _answers(address):  # Ray would try for minutes
        raise ClusterError(f"{where}: nothing answers there", remedy=remedy)
    try:
        ray.init(
            address,
            include_dashboard=False if address == "local" else None,
            log_to_driver=False,
            logging_level="error",
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(f"{where}: {error}", remedy=remedy) from error
    try:
        yield [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    finally:
        ray.shutdown()


def _require_same(actor_cpus: int) -> None:
    """Ask every node that may get an actor what it is; ClusterError names those that differ from this machine."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [one for one in ray.nodes() if one["Alive"] and one["Resources"].get("CPU", 0) >= actor_cpus]
    ask = ray.remote(num_cpus=0, max_retries=0)(_tell)
    answers = [
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(one["NodeID"], soft=False)).remote()
        for one in nodes
    ]
    refused = []
    for node, answer in zip(nodes, answers, strict=True):
        name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}:{node['NodeManagerPort']})"
        try:
            different = differences(this_machine(), ray.get(answer))
        except ray.exceptions.TaskUnschedulableError:
            continue  # it has left the cluster since: it computes nothing
        except ray.exceptions.RayError as error:
            different = f"cannot run this package: {str(error).strip().splitlines()[-1]}"
        if different:
            refused.append(_refusal(name, different))
    if refused:
        raise ClusterError("\n".join(refused), remedy=ALIKE)


def _watched(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same rows; ClusterError if the cluster's head is gone.

    Ray waits a minute for a head that does not answer, and then ends the whole process. So the rows come by way of a
    thread, and meanwhile this one looks for the head.
    """
    import ray

    head = ray.get_runtime_context().gcs_address
    found: Queue[tuple[str, Any]] = Queue(maxsize=2)

    def take_in() -> None:
        try:
            for row in rows:
                found.put(("row", row))
        except Exception as error:  # raised again where the rows are wanted
            found.put(("error", error))
        else:
            found.put(("end", None))

    threading.Thread(target=take_in, name="results", daemon=True).start()
    in_vain = 0
    while True:
        try:
            kind, value = found.get(timeout=LOOK_S)
        except Empty:
            in_vain = 0 if _answers(head) else in_vain + 1
            if in_vain == LOOKS:
                raise ClusterError(
                    f"the head of the Ray cluster, {head}, is gone",
                    remedy="start the cluster again, then this command: it continues with the results it has received",
                ) from None
            continue
        if kind == "end":
            return
        if kind == "error":
            raise _as_cluster_error(value) from value
        in_vain = 0
        yield value


def _as_cluster_error(error: Exception) -> Exception:
    """What went wrong in an actor, in its own words; other errors as they are."""
    import ray

    if not isinstance(error, ray.exceptions.RayError):
        return error
    lines = [line.strip() for line in str(error).splitlines() if "Error" in line or line.startswith("node ")]
    reason = lines[-1] if lines else str(error)
    return ClusterError(f"an actor of the Ray cluster failed: {reason}", remedy="see its log: ray logs")


def _answers(address: str) -> bool:
    """Whether something listens at host:port; an address of another form has nobody."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=LOOK_S).close()
    except (OSError, ValueError):
        return False
    return True


def _this_node() -> str:
    import ray

    return f"{socket.gethostname()} ({ray.util.get_node_ip_address()})"


def _tell() -> frozenset[str]:
    return this_machine()
