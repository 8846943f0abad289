"""All that is known of a run's nodes, and the doors to it.

Owns `GlobalResources` (the nodes and what they hold; the same for everyone in a run) and `Resources`, which holds it
together with the manager's books or a worker's share. Nothing here starts a process until someone reads a number that
nobody stated.
"""

import copy
import logging
import os
import socket
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from libensemble.errors import ResourcesException
from libensemble.resources.env_resources import EnvResources
from libensemble.resources.gpu_detect import get_tiles_per_gpu, visible_ids
from libensemble.resources.mpi_variant import get_MPI_runner
from libensemble.resources.node_resources import get_sub_node_resources
from libensemble.resources.worker_resources import ResourceManager, WorkerResources
from libensemble.utils.current import current

__all__ = ["GlobalResources", "Resources", "ResourcesException"]

logger = logging.getLogger(__name__)

_NODELIST_KEYS = (
    "nodelist_env_slurm",
    "nodelist_env_cobalt",
    "nodelist_env_pbs",
    "nodelist_env_lsf",
    "nodelist_env_lsf_shortform",
)


class _Door(type):
    """Makes `Resources.resources` this worker's own object, also where workers are threads."""

    @property
    def resources(cls) -> Any:
        """The resources of whoever asks, or None."""
        return current.resources

    @resources.setter
    def resources(cls, resources: Any) -> None:
        current.resources = resources


class Resources(metaclass=_Door):
    """The resources of a run, as its manager or one of its workers sees them.

    `Resources.resources` is the object of the worker (or manager, or calling script) that asks; None where resource
    management is off.

    Parameters
    ----------
    libE_specs : mapping
    platform_info : mapping, optional
        As `get_platform` returns it.
    top_level_dir : str, optional
        Where a node file is looked for; by default the current directory.

    Attributes
    ----------
    glob_resources : GlobalResources
        The nodes and what they hold.
    resource_manager : ResourceManager or None
        On the manager, once `set_resource_manager` was called.
    worker_resources : WorkerResources or None
        On a worker.
    """

    DEFAULT_NODEFILE = "node_list"

    def __init__(
        self,
        libE_specs: Mapping[str, Any],
        platform_info: Mapping[str, Any] | None = None,
        top_level_dir: str | None = None,
    ) -> None:
        self.top_level_dir = top_level_dir or os.getcwd()
        self.glob_resources = GlobalResources(libE_specs, platform_info, self.top_level_dir)
        self.resource_manager: ResourceManager | None = None
        self.worker_resources: WorkerResources | None = None

    @classmethod
    def init_resources(
        cls, libE_specs: Mapping[str, Any], platform_info: Mapping[str, Any] | None = None
    ) -> "Resources | None":
        """Make the resources of a run and bind them to `Resources.resources`; None if they are disabled."""
        disabled = bool(libE_specs.get("disable_resource_manager"))
        resources = None if disabled else cls(libE_specs, platform_info, os.getcwd())
        cls.resources = resources
        return resources

    def add_comm_info(self, libE_nodes: Iterable[str]) -> None:
        """Tell on which nodes the manager and workers run; in dedicated mode these are kept free."""
        self.glob_resources.add_comm_info(libE_nodes)

    def set_resource_manager(self, num_workers: int, worker_hosts: Mapping[int, str] | None = None) -> None:
        """Open the manager's books: all sets are free.

        Parameters
        ----------
        num_workers : int
        worker_hosts : mapping of int to str, optional
            Where each worker runs, if workers shall have sets on their own nodes.
        """
        self.resource_manager = ResourceManager(num_workers, self.glob_resources, worker_hosts)

    def set_worker_resources(self, num_workers: int, workerid: int) -> None:
        """Make this object that of a worker."""
        self.worker_resources = WorkerResources(num_workers, self.glob_resources, workerid)

    def for_worker(self, num_workers: int, worker_id: int) -> "Resources":
        """A new object for a worker: its own share, over the same nodes; without the manager's books."""
        mine = copy.copy(self)
        mine.resource_manager = None
        mine.set_worker_resources(num_workers, worker_id)
        return mine


