"""Trials: workloads run as processes, in turns, and what their repeated figures come to."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
WORKLOADS = CHECKOUT / "benchmarks" / "workloads"


class WorkloadFailed(Exception):
    """A workload ended with an error, or printed no figures."""


@dataclass(frozen=True)
class Spread:
    """The median of some figures, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        """Return the spread of a non-empty sequence."""
        return cls(statistics.median(figures), min(figures), max(figures))


def run_workload(python: str | Path, workload: str, *options: object, timeout: float = 300) -> dict[str, Any]:
    """Run a script of `workloads/` in an empty folder and return the JSON object it printed last.

    Parameters
    ----------
    python : str or Path
        The interpreter. This process's own one finds libEnsemble in this checkout; any other finds its own.
    workload : str
        The script's name without ``.py``.
    *options
        Its command line.
    timeout : float
        Seconds after which it is given up.

    Raises
    ------
    WorkloadFailed
        With the last lines of its error output.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if str(python) == sys.executable:
        environment["PYTHONPATH"] = str(CHECKOUT)
    command = [str(python), str(WORKLOADS / f"{workload}.py"), *map(str, options)]
    with tempfile.TemporaryDirectory(prefix="libe-bench-") as folder:
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise WorkloadFailed(f"{' '.join(command)} took more than {timeout} s") from error
    if done.returncode:
        raise WorkloadFailed(f"{' '.join(command)} ended with code {done.returncode}:\n{done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def in_turns(trials: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[Any]]:
    """Run all trials once, then all again, `rounds` times (A B A B ...), and return the results of each by name.

    What disturbs the machine for a while disturbs all of them, so figures of one round may be divided by each other.
    """
    results: dict[str, list[Any]] = {name: [] for name in trials}
    for turn in range(rounds):
        for name, trial in trials.items():
            _show(f"  round {turn + 1}/{rounds}: {name}")
            results[name].append(trial())
    _show("")
    return results


def _show(progress: str) -> None:
    """Show on a terminal where we are, on one line; elsewhere, nothing."""
    if sys.stderr.isatty():
        print(f"\r\033[K{progress}", end="", file=sys.stderr, flush=True)


def ratios(upper: Sequence[float], lower: Sequence[float]) -> Spread:
    """Return the spread of upper/lower, taken round by round."""
    return Spread.of([above / below for above, below in zip(upper, lower)])
