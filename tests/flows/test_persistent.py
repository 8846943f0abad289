"""Persistent functions: what they send and receive, in ping-pong and active receive, and how their lives end."""

import numpy as np
import pytest

from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.errors import LoggedException
from libensemble.message_numbers import EVAL_GEN_TAG, MAN_SIGNAL_KILL, PERSIS_STOP
from libensemble.tools.persistent_support import PersistentSupport
from tests.fakes import persistent_functions
from tests.fakes.ensembles import run

BACK = ["x", "f"]  # persis_in


def live(comms, gen_f, nworkers=2, *, gen=None, user=None, alloc=None, alloc_f=only_persistent_gens, **stated):
    """Run a persistent generator; return H, its notes, persis_info and flag."""
    H, persis_info, flag = run(
        comms,
        nworkers,
        gen_f=gen_f,
        gen={"in": [], "persis_in": BACK, "user": {"batch": 4, **(user or {})}, **(gen or {})},
        alloc={"alloc_f": alloc_f, "user": alloc or {}},
        **stated,
    )
    notes = next((own["notes"] for own in persis_info.values() if isinstance(own, dict) and "notes" in own), None)
    return H, notes, persis_info, flag


# ---- sending and receiving


def test_ping_pong(comms):
    H, notes, _, flag = live(comms, persistent_functions.ping_pong, sim_max=8)
    assert flag == 0 and H["sim_ended"][:8].all()
    first = notes[0]
    assert first["tag"] == first["work_tag"] == EVAL_GEN_TAG
    assert first["work"] == ["H_fields", "libE_info", "persis_info", "tag"]
    assert first["rows"] == first["own_rows"] == [0, 1, 2, 3]  # libE_info["H_rows"] is kept up
    assert first["fields"] == ("x", "f") and first["data"] == [(0, 0), (1, 2), (2, 4), (3, 6)]
    assert H["gen_informed"][:4].all()


def test_a_stop_without_data_comes_as_tag_and_signal_and_stays_for_the_worker(comms):
    _, notes, _, _ = live(comms, persistent_functions.ping_pong, sim_max=4)
    assert notes[-2] == {"tag": PERSIS_STOP, "work": MAN_SIGNAL_KILL, "data": None}
    assert notes[-1] == {"signal stays": True}


def test_what_a_generator_sends_as_it_is_stopped_is_still_stored(comms):
    H, _, _, _ = live(comms, persistent_functions.ping_pong, exit_criteria={"gen_max": 8})
    assert len(H) == 8 and not H["sim_started"][4:].any()


def test_receiving_without_waiting_returns_three_nones_when_there_is_no_mail(comms):
    alloc = {"active_recv_gen": True, "async_return": True}
    H, notes, _, flag = live(comms, persistent_functions.never_blocks, alloc=alloc, sim_max=12)
    assert flag == 0 and H["sim_ended"].sum() >= 12
    assert notes[-1] == {"nothing": True}
    told = [row for one in notes[:-2] for row in one["rows"]]
    assert sorted(told) == list(np.flatnonzero(H["gen_informed"]))  # each once


def test_an_order_without_rows_delivers_an_empty_array(comms):
    H, notes, _, flag = live(
        comms,
        persistent_functions.ping_pong,
        alloc_f=persistent_functions.sends_empty_orders,
        exit_criteria={"gen_max": 12},
    )
    assert flag == 0 and len(H) == 12
    for one in notes[:2]:
        assert one["rows"] == [] and one["kind"] == "i"
        assert one["fields"] == ("x", "f") and one["data"] == []
        assert one["persis_info"] == {"from": "alloc"}  # what a later order brings is in Work


def test_keep_state_leaves_the_generator_at_work(comms):
    H, notes, _, _ = live(comms, persistent_functions.updates_in_between, sim_max=50)
    assert len(H) == 4
    assert notes[0]["rows"] == [0, 1, 2, 3]  # one answer, to both sends: in between it was not idle