class GlobalResources:
    """The nodes of a run and what they hold.

    What is stated (`libE_specs["resource_info"]`, then the platform) stands; the rest is found out when it is first
    read: `physical_cores_avail_per_node`, `logical_cores_avail_per_node`, `gpus_avail_per_node`, `tiles_per_gpu`,
    `launcher`.

    Parameters
    ----------
    libE_specs : mapping
        `dedicated_mode`, `zero_resource_workers`, `num_resource_sets`, `enforce_worker_core_bounds`, `gpus_per_group`,
        `use_tiles_as_gpus` and `resource_info` are read.
    platform_info : mapping, optional
    top_level_dir : str, optional

    Attributes
    ----------
    global_nodelist : list of str
    node_facts : dict of str to dict of str to int
        What the node file states of single nodes: `cores`, `logical_cores`, `gpus`.
    libE_nodes : list of str or None
        The nodes that the manager and workers run on.
    """

    def __init__(
        self,
        libE_specs: Mapping[str, Any],
        platform_info: Mapping[str, Any] | None = None,
        top_level_dir: str | None = None,
    ) -> None:
        self.top_level_dir = top_level_dir
        self.platform_info: dict[str, Any] = dict(platform_info or {})
        self.resource_info: dict[str, Any] = dict(libE_specs.get("resource_info") or {})
        self.dedicated_mode = bool(libE_specs.get("dedicated_mode"))
        self.zero_resource_workers: list[int] = list(libE_specs.get("zero_resource_workers") or [])
        self.num_resource_sets: int | None = libE_specs.get("num_resource_sets")
        self.enforce_worker_core_bounds = bool(libE_specs.get("enforce_worker_core_bounds"))
        self.gpus_per_group: int | None = libE_specs.get("gpus_per_group")
        self.use_tiles_as_gpus = bool(libE_specs.get("use_tiles_as_gpus"))
        self.visible_gpus = self._visible_gpus()
        self.libE_nodes: list[str] | None = None

        self.env_resources = EnvResources(**{key: self.resource_info.get(key) for key in _NODELIST_KEYS})
        node_file = self.resource_info.get("node_file") or Resources.DEFAULT_NODEFILE
        self.node_facts = _read_node_file(node_file, top_level_dir) or {}
        self.global_nodelist = self.get_global_nodelist(node_file, top_level_dir, self.env_resources)
        self.shortnames = self.is_nodelist_shortnames(self.global_nodelist)
        self.local_host = socket.gethostname()
        if self.shortnames:
            self.local_host = self.env_resources.shortnames([self.local_host])[0]
        self._is_among_nodes = self.local_host in self.global_nodelist

    def _visible_gpus(self) -> list[str] | None:
        """The ids that a mask leaves, where GPUs are counted here rather than stated."""
        return visible_ids() if self._stated_gpus is None else None

    @property
    def _stated_gpus(self) -> int | None:
        stated = self.resource_info.get("gpus_on_node")
        return self.platform_info.get("gpus_per_node") if stated is None else stated

    @cached_property
    def launcher(self) -> str | None:
        """What starts a process on a compute node, or None."""
        return self.platform_info.get("runner_name") or get_MPI_runner(self.platform_info.get("mpi_runner"))

    @cached_property
    def physical_cores_avail_per_node(self) -> int:
        """Physical cores of a node."""
        return self._cores[0]

    @cached_property
    def logical_cores_avail_per_node(self) -> int:
        """Logical cores of a node."""
        if self._cores[0] == self._cores[1] and str(self.env_resources.scheduler).startswith("LSF"):
            logger.warning(
                "Logical cores are taken to be the physical ones (%d): LSF does not tell them. State them by "
                "libE_specs['resource_info']['cores_on_node'] or by a platform",
                self._cores[1],
            )
        return self._cores[1]

    @cached_property
    def tiles_per_gpu(self) -> int:
        """Tiles of each GPU that count as GPUs; 1 unless `use_tiles_as_gpus`."""
        if not self.use_tiles_as_gpus:
            return 1
        return self.platform_info.get("tiles_per_gpu") or get_tiles_per_gpu() or 1

    @cached_property
    def gpus_avail_per_node(self) -> int:
        """GPUs of a node, or tiles where these are used as GPUs."""
        return self._gpus * self.tiles_per_gpu

    @cached_property
    def _cores(self) -> tuple[int, int]:
        stated = self.resource_info.get("cores_on_node") or (
            self.platform_info.get("cores_per_node"),
            self.platform_info.get("logical_cores_per_node"),
        )
        physical, logical = stated
        if physical and logical:
            return physical, logical
        found = self._found_remotely or get_sub_node_resources(env_resources=self.env_resources, gpus_too=False)
        return physical or found[0], logical or found[1]

    @cached_property
    def _gpus(self) -> int:
        if self._stated_gpus is not None:
            return self._stated_gpus
        found = self._found_remotely or get_sub_node_resources(env_resources=self.env_resources)
        return found[2]

    @cached_property
    def _found_remotely(self) -> tuple[int, int, int] | None:
        """Numbers of a compute node, where this process runs on another kind of node."""
        if self._is_among_nodes or not self.launcher:
            return None
        return get_sub_node_resources(self.launcher, remote_mode=True, env_resources=self.env_resources)

    def cores_on(self, node: str, hyperthreads: bool = False) -> int:
        """Physical (or logical) cores of one node."""
        facts = self.node_facts.get(node, {})
        if "cores" in facts:
            return facts.get("logical_cores", facts["cores"]) if hyperthreads else facts["cores"]
        return self.logical_cores_avail_per_node if hyperthreads else self.physical_cores_avail_per_node

    def gpus_on(self, node: str) -> int:
        """GPUs of one node, or tiles where these are used as GPUs."""
        facts = self.node_facts.get(node, {})
        return facts["gpus"] * self.tiles_per_gpu if "gpus" in facts else self.gpus_avail_per_node

    def add_comm_info(self, libE_nodes: Iterable[str]) -> None:
        """Note the nodes that the manager and workers run on; in dedicated mode, take them off the list."""
        names = list(dict.fromkeys(libE_nodes))
        self.libE_nodes = self.env_resources.shortnames(names) if self.shortnames else names
        if not self.dedicated_mode or len(self.global_nodelist) < 2:
            return
        self.global_nodelist = self.remove_nodes(self.global_nodelist, self.libE_nodes)
        if not self.global_nodelist:
            logger.warning("Dedicated mode leaves no nodes: all of them run libEnsemble (%s)", self.libE_nodes)

    def update_scheduler_opts(self, scheduler_opts: dict[str, Any]) -> dict[str, Any]:
        """Add the platform's `match_slots` to the options, in place, unless they state it."""
        if "scheduler_match_slots" in self.platform_info:
            scheduler_opts.setdefault("match_slots", self.platform_info["scheduler_match_slots"])
        return scheduler_opts

    @staticmethod
    def is_nodelist_shortnames(nodelist: Iterable[str]) -> bool:
        """Whether no name has a dot."""
        return not any("." in node for node in nodelist)

    @staticmethod
    def remove_nodes(nodelist: Iterable[str], remove_list: Iterable[str] | str) -> list[str]:
        """The nodes that are not to be removed."""
        unwanted = {remove_list} if isinstance(remove_list, str) else set(remove_list)
        return [node for node in nodelist if node not in unwanted]

    @staticmethod
    def get_global_nodelist(
        node_file: str = Resources.DEFAULT_NODEFILE,
        rundir: str | None = None,
        env_resources: EnvResources | None = None,
    ) -> list[str]:
        """The nodes of the run: from a file in `rundir`, else from the scheduler, else this host.

        A line of the file is a node's name and, if nodes differ, `cores=16 logical_cores=32 gpus=4` or a part of it.
        Empty lines, comments (`#`) and repeated names are skipped.

        Raises
        ------
        ResourcesException
            The file names no node.
        """
        facts = _read_node_file(node_file, rundir)
        if facts is not None:
            if not facts:
                raise ResourcesException("Error. global_nodelist is empty", f"(no node in {node_file})")
            return list(facts)
        return (env_resources.get_nodelist() if env_resources else []) or [socket.gethostname()]


def _read_node_file(node_file: str, rundir: str | None) -> dict[str, dict[str, int]] | None:
    """Node to what its line states, in the file's order; None without a file."""
    try:
        with open(os.path.join(rundir or os.getcwd(), node_file)) as file:
            lines = [line.partition("#")[0].split() for line in file]
    except (FileNotFoundError, IsADirectoryError):
        return None
    facts: dict[str, dict[str, int]] = {}
    for name, *words in filter(None, lines):
        stated = (word.partition("=") for word in words)
        facts.setdefault(name, {key: int(value) for key, _, value in stated if value.isdigit()})
    return facts
