"""Simulators that check run lines: what would be launched on the resources of this worker is what was expected.

Nothing is launched. The executor knows the default application for simulations, and where its nodes are named
``node-1``, ``node-2``, ... the expected lines are moved to the nodes of each worker.
"""

import re

import numpy as np

from libensemble.message_numbers import WORKER_DONE

__all__ = ["runline_check", "runline_check_by_worker"]

# Key of a test -> argument of submit
_ARGUMENTS = {
    "nprocs": "num_procs",
    "nnodes": "num_nodes",
    "ngpus": "num_gpus",
    "ppn": "procs_per_node",
    "e_args": "extra_args",
    "ht": "hyperthreads",
}
_NODE = re.compile(r"\bnode-(\d+)")
_MACHINE_FILE = re.compile(r"\b(machinefile_autogen_for_worker)_\d+_task_\d+")  # numbered anew for each submit


def runline_check(H, persis_info, sim_specs, libE_info):
    """Check that each test gives the run line that is expected on this worker.

    Parameters
    ----------
    H : structured array
        Field ``x``.
    sim_specs : dict
        ``user["tests"]``: list of dicts with ``testid`` and, where they are to be set, ``nprocs``, ``nnodes``,
        ``ngpus``, ``ppn``, ``e_args``, ``ht``. ``user["expect"]``: the run lines on the first worker.
        ``user["nodes_per_worker"]``: by how many nodes the next worker's lines are moved.
        ``user["persis_gens"]``: how many workers before the first one that simulates (default 0).

    Returns
    -------
    H_o : structured array
        Field ``f``: the lengths of the points.
    persis_info : dict
    WORKER_DONE

    Raises
    ------
    AssertionError
        A run line is another one; both are shown.
    """
    user = sim_specs["user"]
    first_node = int(user["nodes_per_worker"] * _place_among_workers(libE_info, user))
    for test, expected in zip(user["tests"], user["expect"], strict=True):
        _check(libE_info, test, moved_by(first_node, expected))
    return _result(H, persis_info, sim_specs)


def runline_check_by_worker(H, persis_info, sim_specs, libE_info):
    """Check that the first test gives the run line that is expected on this worker.

    Parameters
    ----------
    H : structured array
        Field ``x``.
    sim_specs : dict
        ``user["tests"]``: as for `runline_check`; the first one counts. ``user["expect"]``: one run line for each
        worker that simulates. ``user["persis_gens"]``: as for `runline_check`. ``user["offset_for_scheduler"]``
        (default False): lines are listed by resource set, and workers are served from the node with fewer sets,
        which is the second half of the list: worker 1 gets the line in its middle, and so on around.

    Returns
    -------
    As `runline_check`.
    """
    user = sim_specs["user"]
    expect, place = user["expect"], _place_among_workers(libE_info, user)
    if user.get("offset_for_scheduler", False):
        place = (place + (len(expect) + 1) // 2) % len(expect)
    _check(libE_info, user["tests"][0], expect[place])
    return _result(H, persis_info, sim_specs)


def moved_by(count, runline):
    """Return a run line with every ``node-k`` replaced by ``node-(k + count)``; leading zeros are kept."""
    return _NODE.sub(lambda found: f"node-{int(found[1]) + count:0{len(found[1])}}", runline)


def _place_among_workers(libE_info, user):
    return libE_info["workerID"] - 1 - user.get("persis_gens", 0)


def _check(libE_info, test, expected):
    arguments = {name: test[key] for key, name in _ARGUMENTS.items() if key in test}
    task = libE_info["executor"].submit(
        calc_type="sim",
        app_args=f"--testid {test['testid']}",
        stdout="out.txt",
        stderr="err.txt",
        dry_run=True,
        **arguments,
    )
    runline, expected = (_MACHINE_FILE.sub(r"\1", line) for line in (task.runline, expected))
    assert runline == expected, (
        f"worker {libE_info['workerID']}, test {test['testid']}: the run line is\n  {runline}\n"
        f"but was expected to be\n  {expected}"
    )


def _result(H, persis_info, sim_specs):
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    H_o["f"] = [np.linalg.norm(x) for x in H["x"]]
    return H_o, persis_info, WORKER_DONE
