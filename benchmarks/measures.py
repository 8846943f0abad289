"""The measurements that need whole processes: throughput, many rows, an idle manager, start-up."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.report import Line, Target
from benchmarks.trials import CHECKOUT, Spread, in_turns, ratios, run_workload


@dataclass(frozen=True)
class Effort:
    """How much to run.

    Attributes
    ----------
    sims : int
        Simulations per trial of throughput.
    rounds : int
        Repetitions of every trial.
    rows : int
        The long history; the short one has 2,000 rows.
    grown : bool
        Whether also to run the long history from its first row to its last.
    sleep : float
        Seconds that the workers sleep.
    """

    sims: int = 10_000
    rounds: int = 5
    rows: int = 200_000
    grown: bool = True
    sleep: float = 5.0


QUICK = Effort(sims=3000, rounds=3, grown=False, sleep=2.0)
_FEW = 2000


def _rates(results: list[dict[str, Any]], key: str = "seconds") -> list[float]:
    return [result["sims"] / result[key] for result in results]


def _microseconds(results: list[dict[str, Any]], key: str) -> Spread:
    return Spread.of([1e6 * result[key] / result["sims"] for result in results])


def throughput(effort: Effort, original: Path | None) -> Iterator[Line]:
    """Empty simulations per second with two workers: here, the 1.6.1 release, and the neighbours."""
    for comms, factor, pools in (("local", 8, ("process-pool", "pipe")), ("threads", 5, ("thread-pool",))):
        section = f"empty simulations, comms {comms}, 2 workers, default allocation"
        options = ("--comms", comms, "--sims", effort.sims)
        trials: dict[str, Callable[[], Any]] = {"here": partial(_script, sys.executable, *options)}
        if original is not None:
            trials["1.6.1"] = partial(_script, original, *options)
        for pool in pools:
            trials[pool] = partial(run_workload, sys.executable, "neighbours", pool, "--sims", effort.sims)
        for style in ("short", "drawing"):
            trials[style] = partial(_script, sys.executable, *options, "--style", style)
        done = in_turns(trials, effort.rounds)
        yield Line(section, "here", "/s", Spread.of(_rates(done["here"])))
        yield from _against_original(section, done, factor)
        yield Line(section, "here, by the clock around libE()", "/s", Spread.of(_rates(done["here"], "wall")))
        yield Line(section, "here, sim_f(H), without persis_info", "/s", Spread.of(_rates(done["short"])))
        yield Line(
            section, "here, with a draw from the worker's random stream", "/s", Spread.of(_rates(done["drawing"]))
        )
        for pool in pools:
            yield Line(section, pool, "/s", Spread.of(_rates(done[pool])))
            yield Line(section, f"here : {pool}", "x", ratios(_rates(done["here"]), _rates(done[pool])))
        for where in ("manager", "workers"):
            cpu = _microseconds(done["here"], where)
            yield Line(section, f"CPU of the {where}, whole run, per simulation", "us", cpu)


def _script(python: str | Path, *options: object) -> dict[str, Any]:
    return run_workload(python, "empty_sim", *options)


def _against_original(section: str, done: dict[str, list[Any]], factor: float) -> Iterator[Line]:
    """Say how much faster than the release we are, by both clocks; the target is for the simulations' own times."""
    target = Target(">=", factor)
    if "1.6.1" not in done:
        yield Line(section, "here : libensemble 1.6.1", "x", None, target)
        return
    there = done["1.6.1"]
    yield Line(section, "libensemble 1.6.1", "/s", Spread.of(_rates(there)))
    yield Line(section, "here : libensemble 1.6.1", "x", ratios(_rates(done["here"]), _rates(there)), target)
    by_clock = ratios(_rates(done["here"], "wall"), _rates(there, "wall"))
    yield Line(section, "the same by the clock around libE()", "x", by_clock)


