"""One persistent generator that first samples, then takes every result as it comes: the partner of APOSMM."""

import numpy as np

from libensemble.alloc_funcs.steps import (
    give_in_order,
    idle_sim_workers,
    nothing_to_do,
    only_gen_is_gone,
    start_only_gen,
    support_for,
    waiting_gens,
)
from libensemble.tools.alloc_support import AllocException, is_new_run


def persistent_aposmm_alloc(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Give points in the order of their rows; return results as they come once the initial sample is complete.

    Rows of H0 that have not started are evaluated first; the generator starts with all of H0 evaluated. The initial
    sample is complete when ``gen_specs["user"]["initial_sample_size"]`` points have ended besides those of H0.

    Parameters
    ----------
    persis_info : dict
        `first_call`, `next_to_give`, `gen_started`, `sample_done`, `samples_in_H0` and `ended_in_H0` are kept here. The
        generator's own part gets `nworkers`, the number of workers.

    Returns
    -------
    Work, persis_info : dict
    stop_flag : int
        1 (only then given) when the generator has returned.
    """
    if nothing_to_do(libE_info):
        return {}, persis_info
    support = support_for(W, persis_info, libE_info)
    if persis_info.get("first_call", True) or (persis_info.get("gen_started") and is_new_run(W, libE_info)):
        persis_info.update(first_call=False, gen_started=False, sample_done=False, next_to_give=0)
        persis_info["samples_in_H0"] = _count_samples(H)
    elif only_gen_is_gone(support, persis_info):
        return {}, persis_info, 1

    Work = {}
    for gen in waiting_gens(support):
        if _sample_is_complete(support, H, gen, gen_specs, persis_info) and (rows := support.agenda(H).all_returned()):
            Work[gen] = support.gen_work(gen, gen_specs["persis_in"], rows, persis_info.get(gen), persistent=True)
    idle = [wid for wid in idle_sim_workers(support) if wid not in Work]
    if give_in_order(Work, support, H, idle, sim_specs, persis_info) and not persis_info.get("gen_started"):
        _start(Work, support, H, gen_specs, persis_info)
    return Work, persis_info


def _count_samples(H):
    """Return how many rows are sample points, not points of local runs."""
    return len(H) - (int(np.count_nonzero(H["local_pt"])) if "local_pt" in H.dtype.names else 0)


def _sample_is_complete(support, H, gen, gen_specs, persis_info):
    if not persis_info.get("sample_done"):
        agenda = support.agenda(H)
        in_H0 = persis_info.get("ended_in_H0", persis_info.get("samples_in_H0", 0))
        wanted = gen_specs["user"]["initial_sample_size"] + in_H0
        # Points that were cancelled never end: then the sample is what has come back.
        persis_info["sample_done"] = bool(agenda.ended_count >= wanted or agenda.all_back(gen))
    return persis_info["sample_done"]


def _start(Work, support, H, gen_specs, persis_info):
    """Start the generator once all rows of H0 have ended."""
    agenda = support.agenda(H)
    if not agenda.all_ended():
        return
    if not gen_specs.get("in") and (untold := agenda.all_returned()):
        raise AllocException(
            f'{len(untold)} rows of H0 have ended and no generator knows of them, but gen_specs["in"] is empty: list '
            "there the fields that the generator needs (x, x_on_cube, f, local_pt, sim_id, sim_ended, local_min)"
        )
    persis_info["ended_in_H0"] = agenda.ended_count
    for wid in support.avail_worker_ids(persistent=False, zero_resource_workers=True, gen_workers=True):
        if wid not in Work:
            persis_info.setdefault(wid, {})["nworkers"] = len(support.W)
            break
    start_only_gen(Work, support, H, gen_specs, persis_info)
