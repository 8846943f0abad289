"""One generator samples when it is called, and optimizes when it lives."""

import builtins
import math

import numpy as np
import numpy.testing as npt
import pytest

from libensemble.gen_funcs.uniform_or_localopt import uniform_or_localopt
from libensemble.message_numbers import FINISHED_PERSISTENT_GEN_TAG, STOP_TAG
from libensemble.tests.regression_tests.support import uniform_or_localopt_gen_out
from tests.fakes.mailbox_pair import Rows, ScriptedMailbox, Stop

LB, UB = np.array([-2.0, -1.0]), np.array([2.0, 5.0])
OUT = [("x", float, (2,)), ("x_on_cube", float, (2,)), *uniform_or_localopt_gen_out]
OPTIMUM = np.array([0.5, 1.25])


def bowl(x):
    return float(np.sum((x - OPTIMUM) ** 2 * [1, 3])), 2 * (x - OPTIMUM) * [1, 3]


def valley(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, np.zeros(2)


class Simulator:
    """Evaluates `function` at each point, at most so many times."""

    def __init__(self, function=bowl, most=1000, with_grad=True):
        self.function, self.most, self.with_grad = function, most, with_grad

    def row(self, x):
        grad = [("grad", float, (2,))] if self.with_grad else []
        data = np.zeros(1, dtype=[("x", float, (2,)), ("f", float), *grad, ("sim_id", int)])
        f, slope = self.function(np.array(x))
        data["x"], data["f"] = x, f
        if self.with_grad:
            data["grad"] = slope
        return data

    def __call__(self, points, number):
        assert len(points) == 1
        return Stop(tag=STOP_TAG) if number > self.most else Rows(self.row(points["x"][0]), [number])


def specs(**user):
    return {"out": OUT, "user": {"lb": LB, "ub": UB, "gen_batch_size": 4, "xtol_rel": 1e-6, **user}}


def optimize(simulator, x0=(1.0, 4.0), method="LD_MMA", **user):
    mailbox = ScriptedMailbox(simulator)
    info = {"comm": mailbox, "persistent": True}
    H_o, updates, tag = uniform_or_localopt(simulator.row(x0), {}, specs(localopt_method=method, **user), info)
    assert len(H_o) == 0 and tag == FINISHED_PERSISTENT_GEN_TAG
    return updates, mailbox.sent


def test_a_sample_knows_of_no_better_points():
    persis_info = {"rand_stream": np.random.default_rng(2)}
    H_o, returned = uniform_or_localopt(np.zeros(0), persis_info, specs(), {})
    stream = np.random.default_rng(2)
    npt.assert_array_equal(H_o["x"], [stream.uniform(LB, UB, (1, 2))[0] for _ in range(4)])
    npt.assert_allclose(H_o["x_on_cube"] * (UB - LB) + LB, H_o["x"])
    assert np.isinf([H_o[f"dist_to_{name}"] for name in ("unit_bounds", "better_l", "better_s")]).all()
    assert (H_o["ind_of_better_l"] == -1).all() and (H_o["ind_of_better_s"] == -1).all()
    assert not H_o["local_pt"].any() and not H_o["num_active_runs"].any() and returned is persis_info


@pytest.mark.parametrize("method", ["LD_MMA", "LD_LBFGS", "LN_BOBYQA", "LN_NELDERMEAD"])
def test_a_run_ends_at_the_minimum_which_is_a_point_it_asked_for(method):
    updates, sent = optimize(Simulator(with_grad=method.startswith("LD")), method=method)
    assert updates["done"] is True
    npt.assert_allclose(updates["x_opt"], OPTIMUM, atol=1e-3)
    assert any(np.array_equal(points["x"][0], updates["x_opt"]) for points in sent)


def test_points_of_a_run_are_marked_and_the_start_is_not_among_them():
    _, sent = optimize(Simulator())
    sent = np.concatenate(sent)
    assert sent["local_pt"].all() and (sent["num_active_runs"] == 1).all()
    npt.assert_allclose(sent["x_on_cube"], (sent["x"] - LB) / (UB - LB))
    assert not (sent["x"] == (1.0, 4.0)).all(axis=1).any()
    assert ((sent["x"] >= LB) & (sent["x"] <= UB)).all()


@pytest.mark.parametrize("multiple", [None, 0.25])
def test_the_first_step_follows_the_nearest_bound(multiple):
    options = {} if multiple is None else {"dist_to_bound_multiple": multiple}
    _, sent = optimize(Simulator(with_grad=False), x0=(1.5, 2), method="LN_NELDERMEAD", **options)
    npt.assert_allclose(np.abs(sent[0]["x"][0] - (1.5, 2)).max(), 0.5 * (multiple or 1))


@pytest.mark.parametrize("method", ["LD_MMA", "LN_BOBYQA"])
def test_a_run_can_start_at_a_bound(method):
    updates, _ = optimize(Simulator(), x0=(-2, 5), method=method, dist_to_bound_multiple=0.1)
    npt.assert_allclose(updates["x_opt"], OPTIMUM, atol=1e-3)


@pytest.mark.parametrize(("options", "most"), [({"localopt_maxeval": 7}, 7), ({}, 200)])
def test_a_run_that_uses_up_its_evaluations_is_done_without_an_optimum(options, most):
    updates, sent = optimize(Simulator(valley), x0=(-1.2, 1), method="LN_NELDERMEAD", xtol_rel=0, **options)
    assert updates == {"done": True} and len(sent) == most - 1  # the start counts, but is known


@pytest.mark.parametrize("most", [0, 3])
def test_a_stop_leaves_no_trace(most):
    updates, sent = optimize(Simulator(most=most))
    assert updates == {} and len(sent) == most + 1


def test_an_error_of_nlopt_leaves_no_trace_but_a_warning(caplog):
    assert optimize(Simulator(), x0=(-3, 0), dist_to_bound_multiple=0.1)[0] == {}  # not within the bounds
    assert "local run from [-3.  0.]" in caplog.text


def test_an_error_in_talking_to_the_manager_is_raised():
    def broken(points, number):
        raise KeyError("lost")

    simulator = Simulator()
    info = {"comm": ScriptedMailbox(broken), "persistent": True}
    with pytest.raises(KeyError, match="lost"):
        uniform_or_localopt(simulator.row((1, 1)), {}, specs(localopt_method="LN_BOBYQA"), info)


def test_a_method_with_gradients_says_when_it_gets_none():
    with pytest.raises(ValueError, match=r"LD_MMA needs gradients: add 'grad'"):
        optimize(Simulator(with_grad=False))


@pytest.mark.parametrize("method", ["LN_NOSUCH", "GN_DIRECT", "opt"])
def test_an_unknown_method_is_named(method):
    with pytest.raises(ValueError, match=method):
        optimize(Simulator(), method=method)


@pytest.mark.parametrize("name", ["xtol_rel", "localopt_method"])
def test_a_missing_option_is_named(name):
    options = specs(localopt_method="LN_BOBYQA")
    del options["user"][name]
    with pytest.raises(ValueError, match=name):
        uniform_or_localopt(Simulator().row((1, 1)), {}, options, {"comm": None, "persistent": True})


def test_nlopt_is_needed_by_runs_only(monkeypatch):
    real_import = builtins.__import__

    def without_nlopt(name, *args, **kwargs):
        if name == "nlopt":
            raise ImportError("No module named 'nlopt'")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_nlopt)
    persis_info = {"rand_stream": np.random.default_rng(2)}
    assert len(uniform_or_localopt(np.zeros(0), persis_info, specs(), {})[0]) == 4
    with pytest.raises(ImportError, match=r"libensemble\[generators\]"):
        optimize(Simulator())


def test_one_variable_is_enough():
    out = [("x", float), ("x_on_cube", float), *uniform_or_localopt_gen_out]
    user = {"lb": np.array([0.0]), "ub": np.array([2.0]), "gen_batch_size": 3, "xtol_rel": 1e-8}
    gen_specs = {"out": out, "user": {**user, "localopt_method": "LN_COBYLA"}}
    H_o, _ = uniform_or_localopt(np.zeros(0), {"rand_stream": np.random.default_rng(2)}, gen_specs, {})
    assert H_o["x"].shape == (3,)

    def answer(points, number):
        data = np.zeros(1, dtype=[("x", float), ("f", float)])
        data["x"], data["f"] = points["x"], math.cosh(points["x"][0] - 1.3)
        return Rows(data, [number])

    start = np.zeros(1, dtype=[("x", float), ("f", float)])
    start["x"], start["f"] = 0.5, math.cosh(0.8)
    info = {"comm": ScriptedMailbox(answer), "persistent": True}
    _, updates, _ = uniform_or_localopt(start, {}, gen_specs, info)
    npt.assert_allclose(updates["x_opt"], [1.3], atol=1e-3)
