"""Persistent functions that write down what happens to them, and allocation functions that provoke it.

Each generator returns its notes as ``persis_info["notes"]``. They are importable, so that spawned workers find them.
"""

import time

import numpy as np

from libensemble.errors import Timeout
from libensemble.message_numbers import (
    EVAL_GEN_TAG,
    EVAL_SIM_TAG,
    FINISHED_PERSISTENT_GEN_TAG,
    FINISHED_PERSISTENT_SIM_TAG,
    PERSIS_STOP,
    STOP_TAG,
)
from libensemble.tools.alloc_support import AllocSupport
from libensemble.tools.persistent_support import PersistentSupport

STOPS = (STOP_TAG, PERSIS_STOP)
PATIENCE = 20  # seconds; only a failing test waits that long


def batch(gen_specs, count=None, first=0):
    """Return points with x = first, first + 1, ..."""
    count = gen_specs["user"].get("batch", 4) if count is None else count
    H_o = np.zeros(count, dtype=gen_specs["out"])
    H_o["x"] = np.arange(first, first + count)
    return H_o


def note(tag, work, calc_in, libE_info):
    """Return one receive in plain words."""
    if not isinstance(work, dict):
        return {"tag": tag, "work": work, "data": calc_in}
    return {
        "tag": tag,
        "work": sorted(work),
        "work_tag": work["tag"],
        "rows": [int(row) for row in work["libE_info"]["H_rows"]],
        "kind": work["libE_info"]["H_rows"].dtype.kind,
        "own_rows": [int(row) for row in libE_info["H_rows"]],
        "fields": calc_in.dtype.names,
        "data": calc_in.tolist(),
        "persis_info": work["persis_info"],
    }


def ending(persis_info, notes, output=None):
    """Return what a persistent generator ends with."""
    persis_info["notes"] = notes
    return output, persis_info, FINISHED_PERSISTENT_GEN_TAG


# ---- generators


def ping_pong(H, persis_info, gen_specs, libE_info):
    """Send a batch, wait for the answer, and so on until told to stop; return one more point."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    notes, tag, first = [], None, 0
    while tag not in STOPS:
        H_o = batch(gen_specs, first=first)
        first += len(H_o)
        tag, work, calc_in = support.send_recv(H_o)
        notes.append(note(tag, work, calc_in, libE_info))
    signal_stays = libE_info["comm"].mail_flag() and libE_info["comm"].recv() == (tag, work)
    if signal_stays:
        libE_info["comm"].push_to_buffer(tag, work)
    notes.append({"signal stays": signal_stays})
    return ending(persis_info, notes, batch(gen_specs, 1, first=-1))


def returns_after(H, persis_info, gen_specs, libE_info):
    """Send one batch, receive ``user["receives"]`` times, and return without being told to."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    support.send(batch(gen_specs))
    notes = [note(*support.recv(), libE_info) for _ in range(gen_specs["user"].get("receives", 0))]
    time.sleep(gen_specs["user"].get("pause", 0))
    return ending(persis_info, notes, batch(gen_specs, 1, first=-1) if gen_specs["user"].get("last") else None)


def never_blocks(H, persis_info, gen_specs, libE_info):
    """Send a batch; look for results without ever waiting; send one more point per result until told to stop."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    support.send(batch(gen_specs))
    first, notes, nothing, until = gen_specs["user"].get("batch", 4), [], 0, time.monotonic() + PATIENCE
    while time.monotonic() < until:
        tag, work, calc_in = support.recv(blocking=False)
        if tag is None:
            assert work is None and calc_in is None
            nothing += 1
            time.sleep(0.001)
            continue
        notes.append(note(tag, work, calc_in, libE_info))
        if tag in STOPS:
            break
        support.send(batch(gen_specs, len(calc_in), first=first))
        first += len(calc_in)
    notes.append({"nothing": nothing > 0})
    return ending(persis_info, notes)


def updates_in_between(H, persis_info, gen_specs, libE_info):
    """Send two batches in one go, the first keeping the state, before the first receive."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    support.send(batch(gen_specs, 2), keep_state=True)
    time.sleep(0.05)
    tag, work, calc_in = support.send_recv(batch(gen_specs, 2, first=2))
    return ending(persis_info, [note(tag, work, calc_in, libE_info)])


def uses_the_comm(H, persis_info, gen_specs, libE_info):
    """Speak to the communicator directly, as advanced functions do."""
    comm = libE_info["comm"]
    notes = [comm.get_num_workers(), comm.mail_flag()]
    try:
        comm.recv(timeout=0.02)
    except Timeout:
        notes.append("timeout")
    sent = {
        "calc_out": batch(gen_specs),
        "libE_info": {"keep_state": False},
        "calc_status": 0,
        "calc_type": EVAL_GEN_TAG,
    }
    comm.send(EVAL_GEN_TAG, sent)
    tag, work = comm.recv()
    notes.append((tag, sorted(work)))
    comm.push_to_buffer(tag, work)
    notes.append((comm.mail_flag(), comm.recv() == (tag, work)))
    data_tag, calc_in = comm.recv(timeout=PATIENCE)
    notes.append((data_tag, calc_in["x"].tolist()))
    comm.send(EVAL_GEN_TAG, {"calc_out": batch(gen_specs)})
    try:
        comm.send(EVAL_GEN_TAG, "hello")
    except TypeError as error:
        notes.append(str(error))
    tag, work = comm.recv()
    comm.push_to_buffer(tag, work)
    notes.append((tag, work, comm.mail_flag()))
    return ending(persis_info, notes)


