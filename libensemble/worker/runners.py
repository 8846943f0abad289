"""Runner: ways to call a user function or a generator object.

A runner is made once per worker and kind of function. It decides how many arguments the function takes, whether it
runs here, in a thread of its own, or as the life of a suggest/ingest generator, and what an exception in it means.
"""

import contextvars
import inspect
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.errors import WorkerException
from libensemble.message_numbers import CALC_EXCEPTION
from libensemble.worker.drivers import drive

logger = logging.getLogger(__name__)

_MOST_ARGUMENTS = 4  # H, persis_info, specs, libE_info


class Runner:
    """Calls a user function with as many arguments as it takes.

    Parameters
    ----------
    specs : dict
        `sim_specs` or `gen_specs`, as user functions see them.
    """

    def __init__(self, specs: dict[str, Any]) -> None:
        self.specs = specs
        self.f: Callable[..., Any] = specs.get("sim_f") or specs.get("gen_f")  # type: ignore[assignment]
        self._count = argument_count(self.f) if callable(self.f) else 0

    @classmethod
    def from_specs(cls, specs: dict[str, Any]) -> "Runner":
        """Return the runner that these specs ask for.

        Raises
        ------
        WorkerException
            `globus_compute_endpoint` is set: this version has no way to run functions there.
        """
        if specs.get("globus_compute_endpoint"):
            raise WorkerException(
                f"globus_compute_endpoint is {specs['globus_compute_endpoint']!r}, but this version cannot run user "
                "functions through Globus Compute; leave the option out to run them on the workers"
            )
        if specs.get("threaded"):
            return ThreadRunner(specs)
        if specs.get("generator") is not None:
            return GeneratorRunner(specs)
        return Runner(specs)

    def run(self, calc_in: npt.NDArray[np.void], Work: Mapping[str, Any]) -> Any:
        """Call the function for an order; return what it returns."""
        arguments = (calc_in, Work["persis_info"], self.specs, Work["libE_info"])
        return self.f(*arguments[: self._count])

    def shutdown(self) -> None:
        """Release what the runner holds."""


class ThreadRunner(Runner):
    """Calls the function in a new thread, and waits for it.

    The thread sees the worker's own executor and resources; an exception in it is raised here unchanged.
    """

    def __init__(self, specs: dict[str, Any]) -> None:
        super().__init__(specs)
        self._inner = GeneratorRunner(specs) if specs.get("generator") is not None else Runner(specs)

    def run(self, calc_in: npt.NDArray[np.void], Work: Mapping[str, Any]) -> Any:
        """Call the function for an order in a thread; return what it returns."""
        outcome: dict[str, Any] = {}
        context = contextvars.copy_context()

        def work() -> None:
            try:
                outcome["value"] = context.run(self._inner.run, calc_in, Work)
            except BaseException as error:
                outcome["error"] = error

        thread = threading.Thread(target=work, name="libE user function", daemon=True)
        thread.start()
        thread.join()
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]


class GeneratorRunner(Runner):
    """Lives the life of a suggest/ingest generator object.

    Raises
    ------
    ValueError
        The allocation function called it as if it were not persistent.
    """

    def run(self, calc_in: npt.NDArray[np.void], Work: Mapping[str, Any]) -> Any:
        """Run the generator until the manager says stop."""
        if not Work["libE_info"].get("persistent"):
            raise ValueError(
                "a generator object must run persistently: use an allocation function such as "
                "libensemble.alloc_funcs.start_only_persistent.only_persistent_gens"
            )
        return drive(self.specs["generator"], self.specs, calc_in, Work["persis_info"], Work["libE_info"])


class TolerantRunner(Runner):
    """Tries a simulation that raises again, and at last may record its rows as failed instead of ending the run.

    Parameters
    ----------
    inner : Runner
    retries : int
        How often a call that raises is repeated.
    records : bool
        Return NaN for rows that failed; else the last exception is raised.
    """

    def __init__(self, inner: Runner, retries: int, records: bool) -> None:
        self.specs, self._inner, self._retries, self._records = inner.specs, inner, retries, records

    @classmethod
    def around(cls, runner: Runner) -> Runner:
        """Return the runner of simulations that `on_error` and `max_retries` ask for: mostly the same one."""
        retries, records = runner.specs.get("max_retries") or 0, runner.specs.get("on_error") == "record"
        return cls(runner, retries, records) if retries or records else runner

    def run(self, calc_in: npt.NDArray[np.void], Work: Mapping[str, Any]) -> Any:
        """Call the function for an order, as often as allowed; return what it returns, or what stands for a failure."""
        if Work["libE_info"].get("persistent"):
            return self._inner.run(calc_in, Work)
        for left in range(self._retries, -1, -1):
            try:
                return self._inner.run(calc_in.copy(), Work)  # it may write into what it is given
            except Exception as error:
                if not left and not self._records:
                    raise
                _end_tasks(Work["libE_info"].get("executor"))
                rows, then = Work["libE_info"]["H_rows"].tolist(), "it is tried again" if left else "recorded as failed"
                logger.error("The simulation of rows %s raised an exception; %s", rows, then, exc_info=error)
        return failed_output(len(calc_in), self.specs["out"]), None, CALC_EXCEPTION

    def shutdown(self) -> None:
        """Release what the inner runner holds."""
        self._inner.shutdown()


def _end_tasks(executor: Any) -> None:
    if hasattr(executor, "kill_all"):
        executor.kill_all()


def failed_output(count: int, out: Sequence[Any]) -> npt.NDArray[np.void] | None:
    """Return `count` rows that say that nothing is known: NaN in float fields, None in those of objects, else zero."""
    if not out:
        return None
    output = np.zeros(count, dtype=[tuple(field) for field in out])
    for name in output.dtype.names or ():
        kind = output.dtype[name].base.kind
        if kind in "fc":
            output[name] = np.nan
        elif kind == "O":
            output[name] = None
    return output


def argument_count(function: Callable[..., Any]) -> int:
    """Return how many of (H, persis_info, specs, libE_info) a user function takes; with ``*args``, all of them."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return _MOST_ARGUMENTS  # a builtin that does not say
    kinds = inspect.Parameter
    if any(p.kind is kinds.VAR_POSITIONAL for p in parameters):
        return _MOST_ARGUMENTS
    positional = [p for p in parameters if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    return min(len(positional), _MOST_ARGUMENTS)
