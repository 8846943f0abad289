"""Local optimizers: what may be declared, which options reach them, and how their reports are read."""

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from libensemble.errors import APOSMMException
from libensemble.gen_funcs.aposmm import more_optimizers, optimizers
from libensemble.gen_funcs.aposmm.optimizers import Problem, Values

TARGET = np.array([0.3, 0.6])
X0 = np.array([0.4, 0.5])


def problem(method, x0=X0, evaluate=None, **options):
    """A problem whose values are there at once; `asked` of its options lists the points."""
    asked = []

    def at_once(x):
        asked.append(np.array(x))
        difference = asked[-1] - TARGET
        value = float(np.sum(difference**2)) if evaluate is None else evaluate(asked[-1])
        return Values(value, 2 * difference, difference)

    return Problem(x0, at_once, lambda: False, {"localopt_method": method, "asked": asked, **options})


# ---- what may be declared


@pytest.mark.parametrize("name", ["external", "external_localopt", None])
def test_nothing_is_imported_for_what_is_no_package(name):
    optimizers.import_declared(name and [name])


def test_all_documented_names_may_be_declared():
    documented = "petsc nlopt dfols scipy external external_localopt ibcdfo ibcdfo_pounders ibcdfo_manifold_sampling"
    assert set(documented.split()) <= set(optimizers.DECLARABLE)


def test_an_unknown_declaration_is_refused():
    with pytest.raises(APOSMMException, match="'snopt' is not among these"):
        optimizers.import_declared(["scipy", "snopt"])


def test_a_declared_package_that_is_missing_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "dfols", None)
    with pytest.raises(ImportError, match="pip install DFO-LS"):
        optimizers.import_declared(["dfols"])


# ---- NLopt


def with_package(name):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")


@with_package("nlopt")
def test_nlopt_gets_its_first_step_and_its_limit():
    told = problem("LN_BOBYQA", xtol_abs=1e-8, dist_to_bound_multiple=0.5)
    ending = optimizers.run_nlopt(told)
    assert ending.converged and "xtol" in ending.reason
    assert np.max(np.abs(told.options["asked"][1] - X0)) == pytest.approx(0.5 * 0.4)
    ending = optimizers.run_nlopt(problem("LN_BOBYQA", run_max_eval=7))
    assert not ending.converged and "(5)" in ending.reason


@with_package("nlopt")
def test_nlopt_stays_on_the_cube_unless_the_domain_is_periodic():
    def outwards(x):
        return -float(x[0])

    bounded = problem("LN_NELDERMEAD", evaluate=outwards, run_max_eval=60)
    optimizers.run_nlopt(bounded)
    assert max(x[0] for x in bounded.options["asked"]) <= 1
    free = problem("LN_NELDERMEAD", evaluate=outwards, run_max_eval=60, periodic=True)
    optimizers.run_nlopt(free)
    assert max(x[0] for x in free.options["asked"]) > 1


@with_package("nlopt")
def test_nlopt_does_not_start_on_the_boundary():
    with pytest.raises(AssertionError, match="set mu above 0"):
        optimizers.run_nlopt(problem("LN_BOBYQA", np.array([0.0, 0.5])))


# ---- SciPy


@with_package("scipy")
@pytest.mark.parametrize("method", ["scipy_Nelder-Mead", "scipy_COBYLA", "scipy_BFGS"])
def test_scipy_stays_on_the_cube(method):
    told = problem(method, np.array([0.9, 0.9]), opt_return_codes=[0], run_max_eval=80)
    downhill = Problem(told.x0, lambda x: (told.evaluate(x), Values(-x[0], np.array([-1.0, 0])))[1], None, told.options)
    optimizers.run_scipy(downhill)
    assert told.options["asked"]
    assert all(np.all((x >= 0) & (x <= 1)) for x in told.options["asked"])


@with_package("scipy")
def test_scipy_gets_its_keywords_and_its_limit():
    loose = problem("scipy_Nelder-Mead", opt_return_codes=[0], scipy_kwargs={"tol": 1e-2})
    tight = problem("scipy_Nelder-Mead", opt_return_codes=[0], scipy_kwargs={"tol": 1e-9})
    assert optimizers.run_scipy(loose).converged and optimizers.run_scipy(tight).converged
    assert len(loose.options["asked"]) < len(tight.options["asked"])
    limited = problem("scipy_Nelder-Mead", opt_return_codes=[0], run_max_eval=5)
    ending = optimizers.run_scipy(limited)
    assert not ending.converged and len(limited.options["asked"]) == 5
    best = min(limited.options["asked"], key=lambda x: np.sum((x - TARGET) ** 2))
    assert np.array_equal(ending.x, best)


