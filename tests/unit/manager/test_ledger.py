"""The ledger: letters in, state out. Nothing is started."""

import numpy as np
import pytest

from libensemble.comms.messages import Failure, LogLine, Order, Report
from libensemble.errors import HistoryError, ManagerException
from libensemble.history import History
from libensemble.manager.ledger import Ledger
from libensemble.manager.roster import Roster
from libensemble.message_numbers import (
    EVAL_GEN_TAG,
    EVAL_SIM_TAG,
    FINISHED_PERSISTENT_GEN_TAG,
    FINISHED_PERSISTENT_SIM_TAG,
    UNSET_TAG,
    WORKER_DONE,
)

POINT = [("x", float)]
RESULT = [("f", float)]


class Sets:
    """A resource manager that only remembers."""

    def __init__(self):
        self.held = {}

    def assign_rsets(self, team, worker):
        self.held[worker] = list(team)

    def free_rsets(self, worker, team):
        assert self.held.pop(worker) == team


class Desk:
    """A ledger with all that it needs, and short words for letters."""

    def __init__(self, workers=3, **libE_specs):
        self.history = History({}, {"out": RESULT}, {"out": POINT}, {})
        self.roster = Roster(workers)
        self.persis_info = {1: {"mine": 0}, "next_to_give": 5}
        self.gen_specs = {"out": POINT, "persis_in": ["f"]}
        self.sets = Sets()
        self.stats, self.logs = [], []
        self.ledger = Ledger(
            self.history,
            self.roster,
            self.persis_info,
            self.gen_specs,
            libE_specs,
            self.sets,
            lambda worker, text: self.stats.append((worker, text)),
            lambda worker, line: self.logs.append((worker, line)),
        )

    def order(self, worker, tag, rows=(), fields=(), **info):
        work = {"H_fields": list(fields), "persis_info": {}, "tag": tag, "libE_info": {"H_rows": list(rows), **info}}
        return self.ledger.sent(worker, work, list(rows), info.get("rset_team", [worker - 1]))

    def receive(self, worker, *letters):
        self.ledger.received([(worker, letter) for letter in letters])

    def generate(self, worker, n, **info):
        self.order(worker, EVAL_GEN_TAG, **info)
        self.receive(worker, Report(EVAL_GEN_TAG, UNSET_TAG, np.zeros(n, dtype=POINT), final=not info))

    def active(self):
        return self.roster["active"].tolist()


@pytest.fixture
def desk():
    return Desk()


def results(*values):
    return np.array([(v,) for v in values], dtype=RESULT)


def test_a_generators_call_adds_rows_and_leaves_its_worker_idle(desk):
    order = desk.order(2, EVAL_GEN_TAG)
    assert isinstance(order, Order)
    assert desk.active() == [0, EVAL_GEN_TAG, 0]
    assert desk.roster[2]["gen_started_time"] > 0
    desk.receive(2, Report(EVAL_GEN_TAG, UNSET_TAG, np.ones(4, dtype=POINT)))
    H = desk.history.trim_H()
    assert H["gen_worker"].tolist() == [2] * 4
    assert H["gen_started_time"][0] == desk.roster[2]["gen_started_time"]
    assert desk.active() == [0, 0, 0]


def test_a_simulation_starts_and_ends_its_row(desk):
    desk.generate(1, 2)
    order = desk.order(3, EVAL_SIM_TAG, [1], ["x"])
    assert order.rows == [1]
    assert order.data.dtype.names == ("x",)
    assert desk.history.H["sim_worker"][1] == 3
    desk.receive(3, Report(EVAL_SIM_TAG, WORKER_DONE, results(2.5), line="a line"))
    row = desk.history.H[1]
    assert row["sim_ended"]
    assert row["f"] == 2.5
    assert desk.ledger.changed_rows == [1]
    assert desk.stats == [(3, "a line")]


def test_resource_sets_are_held_while_a_worker_works(desk):
    desk.generate(1, 1)
    desk.order(2, EVAL_SIM_TAG, [0], ["x"], rset_team=[4, 5])
    assert desk.sets.held == {2: [4, 5]}
    desk.receive(2, Report(EVAL_SIM_TAG, UNSET_TAG, results(1)))
    assert desk.sets.held == {}


def test_a_persistent_generator_keeps_its_sets_and_waits_when_it_has_sent(desk):
    desk.generate(1, 2, persistent=True)
    assert desk.roster.persistent(1) == EVAL_GEN_TAG
    assert desk.active() == [0, 0, 0]
    assert desk.sets.held == {1: [0]}
    order = desk.order(1, EVAL_GEN_TAG, [0, 1], ["f"], persistent=True, rset_team=[])
    assert not order.starts
    assert desk.sets.held == {1: [0]}
    assert desk.active() == [EVAL_GEN_TAG, 0, 0]


def test_keep_state_leaves_a_worker_active(desk):
    desk.order(1, EVAL_GEN_TAG, persistent=True)
    desk.receive(1, Report(EVAL_GEN_TAG, UNSET_TAG, np.zeros(1, dtype=POINT), keep_state=True, final=False))
    assert desk.active() == [EVAL_GEN_TAG, 0, 0]


def test_an_active_receiver_stays_active_and_may_be_sent_to(desk):
    desk.order(1, EVAL_GEN_TAG, persistent=True, active_recv=True)
    desk.receive(1, Report(EVAL_GEN_TAG, UNSET_TAG, np.zeros(1, dtype=POINT), final=False))
    assert desk.active() == [EVAL_GEN_TAG, 0, 0]
    assert desk.roster.available(persistent=EVAL_GEN_TAG, active_recv=True) == [1]
    assert desk.roster.available() == [2, 3]


