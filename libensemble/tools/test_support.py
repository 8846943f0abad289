"""Checks of run lines, for simulation functions that test a machine.

Owns `check_mpi_runner` and `check_gpu_setting`: was a task started by the expected runner, and did it get the GPUs of
its worker?
"""

import os
from collections.abc import Sequence
from typing import Any

from libensemble.utils.current import current

# First word and the option for ranks per node, by the name that `check_mpi_runner` is asked for.
_RUNNERS = {
    "mpich": ("mpirun", "--ppn"),
    "openmpi": ("mpirun", "-npernode"),
    "srun": ("srun", "--ntasks-per-node"),
    "special_mpi": ("special_mpi", "-npernode"),
}
_PROCS_OPTIONS = ("-np", "--ntasks", "-n")
_PROCS_PER_NODE_OPTIONS = ("--ppn", "-ppn", "-npernode", "--ntasks-per-node", "-cores", "-r", "-N")
_DEFAULT_OPTIONS = {
    ("srun", "option_gpus_per_task"): "--gpus-per-task",
    ("srun", "option_gpus_per_node"): "--gpus-per-node",
    ("jsrun", "option_gpus_per_task"): "-g",
}
_KNOWN_COMMANDS = ("mpiexec", "mpirun", "srun", "jsrun", "aprun")


def check_mpi_runner(task: Any, exp: str, print_setting: bool = False) -> None:
    """Assert that a task's run line is that of a runner.

    Parameters
    ----------
    task : Task
    exp : {"mpich", "openmpi", "srun", "special_mpi"}
    print_setting : bool
        Print the run line, too.
    """
    assert exp in _RUNNERS, f"runner {exp!r} is none of {list(_RUNNERS)}"
    words = task.runline.split()
    command, option = _RUNNERS[exp]
    if print_setting:
        print(f"Worker {task.workerID}: MPI runner ({exp}): {task.runline}", flush=True)
    assert words[0] == command, f"run line starts with {words[0]!r}, not {command!r}: {task.runline}"
    assert option in words, f"run line has no {option}: {task.runline}"


def check_gpu_setting(
    task: Any, assert_setting: bool = True, print_setting: bool = False, resources: Any = None, desc: str = ""
) -> None:
    """Assert that a task got the GPUs that its worker holds, in the way of the platform.

    Parameters
    ----------
    task : Task
    assert_setting : bool
        Without it nothing is asserted.
    print_setting : bool
        Print ``Worker <id>: <desc> GPU setting (<kind>): <setting> (procs <n>, per node <m>)``.
    resources : WorkerResources, optional
        Default: those of this worker.
    desc : str
        Put into what is printed.
    """
    words = task.runline.split()
    command = os.path.basename(words[0])
    if command == "special_mpi":
        return
    assert command in _KNOWN_COMMANDS, f"run line starts with {words[0]!r}, none of {_KNOWN_COMMANDS}"
    worker = current.resources.worker_resources if resources is None else resources
    kind, name = _way(command, worker)
    procs, per_node = _number(words, _PROCS_OPTIONS), _number(words, _PROCS_PER_NODE_OPTIONS)
    expects_gpus = worker.doihave_gpus() and task.ngpus_req > 0
    if kind == "env":
        setting: Any = {name: task.env[name]} if name in task.env else {}
        ids = ",".join(worker.gpu_ids(limit=worker.gen_ngpus)) if expects_gpus else ""
        expected: Any = {name: ids} if expects_gpus or setting else {}
    else:
        name, expected = _expected_option(command, kind, name, worker, per_node)
        expected = expected if expects_gpus else None
        setting = _option(words, name)
    if print_setting:
        gap = "" if not desc or desc.endswith(" ") else " "
        print(
            f"Worker {task.workerID}: {desc}{gap}GPU setting ({kind}): {setting} (procs {procs}, per node {per_node})",
            flush=True,
        )
    if assert_setting:
        assert setting == expected, f"GPU setting is {setting}, not {expected}: {task.runline}"


def _way(command: str, worker: Any) -> tuple[str, str]:
    """Return how GPUs are set, and the name of the variable or option (empty: the runner's own)."""
    info = worker.platform_info
    stated = info.get("gpu_setting_type") or "runner_default"
    if stated.startswith("option"):
        return stated, info.get("gpu_setting_name") or ""
    if stated == "runner_default" and (command, "option_gpus_per_task") in _DEFAULT_OPTIONS:
        return "option_gpus_per_task", ""
    return "env", worker.gpu_variable()


def _expected_option(command: str, kind: str, name: str, worker: Any, per_node: int | None) -> tuple[str, str]:
    gpus = worker.slot_count * worker.gpus_per_rset_per_node
    if worker.gen_ngpus is not None:
        gpus = min(gpus, worker.gen_ngpus)
    ranks = per_node or 1
    if kind == "option_gpus_per_task" and gpus % ranks and (command, "option_gpus_per_node") in _DEFAULT_OPTIONS:
        kind, name = "option_gpus_per_node", ""  # ranks that cannot have equally many each
    count = gpus if kind == "option_gpus_per_node" else gpus // ranks
    name = name or _DEFAULT_OPTIONS[command, kind]
    return name, f"{name}{'' if name.endswith(('=', ':')) else ' '}{count}"


def _option(words: Sequence[str], name: str) -> str | None:
    """Return an option with its value, as it is on the run line."""
    for word, following in zip(words, [*words[1:], ""]):
        if word == name:
            return f"{word} {following}"
        if word.startswith((name + "=", name)) and name.endswith(("=", ":")):
            return word
    return None


def _number(words: Sequence[str], options: Sequence[str]) -> int | None:
    for option in options:
        if option in words[:-1]:
            value = words[words.index(option) + 1]
            return int(value) if value.isdecimal() else None
    return None
