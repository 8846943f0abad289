"""Local runs: optimizers that wait, each in a thread or process of its own, for the values that they ask for.

    LocalOptInterfacer.iterate(row)  --- Values --->  evaluate(x) returns; the optimizer goes on
                                     <--- x --------  it asks for its next point
                                     <-- Ending ----  or it has ended

It owns the handshake, errors of a run (which come with the traceback of the run), and the set of active runs with
what their ends mean for the history. A run that is a process is started once, not for each evaluation.
"""

import contextlib
import logging

import numpy as np
import psutil

from libensemble.comms.queues import QCommProcess, QCommThread
from libensemble.errors import APOSMMException, CommFinishedException, RemoteException, Timeout
from libensemble.gen_funcs.aposmm.optimizers import METHODS, Problem, Values, needs_own_process
from libensemble.utils.lookup import lookup

logger = logging.getLogger(__name__)

SAME_START = 1e-15  # how far a point may be from the one asked for: the first one of a run, and all others
SAME_POINT = 1e-8
NEAR_OPTIMUM = 1e-8
PATIENCE = 5.0  # s; how long an optimizer may take to notice that it is to stop

_NOT_FOR_RUNS = ("sample_points", "standalone")


class ConvergedMsg:
    """A run has ended: at `x` on the cube; `opt_flag` is true if that is a minimum; `reason` says why in words."""

    def __init__(self, x, opt_flag, reason=""):
        self.x = x
        self.opt_flag = opt_flag
        self.reason = reason


class ErrorMsg:
    """A run has failed; `x` is the formatted traceback."""

    def __init__(self, x):
        self.x = x


class LocalOptInterfacer:
    """One local run, which starts when this object is made.

    Parameters
    ----------
    user_specs : dict
        Options of APOSMM; ``localopt_method`` names the optimizer.
    x0 : array of float, shape (n,)
        Where to start, on the unit cube.
    f0 : float or array of float
        The value there, or the components for a method that needs them.
    grad0 : array of float, shape (n,), optional
        The gradient there.

    Raises
    ------
    APOSMMException
        The method is unknown, the optimizer raised, or its first point is not `x0`.
    """

    def __init__(self, user_specs, x0, f0, grad0=None):
        method = user_specs.get("localopt_method")
        if method not in METHODS:
            raise APOSMMException(f"localopt_method {method!r} is unknown; there are {list(METHODS)}")
        self.x0, self.f0, self.grad0 = np.array(x0, dtype=float), f0, grad0
        self.method = method
        self._periodic = bool(user_specs.get("periodic", False))
        self._grad_scale = _grad_scale(user_specs)
        options = {name: value for name, value in user_specs.items() if name not in _NOT_FOR_RUNS}
        self._is_process = needs_own_process(method)
        background = QCommProcess if self._is_process else QCommThread
        self._comm = background(_optimize, None, options, self.x0)
        self._comm.run()
        self._asked = None
        first = self.take()
        if isinstance(first, ConvergedMsg) or not self._is_same(first[0], self.x0, SAME_START):
            self.destroy()
            asked = "nothing" if isinstance(first, ConvergedMsg) else first[0]
            raise APOSMMException(f"a run with {method} should first ask for its start {self.x0}, but asked {asked}")

    @property
    def is_running(self):
        """Whether the optimizer's thread or process is alive."""
        return self._comm.running

    def iterate(self, row):
        """Hand over what is known of the point asked for, and wait for the next one.

        Parameters
        ----------
        row : row of a structured array
            With `x_on_cube` and, as the method needs, `f`, `grad` (with respect to `x`), `fvec`.

        Returns
        -------
        array of float, shape (1, n), or ConvergedMsg
        """
        self.give(row)
        return self.take()

    def give(self, row):
        """Hand over values and return at once; `take` brings the answer."""
        if self._asked is None:
            raise APOSMMException(f"the run with {self.method} from {self.x0} has ended; it takes no more values")
        if not self._is_same(row["x_on_cube"], self._asked, SAME_POINT):
            raise APOSMMException(
                f"the run with {self.method} asked for the value at {self._asked}, but got that at {row['x_on_cube']}"
            )
        names = row.dtype.names
        grad = np.array(row["grad"]) * self._grad_scale if "grad" in names else None
        fvec = np.array(row["fvec"]) if "fvec" in names else None
        self._comm.send(Values(float(row["f"]), grad, fvec))

    def take(self):
        """Wait for the next point, of shape (1, n), or for the end."""
        self._asked = None
        try:
            (self._asked,) = self._comm.recv()
        except CommFinishedException:
            ending = self._ending()
            return ConvergedMsg(np.array(ending.x, dtype=float), ending.converged, ending.reason)
        return np.atleast_2d(self._asked)

    def _ending(self):
        try:
            return self._comm.result(PATIENCE)
        except RemoteException as error:
            raise APOSMMException(
                f"the local run with {self.method} from {self.x0} failed: {(error.exc or error.args[0]).strip()}"
            ) from None

    def _is_same(self, point, asked, tolerance):
        difference = np.asarray(point, dtype=float) - asked
        if self._periodic:
            difference = difference - np.round(difference)
        return bool(np.all(np.abs(difference) <= tolerance * (1 + np.abs(asked))))

    def close(self):
        """Wait for a run that has ended to be gone; a run that still waits for a value is stopped."""
        self.destroy()

    def destroy(self):
        """Stop the run, wherever it is, with all processes that it started."""
        if not self.is_running:
            return
        if self._is_process:
            _end_tree(self._comm)
            return
        self._comm.send(None)
        try:
            self._comm.terminate(PATIENCE)
        except Timeout:
            logger.warning("a local run with %s did not stop within %s seconds and was left", self.method, PATIENCE)