@with_package("scipy")
@pytest.mark.parametrize("codes, converged", [([0], True), ([1], True), ([2], False), ([], False)])
def test_success_of_cobyla_is_zero_or_one(codes, converged):
    told = problem("scipy_COBYLA", opt_return_codes=codes, scipy_kwargs={"tol": 1e-3})
    assert optimizers.run_scipy(told).converged is converged


@with_package("scipy")
def test_the_users_codes_decide_for_the_others():
    told = problem("scipy_Nelder-Mead", opt_return_codes=[1], scipy_kwargs={"tol": 1e-3})
    assert not optimizers.run_scipy(told).converged


# ---- least squares, with packages that record how they were called


def fake_package(monkeypatch, name, **functions):
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(__name__=name, **functions))


def test_dfols_gets_bounds_radius_and_keywords(monkeypatch):
    calls = {}

    def solve(objective, x0, **keywords):
        calls.update(keywords, fvec=objective(x0))
        return SimpleNamespace(x=TARGET, flag=0, EXIT_SUCCESS=0, msg="fine")

    fake_package(monkeypatch, "dfols", solve=solve)
    ending = optimizers.run_dfols(problem("dfols", dfols_kwargs={"rhoend": 1e-5}))
    assert ending.converged and ending.x is TARGET
    assert calls["rhoend"] == 1e-5 and calls["rhobeg"] == 0.2
    assert [bound.tolist() for bound in calls["bounds"]] == [[0, 0], [1, 1]]
    assert calls["fvec"].tolist() == (X0 - TARGET).tolist()
    with pytest.raises(ValueError, match="rhobeg"):
        optimizers.run_dfols(problem("dfols", dfols_kwargs={"rhobeg": 1}))


@pytest.mark.parametrize("flag, converged", [(0, True), (-6, True), (3, False)])
def test_flags_of_pounders(monkeypatch, flag, converged):
    calls = []

    def run_pounders(objective, x0, n, limit, tolerance, radius, m, low, high, Options=None):
        calls.append((n, limit, tolerance, radius, m, Options))
        return np.array([objective(np.atleast_2d(x0))]), None, None, flag, 0

    fake_package(monkeypatch, "ibcdfo", run_pounders=run_pounders)
    ending = more_optimizers.run_ibcdfo_pounders(problem("ibcdfo_pounders", components=2))
    assert ending.converged is converged
    assert calls == [(2, 300, 1e-8, 0.2, 2, None)]


def test_a_failure_of_pounders_is_an_error(monkeypatch):
    fake_package(monkeypatch, "ibcdfo", run_pounders=lambda *_, **__: (None, None, None, -3, 0))
    with pytest.raises(APOSMMException, match="flag -3"):
        more_optimizers.run_ibcdfo_pounders(problem("ibcdfo_pounders", components=2))
    with pytest.raises(ValueError, match="both hfun and combinemodels"):
        more_optimizers.run_ibcdfo_pounders(problem("ibcdfo_pounders", components=2, hfun=sum))


def test_manifold_sampling_needs_its_outer_function(monkeypatch):
    def run_MSP(hfun, objective, x0, low, high, limit, subproblem):
        assert (hfun, limit, subproblem) == (max, 50, "linprog")
        objective(x0)
        return np.array([x0, TARGET]), None, None, 1, 2

    fake_package(monkeypatch, "ibcdfo", run_MSP=run_MSP)
    ending = more_optimizers.run_ibcdfo_manifold_sampling(
        problem("ibcdfo_manifold_sampling", components=2, hfun=max, run_max_eval=50)
    )
    assert ending.converged and ending.x.tolist() == TARGET.tolist()
    with pytest.raises(ValueError, match="hfun"):
        more_optimizers.run_ibcdfo_manifold_sampling(problem("ibcdfo_manifold_sampling", components=2))


def test_optimizers_that_draw_from_numpys_global_stream_have_a_process_of_their_own():
    apart = {name for name in optimizers.METHODS if name != "scipy_COBYLA" and optimizers.needs_own_process(name)}
    assert apart == {"dfols", "pounders", "blmvm", "nm", "ibcdfo_pounders", "ibcdfo_manifold_sampling"}


@pytest.mark.parametrize("version, apart", [("1.15.3", True), ("1.16.0", False), ("2.0.0", False)])
def test_cobyla_that_locks_has_a_process_of_its_own(monkeypatch, version, apart):
    fake_package(monkeypatch, "scipy", __version__=version)
    assert optimizers.needs_own_process("scipy_COBYLA") is apart
