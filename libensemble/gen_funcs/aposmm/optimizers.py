"""Local optimizers, each behind one function: ``optimize(problem) -> Ending``.

It owns the names of the methods, which package each comes from, what data each needs, and how an optimizer's own
report reads as "converged" or not. All of them work on the unit cube. An optimizer asks for values by calling
``problem.evaluate(x)``, which waits until somebody has evaluated the point; whether that happens in a thread or a
process is the business of `runs.py`. Packages are imported when they are used, or at once where `rc` says so.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from libensemble.errors import APOSMMException
from libensemble.gen_funcs import rc

NLOPT_METHODS = ("LN_SBPLX", "LN_BOBYQA", "LN_COBYLA", "LN_NEWUOA", "LN_NELDERMEAD", "LD_MMA")
NLOPT_TOLERANCES = ("xtol_rel", "xtol_abs", "ftol_rel", "ftol_abs")

_HOME = "libensemble.gen_funcs.aposmm"


@dataclass(frozen=True, slots=True)
class Values:
    """What is known of one point, on the cube: `grad` is with respect to `x_on_cube`."""

    f: float
    grad: np.ndarray | None = None
    fvec: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: at which point, whether that is a minimum, and why in words."""

    x: np.ndarray
    converged: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What an optimizer is given.

    Attributes
    ----------
    x0 : array of float, shape (n,)
        Where to start; must be the first point that is evaluated.
    evaluate : callable
        ``evaluate(x) -> Values``; waits, and raises when the run is to stop.
    is_stopped : callable
        ``is_stopped() -> bool``: for optimizers that have long waits of their own.
    options : dict
        The user's options of APOSMM.
    """

    x0: np.ndarray
    evaluate: Callable
    is_stopped: Callable
    options: dict = field(default_factory=dict)

    @property
    def n(self):
        return len(self.x0)

    @property
    def periodic(self):
        return bool(self.options.get("periodic", False))

    def distance_to_bounds(self):
        """Return the distance of the start to the boundary of the cube; AssertionError if there is none."""
        distance = float(np.min(np.minimum(self.x0, 1 - self.x0)))
        assert distance > np.finfo(float).eps, (
            f"a local run with {self.options['localopt_method']} cannot start at {self.x0} on the boundary of the unit "
            "cube: set mu above 0"
        )
        return distance


@dataclass(frozen=True, slots=True)
class Method:
    """One method: the name of its function, its package, and the field that it needs besides `f`.

    `apart`: it needs a process of its own (it changes the state of its whole process, or one process cannot have two
    of it waiting at a time).
    """

    optimize: str
    package: str | None
    needs: str = "f"
    apart: bool = False


METHODS = {
    **{name: Method(f"{_HOME}.optimizers.run_nlopt", "nlopt", "f") for name in NLOPT_METHODS[:-1]},
    "LD_MMA": Method(f"{_HOME}.optimizers.run_nlopt", "nlopt", "grad"),
    "scipy_Nelder-Mead": Method(f"{_HOME}.optimizers.run_scipy", "scipy"),
    "scipy_COBYLA": Method(f"{_HOME}.optimizers.run_scipy", "scipy"),
    "scipy_BFGS": Method(f"{_HOME}.optimizers.run_scipy", "scipy", "grad"),
    "dfols": Method(f"{_HOME}.optimizers.run_dfols", "dfols", "fvec", apart=True),
    "pounders": Method(f"{_HOME}.more_optimizers.run_tao", "petsc4py", "fvec", apart=True),
    "blmvm": Method(f"{_HOME}.more_optimizers.run_tao", "petsc4py", "grad", apart=True),
    "nm": Method(f"{_HOME}.more_optimizers.run_tao", "petsc4py", apart=True),
    "ibcdfo_pounders": Method(f"{_HOME}.more_optimizers.run_ibcdfo_pounders", "ibcdfo", "fvec", apart=True),
    "ibcdfo_manifold_sampling": Method(
        f"{_HOME}.more_optimizers.run_ibcdfo_manifold_sampling", "ibcdfo", "fvec", apart=True
    ),
    "external_localopt": Method(f"{_HOME}.more_optimizers.run_external", None),
}

# What `rc.aposmm_optimizers` may name, and the module that is then imported at once.
DECLARABLE = {
    "nlopt": "nlopt",
    "scipy": "scipy.optimize",
    "dfols": "dfols",
    "petsc": "petsc4py",
    "ibcdfo": "ibcdfo",
    "ibcdfo_pounders": "ibcdfo",
    "ibcdfo_manifold_sampling": "ibcdfo",
    "external": None,
    "external_localopt": None,
}

INSTALL = {
    "nlopt": "pip install libensemble[generators]",
    "scipy": "pip install libensemble[generators]",
    "dfols": "pip install DFO-LS",
    "petsc4py": "see https://petsc.org for how to install PETSc with petsc4py",
    "ibcdfo": "pip install ibcdfo, and put minqsw of MINQ on the path",
}


def import_declared(names):
    """Import the packages that ``rc.aposmm_optimizers`` declares.

    Raises
    ------
    APOSMMException
        A name is unknown.
    ImportError
        A package is not installed.
    """
    for name in names or ():
        if name not in DECLARABLE:
            raise APOSMMException(f"rc.aposmm_optimizers may name {sorted(DECLARABLE)}; {name!r} is not among these")
        if DECLARABLE[name]:
            load(DECLARABLE[name])


def load(module):
    """Import an optional package; the error of a missing one says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise ImportError(f"{package} could not be imported ({error}); {INSTALL.get(package, '')}") from error


