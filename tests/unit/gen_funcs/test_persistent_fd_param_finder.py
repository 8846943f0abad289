"""Noise is looked for along every coordinate of every output, with steps that follow what was learned."""

import numpy as np
import pytest

from libensemble.gen_funcs.persistent_fd_param_finder import fd_param_finder
from libensemble.message_numbers import FINISHED_PERSISTENT_GEN_TAG, STOP_TAG
from tests.fakes.mailbox_pair import Rows, ScriptedMailbox, Stop

FIELDS = ("n_ind", "f_ind", "x_ind")


def out_fields(n):
    return [("x", float, (n,)), *((name, int) for name in FIELDS)]


def smooth(x):
    return np.array([3 + np.sin(x).sum() + k for k in range(4)])


def noisy(x, noise=1e-6):
    wild = np.sin(1e9 * x.sum() + np.arange(4))
    return smooth(x) * (1 + noise * wild)


class Ensemble:
    """Evaluates `function` and hands complete pairs back: all at once, or one in each answer."""

    def __init__(self, function, rounds=100, one_by_one=False, tag=STOP_TAG, final=False):
        self.function, self.rounds, self.one_by_one = function, rounds, one_by_one
        self.tag, self.final, self.waiting, self.asked = tag, final, [], []

    def __call__(self, points, number):
        self.asked.append(points.copy())
        pairs = sorted({(int(i), int(j)) for i, j in zip(points["x_ind"], points["f_ind"], strict=True)})
        self.waiting += [points[(points["x_ind"] == i) & (points["f_ind"] == j)] for i, j in pairs]
        assert self.waiting, "there is nothing to hand back: the generator would wait for ever"
        groups = [self.waiting.pop(0)] if self.one_by_one else [self.waiting.pop(0) for _ in list(self.waiting)]
        data = self.evaluated(np.concatenate(groups))
        if number >= self.rounds:
            return Stop(data, range(len(data)), self.tag) if self.final else Stop(tag=self.tag)
        return Rows(data, list(range(len(data))))

    def evaluated(self, points):
        data = np.zeros(len(points), dtype=[*points.dtype.descr, ("f_val", float), ("sim_id", int)])
        for name in points.dtype.names:
            data[name] = points[name]
        data["f_val"] = [self.function(point["x"])[point["f_ind"]] for point in points]
        return data[np.random.default_rng(1).permutation(len(data))]  # in whatever order


def find(ensemble, n=3, p=2, nf=8, step=1e-5, attempts=4, **changes):
    x0 = np.linspace(1, 2, n)
    steps = np.array(np.broadcast_to(step, (n, p)), dtype=float)
    user = {"x0": x0, "f0": ensemble.function(x0)[:p], "n": n, "p": p, "nf": nf, "maxnoiseits": attempts}
    user = {**user, "noise_h_mat": steps, **changes}
    specs = {"out": out_fields(n), "user": user}
    H_o, persis_info, tag = fd_param_finder(None, {}, specs, {"comm": ScriptedMailbox(ensemble)})
    assert tag == FINISHED_PERSISTENT_GEN_TAG
    return H_o, persis_info, steps


@pytest.mark.parametrize(("n", "p"), [(1, 1), (1, 3), (2, 3), (3, 2), (5, 1)])
def test_every_pair_is_asked_for_once_when_the_first_step_will_do(n, p):
    ensemble = Ensemble(noisy)
    H_o, persis_info, _ = find(ensemble, n, p)
    (points,) = ensemble.asked
    assert len(points) == n * p * 8
    pairs = {(i, j) for i in range(n) for j in range(p)}
    assert {(int(i), int(j)) for i, j in zip(points["x_ind"], points["f_ind"], strict=True)} == pairs
    for i, j in pairs:
        rows = points[(points["x_ind"] == i) & (points["f_ind"] == j)]
        assert sorted(rows["n_ind"]) == [0, 1, 2, 3, 5, 6, 7, 8]
        expected = np.tile(np.linspace(1, 2, n), (8, 1))
        expected[:, i] += 1e-5 * (rows["n_ind"] - 4)
        np.testing.assert_allclose(rows["x"], expected, rtol=1e-15)
    assert (persis_info["noise_inform"] == 1).all()
    scale = np.broadcast_to(1e-6 * smooth(np.linspace(1, 2, n))[:p], (n, p))
    assert ((persis_info["Fnoise"] > scale / 8) & (persis_info["Fnoise"] < 8 * scale)).all()
    np.testing.assert_array_equal(H_o, points)


