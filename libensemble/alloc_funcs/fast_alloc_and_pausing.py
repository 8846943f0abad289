"""Points that consist of components, each a row; what is left of a hopeless point is paused."""

import numpy as np

from libensemble.alloc_funcs.steps import nothing_to_do, start_gen, support_for
from libensemble.tools.alloc_support import AllocException, InsufficientFreeResources

_SETS = ("need_to_give", "pt_ids", "has_nan", "complete", "local_pt_ids", "already_paused", "in_progress")
_DICTS = ("inds_of_pt_ids", "partial_vals")


def give_sim_work_first(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Give rows to idle workers in their order, but none of points that are not worth finishing; then call generators.

    The rows of a point share a `pt_id`; each evaluates one component, `f_i`. Rows that are not to be given any more get
    `paused` set. The generator gets the `persis_info` of the worker on which it was called last.

    Parameters
    ----------
    H : structured array
        With the fields `pt_id`, `f_i`, `paused`; rows with `local_pt` (optional) belong to points that are evaluated
        whatever their value.
    gen_specs : dict
        In ``gen_specs["user"]``: `combine_component_func` makes a value of the `f_i` of a point; `components` is the
        number of rows of a point, if they do not come all at once; `single_component_at_a_time` needs `batch_mode`.
    alloc_specs : dict
        Options in ``alloc_specs["user"]``:

        - `stop_on_NaNs` (bool, False): pause the rest of a point of which a component is NaN.
        - `stop_partial_fvec_eval` (bool, False): pause the rest of a point whose components make more, as far as they
          are known, than the best complete point.
        - `batch_mode` (bool, False): call a generator only when nothing runs.
        - `num_active_gens` (int): at most this many generators at a time. Not given: no limit.
    persis_info : dict
        Kept here: `H_len`, `need_to_give`, `inds_of_pt_ids`, `pt_ids`, `has_nan`, `complete`, `best_complete_val`,
        `local_pt_ids`, `already_paused`, `last_worker`, `last_size`, `total_gen_calls`, `next_to_give`, `in_progress`,
        `partial_vals`. What is missing begins empty.

    Returns
    -------
    Work, persis_info : dict
    """
    if nothing_to_do(libE_info):
        return {}, persis_info
    user = alloc_specs.get("user") or {}
    gen_user = gen_specs.get("user") or {}
    if gen_user.get("single_component_at_a_time") and not user.get("batch_mode"):
        raise AllocException('gen_specs["user"]["single_component_at_a_time"] needs alloc_specs["user"]["batch_mode"]')
    support = support_for(W, persis_info, libE_info)
    _complete_state(H, persis_info)
    _note_new_rows(H, persis_info)
    _pause_hopeless_points(H, persis_info, gen_user, user)

    Work = {}
    if _give_rows(Work, support, H, sim_specs, persis_info):
        _call_gens(Work, support, H, gen_specs, persis_info, user)
    return Work, persis_info


def _complete_state(H, state):
    """Put in what the caller has left out of the state; begin anew where another run has left it."""
    if state.get("H_len", 0) > len(H):
        for name in (*_SETS, *_DICTS, "H_len", "next_to_give", "best_complete_val"):
            state.pop(name, None)
    for name in _SETS:
        state.setdefault(name, set())
    for name in _DICTS:
        state.setdefault(name, {})
    for name in ("H_len", "next_to_give", "last_worker", "total_gen_calls"):
        state.setdefault(name, 0)
    state.setdefault("best_complete_val", np.inf)


def _note_new_rows(H, state):
    """Enter rows that have come since the last call."""
    has_local_points = "local_pt" in H.dtype.names
    for row in range(state["H_len"], len(H)):
        point = int(H["pt_id"][row])
        state["pt_ids"].add(point)
        state["inds_of_pt_ids"].setdefault(point, []).append(row)
        if has_local_points and H["local_pt"][row]:
            state["local_pt_ids"].add(point)
        if H["sim_started"][row]:
            state["in_progress"].add(row)
        elif point in state["already_paused"]:
            H["paused"][row] = True
        elif not H["paused"][row]:
            state["need_to_give"].add(row)
    state["H_len"] = len(H)


def _pause_hopeless_points(H, state, gen_user, user):
    """Look at the points of which a row has ended since the last call."""
    ended = [row for row in state["in_progress"] if H["sim_ended"][row]]
    state["in_progress"].difference_update(ended)
    for row in ended:
        if np.any(np.isnan(H["f_i"][row])):
            state["has_nan"].add(int(H["pt_id"][row]))
    touched = {int(H["pt_id"][row]) for row in ended}
    if user.get("stop_on_NaNs"):
        for point in touched & state["has_nan"]:
            _pause(H, state, point)
    if user.get("stop_partial_fvec_eval"):
        _pause_worse_points(H, state, touched, gen_user)


def _pause_worse_points(H, state, touched, gen_user):
    """Pause the points that are already worse than the best complete one."""
    if "combine_component_func" not in gen_user:
        raise AllocException('stop_partial_fvec_eval needs gen_specs["user"]["combine_component_func"]')
    combine, best = gen_user["combine_component_func"], state["best_complete_val"]
    for point in touched:
        rows = np.array(state["inds_of_pt_ids"][point])
        ended = rows[H["sim_ended"][rows]]
        value = combine(H["f_i"][ended])
        if len(ended) == len(rows) >= gen_user.get("components", 1):
            state["complete"].add(point)
            state["partial_vals"].pop(point, None)
            if value < state["best_complete_val"]:
                state["best_complete_val"] = value
        elif point not in state["local_pt_ids"] and point not in state["already_paused"]:
            state["partial_vals"][point] = value
    # A new best value may make any open point hopeless, else only those that have changed.
    doubtful = state["partial_vals"] if state["best_complete_val"] < best else touched & state["partial_vals"].keys()
    for point in [p for p in doubtful if state["partial_vals"][p] > state["best_complete_val"]]:
        _pause(H, state, point)


def _pause(H, state, point):
    """Give no more rows of a point."""
    rows = [row for row in state["inds_of_pt_ids"][point] if not H["sim_started"][row]]
    H["paused"][rows] = True
    state["need_to_give"].difference_update(rows)
    state["partial_vals"].pop(point, None)
    state["already_paused"].add(point)


def _give_rows(Work, support, H, sim_specs, state):
    """Give rows to idle workers, the oldest first; return whether none is left to give."""
    need_to_give = state["need_to_give"]
    for wid in support.avail_worker_ids(persistent=False, gen_workers=False):
        row = _next_row(H, state)
        if row is None:
            break
        try:
            Work[wid] = support.sim_work(wid, H, sim_specs["in"], [row], state.get(wid))
        except InsufficientFreeResources:
            return False
        need_to_give.remove(row)
        state["in_progress"].add(row)
    return not need_to_give


def _next_row(H, state):
    """Return the first row that is to be given; cancelled ones are left out for good."""
    need_to_give = state["need_to_give"]
    if not need_to_give:
        return None
    row = state["next_to_give"]
    while row < len(H):
        if row in need_to_give:
            if not H["cancel_requested"][row]:
                break
            need_to_give.remove(row)
        row += 1
    state["next_to_give"] = row
    return row if row < len(H) else None


def _call_gens(Work, support, H, gen_specs, state, user):
    """Call generators on workers that are still idle, as many as may be active."""
    if user.get("batch_mode") and state["in_progress"]:
        return
    idle = [wid for wid in support.avail_worker_ids(persistent=False, gen_workers=True) if wid not in Work]
    allowed = user.get("num_active_gens")
    if allowed is not None:
        idle = idle[: max(0, allowed - support.count_gens())]
    for wid in idle:
        if not start_gen(Work, support, H, wid, gen_specs, {wid: state.get(state["last_worker"])}):
            break
        state["last_worker"] = wid
        state["last_size"] = len(H)
        state["total_gen_calls"] += 1
