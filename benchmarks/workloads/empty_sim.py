"""Run simulations that compute nothing, and print how fast they came back.

A user's script, as any release of libEnsemble runs it: it uses only names that every release has. The last line it
prints is a JSON object:

    sims       simulations that ended
    seconds    from the first start of a simulation to the last end of one
    wall       the whole call of libE
    manager    CPU seconds of the manager's process during that call (with threads: of everything)
    workers    CPU seconds of the workers' processes
    windows    the seconds that each of ten equal shares of the simulations took
"""

import argparse
import json
import resource
import time

import numpy as np

from libensemble.libE import libE
from libensemble.tools import add_unique_random_streams


def sample(H, persis_info, gen_specs, libE_info):
    batch = gen_specs["user"]["batch"]
    points = np.zeros(batch, dtype=gen_specs["out"])
    points["x"] = persis_info["rand_stream"].uniform(0, 1, (batch, 2))
    return points, persis_info


def nothing(H, persis_info, sim_specs, libE_info):
    return np.zeros(len(H), dtype=sim_specs["out"]), persis_info


def nothing_but_points(H):
    return np.zeros(len(H), dtype=[("f", float)])


def one_draw(H, persis_info, sim_specs, libE_info):
    out = np.zeros(len(H), dtype=sim_specs["out"])
    out["f"] = persis_info["rand_stream"].random()
    return out, persis_info


SIMULATORS = {"plain": nothing, "short": nothing_but_points, "drawing": one_draw}


def finished_rows(count):
    fields = [("x", float, 2), ("f", float), ("sim_id", int), ("sim_started", bool), ("sim_ended", bool)]
    rows = np.zeros(count, dtype=fields)
    rows["sim_id"] = np.arange(count)
    rows["sim_started"] = True
    rows["sim_ended"] = True
    return rows


def cpu_seconds(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def stated_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comms", default="local")
    parser.add_argument("--sims", type=int, default=10_000, help="simulations to run")
    parser.add_argument("--batch", type=int, help="points per call of the generator (default: as many as simulations)")
    parser.add_argument("--finished", type=int, default=0, help="rows of earlier, finished simulations to begin with")
    parser.add_argument(
        "--repeat", type=int, default=1, help="calls of libE, of which the median one is told (default: 1)"
    )
    parser.add_argument(
        "--style",
        choices=list(SIMULATORS),
        default="plain",
        help="what the simulator does: nothing; nothing, with the points alone as argument; draw one random number",
    )
    return parser.parse_args()


def run(options):
    sim_specs = {"sim_f": SIMULATORS[options.style], "in": ["x"], "out": [("f", float)]}
    gen_specs = {"gen_f": sample, "out": [("x", float, 2)], "user": {"batch": options.batch or options.sims}}
    first = finished_rows(options.finished) if options.finished else None
    used = [-cpu_seconds(resource.RUSAGE_SELF), -cpu_seconds(resource.RUSAGE_CHILDREN)]
    began = time.perf_counter()
    H, _, flag = libE(
        sim_specs,
        gen_specs,
        {"sim_max": options.sims},
        add_unique_random_streams({}, 3),
        libE_specs={"comms": options.comms, "nworkers": 2},
        H0=first,
    )
    wall = time.perf_counter() - began
    used[0] += cpu_seconds(resource.RUSAGE_SELF)
    used[1] += cpu_seconds(resource.RUSAGE_CHILDREN)
    assert flag == 0, f"the run ended with flag {flag}"
    return H[options.finished :], wall, used


def measured(options):
    rows, wall, used = run(options)
    ended = np.sort(rows["sim_ended_time"][rows["sim_ended"]])
    first_start = rows["sim_started_time"].min()
    marks = ended[np.linspace(0, len(ended) - 1, 11).astype(int)]
    marks[0] = first_start
    return {
        "sims": len(ended),
        "seconds": float(ended[-1] - first_start),
        "wall": wall,
        "manager": used[0],
        "workers": used[1],
        "windows": np.diff(marks).tolist(),
    }


def main():
    options = stated_options()
    runs = sorted((measured(options) for _ in range(options.repeat)), key=lambda figures: figures["seconds"])
    print(json.dumps(runs[len(runs) // 2]))


if __name__ == "__main__":
    main()
