"""User functions that tell where they are, what lies there, and what they were given to work with."""

import os
import time
from pathlib import Path

import numpy as np

from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport

SIM_OUT = [("f", float), ("sim_cwd", "U300"), ("by", int)]
GEN_OUT = [("x", float), ("gen_cwd", "U300")]


def located_points(H, persis_info, gen_specs, libE_info):
    """Points that say where the generator ran; it leaves a file there."""
    out = np.zeros(gen_specs["user"].get("batch", 4), dtype=gen_specs["out"])
    out["x"] = np.arange(len(out))
    out["gen_cwd"] = os.getcwd()
    if gen_specs["user"].get("leaves"):
        Path("made_by_gen").write_text(str(libE_info["workerID"]))
    return out


def persistent_located_points(H, persis_info, gen_specs, libE_info):
    """The same, in batches, until told to stop; `cwds` collects where it was after each answer."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    cwds, tag = [], None
    while tag not in (STOP_TAG, PERSIS_STOP):
        out = located_points(H, persis_info, gen_specs, libE_info)
        tag, _, _ = support.send_recv(out)
        cwds.append(os.getcwd())
    return None, {"cwds": cwds}, FINISHED_PERSISTENT_GEN_TAG


def located_sim(H, persis_info, sim_specs, libE_info):
    """Say where this ran, leave a file there, and do what `user` asks for."""
    out = np.zeros(len(H), dtype=sim_specs["out"])
    out["sim_cwd"] = os.getcwd()
    out["by"] = libE_info["workerID"]
    with open("made_by_sim", "a") as file:
        file.write(f"{H['x'].tolist()}\n")
    read = sim_specs["user"].get("reads")
    if read:
        out["f"] = float(Path(read).read_text())
    time.sleep(sim_specs["user"].get("sleeps_at", {}).get(H["x"][0], 0))
    if H["x"][0] in sim_specs["user"].get("fails_at", ()):
        raise ArithmeticError(f"no result for x = {H['x'][0]}")
    return out


def listing_sim(H, persis_info, sim_specs):
    """Return, as text, what lies in the directory: name, and the target of a link."""
    out = np.zeros(len(H), dtype=[("listing", "U1000")])
    names = [f"{name}->{os.readlink(name)}" if os.path.islink(name) else name for name in sorted(os.listdir())]
    out["listing"] = " ".join(names)
    return out


def sim_that_moves(H, persis_info, sim_specs, libE_info):
    """Change the directory, as simulation code may do, and stay there; say where that is a little later."""
    mine = Path(sim_specs["user"]["at"]) / f"worker{libE_info['workerID']}"
    mine.mkdir(exist_ok=True)
    os.chdir(mine)
    time.sleep(0.02)
    out = np.zeros(len(H), dtype=sim_specs["out"])
    out["sim_cwd"], out["by"] = os.getcwd(), libE_info["workerID"]
    return out
