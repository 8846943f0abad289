"""Allocator: ask the allocation function, check what it returns, make orders of it."""

from collections.abc import Callable, Mapping
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
        self._dtype: Any = None
        self._info: dict[str, Any] = {
            "agenda": ledger.agenda,
            "exit_criteria": exit_criteria,
            "manager_kill_canceled_sims": bool(libE_specs.get("kill_canceled_sims")),
            "scheduler_opts": libE_specs.get("scheduler_opts") or {},
            "gen_num_procs": libE_specs.get("gen_num_procs") or 0,
            "gen_num_gpus": libE_specs.get("gen_num_gpus") or 0,
            "gen_on_manager": bool(libE_specs.get("gen_on_manager")),
        }

    def orders(self) -> list[tuple[int, Order]]:
        """Ask the allocation function once; return (worker, order) pairs, each already entered in the ledger.

        Raises
        ------
        ManagerException
            The function returned something that is not a valid set of orders.
        """
        orders: list[tuple[int, Order]] = []
        for worker, order in self._ask().items():
            if self._exit_tests.sim_max_given:
                break
            orders.append(self._order(int(worker), order))
        return orders

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
        history, agenda = self._ledger.history, self._ledger.agenda
        if history.H.dtype is not self._dtype:  # fields have been added
            self._dtype = history.H.dtype
            self._info["use_resource_sets"] = self.uses_resource_sets()
        info = self._info.copy()
        info["any_idle_workers"] = self._ledger.roster.any_idle
        info["elapsed_time"] = self._elapsed()
        info["gen_informed_count"] = agenda.informed_count
        info["sim_started_count"] = agenda.started_count
        info["sim_ended_count"] = agenda.ended_count
        info["sim_max_given"] = self._exit_tests.sim_max_given
        return info

    def uses_resource_sets(self) -> bool:
        """Return whether rows ask for resources themselves, or a number of sets was stated."""
        columns = self._ledger.history.columns
        return self._has_rset_option or any(name in columns for name in _RESOURCE_FIELDS)

    def _checked(self, answer: Any) -> dict[int, dict[str, Any]]:
        if type(answer) is tuple and len(answer) == 2 and type(answer[0]) is dict and type(answer[1]) is dict:
            self._ledger.persis_info = answer[1]
            return answer[0]
        try:
            work, persis_info, *flag = answer
            is_valid = isinstance(work, dict) and isinstance(persis_info, dict) and flag in ([], [0], [1])
        except (TypeError, ValueError):
            is_valid = False
        if not is_valid:
            name = getattr(self._alloc_f, "__name__", repr(self._alloc_f))
            raise ManagerException(
                f"the allocation function {name} returned {_short(answer)}; it must return (Work, persis_info) or "
                "(Work, persis_info, stop_flag), where the first two are dicts and the flag is 0 or 1"
            )
        self._ledger.persis_info = persis_info
        if flag and flag[0]:
            self.wants_stop = True
            return {}
        return dict(work)

    def _order(self, worker: int, work: dict[str, Any]) -> tuple[int, Order]:
        try:
            tag, info = work["tag"], work["libE_info"]
            rows, fields = _as_rows(info["H_rows"]), work["H_fields"]
        except (KeyError, TypeError) as error:
            raise ManagerException(
                f"the order for worker {worker} is not complete ({type(error).__name__}: {error}): {_short(work)}. It "
                "needs 'tag', 'H_fields' and 'libE_info' with 'H_rows', as AllocSupport's sim_work and gen_work make it"
            ) from error
        self._check(worker, tag, info, rows, fields)
        team = info.get("rset_team")
        if self._resources is not None:
            team = self._team(worker, team)
        if tag == EVAL_GEN_TAG and "batch_size" not in info:
            info["batch_size"] = self._ledger.roster.idle_sim_workers()
        return worker, self._ledger.sent(worker, work, rows, team)

    def _check(self, worker: int, tag: int, info: Mapping[str, Any], rows: list[int], fields: Any) -> None:
        roster = self._ledger.roster
        problem = ""
        if tag != EVAL_SIM_TAG and tag != EVAL_GEN_TAG:
            problem = f"has tag {tag!r}; it is {EVAL_SIM_TAG} (sim) or {EVAL_GEN_TAG} (gen)"
        elif "active_recv" in info and info["active_recv"] and not info.get("persistent"):
            problem = "has 'active_recv' without 'persistent'; the one needs the other"
        elif roster.active(worker) and not (roster.is_active_recv(worker) and info.get("active_recv")):
            problem = "was given while the worker is active"
            if roster.is_active_recv(worker):
                problem = "lacks 'active_recv', which every order to a worker in active-receive mode must have"
        elif rows:
            last = self._ledger.history.index - 1
            if not len(fields):
                problem = f"has rows {rows[:5]} but no fields to send of them"
            elif min(rows) < 0 or max(rows) > last:
                problem = f"has rows {min(rows)} to {max(rows)}; the history has rows 0 to {last}"
        if problem:
            raise ManagerException(f"the order for worker {worker} {problem}")

    def _team(self, worker: int, team: Any) -> list[int]:
        """Return the resource sets of an order: those chosen, or else the worker's own."""
        if team is not None:
            return [int(rset) for rset in team]
        if self._ledger.roster.persistent(worker):
            return []
        own: list[int] = self._resources.default_team(worker)
        return own

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


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 200 else text[:200] + "..."


def _as_rows(rows: Any) -> list[int]:
    if isinstance(rows, np.ndarray):
        if rows.dtype.kind != "i" or rows.ndim != 1:
            rows = rows.astype(int, copy=False).ravel()
        listed: list[int] = rows.tolist()
        return listed
    if isinstance(rows, (list, tuple, range)):
        return [int(row) for row in rows]
    return [int(rows)]
