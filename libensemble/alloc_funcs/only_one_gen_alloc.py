"""One generator at a time, and only when everything that it proposed has been evaluated."""

from libensemble.alloc_funcs.steps import give_in_order, nothing_to_do, start_gen, support_for


def ensure_one_active_gen(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Give points in the order of their rows; call one generator when all have ended and none is active.

    Simulations get an empty list as their `persis_info`.

    Parameters
    ----------
    persis_info : dict
        `next_to_give` (the next row) and `total_gen_calls` are kept here; both begin at 0.

    Returns
    -------
    Work, persis_info : dict
    """
    if nothing_to_do(libE_info):
        return {}, persis_info
    support = support_for(W, persis_info, libE_info)

    Work = {}
    idle = support.avail_worker_ids(persistent=False, gen_workers=False)
    give_in_order(Work, support, H, idle, sim_specs, persis_info, for_sims=[])
    if Work or support.test_any_gen() or not support.agenda(H).all_ended():
        return Work, persis_info
    for wid in support.avail_worker_ids(persistent=False, gen_workers=True)[:1]:
        if start_gen(Work, support, H, wid, gen_specs, persis_info):
            persis_info["total_gen_calls"] = persis_info.get("total_gen_calls", 0) + 1
    return Work, persis_info
