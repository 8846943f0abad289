"""A small manager around one allocation function: letters in, work orders out, nothing started.

History, agenda, roster and ledger are the real ones. With `plain`, the function is shown what a unit test of a user
might show it: a structured array as `W`, and a `libE_info` without an agenda; whatever happens must be the same.
"""

import numpy as np

import libensemble.logger  # noqa: F401  (registers the manager_warning level)
from libensemble.comms.messages import Report
from libensemble.history.fields import protected_libE_fields
from libensemble.history.table import History
from libensemble.manager.ledger import Ledger
from libensemble.manager.roster import Roster
from libensemble.manager.stopping import ExitTests
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG, FINISHED_PERSISTENT_GEN_TAG, WORKER_DONE
from libensemble.tools.alloc_support import AllocSupport


class AllocRig:
    """One run, in which the test plays the workers.

    Attributes
    ----------
    log : list of (worker, order)
        Every order given.
    is_stopped : bool
        The function has returned the stop flag.
    """

    def __init__(
        self,
        alloc_f,
        user=None,
        workers=4,
        gen_out=(("x", float),),
        sim_out=(("f", float),),
        gen_specs=None,
        sim_in=("x",),
        persis_info=None,
        H0=None,
        sim_max=None,
        plain=False,
        resource_manager=None,
        libE_info=None,
        checks_fields=True,
        **marks,
    ):
        self.alloc_f, self.plain, self.checks_fields = alloc_f, plain, checks_fields
        self.sim_specs = {"in": list(sim_in), "out": list(sim_out)}
        self.gen_specs = {"in": [], "persis_in": ["x", "f"], "out": list(gen_out), "user": {}, **(gen_specs or {})}
        self.alloc_specs = {"user": {} if user is None else user}
        criteria = {} if sim_max is None else {"sim_max": sim_max}
        self.history = History({}, self.sim_specs, self.gen_specs, criteria, H0)
        self.roster = Roster(workers, **marks)
        self.resources = resource_manager
        persis_info = {wid: {} for wid in self.roster.ids} if persis_info is None else persis_info
        self.ledger = Ledger(self.history, self.roster, persis_info, self.gen_specs, {}, resource_manager)
        self.exit_tests = ExitTests(criteria, self.history)
        self.extra_info = libE_info or {}
        self.log, self.is_stopped = [], False
        self.rows_of = {}  # worker -> rows that it works on
        AllocSupport.gen_counter = 0

    @property
    def H(self):
        return self.history.trim_H()

    @property
    def persis_info(self):
        return self.ledger.persis_info

    @property
    def agenda(self):
        return self.history.agenda

    # ---- the manager's part

    def ask(self):
        """Return the Work of one call, checked but not given out."""
        self.agenda.restart()
        columns = self.history.columns
        info = {
            "any_idle_workers": self.roster.any_idle,
            "sim_max_given": self.exit_tests.sim_max_given,
            "use_resource_sets": any(name in columns for name in ("resource_sets", "num_procs", "num_gpus")),
            "elapsed_time": 1.0,
            **self.extra_info,
        }
        if not self.plain:
            info["agenda"] = self.agenda
        W = self.roster.array.copy() if self.plain else self.roster
        kept = {name: self.H[name].copy() for name in protected_libE_fields} if self.checks_fields else {}
        answer = self.alloc_f(
            W, self.H, self.sim_specs, self.gen_specs, self.alloc_specs, self.ledger.persis_info, info
        )
        Work, self.ledger.persis_info = answer[:2]
        for name, before in kept.items():
            assert np.array_equal(self.H[name], before), f"the protected field {name} was changed"
        self.is_stopped = len(answer) == 3 and bool(answer[2])
        assert not (self.is_stopped and Work), "orders that go with a stop flag are never sent"
        for wid, order in Work.items():
            self._check(wid, order)
        return Work

    def step(self):
        """Call the function once and give out what it returns; return what was given out."""
        sent = {}
        for wid, order in self.ask().items():
            if self.exit_tests.sim_max_given:
                break
            rows = order["libE_info"]["H_rows"].tolist()
            team = order["libE_info"].get("rset_team") if self.resources is not None else None
            self.ledger.sent(wid, order, rows, team)
            self.rows_of[wid] = rows
            self.log.append((wid, order))
            sent[wid] = order
        return sent

    def _check(self, wid, order):
        """Hold an order against what the manager demands of it."""
        rows, fields, info = order["libE_info"]["H_rows"], order["H_fields"], order["libE_info"]
        assert isinstance(rows, np.ndarray) and rows.ndim == 1 and rows.dtype.kind == "i"
        assert len(fields) == len(set(fields)) and isinstance(fields, list)
        assert set(fields) <= set(self.H.dtype.names)
        assert fields or not len(rows), "rows without fields"
        assert info.get("active_recv") or not self.roster.active(wid), f"worker {wid} is busy"
        assert info.get("active_recv") or not self.roster.is_active_recv(wid)
        assert bool(info.get("persistent")) or not self.roster.persistent(wid), f"{wid} is persistent"
        if order["tag"] == EVAL_SIM_TAG:
            for row in rows:
                assert not self.H["sim_started"][row], f"row {row} is given twice"
                assert not self.H["cancel_requested"][row], f"row {row} is cancelled"

    # ---- the workers' part

    def points(self, wid, x, persistent=False, **fields):
        """The generator on `wid` delivers points (a number of them, or their x)."""
        data = self._array(self.gen_specs["out"], x if isinstance(x, int) else len(x), fields)
        if not isinstance(x, int):
            data["x"] = x
        self.ledger.received([(wid, Report(EVAL_GEN_TAG, WORKER_DONE, data, final=not persistent))])

    def gen_ends(self, wid, persis_info=None):
        """The persistent generator on `wid` returns."""
        self.ledger.received([(wid, Report(EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, None, persis_info))])

    def result(self, wid, f=None, persistent=False, **fields):
        """The simulation on `wid` delivers; f defaults to x."""
        rows = self.rows_of[wid]
        data = self._array(self.sim_specs["out"], len(rows), fields)
        if "f" in data.dtype.names:
            data["f"] = self.H["x"][rows].reshape(len(rows), -1)[:, 0] if f is None else f
        self.ledger.received([(wid, Report(EVAL_SIM_TAG, WORKER_DONE, data, final=not persistent))])

    def _array(self, out, length, fields):
        names = [entry[0] for entry in out]
        kinds = {"cancel_requested": bool, "sim_id": int}
        data = np.zeros(length, dtype=[*out, *((name, kinds[name]) for name in fields if name not in names)])
        for name, values in fields.items():
            data[name] = values
        return data

    def busy(self, tag):
        """Workers at work on this, in order."""
        return [wid for wid in self.roster.ids if self.roster.active(wid) == tag]

    def all_results(self):
        """Every simulation that runs delivers."""
        for wid in self.busy(EVAL_SIM_TAG):
            self.result(wid)

    def live(self, gen, rounds=200):
        """Play rounds until stop, or until nothing moves: `gen(wid, order)` makes points, or None to return.

        One worker delivers in each round, the one that has waited longest.
        """
        queue = []
        for _ in range(rounds):
            queue += self.step().items()
            if self.is_stopped or not queue:
                break
            wid, order = queue.pop(0)
            if order["tag"] == EVAL_SIM_TAG:
                self.result(wid, persistent=bool(order["libE_info"].get("persistent")))
                continue
            x = gen(wid, order)
            if x is None:
                self.gen_ends(wid)
            else:
                self.points(wid, x, persistent=bool(order["libE_info"].get("persistent")))
        else:
            raise AssertionError(f"still going after {rounds} rounds")

    def sims(self):
        """Rows in the order in which they were given."""
        return [row for _, order in self.log if order["tag"] == EVAL_SIM_TAG for row in rows(order)]

    def gens(self):
        """(worker, rows) of each order for a generator."""
        return [(wid, order["libE_info"]["H_rows"].tolist()) for wid, order in self.log if order["tag"] == EVAL_GEN_TAG]


def rows(order):
    """The rows of an order, as a list."""
    return order["libE_info"]["H_rows"].tolist()


def rows_by_worker(Work):
    """What each worker is to do: {worker: (tag, rows)}."""
    return {wid: (order["tag"], rows(order)) for wid, order in Work.items()}


def start_rows(length, started=(), **fields):
    """Make an H0 of which these rows have run; further fields by name."""
    kinds = {"gen_informed": bool, "cancel_requested": bool, "local_pt": bool, "gen_worker": int}
    names = [("x", float), ("f", float), ("sim_id", int), ("sim_started", bool), ("sim_ended", bool)]
    H0 = np.zeros(length, dtype=names + [(name, kinds.get(name, float)) for name in fields])
    H0["sim_id"] = np.arange(length)
    H0["x"] = np.arange(length)
    H0["sim_started"][list(started)] = H0["sim_ended"][list(started)] = True
    for name, values in fields.items():
        H0[name] = values
    return H0