def test_points_cancelled_before_they_start_are_not_evaluated(comms):
    out = [("x", float), ("priority", float)]
    H, notes, _, _ = live(
        comms,
        persistent_functions.cancels,
        gen={"out": out},
        user={"batch": 40, "cancel": list(range(20, 40))},
        sim_max=90,
    )
    assert H["cancel_requested"][20:].all() and not H["cancel_requested"][:20].any()
    assert not H["sim_started"][30:].any() and H["sim_ended"][:20].all()
    assert notes[0]["rows"][:20] == list(range(20))


def test_the_comm_can_be_used_directly(comms):
    _, notes, _, _ = live(comms, persistent_functions.uses_the_comm, nworkers=3, sim_max=8)
    work_keys = ["H_fields", "libE_info", "persis_info", "tag"]
    assert notes[:3] == [3, False, "timeout"]
    assert notes[3] == (EVAL_GEN_TAG, work_keys)
    assert notes[4] == (True, True)  # what was put back shows in mail_flag, and comes next
    assert notes[5] == (0, [0, 1, 2, 3])
    assert "calc_out" in notes[6]
    assert notes[7] == (PERSIS_STOP, MAN_SIGNAL_KILL, True)


def test_looking_for_a_pending_kill_takes_nothing_away(comms):
    _, notes, _, _ = live(comms, persistent_functions.asks_for_kill_pending, sim_max=8)
    assert notes[0] is False
    assert notes[1]["rows"] == [0, 1, 2, 3] and len(notes[1]["data"]) == 4
    assert notes[2:] == [True, (PERSIS_STOP, MAN_SIGNAL_KILL)]


class Recorder:
    """A communicator that keeps what is sent and hands out what is prepared."""

    def __init__(self, *incoming):
        self.sent, self.incoming, self.put_back = [], list(incoming), []

    def send(self, tag, payload):
        self.sent.append((tag, payload))

    def recv(self, timeout=None):
        return self.incoming.pop(0)

    def mail_flag(self):
        return bool(self.incoming)

    def push_to_buffer(self, tag, payload):
        self.put_back.append((tag, payload))


def test_persistent_support_needs_nothing_but_the_documented_communicator():
    rows = np.zeros(2, dtype=[("x", float)])
    work = {"H_fields": ["x"], "persis_info": {}, "tag": EVAL_GEN_TAG, "libE_info": {"H_rows": np.array([4, 5])}}
    comm = Recorder((EVAL_GEN_TAG, work), (0, rows))
    info = {"comm": comm, "executor": object(), "workerID": 1, "H_rows": np.zeros(0, int)}
    support = PersistentSupport(info, EVAL_GEN_TAG)
    assert (support.libE_info, support.comm, support.calc_type, support.calc_str) == (info, comm, EVAL_GEN_TAG, "gen")
    tag, got, calc_in = support.send_recv(rows, calc_status="text")
    assert (tag, got is work, calc_in is rows) == (EVAL_GEN_TAG, True, True)
    assert list(info["H_rows"]) == [4, 5]
    (sent_tag, payload) = comm.sent[0]
    assert sent_tag == EVAL_GEN_TAG and payload["calc_out"] is rows
    assert payload["calc_status"] == "text" and payload["calc_type"] == EVAL_GEN_TAG
    assert payload["libE_info"]["keep_state"] is False
    assert "comm" not in payload["libE_info"] and "executor" not in payload["libE_info"]
    support.request_cancel_sim_ids([3, 7])
    cancel = comm.sent[1][1]
    assert cancel["calc_out"]["sim_id"].tolist() == [3, 7] and cancel["calc_out"]["cancel_requested"].all()
    assert cancel["libE_info"]["keep_state"] is True


