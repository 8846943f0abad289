"""Nodes cut into resource sets.

Owns how many sets there are, which nodes each lies on, and what each holds. Who holds which sets belongs to
`worker_resources.py`. Numbers that need the GPUs of a node are worked out when they are first read, since finding GPUs
may start a process.

    nodes n1 n2, 5 sets:   n1 | 0 1 2      group 1, slots 0 1 2
                           n2 | 3 4        group 2, slots 0 1
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.errors import ResourcesException

logger = logging.getLogger(__name__)

Nodes = list[str]


class RSetResources:
    """The resource sets of a run.

    Parameters
    ----------
    num_workers : int
        Workers of the run. Unless `num_resource_sets` is stated, there are as many sets as workers that take any.
    resources : GlobalResources
        What the nodes hold.

    Attributes
    ----------
    total_num_rsets, num_nodes : int
    split_list : list of list of str
        The nodes of each set.
    local_rsets_list : list of int
        For each set, how many sets share its node (1 where a set has whole nodes).
    slot_list : list of int
        For each set, its position on its node (0 where a set has whole nodes).
    rsets_per_node : int
        The most sets on any node.
    nodes_in_rset : int
        Nodes of the first set, which is never the smaller one.
    """

    rset_dtype = [("group", int), ("slot", int), ("gpus", bool)]  # noqa: RUF012 -- read as a dtype, never changed

    def __init__(self, num_workers: int, resources: Any) -> None:
        self._glob = getattr(resources, "glob_resources", resources)
        self.num_workers = num_workers
        self.num_workers_2assign2 = self.get_workers2assign2(num_workers, self._glob)
        self.total_num_rsets: int = self._glob.num_resource_sets or self.num_workers_2assign2
        self.num_nodes = len(self._glob.global_nodelist)
        self.split_list, self.local_rsets_list = self.get_split_list(self.total_num_rsets, self._glob)
        self.slot_list = positions_on_node(self.split_list)
        self.nodes_in_rset = len(self.split_list[0]) if self.split_list else 0
        self.rsets_per_node = self.get_rsets_on_a_node(self.total_num_rsets, self._glob)

    @cached_property
    def all_rsets(self) -> npt.NDArray[Any]:
        """One row per set: `group` (from 1), `slot` (in the group, from 0), `gpus` (whether it holds GPUs)."""
        group_size = getattr(self._glob, "gpus_per_group", None)
        groups, slots, gpus = _grouped(self.split_list, self.slot_list, self._gpus_on, group_size)
        rsets = np.zeros(self.total_num_rsets, dtype=self.rset_dtype)
        rsets["group"], rsets["slot"], rsets["gpus"] = groups, slots, gpus
        return rsets

    @cached_property
    def total_num_gpu_rsets(self) -> int:
        """Sets that hold GPUs."""
        return int(np.count_nonzero(self.all_rsets["gpus"]))

    @property
    def total_num_nongpu_rsets(self) -> int:
        """Sets that hold none."""
        return self.total_num_rsets - self.total_num_gpu_rsets

    @cached_property
    def gpu_rsets_per_node(self) -> int:
        """The most sets with GPUs on any node."""
        return max((self.gpu_rsets_on(node) for node in self._glob.global_nodelist), default=0)

    @property
    def nongpu_rsets_per_node(self) -> int:
        """The other sets of such a node."""
        return self.rsets_per_node - self.gpu_rsets_per_node

    @cached_property
    def gpus_per_rset_per_node(self) -> int:
        """GPUs that a set with GPUs has on each of its nodes; where nodes differ, the least."""
        with_gpus = [node for node in self._glob.global_nodelist if self._gpus_on(node)]
        return min((self._gpus_on(node) // self.gpu_rsets_on(node) for node in with_gpus), default=0)

    @cached_property
    def cores_per_rset_per_node(self) -> int:
        """Physical cores of a set on each of its nodes; 0 where sets share cores."""
        return self._least_cores // max(1, self.rsets_per_node)

    @cached_property
    def procs_per_rset_per_node(self) -> int:
        """Processes that a set may run on each of its nodes: its cores, or more where sets share cores."""
        if self.cores_per_rset_per_node:
            return self.cores_per_rset_per_node
        return self._least_cores * -(-self.rsets_per_node // self._least_cores)

    @property
    def gpus_per_rset(self) -> int:
        """GPUs of a set over all its nodes. Where sets differ, what every one of them holds (so for the next two)."""
        return self.gpus_per_rset_per_node * self._least_nodes

    @property
    def cores_per_rset(self) -> int:
        """Physical cores of a set over all its nodes."""
        return self.cores_per_rset_per_node * self._least_nodes

    @property
    def procs_per_rset(self) -> int:
        """Processes of a set over all its nodes."""
        return self.procs_per_rset_per_node * self._least_nodes

    def gpu_rsets_on(self, node: str) -> int:
        """Sets that can hold GPUs of this node."""
        return min(self._gpus_on(node), self.rsets_per_node)

    @property
    def _least_nodes(self) -> int:
        return len(self.split_list[-1]) if self.split_list else 0

    @property
    def _least_cores(self) -> int:
        cores_on = getattr(self._glob, "cores_on", None)
        if cores_on is None:
            return self._glob.physical_cores_avail_per_node or 1
        return min((cores_on(node) for node in set(self._glob.global_nodelist)), default=1)

    def _gpus_on(self, node: str) -> int:
        gpus_on = getattr(self._glob, "gpus_on", None)
        return gpus_on(node) if gpus_on else (self._glob.gpus_avail_per_node or 0)

    @staticmethod
    def get_group_list(
        split_list: Sequence[Nodes], gpus_per_node: int = 0, gpus_per_group: int | None = None
    ) -> tuple[list[int], list[int], list[bool]]:
        """Group, slot in the group, and whether it has GPUs, for each set.

        Consecutive sets on the same nodes are a group; one of `gpus_per_group` sets is full.
        """
        return _grouped(split_list, positions_on_node(split_list), lambda node: gpus_per_node, gpus_per_group)

    @staticmethod
    def best_split(a: list[Any], n: int) -> list[list[Any]]:
        """`a` cut into `n` consecutive parts, the first `len(a) % n` of them one longer."""
        size, longer = divmod(len(a), n)
        starts = [i * size + min(i, longer) for i in range(n + 1)]
        return [a[start:end] for start, end in pairwise(starts)]

    @staticmethod
    def get_rsets_on_a_node(num_rsets: int, resources: Any) -> int:
        """The most sets on any node."""
        return -(-num_rsets // max(1, len(resources.global_nodelist)))

    @staticmethod
    def get_workers2assign2(num_workers: int, resources: Any) -> int:
        """Workers that take resource sets."""
        return max(0, num_workers - len(resources.zero_resource_workers or []))

    @staticmethod
    def even_assignment(nnodes: int, nworkers: int) -> bool:
        """Whether one of these numbers divides the other."""
        return nnodes % nworkers == 0 or nworkers % nnodes == 0

    @staticmethod
    def expand_list(nnodes: int, nworkers: int, nodelist: Nodes) -> tuple[Nodes, list[int]]:
        """Each node once for every set on it, and for each set how many share its node."""
        each, one_more = divmod(nworkers, nnodes)
        counts = [each + (i < one_more) for i in range(nnodes)]
        nodes = [node for node, count in zip(nodelist, counts) for _ in range(count)]
        return nodes, [count for count in counts for _ in range(count)]

    @staticmethod
    def get_split_list(num_rsets: int, resources: Any) -> tuple[list[Nodes], list[int]]:
        """The nodes of each set, and for each how many sets share its node."""
        nodelist = list(resources.global_nodelist)
        if not nodelist:
            raise ResourcesException(f"There are no nodes to cut into {num_rsets} resource sets")
        if num_rsets < 1:
            return [], []
        if num_rsets < len(nodelist):
            return RSetResources.best_split(nodelist, num_rsets), [1] * num_rsets
        nodes, local_rsets = RSetResources.expand_list(len(nodelist), num_rsets, nodelist)
        return [[node] for node in nodes], local_rsets

    @staticmethod
    def get_partitioned_nodelist(num_rsets: int, resources: Any) -> list[Nodes]:
        """The nodes of each set."""
        return RSetResources.get_split_list(num_rsets, resources)[0]


def positions_on_node(split_list: Sequence[Nodes]) -> list[int]:
    """For each set, how many earlier sets lie on the same nodes."""
    seen: dict[tuple[str, ...], int] = {}
    positions = []
    for nodes in map(tuple, split_list):
        positions.append(seen.get(nodes, 0))
        seen[nodes] = positions[-1] + 1
    return positions


def _grouped(
    split_list: Sequence[Nodes], positions: Sequence[int], gpus_on: Callable[[str], int], group_size: int | None
) -> tuple[list[int], list[int], list[bool]]:
    groups: list[int] = []
    slots: list[int] = []
    for index, position in enumerate(positions):
        same_group = index > 0 and position > 0 and slots[-1] + 1 != group_size
        slots.append(slots[-1] + 1 if same_group else 0)
        groups.append((groups[-1] if groups else 0) + (not same_group))
    gpus = [pos < min(map(gpus_on, nodes)) for nodes, pos in zip(split_list, positions)]
    return groups, slots, gpus


def near_workers(
    index_list: Sequence[int | None], worker_hosts: Mapping[int, str], split_list: Sequence[list[str]]
) -> list[int | None]:
    """The same sets for the same workers, but each worker's on its own node where that is possible."""
    takers = [worker for worker, index in enumerate(index_list, start=1) if index is not None]
    free = dict.fromkeys(range(len(split_list)))
    given: dict[int, int] = {}
    for worker in takers:
        near = next((index for index in free if worker_hosts.get(worker) in split_list[index]), None)
        if near is not None:
            given[worker] = near
            del free[near]
    rest = iter(free)
    return [(given[w] if w in given else next(rest)) if w in takers else None for w in range(1, len(index_list) + 1)]
