"""Simulations first; generators are called when no point waits. The default."""

import time

from libensemble.alloc_funcs.steps import give_by_priority, nothing_to_do, start_gen, support_for


def give_sim_work_first(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Give waiting points to idle workers; call generators on those that are left when none waits.

    Points are given by `priority` (highest first) where `H` has such a field, else oldest first. A generator gets all
    rows of `H` if ``gen_specs["in"]`` names fields. Workers marked as generator workers get no simulations, the others
    then no generators.

    Parameters
    ----------
    alloc_specs : dict
        Options in ``alloc_specs["user"]``:

        - `num_active_gens` (int): at most this many generators at a time. Not given: no limit.
        - `batch_mode` (bool, False): call a generator only when all points have been evaluated.
        - `give_all_with_same_priority` (bool, False): give all points of the highest priority in one order.
        - `cancel_sims_time` (float, seconds): request the cancellation of simulations that have run longer.
        - `backfill` (int, 0): where resources are short, how many points that do not fit may be passed over in one call
          for points of lower priority that do.

    Returns
    -------
    Work, persis_info : dict
    """
    user = alloc_specs.get("user") or {}
    support = support_for(W, persis_info, libE_info)
    if "cancel_sims_time" in user:
        cancel_long_sims(H, support.agenda(H).running, user["cancel_sims_time"])
    if nothing_to_do(libE_info):
        return {}, persis_info

    Work = {}
    idle = support.avail_worker_ids(persistent=False, gen_workers=False)
    if give_by_priority(Work, support, H, idle, sim_specs, persis_info, user) and support.any_left(Work):
        _call_gens(Work, support, H, gen_specs, persis_info, user)
    return Work, persis_info


def _call_gens(Work, support, H, gen_specs, persis_info, user):
    """Call generators on workers that are still idle, as many as may be active."""
    idle = [wid for wid in support.avail_worker_ids(persistent=False, gen_workers=True) if wid not in Work]
    if not idle:
        return
    agenda = support.agenda(H)
    if not (agenda.all_ended() if user.get("batch_mode") else agenda.all_started()):
        return
    allowed = user.get("num_active_gens")
    if allowed is not None:
        idle = idle[: max(0, allowed - support.count_gens())]
    for wid in idle:
        if not start_gen(Work, support, H, wid, gen_specs, persis_info):
            break


def cancel_long_sims(H, running, seconds):
    """Request the cancellation of the running rows that began more than `seconds` ago."""
    began_before = time.time() - seconds
    for row in running:
        if H["sim_started_time"][row] < began_before:
            H["cancel_requested"][row] = True
