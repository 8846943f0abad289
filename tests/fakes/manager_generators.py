"""Generators for the manager's own thread, and simulators and observers that look at where they are."""

import os
import threading
import time

import numpy as np

from libensemble.executors import Executor
from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG
from libensemble.resources.resources import Resources
from libensemble.tools.alloc_support import AllocSupport
from libensemble.tools.persistent_support import PersistentSupport
from tests.fakes.persistent_functions import STOPS, batch


class Cannot:
    """An object that cannot be pickled, and remembers what it is told."""

    def __init__(self):
        self.lock = threading.Lock()
        self.told = []
        self.threads = set()


def tells_an_object(H, persis_info, gen_specs, libE_info):
    """Tell ``user["object"]`` all that comes back, and from which thread."""
    support, target = PersistentSupport(libE_info, EVAL_GEN_TAG), gen_specs["user"]["object"]
    tag, first = None, 0
    while tag not in STOPS:
        target.threads.add(threading.current_thread().name)
        tag, _, calc_in = support.send_recv(batch(gen_specs, first=first))
        first += 4
        if calc_in is not None:
            target.told += calc_in["f"].tolist()
    persis_info["worker"] = libE_info["workerID"]
    time.sleep(gen_specs["user"].get("lingers", 0))
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def counts_in_an_object(H, persis_info, gen_specs, libE_info):
    """Propose a batch per call, and count the calls in ``user["object"]``."""
    gen_specs["user"]["object"].told.append(libE_info["workerID"])
    return batch(gen_specs), {"calls": persis_info.get("calls", 0) + 1}


def wanders(H, persis_info, gen_specs, libE_info):
    """Change the directory, as user functions will, and write a file there."""
    support, tag = PersistentSupport(libE_info, EVAL_GEN_TAG), None
    os.makedirs("elsewhere", exist_ok=True)
    os.chdir("elsewhere")
    while tag not in STOPS:
        tag, _, _ = support.send_recv(batch(gen_specs))
        time.sleep(0.01)
    with open("was_here", "w") as file:
        file.write(os.getcwd())
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def wandering_sim(H, persis_info, sim_specs, libE_info):
    """Change into a directory of this worker's, stay a moment, and say what the directory is before and after."""
    before = os.getcwd()
    name = f"of_worker_{libE_info['workerID']}"
    os.makedirs(name, exist_ok=True)
    os.chdir(name)
    time.sleep(0.01)
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["before"], H_o["after"] = before, os.getcwd()
    if sim_specs["user"].get("comes_back"):
        os.chdir(before)
    return H_o


WHERE = [("f", float), ("before", "U300"), ("after", "U300")]


OWN = [("f", float), ("executor", int), ("executor_worker", int), ("resources", int), ("team", "U30"), ("tasks", int)]


def shows_what_is_its_own(H, persis_info, sim_specs, libE_info):
    """Return the identities of this worker's executor and resources, and what they know of the worker."""
    executor, resources = Executor.executor, Resources.resources
    assert executor is libE_info["executor"]
    executor.submit(app_name="true", wait_on_start=True).wait()
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["executor"], H_o["executor_worker"] = id(executor) % 10**9, executor.workerID
    H_o["tasks"] = len(executor.list_of_tasks)
    H_o["resources"] = id(resources) % 10**9
    H_o["team"] = str(list(resources.worker_resources.rset_team))
    assert list(resources.worker_resources.rset_team) == list(libE_info["rset_team"])
    assert resources.worker_resources.workerID == libE_info["workerID"]
    return H_o


SHARE = [
    ("f", float),
    ("team", "U30"),
    ("n_sets", int),
    ("slots", "U60"),
    ("cores", int),
    ("began", float),
    ("ended", float),
]


def shows_its_share(H, persis_info, sim_specs, libE_info):
    """Take a moment, and return which resource sets this call had."""
    began = time.time()
    time.sleep(sim_specs["user"].get("seconds", 0.01))
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    team = list(libE_info["rset_team"])
    H_o["team"], H_o["n_sets"] = ",".join(map(str, team)), len(team)
    share = Resources.resources.worker_resources
    H_o["slots"] = str(share.slots)
    H_o["cores"] = share.slot_count * share.cores_per_rset if team else 0
    H_o["began"], H_o["ended"] = began, time.time()
    return H_o


def asks_for_sets(H, persis_info, gen_specs, libE_info):
    """Propose points that need one, two, three, ... resource sets; say what this generator has."""
    H_o = batch(gen_specs)
    H_o["resource_sets"] = gen_specs["user"]["sets"]
    H_o["gen_team"] = ",".join(map(str, libE_info["rset_team"]))
    return H_o


def shows_W(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Do as usual, and keep what W looked like at first."""
    from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first

    if "W" not in persis_info:
        support = AllocSupport(W, False, persis_info, libE_info)
        persis_info["W"] = {
            "length": len(W),
            "ids": [int(row["worker_id"]) for row in W],
            "by_id": [int(W[wid]["worker_id"]) for wid in W["worker_id"]],
            "gen_worker": W["gen_worker"].tolist(),
            "zero": W["zero_resource_worker"].tolist(),
            "for_gens": support.avail_worker_ids(gen_workers=True),
            "for_sims": support.avail_worker_ids(gen_workers=False),
            "gen_on_manager": libE_info["gen_on_manager"],
        }
    return give_sim_work_first(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info)
