"""One persistent generator whose sub-batches are evaluated whole: the partner of the inverse-Bayes generator."""

import numpy as np

from libensemble.alloc_funcs.steps import (
    idle_sim_workers,
    nothing_to_do,
    only_gen_is_gone,
    start_only_gen,
    support_for,
    waiting_gens,
)
from libensemble.tools.alloc_support import InsufficientFreeResources


def only_persistent_gens_for_inverse_bayes(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Give each idle worker a whole sub-batch; return the likelihoods of a batch when all of its rows have ended.

    The `weight` that came with the rows of a batch belongs to the batch before: it is moved there when the batch is
    returned. `H` has the fields `batch`, `subbatch`, `weight` and `like`; a batch has
    ``gen_specs["user"]["subbatch_size"]`` times ``gen_specs["user"]["num_subbatches"]`` rows.

    Parameters
    ----------
    persis_info : dict
        `gen_started` is kept here.

    Returns
    -------
    Work, persis_info : dict
    stop_flag : int
        1 (only then given) when the generator has returned.
    """
    if nothing_to_do(libE_info):
        return {}, persis_info
    support = support_for(W, persis_info, libE_info)
    if only_gen_is_gone(support, persis_info):
        return {}, persis_info, 1

    Work = {}
    for gen in waiting_gens(support):
        rows = _last_batch(support, H, gen)
        if len(rows):
            _move_weights_back(H, rows, gen_specs["user"])
            Work[gen] = support.gen_work(gen, ["like"], rows, persis_info.get(gen), persistent=True)
    if _give_subbatches(Work, support, H, sim_specs, persis_info):
        start_only_gen(Work, support, H, gen_specs, persis_info)
    return Work, persis_info


def _last_batch(support, H, gen):
    """Return the rows of the generator's last batch, if all of its rows are back."""
    agenda = support.agenda(H)
    rows = np.array(agenda.returned(gen) if agenda.all_back(gen) else [], dtype=int)
    return rows[H["batch"][rows] == H["batch"][rows].max()] if len(rows) else rows


def _move_weights_back(H, rows, user):
    """Copy the weights of these rows to the batch before, if there is one."""
    if H["batch"][rows[0]] > 0:
        batch_size = user["subbatch_size"] * user["num_subbatches"]
        H["weight"][rows - batch_size] = H["weight"][rows]


def _give_subbatches(Work, support, H, sim_specs, persis_info):
    """Give each idle worker the waiting rows of the lowest sub-batch; return whether all rows could be given."""
    workers = idle_sim_workers(support)
    agenda = support.agenda(H)
    waiting = agenda.next(len(H)) if workers else []
    for wid in workers:
        if not waiting:
            break
        lowest = min(H["subbatch"][waiting])
        rows = [row for row in waiting if H["subbatch"][row] == lowest]
        try:
            Work[wid] = support.sim_work(wid, H, sim_specs["in"], rows, persis_info.get(wid))
        except InsufficientFreeResources:
            break
        waiting = [row for row in waiting if H["subbatch"][row] != lowest]
    agenda.put_back(waiting)
    return not waiting
