"""The history keeps what it is given, in the form that users rely on."""

import numpy as np
import pytest

from libensemble.errors import HistoryError
from libensemble.history import History
from libensemble.history.fields import libE_fields, merge_fields

SIM = {"out": [("f", float)]}
GEN = {"out": [("x", float, (2,))]}


def make(H0=None, sim=SIM, gen=GEN, alloc=None, **exit_criteria):
    return History(alloc or {}, sim, gen, exit_criteria, H0)


def points(n, **columns):
    array = np.zeros(n, dtype=[("x", float, (2,))] + [(name, np.asarray(v).dtype) for name, v in columns.items()])
    array["x"] = np.arange(2 * n).reshape(n, 2)
    for name, values in columns.items():
        array[name] = values
    return array


class TestFields:
    def test_reserved_fields_come_first_then_gen_sim_alloc_in_declared_order(self):
        history = make(alloc={"out": [("given_back", bool)]})
        assert history.H.dtype.names == (*(name for name, _ in libE_fields), "x", "f", "given_back")

    def test_a_fresh_row_has_the_documented_starting_values(self):
        row = make(sim={"out": [("resource_sets", int), ("_id", int)]}).H[0]
        assert row["sim_id"] == -1
        assert row["sim_started_time"] == np.inf
        assert row["gen_informed_time"] == np.inf
        assert row["resource_sets"] == 1
        assert row["_id"] == -1
        assert not row["sim_started"]
        assert row["gen_worker"] == 0

    @pytest.mark.parametrize("spelling", ["int64", int, "int32"])
    def test_a_reserved_field_may_be_declared_again_in_another_spelling(self, spelling):
        dtype = merge_fields(None, [("sim_id", spelling), ("x", float)])
        assert dtype["sim_id"] == np.dtype(int)

    def test_types_that_do_not_agree_are_an_error_that_names_both(self):
        with pytest.raises(HistoryError, match=r"'f'.*float32.*float64|'f'.*float64.*float32"):
            merge_fields(None, [("f", "f4")], [("f", float)])

    def test_the_type_in_H0_wins(self):
        flags = [("sim_started", bool), ("sim_ended", bool), ("sim_id", int)]
        H0 = np.zeros(2, dtype=[("x", float, (2,)), ("f", "f4"), *flags])
        assert make(H0).H.dtype["f"] == np.dtype("f4")


class TestLength:
    def test_room_for_sim_max_rows_after_H0(self):
        H0 = points(3, sim_id=[0, 1, 2])
        assert len(make(H0, sim_max=7).H) == 10

    def test_sim_max_zero_with_an_empty_H0(self):
        history = History({"out": []}, SIM, GEN, exit_criteria={"sim_max": 0}, H0=[])
        assert len(history.H) == 0
        assert len(history.trim_H()) == 0

    def test_sim_max_zero_keeps_the_ids_of_H0(self):
        H0 = points(3, sim_id=[0, 1, 2], sim_started=[True] * 3, sim_ended=[True] * 3)
        assert list(make(H0, sim_max=0).H["sim_id"]) == [0, 1, 2]

    def test_growth_doubles_and_keeps_values(self):
        history = make(sim_max=2)
        history.add(points(5), 1)
        length = len(history.H)
        history.add(points(length), 1)
        assert len(history.H) >= 2 * length
        assert history.H["sim_id"][: history.index].tolist() == list(range(5 + length))
        assert (history.H["sim_id"][history.index :] == -1).all()


class TestAdd:
    def test_new_rows_are_stamped(self):
        history = make()
        rows = history.add(points(3), 4, started=12.5)
        H = history.trim_H()
        assert list(rows) == [0, 1, 2]
        assert (H["gen_worker"] == 4).all()
        assert (H["gen_started_time"] == 12.5).all()
        assert (H["gen_ended_time"] > 0).all()
        assert H["x"].tolist() == points(3)["x"].tolist()

    def test_an_unknown_field_is_added_with_zeros_for_older_rows(self):
        history = make()
        history.add(points(1), 1)
        history.add(points(2, tag=[7, 8]), 1)
        assert history.trim_H()["tag"].tolist() == [0, 7, 8]

    def test_a_late_priority_field_orders_the_rows_that_wait(self):
        history = make()
        history.add(points(1), 1)
        history.add(points(2, priority=[1.0, 5.0]), 1)
        assert history.agenda.next(3) == [2, 1, 0]

    def test_sim_ids_change_old_rows_and_add_new_ones(self):
        history = make()
        history.add(points(2), 1)
        history.add(points(2, sim_id=[1, 2]), 2)
        H = history.trim_H()
        assert H["gen_worker"].tolist() == [1, 1, 2]
        assert H["x"][1].tolist() == [0, 1]
        assert H["sim_id"].tolist() == [0, 1, 2]

    def test_a_gap_in_the_ids_is_named(self):
        history = make()
        with pytest.raises(HistoryError, match="sim_id 1 "):
            history.add(points(2, sim_id=[0, 2]), 1)

    def test_ids_that_were_never_filled_are_refused(self):
        with pytest.raises(HistoryError, match="repeated sim_id"):
            make().add(points(3, sim_id=[0, 0, 0]), 1)

    def test_negative_ids_are_refused(self):
        with pytest.raises(HistoryError, match="-2"):
            make().add(points(1, sim_id=[-2]), 1)

    def test_empty_output_is_ignored(self):
        history = make()
        assert list(history.add(points(0), 1)) == []
        assert list(history.add(None, 1)) == []
        assert history.index == 0

    def test_safe_mode_protects(self):
        history = make()
        history.safe_mode = True
        with pytest.raises(HistoryError, match="sim_ended"):
            history.add(points(1, sim_ended=[True]), 1)

    def test_without_safe_mode_a_generator_may_bring_ended_rows(self):
        history = make()
        history.add(points(2, sim_started=[True, False], sim_ended=[True, False], f=[3.0, 0.0]), 1)
        assert history.agenda.returned(1) == [0]
        assert history.agenda.next(5) == [1]
        assert history.sim_ended_count == 1

    def test_object_fields_keep_their_objects(self):
        history = make(gen={"out": [("parameters", object, (2,))]})
        data = np.zeros(1, dtype=[("parameters", object, (2,))])
        data["parameters"][0] = [{"a": 1}, None]
        history.add(data, 1)
        assert history.H["parameters"][0][0] == {"a": 1}


