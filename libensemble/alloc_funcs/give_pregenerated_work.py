"""The rows of H0 are evaluated; there is no generator."""

from libensemble.alloc_funcs.steps import give_in_order, nothing_to_do, support_for


def give_pregenerated_sim_work(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Give the rows of H0 that have not started to idle workers, in order; stop when none is left.

    Simulations get an empty list as their `persis_info`.

    Parameters
    ----------
    gen_specs : dict or None
        Not used.
    persis_info : dict
        `next_to_give` (the next row) is kept here; it begins at 0.

    Returns
    -------
    Work, persis_info : dict
    stop_flag : int
        1 (only then given) when no row is left to give; those that run are awaited.
    """
    if nothing_to_do(libE_info):
        return {}, persis_info
    support = support_for(W, persis_info, libE_info)
    if support.next_point_in_order(H, persis_info) is None:
        return {}, persis_info, 1
    Work = {}
    give_in_order(Work, support, H, support.avail_worker_ids(persistent=False), sim_specs, persis_info, for_sims=[])
    return Work, persis_info
