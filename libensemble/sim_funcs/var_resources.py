"""Simulators whose applications use as many processes and GPUs as their worker holds, or as their point asks for.

All submit the application registered as ``six_hump_camel``, unless they say otherwise. It writes ``out.txt`` and
``err.txt``, and its first line is the value, so that every calculation needs a directory of its own
(``libE_specs["sim_dirs_make"]``). With ``user["dry_run"]`` nothing is launched and the value is computed here. The
executor is an `MPIExecutor`; for `multi_points_with_variable_resources` any other will do, too.
"""

import threading

import numpy as np

from libensemble.message_numbers import TASK_FAILED, UNSET_TAG, WORKER_DONE
from libensemble.sim_funcs.launching import OUTPUT_FILES, camel_value, own_share, own_team, ranks, submit_camel
from libensemble.sim_funcs.six_hump_camel import six_hump_camel_func
from libensemble.specs.decorators import input_fields, output_data
from libensemble.tools.test_support import check_gpu_setting, check_mpi_runner

__all__ = [
    "CUDA_variable_resources",
    "gpu_variable_resources",
    "gpu_variable_resources_from_gen",
    "gpu_variable_resources_subenv",
    "multi_points_with_variable_resources",
]

FAILED = "FAILED"  # the status of a calculation whose application did not finish

_environment = threading.Lock()  # the process's environment, which workers that are threads share


def gpu_variable_resources(H, persis_info, sim_specs, libE_info):
    """Run the application with one process on each GPU of this worker, and check that it got these GPUs.

    Parameters
    ----------
    H : structured array
        Field ``x``.
    sim_specs : dict
        ``user["dry_run"]`` (default False).

    Returns
    -------
    H_o : structured array
        Field ``f``; NaN where the application did not finish.
    persis_info : dict
    calc_status : int or str
        WORKER_DONE, or ``"FAILED"`` if the application did not finish.
    """

    def run(executor, x, dry_run):
        return [_run(executor, x, dry_run, auto_assign_gpus=True, match_procs_to_gpus=True)]

    return _evaluate(run, H, persis_info, sim_specs, libE_info)


@input_fields(["x"])
@output_data([("f", float)])
def gpu_variable_resources_from_gen(H, persis_info, sim_specs, libE_info):
    """Run the application with the processes and GPUs that the point asks for, and check that it got them.

    As `gpu_variable_resources`, but the numbers are the fields ``num_procs`` and ``num_gpus`` of the generator.
    """

    def run(executor, x, dry_run):
        return [_run(executor, x, dry_run)]

    return _evaluate(run, H, persis_info, sim_specs, libE_info)


def gpu_variable_resources_subenv(H, persis_info, sim_specs, libE_info):
    """Run the application by several MPI runners that an environment script brings, and once as usual.

    The runners are openmpi, srun, and ``special_mpi``, which takes the options of openmpi; then that of the executor,
    without the script. GPUs as in `gpu_variable_resources`; runner and GPUs are checked each time.

    Parameters
    ----------
    sim_specs : dict
        ``user["env_script"]``: a shell script that puts the runners on PATH; ``user["dry_run"]`` (default False).
    """
    env_script = sim_specs["user"]["env_script"]
    runners = {
        "openmpi": "openmpi",
        "srun": "srun",
        "special_mpi": {"mpi_runner": "openmpi", "runner_name": "special_mpi"},
    }

    def run(executor, x, dry_run):
        gpus = {"auto_assign_gpus": True, "match_procs_to_gpus": True}
        tasks = []
        for name, runner in runners.items():
            task = _run(executor, x, dry_run, env_script=env_script, mpi_runner_type=runner, **gpus)
            check_mpi_runner(task, name, print_setting=True)
            tasks.append(task)
        tasks.append(_run(executor, x, dry_run, **gpus))
        if executor.mpi_runner_type in ("mpich", "openmpi", "srun") and not executor.runner_name:
            check_mpi_runner(tasks[-1], executor.mpi_runner_type, print_setting=True)
        return tasks

    return _evaluate(run, H, persis_info, sim_specs, libE_info)


