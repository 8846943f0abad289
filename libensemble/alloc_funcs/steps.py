"""Steps that several allocation functions take.

Each takes the `AllocSupport` of the call and the `Work` that is being filled in. They say what to do with short
resources in one way: `InsufficientFreeResources` ends the step, and what could not be given waits for a later call.
"""

import numpy as np

from libensemble.message_numbers import EVAL_GEN_TAG
from libensemble.tools.alloc_support import AllocSupport, InsufficientFreeResources, is_new_run


def nothing_to_do(libE_info):
    """Return whether no order could be given: the last simulation was given, or nobody is idle."""
    return libE_info.get("sim_max_given", False) or not libE_info.get("any_idle_workers", True)


def support_for(W, persis_info, libE_info):
    """Return the `AllocSupport` of this call."""
    return AllocSupport(W, libE_info.get("use_resource_sets", False), persis_info, libE_info)


def rows_for(H, fields):
    """Return all rows of `H`, or none where no fields are to be sent."""
    return np.arange(len(H)) if len(fields) else []


def give_by_priority(Work, support, H, workers, sim_specs, persis_info, user, **libE_info):
    """Give waiting rows to these workers, highest priority first; return whether there were enough resources.

    Parameters
    ----------
    Work : dict
        Filled in.
    user : dict
        Options: `give_all_with_same_priority` (all rows of the highest priority in one order; default False) and
        `backfill` (how many rows that do not fit may be passed over for later ones that do; default 0).
    **libE_info
        Goes into each order.
    """
    agenda = support.agenda(H)
    same_priority = user.get("give_all_with_same_priority", False)
    left_to_pass = user.get("backfill", 0)
    passed = []
    for wid in workers:
        order = None
        while order is None and (rows := agenda.next_equal() if same_priority else agenda.next()):
            try:
                order = support.sim_work(wid, H, sim_specs["in"], rows, persis_info.get(wid), **libE_info)
            except InsufficientFreeResources:
                passed += rows
                if not left_to_pass:
                    agenda.put_back(passed)
                    return False
                left_to_pass -= 1
        if order is None:
            break
        Work[wid] = order
    if passed:
        agenda.put_back(passed)
    return not passed


def give_in_order(Work, support, H, workers, sim_specs, persis_info, for_sims=None):
    """Give waiting rows to these workers, oldest first; return whether there were enough resources.

    ``persis_info["next_to_give"]`` is moved on. Simulations get `for_sims` as their `persis_info`; None: that of their
    worker.
    """
    for wid in workers:
        row = support.next_point_in_order(H, persis_info)
        if row is None:
            break
        own = persis_info.get(wid) if for_sims is None else for_sims
        try:
            Work[wid] = support.sim_work(wid, H, sim_specs["in"], [row], own)
        except InsufficientFreeResources:
            return False
        persis_info["next_to_give"] = row + 1
    return True


def start_gen(Work, support, H, wid, gen_specs, persis_info, **libE_info):
    """Call the generator on worker `wid`, with all of `H` if it wants fields; return whether resources sufficed.

    A generator object ingests what it gets: it gets only the rows that have ended.
    """
    fields = gen_specs.get("in") or []
    rows = rows_for(H, fields)
    if gen_specs.get("generator") is not None and len(rows):
        rows = rows[H["sim_ended"]]
    try:
        Work[wid] = support.gen_work(wid, fields, rows, persis_info.get(wid), **libE_info)
    except InsufficientFreeResources:
        return False
    return True


def start_only_gen(Work, support, H, gen_specs, persis_info):
    """Start the one persistent generator of a run, if it has not been started; ``persis_info["gen_started"]`` tells."""
    if persis_info.get("gen_started"):
        return
    for wid in support.avail_worker_ids(persistent=False, zero_resource_workers=True, gen_workers=True):
        if wid not in Work:
            started = start_gen(Work, support, H, wid, gen_specs, persis_info, persistent=True)
            persis_info["gen_started"] = started
            return


def only_gen_is_gone(support, persis_info):
    """Return whether the one persistent generator of this run has been started and has returned."""
    if not persis_info.get("gen_started") or support.count_persis_gens():
        return False
    if is_new_run(support.W, support.libE_info):
        persis_info["gen_started"] = False  # that was another run
        return False
    return True


def idle_sim_workers(support):
    """Return the idle workers that may be given simulations."""
    return support.avail_worker_ids(persistent=False, zero_resource_workers=False, gen_workers=False)


def waiting_gens(support):
    """Return the persistent generators that wait for an order."""
    return support.avail_worker_ids(persistent=EVAL_GEN_TAG)