def _grad_scale(user_specs):
    """Return what turns a gradient with respect to x into one with respect to x_on_cube."""
    if user_specs.get("lb") is None or user_specs.get("ub") is None:
        return 1.0
    return np.asarray(user_specs["ub"], dtype=float) - np.asarray(user_specs["lb"], dtype=float)


def _end_tree(comm):
    """End a process and all that it started."""
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(comm.process.pid).children(recursive=True)
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.terminate()
    with contextlib.suppress(Timeout):
        comm.terminate(PATIENCE)
    if comm.running:
        comm.process.kill()
        comm.process.join(PATIENCE)


# -- In the thread or process of the run


class _Stopped(Exception):
    """Nobody wants the run to go on."""


def _optimize(comm, options, x0):
    """Run the optimizer to its end; its calls for values go through `comm`."""

    def evaluate(x):
        comm.send(np.array(x, dtype=float))  # a copy: optimizers write into their arrays
        (values,) = comm.recv()
        if values is None:
            raise _Stopped
        return values

    optimize = lookup(METHODS[options["localopt_method"]].optimize)
    try:
        return optimize(Problem(x0, evaluate, comm.mail_flag, options))
    except _Stopped:
        return None


# -- The active runs of an APOSMM


def update_history_optimal(x_opt, opt_flag, H, run_inds):
    """Enter how a run ended into the history.

    Parameters
    ----------
    x_opt : array of float, shape (n,)
        What the run reports as its best point, on the cube.
    opt_flag : bool
        Whether the run has converged.
    H : structured array
        Changed in place: `local_min` of the run's result and `num_active_runs` of all its points.
    run_inds : sequence of int
        The points of the run.

    Returns
    -------
    int
        The row of the run's result: its evaluated point nearest to `x_opt`.
    """
    rows = np.unique(np.asarray(run_inds, dtype=int))
    H["num_active_runs"][rows] -= 1
    rows = rows[H["sim_ended"][rows]]
    distance = np.linalg.norm(H["x_on_cube"][rows].reshape(len(rows), -1) - np.asarray(x_opt), axis=1)
    distance[np.isnan(distance)] = np.inf
    result = rows[np.argmin(distance)]
    if np.min(distance) > SAME_START:
        logger.info("a run ended at %s, which is %s from its nearest point", x_opt, np.min(distance))
    if opt_flag and np.isfinite(np.min(distance)) and np.isfinite(H["f"][result]):
        H["local_min"][result] = True
        better = rows[(distance <= NEAR_OPTIMUM) & (H["f"][rows] < H["f"][result])]
        if len(better):
            logger.info("rows %s are better than the result of their run and as near: also minima", better)
            H["local_min"][better] = True
    return int(result)


class Runs:
    """The local runs of one APOSMM; a context manager that leaves none behind.

    Attributes
    ----------
    run_order : dict of int to list of int
        The points of each run, start first.
    endings : dict of int to dict
        Of each run that has ended: ``converged``, ``reason``, ``sim_id`` of its result.
    active : dict of int to LocalOptInterfacer
    """

    def __init__(self, user_specs, history):
        self._user_specs, self._history = user_specs, history
        self._waiting = {}  # row -> the run that waits for its value
        self.active, self.run_order, self.endings = {}, {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Stop all runs."""
        for run in self.active.values():
            run.destroy()
        self.active.clear()

    def start(self, row):
        """Start a run at an evaluated point; return (new rows, changed rows)."""
        H = self._history.H
        H["started_run"][row] = True
        H["num_active_runs"][row] += 1
        value = H["fvec"][row] if METHODS[self._user_specs["localopt_method"]].needs == "fvec" else H["f"][row]
        number = len(self.run_order)
        self.run_order[number] = [row]
        x0, grad = H["x_on_cube"][row], H["grad"][row]
        self.active[number] = LocalOptInterfacer(self._user_specs, x0, value, grad)
        self._waiting[row] = number
        return self.advance([row])

    def advance(self, rows):
        """Hand evaluated points to the runs that wait for them; return (new rows, changed rows)."""
        H = self._history.H
        numbers = {self._waiting.pop(row): row for row in rows if row in self._waiting}
        for number, row in numbers.items():
            self.active[number].give(H[row])  # all go on at once; the answers are taken in order
        new, changed = [], []
        for number in numbers:
            answer = self.active[number].take()
            if isinstance(answer, ConvergedMsg):
                changed += self._end(number, answer)
            else:
                (row,) = self._history.add(answer, True)
                self.run_order[number].append(row)
                self._waiting[row] = number
                new.append(row)
        return new, changed

    def _end(self, number, answer):
        H = self._history.H
        x = answer.x % 1 if self._history.periodic else answer.x
        was_minimum = H["local_min"].copy()
        result = update_history_optimal(x, answer.opt_flag, H, self.run_order[number])
        self.active.pop(number).close()
        self.endings[number] = {"converged": bool(answer.opt_flag), "reason": answer.reason, "sim_id": result}
        if not answer.opt_flag:
            logger.info("local run %s ended without a minimum: %s", number, answer.reason)
        elif self._user_specs.get("print"):
            print(f"APOSMM: run {number} found an optimum at {x} (unit cube), f = {H['f'][result]}", flush=True)
        return sorted({result, *np.flatnonzero(H["local_min"] & ~was_minimum).tolist()})
