"""User functions that end in every way the statistics file knows, and that write to the log."""

import logging
import time

import numpy as np

from libensemble.message_numbers import EVAL_SIM_TAG, FINISHED_PERSISTENT_SIM_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport
from tests.fakes.user_functions import double

mine = logging.getLogger("libensemble.sims of the tests")


def sim_with_status(H, persis_info, sim_specs):
    """Return the status in ``user["status"]``."""
    time.sleep(sim_specs["user"].get("takes", 0))
    return double(H, persis_info, sim_specs), persis_info, sim_specs["user"]["status"]


def sim_that_logs(H, persis_info, sim_specs, libE_info):
    """Log one record of each kind; they say which point and worker they are from."""
    about = f"x = {H['x'][0]:.0f} on {libE_info['workerID']}"
    mine.debug("debug: %s", about)
    mine.info("info: %s", about)
    mine.warning("warning: %s", about)
    mine.manager_warning("manager warning: %s", about)
    return double(H, persis_info, sim_specs)


def sim_that_logs_what_does_not_fit(H, persis_info, sim_specs):
    """Log a record whose argument does not fit its text."""
    mine.info("\udce4 %d", "not a number")
    return double(H, persis_info, sim_specs)


def sim_that_logs_its_trouble(H, persis_info, sim_specs):
    """Log an exception with its traceback and go on."""
    try:
        raise ArithmeticError("a small trouble")
    except ArithmeticError:
        mine.exception("went on")
    return double(H, persis_info, sim_specs)


def sim_that_fails_at_two(H, persis_info, sim_specs):
    """Fail for x = 2."""
    if H["x"][0] == 2:
        raise ArithmeticError("no result for x = 2")
    return double(H, persis_info, sim_specs), {"seen": float(H["x"][0])}


def persistent_double(H, persis_info, sim_specs, libE_info):
    """Double what comes, until told to stop."""
    support = PersistentSupport(libE_info, EVAL_SIM_TAG)
    out, tag = double(H, persis_info, sim_specs), None
    while tag not in (STOP_TAG, PERSIS_STOP):
        tag, _, calc_in = support.send_recv(out)
        if calc_in is not None and len(calc_in):
            out = double(calc_in, persis_info, sim_specs)
    return None, persis_info, FINISHED_PERSISTENT_SIM_TAG


def start_persistent_sims(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """One call of the generator; then all rows to one persistent simulator, one after the other."""
    from libensemble.tools.alloc_support import AllocSupport

    support = AllocSupport(W, True, libE_info=libE_info)
    Work = {}
    waiting = np.flatnonzero(~H["sim_started"])
    for wid in support.avail_worker_ids(persistent=EVAL_SIM_TAG):
        if len(waiting):
            Work[wid] = support.sim_work(wid, H, sim_specs["in"], waiting[:1], persis_info.get(wid), persistent=True)
            return Work, persis_info
    if not len(H) and not W["active"].any():
        Work[1] = support.gen_work(1, [], [], persis_info.get(1))
    elif len(waiting) and not W["active"].any() and not W["persis_state"].any():
        Work[2] = support.sim_work(2, H, sim_specs["in"], waiting[:1], persis_info.get(2), persistent=True)
    return Work, persis_info


def points_that_matter(H, persis_info, gen_specs):
    """Eight points, all of the same priority."""
    out = np.zeros(8, dtype=[*gen_specs["out"], ("priority", float)])
    out["x"] = np.arange(8)
    return out


def points_for_two_sets(H, persis_info, gen_specs):
    """Eight points, each to be evaluated on two resource sets."""
    out = np.zeros(8, dtype=gen_specs["out"])
    out["x"], out["resource_sets"] = np.arange(8), 2
    return out