def test_a_stop_in_the_place_of_data_is_a_stop():
    work = {"libE_info": {"H_rows": np.array([4])}}
    comm = Recorder((EVAL_GEN_TAG, work), (PERSIS_STOP, MAN_SIGNAL_KILL))
    support = PersistentSupport({"comm": comm}, EVAL_GEN_TAG)
    assert support.recv() == (PERSIS_STOP, MAN_SIGNAL_KILL, None)
    assert comm.put_back == [(PERSIS_STOP, MAN_SIGNAL_KILL)]


@pytest.mark.parametrize("wrong", [0, 3, "gen", None])
def test_persistent_support_is_for_sims_and_gens_only(wrong):
    with pytest.raises(AssertionError):
        PersistentSupport({"comm": None}, wrong)


# ---- how a generator's life ends


def test_what_a_generator_returns_at_its_end_is_dropped_with_a_note(comms, tmp_path):
    H, _, _, _ = live(comms, persistent_functions.ping_pong, sim_max=4)
    assert (H["x"] >= 0).all()
    assert "use_persis_return_gen" in (tmp_path / "ensemble.log").read_text()


def test_use_persis_return_gen_keeps_it(comms):
    H, _, _, _ = live(comms, persistent_functions.ping_pong, sim_max=4, use_persis_return_gen=True)
    assert H["x"][-1] == -1 and (H["x"] == -1).sum() == 1
    assert H["gen_worker"][-1] == H["gen_worker"][0] > 0


def test_a_generator_may_change_its_points_while_it_lives_and_as_it_ends(comms):
    out = [("x", float), ("sim_id", int), ("mark", int)]
    H, _, _, _ = live(comms, persistent_functions.numbers_its_points, gen={"out": out}, sim_max=50)
    assert H["mark"].tolist() == [1, 1, 0, 0]
    H, _, _, _ = live(
        comms, persistent_functions.numbers_its_points, gen={"out": out}, sim_max=50, use_persis_return_gen=True
    )
    assert H["mark"].tolist() == [2, 2, 2, 2] and len(H) == 4


def test_a_generator_that_returns_ends_the_ensemble(comms):
    H, _, persis_info, flag = live(comms, persistent_functions.returns_after, user={"receives": 1}, sim_max=50)
    assert flag == 0 and H["sim_ended"].sum() == 4
    assert persis_info["num_gens_started"] == 0


def test_results_of_a_generator_that_does_not_wait_for_them_are_recorded(comms):
    H, _, _, flag = live(comms, persistent_functions.returns_after, user={"pause": 0.05}, sim_max=50)
    assert flag == 0
    assert H["sim_ended"].sum() == H["sim_started"].sum()


def test_a_stale_count_of_generators_does_not_end_the_next_run(comms):
    persis_info = {"num_gens_started": 1}
    H, _, persis_info, _ = live(comms, persistent_functions.ping_pong, sim_max=4, persis_info=persis_info)
    assert H["sim_ended"].sum() >= 4
    H, _, persis_info, _ = live(comms, persistent_functions.ping_pong, sim_max=4, persis_info=persis_info)
    assert H["sim_ended"].sum() >= 4 and persis_info["num_gens_started"] == 0


def test_a_persistent_generator_has_one_line_in_the_statistics(comms, tmp_path):
    live(comms, persistent_functions.ping_pong, sim_max=12)
    lines = (tmp_path / "libE_stats.txt").read_text().splitlines()
    gens = [line for line in lines if "gen Time:" in line]
    assert len(gens) == 1 and gens[0].endswith("Status: Persis gen finished")


# ---- final_gen_send


def test_final_gen_send_brings_what_has_ended_with_the_stop(comms):
    H, notes, _, flag = live(comms, persistent_functions.ping_pong, sim_max=8, final_gen_send=True)
    last = notes[-2]
    assert flag == 0
    assert last["tag"] == PERSIS_STOP and last["work"] == ["H_fields", "libE_info", "persis_info", "tag"]
    assert last["rows"] == [4, 5, 6, 7] and last["fields"] == ("x", "f")
    assert last["data"] == [(x, 2 * x) for x in range(4, 8)]
    assert (H["gen_informed"] == H["sim_ended"]).all() and np.isfinite(H["gen_informed_time"][:8]).all()


