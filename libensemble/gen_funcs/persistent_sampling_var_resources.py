"""Persistent generator functions whose points ask for different resources.

All draw ``uniform(lb, ub, (b, n))`` from ``persis_info["rand_stream"]`` and then what the point's resources need; all
run until the manager says stop, and send as many points as came back with the last reply. The fields ``num_procs``,
``num_gpus``, ``resource_sets`` and ``priority`` are read by the allocation; they need not be inputs of the simulation.
Options in ``gen_specs["user"]``: ``initial_batch_size``, ``lb``, ``ub``, and what each function names.
"""

import numpy as np

from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport
from libensemble.tools.test_support import check_gpu_setting

__all__ = [
    "uniform_sample",
    "uniform_sample_diff_simulations",
    "uniform_sample_with_procs_gpus",
    "uniform_sample_with_sim_gen_resources",
    "uniform_sample_with_var_gpus",
    "uniform_sample_with_var_priorities",
]

PRIORITY_PER_RESOURCE_SET = 10


def uniform_sample(_, persis_info, gen_specs, libE_info):
    """Ask for ``integers(1, user["max_resource_sets"] + 1, b)`` resource sets per point."""

    def request(H_o, is_first):
        H_o["resource_sets"] = _integers(persis_info, gen_specs["user"]["max_resource_sets"], len(H_o))
        _show(H_o, "resource_sets")

    return _run(request, persis_info, gen_specs, libE_info)


def uniform_sample_with_var_gpus(_, persis_info, gen_specs, libE_info):
    """Ask for more GPUs the larger ``x[0]`` is.

    The range of ``x[0]`` is cut into ``user["max_gpus"]`` equal slices; a point in the first one gets one GPU.
    """
    user = gen_specs["user"]

    def request(H_o, is_first):
        lowest, highest = user["lb"][0], user["ub"][0]
        position = (H_o["x"][:, 0] - lowest) / (highest - lowest)
        H_o["num_gpus"] = np.clip(np.floor(position * user["max_gpus"]) + 1, 1, user["max_gpus"])
        _show(H_o, "num_gpus")

    return _run(request, persis_info, gen_specs, libE_info)


def uniform_sample_with_procs_gpus(_, persis_info, gen_specs, libE_info):
    """Ask for ``integers(1, user["max_procs"] + 1, b)`` processes, and as many GPUs."""

    def request(H_o, is_first):
        _request_procs_and_gpus(H_o, persis_info, gen_specs)

    return _run(request, persis_info, gen_specs, libE_info)


def uniform_sample_with_var_priorities(_, persis_info, gen_specs, libE_info):
    """Ask for one resource set at first, then for random ones with ten times their number as priority."""

    def request(H_o, is_first):
        if is_first:
            H_o["resource_sets"] = 1
            H_o["priority"] = 1
        else:
            H_o["resource_sets"] = _integers(persis_info, gen_specs["user"]["max_resource_sets"], len(H_o))
            H_o["priority"] = PRIORITY_PER_RESOURCE_SET * H_o["resource_sets"]
        _show(H_o, "resource_sets", "priority")

    return _run(request, persis_info, gen_specs, libE_info)


def uniform_sample_diff_simulations(_, persis_info, gen_specs, libE_info):
    """Ask for random processes, and for as many GPUs at about every other point.

    Draws ``integers(1, user["max_procs"] + 1, b)``, then ``choice([True, False], b)``. If ``app_type`` is an out field,
    it becomes ``"gpu_app"`` or ``"cpu_app"``.
    """

    def request(H_o, is_first):
        H_o["num_procs"] = _integers(persis_info, gen_specs["user"]["max_procs"], len(H_o))
        uses_gpus = persis_info["rand_stream"].choice([True, False], len(H_o))
        H_o["num_gpus"] = np.where(uses_gpus, H_o["num_procs"], 0)
        if "app_type" in H_o.dtype.names:
            H_o["app_type"] = np.where(uses_gpus, "gpu_app", "cpu_app")
        _show(H_o, "num_procs", "num_gpus")

    return _run(request, persis_info, gen_specs, libE_info)


def uniform_sample_with_sim_gen_resources(_, persis_info, gen_specs, libE_info):
    """Ask for processes and GPUs as `uniform_sample_with_procs_gpus` does, and run an application before each batch.

    The application is the one registered as ``six_hump_camel``; with ``user["dry_run"]`` (default False) it is not
    waited for. Checks that it got the GPUs that the generator was given.
    """

    def request(H_o, is_first):
        dry_run = gen_specs["user"].get("dry_run", False)
        task = libE_info["executor"].submit(
            app_name="six_hump_camel",
            app_args="-0.99 -0.19",
            stdout="out.txt",
            stderr="err.txt",
            dry_run=dry_run,
        )
        if not dry_run:
            task.wait()
        check_gpu_setting(task, assert_setting=True, print_setting=True, desc="Gen")
        _request_procs_and_gpus(H_o, persis_info, gen_specs)

    return _run(request, persis_info, gen_specs, libE_info)


def _run(request, persis_info, gen_specs, libE_info):
    """Send uniform samples until told to stop; ``request(H_o, is_first)`` fills in what each point needs."""
    user = gen_specs["user"]
    size, lb, ub = user["initial_batch_size"], user["lb"], user["ub"]
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    tag, is_first = None, True
    while tag not in (STOP_TAG, PERSIS_STOP):
        H_o = np.zeros(size, dtype=gen_specs["out"])
        H_o["x"] = persis_info["rand_stream"].uniform(lb, ub, (size, len(lb))).reshape(H_o["x"].shape)
        request(H_o, is_first)
        tag, _, calc_in = support.send_recv(H_o)
        is_first = False
        if calc_in is not None and len(calc_in):
            size = len(calc_in)
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def _request_procs_and_gpus(H_o, persis_info, gen_specs):
    H_o["num_procs"] = _integers(persis_info, gen_specs["user"]["max_procs"], len(H_o))
    H_o["num_gpus"] = H_o["num_procs"]
    _show(H_o, "num_procs", "num_gpus")


def _integers(persis_info, highest, size):
    return persis_info["rand_stream"].integers(1, highest + 1, size)


def _show(H_o, *fields):
    requested = ", ".join(f"{field} {H_o[field].tolist()}" for field in fields)
    print(f"Requesting {len(H_o)} points with {requested}", flush=True)
