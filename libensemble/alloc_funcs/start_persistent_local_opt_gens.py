"""Sampling, and one persistent generator for each local optimization run."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from libensemble.alloc_funcs.steps import idle_sim_workers, nothing_to_do, start_gen, support_for, waiting_gens
from libensemble.message_numbers import EVAL_GEN_TAG
from libensemble.tools.alloc_support import InsufficientFreeResources, is_new_run
from libensemble.tools.plain_roster import worker_ids
from libensemble.utils.lookup import lookup

_POINTS = "libensemble.gen_funcs.aposmm.points"
_STARTS = "libensemble.gen_funcs.aposmm.starts"


def start_persistent_local_opt_gens(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Start a local run wherever APOSMM's rules allow it; evaluate points; sample when no generator is active.

    The generator is one function that samples when it is called and optimizes when it is persistent. A local run gets
    one result at a time. Points of local runs are evaluated before sample points, and at least one worker is left to
    evaluate.

    Parameters
    ----------
    H : structured array
        With the fields `x`, `x_on_cube`, `f`, `local_pt`, `known_to_aposmm`, `dist_to_unit_bounds`, `dist_to_better_l`,
        `dist_to_better_s`, `ind_of_better_l`, `ind_of_better_s`, `started_run`, `num_active_runs`, `local_min`.
    gen_specs : dict
        ``gen_specs["user"]["rk_const"]`` is the multiplier of the critical radius.
    persis_info : dict
        A worker's part gets `run_order`, the rows of its run. A generator that returned says there `done`, and `x_opt`
        where it has converged. `local_runs` holds what this function remembers between calls.

    Returns
    -------
    Work, persis_info : dict
    """
    if nothing_to_do(libE_info):
        return {}, persis_info
    support = support_for(W, persis_info, libE_info)
    memory = _memory(H, persis_info, is_new_run(W, libE_info))
    alive = set(worker_ids(W)[W["persis_state"] == EVAL_GEN_TAG].tolist())
    _note_new_rows(H, memory, persis_info)
    _end_runs(H, memory, persis_info, alive)
    _note_results(H, memory)

    Work = {}
    _answer_runs(Work, support, H, memory, gen_specs, persis_info)
    _start_runs(Work, support, H, memory, gen_specs, persis_info, len(alive))
    _give_points(Work, support, H, memory, sim_specs, persis_info)
    if not memory.waiting and not support.test_any_gen() and not any(o["tag"] == EVAL_GEN_TAG for o in Work.values()):
        _sample(Work, support, H, gen_specs, persis_info)
    return Work, persis_info


@dataclass
class LocalRuns:
    """What `start_persistent_local_opt_gens` remembers between calls: how far it has read `H`, and the runs."""

    rows_seen: int = 0
    given: set[int] = field(default_factory=set)  # rows that may end
    waiting_local: deque = field(default_factory=deque)  # points of local runs
    waiting_samples: deque = field(default_factory=deque)
    untold: dict[int, list[int]] = field(default_factory=dict)  # worker -> rows of its run that it waits for
    samples_ended: int = 0
    starts: list[int] | None = None  # candidates, best first; None: to be sought

    @property
    def waiting(self):
        """Whether points wait."""
        return bool(self.waiting_local or self.waiting_samples)


def _memory(H, persis_info, no_gen_has_started):
    """Return what was remembered; a new memory in the first call of a run."""
    memory = persis_info.get("local_runs")
    if memory is None or memory.rows_seen > len(H):
        memory = persis_info["local_runs"] = LocalRuns()
        workers = [key for key in persis_info if isinstance(key, (int, np.integer)) and "run_order" in persis_info[key]]
        if no_gen_has_started:  # runs that H0 or persis_info tell of ended with their ensemble
            H["started_run"][H["num_active_runs"] > 0] = False
            H["num_active_runs"] = 0
            for worker in workers:
                del persis_info[worker]["run_order"]
        else:
            memory.untold = {int(worker): [] for worker in workers}
    return memory


