"""Persistent samplers follow the size of the replies, and each does the one thing it is there for."""

import numpy as np
import numpy.testing as npt
import pytest

from libensemble.gen_funcs import persistent_sampling as sampling
from libensemble.message_numbers import FINISHED_PERSISTENT_GEN_TAG, STOP_TAG
from tests.fakes.mailbox_pair import Rows, ScriptedMailbox, Stop, evaluating

LB, UB = np.array([-3.0, 2.0]), np.array([1.0, 5.0])
X = [("x", float, (2,))]


def stream():
    return np.random.default_rng(7)


def run(function, answer, out=X, **user):
    mailbox = ScriptedMailbox(answer)
    persis_info = {"rand_stream": stream()}
    user = {"initial_batch_size": 3, "lb": LB, "ub": UB, **user}
    returned = function(None, persis_info, {"out": out, "user": user}, {"comm": mailbox})
    assert returned[1] is persis_info
    assert returned[2] == FINISHED_PERSISTENT_GEN_TAG
    return mailbox, returned[0], persis_info


def reply_of(*sizes):
    """Answer with so many rows each, then stop."""

    def answer(points, number):
        if number > len(sizes):
            return Stop(tag=STOP_TAG)
        return Rows(np.zeros(sizes[number - 1], dtype=[("f", float)]), list(range(sizes[number - 1])))

    return answer


def test_a_batch_is_as_large_as_the_last_reply_with_rows():
    mailbox, final, _ = run(sampling.persistent_uniform, reply_of(2, 0, 5))
    assert [len(points) for points in mailbox.sent] == [3, 2, 2, 5]
    assert final is None
    expected = stream()
    for points in mailbox.sent:
        npt.assert_array_equal(points["x"], expected.uniform(LB, UB, (len(points), 2)))


def test_components_are_drawn_after_the_points():
    out = [*X, ("obj_component", int)]
    mailbox, _, _ = run(sampling.persistent_uniform, reply_of(), out=out, num_components=4)
    expected = stream()
    expected.uniform(LB, UB, (3, 2))
    npt.assert_array_equal(mailbox.sent[0]["obj_component"], expected.integers(low=0, high=4, size=3))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"initial_batch_size": 2.0}, "initial_batch_size"), ({"lb": [0, 0]}, "'lb'"), ({"ub": 1}, "'ub'")],
)
def test_options_of_the_wrong_type_are_named(options, message):
    with pytest.raises(AssertionError, match=message):
        run(sampling.persistent_uniform, reply_of(), **options)


def test_final_update_gives_each_point_the_mean_of_its_corner():
    out = [("sim_id", int), ("corner_id", int), *X]
    values = iter(range(100))
    answer = evaluating(lambda points: [next(values) for _ in points], rounds=4, fields=["corner_id"], final=True)
    np.random.seed(0)
    mailbox, final, _ = run(sampling.persistent_uniform_final_update, answer, out=out)
    sent = np.concatenate(mailbox.sent)
    assert sent["sim_id"].tolist() == final["sim_id"].tolist() == list(range(12))
    for row, f_est in zip(sent, final["f_est"], strict=True):
        npt.assert_allclose(f_est, np.mean(np.flatnonzero(sent["corner_id"] == row["corner_id"])))
        bits = [row["corner_id"] & 1, row["corner_id"] >> 1]
        npt.assert_array_equal(row["x"], [LB[d] if bits[d] else UB[d] for d in range(2)])


def test_without_final_rows_the_last_batch_counts_for_no_mean():
    out = [("sim_id", int), ("corner_id", int), *X]
    answer = evaluating(lambda points: np.ones(len(points)), rounds=1, fields=["corner_id"])
    _, final, _ = run(sampling.persistent_uniform_final_update, answer, out=out)
    assert final["f_est"].tolist() == [0, 0, 0]


def test_shutdown_is_requested_when_enough_came_back(capsys):
    mailbox, _, _ = run(sampling.persistent_request_shutdown, reply_of(4, 0, 4, 4), shutdown_limit=11)
    assert len(mailbox.sent) == 3
    assert "12" in capsys.readouterr().out


def test_the_nonblocking_form_counts_empty_looks():
    mailbox = None

    class SlowMailbox(ScriptedMailbox):
        looks = 0

        def mail_flag(self):
            self.looks += 1
            return self.looks > 5 and super().mail_flag()

    mailbox = SlowMailbox(reply_of())
    persis_info = {"rand_stream": stream()}
    user = {"initial_batch_size": 3, "lb": LB, "ub": UB}
    sampling.uniform_nonblocking(None, persis_info, {"out": X, "user": user}, {"comm": mailbox})
    assert persis_info["spin_count"] == 5


def test_history_matching_moves_to_the_best_points():
    target = np.array([1.0, -1.0])
    answer = evaluating(lambda points: np.sum((points["x"] - target) ** 2, axis=1), rounds=8)
    mailbox, _, _ = run(sampling.batched_history_matching, answer, initial_batch_size=50, num_best_vals=10)
    npt.assert_array_equal(mailbox.sent[0]["x"], stream().multivariate_normal(np.zeros(2), np.eye(2), 50))
    assert {len(points) for points in mailbox.sent} == {50}
    npt.assert_allclose(mailbox.sent[-1]["x"].mean(axis=0), target, atol=0.1)


def test_history_matching_works_in_one_dimension():
    answer = evaluating(lambda points: points["x"][:, 0] ** 2, rounds=3)
    mailbox, _, _ = run(
        sampling.batched_history_matching, answer, out=[("x", float, (1,))], lb=np.array([0]), num_best_vals=2
    )
    assert len(mailbox.sent) == 3


def test_cancellations_go_on_from_half_of_the_first_batch():
    mailbox, _, _ = run(sampling.persistent_uniform_with_cancellations, reply_of(6, 2), initial_batch_size=6)
    assert [request["sim_id"].tolist() for request in mailbox.updates] == [[3, 4, 5, 6, 7, 8], [9, 10]]
    assert all(request["cancel_requested"].all() for request in mailbox.updates)


def test_functions_name_their_fields():
    assert sampling.persistent_uniform.persis_in == ["sim_id"]
    assert sampling.persistent_uniform.outputs == [("x", float, (2,))]
