"""A persis_info arrives as it was sent, each time, and is not sent again while nothing has changed."""

import numpy as np
import pytest

from libensemble.comms.persis_post import PersisPost, fingerprint


@pytest.fixture
def ends():
    return PersisPost(), PersisPost()


def stream_state(persis_info):
    return persis_info["rand_stream"].bit_generator.state


def size(sent):
    return len(sent[1]) if isinstance(sent[1], bytes) else 0


def fresh():
    return {"rand_stream": np.random.default_rng(1), "worker_num": 1}


def test_an_unchanged_dict_is_sent_once(ends):
    manager, worker = ends
    ours = fresh()
    sent = [manager.packed(ours) for _ in range(3)]
    assert [size(s) > 0 for s in sent] == [True, False, False]
    got = [worker.unpacked(s) for s in sent]
    assert all(stream_state(g) == stream_state(ours) for g in got)


def test_what_a_function_changes_without_giving_it_back_is_not_seen_by_the_next(ends):
    manager, worker = ends
    ours = fresh()
    theirs = worker.unpacked(manager.packed(ours))
    theirs["rand_stream"].random()
    theirs["scratch"] = 1
    again = worker.unpacked(manager.packed(ours))
    assert "scratch" not in again
    assert stream_state(again) == stream_state(ours)


def test_given_back_unchanged_travels_as_nothing(ends):
    manager, worker = ends
    theirs = worker.unpacked(manager.packed(fresh()))
    assert worker.given_back(theirs) is None


def test_a_change_travels_back_once_and_not_out_again(ends):
    manager, worker = ends
    theirs = worker.unpacked(manager.packed(fresh()))
    theirs["rand_stream"].random(3)
    ours = manager.taken_back(worker.given_back(theirs))
    assert stream_state(ours) == stream_state(theirs)
    sent = manager.packed(ours)
    assert size(sent) == 0
    assert stream_state(worker.unpacked(sent)) == stream_state(ours)


def test_a_change_after_giving_back_is_not_taken_for_what_was_given(ends):
    manager, worker = ends
    theirs = worker.unpacked(manager.packed(fresh()))
    theirs["n"] = 1
    ours = manager.taken_back(worker.given_back(theirs))
    got = worker.unpacked(manager.packed(ours))
    got["n"] = 2  # not returned
    assert worker.unpacked(manager.packed(ours))["n"] == 1


def test_a_change_on_the_manager_is_sent(ends):
    manager, worker = ends
    ours = fresh()
    worker.unpacked(manager.packed(ours))
    ours["rand_stream"].random()
    assert stream_state(worker.unpacked(manager.packed(ours))) == stream_state(ours)
    ours["new"] = True
    assert worker.unpacked(manager.packed(ours))["new"] is True


def test_letters_that_cross_are_not_mixed_up(ends):
    """The worker gives back a change while an order of the manager's is under way."""
    manager, worker = ends
    ours = fresh()
    theirs = worker.unpacked(manager.packed(ours))
    ours["k"] = "manager's"
    crossing = manager.packed(ours)
    theirs["k"] = "worker's"
    given = worker.given_back(theirs)
    worker.unpacked(crossing)
    merged = manager.taken_back(given)
    assert worker.unpacked(manager.packed(merged))["k"] == "worker's"
    assert worker.unpacked(manager.packed({"k": "third"}))["k"] == "third"


@pytest.mark.parametrize("value", [None, [], {"a": np.arange(3)}, {"inner": {"x": 1}}, {"s": np.random.RandomState(1)}])
def test_what_cannot_be_told_apart_is_sent_each_time(ends, value):
    manager, worker = ends
    for _ in range(2):
        got = worker.unpacked(manager.packed(value))
        assert repr(got) == repr(value)
    assert fingerprint(value) is None


@pytest.mark.parametrize(
    ("one", "other"), [({"a": 1}, {"a": True}), ({"a": 1}, {"a": 1.0}), ({"a": 0, "b": 1}, {"b": 1})]
)
def test_fingerprints_tell_types_and_keys_apart(one, other):
    assert fingerprint(one) != fingerprint(other)


def test_a_stream_of_another_kind_is_never_taken_for_the_same(ends):
    other = np.random.Generator(np.random.MT19937(1))
    assert fingerprint({"rand_stream": other}) is None


@pytest.mark.skipif(not hasattr(np.random.Generator, "spawn"), reason="this NumPy's streams cannot spawn others")
def test_a_stream_that_has_spawned_others_has_changed(ends):
    """Its numbers have not, but the next ones that it spawns are to be others."""
    manager, worker = ends
    theirs = worker.unpacked(manager.packed(fresh()))
    first = theirs["rand_stream"].spawn(1)[0]
    ours = manager.taken_back(worker.given_back(theirs))
    assert ours["rand_stream"].spawn(1)[0].random() != first.random()
