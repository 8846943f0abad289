"""User functions that launch small applications; `register` gives them their names."""

import os
import time

import numpy as np

from libensemble.executors import Executor
from libensemble.message_numbers import CALC_EXCEPTION

OUT = [("f", float), ("same", bool), ("executor_id", int), ("executor_of", int), ("by", int), ("tasks", int)]

APPS = {
    "double": "import sys; print(2 * float(sys.argv[1]))",
    "sleep": "import sys, time; print('begun', flush=True); time.sleep(float(sys.argv[1]))",
    "fail": "import sys; print('no convergence', file=sys.stderr); sys.exit(3)",
    "where": "import os; print(os.environ['LIBENSEMBLE_SIM_DIR'])",
    "parent": (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    ),
}


def register(executor, folder):
    """Write the applications to `folder` and register them; return the executor."""
    for name, code in APPS.items():
        path = os.path.join(str(folder), f"{name}.py")
        with open(path, "w") as file:
            file.write(code)
        executor.register_app(full_path=path, app_name=name, calc_type="sim" if name == "double" else None)
    return executor


def look_at_executor(H, persis_info, sim_specs, libE_info):
    """Say which executor this function has, by both doors."""
    time.sleep(0.005)
    out = np.zeros(len(H), dtype=sim_specs["out"])
    mine = libE_info["executor"]
    out["same"] = Executor.executor is mine
    out["by"] = libE_info["workerID"]
    out["f"] = np.nan if mine is None else len(mine.apps)
    if mine is not None:
        out["executor_id"], out["executor_of"], out["tasks"] = id(mine), mine.workerID, len(mine.list_of_tasks)
    return out


def run_double(H, persis_info, sim_specs, libE_info):
    """Let the application double x; ``user["times"]`` tasks, one after the other."""
    executor = Executor.executor
    out = look_at_executor(H, persis_info, sim_specs, libE_info)
    for _ in range(sim_specs["user"].get("times", 1)):
        task = executor.submit(calc_type="sim", app_args=str(H["x"][0]))
        status = executor.polling_loop(task, timeout=30)
    out["f"] = float(task.read_stdout())
    out["tasks"] = len(executor.list_of_tasks)
    return out, persis_info, status


def run_one(H, persis_info, sim_specs, libE_info):
    """Run ``user["app"]`` with ``user["args"]``, and return what the polling loop says."""
    user = sim_specs["user"]
    executor = libE_info["executor"]
    out = np.zeros(len(H), dtype=sim_specs["out"])
    out["by"] = libE_info["workerID"]
    task = executor.submit(app_name=user["app"], app_args=user.get("args", ""))
    status = executor.polling_loop(task, timeout=user.get("timeout"), delay=0.02, poll_manager=user.get("poll", False))
    if user["app"] == "where":
        out["where"] = task.read_stdout().strip()
    return out, persis_info, status


def leave_a_task_behind(H, persis_info, sim_specs, libE_info):
    """Start an application, wait until it has begun, and go without waiting for its end (or raise)."""
    task = libE_info["executor"].submit(app_name="parent")
    while not task.read_stdout().strip():
        time.sleep(0.01)
    with open(os.path.join(sim_specs["user"]["at"], f"{libE_info['workerID']}.pids"), "a") as file:
        file.write(f"{task.process.pid} {task.read_stdout().strip()}\n")
    if sim_specs["user"].get("raises"):
        raise ArithmeticError("the task goes on")
    return np.zeros(len(H), dtype=sim_specs["out"])


def dry_double(H, persis_info, sim_specs, libE_info):
    """Show the run line only."""
    task = libE_info["executor"].submit(app_name="double", app_args=str(H["x"][0]), dry_run=True)
    out = np.zeros(len(H), dtype=sim_specs["out"])
    return out, persis_info, task.runline.rsplit(" ", 1)[-1] if task.done() else CALC_EXCEPTION


def gen_with_executor(H, persis_info, gen_specs, libE_info):
    """Four points, doubled by the generator's own task."""
    executor = Executor.executor
    assert executor is libE_info["executor"]
    out = np.zeros(4, dtype=gen_specs["out"])
    for row in range(4):
        task = executor.submit(app_name="double", app_args=[str(row)])
        task.wait(30)
        out["x"][row] = float(task.read_stdout())
    return out, {"gen_executor_of": executor.workerID}


class LoudExecutor(Executor):
    """An executor as users derive them: knows only the documented methods."""

    def __init__(self, greeting):
        super().__init__()
        self.greeting = greeting

    def submit(self, *args, **options):
        """Submit, and say so."""
        with open("greeting", "w") as file:
            file.write(f"{self.greeting} {self.workerID}")
        return super().submit(*args, **options)
