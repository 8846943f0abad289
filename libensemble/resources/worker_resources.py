"""Who holds which resource sets, and what a worker's share is.

Owns `ResourceManager` (the manager's books: which set is whose) and `WorkerResources` (a worker's nodes, slots and
GPUs, from the sets it holds at the moment). Which sets an order gets is chosen by `scheduler.py`.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.errors import ResourceManagerException, WorkerResourcesException
from libensemble.resources.gpu_detect import set_mask
from libensemble.resources.rset_resources import RSetResources, near_workers, positions_on_node
from libensemble.resources.slot_matching import Layout

__all__ = ["ResourceManager", "ResourceManagerException", "WorkerResources", "WorkerResourcesException"]

logger = logging.getLogger(__name__)

FREE = -1
DEFAULT_GPU_VARIABLE = "CUDA_VISIBLE_DEVICES"


class ResourceManager(RSetResources):
    """The manager's books: which worker holds which resource set.

    Parameters
    ----------
    num_workers : int
    resources : GlobalResources
    worker_hosts : mapping of int to str, optional
        Where each worker runs. A worker's default set is then one on its own node, if there is one left.

    Attributes
    ----------
    index_list : list of int or None
        For worker 1, 2, ...: the set that it has by default, if any. See `default_team`.
    rsets_free : int
        Sets that nobody holds.
    """

    man_rset_dtype = [*RSetResources.rset_dtype, ("assigned", int)]  # noqa: RUF012 -- read as a dtype, never changed

    def __init__(self, num_workers: int, resources: Any, worker_hosts: Mapping[int, str] | None = None) -> None:
        super().__init__(num_workers, resources)
        if self.total_num_rsets and not self.even_assignment(self.num_nodes, self.total_num_rsets):
            logger.warning(
                "Uneven distribution: %d resource sets on %d nodes. Sets differ in size",
                self.total_num_rsets,
                self.num_nodes,
            )
        zero_workers = list(self._glob.zero_resource_workers or [])
        self.index_list = self.get_index_list(num_workers, self.total_num_rsets, zero_workers)
        if worker_hosts:
            self.index_list = near_workers(self.index_list, worker_hosts, self.split_list)
        self._assigned: npt.NDArray[Any] = np.full(self.total_num_rsets, FREE)

    @cached_property
    def rsets(self) -> npt.NDArray[Any]:
        """One row per set: the fields of `all_rsets`, and `assigned` (a worker's id, or -1)."""
        rsets = np.zeros(self.total_num_rsets, dtype=self.man_rset_dtype)
        for field in ("group", "slot", "gpus"):
            rsets[field] = self.all_rsets[field]
        rsets["assigned"] = self._assigned
        self._assigned = rsets["assigned"]  # one truth from here on
        return rsets

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "rsets" in state:
            self._assigned = self.rsets["assigned"]  # a view again, where two arrays have travelled

    @cached_property
    def rset_layout(self) -> Layout:
        """The sets by group and slot, as the scheduler searches them."""
        return Layout(self.rsets)

    @property
    def num_groups(self) -> int:
        """The last group's number."""
        return int(self.rsets["group"][-1]) if self.total_num_rsets else 0

    @property
    def rsets_free(self) -> int:
        """Sets that nobody holds."""
        return int(np.count_nonzero(self._assigned == FREE))

    @property
    def gpu_rsets_free(self) -> int:
        """Sets with GPUs that nobody holds."""
        return int(np.count_nonzero((self.rsets["assigned"] == FREE) & self.rsets["gpus"]))

    @property
    def nongpu_rsets_free(self) -> int:
        """Sets without GPUs that nobody holds."""
        return self.rsets_free - self.gpu_rsets_free

    @property
    def group_sizes(self) -> dict[int, int]:
        """Group to the number of its sets."""
        groups, counts = np.unique(self.rsets["group"], return_counts=True)
        return dict(zip(groups.tolist(), counts.tolist(), strict=True))

    @property
    def ngroups_by_size(self) -> dict[int, int]:
        """Size to the number of groups that have it."""
        sizes = list(self.group_sizes.values())
        return {size: sizes.count(size) for size in sizes}

    @property
    def even_groups(self) -> bool:
        """Whether all groups have the same size."""
        return len(self.ngroups_by_size) <= 1

    @property
    def scheduler_defaults(self) -> dict[str, Any]:
        """What the platform says about choosing sets, where the user does not."""
        update = getattr(self._glob, "update_scheduler_opts", None)
        return update({}) if update else {}

    def default_team(self, worker_id: int) -> list[int]:
        """The sets that a worker has where an order names none; none for worker 0 and zero-resource workers."""
        if not 0 < worker_id <= len(self.index_list):
            return []
        index = self.index_list[worker_id - 1]
        return [] if index is None else [index]

    def assign_rsets(self, rset_team: Iterable[int] | None, worker_id: int) -> None:
        """Note that a worker holds these sets.

        Raises
        ------
        ResourceManagerException
            A set is held by another worker, or there is no such set; nothing is noted then.
        """
        team = [] if rset_team is None else list(rset_team)
        for index in team:
            if not 0 <= index < self.total_num_rsets:
                raise ResourceManagerException(f"No resource set {index}: sets are 0 to {self.total_num_rsets - 1}")
            holder = self._assigned[index]
            if holder not in (FREE, worker_id):
                raise ResourceManagerException(
                    f"Resource set {index} cannot go to worker {worker_id}: worker {holder} holds it"
                )
        for index in team:
            self._assigned[index] = worker_id

    def free_rsets(self, worker: int | None = None, rset_team: Iterable[int] | None = None) -> None:
        """Free the sets of a worker, or of all; who knows which ones they are (`rset_team`) saves a search."""
        if rset_team is not None:
            for index in rset_team:
                self._assigned[index] = FREE
        elif worker is None:
            self._assigned[:] = FREE
        else:
            self._assigned[self._assigned == worker] = FREE

    @staticmethod
    def get_index_list(num_workers: int, num_rsets: int, zero_resource_list: Sequence[int]) -> list[int | None]:
        """For each worker from 1 on, the set that it has by default: the next one, while there are any."""
        indices: list[int | None] = []
        following = 0
        for worker in range(1, num_workers + 1):
            takes_one = worker not in zero_resource_list and following < num_rsets
            indices.append(following if takes_one else None)
            following += takes_one
        return indices


class WorkerResources(RSetResources):
    """A worker's share: nodes, slots and GPUs of the resource sets that it holds at the moment.

    Parameters
    ----------
    num_workers : int
    resources : GlobalResources
    workerID : int

    Attributes
    ----------
    rset_team : list of int or None
        The sets held; None before any order came.
    num_rsets : int
    local_nodelist : list of str
        Their nodes, each once.
    local_node_count : int
    slots : dict of str to list of int, or None
        Node to the worker's slots on it (a slot is a set's position on its node).
    even_slots, matching_slots : bool
        Whether the worker has as many slots, or the very same slots, on each of its nodes.
    slot_count : int or None
        Slots on each node, if even; None without resources.
    slots_on_node : list of int or None
        The slots on each node, if matching; None without resources.
    gen_nprocs, gen_ngpus : int or None
        Processes and GPUs that the generator asked for in this order.
    """

    def __init__(self, num_workers: int, resources: Any, workerID: int) -> None:
        super().__init__(num_workers, resources)
        self.workerID = workerID
        self.zero_resource_workers = list(self._glob.zero_resource_workers or [])
        self.platform_info: Mapping[str, Any] = getattr(self._glob, "platform_info", None) or {}
        self.rset_team: list[int] | None = None
        self.gen_nprocs: int | None = None
        self.gen_ngpus: int | None = None
        self._hold([], {})

    @property
    def tiles_per_gpu(self) -> int:
        """Tiles of each GPU that count as GPUs; 1 where whole GPUs do."""
        return getattr(self._glob, "tiles_per_gpu", 1) or 1

    def set_rset_team(self, rset_team: Iterable[int]) -> None:
        """Take these sets as the worker's share, instead of those it had.

        Raises
        ------
        WorkerResourcesException
            There is no such set.
        """
        team = rset_team if isinstance(rset_team, list) else [int(index) for index in rset_team]
        if team == self.rset_team or self.workerID in self.zero_resource_workers:
            return
        nodes, slots = _nodes_and_slots(self.workerID, team, self.split_list, self.slot_list)
        self.rset_team = [int(index) for index in team]
        self._hold(nodes, slots)

    def _hold(self, nodes: list[str], slots: dict[str, list[int]]) -> None:
        self.num_rsets = len(self.rset_team or [])
        self.local_nodelist = nodes
        self.local_node_count = len(nodes)
        self.slots: dict[str, list[int]] | None = slots if self.rset_team is not None else None
        self.set_slot_count()

    def set_slot_count(self) -> None:
        """Work out from `slots` whether they are even and match, and their number on each node."""
        by_node = list((self.slots or {}).values())
        self.even_slots = len({len(slots) for slots in by_node}) <= 1
        self.matching_slots = all(slots == by_node[0] for slots in by_node)
        self.slot_count: int | None = len(by_node[0]) if by_node and self.even_slots else None
        self.slots_on_node: list[int] | None = list(by_node[0]) if by_node and self.matching_slots else None

    def set_gen_procs_gpus(self, libE_info: Mapping[str, Any]) -> None:
        """Take the processes and GPUs that the generator asked for; None where an order says nothing."""
        self.gen_nprocs = libE_info.get("num_procs")
        self.gen_ngpus = libE_info.get("num_gpus")

    def even_share(self) -> tuple[list[str], int]:
        """Nodes and slots on each, for a launch that has the same number on every node.

        That is the whole share if it is even, else the part of it with the most slots (on fewest nodes).
        """
        slots = self.slots or {}
        if self.even_slots:
            return self.local_nodelist, self.slot_count or 0
        counts = sorted({len(held) for held in slots.values()}, reverse=True)
        layouts = [([node for node in slots if len(slots[node]) >= count], count) for count in counts]
        return max(layouts, key=lambda layout: len(layout[0]) * layout[1])

    def doihave_gpus(self) -> bool:
        """Whether any of the worker's sets holds GPUs."""
        return any(self.all_rsets["gpus"][index] for index in self.rset_team or [])

    def gpu_count_on(self, node: str) -> int:
        """GPUs of the worker's sets on one of its nodes."""
        return len(self._gpu_slots(node)) * self.gpus_per_rset_per_node

    def gpu_ids(self, nodes: Iterable[str] | None = None, limit: int | None = None) -> list[str]:
        """Ids of the worker's GPUs, as they are written in a variable such as `CUDA_VISIBLE_DEVICES`.

        Parameters
        ----------
        nodes : iterable of str, optional
            Nodes on which the ids shall hold; by default all of the worker's.
        limit : int, optional
            The most ids to give.

        Raises
        ------
        WorkerResourcesException
            The worker's slots differ between these nodes, so that no one list holds on all.
        """
        by_node = {node: self._gpu_slots(node) for node in (self.local_nodelist if nodes is None else nodes)}
        lists = list(by_node.values())
        if any(slots != lists[0] for slots in lists):
            raise WorkerResourcesException(f"Slots with GPUs differ between nodes, no list of ids fits all: {by_node}")
        numbers = _expanded(lists[0] if lists else [], self.gpus_per_rset_per_node)[:limit]
        return [self._gpu_name(number) for number in numbers]

    def _gpu_slots(self, node: str) -> list[int]:
        with_gpus = self.gpu_rsets_on(node)
        return [slot for slot in (self.slots or {}).get(node, []) if slot < with_gpus]

    def _gpu_name(self, number: int) -> str:
        if self.tiles_per_gpu > 1:
            return self._tile_name(number)
        visible = getattr(self._glob, "visible_gpus", None)
        return visible[number] if visible and number < len(visible) else str(number)

    def _tile_name(self, number: int) -> str:
        return f"{number // self.tiles_per_gpu}.{number % self.tiles_per_gpu}"

    def get_slots_as_string(self, multiplier: int = 1, delimiter: str = ",", limit: int | None = None) -> str | None:
        """The worker's slots as text, such as `"1,2"`; None, with a warning, where they differ between nodes.

        Parameters
        ----------
        multiplier : int
            Numbers for each slot: with 2, slots 1 and 2 give `"2,3,4,5"`.
        delimiter : str
        limit : int, optional
            The most numbers to give.
        """
        if self.slots_on_node is None:
            logger.warning("Slots on node are %s: no list of slots fits all nodes", self.slots or "not assigned")
            return None
        numbers = _expanded(self.slots_on_node, multiplier)[:limit]
        return delimiter.join(self._tile_name(n) if self.tiles_per_gpu > 1 else str(n) for n in numbers)

    def set_env_to_slots(self, env_var: str, multiplier: int = 1, delimiter: str = ",") -> None:
        """Set a variable of this process to the worker's slots (see `get_slots_as_string`).

        The environment belongs to the whole process: workers that are threads should pass `gpu_ids()` to what
        they start.

        Raises
        ------
        WorkerResourcesException
            The worker has no slots, or different ones on its nodes.
        """
        value = self.get_slots_as_string(multiplier, delimiter)
        if value is None:
            raise WorkerResourcesException(f"Cannot set {env_var} to the slots of worker {self.workerID}: {self.slots}")
        set_mask(env_var, value)

    def set_env_to_gpus(self, env_var: str | None = None, delimiter: str = ",") -> None:
        """Set a variable of this process to the ids of the worker's GPUs; nothing happens without GPUs.

        Parameters
        ----------
        env_var : str, optional
            By default the platform's variable, else `CUDA_VISIBLE_DEVICES`.
        delimiter : str

        Raises
        ------
        WorkerResourcesException
            The worker's slots differ between its nodes.
        """
        if not self.matching_slots:
            raise WorkerResourcesException(f"Cannot set GPUs: slots differ between nodes, {self.slots}")
        if self.doihave_gpus():
            set_mask(env_var or self.gpu_variable(), delimiter.join(self.gpu_ids(limit=self.gen_ngpus)))

    def gpu_variable(self) -> str:
        """The variable that tells a process its GPUs where no MPI runner does."""
        info = self.platform_info
        named = info.get("gpu_setting_name") if info.get("gpu_setting_type") == "env" else None
        return named or info.get("gpu_env_fallback") or DEFAULT_GPU_VARIABLE

    @staticmethod
    def get_local_nodelist(
        workerID: int | None,
        rset_team: Sequence[int],
        split_list: Sequence[list[str]],
        rsets_per_node: int | None = None,
    ) -> tuple[list[str], dict[str, list[int]]]:
        """Nodes of a team of sets, each once, and the team's slots on each; `rsets_per_node` is not needed.

        Raises
        ------
        WorkerResourcesException
            The worker has no id, or there is no such set.
        """
        return _nodes_and_slots(workerID, rset_team, split_list, positions_on_node(split_list))


def _nodes_and_slots(
    worker_id: int | None, team: Sequence[int], split_list: Sequence[list[str]], positions: Sequence[int]
) -> tuple[list[str], dict[str, list[int]]]:
    if worker_id is None:
        raise WorkerResourcesException("Worker has no workerID - aborting")
    slots: dict[str, list[int]] = {}
    for index in team:
        if not 0 <= index < len(split_list):
            raise WorkerResourcesException(
                f"No resource set {index} for worker {worker_id}: there are {len(split_list)}"
            )
        for node in split_list[index]:
            slots.setdefault(node, []).append(positions[index])
    return list(slots), slots


def _expanded(slots: Iterable[int], multiplier: int) -> list[int]:
    return [slot * multiplier + i for slot in slots for i in range(multiplier)]
