"""One persistent generator that gets its results in complete groups: the partner of the finite-difference generator."""

import numpy as np

from libensemble.alloc_funcs.steps import (
    give_by_priority,
    idle_sim_workers,
    nothing_to_do,
    only_gen_is_gone,
    start_only_gen,
    support_for,
    waiting_gens,
)


def finite_diff_alloc(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Give the oldest points to idle workers; return results to the generator group by group.

    A group are the rows with the same `x_ind` (below ``gen_specs["user"]["n"]``) and `f_ind` (below
    ``gen_specs["user"]["p"]``); it is returned when ``gen_specs["user"]["nf"]`` of its rows have ended.

    Parameters
    ----------
    persis_info : dict
        `gen_started` is kept here.

    Returns
    -------
    Work, persis_info : dict
    stop_flag : int
        1 when the generator has returned, else 0.
    """
    if nothing_to_do(libE_info):
        return {}, persis_info, 0
    support = support_for(W, persis_info, libE_info)
    if only_gen_is_gone(support, persis_info):
        return {}, persis_info, 1

    Work = {}
    for gen in waiting_gens(support):
        rows = _rows_of_complete_groups(H, support.agenda(H).returned(gen), gen_specs["user"])
        if len(rows):
            Work[gen] = support.gen_work(gen, gen_specs["persis_in"], rows, persis_info.get(gen), persistent=True)
    if give_by_priority(Work, support, H, idle_sim_workers(support), sim_specs, persis_info, {}):
        start_only_gen(Work, support, H, gen_specs, persis_info)
    return Work, persis_info, 0


def _rows_of_complete_groups(H, returned, user):
    """Return those of the returned rows whose groups have all their results."""
    if len(returned) < user["nf"]:
        return []
    rows = np.array(returned)
    x_ind, f_ind = H["x_ind"][rows], H["f_ind"][rows]
    known = (x_ind >= 0) & (x_ind < user["n"]) & (f_ind >= 0) & (f_ind < user["p"])
    rows, groups = rows[known], x_ind[known] * user["p"] + f_ind[known]
    return rows[np.bincount(groups, minlength=1)[groups] >= user["nf"]]