def _note_new_rows(H, memory, persis_info):
    """Sort rows that have come since the last call: points of runs, sample points, points that have ended before."""
    for row in range(memory.rows_seen, len(H)):
        is_local, worker = H["local_pt"][row], int(H["gen_worker"][row])
        if is_local and worker in memory.untold and row not in persis_info[worker]["run_order"]:
            persis_info[worker]["run_order"].append(row)
            memory.untold[worker].append(row)
        if H["sim_started"][row]:
            memory.given.add(row)
        else:
            (memory.waiting_local if is_local else memory.waiting_samples).append(row)
    memory.rows_seen = len(H)


def _end_runs(H, memory, persis_info, alive):
    """Close the runs whose generators have returned, each once."""
    for worker in [worker for worker in memory.untold if worker not in alive]:
        del memory.untold[worker]
        own = persis_info[worker]
        run = np.array(own.pop("run_order"), dtype=int)
        H["num_active_runs"][run] -= 1
        if own.pop("done", False) and "x_opt" in own:
            is_optimum = np.all(np.reshape(H["x"][run], (len(run), -1)) == np.ravel(own["x_opt"]), axis=1)
            H["local_min"][run[is_optimum]] = True
        persis_info[worker] = {"rand_stream": own["rand_stream"]} if "rand_stream" in own else {}
        memory.starts = None


def _note_results(H, memory):
    """Take the points that have ended since the last call into the distances."""
    ended = sorted(row for row in memory.given if H["sim_ended"][row])
    if ended:
        memory.given.difference_update(ended)
        memory.samples_ended += int(np.count_nonzero(~H["local_pt"][ended]))
        memory.starts = None
        lookup(_POINTS).update_history_dist(H, _dimension(H), ended)


def _answer_runs(Work, support, H, memory, gen_specs, persis_info):
    """Send each waiting run its latest result, once all that it waits for have ended."""
    for gen in waiting_gens(support):
        untold = memory.untold.get(gen)
        if untold and all(H["sim_ended"][row] for row in untold):
            Work[gen] = support.gen_work(gen, gen_specs["persis_in"], [untold[-1]], persis_info[gen], persistent=True)
            memory.untold[gen] = []


def _start_runs(Work, support, H, memory, gen_specs, persis_info, alive):
    """Start runs from the best candidates, as long as one worker is left for simulations."""
    workers = support.avail_worker_ids(persistent=False, gen_workers=True)
    if not memory.samples_ended or not workers:
        return
    if memory.starts is None:
        rk_const = gen_specs["user"]["rk_const"]
        decide = lookup(_STARTS).decide_where_to_start_localopt
        memory.starts = decide(H, _dimension(H), memory.samples_ended, rk_const)
    room = max(len(support.W) - 1 - alive, 0)
    if np.any(support.W["gen_worker"]):
        room = len(workers)  # the others are left for simulations
    for wid in workers[:room]:
        if not memory.starts:
            break
        row = memory.starts[0]
        own = persis_info.setdefault(wid, {})
        try:
            Work[wid] = support.gen_work(wid, gen_specs["persis_in"], [row], own, persistent=True)
        except InsufficientFreeResources:
            break
        del memory.starts[0]
        own["run_order"] = [row]
        memory.untold[wid] = []
        H["started_run"][row] = True
        H["num_active_runs"][row] += 1


def _give_points(Work, support, H, memory, sim_specs, persis_info):
    """Give waiting points to idle workers: those of local runs first, the oldest first."""
    for wid in idle_sim_workers(support):
        if wid in Work:
            continue
        queue = memory.waiting_local or memory.waiting_samples
        while queue and (H["cancel_requested"][queue[0]] or H["sim_started"][queue[0]]):
            queue.popleft()
            queue = memory.waiting_local or memory.waiting_samples
        if not queue:
            break
        try:
            Work[wid] = support.sim_work(wid, H, sim_specs["in"], [queue[0]], persis_info.get(wid))
        except InsufficientFreeResources:
            break
        memory.given.add(queue.popleft())


def _sample(Work, support, H, gen_specs, persis_info):
    """Call the generator for more sample points."""
    for wid in support.avail_worker_ids(persistent=False, gen_workers=True):
        if wid not in Work:
            start_gen(Work, support, H, wid, gen_specs, persis_info)
            break


def _dimension(H):
    return int(np.prod(H.dtype["x_on_cube"].shape, dtype=int))
