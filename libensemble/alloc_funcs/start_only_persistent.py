"""Persistent generators propose, the other workers evaluate: the partner of most persistent generators."""

from libensemble.alloc_funcs.steps import give_by_priority, nothing_to_do, start_gen, support_for
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG
from libensemble.tools.alloc_support import is_new_run


def only_persistent_gens(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Return results to waiting generators, give points to idle workers, and start generators when no point waits.

    A generator gets the results of its own points: all at once when the last of them is back, or as they come
    (`async_return`). If it was started with rows of H0 (``gen_specs["in"]`` names fields), it also gets the results of
    those that were evaluated after its start. The ensemble stops when a generator returns.

    Parameters
    ----------
    alloc_specs : dict
        Options in ``alloc_specs["user"]``:

        - `num_active_gens` (int, 1): how many generators to start.
        - `async_return` (bool, False): return results as they come.
        - `init_sample_size` (int, 0): with `async_return`, only once this many simulations have ended.
        - `active_recv_gen` (bool, False): start generators in active-receive mode: they may be sent to at any time.
        - `give_all_with_same_priority` (bool, False): give all points of the highest priority in one order.
        - `alt_type` (bool, False): simulators are persistent, too.
        - `backfill` (int, 0): where resources are short, how many points that do not fit may be passed over in one call
          for points of lower priority that do.

    Returns
    -------
    Work, persis_info : dict
    stop_flag : int
        1 (only then given) when a generator has returned.
    """
    if nothing_to_do(libE_info):
        return {}, persis_info
    user = alloc_specs.get("user") or {}
    support = support_for(W, persis_info, libE_info)
    alive = support.count_persis_gens()
    if alive < persis_info.get("num_gens_started", 0):
        if not is_new_run(W, libE_info):
            return {}, persis_info, 1
        persis_info["num_gens_started"] = 0  # left by another run

    Work = {}
    if alive:
        _return_results(Work, support, H, gen_specs, persis_info, user)
    workers, mode = _sim_workers(support, user)
    if give_by_priority(Work, support, H, workers, sim_specs, persis_info, user, **mode):
        missing = user.get("num_active_gens", 1) - alive
        if missing > 0 and support.agenda(H).all_started():
            _start_gens(Work, support, H, gen_specs, persis_info, missing, _gen_mode(user))
    return Work, persis_info


def _return_results(Work, support, H, gen_specs, persis_info, user):
    """Send each waiting generator the results that it may have now."""
    agenda = support.agenda(H)
    mode = _gen_mode(user)
    at_once = user.get("async_return", False) and agenda.ended_count >= user.get("init_sample_size", 0)
    for gen in support.avail_worker_ids(persistent=EVAL_GEN_TAG, active_recv=user.get("active_recv_gen", False)):
        if at_once or agenda.all_back(gen):
            rows = agenda.returned(gen)
            if gen_specs.get("in") and not Work:  # who was given H0 at the start also gets what H0 had left undone
                rows = agenda.returned_of_before() + rows
            if rows:
                Work[gen] = support.gen_work(gen, gen_specs["persis_in"], rows, persis_info.get(gen), **mode)


def _sim_workers(support, user):
    """Return the workers that may evaluate points now, and what their orders say besides."""
    idle = support.avail_worker_ids(persistent=False, zero_resource_workers=False, gen_workers=False)
    if not user.get("alt_type"):
        return idle, {}
    idle += support.avail_worker_ids(persistent=EVAL_SIM_TAG, zero_resource_workers=False, gen_workers=False)
    return sorted(idle), {"persistent": True}


def _start_gens(Work, support, H, gen_specs, persis_info, missing, mode):
    """Start so many generators, or as many as there are workers still idle for them."""
    idle = support.avail_worker_ids(persistent=False, zero_resource_workers=True, gen_workers=True)
    for wid in [wid for wid in idle if wid not in Work][:missing]:
        if not start_gen(Work, support, H, wid, gen_specs, persis_info, **mode):
            break
        persis_info["num_gens_started"] = persis_info.get("num_gens_started", 0) + 1


def _gen_mode(user):
    return {"persistent": True, "active_recv": True} if user.get("active_recv_gen") else {"persistent": True}
