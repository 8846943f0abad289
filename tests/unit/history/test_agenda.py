"""The agenda: no row is lost and none is given twice, in whatever order things happen."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libensemble.history import Agenda, History

GENS = (1, 2, 3)


class Life(RuleBasedStateMachine):
    """Rows live through every order of events; a plain model with scans says what must be true."""

    def __init__(self):
        super().__init__()
        self.offered = []

    @initialize(has_priority=st.booleans(), old=st.integers(0, 4))
    def begin(self, has_priority, old):
        out = [("x", float)] + ([("priority", float)] if has_priority else [])
        H0 = None
        if old:
            H0 = np.zeros(old, dtype=[*out, ("sim_started", bool), ("sim_ended", bool), ("gen_worker", int)])
            H0["sim_started"] = H0["sim_ended"] = np.arange(old) % 2
            H0["gen_worker"] = 1
        self.history = History({}, {"out": [("f", float)]}, {"out": out}, {}, H0)
        self.has_priority = has_priority

    @property
    def H(self):
        return self.history.trim_H()

    @property
    def agenda(self):
        return self.history.agenda

    @rule(gen=st.sampled_from(GENS), n=st.integers(1, 6), data=st.data())
    def generate(self, gen, n, data):
        names = [("x", float), ("cancel_requested", bool)] + ([("priority", float)] if self.has_priority else [])
        new = np.zeros(n, dtype=names)
        new["cancel_requested"] = data.draw(st.lists(st.sampled_from([False, False, True]), min_size=n, max_size=n))
        if self.has_priority:
            new["priority"] = data.draw(st.lists(st.sampled_from([0.0, 1.0, 2.0, np.nan]), min_size=n, max_size=n))
        self.history.add(new, gen)

    @rule(count=st.integers(1, 4))
    def offer(self, count):
        before = set(self.offered)
        rows = self.agenda.next(count)
        assert len(set(rows)) == len(rows) <= count
        assert not before.intersection(rows), "a row was offered twice in a round"
        waiting = self.waiting() - before
        assert set(rows) <= waiting
        assert len(rows) == min(count, len(waiting)), "a waiting row was withheld"
        assert rows == self.best_first(waiting)[: len(rows)]
        self.offered += rows

    @rule()
    def offer_equal(self):
        waiting = self.waiting() - set(self.offered)
        rows = self.agenda.next_equal()
        expected = self.best_first(waiting)[:1]
        if expected and self.has_priority:
            top = self.H["priority"][expected[0]]
            expected = [row for row in self.best_first(waiting) if self.H["priority"][row] == top] or expected
        assert rows == expected
        self.offered += rows

    @precondition(lambda self: self.offered)
    @rule(data=st.data(), worker=st.integers(1, 3))
    def give(self, data, worker):
        row = data.draw(st.sampled_from(self.offered))
        self.offered.remove(row)
        self.history.start([row], worker)
        assert self.agenda.running[row] == worker

    @precondition(lambda self: self.offered)
    @rule(data=st.data())
    def decline(self, data):
        row = data.draw(st.sampled_from(self.offered))
        self.offered.remove(row)
        self.agenda.put_back([row])

    @rule(doubtful=st.booleans())
    def next_round(self, doubtful):
        self.agenda.restart(doubtful)
        self.offered = []

    @precondition(lambda self: self.agenda.running)
    @rule(data=st.data())
    def end(self, data):
        row = data.draw(st.sampled_from(sorted(self.agenda.running)))
        self.history.finish([row], np.array([(1.0,)], dtype=[("f", float)]))

    @precondition(lambda self: self.history.index)
    @rule(data=st.data(), flag=st.booleans())
    def change(self, data, flag):
        """A generator cancels (or takes it back), by sim_id."""
        row = data.draw(st.integers(0, self.history.index - 1))
        if row in self.offered:
            return
        request = np.array([(row, flag)], dtype=[("sim_id", int), ("cancel_requested", bool)])
        self.history.add(request, 1)

    @precondition(lambda self: self.history.index and not self.offered)
    @rule(data=st.data())
    def write_directly(self, data):
        """A user's allocation function writes flags and priorities into H, then the next round begins."""
        row = data.draw(st.integers(0, self.history.index - 1))
        self.H["cancel_requested"][row] = data.draw(st.booleans())
        if self.has_priority:
            self.H["priority"][row] = data.draw(st.floats(-3, 3))
        self.next_round(True)

    @rule(gen=st.sampled_from(GENS))
    def tell(self, gen):
        rows = self.agenda.returned(gen)
        assert rows == self.untold(self.made_by(gen))
        self.history.inform(rows)
        assert self.agenda.returned(gen) == []

    @rule()
    def tell_of_h0(self):
        rows = self.agenda.returned_of_before()
        assert rows == self.untold(~self.is_new())
        self.history.inform(rows)
        assert self.agenda.returned_of_before() == []

    def is_new(self):
        return np.arange(self.history.index) >= self.history.H0_length

    def made_by(self, gen):
        """Rows of H0 are nobody's, whoever made them in an earlier run."""
        return (self.H["gen_worker"] == gen) & self.is_new()

    def untold(self, of_these):
        return np.nonzero(of_these & self.H["sim_ended"] & ~self.H["gen_informed"])[0].tolist()

    def waiting(self):
        return set(np.nonzero(~self.H["sim_started"] & ~self.H["cancel_requested"])[0].tolist())

    def best_first(self, rows):
        if not self.has_priority:
            return sorted(rows)
        priority = np.nan_to_num(self.H["priority"], nan=-np.inf)
        return sorted(rows, key=lambda row: (-priority[row], row))

    @invariant()
    def counters_agree_with_the_columns(self):
        if not hasattr(self, "history"):
            return
        H, agenda = self.H, self.agenda
        assert agenda.started_count == H["sim_started"].sum()
        assert agenda.ended_count == H["sim_ended"].sum()
        assert agenda.informed_count == H["gen_informed"].sum()
        assert set(agenda.running) == set(np.nonzero(H["sim_started"] & ~H["sim_ended"])[0].tolist())
        assert agenda.all_ended() == (not self.waiting() and not agenda.running)
        assert agenda.all_started() == (not self.waiting() - set(self.offered))
        for gen in GENS:
            out = self.made_by(gen) & ~H["sim_ended"] & ~(H["cancel_requested"] & ~H["sim_started"])
            assert agenda.all_back(gen) == (not out.any())

    @invariant()
    def a_scan_gives_the_same_agenda(self):
        if not hasattr(self, "history"):
            return
        scanned = Agenda.from_history(self.H.copy())
        assert scanned.running == self.agenda.running
        assert scanned.all_returned() == self.agenda.all_returned()
        assert scanned.next(1000) == self.best_first(self.waiting())


Life.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