def multi_points_with_variable_resources(H, _, sim_specs, libE_info):
    """Run an application at every row, with one process for each resource set of this worker.

    Parameters
    ----------
    H : structured array
        Field ``x``.
    sim_specs : dict
        ``user["app"]``: name of the application (default ``"helloworld"``). ``"six_hump_camel"`` gets the point as
        arguments and prints the value; for others it is computed here. ``user["dry_run"]`` (default False).

    Returns
    -------
    H_o : structured array
        Field ``f``.
    calc_status : int
        WORKER_DONE if all have finished, TASK_FAILED if any has failed, else 0.
    """
    user, executor = sim_specs["user"], libE_info["executor"]
    app, dry_run = user.get("app", "helloworld"), user.get("dry_run", False)
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    processes = ranks(executor, len(libE_info.get("rset_team") or own_team() or [0]))
    states = []
    for row, x in enumerate(H["x"]):
        if app == "six_hump_camel":
            task = submit_camel(executor, x, dry_run, **processes)
        else:
            task = executor.submit(app_name=app, dry_run=dry_run, **OUTPUT_FILES, **processes)
        executor.polling_loop(task, poll_manager=True)
        H_o["f"][row] = camel_value(task, x) if app == "six_hump_camel" else six_hump_camel_func(x)
        states.append(task.state)
    return H_o, _status(states)


def CUDA_variable_resources(H, _, sim_specs, libE_info):
    """Run the application on the slots of this worker, which it finds in CUDA_VISIBLE_DEVICES.

    One process for each slot on each node. For machines where a resource set is a GPU, without the executor's help.

    Parameters
    ----------
    sim_specs : dict
        ``user["dry_run"]`` (default False).

    Returns
    -------
    H_o : structured array
        Field ``f``; NaN where the application did not finish.
    calc_status : int or str
        WORKER_DONE, or ``"FAILED"`` if the application did not finish.

    Raises
    ------
    WorkerResourcesException
        The worker's slots differ between its nodes, so that one list of them does not fit all.
    """
    share, executor = own_share(), libE_info["executor"]
    dry_run = sim_specs["user"].get("dry_run", False)
    layout = {"num_nodes": share.local_node_count, "procs_per_node": share.slot_count}
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    tasks = []
    for row, x in enumerate(H["x"]):
        with _environment:  # what is launched takes a copy of it along
            share.set_env_to_slots("CUDA_VISIBLE_DEVICES")
            task = submit_camel(executor, x, dry_run, **layout)
        executor.polling_loop(task, poll_manager=True)
        H_o["f"][row] = camel_value(task, x)
        tasks.append(task)
    return H_o, _done_or_failed(tasks)


def _evaluate(run, H, persis_info, sim_specs, libE_info):
    """Evaluate every row by ``run(executor, x, dry_run)``, which returns its tasks; the last one has the value."""
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    dry_run = sim_specs.get("user", {}).get("dry_run", False)
    tasks = []
    for row, x in enumerate(H["x"]):
        tasks += run(libE_info["executor"], x, dry_run)
        H_o["f"][row] = camel_value(tasks[-1], x)
    return H_o, persis_info, _done_or_failed(tasks)


def _run(executor, x, dry_run, **arguments):
    """Submit the application, wait for its end, and check which GPUs it got."""
    task = submit_camel(executor, x, dry_run, **arguments)
    executor.polling_loop(task, poll_manager=True)
    check_gpu_setting(task, assert_setting=True, print_setting=True)
    return task


def _done_or_failed(tasks):
    return WORKER_DONE if all(task.state == "FINISHED" for task in tasks) else FAILED


def _status(states):
    if all(state == "FINISHED" for state in states):
        return WORKER_DONE
    return TASK_FAILED if any(state.startswith("FAILED") for state in states) else UNSET_TAG
