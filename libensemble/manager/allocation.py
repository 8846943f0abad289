"""Allocator: ask the allocation function, check what it returns, make orders of it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.comms.messages import Order
from libensemble.errors import ManagerException
from libensemble.history.fields import protected_libE_fields
from libensemble.manager.ledger import Ledger
from libensemble.manager.stopping import ExitTests
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG

_RESOURCE_FIELDS = ("resource_sets", "num_procs", "num_gpus")


class Allocator:
    """Asks the allocation function for work and turns it into orders.

    Parameters
    ----------
    ledger : Ledger
    exit_tests : ExitTests
    sim_specs, gen_specs, alloc_specs, libE_specs, exit_criteria : dict
    elapsed : callable
        Returns the seconds since the run began.
    resource_manager : object, optional
    """

    def __init__(
        self,
        ledger: Ledger,
        exit_tests: ExitTests,
        sim_specs: dict[str, Any],
        gen_specs: dict[str, Any],
        alloc_specs: dict[str, Any],
        libE_specs: Mapping[str, Any],
        exit_criteria: Mapping[str, Any],
        elapsed: Callable[[], float],
        resource_manager: Any = None,
    ) -> None:
        self._ledger, self._exit_tests, self._elapsed = ledger, exit_tests, elapsed
        self._sim_specs, self._gen_specs, self._alloc_specs = sim_specs, gen_specs, alloc_specs
        self._alloc_f: Callable[..., Any] = alloc_specs["alloc_f"]
        # A bundled function tells the agenda nothing behind its back; a user's own may write flags into H.
        self._is_foreign = not getattr(self._alloc_f, "__module__", "").startswith("libensemble.alloc_funcs.")
        self._resources = resource_manager
        self._safe_mode = bool(libE_specs.get("safe_mode"))
        self._has_rset_option = bool(libE_specs.get("num_resource_sets"))
        self.wants_stop = False
        self._info: dict[str, Any] = {
            "agenda": ledger.agenda,
            "exit_criteria": exit_criteria,
            "manager_kill_canceled_sims": bool(libE_specs.get("kill_canceled_sims")),
            "scheduler_opts": libE_specs.get("scheduler_opts") or {},
            "gen_num_procs": libE_specs.get("gen_num_procs") or 0,
            "gen_num_gpus": libE_specs.get("gen_num_gpus") or 0,
            "gen_on_manager": bool(libE_specs.get("gen_on_manager")),
        }

    def orders(self) -> Iterator[tuple[int, Order]]:
        """Ask the allocation function once; yield (worker, order), each already entered in the ledger.

        Raises
        ------
        ManagerException
            The function returned something that is not a valid set of orders.
        """
        if self.wants_stop:
            return
        work = self._ask()
        for worker, order in work.items():
            if self._exit_tests.sim_max_given:
                return
            yield self._order(worker, order)

    def _ask(self) -> dict[int, dict[str, Any]]:
        history, agenda = self._ledger.history, self._ledger.agenda
        agenda.restart(self._is_foreign)
        H = history.trim_H()
        kept = self._protected_values(H) if self._safe_mode else None
        answer = self._alloc_f(
            self._ledger.roster,
            H,
            self._sim_specs,
            self._gen_specs,
            self._alloc_specs,
            self._ledger.persis_info,
            self._alloc_info(),
        )
        if kept is not None:
            self._check_protected(H, kept)
        return self._checked(answer)

    def _alloc_info(self) -> dict[str, Any]:
        history = self._ledger.history
        return {
            **self._info,
            "any_idle_workers": self._ledger.roster.any_idle,
            "elapsed_time": self._elapsed(),
            "gen_informed_count": history.gen_informed_count,
            "sim_started_count": history.sim_started_count,
            "sim_ended_count": history.sim_ended_count,
            "sim_max_given": self._exit_tests.sim_max_given,
            "use_resource_sets": self.uses_resource_sets(),
        }

    def uses_resource_sets(self) -> bool:
        """Return whether rows ask for resources themselves, or a number of sets was stated."""
        columns = self._ledger.history.columns
        return self._has_rset_option or any(name in columns for name in _RESOURCE_FIELDS)

    def _checked(self, answer: Any) -> dict[int, dict[str, Any]]:
        name = getattr(self._alloc_f, "__name__", repr(self._alloc_f))
        expected = "it must return (Work, persis_info) or (Work, persis_info, stop_flag)"
        if not isinstance(answer, tuple) or len(answer) not in (2, 3):
            raise ManagerException(f"the allocation function {name} returned {answer!r}; {expected}")
        work, persis_info, *flag = answer
        if not isinstance(work, dict) or not isinstance(persis_info, dict):
            raise ManagerException(
                f"the allocation function {name} returned a {type(work).__name__} and a {type(persis_info).__name__}; "
                f"{expected}, the first two of which are dicts"
            )
        if flag and flag[0] not in (0, 1):
            raise ManagerException(f"the allocation function {name} returned the stop flag {flag[0]!r}; it is 0 or 1")
        self._ledger.persis_info = persis_info
        if flag and flag[0]:
            self.wants_stop = True
            return {}
        return work

    def _order(self, key: Any, work: dict[str, Any]) -> tuple[int, Order]:
        worker = int(key)
        tag, info = work["tag"], work["libE_info"]
        rows = _as_rows(info["H_rows"])
        self._check(worker, tag, info, rows, work)
        team = info.get("rset_team")
        if self._resources is not None:
            if self._ledger.roster.persistent(worker):
                team = team or []
            elif team is None:
                team = self._default_team(worker)
            else:
                team = [int(rset) for rset in team]
        if tag == EVAL_GEN_TAG and "batch_size" not in info:
            info["batch_size"] = self._ledger.roster.idle_sim_workers()
        return worker, self._ledger.sent(worker, work, rows, team)

    def _check(self, worker: int, tag: int, info: Mapping[str, Any], rows: list[int], work: Mapping[str, Any]) -> None:
        roster = self._ledger.roster
        where = f"the order for worker {worker}"
        if tag not in (EVAL_SIM_TAG, EVAL_GEN_TAG):
            raise ManagerException(f"{where} has tag {tag!r}; it is {EVAL_SIM_TAG} (sim) or {EVAL_GEN_TAG} (gen)")
        if info.get("active_recv") and not info.get("persistent"):
            raise ManagerException(f"{where} has 'active_recv' without 'persistent'; the one needs the other")
        if roster.is_active_recv(worker):
            if not info.get("active_recv"):
                raise ManagerException(f"{where}, which is in active-receive mode, lacks 'active_recv'")
        elif roster.active(worker):
            raise ManagerException(f"{where} was given while the worker is active")
        if rows and not work["H_fields"]:
            raise ManagerException(f"{where} has rows {rows[:5]} but no fields to send of them")
        if rows and not 0 <= min(rows) <= max(rows) < self._ledger.history.index:
            raise ManagerException(
                f"{where} has rows {min(rows)} to {max(rows)}; the history has rows 0 to {self._ledger.history.index - 1}"
            )

    def _default_team(self, worker: int) -> list[int]:
        if worker == 0:
            return []
        rset = self._resources.index_list[worker - 1]
        return [] if rset is None else [rset]

    def _protected_values(self, H: npt.NDArray[np.void]) -> dict[str, npt.NDArray[Any]]:
        return {name: H[name].copy() for name in protected_libE_fields}

    def _check_protected(self, H: npt.NDArray[np.void], kept: dict[str, npt.NDArray[Any]]) -> None:
        for name, before in kept.items():
            if not np.array_equal(H[name], before):
                row = int(np.nonzero(H[name] != before)[0][0])
                raise ManagerException(
                    f"the allocation function changed the protected field {name!r} (row {row}: {before[row]} to "
                    f"{H[name][row]}); safe_mode forbids it"
                )


def _as_rows(rows: Any) -> list[int]:
    if isinstance(rows, np.ndarray):
        listed: list[int] = rows.astype(int, copy=False).ravel().tolist()
        return listed
    if isinstance(rows, (list, tuple, range)):
        return [int(row) for row in rows]
    return [int(rows)]
