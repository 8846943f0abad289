"""Run lines are compared with those expected on the worker's own nodes."""

import numpy as np
import pytest

from libensemble.message_numbers import WORKER_DONE
from libensemble.resources.resources import Resources
from libensemble.resources.scheduler import ResourceScheduler
from libensemble.sim_funcs.run_line_check import moved_by, runline_check, runline_check_by_worker

TESTS = [
    {"testid": "base1", "nprocs": 4},
    {"testid": "base2", "nnodes": 2, "ppn": 3},
    {"testid": "threads", "ppn": 20, "ht": True},
    {"testid": "extra", "nprocs": 2, "e_args": "-v"},
]
EXPECT = [
    "mpirun -hosts node-1 -np 4 --ppn 4 /a/fake.x --testid base1",
    "mpirun -hosts node-1,node-2 -np 6 --ppn 3 /a/fake.x --testid base2",
    "mpirun -hosts node-1,node-2 -np 40 --ppn 20 /a/fake.x --testid threads",
    "mpirun -hosts node-1 -np 2 --ppn 2 -v /a/fake.x --testid extra",
]
NODES = [f"node-{k}" for k in range(1, 7)]


@pytest.fixture
def check(make_executor, points):
    """Check on a worker that holds one resource set of two whole nodes."""

    def check(function=runline_check, worker=1, place=None, runner="mpich", **user):
        team = [worker - 1 if place is None else place]
        executor = make_executor(team, runner, nodes=NODES, sets=3, gpus=0, worker=worker)
        executor.register_app("/a/fake.x", calc_type="sim")
        specs = {"out": [("f", float)], "user": {"tests": TESTS, "expect": EXPECT, "nodes_per_worker": 2, **user}}
        return function(points([3, 4]), {"mine": 1}, specs, {"executor": executor, "workerID": worker})

    return check


@pytest.mark.parametrize("worker", [1, 2, 3])
def test_lines_are_moved_to_the_nodes_of_the_worker(check, worker):
    H_o, persis_info, status = check(worker=worker)
    assert H_o["f"].tolist() == [5.0] and persis_info == {"mine": 1} and status == WORKER_DONE


def test_workers_with_generators_come_before(check):
    check(worker=2, place=0, persis_gens=1)
    with pytest.raises(AssertionError, match="worker 2, test base1"):
        check(worker=2, place=0)


def test_a_wrong_line_is_shown_with_the_expected_one(check):
    wrong = [*EXPECT[:3], EXPECT[3].replace("-v", "-q")]
    with pytest.raises(AssertionError) as raised:
        check(expect=wrong)
    assert EXPECT[3] in str(raised.value) and wrong[3] in str(raised.value)


def test_every_test_has_an_expected_line(check):
    with pytest.raises(ValueError):
        check(expect=EXPECT[:3])


def test_numbers_in_names_of_machine_files_do_not_count(check):
    line = "mpirun -machinefile machinefile_autogen_for_worker_1_task_0 -np 4 -npernode 4 /a/fake.x --testid base1"
    check(worker=2, runner="openmpi", tests=TESTS[:1], expect=[line])


def test_gpus_are_asked_for(make_executor, points):
    executor = make_executor([0, 1])
    executor.register_app("/a/fake.x", calc_type="sim")
    user = {"tests": [{"testid": "g", "nprocs": 1, "ngpus": 2}], "nodes_per_worker": 1}
    user["expect"] = ["mpirun -hosts node-1 -np 1 --ppn 1 /a/fake.x --testid g"]
    info = {"executor": executor, "workerID": 1}
    runline_check(points([1, 1]), {}, {"out": [("f", float)], "user": user}, info)
    assert executor.list_of_tasks[0].env["CUDA_VISIBLE_DEVICES"] == "0,1"


@pytest.mark.parametrize("worker", [1, 2, 3])
def test_each_worker_has_its_own_line(check, worker):
    lines = [moved_by(2 * place, EXPECT[0]) for place in range(3)]
    assert check(runline_check_by_worker, worker, expect=lines)[2] == WORKER_DONE
    with pytest.raises(AssertionError):
        check(runline_check_by_worker, worker, expect=[*lines[1:], lines[0]])


def test_the_offset_follows_the_scheduler(make_executor, points, tmp_path):
    """Of five sets on two nodes, the scheduler gives away the two of the smaller node first."""
    nodes, sets, gens = ["node-1", "node-2"], 5, 1
    (tmp_path / "node_list").write_text("\n".join(nodes) + "\n")
    info = {"cores_on_node": (16, 32), "gpus_on_node": 0}
    resources = Resources({"num_resource_sets": sets, "resource_info": info}, {}, str(tmp_path))
    resources.set_resource_manager(sets)
    scheduler = ResourceScheduler(resources.resource_manager)
    user = {
        "tests": [{"testid": "t", "nprocs": 2}],
        "expect": [f"mpirun -hosts node-{1 + (k > 2)} -np 2 --ppn 2 /a/fake.x --testid t" for k in range(sets)],
        "persis_gens": gens,
        "offset_for_scheduler": True,
    }
    for worker in range(1 + gens, sets + 1 + gens):
        team = scheduler.assign_resources(1)
        executor = make_executor(team, nodes=nodes, sets=sets, gpus=0, worker=worker)
        executor.register_app("/a/fake.x", calc_type="sim")
        specs = {"out": [("f", float)], "user": user}
        runline_check_by_worker(points([1, 1]), {}, specs, {"executor": executor, "workerID": worker})


@pytest.mark.parametrize(
    ("count", "line", "moved"),
    [
        (3, "-hosts node-1,node-9 -np 4", "-hosts node-4,node-12 -np 4"),
        (1, "-hosts node-09", "-hosts node-10"),
        (2, "--nodes 2 mynode-1 /a/node-x", "--nodes 2 mynode-1 /a/node-x"),
    ],
)
def test_only_numbers_of_nodes_are_moved(count, line, moved):
    assert moved_by(count, line) == moved


def test_a_worker_may_have_part_of_a_node(check):
    assert np.isclose(check(worker=1, nodes_per_worker=0.5)[0]["f"][0], 5)
