"""Points in the order of their rows, then generators: the default's simpler sibling."""

from libensemble.alloc_funcs.steps import give_in_order, nothing_to_do, start_gen, support_for


def give_sim_work_first(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Give points to idle workers in the order of their rows; call generators when all have been given.

    Priorities are not looked at. Simulations get an empty list as their `persis_info`.

    Parameters
    ----------
    alloc_specs : dict
        Option in ``alloc_specs["user"]``: `num_active_gens` (int), at most this many generators at a time; no limit if
        it is not given.
    persis_info : dict
        `next_to_give` (the next row) and `total_gen_calls` are kept here; both begin at 0.

    Returns
    -------
    Work, persis_info : dict
    """
    if nothing_to_do(libE_info):
        return {}, persis_info
    user = alloc_specs.get("user") or {}
    support = support_for(W, persis_info, libE_info)

    Work = {}
    idle = support.avail_worker_ids(persistent=False, gen_workers=False)
    if not give_in_order(Work, support, H, idle, sim_specs, persis_info, for_sims=[]):
        return Work, persis_info
    idle = [wid for wid in support.avail_worker_ids(persistent=False, gen_workers=True) if wid not in Work]
    if not idle or support.next_point_in_order(H, persis_info) is not None:
        return Work, persis_info
    allowed = user.get("num_active_gens")
    if allowed is not None:
        idle = idle[: max(0, allowed - support.count_gens())]
    for wid in idle:
        if not start_gen(Work, support, H, wid, gen_specs, persis_info):
            break
        persis_info["total_gen_calls"] = persis_info.get("total_gen_calls", 0) + 1
    return Work, persis_info
