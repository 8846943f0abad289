"""Workers that are threads: each has an executor, resources and a directory of its own, and the process stays put."""

import os
import threading
import time

import numpy as np
import pytest

from libensemble.errors import LoggedException
from libensemble.executors import Executor
from libensemble.executors.mpi_executor import MPIExecutor
from libensemble.resources.resources import Resources
from libensemble.utils import loc_stack
from libensemble.utils.current import current
from tests.fakes import conversations, manager_generators
from tests.fakes.ensembles import run

WHERE = {"out": manager_generators.WHERE}


@pytest.fixture
def watch():
    """Note, all the time, what the directory of the process is."""
    seen, stop = set(), threading.Event()

    def look():
        while not stop.is_set():
            seen.add(os.getcwd())
            time.sleep(0.001)

    thread = threading.Thread(target=look)
    thread.start()
    yield seen
    stop.set()
    thread.join()


# ---- objects


def test_nothing_is_pickled_and_objects_are_shared():
    target, lock = [], threading.Lock()

    def sim(H, persis_info, sim_specs):
        with sim_specs["user"]["lock"]:
            sim_specs["user"]["target"].append(float(H["x"][0]))
        return conversations.outputs(H, sim_specs, f=1)

    H, _, flag = run("threads", 3, sim_f=sim, sim={"user": {"target": target, "lock": lock}}, sim_max=8)
    assert flag == 0 and sorted(target) == sorted(H["x"][:8].tolist())


def test_a_sent_array_may_be_written_again():
    """What a persistent function sends is a message, not a window into its memory."""
    from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
    from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG
    from libensemble.tools.persistent_support import PersistentSupport

    def gen(H, persis_info, gen_specs, libE_info):
        support = PersistentSupport(libE_info, EVAL_GEN_TAG)
        H_o = np.zeros(4, dtype=gen_specs["out"])
        for x in (1, 2, 3):
            H_o["x"] = x
            support.send(H_o, keep_state=x < 3)
            H_o["x"] = -1
        support.recv()
        return None, persis_info, FINISHED_PERSISTENT_GEN_TAG

    H, _, _ = run("threads", 2, gen_f=gen, gen={"in": [], "persis_in": ["f"]}, alloc={"alloc_f": only_persistent_gens})
    assert H["x"].tolist() == [1] * 4 + [2] * 4 + [3] * 4


@pytest.fixture
def executor(request):
    before = current.executor
    made = request.param()
    made.register_app(full_path="/bin/true", app_name="true")
    yield made
    current.executor = before


@pytest.mark.parametrize("executor", [Executor, MPIExecutor], indirect=True)
def test_every_worker_has_an_executor_and_resources_of_its_own(executor, monkeypatch):
    if isinstance(executor, MPIExecutor):
        monkeypatch.setattr(type(executor), "submit", Executor.submit)  # no MPI is needed to see whose it is
    sim = {"out": manager_generators.OWN}
    H, _, flag = run("threads", 3, sim_f=manager_generators.shows_what_is_its_own, sim=sim, sim_max=12)
    done = H[H["sim_ended"]]
    assert flag == 0 and len(done) == 12
    assert (done["executor_worker"] == done["sim_worker"]).all()
    for field in ("executor", "resources", "team"):
        pairs = set(zip(done["sim_worker"].tolist(), done[field].tolist(), strict=True))
        assert len(pairs) == len({worker for worker, _ in pairs}) == len({value for _, value in pairs}), field
    for worker in set(done["sim_worker"]):
        tasks = done["tasks"][done["sim_worker"] == worker]
        assert tasks.tolist() == list(range(1, len(tasks) + 1))  # its own tasks only
    assert executor.list_of_tasks == [] and current.executor is executor and executor.workerID is None


def test_the_scripts_own_thread_keeps_its_objects():
    before = current.executor, current.resources
    run("threads", 2)
    assert (current.executor, current.resources) == before
    assert Resources.resources is before[1]