def needs_own_process(name):
    """Return whether a method cannot run in a thread."""
    if name != "scipy_COBYLA":
        return METHODS[name].apart
    # Older ones hold a lock from beginning to end, so that a second run would wait for the first.
    major, minor = load("scipy").__version__.split(".")[:2]
    return (int(major), int(minor)) < (1, 16)


def run_nlopt(problem):
    """Run a method of NLopt."""
    nlopt = load("nlopt")
    options = problem.options

    def objective(x, grad):
        values = problem.evaluate(x)
        if grad.size > 0:
            grad[:] = values.grad
        return float(values.f)

    optimizer = nlopt.opt(getattr(nlopt, options["localopt_method"]), problem.n)
    optimizer.set_min_objective(objective)
    if not problem.periodic:
        optimizer.set_lower_bounds(np.zeros(problem.n))
        optimizer.set_upper_bounds(np.ones(problem.n))
    optimizer.set_initial_step(options.get("dist_to_bound_multiple", 1) * problem.distance_to_bounds())
    for name in NLOPT_TOLERANCES:
        if options.get(name) is not None:
            getattr(optimizer, f"set_{name}")(options[name])
    optimizer.set_maxeval(int(options.get("run_max_eval") or 1000 * problem.n))
    x = optimizer.optimize(problem.x0)
    result = optimizer.last_optimize_result()
    names = {nlopt.FTOL_REACHED: "ftol reached", nlopt.XTOL_REACHED: "xtol reached", nlopt.MAXEVAL_REACHED: "maxeval"}
    return Ending(x, 1 <= result <= 4, f"NLopt: {names.get(result, 'result')} ({result})")


class _LimitReached(Exception):
    """The run has used its evaluations."""


def run_scipy(problem):
    """Run a method of `scipy.optimize.minimize`, inside the cube unless the domain is periodic."""
    optimize = load("scipy.optimize")
    options = problem.options
    name = options["localopt_method"].removeprefix("scipy_")
    objective = _ScipyObjective(problem, with_grad=name == "BFGS")
    keywords = dict(options.get("scipy_kwargs") or {})
    if name == "BFGS":
        keywords["jac"] = True
    elif not problem.periodic:
        keywords.setdefault("bounds", [(0.0, 1.0)] * problem.n)
    try:
        with np.errstate(all="ignore"):  # values that are inf or NaN are no surprise
            result = optimize.minimize(objective, problem.x0, method=name, **keywords)
    except _LimitReached:
        return Ending(objective.best_x, False, f"run_max_eval reached ({objective.count})")
    codes = set(options["opt_return_codes"])
    if name == "COBYLA" and result.success and codes & {0, 1}:
        codes |= {0, 1}  # success is 1 in older releases of SciPy, and 0 in newer ones
    x = result.x if problem.periodic else np.clip(result.x, 0, 1)
    return Ending(x, int(result.status) in codes, f"SciPy: {result.message} ({result.status})")


class _ScipyObjective:
    """Counts evaluations, and keeps them on the cube unless the domain is periodic.

    BFGS knows no bounds: for it, points outside are infinitely bad. COBYLA takes them for constraints that it may
    violate on its way: for it, points outside have the value of the nearest one inside.
    """

    def __init__(self, problem, with_grad):
        self.problem, self.with_grad = problem, with_grad
        self.limit = problem.options.get("run_max_eval") or np.inf
        self.count, self.best_x, self.best_f = 0, problem.x0, np.inf

    def __call__(self, x):
        x = np.array(x, dtype=float)
        if not self.problem.periodic and np.any((x < 0) | (x > 1)):
            if self.with_grad:
                return np.inf, np.zeros(len(x))
            x = np.clip(x, 0, 1)
        if self.count >= self.limit:
            raise _LimitReached
        values = self.problem.evaluate(x)
        self.count += 1
        if values.f < self.best_f:
            self.best_f, self.best_x = values.f, x
        return (values.f, values.grad) if self.with_grad else values.f


def run_dfols(problem):
    """Run DFO-LS, for least squares."""
    dfols = load("dfols")
    keywords = dict(problem.options.get("dfols_kwargs") or {})
    wrong = {"x0", "bounds", "rhobeg"} & set(keywords)
    if wrong:
        raise ValueError(f"dfols_kwargs must not contain {sorted(wrong)}: APOSMM sets these")
    np.random.seed(0)  # DFO-LS draws from NumPy's global stream
    result = dfols.solve(
        lambda x: problem.evaluate(x).fvec,
        problem.x0,
        bounds=None if problem.periodic else (np.zeros(problem.n), np.ones(problem.n)),
        rhobeg=0.5 * problem.distance_to_bounds(),
        **keywords,
    )
    return Ending(result.x, result.flag == result.EXIT_SUCCESS, f"DFO-LS: {result.msg} ({result.flag})")


import_declared(rc.aposmm_optimizers)
