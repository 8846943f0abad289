"""libE() in scripts of its own process: Ctrl-C, start methods of multiprocessing, and what is left running."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds that a script may take on a busy machine; none needs more than a few

HEAD = """
import multiprocessing, os, subprocess, sys, threading, time
import numpy as np
from tests.fakes.ensembles import run
from tests.fakes.user_functions import count_up, double
"""


def start(body, *words):
    """Start a script in a process group of its own, as a shell does."""
    Path("script.py").write_text(HEAD + body)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.Popen(
        [sys.executable, "script.py", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def finished(process):
    """Wait for a script; return (exit code, stdout, stderr)."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"the script did not end; stdout:\n{out}\nstderr:\n{err}")
    return process.returncode, out, err


def wait_for(*names):
    """Wait until files are there."""
    deadline = time.monotonic() + PATIENCE
    while not all(Path(name).exists() for name in names):
        assert time.monotonic() < deadline, f"{names} did not appear; there are {os.listdir()}"
        time.sleep(0.01)


def alive(processes):
    """Those processes that still run."""
    _, left = psutil.wait_procs(processes, timeout=5)
    return [f"{p.pid}: {p.cmdline()}" for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


# ---- Ctrl-C

SLEEPERS = """
def sim(H, persis_info, sim_specs):
    if H["x"][0] >= 2:
        name = f"running_{int(H['x'][0])}"
        if "app" in sys.argv:
            application = subprocess.Popen(["sleep", "100"])
        with open(name, "w"):
            pass
        if "app" in sys.argv:
            application.wait()
        time.sleep(100)
    return double(H, persis_info, sim_specs)

if __name__ == "__main__":
    if "spawn" in sys.argv:
        multiprocessing.set_start_method("spawn")
    options = {"gen_on_manager": True} if "gen_on_manager" in sys.argv else {}
    try:
        run(sys.argv[1], 2, sim_f=sim, **options)
    except KeyboardInterrupt:
        print("interrupted", threading.active_count() if sys.argv[1] == "local" else "")
        raise
"""


@pytest.mark.parametrize(
    ("words", "to_group"),
    [
        (["local"], True),
        (["local", "app"], False),
        pytest.param(["local", "app"], True, marks=pytest.mark.slow),
        pytest.param(["local", "gen_on_manager"], True, marks=pytest.mark.slow),
        pytest.param(["local", "spawn"], True, marks=pytest.mark.slow),
        (["threads"], True),
        pytest.param(["threads"], False, marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_ends_everything_saves_and_is_raised_again(words, to_group):
    script = start(SLEEPERS, *words)
    wait_for("running_2", "running_3")
    family = psutil.Process(script.pid).children(recursive=True)
    (os.killpg if to_group else os.kill)(script.pid, signal.SIGINT)
    begun = time.monotonic()
    code, out, err = finished(script)
    assert time.monotonic() - begun < 20
    assert code == -signal.SIGINT and "interrupted" in out
    assert err.rstrip().splitlines()[-1] == "KeyboardInterrupt"
    assert not alive(family)
    H = np.load("libE_history_at_abort_2.npy")
    assert H["f"][:2].tolist() == [0.0, 2.0] and H["sim_started"].sum() == 4
    assert Path("libE_persis_info_at_abort_2.pickle").exists()
    assert "Exiting ensemble" in Path("libE_stats.txt").read_text()


def test_an_impatient_second_ctrl_c_leaves_nothing_behind_either():
    script = start(SLEEPERS, "local", "app")
    wait_for("running_2", "running_3")
    family = psutil.Process(script.pid).children(recursive=True)
    for _ in range(2):
        os.killpg(script.pid, signal.SIGINT)
        time.sleep(0.15)
    code, _, _ = finished(script)
    assert code == -signal.SIGINT and not alive(family)
    assert Path("libE_history_at_abort_2.npy").exists()


def test_workers_leave_when_the_manager_is_killed():
    script = start(SLEEPERS.replace("time.sleep(100)", "time.sleep(0.1)"), "local")
    wait_for("running_2", "running_3")
    workers = psutil.Process(script.pid).children(recursive=True)
    os.kill(script.pid, signal.SIGKILL)
    script.communicate()
    assert not alive(workers)


# ---- errors, as a script shows them


@pytest.mark.parametrize("words", [["local"], ["threads"]])
def test_a_script_with_an_error_ends_with_the_remote_traceback(words):
    script = start(
        """
def sim(H):
    raise ValueError("the model diverged")

if __name__ == "__main__":
    run(sys.argv[1], sim_f=sim)
""",
        *words,
    )
    code, _, err = finished(script)
    assert code == 1 and "in sim" in err and "ValueError: the model diverged" in err
    assert "LoggedException" in err.rstrip().splitlines()[-1]


def test_a_worker_that_dies_is_named_with_its_exit_code():
    script = start(
        """
def sim(H):
    os._exit(17)

if __name__ == "__main__":
    run("local", 1, sim_f=sim)
"""
    )
    code, _, err = finished(script)
    assert code == 1 and "worker 1" in err and "exit code 17" in err


# ---- start methods

METHODS = ["fork", "spawn", "forkserver"]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS[1:])
def test_functions_of_a_guarded_script_run_with_any_start_method(method):
    script = start(
        """
class Live:
    def __init__(self):
        self.lock, self.calls = threading.Lock(), 0

    def live_update(self, history):
        self.calls += 1

    def finalize(self, history):
        print("live", self.calls > 0)


class Model(Live):
    "Neither this nor the live-data object can be pickled."


def gen(H, persis_info, gen_specs):
    gen_specs["user"]["model"].calls += 1
    return count_up(H, persis_info, gen_specs)


def sim(H, persis_info, sim_specs):
    assert multiprocessing.current_process().name == f"libE worker {persis_info['me']}"
    return double(H, persis_info, sim_specs), {"method": multiprocessing.get_start_method()}


if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    model = Model()
    persis_info = {worker: {"me": worker} for worker in range(3)}
    H, persis_info, flag = run(
        "local", sim_f=sim, gen_f=gen, gen={"user": {"model": model, "batch": 4}}, gen_on_manager=True,
        live_data=Live(), persis_info=persis_info
    )
    print("flag", flag, "calls", model.calls, H["f"].tolist(), persis_info[1]["method"])
""",
        method,
    )
    code, out, err = finished(script)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "live True",
        f"flag 0 calls 2 {[2.0 * x for x in range(8)]} {method}",
    ]


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_to_have_one():
    script = start(
        """
if multiprocessing.get_start_method(allow_none=True) is None:
    multiprocessing.set_start_method("spawn")
run("local", 1)
"""
    )
    code, _, err = finished(script)
    assert code == 1 and "if __name__ == '__main__'" in err and "worker 1" in err


def test_what_cannot_be_pickled_is_said_with_the_ways_out():
    script = start(
        """
if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    run("local", 1, sim_f=lambda H: double(H, {}, {"out": [("f", float)]}))
"""
    )
    code, _, err = finished(script)
    assert code == 1 and "lambda" in err and "comms='threads'" in err


def test_persis_info_that_cannot_be_pickled_is_said_so_and_costs_no_history():
    script = start(
        """
if __name__ == "__main__":
    run("local", 1, persis_info={1: {"lock": threading.Lock()}})
"""
    )
    code, _, err = finished(script)
    assert code == 1 and "persis_info" in err and "lock" in err
    assert Path("libE_history_at_abort_0.npy").exists()
    assert not [name for name in os.listdir() if name.endswith(".partial")]
