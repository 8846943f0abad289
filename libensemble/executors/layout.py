"""Where an MPI submit lies: from its arguments to a placement with GPUs.

Owns `Wish`, what a submit asks for once arguments, extra arguments and the generator's values are brought together, and
`Layout`, which has it placed on the worker's share (by `resources/mpi_resources.py`) and gives it its GPUs. Nodes and
GPUs that the worker's unfinished tasks hold are taken last.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from libensemble.errors import ExecutorException, MPIResourcesException
from libensemble.executors import gpu_settings
from libensemble.executors.extra_args import ExtraArgs
from libensemble.executors.mpi_runner import MPIRunner
from libensemble.executors.task import Task
from libensemble.resources.mpi_resources import ALL_GPUS, Placement, Request, place

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a submit asks for, before it is placed.

    Attributes
    ----------
    request : Request
    extra : ExtraArgs
        What the user wrote for the runner.
    machinefile : str or None
    all_gpus : bool
        All GPUs of the worker, where no number is given.
    matches_gpus : bool
        One rank for each GPU.
    """

    request: Request
    extra: ExtraArgs
    machinefile: str | None = None
    all_gpus: bool = False
    matches_gpus: bool = False

    def completed(self, runner: MPIRunner, gen_procs: int | None, gen_gpus: int | None) -> "Wish":
        """Return the wish with what the extra arguments and the generator say.

        The generator's processes count only where nothing was said about ranks and nodes.

        Raises
        ------
        ExecutorException
            The arguments contradict each other.
        """
        request = self._with_extra(runner)
        if self.matches_gpus and (request.procs or request.procs_per_node):
            raise ExecutorException("match_procs_to_gpus is mutually exclusive with num_procs and procs_per_node")
        if not self.machinefile:
            nothing_said = not (request.procs or request.nodes or request.procs_per_node or self.matches_gpus)
            if nothing_said and gen_procs:
                request = replace(request, procs=int(gen_procs))
            if request.gpus is None and gen_gpus is not None:
                request = replace(request, gpus=int(gen_gpus))
        if request.gpus is None and self.all_gpus:
            request = replace(request, gpus=ALL_GPUS)
        if self.matches_gpus and request.gpus == 0:
            raise ExecutorException("match_procs_to_gpus with num_gpus=0 gives no ranks")
        return replace(self, request=request)

    def _with_extra(self, runner: MPIRunner) -> Request:
        """What the extra arguments state wins: their text is what the run line will show."""
        asked, extra = self.request, self.extra
        procs = _stated("num_procs", asked.procs, extra.value(runner.procs_options))
        nodes = _stated("num_nodes", asked.nodes, extra.value(runner.nodes_options))
        per_node = _stated("procs_per_node", asked.procs_per_node, extra.value(runner.procs_per_node_options))
        return replace(asked, procs=procs, nodes=nodes, procs_per_node=per_node)


def _stated(name: str, given: int | None, stated: int | None) -> int | None:
    if stated is not None and given not in (None, stated):
        logger.warning(f"extra_args state {stated} for {name}, which wins over the argument {name}={given}")
    return given if stated is None else stated


class Layout:
    """The ground that submits of one worker are laid out on.

    Parameters
    ----------
    runner : MPIRunner
    resources : Resources or None
        They hold the worker's share; None without resource management.
    platform_info : dict
    tasks : sequence of Task
        The worker's tasks so far.
    """

    def __init__(
        self, runner: MPIRunner, resources: Any, platform_info: Mapping[str, Any], tasks: Sequence[Task]
    ) -> None:
        self.runner = runner
        self.resources = resources
        self.platform_info = platform_info
        self.tasks = [task for task in tasks if not task.finished]

    def place(self, task: Task, wish: Wish) -> tuple[Placement, str | None]:
        """Say where a task lies, give it its GPUs, and return the runner's GPU option (or None) as well.

        Raises
        ------
        MPIResourcesException
            The wish does not fit the worker's share.
        ExecutorException
            GPUs cannot be assigned as the platform wants it.
        """
        machinefile = self._usable(wish.machinefile)
        if machinefile and (self.resources is None or not wish.request.gpus):
            placement = Placement(gpus=wish.request.gpus if (wish.request.gpus or 0) > 0 else None)
        else:
            placement = self._beside_others(self._placed(wish.request), wish.request)
        gpu_option = self._give_gpus(task, placement, wish)
        if machinefile:
            if wish.request.procs or wish.request.nodes or wish.request.procs_per_node:
                logger.warning(f"machinefile {machinefile} overrides num_procs, num_nodes and procs_per_node")
            return Placement(machinefile=machinefile), gpu_option
        task.procs_held = dict.fromkeys(placement.hosts, placement.procs_per_node or 0)
        return placement, gpu_option

    def _usable(self, machinefile: str | None) -> str | None:
        if machinefile and not self.runner.takes_machinefile:
            logger.warning(f"machinefile {machinefile} is ignored: {self.runner.run_command} takes none")
            return None
        return machinefile

    def _placed(self, request: Request) -> Placement:
        try:
            return place(request, self.resources)
        except MPIResourcesException as error:
            if self.runner.states_placement:
                raise
            logger.warning(f"The run line is taken as it is, though it does not fit the worker's resources: {error}")
            return Placement()

    def _beside_others(self, placement: Placement, request: Request) -> Placement:
        """Prefer nodes, and for a wish for all GPUs take only GPUs, that no running task of the worker uses."""
        if self.resources is None or not self.tasks or not placement.hosts:
            return placement
        worker = self.resources.worker_resources
        nodes = worker.even_share()[0]
        quiet = sorted(nodes, key=self._load)[: len(placement.hosts)]
        placement = replace(placement, hosts=tuple(node for node in nodes if node in quiet))
        free = min(len(gpu_settings.free_ids(host, worker, self.tasks)) for host in placement.hosts)
        if request.gpus != ALL_GPUS or not 0 < free < (placement.gpus or 0):
            return placement
        if request.procs or request.procs_per_node:
            return replace(placement, gpus=free)
        return replace(placement, gpus=free, procs_per_node=free, procs=free * len(placement.hosts))

    def _load(self, node: str) -> tuple[int, int]:
        return len(gpu_settings.held_on(node, self.tasks)), sum(task.procs_held.get(node, 0) for task in self.tasks)

    def _give_gpus(self, task: Task, placement: Placement, wish: Wish) -> str | None:
        if placement.gpus is None or wish.request.gpus == 0:
            return None
        if gpu_settings.setting_type(self.runner, self.platform_info) == "env":
            ids = [str(number) for number in range(placement.gpus)]
            if self.resources is not None:
                ids = gpu_settings.common_ids(placement.hosts, self.resources.worker_resources)
                ids = gpu_settings.pick(ids, placement.gpus, placement.hosts, self.tasks)
            gpu_settings.set_variable(task, ids, placement.hosts, self.platform_info)
            return None
        task.ngpus_req = placement.gpus
        if not placement.gpus:
            return None
        for host in placement.hosts:
            ids = self.resources.worker_resources.gpu_ids([host])
            task.gpus_held[host] = tuple(gpu_settings.pick(ids, placement.gpus, [host], self.tasks))
        ranks_per_node = placement.procs_per_node or placement.gpus
        return gpu_settings.option(self.runner, self.platform_info, placement.gpus, ranks_per_node, wish.extra)
