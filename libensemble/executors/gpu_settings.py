"""How a task learns which GPUs are its own: an option of the MPI runner, or an environment variable.

Owns the choice between the two, the option's text and the variable's value. GPUs that unfinished tasks of the same
worker hold are avoided as long as there are others.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from libensemble.errors import ExecutorException, MPIResourcesException, WorkerResourcesException
from libensemble.executors.extra_args import ExtraArgs
from libensemble.executors.mpi_runner import MPIRunner
from libensemble.executors.task import Task

logger = logging.getLogger(__name__)

DEFAULT_VARIABLE = "CUDA_VISIBLE_DEVICES"
_OPTION_TYPES = ("option_gpus_per_node", "option_gpus_per_task")


def setting_type(runner: MPIRunner | None, platform_info: Mapping[str, Any]) -> str:
    """Return how GPUs are assigned: ``env``, ``option_gpus_per_node`` or ``option_gpus_per_task``."""
    stated = platform_info.get("gpu_setting_type") or "runner_default"
    if stated in _OPTION_TYPES:
        return stated
    if stated == "runner_default" and runner is not None and runner.gpus_per_task_option:
        return "option_gpus_per_task"
    return "env"


def variable(platform_info: Mapping[str, Any]) -> str:
    """Return the name of the environment variable that lists a task's GPUs."""
    if platform_info.get("gpu_setting_type") == "env" and platform_info.get("gpu_setting_name"):
        return platform_info["gpu_setting_name"]
    return platform_info.get("gpu_env_fallback") or DEFAULT_VARIABLE


def option(
    runner: MPIRunner, platform_info: Mapping[str, Any], gpus_per_node: int, ranks_per_node: int, extra: ExtraArgs
) -> str | None:
    """Return the option of a runner that assigns GPUs; None if the user has stated one.

    Where ranks cannot have equally many GPUs each, the runner's option for a whole node is taken.

    Raises
    ------
    ExecutorException
        The runner has no option of the kind that the platform asks for, or cannot share GPUs among ranks.
    """
    stated = platform_info.get("gpu_setting_type") or "runner_default"
    name = platform_info.get("gpu_setting_name") if stated in _OPTION_TYPES else None
    if any(extra.has_beginning(known) for known in (*runner.gpu_options, *((name,) if name else ()))):
        return None
    kind = setting_type(runner, platform_info)
    if kind == "option_gpus_per_task" and gpus_per_node % ranks_per_node and runner.gpus_per_node_option:
        kind, name = "option_gpus_per_node", runner.gpus_per_node_option
    if kind == "option_gpus_per_node":
        return _text(name or runner.gpus_per_node_option, gpus_per_node, kind, runner)
    if gpus_per_node < ranks_per_node:
        raise ExecutorException(
            f"{ranks_per_node} ranks on each node cannot share {gpus_per_node} GPUs: {runner.run_command} gives whole "
            f"GPUs to each rank. Give at most {gpus_per_node} procs per node, or state the GPUs in extra_args"
        )
    return _text(name or runner.gpus_per_task_option, gpus_per_node // ranks_per_node, kind, runner)


def _text(name: str | None, value: int, kind: str, runner: MPIRunner) -> str:
    if not name:
        raise ExecutorException(
            f"gpu_setting_type {kind!r} needs a gpu_setting_name with {runner.run_command}, which has no such option "
            "of its own"
        )
    return f"{name}{'' if name.endswith(('=', ':')) else ' '}{value}"


def common_ids(hosts: Sequence[str], worker: Any) -> list[str]:
    """Return the ids of a worker's GPUs, which must be the same on each of these nodes.

    Raises
    ------
    ExecutorException
        They differ.
    """
    try:
        return worker.gpu_ids(hosts)
    except WorkerResourcesException as error:
        raise ExecutorException(f"GPUs cannot be assigned by an environment variable: {error}") from error


def free_ids(host: str, worker: Any, tasks: Iterable[Task]) -> list[str]:
    """Return the ids of a worker's GPUs on a node that none of its unfinished tasks holds."""
    held = held_on(host, tasks)
    return [gpu for gpu in worker.gpu_ids([host]) if gpu not in held]


def held_on(host: str, tasks: Iterable[Task]) -> set[str]:
    """Return the ids of the GPUs that unfinished tasks hold on a node."""
    return {gpu for task in tasks if not task.finished for gpu in task.gpus_held.get(host, ())}


def pick(ids: Sequence[str], count: int, hosts: Sequence[str], tasks: Iterable[Task]) -> list[str]:
    """Return so many of the ids: those that no unfinished task holds come first."""
    held: set[str] = set().union(*(held_on(host, tasks) for host in hosts))
    free = [gpu for gpu in ids if gpu not in held]
    if len(free) < min(count, len(ids)):
        logger.info(f"{count} GPUs are asked for and {len(free)} are free; running tasks of this worker share theirs")
    return (free + [gpu for gpu in ids if gpu in held])[:count]


def serial_gpu_env(
    task: Task,
    num_gpus: int | None,
    auto_assign_gpus: bool,
    resources: Any,
    platform_info: Mapping[str, Any],
    tasks: Sequence[Task],
) -> None:
    """Give a task that no MPI runner starts its GPUs, by the platform's environment variable.

    Raises
    ------
    MPIResourcesException
        GPUs are asked for, and the worker has none.
    """
    if not num_gpus and (num_gpus == 0 or not auto_assign_gpus):
        return
    if resources is None:
        if num_gpus:
            set_variable(task, [str(number) for number in range(num_gpus)], (), platform_info)
        else:
            logger.warning("auto_assign_gpus is ignored: without resource management no GPUs are known")
        return
    worker = resources.worker_resources
    hosts = worker.local_nodelist[:1]
    ids = common_ids(hosts, worker)
    if num_gpus and not ids:
        raise MPIResourcesException(f"{num_gpus} GPUs were asked for, but the resource sets of this worker have none")
    free = [gpu for host in hosts for gpu in free_ids(host, worker, tasks)]
    count = min(num_gpus, len(ids)) if num_gpus else len(free) or len(ids)
    set_variable(task, pick(ids, count, hosts, tasks), hosts, platform_info)


def set_variable(task: Task, ids: Sequence[str], hosts: Sequence[str], platform_info: Mapping[str, Any]) -> None:
    """Put GPUs into a task's environment, and note on which nodes it holds them."""
    task.ngpus_req = len(ids)
    task._add_to_env(variable(platform_info), ",".join(ids))
    task.gpus_held = {host: tuple(ids) for host in hosts}
