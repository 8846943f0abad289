"""A simulator that takes its time, and watches for the manager's kill signal meanwhile."""

import time

import numpy as np

from libensemble.message_numbers import MAN_KILL_SIGNALS, STOP_TAG, TASK_FAILED, WORKER_DONE, WORKER_KILL


def kill_requested(comm):
    """Return whether the manager has signalled that this calculation should end."""
    if not comm.mail_flag():
        return False
    tag, signal = comm.recv()
    comm.push_to_buffer(tag, signal)  # the worker itself wants to see it, too
    return tag == STOP_TAG and signal in MAN_KILL_SIGNALS


def sleep_until_killed(H, persis_info, sim_specs, libE_info):
    """Sleep for `seconds`; return how long it `slept` and whether it was `killed`."""
    out = np.zeros(1, dtype=sim_specs["out"])
    started = time.monotonic()
    status = WORKER_DONE if H["seconds"][0] >= 0 else TASK_FAILED
    while time.monotonic() - started < H["seconds"][0]:
        if kill_requested(libE_info["comm"]):
            out["killed"] = True
            status = WORKER_KILL
            break
        time.sleep(0.01)
    out["slept"] = time.monotonic() - started
    return out, persis_info, status
