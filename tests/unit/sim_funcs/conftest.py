"""What tests of simulators that launch applications share: executors, and shares of machines that are not there."""

import numpy as np
import pytest

from libensemble.executors.executor import Executor
from libensemble.executors.mpi_executor import MPIExecutor
from libensemble.resources.resources import Resources
from libensemble.sim_funcs import helloworld, six_hump_camel
from libensemble.utils.current import current


@pytest.fixture(autouse=True)
def nobody_bound():
    yield
    current.executor = current.resources = None


@pytest.fixture
def make_executor(tmp_path):
    """Make an executor: serial, or, given a share (and a runner), an MPIExecutor on the worker's resource sets.

    The runner ``custom`` with a name such as ``env`` launches what it is given as one process.
    """
    made = []

    def make(team=None, runner="mpich", runner_name=None, nodes=("node-1",), sets=4, gpus=4, worker=1):
        if team is None:
            executor = Executor()
        else:
            (tmp_path / "node_list").write_text("\n".join(nodes) + "\n")
            specs = {"num_resource_sets": sets, "resource_info": {"cores_on_node": (16, 32), "gpus_on_node": gpus}}
            current.resources = Resources(specs, {}, str(tmp_path))
            current.resources.set_worker_resources(sets, worker)
            current.resources.worker_resources.set_rset_team(team)
            executor = MPIExecutor({"mpi_runner": runner, "runner_name": runner_name})
            executor.add_platform_info({})
            executor.set_resources(current.resources)
            executor.set_workerID(worker)
        executor.register_app(six_hump_camel.__file__, app_name="six_hump_camel")
        executor.register_app(helloworld.__file__, app_name="helloworld")
        made.append(executor)
        return executor

    yield make
    for executor in made:
        executor.kill_all(0)


@pytest.fixture
def points():
    """Make rows with a field ``x`` of two floats."""

    def make(*x):
        H = np.zeros(len(x), dtype=[("x", float, (2,))])
        H["x"] = x
        return H

    return make