def test_lines_carry_the_number_of_the_worker(tmp_path):
    H, _, _ = run("threads", 3, sim_f=logs, sim_max=9)
    lines = (tmp_path / "libE_stats.txt").read_text().splitlines()
    for line in lines:
        if "sim_id" in line:
            worker, row = int(line.split(":")[0].split()[1]), int(line.split("sim_id")[1].split(":")[0])
            assert H["sim_worker"][row] == worker
    log = [line for line in (tmp_path / "ensemble.log").read_text().splitlines() if "this is worker" in line]
    assert len(log) == 9
    for line in log:
        assert line.startswith(f"[{line.rsplit(' ', 1)[1]}]")


def logs(H, persis_info, sim_specs, libE_info):
    import logging

    logging.getLogger("libensemble.user").warning("this is worker %d", libE_info["workerID"])
    return conversations.outputs(H, sim_specs, f=1)


# ---- directories


def test_a_worker_that_changes_directory_moves_nobody_else(watch, tmp_path):
    H, _, _ = run("threads", 3, sim_f=manager_generators.wandering_sim, sim=WHERE, sim_max=9)
    assert os.getcwd() == str(tmp_path) and watch == {str(tmp_path)}
    for row in H[:9]:  # each went from where it was last, and no other one's way
        parts = os.path.relpath(str(row["after"]), tmp_path).split(os.sep)
        assert set(parts) == {f"of_worker_{row['sim_worker']}"}


def test_directories_of_calculations(watch, tmp_path):
    user = {"user": {"comes_back": True}}
    H, _, _ = run(
        "threads", 3, sim_f=manager_generators.wandering_sim, sim={**WHERE, **user}, sim_max=9, sim_dirs_make=True
    )
    assert os.getcwd() == str(tmp_path) and watch == {str(tmp_path)}
    for row in H[:9]:
        assert str(row["before"]) == str(tmp_path / "ensemble" / f"sim{row['sim_id']:04}")


def test_a_function_that_does_not_come_back_is_brought_back(watch, tmp_path):
    H, _, _ = run("threads", 3, sim_f=manager_generators.wandering_sim, sim=WHERE, sim_max=9, sim_dirs_make=True)
    for row in H[:9]:
        assert str(row["before"]) == str(tmp_path / "ensemble" / f"sim{row['sim_id']:04}")
    assert watch == {str(tmp_path)}


def test_threads_of_user_functions_go_with_their_worker(watch, tmp_path):
    sim = {**WHERE, "threaded": True}
    H, _, _ = run("threads", 3, sim_f=manager_generators.wandering_sim, sim=sim, sim_max=9, sim_dirs_make=True)
    for row in H[:9]:
        assert str(row["before"]) == str(tmp_path / "ensemble" / f"sim{row['sim_id']:04}")
    assert watch == {str(tmp_path)}


def test_the_directory_of_the_process_is_the_same_after_an_error(watch, tmp_path, capfd):
    with pytest.raises(LoggedException):
        run(
            "threads",
            2,
            sim_f=conversations.fails,
            sim={"user": {"do": "exit"}},
            sim_dirs_make=True,
            use_worker_dirs=True,
        )
    assert os.getcwd() == str(tmp_path) and watch == {str(tmp_path)}


@pytest.fixture
def no_own_directory(monkeypatch):
    """A platform where all threads of a process share one directory."""
    monkeypatch.setattr(loc_stack.sys, "platform", "darwin")


def test_where_threads_cannot_have_directories_the_combination_is_refused_before_the_start(no_own_directory):
    with pytest.raises(LoggedException, match="comms 'local'"):
        run("threads", 2, sim_f=never_called, sim_dirs_make=True)


def never_called(H):
    raise AssertionError("a worker has started")


def test_where_threads_cannot_have_directories_runs_without_them_work(no_own_directory):
    H, _, flag = run("threads", 2)
    assert flag == 0 and H["sim_ended"].all()