@pytest.mark.parametrize("keeps", [False, True])
def test_what_a_persistent_generator_returns_is_kept_only_if_asked_for(keeps):
    desk = Desk(use_persis_return_gen=keeps)
    desk.generate(1, 1, persistent=True)
    desk.receive(1, Report(EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, np.zeros(2, dtype=POINT)))
    assert desk.history.index == (3 if keeps else 1)
    assert desk.roster.persistent(1) == 0
    assert desk.sets.held == {}


@pytest.mark.parametrize("keeps", [False, True])
def test_what_a_persistent_simulator_returns_goes_to_its_last_rows_and_counts_once(keeps):
    desk = Desk(use_persis_return_sim=keeps)
    desk.generate(1, 2)
    desk.order(2, EVAL_SIM_TAG, [1], ["x"], persistent=True)
    desk.receive(2, Report(EVAL_SIM_TAG, UNSET_TAG, results(1.0), None, {"H_rows": [1]}, final=False))
    desk.receive(2, Report(EVAL_SIM_TAG, FINISHED_PERSISTENT_SIM_TAG, results(7.0), None, {"H_rows": [1]}))
    assert desk.history.H["f"][1] == (7.0 if keeps else 1.0)
    assert desk.history.sim_ended_count == 1
    assert desk.roster.persistent(2) == 0


def test_a_persistent_simulator_that_leaves_without_a_result_ends_its_row(desk):
    desk.generate(1, 1)
    desk.order(2, EVAL_SIM_TAG, [0], ["x"], persistent=True)
    desk.receive(2, Report(EVAL_SIM_TAG, FINISHED_PERSISTENT_SIM_TAG, None))
    assert desk.history.H["sim_ended"][0]
    assert not desk.ledger.agenda.running


def test_persis_info_is_merged_in_place_and_made_where_missing(desk):
    mine = desk.persis_info[1]
    desk.order(1, EVAL_GEN_TAG)
    desk.receive(1, Report(EVAL_GEN_TAG, UNSET_TAG, np.zeros(1, dtype=POINT), {"seen": 1}))
    desk.order(3, EVAL_GEN_TAG)
    desk.receive(3, Report(EVAL_GEN_TAG, UNSET_TAG, np.zeros(1, dtype=POINT), {"new": 2}))
    assert mine == {"mine": 0, "seen": 1}
    assert desk.persis_info[3] == {"new": 2}
    assert desk.persis_info["next_to_give"] == 5


def test_a_failure_is_noted_and_its_worker_is_out(desk):
    desk.generate(1, 1)
    desk.order(2, EVAL_SIM_TAG, [0], ["x"])
    desk.receive(2, Failure("ValueError: no", "trace", line="its line"))
    assert desk.ledger.failures == [(2, Failure("ValueError: no", "trace", line="its line"))]
    assert desk.roster.available() == [1, 3]
    assert desk.sets.held == {}
    assert desk.stats == [(2, "its line")]


def test_log_lines_are_passed_on(desk):
    line = LogLine(20, "libensemble", 1.0, "text")
    desk.receive(2, line)
    assert desk.logs == [(2, line)]


def test_while_closing_results_count_but_nobody_becomes_idle_by_sending(desk):
    desk.generate(1, 1, persistent=True)
    desk.order(1, EVAL_GEN_TAG, persistent=True)
    desk.ledger.is_closing = True
    desk.receive(1, Report(EVAL_GEN_TAG, UNSET_TAG, np.zeros(2, dtype=POINT), final=False))
    assert desk.history.index == 3
    assert desk.roster.any_busy


def test_a_generator_object_that_numbers_its_points_gets_the_numbers_back(desk):
    desk.gen_specs["generator"] = object()
    numbered = np.zeros(1, dtype=[*POINT, ("sim_id", int)])
    desk.order(1, EVAL_GEN_TAG, persistent=True)
    desk.receive(1, Report(EVAL_GEN_TAG, UNSET_TAG, numbered, final=False))
    assert desk.gen_specs["persis_in"] == ["f", "sim_id"]


def test_a_generator_that_never_fills_its_sim_id_is_found_out(desk):
    unfilled = np.zeros(1, dtype=[*POINT, ("sim_id", int)])
    desk.receive(1, Report(EVAL_GEN_TAG, UNSET_TAG, unfilled))
    with pytest.raises(HistoryError, match="declares sim_id must fill it"):
        for _ in range(1000):
            desk.order(1, EVAL_GEN_TAG)
            desk.receive(1, Report(EVAL_GEN_TAG, UNSET_TAG, unfilled))


def test_a_stranger_among_the_letters_is_named(desk):
    with pytest.raises(ManagerException, match="worker 2 sent a Order"):
        desk.receive(2, Order(1, [], np.zeros(0, dtype=POINT), None, {}))


def test_last_orders_carry_what_was_not_told(desk):
    desk.generate(1, 2, persistent=True)
    desk.order(2, EVAL_SIM_TAG, [0], ["x"])
    desk.receive(2, Report(EVAL_SIM_TAG, UNSET_TAG, results(4.0)))
    order = desk.ledger.last_order(1, [0], ["f"])
    assert order.data["f"].tolist() == [4.0]
    assert not order.starts
    assert desk.ledger.last_order(1, [], ["f"]).data.shape == (0,)
