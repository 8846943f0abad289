"""Let two workers sleep, and print how much CPU the manager used meanwhile.

A user's script like `empty_sim.py`. Each simulation reads the CPU time of the manager's process at the beginning and
the end of its sleep. The last line printed is a JSON object: `seconds` of sleep and `cpu` seconds used in them.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import psutil

from libensemble.libE import libE


def cpu_seconds(pid):
    """CPU time of all threads of a process: to the nanosecond on Linux, to the clock tick elsewhere."""
    tasks = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    if tasks:
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def points(H, persis_info, gen_specs, libE_info):
    return np.zeros(2, dtype=gen_specs["out"]), persis_info


def sleep(H, persis_info, sim_specs, libE_info):
    user = sim_specs["user"]
    time.sleep(0.5)  # until the other worker sleeps, too
    began, used = time.perf_counter(), cpu_seconds(user["manager"])
    time.sleep(user["seconds"])
    out = np.zeros(1, dtype=sim_specs["out"])
    out["cpu"] = cpu_seconds(user["manager"]) - used
    out["seconds"] = time.perf_counter() - began
    time.sleep(0.5)  # until the other one has looked, too
    return out, persis_info


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comms", default="local")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    H, _, flag = libE(
        {
            "sim_f": sleep,
            "in": ["x"],
            "out": [("cpu", float), ("seconds", float)],
            "user": {"manager": os.getpid(), "seconds": options.seconds},
        },
        {"gen_f": points, "out": [("x", float)]},
        {"sim_max": 2},
        libE_specs={"comms": options.comms, "nworkers": 2},
    )
    assert flag == 0, f"the run ended with flag {flag}"
    print(json.dumps({"seconds": float(H["seconds"].mean()), "cpu": float(H["cpu"].mean())}))


if __name__ == "__main__":
    main()
