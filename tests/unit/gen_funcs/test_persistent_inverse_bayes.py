"""Batches consist of sub-batches, and bring the weights of the batch before."""

import numpy as np
import numpy.testing as npt
import pytest

from libensemble.gen_funcs.persistent_inverse_bayes import persistent_updater_after_likelihood
from libensemble.message_numbers import FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP
from tests.fakes.mailbox_pair import Rows, ScriptedMailbox, Stop

LB, UB = np.array([-3.0, -2.0]), np.array([3.0, 2.0])
INTS, FLOATS = ("batch", "subbatch"), ("prior", "prop", "weight")
OUT = [("x", float, (2,)), *((name, int) for name in INTS), *((name, float) for name in FLOATS)]


def likelihoods(count):
    data = np.zeros(count, dtype=[("like", float)])
    data["like"] = 10 + np.arange(count)
    return data


def run(answer, size=3, count=2):
    user = {"lb": LB, "ub": UB, "subbatch_size": size, "num_subbatches": count, "num_batches": 10}
    persis_info = {"rand_stream": np.random.default_rng(5)}
    mailbox = ScriptedMailbox(answer)
    specs = {"out": OUT, "user": user}
    returned = persistent_updater_after_likelihood(None, persis_info, specs, {"comm": mailbox})
    assert returned[0] is None and returned[1] is persis_info and returned[2] == FINISHED_PERSISTENT_GEN_TAG
    return mailbox.sent


def stop_after(rounds, count=6, final=False):
    def answer(points, number):
        if number < rounds:
            return Rows(likelihoods(count), list(range(count)))
        return Stop(likelihoods(count), range(count)) if final else Stop(tag=PERSIS_STOP)

    return answer


@pytest.mark.parametrize("final", [False, True])
def test_a_batch_has_its_sub_batches_in_order(final):
    sent = run(stop_after(3, final=final))
    assert [batch["batch"].tolist() for batch in sent] == [[0] * 6, [1] * 6, [2] * 6]
    assert all(batch["subbatch"].tolist() == [0, 0, 0, 1, 1, 1] for batch in sent)


def test_draws_repeat_with_the_seeds():
    np.random.seed(8)
    sent = run(stop_after(2))
    np.random.seed(8)
    stream = np.random.default_rng(5)
    for row in np.concatenate(sent):
        npt.assert_array_equal(row["x"], stream.uniform(LB, UB, (1, 2))[0])
        assert (row["prior"], row["prop"]) == (np.random.randn(), np.random.randn())


def test_weights_come_with_the_next_batch():
    first, second, third = run(stop_after(3))
    assert first["weight"].tolist() == [0] * 6
    for batch, following in ((first, second), (second, third)):
        npt.assert_array_equal(following["weight"], batch["prior"] + likelihoods(6)["like"] - batch["prop"])


def test_weights_need_the_whole_batch():
    with pytest.raises(ValueError, match="5 of the 6 points of batch 0"):
        run(stop_after(2, count=5))
