"""AllocSupport: what an allocation function asks, and the work orders that it makes.

One is made for each call of an allocation function, so making one costs next to nothing. It owns no state: workers are
looked up in `W`, waiting and returned rows in the agenda, free resource sets in the scheduler. Where a roster or an
agenda is missing (a plain array as `W`, no ``libE_info["agenda"]``), it scans `W`, or builds an agenda from `H` with
one scan.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from libensemble.errors import AllocException, InsufficientFreeResources, InsufficientResourcesError
from libensemble.history.agenda import Agenda
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG
from libensemble.tools.plain_roster import PlainRoster
from libensemble.tools.resource_requests import Request, gen_request, sim_request
from libensemble.tools.rows import all_that_start, chosen, distinct, row_array
from libensemble.utils.current import current
from libensemble.utils.lookup import lookup

__all__ = ["AllocException", "AllocSupport", "InsufficientFreeResources", "InsufficientResourcesError"]

_SCHEDULER = "libensemble.resources.scheduler.ResourceScheduler"  # loaded only by runs that schedule resource sets


class AllocSupport:
    """Ask about workers and rows, and make work orders, inside an allocation function.

    Parameters
    ----------
    W : Roster or structured array
        What each worker does, as handed to the allocation function.
    manage_resources : bool, optional
        Choose resource sets for each order (default False: each worker uses its own fixed set).
        Usually ``libE_info["use_resource_sets"]``.
    persis_info : dict, optional
        The whole `persis_info`; its keys `gen_resources`, `gen_use_gpus`, `gen_num_procs`, `gen_num_gpus` say what a
        generator needs.
    libE_info : dict, optional
        As handed to the allocation function.
    user_resources : object, optional
        A resource manager to use instead of the run's own.
    user_scheduler : object, optional
        Anything with ``assign_resources(rsets_req, use_gpus, user_params)``.

    Attributes
    ----------
    gen_counter : int
        How many generator calls this run has started; held by the class.
    resources : ResourceManager or None
        The run's resource manager.
    sched : ResourceScheduler or None
        What chooses resource sets.
    def_gen_num_procs, def_gen_num_gpus : int
        What a generator gets where `persis_info` does not say.

    Examples
    --------
    >>> support = AllocSupport(W, libE_info["use_resource_sets"], persis_info, libE_info)   # doctest: +SKIP
    >>> for wid in support.avail_worker_ids(persistent=False, gen_workers=False):           # doctest: +SKIP
    ...     rows = support.next_points(H)
    ...     if not rows:
    ...         break
    ...     Work[wid] = support.sim_work(wid, H, sim_specs["in"], rows, persis_info.get(wid))
    """

    gen_counter: ClassVar[int] = 0

    def __init__(
        self,
        W: Any,
        manage_resources: bool = False,
        persis_info: dict[Any, Any] | None = None,
        libE_info: dict[str, Any] | None = None,
        user_resources: Any = None,
        user_scheduler: Any = None,
    ) -> None:
        self.W = W
        self.manage_resources = manage_resources
        self.persis_info = {} if persis_info is None else persis_info
        self.libE_info = {} if libE_info is None else libE_info
        self._user_resources = user_resources
        self._user_scheduler = user_scheduler
        self._own_agenda: Agenda | None = None
        self._roster: Any = W if hasattr(W, "available") else PlainRoster(W)

    @cached_property
    def resources(self) -> Any:
        if self._user_resources is not None:
            return self._user_resources
        return getattr(current.resources, "resource_manager", None)

    @cached_property
    def sched(self) -> Any:
        if self._user_scheduler is not None or self.resources is None:
            return self._user_scheduler
        options = self.libE_info.get("scheduler_opts") or {}
        return lookup(_SCHEDULER)(user_resources=self.resources, sched_opts=options)

    @property
    def def_gen_num_procs(self) -> int:
        return self.libE_info.get("gen_num_procs") or 0

    @property
    def def_gen_num_gpus(self) -> int:
        return self.libE_info.get("gen_num_gpus") or 0

    # ---- workers

    def avail_worker_ids(
        self,
        persistent: int | bool | None = None,
        active_recv: bool = False,
        zero_resource_workers: bool | None = None,
        gen_workers: bool | None = None,
    ) -> list[int]:
        """Return the ids of the workers that may be given work, in order.

        Parameters
        ----------
        persistent : int or None, optional
            Only workers in this persistent state: False or 0 (none), EVAL_SIM_TAG, EVAL_GEN_TAG. Default None: any.
        active_recv : bool, optional
            Instead of idle workers, those in active-receive mode, which may be sent to at any time. Needs `persistent`.
        zero_resource_workers : bool or None, optional
            Only workers that are (True) or are not (False) zero-resource workers; no filter where there are none.
        gen_workers : bool or None, optional
            Only workers that are (True) or are not (False) set apart for generators; no filter where none are.

        Raises
        ------
        AllocException
            `active_recv` without `persistent`.
        """
        if active_recv and not persistent:
            raise AllocException(
                f"active_recv=True needs persistent=EVAL_GEN_TAG (or EVAL_SIM_TAG), not {persistent}; only persistent "
                "workers receive while they are active"
            )
        ids: list[int] = self._roster.available(
            persistent=persistent,
            active_recv=active_recv,
            zero_resource_workers=zero_resource_workers,
            gen_workers=gen_workers,
        )
        return ids

    def any_left(self, Work: dict[Any, Any]) -> bool:
        """Return whether some idle worker has no order in `Work` yet."""
        idle = getattr(self._roster, "idle_count", None)
        return idle is None or len(Work) < idle

    def count_gens(self) -> int:
        """Return how many workers run a generator now (a persistent one that waits for results is not counted)."""
        return int(self._roster.count_active_gens())

    def test_any_gen(self) -> bool:
        """Return whether any worker runs a generator now."""
        return self.count_gens() > 0

    def count_persis_gens(self) -> int:
        """Return how many persistent generators are alive."""
        return int(self._roster.count_persistent_gens())

    # ---- rows

    def agenda(self, H: npt.NDArray[np.void]) -> Agenda:
        """Return the agenda of `H` (the `H` that the allocation function was given): which rows wait, run and are back.

        It follows the run, so none of its answers costs more with more rows.
        """
        agenda: Agenda | None = self.libE_info.get("agenda", self._own_agenda)
        if agenda is None:
            agenda = self._own_agenda = Agenda.from_history(H)
        return agenda

    def next_points(self, H: npt.NDArray[np.void], count: int = 1, same_priority: bool = False) -> list[int]:
        """Return up to `count` waiting rows, highest `priority` first, then oldest; cancelled ones are skipped.

        With `same_priority`, return all waiting rows that share the highest priority instead. A row is returned once in
        each call of the allocation function; ``support.agenda(H).put_back(rows)`` takes back those that are not given.
        """
        agenda = self.agenda(H)
        return agenda.next_equal() if same_priority else agenda.next(count)

    def next_point_in_order(self, H: npt.NDArray[np.void], persis_info: dict[Any, Any]) -> int | None:
        """Move ``persis_info["next_to_give"]`` on to the first row that waits, and return it; None if no row does.

        Rows that are cancelled or have started are passed over. Whoever gives the row out adds 1 to ``"next_to_give"``.
        """
        row, end = persis_info.get("next_to_give", 0), len(H)
        if self._is_first_in_order() or row > end:
            row = 0  # left by another run
        if row < end:
            started, cancelled = H["sim_started"], H["cancel_requested"]
            while row < end and (started[row] or cancelled[row]):
                row += 1
        persis_info["next_to_give"] = row
        return row if row < end else None

    def _is_first_in_order(self) -> bool:
        """Return whether nobody has asked for a row in order before, in this run."""
        agenda: Agenda | None = self.libE_info.get("agenda")
        if agenda is None or agenda.is_given_in_order:
            return False
        agenda.is_given_in_order = True
        return True

    def skip_canceled_points(self, H: npt.NDArray[np.void], persis_info: dict[Any, Any]) -> None:
        """Move ``persis_info["next_to_give"]`` past rows that are cancelled, at most to ``len(H)``."""
        row = persis_info["next_to_give"]
        while row < len(H) and H["cancel_requested"][row]:
            row += 1
        persis_info["next_to_give"] = row

    def all_sim_started(self, H: npt.NDArray[np.void], pt_filter: Any = None, low_bound: int | None = None) -> bool:
        """Return whether all rows have started, those aside that are cancelled.

        Parameters
        ----------
        H : structured array
        pt_filter : array of bool, or of int, optional
            Only these rows of `H`.
        low_bound : int, optional
            Only rows from this number on.
        """
        rows = chosen(pt_filter, low_bound)
        return bool(np.all(H["sim_started"][rows] | H["cancel_requested"][rows]))

    def all_sim_ended(self, H: npt.NDArray[np.void], pt_filter: Any = None, low_bound: int | None = None) -> bool:
        """Return whether all rows have ended, those aside that were cancelled before they started.

        Parameters as in `all_sim_started`.
        """
        return all_that_start(H, "sim_ended", pt_filter, low_bound)

    def all_gen_informed(self, H: npt.NDArray[np.void], pt_filter: Any = None, low_bound: int | None = None) -> bool:
        """Return whether a generator was told of all rows, those aside that were cancelled before they started.

        Parameters as in `all_sim_started`.
        """
        return all_that_start(H, "gen_informed", pt_filter, low_bound)

    def points_by_priority(self, H: npt.NDArray[np.void], points_avail: Any, batch: bool = False) -> Any:
        """Return the row with the highest `priority` among those available (ties, or no such field: the first).

        Parameters
        ----------
        H : structured array
        points_avail : array of bool, shape ``(len(H),)``
        batch : bool, optional
            Return the array of all rows that share the highest priority.

        Raises
        ------
        AllocException
            No row is available.
        """
        rows = np.flatnonzero(points_avail)
        if len(rows) == 0:
            raise AllocException("points_by_priority: no row is available (points_avail is False everywhere)")
        if "priority" not in (H.dtype.names or ()):
            return rows[:1] if batch else rows[0]
        priority = H["priority"][rows]
        priority = np.where(np.isnan(priority), -np.inf, priority)
        return rows[priority == priority.max()] if batch else rows[np.argmax(priority)]

    # ---- work orders

    def sim_work(
        self,
        wid: int,
        H: npt.NDArray[np.void],
        H_fields: Sequence[str],
        H_rows: Any,
        persis_info: Any,
        **libE_info: Any,
    ) -> dict[str, Any]:
        """Return the order to evaluate rows on worker `wid`.

        Parameters
        ----------
        wid : int
            The worker.
        H : structured array
            As handed to the allocation function; its fields `resource_sets`, `num_procs`, `num_gpus`, `use_gpus` say
            what the rows need.
        H_fields : list of str
            Fields to send; a name given twice is sent once.
        H_rows : int, or sequence of int
            Rows to send.
        persis_info : dict
            The second argument of the simulator.
        **libE_info
            Goes into the simulator's `libE_info`. ``persistent=True`` makes or addresses a persistent simulator;
            ``rset_team=[...]`` gives these resource sets (``[]``: none), and the scheduler is not asked.

        Raises
        ------
        InsufficientFreeResources
            The resource sets are not free now: try again in a later call.
        InsufficientResourcesError
            There are not as many.
        """
        libE_info["H_rows"] = rows = row_array(H_rows)
        if self.manage_resources:
            self._give_resources(wid, libE_info, lambda: sim_request(H, rows, self.resources))
        elif "rset_team" in libE_info and libE_info["rset_team"] is None:
            del libE_info["rset_team"]
        return {
            "H_fields": distinct(H_fields),
            "persis_info": persis_info,
            "tag": EVAL_SIM_TAG,
            "libE_info": libE_info,
        }

    def gen_work(
        self, wid: int, H_fields: Sequence[str], H_rows: Any, persis_info: Any, **libE_info: Any
    ) -> dict[str, Any]:
        """Return the order to call a generator on worker `wid`, or to send rows to the persistent one that runs there.

        Parameters and exceptions are those of `sim_work`. A call (not a message to a generator that runs) gets a
        number, `gen_count`. Every order says in `batch_size` how many idle workers may run simulations.
        """
        libE_info["H_rows"] = row_array(H_rows)
        if self.manage_resources:
            self._give_resources(wid, libE_info, lambda: gen_request(self.persis_info, self.libE_info, self.resources))
        elif "rset_team" in libE_info and libE_info["rset_team"] is None:
            del libE_info["rset_team"]
        if not self._roster[wid]["persis_state"]:
            AllocSupport.gen_counter += 1
            libE_info["gen_count"] = AllocSupport.gen_counter
        libE_info["batch_size"] = self._count_free_for_sims(wid)
        return {
            "H_fields": distinct(H_fields),
            "persis_info": persis_info,
            "tag": EVAL_GEN_TAG,
            "libE_info": libE_info,
        }

    def assign_resources(
        self, rsets_req: int, use_gpus: bool | None = None, user_params: Sequence[int] = ()
    ) -> list[int] | None:
        """Choose free resource sets.

        Parameters
        ----------
        rsets_req : int
            How many.
        use_gpus : bool or None, optional
            True: sets with GPUs; False: sets without; None (the default): sets without if there are enough, else any.
        user_params : sequence of int, optional
            Amounts that the number of nodes must divide, such as the processes of an MPI run.

        Returns
        -------
        list of int, or None
            Indices of resource sets; None where the run has no resource manager.

        Raises
        ------
        InsufficientFreeResources, InsufficientResourcesError
            Not now, or never.
        """
        if self.sched is None:
            return None
        if use_gpus is None and getattr(self.resources, "total_num_gpu_rsets", None) != 0:
            try:
                return self._assign(rsets_req, False, user_params)
            except (InsufficientFreeResources, InsufficientResourcesError):
                pass  # sets with GPUs may do it
        return self._assign(rsets_req, use_gpus, user_params)

    # ---- inside

    def _assign(self, rsets_req: int, use_gpus: bool | None, user_params: Sequence[int]) -> list[int]:
        team = self.sched.assign_resources(rsets_req, use_gpus, list(user_params))
        return [int(index) for index in team]  # Python ints read well in the statistics file

    def _give_resources(self, wid: int, libE_info: dict[str, Any], request: Callable[[], Request]) -> None:
        """Put the resource sets of an order, and the amounts that they were derived from, into its `libE_info`."""
        if libE_info.get("rset_team") is not None:
            return
        libE_info.pop("rset_team", None)
        if self._roster[wid]["persis_state"]:
            libE_info["rset_team"] = []  # it keeps the sets that it was started with
            return
        wanted = request()
        libE_info.update(wanted.amounts)
        team = self.assign_resources(wanted.rsets, wanted.use_gpus, list(wanted.amounts.values()))
        if team is not None:
            libE_info["rset_team"] = team

    def _count_free_for_sims(self, wid: int) -> int:
        """Return how many idle workers may run simulations, once `wid` runs a generator."""
        persistent = self.avail_worker_ids(persistent=EVAL_SIM_TAG, zero_resource_workers=False, gen_workers=False)
        others = self.avail_worker_ids(persistent=False, zero_resource_workers=False, gen_workers=False)
        return len(persistent) + len(others) - (wid in others)


def is_new_run(W: Any, libE_info: dict[str, Any]) -> bool:
    """Return whether this run has not yet called any generator.

    What `persis_info` says of started generators was then left there by another run. Outside a run (no agenda in
    `libE_info`) the answer is False: `persis_info` is believed.
    """
    return "agenda" in libE_info and not np.any(W["gen_started_time"])