def asks_for_kill_pending(H, persis_info, gen_specs, libE_info):
    """Look whether a kill waits while an order does; the order must come whole all the same."""
    comm, support = libE_info["comm"], PersistentSupport(libE_info, EVAL_GEN_TAG)
    support.send(batch(gen_specs))
    while not comm.mail_flag():
        time.sleep(0.001)
    pending = comm.kill_pending()
    tag, work, calc_in = support.recv()
    notes = [pending, note(tag, work, calc_in, libE_info)]
    support.send(batch(gen_specs))
    while not comm.mail_flag():
        time.sleep(0.001)
    notes += [comm.kill_pending(), support.recv()[:2]]
    return ending(persis_info, notes)


def cancels(H, persis_info, gen_specs, libE_info):
    """Send a batch with descending priorities, and ask at once that some of its points not be evaluated."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    H_o = batch(gen_specs)
    H_o["priority"] = -np.arange(len(H_o))
    support.send(H_o)
    support.request_cancel_sim_ids(gen_specs["user"]["cancel"])
    tag, work, calc_in = support.recv()
    return ending(persis_info, [note(tag, work, calc_in, libE_info)])


def numbers_its_points(H, persis_info, gen_specs, libE_info):
    """Number points itself; change old ones; return changes to all of them at the end."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    H_o = batch(gen_specs)
    H_o["sim_id"] = np.arange(len(H_o))
    tag, _, _ = support.send_recv(H_o)
    H_o["mark"] = 1
    last = H_o.copy()
    last["mark"] = 2
    if tag not in STOPS:
        support.send(H_o[:2], keep_state=True)
    return ending(persis_info, [], last)


def is_deaf(H, persis_info, gen_specs, libE_info):
    """Send a batch and never listen again."""
    PersistentSupport(libE_info, EVAL_GEN_TAG).send(batch(gen_specs))
    until = time.monotonic() + gen_specs["user"].get("deaf_for", PATIENCE)
    while time.monotonic() < until:
        time.sleep(0.01)
    return ending(persis_info, [])


def shows_H(H, persis_info, gen_specs, libE_info):
    """Note what came with the start; then wait for the stop."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    notes = [{"rows": [int(row) for row in libE_info["H_rows"]], "fields": H.dtype.names, "length": len(H)}]
    tag = None
    while tag not in STOPS:
        tag, work, calc_in = support.send_recv(batch(gen_specs))
        notes.append(note(tag, work, calc_in, libE_info))
    return ending(persis_info, notes)


# ---- simulators


def persistent_double(H, persis_info, sim_specs, libE_info):
    """Return f = 2 x for each order until told to stop; then say so in ``persis_info``, with a last result."""
    support = PersistentSupport(libE_info, EVAL_SIM_TAG)
    status, calls, calc_in = FINISHED_PERSISTENT_SIM_TAG, 0, H
    while True:
        H_o = np.zeros(len(calc_in), dtype=sim_specs["out"])
        H_o["f"] = 2 * calc_in["x"]
        calls += 1
        if sim_specs["user"].get("leaves_after") == calls:
            break
        tag, _, new = support.send_recv(H_o)
        if tag in STOPS:
            break
        calc_in = new
    persis_info["calls"] = calls
    H_o["f"] += 100
    return H_o, persis_info, status


# ---- allocation functions


def sends_empty_orders(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Start a persistent generator; answer each of its sends with an order without rows; evaluate nothing."""
    support = AllocSupport(W, libE_info["use_resource_sets"], persis_info, libE_info)
    Work = {}
    for wid in support.avail_worker_ids(persistent=EVAL_GEN_TAG):
        Work[wid] = support.gen_work(wid, gen_specs["persis_in"], [], {"from": "alloc"}, persistent=True)
    if not support.count_persis_gens():
        Work[1] = support.gen_work(1, gen_specs["in"], [], persis_info.get(1), persistent=True)
    return Work, persis_info


def keeps_asking(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Send an active receiver more orders than it reads: every ended row again and again, ``user["orders"]`` times."""
    support = AllocSupport(W, libE_info["use_resource_sets"], persis_info, libE_info)
    Work = {}
    if not persis_info.get("started"):
        persis_info["started"] = True
        Work[1] = support.gen_work(1, gen_specs["in"], [], persis_info.get(1), persistent=True, active_recv=True)
        return Work, persis_info
    states = persis_info.setdefault("states", set())
    states.add((int(W[1]["active"]), int(W[1]["persis_state"]), bool(W[1]["active_recv"])))
    for wid in support.avail_worker_ids(persistent=False):
        if wid != 1 and (rows := support.next_points(H)):
            Work[wid] = support.sim_work(wid, H, sim_specs["in"], rows, persis_info.get(wid))
    receivers = support.avail_worker_ids(persistent=EVAL_GEN_TAG, active_recv=True)
    ended = np.flatnonzero(H["sim_ended"])
    if receivers and len(ended) and persis_info.setdefault("orders", 0) < alloc_specs["user"]["orders"]:
        persis_info["orders"] += 1
        Work[1] = support.gen_work(
            1, gen_specs["persis_in"], ended, persis_info.get(1), persistent=True, active_recv=True
        )
        if alloc_specs["user"].get("forgets"):
            del Work[1]["libE_info"]["active_recv"]
    if not receivers:
        return {}, persis_info, 1
    return Work, persis_info