class TestFinish:
    def start(self, **kwargs):
        history = make(**kwargs)
        history.add(points(3), 1)
        history.start([0, 1], 2)
        return history

    def test_results_are_stored_and_stamped(self):
        history = self.start()
        history.finish([0, 1], np.array([(1.0,), (2.0,)], dtype=SIM["out"]))
        H = history.trim_H()
        assert H["f"].tolist() == [1, 2, 0]
        assert H["sim_ended"].tolist() == [True, True, False]
        assert H["sim_worker"].tolist() == [2, 2, 0]
        assert (H["sim_ended_time"][:2] >= H["sim_started_time"][:2]).all()

    def test_no_result_ends_the_row_all_the_same(self):
        history = self.start()
        history.finish([0], None)
        assert history.trim_H()["sim_ended"][0]

    def test_a_row_counts_once(self):
        history = self.start()
        result = np.array([(1.0,)], dtype=SIM["out"])
        history.finish([0], result)
        history.finish([0], result)
        assert history.sim_ended_count == 1

    def test_too_few_entries_are_refused(self):
        with pytest.raises(HistoryError, match="1 entries for 2 rows"):
            self.start().finish([0, 1], np.zeros(1, dtype=SIM["out"]))

    def test_extra_entries_are_ignored(self):
        history = self.start()
        history.finish([0], np.array([(1.0,), (9.0,)], dtype=SIM["out"]))
        assert history.trim_H()["f"].tolist() == [1, 0, 0]

    def test_a_shorter_sub_array_fills_the_beginning(self):
        history = self.start(sim={"out": [("v", float, 4)]})
        history.finish([0], np.array([([1.0, 2.0],)], dtype=[("v", float, 2)]))
        assert history.trim_H()["v"][0].tolist() == [1, 2, 0, 0]

    @pytest.mark.parametrize("length", [0, 5])
    def test_an_empty_or_longer_sub_array_is_refused(self, length):
        history = self.start(sim={"out": [("v", float, 4)]})
        with pytest.raises(HistoryError, match="'v'"):
            history.finish([0], np.zeros(1, dtype=[("v", float, (length,))]))

    def test_an_unknown_field_is_added(self):
        history = self.start()
        history.finish([0], np.array([(2.5,)], dtype=[("extra", float)]))
        assert history.trim_H()["extra"].tolist() == [2.5, 0, 0]

    def test_a_sim_that_resets_sim_started_has_its_row_given_out_again(self):
        history = self.start()
        out = np.array([(1.0, False, False)], dtype=[("f", float), ("sim_started", bool), ("sim_ended", bool)])
        history.finish([0], out)
        assert 0 in history.agenda.next(5)


class TestH0:
    def test_without_flags_all_rows_have_ended(self):
        history = make(points(3), sim_max=5)
        assert history.trim_H()["sim_ended"].all()
        assert history.trim_H()["sim_id"].tolist() == [0, 1, 2]
        assert (history.sim_ended_offset, history.sim_started_offset) == (3, 3)

    def test_started_without_ended_means_ended(self):
        history = make(points(2, sim_started=[True, False]))
        assert history.trim_H()["sim_ended"].tolist() == [True, False]

    def test_rows_not_started_wait(self):
        history = make(points(2, sim_started=[True, False], sim_ended=[True, False]))
        assert history.agenda.next(5) == [1]

    def test_a_list_that_is_empty_is_none(self):
        assert not make([]).using_H0


class TestCutAndInform:
    def test_a_cut_is_a_copy_with_the_asked_fields(self):
        history = make()
        history.add(points(4), 1)
        for rows in ([2], [0, 1, 2], [3, 1], range(4), np.array([1, 2]), []):
            data = history.cut(rows, ["x", "sim_id"])
            assert data.dtype.names == ("x", "sim_id")
            assert data["sim_id"].tolist() == list(rows)
            data["x"] = -1
        assert history.trim_H()["x"].tolist() == points(4)["x"].tolist()

    def test_an_unknown_field_is_named(self):
        with pytest.raises(HistoryError, match="nonsense"):
            make().cut([], ["nonsense"])

    def test_only_ended_rows_are_informed(self):
        history = make()
        history.add(points(2), 1)
        history.start([0], 1)
        history.finish([0], None)
        history.inform([0, 1], now=5.0)
        H = history.trim_H()
        assert H["gen_informed"].tolist() == [True, False]
        assert H["gen_informed_time"].tolist() == [5.0, 5.0]
        assert history.gen_informed_count == 1


class TestDocumentedNames:
    def test_the_old_acts_do_the_same(self):
        history = make()
        history.update_history_x_in(3, points(2), 1.0)
        history.update_history_x_out(np.array([0]), 2)
        out = np.array([(4.0,)], dtype=SIM["out"])
        history.update_history_f({"calc_out": out, "libE_info": {"H_rows": np.array([0])}})
        history.update_history_to_gen(np.array([0]))
        row = history.H[0]
        assert (row["gen_worker"], row["sim_worker"], row["f"]) == (3, 2, 4.0)
        assert row["gen_informed"]
        history.grow_H(3)
        assert history.grow_count == 3
