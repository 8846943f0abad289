"""User functions that end their worker process without a word, at any moment of its life."""

import ctypes
import os
import signal
import sys
import time

import numpy as np

from libensemble.executors import Executor
from libensemble.message_numbers import EVAL_GEN_TAG
from libensemble.tools.persistent_support import PersistentSupport
from tests.fakes.persistent_functions import batch

PATIENCE = 20  # seconds; only a failing test waits that long


def die(how):
    """End this process."""
    if how == "exit":
        os._exit(7)
    if how == "leave":
        os._exit(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "crash":
        ctypes.string_at(0)  # as a wrong C extension does
    if how == "abort":
        os.abort()
    time.sleep(PATIENCE)


def dies(H, persis_info, specs, libE_info):
    """Die at row ``user["at"]``; the rows in ``user["long"]`` take for ever."""
    rows = [int(row) for row in libE_info["H_rows"]]
    if specs["user"].get("at", 0) in rows:
        die(specs["user"]["how"])
    if set(specs["user"].get("long", ())) & set(rows):
        time.sleep(PATIENCE)
    H_o = np.zeros(len(H), dtype=specs["out"])
    H_o["f"] = 1
    return H_o


def generator_dies(H, persis_info, gen_specs, libE_info):
    """Propose a batch in the first call; die in the second."""
    if libE_info["gen_count"] == 2:
        die(gen_specs["user"]["how"])
    return batch(gen_specs)


def persistent_generator_dies(H, persis_info, gen_specs, libE_info):
    """Propose a batch, receive its results, and die."""
    PersistentSupport(libE_info, EVAL_GEN_TAG).send_recv(batch(gen_specs))
    die(gen_specs["user"]["how"])


def writes_its_process_id(H, persis_info, sim_specs, libE_info):
    """Leave a file that says which process this is; take a moment, or for ever in the first row."""
    with open(f"worker_{libE_info['workerID']}_{os.getpid()}", "w"):
        pass
    if 0 in libE_info["H_rows"]:
        time.sleep(PATIENCE)
    return np.zeros(len(H), dtype=sim_specs["out"])


def leaves_a_child(H, persis_info, sim_specs, libE_info):
    """Launch an application through the executor, and die while it runs."""
    libE_info["executor"].submit(app_name="sleep", app_args="600")
    die(sim_specs["user"]["how"])


class DiesWhenUnpacked:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (9,)


class FailsWhenUnpacked:
    """Cannot be unpickled, as when a module is missing on the worker's side."""

    def __reduce__(self):
        return missing_module, ()


def missing_module():
    raise ImportError("no module named user_code")


class FailsForWorkers(Executor):
    """An executor that cannot be given to a worker."""

    def set_worker_info(self, comm=None, workerid=None):
        if workerid is not None:
            print("the licence server said no", file=sys.stderr)
            raise RuntimeError("no licence for worker")
