"""Where an MPI launch lies: from what was asked to ranks, nodes and GPUs of this worker's share.

Owns `Request` -> `place` -> `Placement`, host lists and machine files. Which MPI is here is found by `mpi_variant.py`;
how a placement is said on a run line belongs to the executors; what the share is, to `worker_resources.py`.

    Request (asked)  --place(request, share)-->  Placement (where it lies)
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from libensemble.errors import MPIResourcesException
from libensemble.resources.mpi_variant import get_MPI_runner, get_MPI_variant

__all__ = [
    "ALL_GPUS",
    "MPIResourcesException",
    "Placement",
    "Request",
    "create_machinefile",
    "get_MPI_runner",
    "get_MPI_variant",
    "get_hostlist",
    "get_resources",
    "place",
    "rassert",
    "task_partition",
    "write_machinefile",
]

logger = logging.getLogger(__name__)

ALL_GPUS = -1  # as Request.gpus: all GPUs of the worker's resource sets

_NO_SETS = (
    "This worker holds no resource sets. Assign some to it, or give num_procs with a machinefile, "
    "or set libE_specs['disable_resource_manager'] = True"
)
_MORE_NODES = (
    "A worker gets more nodes by requesting more resource sets (H fields num_procs, num_gpus or resource_sets), "
    "or when the nodes are cut into fewer sets"
)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of an MPI launch. None means: not said.

    Attributes
    ----------
    procs : int or None
        Ranks in total.
    nodes : int or None
        Nodes to spread them over.
    procs_per_node : int or None
        Ranks on each node.
    gpus : int or None
        GPUs in total over all nodes; 0 asks for none, `ALL_GPUS` for all of the worker's sets.
        GPUs without `procs` and `procs_per_node` give one rank for each GPU.
    hyperthreads : bool
        Whether a logical core counts as a core when ranks per node are worked out.
    """

    procs: int | None = None
    nodes: int | None = None
    procs_per_node: int | None = None
    gpus: int | None = None
    hyperthreads: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a launch lies. None removes the option from a run line.

    Attributes
    ----------
    nodes, procs, procs_per_node : int or None
        `procs == nodes * procs_per_node`.
    gpus : int or None
        GPUs on *each* node for this launch; 0 if there shall be none, None if nobody asked.
    hosts : tuple of str
        Names of the nodes; empty without resource management.
    machinefile : str or None
        A file that holds the hosts, instead of `hosts`.
    whole_share : bool
        True if neither nodes nor ranks per node were said, nor followed from what was said: the launch then fills
        what it is given (a runner that can find out ranks per node by itself, as jsrun does, may leave them out).
    """

    nodes: int | None = None
    procs: int | None = None
    procs_per_node: int | None = None
    gpus: int | None = None
    hosts: tuple[str, ...] = ()
    machinefile: str | None = None
    whole_share: bool = False


def rassert(test: object, *args: object) -> None:
    """Raise `MPIResourcesException(*args)` unless `test` holds."""
    if not test:
        raise MPIResourcesException(*args)


def place(request: Request, share: Any) -> Placement:
    """Find the nodes, ranks and GPUs of a launch within a worker's share.

    A request that fits on one node uses one node. Ranks and GPUs that do not split evenly over the nodes are rounded up
    where the share holds that many.

    Parameters
    ----------
    request : Request
        What was asked, with what the extra arguments of the run line say already filled in.
    share : Resources or None
        This worker's resources (with `worker_resources`); None without resource management: the numbers are then only
        completed and checked, and there are no hosts.

    Raises
    ------
    MPIResourcesException
        The request is inconsistent, or needs what the share does not hold.
    """
    request = _as_numbers(request)
    if share is None:
        return _place_unmanaged(request)
    wanted = request.gpus
    if wanted == 0 and not (request.procs or request.procs_per_node):
        request = replace(request, gpus=None)  # the layout of a launch that says nothing about GPUs
    ground = _Ground.of(share, request.hyperthreads, with_gpus=bool(request.gpus))
    request = _split_evenly(_on_fewest_nodes(request, ground), ground)
    request, gpus = _with_gpus(request, ground)
    whole_share = request.nodes is None and request.procs_per_node is None
    procs, nodes, per_node = ground.partition(request.procs, request.nodes, request.procs_per_node)
    return Placement(
        nodes=nodes,
        procs=procs,
        procs_per_node=per_node,
        gpus=0 if wanted == 0 else gpus,
        hosts=ground.nodes[:nodes],
        whole_share=whole_share,
    )


def _as_numbers(request: Request) -> Request:
    stated = (request.procs, request.nodes, request.procs_per_node, request.gpus)
    procs, nodes, per_node, gpus = (None if value is None else int(value) for value in stated)
    return Request(procs, nodes, per_node, gpus, bool(request.hyperthreads))


def _place_unmanaged(request: Request) -> Placement:
    if request.gpus == ALL_GPUS:
        logger.warning("auto_assign_gpus is ignored: without resource management there is no share of GPUs to assign")
        request = replace(request, gpus=None)
    whole_share = request.nodes is None and request.procs_per_node is None
    procs, nodes, per_node = task_partition(request.procs, request.nodes, request.procs_per_node)
    gpus = request.gpus and -(-request.gpus // nodes)
    return Placement(nodes=nodes, procs=procs, procs_per_node=per_node, gpus=gpus, whole_share=whole_share)


@dataclass(frozen=True, slots=True)
class _Ground:
    """The part of a worker's share on which launches are placed: equally many sets on each of its nodes."""

    nodes: tuple[str, ...]
    sets_per_node: int
    cores: int  # of a whole node
    sets_sharing: int  # sets that share a node, this worker's and others'
    procs_per_set: int  # on each node
    gpus_per_node: int  # of this worker's sets; 0 where nobody asks: looking for GPUs may start a process
    worker_id: Any
    bounded: bool

    @classmethod
    def of(cls, share: Any, hyperthreads: bool, with_gpus: bool = False) -> "_Ground":
        worker = share.worker_resources
        rassert(worker is not None and worker.local_nodelist, _NO_SETS)
        nodes, sets_per_node = worker.even_share()
        return cls(
            nodes=tuple(nodes),
            sets_per_node=sets_per_node,
            cores=min(share.glob_resources.cores_on(node, hyperthreads) for node in nodes),
            sets_sharing=max(worker.local_rsets_list[index] for index in worker.rset_team),
            procs_per_set=worker.procs_per_rset_per_node,
            gpus_per_node=min(worker.gpu_count_on(node) for node in nodes) if with_gpus else 0,
            worker_id=worker.workerID,
            bounded=bool(share.glob_resources.enforce_worker_core_bounds),
        )

    @property
    def cores_per_node(self) -> int:
        """Cores of each node that belong to this worker; 0 where several sets share one core."""
        return (self.cores // self.sets_sharing) * self.sets_per_node

    def partition(self, procs: int | None, nodes: int | None, per_node: int | None) -> tuple[int, int, int]:
        """Complete ranks, nodes and ranks per node, and check them against this ground."""
        if not procs and not per_node:
            rassert(
                self.cores_per_node > 0,
                f"Less than one core for each resource set ({self.sets_sharing} sets on {self.cores} cores). "
                "Give num_procs to run more ranks than there are cores",
            )
            per_node = self.cores_per_node
            nodes = nodes or len(self.nodes)
        elif not nodes and not per_node:
            nodes = 1 if (procs or 0) <= self.cores_per_node else len(self.nodes)
        elif not nodes and not procs:
            nodes = len(self.nodes)
        whole_procs, whole_nodes, whole_per_node = task_partition(procs, nodes, per_node)
        self._check(whole_procs, whole_nodes, whole_per_node)
        return whole_procs, whole_nodes, whole_per_node

    def _check(self, procs: int, nodes: int, per_node: int) -> None:
        have = len(self.nodes)
        rassert(
            nodes <= have,
            f"Not enough nodes to honor arguments. Requested {nodes}. Only {have} available. {_MORE_NODES}",
        )
        if not self.bounded:
            return
        rassert(
            per_node <= self.cores,
            f"Not enough processors on a node to honor arguments. Requested {per_node}. Only {self.cores} available",
        )
        rassert(
            per_node <= self.cores_per_node,
            f"Not enough processors per worker to honor arguments. Requested {per_node}. "
            f"Only {self.cores_per_node} available on a node for worker {self.worker_id}",
        )
        rassert(
            procs <= self.cores * have,
            f"Not enough procs to honor arguments. Requested {procs}. Only {self.cores * have} available",
        )


def _on_fewest_nodes(request: Request, ground: _Ground) -> Request:
    """Say how many nodes are needed, where neither nodes nor ranks per node were said."""
    gpus = None if request.gpus == ALL_GPUS else request.gpus
    if gpus and not ground.gpus_per_node:
        raise MPIResourcesException(f"{gpus} GPUs were asked for, but the sets of worker {ground.worker_id} hold none")
    if request.nodes is not None or request.procs_per_node or not (request.procs or gpus):
        return request
    for_procs = -(-(request.procs or 1) // (ground.sets_per_node * ground.procs_per_set))
    for_gpus = -(-gpus // ground.gpus_per_node) if gpus else 1
    needed = max(for_procs, for_gpus)
    return replace(request, nodes=min(needed, len(ground.nodes), request.procs or needed))


def _split_evenly(request: Request, ground: _Ground) -> Request:
    """Raise ranks and GPUs to multiples of the nodes, where the share holds that many."""
    if not request.nodes:
        return request
    most_procs = ground.sets_per_node * ground.procs_per_set
    procs = _raised("nprocs", request.procs, request.nodes, most_procs)
    counted = request.gpus != ALL_GPUS
    gpus = _raised("ngpus", request.gpus, request.nodes, ground.gpus_per_node) if counted else ALL_GPUS
    return replace(request, procs=procs, gpus=gpus)


def _raised(what: str, count: int | None, nodes: int, most_per_node: int) -> int | None:
    if not count or count % nodes == 0:
        return count
    raised = -(-count // nodes) * nodes
    if raised > most_per_node * nodes:
        return count
    logger.info("Adjusted %s to split evenly across %d nodes. From %d to %d", what, nodes, count, raised)
    return raised


def _with_gpus(request: Request, ground: _Ground) -> tuple[Request, int | None]:
    """Fill in nodes and ranks from the GPUs asked for; also the GPUs on each node."""
    if request.gpus is None:
        return request, None
    nodes = request.nodes or _nodes_for(request, ground)
    gpus = ground.gpus_per_node
    if request.gpus != ALL_GPUS:
        if request.gpus // nodes > gpus:
            logger.info("Asked for more GPUs per node than available - max gpus per node (%d) will be used", gpus)
        gpus = min(request.gpus // nodes, gpus)
    procs, per_node = request.procs, request.procs_per_node
    if not (procs or per_node):
        rassert(
            gpus,
            f"One rank for each GPU gives no ranks: worker {ground.worker_id} has {ground.gpus_per_node} GPUs on a "
            f"node, and {request.gpus if request.gpus != ALL_GPUS else 'all'} were asked for on {nodes} nodes. "
            "Give num_procs to run without GPUs",
        )
        per_node, procs = gpus, nodes * gpus
    elif procs and not per_node:
        per_node = procs // nodes
    if not gpus:  # nothing was assigned: leave the layout to what was said about ranks
        return replace(request, nodes=nodes), 0
    return replace(request, nodes=nodes, procs=procs, procs_per_node=per_node), gpus


def _nodes_for(request: Request, ground: _Ground) -> int:
    if not request.procs:
        return len(ground.nodes)
    if request.procs_per_node:
        return max(1, request.procs // request.procs_per_node)
    return min(request.procs, len(ground.nodes))


def task_partition(
    num_procs: Any, num_nodes: Any, procs_per_node: Any, machinefile: str | None = None
) -> tuple[Any, Any, Any]:
    """Complete ranks, nodes and ranks per node from each other.

    Returns
    -------
    tuple
        `(num_procs, num_nodes, procs_per_node)`, or three None if a machinefile says it all.

    Raises
    ------
    MPIResourcesException
        Too little is given, or `num_procs` is not `num_nodes * procs_per_node`.
    """
    if machinefile:
        if num_procs or num_nodes or procs_per_node:
            logger.warning("Machinefile %s overrides num_procs, num_nodes and procs_per_node", machinefile)
        return None, None, None
    procs, nodes, per_node = (int(value) if value else None for value in (num_procs, num_nodes, procs_per_node))
    if not procs:
        if not (nodes and per_node):
            raise MPIResourcesException("Need num_procs, num_nodes/procs_per_node, or machinefile")
        procs = nodes * per_node
    elif not nodes:
        per_node = per_node or procs
        nodes = procs // per_node
    elif not per_node:
        per_node = procs // nodes
    if procs != nodes * per_node:  # type: ignore[operator]
        numbers = f"({procs} is not {nodes} * {per_node})"
        raise MPIResourcesException("num_procs does not equal num_nodes*procs_per_node", numbers)
    return procs, nodes, per_node


def get_resources(
    resources: Any,
    num_procs: int | None = None,
    num_nodes: int | None = None,
    procs_per_node: int | None = None,
    hyperthreads: bool = False,
) -> tuple[int, int, int]:
    """Complete ranks, nodes and ranks per node within a worker's share; by default all its cores are used.

    Returns
    -------
    tuple of int
        `(num_procs, num_nodes, procs_per_node)`.

    Raises
    ------
    MPIResourcesException
        The worker has no nodes, or different numbers of slots on them; the numbers do not fit together or, with
        `enforce_worker_core_bounds`, on the cores.
    """
    worker = resources.worker_resources
    rassert(worker.local_nodelist, "Node list is empty - aborting")
    rassert(worker.even_slots, f"Uneven distribution of slots over nodes: {worker.slots}")
    return _Ground.of(resources, bool(hyperthreads)).partition(num_procs, num_nodes, procs_per_node)


def create_machinefile(
    resources: Any,
    machinefile: str | None = None,
    num_procs: int | None = None,
    num_nodes: int | None = None,
    procs_per_node: int | None = None,
    hyperthreads: bool = False,
) -> tuple[bool, int, int, int]:
    """Write a machine file with the worker's nodes, each once for every rank on it.

    Returns
    -------
    tuple
        `(created, num_procs, num_nodes, procs_per_node)`.
    """
    procs, nodes, per_node = get_resources(resources, num_procs, num_nodes, procs_per_node, hyperthreads)
    hosts = resources.worker_resources.local_nodelist[:nodes]
    created = write_machinefile(machinefile or "machinefile", hosts, per_node)
    return created, procs, nodes, per_node


def write_machinefile(path: str, hosts: Sequence[str], procs_per_node: int) -> bool:
    """Write each host `procs_per_node` times, one per line, over any file at `path`; whether it holds anything."""
    with open(path, "w") as file:
        file.writelines(f"{host}\n" for host in hosts for _ in range(procs_per_node))
    return os.path.getsize(path) > 0


def get_hostlist(resources: Any, num_nodes: int | None = None) -> str:
    """The first `num_nodes` nodes of the worker (all by default), joined by commas."""
    return ",".join(resources.worker_resources.local_nodelist[:num_nodes])
