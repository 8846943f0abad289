"""Local optimizers of PETSc/TAO and IBCDFO, and those in a script of the user's, for Octave or MATLAB.

Like those in `optimizers.py`, each is one function ``optimize(problem) -> Ending`` on the unit cube. They are apart
because few have these packages: this file is loaded when one of its methods is used.
"""

import contextlib
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np

from libensemble.errors import APOSMMException
from libensemble.gen_funcs.aposmm.optimizers import Ending, load

GRADIENT_TOLERANCE = 1e-8
FLAG_AS_GOOD_AS_CONVERGED = -6  # of IBCDFO's pounders: the model cannot be improved any more
LOOK_SECONDS = 0.002  # how often to look for the files of a script
OCTAVE = ("octave", "--no-window-system", "--eval")


def run_tao(problem):
    """Run pounders, blmvm or nm of PETSc/TAO."""
    PETSc = load("petsc4py.PETSc")
    options, name, n = problem.options, problem.options["localopt_method"], problem.n
    tao = PETSc.TAO().create(PETSc.COMM_SELF)
    tao.setType(name)
    x = _petsc_vector(PETSc, problem.x0)

    def residuals(tao, point, vector):
        vector.setArray(problem.evaluate(point.getArray()).fvec)

    def value_and_gradient(tao, point, gradient):
        values = problem.evaluate(point.getArray())
        gradient.setArray(values.grad)
        return values.f

    if name == "pounders":
        tao.setResidual(residuals, _petsc_vector(PETSc, np.zeros(int(options["components"]))))
        radius = options["dist_to_bound_multiple"] * problem.distance_to_bounds()
        PETSc.Options().setValue("tao_pounders_delta", str(radius))
    elif name == "blmvm":
        tao.setObjectiveGradient(value_and_gradient, _petsc_vector(PETSc, np.zeros(n)))
    else:
        tao.setObjective(lambda tao, point: problem.evaluate(point.getArray()).f)
    if not problem.periodic:
        tao.setVariableBounds(_petsc_vector(PETSc, np.zeros(n)), _petsc_vector(PETSc, np.ones(n)))
    tao.setTolerances(gatol=options.get("gatol", GRADIENT_TOLERANCE), grtol=options.get("grtol", GRADIENT_TOLERANCE))
    tao.setMaximumFunctionEvaluations(int(options.get("run_max_eval") or 1000 * n))
    tao.setFromOptions()
    tao.solve(x)
    reason = int(tao.getConvergedReason())
    ending = Ending(np.array(x.getArray()), reason > 0, f"TAO: converged reason {reason}")
    tao.destroy()
    return ending


def _petsc_vector(PETSc, values):
    return PETSc.Vec().createWithArray(np.array(values, dtype=float), comm=PETSc.COMM_SELF)


def run_ibcdfo_pounders(problem):
    """Run POUNDERS of IBCDFO, for least squares or, with ``hfun`` and ``combinemodels``, other outer functions."""
    ibcdfo, options = load("ibcdfo"), problem.options
    radius = 0.5 * problem.distance_to_bounds()
    outer = {name: options[name] for name in ("hfun", "combinemodels") if options.get(name) is not None}
    if len(outer) == 1:
        raise ValueError(f"ibcdfo_pounders needs both hfun and combinemodels, or none; it got {list(outer)} only")
    np.random.seed(0)
    X, _, _, flag, best = ibcdfo.run_pounders(
        lambda x: problem.evaluate(np.ravel(x)).fvec,
        problem.x0,
        problem.n,
        _most_evaluations(problem),
        GRADIENT_TOLERANCE,
        radius,
        int(options["components"]),
        *_bounds(problem),
        Options=outer or None,
    )
    if flag < 0 and flag != FLAG_AS_GOOD_AS_CONVERGED:
        raise APOSMMException(f"POUNDERS of IBCDFO ended with the flag {flag}")
    return Ending(np.ravel(X[best]), flag in (0, FLAG_AS_GOOD_AS_CONVERGED), f"IBCDFO: flag {flag}")


