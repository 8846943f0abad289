"""User functions that take their time, watch for signals or do not, and generators that cancel what they asked for."""

import os
import signal
import time

import numpy as np

from libensemble.executors import Executor
from libensemble.message_numbers import (
    EVAL_GEN_TAG,
    FINISHED_PERSISTENT_GEN_TAG,
    MAN_KILL_SIGNALS,
    STOP_TAG,
    UNSET_TAG,
    WORKER_DONE,
)
from libensemble.tools.persistent_support import PersistentSupport
from tests.fakes.persistent_functions import STOPS, batch

PATIENCE = 20  # seconds; only a failing test waits that long


def is_long(sim_specs, libE_info):
    """Tell whether this call is one that ``user["long"]`` wants to be long: a list of rows, or all."""
    long = sim_specs["user"].get("long", "all")
    return long == "all" or bool(set(long) & {int(row) for row in libE_info["H_rows"]})


def wait(seconds):
    """Do nothing for so long, in small pieces."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.005)


def takes_long(H, persis_info, sim_specs, libE_info):
    """Take ``user["seconds"]`` for the long rows, and listen to nobody."""
    if is_long(sim_specs, libE_info):
        wait(sim_specs["user"].get("seconds", PATIENCE))
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["f"] = 1
    return H_o


def cannot_be_terminated(H, persis_info, sim_specs, libE_info):
    """Take long, and ignore SIGTERM (in a process of its own)."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return takes_long(H, persis_info, sim_specs, libE_info)


def listens(H, persis_info, sim_specs, libE_info):
    """In the long rows, wait for a kill signal and return it as f and as status; else return f = 1 at once.

    ``user["how"]``: through the comm, putting the signal back or not; through the executor; or without reading it.
    """
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["f"] = 1
    if not is_long(sim_specs, libE_info):
        return H_o, {}, WORKER_DONE
    how, comm = sim_specs["user"].get("how", "put back"), libE_info["comm"]
    until, payload = time.monotonic() + sim_specs["user"].get("seconds", PATIENCE), UNSET_TAG
    while time.monotonic() < until and payload == UNSET_TAG:
        time.sleep(0.002)
        if how == "executor":
            if Executor.executor.manager_kill_received():
                payload = Executor.executor.manager_signal
        elif comm.mail_flag():
            if how == "unread":
                break
            tag, payload = comm.recv()
            assert tag == STOP_TAG and payload in MAN_KILL_SIGNALS
            if how == "put back":
                comm.push_to_buffer(tag, payload)
    H_o["f"] = payload
    return H_o, {}, payload


def cancels_running(H, persis_info, gen_specs, libE_info):
    """Send a batch; once all but ``user["cancel"]`` are back, cancel these; wait for them; then propose as before."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    count, cancelled = gen_specs["user"]["batch"], gen_specs["user"]["cancel"]
    told = []
    tag, _, calc_in = support.send_recv(batch(gen_specs))
    while tag not in STOPS:
        told += calc_in["sim_id"].tolist()
        if len(told) == count - len(cancelled):
            support.request_cancel_sim_ids(cancelled)
        elif len(told) >= count:
            support.send(batch(gen_specs, first=100))
        tag, _, calc_in = support.recv()
    persis_info["told"] = told
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def cancels_and_returns(H, persis_info, gen_specs, libE_info):
    """Send a batch; once the first row is back, cancel the others and return."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    support.send_recv(batch(gen_specs))
    support.request_cancel_sim_ids(gen_specs["user"]["cancel"])
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def rows_together(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Give three rows per order; call the generator when none waits."""
    from libensemble.tools.alloc_support import AllocSupport

    support = AllocSupport(W, False, persis_info, libE_info)
    Work = {}
    for wid in support.avail_worker_ids(persistent=False):
        if rows := support.next_points(H, 3):
            Work[wid] = support.sim_work(wid, H, sim_specs["in"], rows, {})
        elif not support.test_any_gen() and not any(work["tag"] == EVAL_GEN_TAG for work in Work.values()):
            Work[wid] = support.gen_work(wid, [], [], {})
    return Work, persis_info


def counts_its_calls(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Do as the default allocation function does, and count."""
    from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first

    persis_info["calls"] = persis_info.get("calls", 0) + 1
    return give_sim_work_first(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info)


def fails_while_another_listens(H, persis_info, sim_specs, libE_info):
    """In row 0, raise once the other row is at work; there, wait for a signal and leave a file that names it."""
    until, comm = time.monotonic() + PATIENCE, libE_info["comm"]
    if 0 in libE_info["H_rows"]:
        while not os.path.exists("listening") and time.monotonic() < until:
            time.sleep(0.002)
        raise ValueError("while another listens")
    with open("listening", "w"):
        pass
    while not comm.mail_flag() and time.monotonic() < until:
        time.sleep(0.002)
    tag, payload = comm.recv(timeout=0)
    comm.push_to_buffer(tag, payload)
    with open(f"heard_{tag}_{payload}", "w"):
        pass
    return np.zeros(len(H), dtype=sim_specs["out"])