def test_steps_grow_and_shrink_by_hundreds_in_the_array_of_the_user():
    ensemble = Ensemble(noisy)
    _, persis_info, steps = find(ensemble, n=2, p=2, step=[[1e-17, 1e-5], [1e-5, 1e1]])
    assert (persis_info["noise_inform"] == 1).all()
    assert steps[0, 1] == steps[1, 0] == 1e-5
    assert steps[0, 0] > 1e-16 and steps[1, 1] < 1
    powers = np.log10([steps[0, 0] / 1e-17, steps[1, 1] / 1e1]) / 2
    np.testing.assert_allclose(powers, np.round(powers), atol=1e-9)
    assert persis_info["noise_h_mat"] is steps


def test_what_is_asked_again_is_only_what_is_open():
    ensemble = Ensemble(noisy)
    H_o, _, _ = find(ensemble, n=2, p=2, step=[[1e-5, 1e-5], [1e-5, 1e1]])
    assert len(ensemble.asked[0]) == 4 * 8
    for again in ensemble.asked[1:]:
        assert len(again) == 8 and set(again["x_ind"]) == set(again["f_ind"]) == {1}
    np.testing.assert_array_equal(H_o, ensemble.asked[-1])


@pytest.mark.parametrize("one_by_one", [False, True])
def test_pairs_that_are_given_up_end_the_search_too(one_by_one):
    ensemble = Ensemble(lambda x: np.array([5.0, np.sin(1e9 * x.sum())]), one_by_one=one_by_one)
    _, persis_info, steps = find(ensemble, n=2, p=2, step=1e-5, attempts=3)
    assert persis_info["noise_inform"].tolist() == [[2, 3], [2, 3]] and not persis_info["Fnoise"].any()
    assert sum(map(len, ensemble.asked)) == 3 * 4 * 8 and not ensemble.waiting
    np.testing.assert_allclose(steps, [[1e-1, 1e-9]] * 2)  # of the last attempts


def test_it_waits_for_pairs_that_are_still_out():
    ensemble = Ensemble(noisy, one_by_one=True)
    _, persis_info, _ = find(ensemble, n=2, p=2)
    assert [len(points) for points in ensemble.asked] == [32, 0, 0, 0]
    assert (persis_info["noise_inform"] == 1).all()


@pytest.mark.parametrize("final", [False, True])
def test_a_stop_ends_it_with_what_is_known(final):
    ensemble = Ensemble(noisy, rounds=1, final=final)
    H_o, persis_info, steps = find(ensemble, n=1, p=2, step=[[1e-5, 1e1]])
    assert persis_info["noise_inform"].tolist() == ([[1, 3]] if final else [[0, 0]])
    assert persis_info["Fnoise"][0, 0] > 0 if final else not persis_info["Fnoise"].any()
    np.testing.assert_array_equal(H_o, ensemble.asked[0])
    assert steps.tolist() == [[1e-5, 1e1]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nf": 7}, "even and at least 4, not 7"),
        ({"nf": 2}, "even and at least 4, not 2"),
        ({"x0": np.ones(2)}, r"'x0'.*\(3,\).*\(2,\)"),
        ({"f0": np.ones(3)}, "'f0'"),
        ({"noise_h_mat": np.ones((2, 3))}, "noise_h_mat"),
    ],
)
def test_options_that_do_not_fit_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        find(Ensemble(noisy), **changes)