def many_rows(effort: Effort) -> Iterator[Line]:
    """Cost of a simulation when the history is long, against a short one; the same number of simulations."""
    section = f"cost per simulation, {effort.rows:,} rows : {_FEW:,} rows, comms local"
    target = Target("<=", 1.2)
    same = ("--sims", _FEW, "--repeat", 7)  # these runs are short: each trial is the median of some
    for name, option, least in (("rows that wait", "--batch", _FEW), ("rows that are done", "--finished", 0)):
        done = in_turns(
            {
                "many": partial(_script, sys.executable, *same, option, effort.rows - (_FEW - least)),
                "few": partial(_script, sys.executable, *same, option, least),
            },
            effort.rounds,
        )
        few, many = ([1e6 / rate for rate in _rates(done[key])] for key in ("few", "many"))
        yield Line(section, f"{name}: {_FEW:,}", "us", Spread.of(few))
        yield Line(section, f"{name}: {effort.rows:,}", "us", Spread.of(many))
        yield Line(section, f"{name}: ratio", "x", ratios(many, few), target)
    if effort.grown:
        yield _one_long_run(section, effort, target)


def _one_long_run(section: str, effort: Effort, target: Target) -> Line:
    """Let one run grow to all rows, 2,000 at a time, and compare its last tenth with its first."""
    options = ("--sims", effort.rows, "--batch", _FEW)
    done = in_turns({"one long run": partial(_script, sys.executable, *options)}, 2)["one long run"]
    last, first = ([result["windows"][place] for result in done] for place in (-1, 0))
    return Line(section, f"one run of {effort.rows:,}: last tenth : first tenth", "x", ratios(last, first), target)


def idle_manager(effort: Effort, original: Path | None) -> Iterator[Line]:
    """CPU that the manager uses while both workers sleep."""
    section = f"manager's CPU while two workers sleep {effort.sleep:g} s"
    rounds = 1 if effort.rounds <= QUICK.rounds else 2
    for comms in ("local", "threads"):
        options = ("sleeping_sim", "--comms", comms, "--seconds", effort.sleep)
        trials = {"here": partial(run_workload, sys.executable, *options)}
        if original is not None:
            trials["1.6.1"] = partial(run_workload, original, *options)
        done = in_turns(trials, rounds)
        for name, results in done.items():
            percent = Spread.of([100 * result["cpu"] / result["seconds"] for result in results])
            title = f"{'here' if name == 'here' else 'libensemble 1.6.1'}, comms {comms}"
            yield Line(section, title, "% core", percent, Target("<", 1.0) if name == "here" else None)


def start_up(effort: Effort, original: Path | None) -> Iterator[Line]:
    """Time to start an interpreter and import."""
    section = "start an interpreter and import"
    statements = {
        "nothing": (sys.executable, "pass"),
        "numpy and pydantic": (sys.executable, "import numpy, pydantic"),
        "libensemble": (sys.executable, "import libensemble"),
        "libensemble.libE": (sys.executable, "from libensemble.libE import libE"),
    }
    if original is not None:
        statements["libensemble 1.6.1"] = (str(original), "import libensemble")
    trials = {name: partial(_seconds_of_statement, *statement) for name, statement in statements.items()}
    done = in_turns(trials, 3 * effort.rounds)
    for name, seconds in done.items():
        yield Line(section, name, "ms", Spread.of([1000 * value for value in seconds]))
    extra = ratios(done["libensemble"], done["numpy and pydantic"])
    yield Line(section, "libensemble : numpy and pydantic", "x", extra, Target("<=", 1.2))


def _seconds_of_statement(python: str, statement: str) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if python == sys.executable:
        environment["PYTHONPATH"] = str(CHECKOUT)
    with tempfile.TemporaryDirectory(prefix="libe-bench-") as folder:
        began = time.perf_counter()
        subprocess.run([python, "-c", statement], cwd=folder, env=environment, check=True)
        return time.perf_counter() - began
