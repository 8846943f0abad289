"""Cores and GPUs of a node: from the environment, from this node, or by a probe on a compute node.

Run as a script (`python -m libensemble.resources.node_resources`), it prints three numbers: physical cores, logical
cores and GPUs of the node it runs on. That is what the probe does.
"""

import logging
import os
import shlex
import subprocess
import sys
from collections import Counter
from typing import Any

import psutil

from libensemble.resources.gpu_detect import get_gpus_from_env, get_num_gpus

logger = logging.getLogger(__name__)

REMOTE_LAUNCH_LIST = ["aprun", "jsrun", "srun"]

_REMOTE_TIME_LIMIT = 60.0  # seconds: the launcher may wait for a step to start
_BATCH_NODE = "batch"
# Set in processes that an MPI launcher started: their affinity is one rank's, not what the ensemble may use.
_RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID", "ALPS_APP_PE", "MPI_LOCALRANKID")


def get_cpu_cores(hyperthreads: bool = False) -> int:
    """Physical (or logical) cores of this node; at least 1."""
    return psutil.cpu_count(logical=hyperthreads) or psutil.cpu_count() or 1


def get_sub_node_resources(
    launcher: str | None = None, remote_mode: bool = False, env_resources: Any = None, gpus_too: bool = True
) -> tuple[int, int, int]:
    """Cores and GPUs of a node.

    Parameters
    ----------
    launcher : str, optional
        What starts a process on a compute node; used in remote mode.
    remote_mode : bool
        Whether this process runs on another kind of node than the ensemble will use. Where the probe fails, this node
        is looked at instead, with a warning.
    env_resources : EnvResources, optional
        The scheduler; what its variables state is trusted first.
    gpus_too : bool
        Whether GPUs shall be looked for.

    Returns
    -------
    tuple of int
        `(physical cores, logical cores, GPUs)`; GPUs are 0 where none were found.
    """
    values: list[int | None] = [None, None, get_gpus_from_env(env_resources) if gpus_too else 0]
    values = _update_values(values, [*(_get_cpu_resources_from_env(env_resources) or (None, None)), None])
    if remote_mode and launcher:
        if _cpu_info_complete(values):
            return values[0] or 1, values[1] or 1, values[2] or 0  # GPUs alone are not worth a probe
        values = _update_from_remote(values, launcher)
    if not _cpu_info_complete(values):
        values[:2] = _local_cores(standalone=getattr(env_resources, "scheduler", None) is None)
    if not _gpu_info_complete(values):
        values[2] = get_num_gpus()
    return values[0] or 1, values[1] or 1, values[2] or 0


def _update_from_remote(values: list[int | None], launcher: str) -> list[int | None]:
    try:
        return _update_from_str(values, _get_remote_resources(launcher))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        logger.warning("Asking a compute node for its cores by %r failed (%s); this node is looked at", launcher, error)
        return values


def _local_cores(standalone: bool = False) -> tuple[int, int]:
    """Cores of this node; on a node without a scheduler, those that this process may use."""
    logical = get_cpu_cores(hyperthreads=True)
    physical = psutil.cpu_count(logical=False) or logical
    if standalone and hasattr(os, "sched_getaffinity") and not any(name in os.environ for name in _RANK_VARIABLES):
        usable = len(os.sched_getaffinity(0))
        return min(physical, usable), min(logical, usable)
    return physical, logical


def _get_local_resources() -> tuple[int, int, int | None]:
    """`(physical cores, logical cores, GPUs)` of this node; GPUs are None where nothing can tell."""
    return (*_local_cores(), get_num_gpus())


def _print_local_resources() -> None:
    print(*_get_local_resources(), flush=True)


def _get_remote_resources(launcher: str) -> str:
    """The output of this module run as a script, in one process on a compute node."""
    command = [*shlex.split(launcher), "-n", "1", sys.executable, "-m", __name__]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=_REMOTE_TIME_LIMIT,
        check=True,
        text=True,
    )
    return done.stdout


def _get_cpu_resources_from_env(env_resources: Any = None) -> tuple[int, int] | None:
    """Cores of a node as LSF states them (the least of all nodes, physical taken as logical), or None."""
    if env_resources is None:
        return None
    lists = env_resources.nodelists
    entries = os.environ.get(lists["LSF"], "").split()
    counts = Counter(node for node in entries if _BATCH_NODE not in node)
    if not counts:
        words = os.environ.get(lists["LSF_shortform"], "").split()
        for node, count in zip(words[::2], words[1::2], strict=False):
            if _BATCH_NODE not in node and count.isdigit():
                counts[node] += int(count)
    if not counts:
        return None
    least = min(counts.values())
    if len(set(counts.values())) > 1:
        logger.warning("Nodes have different numbers of cores (%s); %d is used for all", dict(counts), least)
    return least, least


def _complete_set(values: list[int | None]) -> bool:
    return all(isinstance(value, int) for value in values)


def _cpu_info_complete(values: list[int | None]) -> bool:
    return _complete_set(values[:2])


def _gpu_info_complete(values: list[int | None]) -> bool:
    return _complete_set(values[2:])


def _update_values(values: list[int | None], detected: Any) -> list[int | None]:
    """Fill what is missing: both core counts together, GPUs by themselves."""
    if not _cpu_info_complete(values):
        values[:2] = detected[:2]
    if not _gpu_info_complete(values):
        values[2] = detected[2]
    return values


def _update_from_str(values: list[int | None], text: str) -> list[int | None]:
    """`_update_values` from text such as `"16 32 4"`; what is no integer stays unknown."""
    words = text.split()[:3]
    if len(words) < 3:
        raise ValueError(f"Expected physical cores, logical cores and GPUs, but got {text!r}")
    return _update_values(values, [int(word) if word.isdigit() else None for word in words])


if __name__ == "__main__":
    _print_local_resources()