def test_without_final_gen_send_the_last_results_are_not_told(comms):
    H, _, _, _ = live(comms, persistent_functions.ping_pong, sim_max=8)
    assert not H["gen_informed"][4:].any()


def test_final_gen_send_with_nothing_left_ends_all_the_same(comms):
    H, notes, _, flag = live(
        comms, persistent_functions.ping_pong, exit_criteria={"gen_max": 8}, final_gen_send=True, sim_max=None
    )
    assert flag == 0 and len(H) == 8
    assert notes[-2]["tag"] == PERSIS_STOP and notes[-2]["rows"] == [] and notes[-2]["data"] == []


def test_final_gen_send_without_persis_in_fields_ends_all_the_same(comms):
    H, notes, _, flag = live(
        comms, persistent_functions.ping_pong, gen={"persis_in": []}, sim_max=4, final_gen_send=True
    )
    assert flag == 0 and notes[-2]["tag"] == PERSIS_STOP and notes[-2]["rows"] == []
    assert not H["gen_informed"].any()  # nothing of them was sent


@pytest.mark.parametrize("pause", [0, 0.02, 0.1])
@pytest.mark.parametrize("fresh", [True, False])
def test_final_gen_send_to_a_generator_that_has_just_returned_harms_nobody(comms, pause, fresh):
    H, _, _, flag = live(
        comms,
        persistent_functions.returns_after,
        user={"pause": pause, "receives": 0 if fresh else 1},
        exit_criteria={"gen_max": 4} if fresh else {"sim_max": 4},
        final_gen_send=True,
    )
    assert flag == 0 and len(H) == 4


def test_final_gen_send_reaches_every_generator(comms):
    H, _, persis_info, flag = live(
        comms, persistent_functions.ping_pong, 4, alloc={"num_active_gens": 2}, sim_max=16, final_gen_send=True
    )
    assert flag == 0
    last = [own["notes"][-2] for own in persis_info.values() if isinstance(own, dict)]
    assert len(last) == 2 and all(one["tag"] == PERSIS_STOP for one in last)
    assert last[0]["rows"] == last[1]["rows"]  # each gets all of them
    assert (H["gen_informed"] == H["sim_ended"]).all()


def test_a_generator_that_does_not_listen_at_the_end_may_still_return(comms):
    H, _, _, flag = live(comms, persistent_functions.is_deaf, user={"deaf_for": 0.2}, sim_max=4, final_gen_send=True)
    assert flag == 0 and H["sim_ended"].sum() == 4


# ---- active receive


def test_an_active_receiver_counts_as_active_for_its_whole_life(comms):
    H, _, persis_info, flag = live(
        comms,
        persistent_functions.returns_after,
        user={"receives": 3},
        alloc_f=persistent_functions.keeps_asking,
        alloc={"orders": 3},
        sim_max=50,
    )
    assert flag == 0
    assert (EVAL_GEN_TAG, EVAL_GEN_TAG, True) in persis_info["states"]
    assert persis_info["states"] <= {(EVAL_GEN_TAG, EVAL_GEN_TAG, True), (0, 0, False)}


@pytest.mark.parametrize("receives", [0, 1, 2])
def test_orders_still_queued_when_the_function_has_ended_are_dropped(comms, receives):
    H, notes, _, flag = live(
        comms,
        persistent_functions.returns_after,
        user={"receives": receives, "pause": 0.1, "last": True},
        alloc_f=persistent_functions.keeps_asking,
        alloc={"orders": 8},
        sim_max=50,
        use_persis_return_gen=True,
    )
    assert flag == 0 and len(notes) == receives
    assert H["x"][-1] == -1  # with use_persis_return_gen the final array is stored
    assert (H["sim_ended"] == H["sim_started"]).all()


