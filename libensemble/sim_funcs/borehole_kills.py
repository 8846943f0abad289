"""A simulator whose application can be killed while it runs; and that application.

The simulator belongs to a calibration that cancels runs: slow ones can be killed, and some fail. Run as a program
(``python borehole_kills.py input 2.5``), this file is the application: it reads four parameters and three inputs as raw
doubles from the file, sleeps, and prints the flow of `surmise_test_function.borehole_vec` for them as they are. The
files ``input``, ``out.txt`` and ``err.txt`` lie in the current directory, so that every calculation needs one of its
own (``libE_specs["sim_dirs_make"]``).
"""

import sys
import time

import numpy as np

from libensemble.message_numbers import MAN_KILL_SIGNALS, TASK_FAILED, WORKER_DONE
from libensemble.sim_funcs.surmise_test_function import borehole_true, borehole_vec
from libensemble.utils.current import current

__all__ = ["borehole"]

FAILURE_RATIO = 0.019  # a run whose value exceeds the truth times this counts as failed
SLOW_DELAY, DELAY_SPREAD = 2.0, 0.5  # s; mean and standard deviation of a slow run
_PARAMETERS = 4


def borehole(H, persis_info, sim_specs, libE_info):
    """Evaluate the application ``borehole`` at every row.

    Parameters
    ----------
    H : structured array
        Fields ``x`` (3 floats) and ``thetas`` (4 floats).
    sim_specs : dict
        ``user``: ``init_sample_size`` (rows with a larger sim_id take 2 s, give or take), ``num_obs`` (rows with a
        larger sim_id may fail), ``poll_manager`` (default True: end the application when the manager asks for it).

    Returns
    -------
    H_o : structured array
        Field ``f``: infinity where the application was killed or has failed. ``sim_killed``, if it is an out field:
        whether the manager asked for the end.
    persis_info : dict
    calc_status : int
        How the application ended, of several rows the last one that did not end well; TASK_FAILED also for a value
        that counts as failed.
    """
    user = sim_specs["user"]
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    statuses = []
    for row, sim_id in enumerate(libE_info["H_rows"]):
        delay = 0 if sim_id <= user["init_sample_size"] else max(0, SLOW_DELAY + np.random.normal(scale=DELAY_SPREAD))
        f, status = subproc_borehole(H[[row]], delay, user.get("poll_manager", True))
        if status in MAN_KILL_SIGNALS:
            if "sim_killed" in H_o.dtype.names:
                H_o["sim_killed"][row] = True
        elif sim_id > user["num_obs"] and f / borehole_true(H["x"][row])[0] > FAILURE_RATIO:
            f, status = np.inf, TASK_FAILED
        H_o["f"][row] = f
        statuses.append(status)
    return H_o, persis_info, _worst(statuses)


def subproc_borehole(H, delay, poll_manager=True):
    """Run the application for the first row of `H`.

    Parameters
    ----------
    H : structured array
        Fields ``x`` and ``thetas``.
    delay : float
        Seconds that the application sleeps.
    poll_manager : bool

    Returns
    -------
    f : float
        Infinity if the application was killed or has failed.
    calc_status : int
    """
    np.concatenate((H["thetas"][0], H["x"][0]), dtype=float).tofile("input")
    executor = current.executor
    task = executor.submit(app_name="borehole", app_args=f"input {delay}", stdout="out.txt", stderr="err.txt")
    status = executor.polling_loop(task, delay=0.01, poll_manager=poll_manager)
    return float(task.read_stdout()) if task.state == "FINISHED" else np.inf, status


def _worst(statuses):
    """Return the last status of a row that did not end well, else that of the last row."""
    bad = [status for status in statuses if status != WORKER_DONE]
    return (bad or statuses)[-1]


def _print_value(path, delay):
    values = np.fromfile(path)
    time.sleep(float(delay))
    with np.errstate(divide="ignore", invalid="ignore"):
        f = borehole_vec(values[np.newaxis, _PARAMETERS:], values[np.newaxis, :_PARAMETERS])[0]
    print(f"{f:.15g}")


if __name__ == "__main__":
    _print_value(*sys.argv[1:3])
