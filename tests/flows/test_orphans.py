"""Nobody is left behind: workers whose manager was killed end by themselves, and runs that fail leave nothing open."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from libensemble.errors import LoggedException
from tests.fakes import user_functions
from tests.fakes.ensembles import run

ROOT = Path(__file__).parents[2]
PATIENCE = 20  # seconds; only a failing test waits that long


def wait_for(is_so, what):
    deadline = time.monotonic() + PATIENCE
    while not (result := is_so()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return result


@pytest.fixture
def killed_manager(tmp_path):
    """Start a manager, wait until it and its workers have said `lines` things, kill it; return what was said."""
    started, said = [], tmp_path / "said"

    def start(*command, lines=2):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "ORPHANS": str(said)}
        manager = subprocess.Popen([sys.executable, *command], env=environment, cwd=tmp_path)
        started.append(manager)
        wait_for(lambda: said.exists() and said.read_text().count("\n") >= lines, "the workers did not begin")
        manager.kill()
        manager.wait()
        return said.read_text().splitlines()

    yield start
    for line in said.read_text().splitlines() if said.exists() else ():
        pid = int(line.split()[-1])
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("what", ["idle", "compute", "send"])
def test_workers_end_when_their_manager_is_killed(killed_manager, method, what):
    if what == "compute" and sys.platform != "linux":
        pytest.skip("only Linux tells a process that is busy of its parent's end")
    script = str(ROOT / "tests" / "fakes" / "faulty_work.py")
    workers = [int(line) for line in killed_manager(script, method, what)]
    wait_for(lambda: not any(map(is_alive, workers)), f"workers are left behind: {workers}")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only the closed socket tells of the manager's end")
@pytest.mark.parametrize("what", ["idle", "send"])
def test_workers_end_although_a_child_of_the_manager_holds_their_sockets(killed_manager, what):
    script = str(ROOT / "tests" / "fakes" / "faulty_work.py")
    said = killed_manager(script, "fork", f"{what}+helper", lines=3)
    workers = [int(line) for line in said if "helper" not in line]
    wait_for(lambda: not any(map(is_alive, workers)), f"workers are left behind: {workers}")


SCRIPT = """
import os, sys, time
import numpy as np
from libensemble.executors import Executor
from libensemble.libE import libE
from tests.fakes.faulty_work import say
from tests.fakes.user_functions import count_up

def launch(H, persis_info, sim_specs, libE_info):
    say(os.getpid())
    task = Executor.executor.submit(app_name="sleeper", app_args="60")
    say(task.process.pid)
    if sim_specs["user"]["watches"]:
        Executor.executor.polling_loop(task)
    else:
        task.wait()

if __name__ == "__main__":
    Executor().register_app(full_path="/bin/sleep", app_name="sleeper")
    libE(
        {"sim_f": launch, "in": ["x"], "out": [("f", float)], "user": {"watches": sys.argv[1] == "watches"}},
        {"gen_f": count_up, "in": ["sim_id"], "out": [("x", float)]},
        {"sim_max": 2},
        libE_specs={"comms": "local", "nworkers": 2},
    )
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a busy worker learns of it when it next communicates")
@pytest.mark.parametrize("how", ["watches", "waits"])
def test_applications_end_with_a_killed_manager(killed_manager, tmp_path, how):
    (tmp_path / "script.py").write_text(SCRIPT)
    pids = [int(line) for line in killed_manager("script.py", how, lines=4)]
    wait_for(lambda: not any(map(is_alive, pids)), f"workers or applications are left behind: {pids}")


# ---- one process, many runs


def open_things():
    """Count this process's descriptors, threads and children, without what only waits to be collected."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count(), len(psutil.Process().children())


def nothing_more_than(before):
    """Return whether nothing has been added (what other tests left behind may go in the meantime)."""
    return all(now <= then for now, then in zip(open_things(), before))


@pytest.mark.slow
@pytest.mark.parametrize("on_manager", [False, True])
def test_fifty_runs_leave_no_more_than_one(comms, on_manager):
    gen_f = user_functions.persistent_count_up

    def one_run():
        _, _, flag = run(comms, 2, gen_f=gen_f, sim_max=4, gen_on_manager=on_manager)
        assert flag == 0

    one_run()
    before = open_things()
    for _ in range(50):
        one_run()
    assert nothing_more_than(before)


def test_failed_runs_leave_nothing_open(comms):
    def one_run():
        with pytest.raises(LoggedException):
            run(comms, 2, sim_f=user_functions.fail)

    one_run()
    before = open_things()
    for _ in range(3):
        one_run()
    assert nothing_more_than(before)


def test_a_run_whose_manager_cannot_begin_leaves_nothing_open(comms, monkeypatch):
    """The workers have started, and are told to go."""

    def refuse(*args, **kwargs):
        raise RuntimeError("no roster today")

    def one_run():
        with pytest.raises(LoggedException):
            run(comms, 2)

    one_of_them = "libensemble.libE.Roster"
    monkeypatch.setattr(one_of_them, refuse)
    before = open_things()
    for _ in range(3):
        one_run()
    assert nothing_more_than(before)


def test_a_run_in_a_thread_keeps_its_workers_to_its_end():
    """On Linux a worker follows the thread that has started it."""
    ended = []
    thread = threading.Thread(
        target=lambda: ended.append(run("local", 2, sim_f=user_functions.double_slowly, sim_max=4))
    )
    thread.start()
    thread.join()
    (H, _, flag) = ended[0]
    assert flag == 0
    assert H["sim_ended"].sum() == 4