def test_an_order_to_an_active_receiver_without_the_mark_is_refused(comms):
    alloc = {"orders": 5, "forgets": True}
    with pytest.raises(LoggedException, match="lacks 'active_recv'"):
        live(
            comms,
            persistent_functions.is_deaf,
            user={"deaf_for": 0.5},
            alloc_f=persistent_functions.keeps_asking,
            alloc=alloc,
            sim_max=9,
        )


# ---- persistent simulators


def test_persistent_simulators_take_one_order_after_the_other(comms):
    H, _, persis_info, flag = live(
        comms,
        persistent_functions.ping_pong,
        3,
        alloc={"alt_type": True},
        sim_f=persistent_functions.persistent_double,
        sim_max=12,
    )
    done = H[H["sim_ended"]]
    assert flag == 0 and len(done) == 12
    assert (done["f"] == 2 * done["x"]).all()
    calls = [own["calls"] for own in persis_info.values() if isinstance(own, dict) and "calls" in own]
    assert len(calls) <= 2 and sum(calls) == 12


def test_use_persis_return_sim_stores_the_last_word_and_counts_its_rows_once(comms):
    H, _, persis_info, _ = live(
        comms,
        persistent_functions.ping_pong,
        3,
        alloc={"alt_type": True},
        sim_f=persistent_functions.persistent_double,
        sim_max=12,
        use_persis_return_sim=True,
        save_every_k_sims=5,
    )
    done = H[H["sim_ended"]]
    assert len(done) == 12
    lives = [own for own in persis_info.values() if isinstance(own, dict) and "calls" in own]
    assert (done["f"] == 2 * done["x"] + 100).sum() == len(lives)  # the last row of each


def test_the_end_of_the_run_saves_the_true_number_of_rows(comms, tmp_path):
    test_use_persis_return_sim_stores_the_last_word_and_counts_its_rows_once(comms)
    assert (tmp_path / "libE_history_after_sim_12.npy").exists()


def test_a_persistent_simulator_that_leaves_by_itself_is_started_again(comms):
    H, _, _, flag = live(
        comms,
        persistent_functions.ping_pong,
        2,
        alloc={"alt_type": True},
        sim_f=persistent_functions.persistent_double,
        sim={"user": {"leaves_after": 3}},
        sim_max=12,
        use_persis_return_sim=True,
    )
    assert flag == 0 and H["sim_ended"].sum() == 12
    assert (H["f"][:12] == 2 * H["x"][:12] + 100 * (np.arange(12) % 3 == 2)).all()


# ---- H0


def test_without_in_fields_no_rows_of_H0_are_sent_to_a_starting_generator(comms):
    H0 = np.zeros(3, dtype=[("x", float), ("f", float), ("sim_id", int), ("sim_started", bool), ("sim_ended", bool)])
    H0["sim_id"], H0["sim_started"], H0["sim_ended"] = np.arange(3), True, True
    H, notes, _, flag = live(comms, persistent_functions.shows_H, H0=H0, sim_max=4)
    assert flag == 0 and len(H) >= 7
    assert notes[0] == {"rows": [], "fields": None, "length": 0} or notes[0] == {"rows": [], "fields": (), "length": 0}


def test_with_in_fields_all_rows_of_H0_are_sent(comms):
    H0 = np.zeros(3, dtype=[("x", float), ("f", float), ("sim_id", int), ("sim_started", bool), ("sim_ended", bool)])
    H0["sim_id"], H0["sim_started"], H0["sim_ended"] = np.arange(3), True, True
    _, notes, _, flag = live(comms, persistent_functions.shows_H, gen={"in": ["f", "x"]}, H0=H0, sim_max=4)
    assert flag == 0 and notes[0] == {"rows": [0, 1, 2], "fields": ("f", "x"), "length": 3}