def run_ibcdfo_manifold_sampling(problem):
    """Run manifold sampling of IBCDFO."""
    ibcdfo = load("ibcdfo")
    hfun = problem.options.get("hfun")
    if hfun is None:
        raise ValueError("ibcdfo_manifold_sampling needs gen_specs['user']['hfun'], the outer function")
    np.random.seed(0)
    X, _, _, best, flag = ibcdfo.run_MSP(
        hfun,
        lambda x: problem.evaluate(np.ravel(x)).fvec,
        problem.x0,
        *_bounds(problem),
        _most_evaluations(problem),
        "linprog",
    )
    return Ending(np.ravel(X[best]), flag > 0, f"IBCDFO: flag {flag}")


def _most_evaluations(problem):
    return int(problem.options.get("run_max_eval") or 100 * (problem.n + 1))


def _bounds(problem):
    if problem.periodic:
        return np.full(problem.n, -np.inf), np.full(problem.n, np.inf)
    return np.zeros(problem.n), np.ones(problem.n)


def run_external(problem):
    """Run ``call_matlab_octave_script``, a script in the working directory, in Octave.

    The script writes a point to `x_file` and creates `x_done_file`; then it waits for `y_done_file`, reads the value in
    `y_file` and deletes `y_done_file`. At its end it writes its optimum to `opt_file`, and 1 or 0 (converged or not) to
    ``[opt_file '_flag']``.
    """
    files = _ExternalFiles(uuid.uuid4().hex)
    command = [*OCTAVE, files.statements(problem.x0)]
    with tempfile.TemporaryFile("w+") as printed:
        process = _launched(command, printed)
        try:
            while files.await_point(process, problem.is_stopped):
                files.answer(problem.evaluate(files.take_point()).f)
            if process.wait() != 0 or not files.flag.exists():
                printed.seek(0)
                raise APOSMMException(
                    f"{command[0]} ended with exit code {process.returncode} and no optimum: {printed.read()[-2000:]}"
                )
            return Ending(np.loadtxt(files.opt, ndmin=1).ravel(), bool(np.loadtxt(files.flag)), "the script has ended")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            files.remove()


def _launched(command, printed):
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT)
    except FileNotFoundError as error:
        raise APOSMMException(f"external_localopt runs {command[0]}, which was not found on the path") from error


class _ExternalFiles:
    """The files through which a script asks for values; paths are those of the working directory of now."""

    def __init__(self, name):
        folder = Path.cwd()
        self.x, self.y = folder / f"x_{name}.txt", folder / f"y_{name}.txt"
        self.x_done, self.y_done = folder / f"x_done_{name}.txt", folder / f"y_done_{name}.txt"
        self.opt = folder / f"opt_{name}.txt"
        self.flag = folder / f"opt_{name}.txt_flag"

    def statements(self, x0):
        """Return the variables that the script needs, and its call."""
        paths = {
            "opt_file": self.opt,
            "x_file": self.x,
            "y_file": self.y,
            "x_done_file": self.x_done,
            "y_done_file": self.y_done,
        }
        quoted = "".join(f"{name}='{path.name}';" for name, path in paths.items())
        return f"x0=[{' '.join(repr(float(value)) for value in x0)}];{quoted}call_matlab_octave_script"

    def await_point(self, process, is_stopped):
        """Wait for the script's next point; False if the script has ended."""
        while not self.x_done.exists():
            if process.poll() is not None:
                return self.x_done.exists()
            if is_stopped():
                return True  # evaluating will say so
            time.sleep(LOOK_SECONDS)
        return True

    def take_point(self):
        if not self.x_done.exists():
            return np.zeros(0)
        point = np.loadtxt(self.x, ndmin=1).ravel()
        self.x_done.unlink()
        return point

    def answer(self, value):
        self.y.write_text(f"{value:.17g}\n")
        self.y_done.touch()

    def remove(self):
        for path in vars(self).values():
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
