"""How fast this checkout is: ``python -m benchmarks.throughput`` prints a table.

Everything that is compared is run in turns, on this machine, in this call; the figures to trust are the ratios.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import machine, measures, original, parts, report
from benchmarks.report import Line

SECTIONS = ("throughput", "rows", "idle", "start-up", "parts")


def stated_options(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description="How fast this checkout is.")
    parser.add_argument("--quick", action="store_true", help="fewer simulations and rounds: about a minute")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--check", action="store_true", help="end with code 1 when a target is missed or not measured")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="SECTION", help=f"some of {SECTIONS}"
    )
    parser.add_argument(
        "--original",
        type=Path,
        default=original.DEFAULT_FOLDER,
        metavar="DIR",
        help=f"environment with libensemble {original.RELEASE}; built if it is not there (default: %(default)s)",
    )
    parser.add_argument("--alone", action="store_true", help=f"leave libensemble {original.RELEASE} out")
    return parser.parse_args(arguments)


def sections(options: argparse.Namespace, python: Path | None) -> dict[str, Callable[[], Iterator[Line]]]:
    """Return the sections by name, ready to be run."""
    effort = measures.QUICK if options.quick else measures.Effort()
    return {
        "throughput": lambda: measures.throughput(effort, python),
        "rows": lambda: measures.many_rows(effort),
        "idle": lambda: measures.idle_manager(effort, python),
        "start-up": lambda: measures.start_up(effort, python),
        "parts": lambda: parts.budget(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = stated_options(arguments)
    here = machine.describe()
    python = None
    needed = {"throughput", "idle", "start-up"} & set(options.only)
    if needed and not options.alone:
        try:
            python = original.interpreter(options.original)
        except original.OriginalMissing as error:
            print(f"libensemble {original.RELEASE} is left out: {error}", file=sys.stderr)
    lines: list[Line] = []
    for name, section in sections(options, python).items():
        if name in options.only:
            lines += section()
    print(json.dumps(report.as_data(here, lines), indent=1) if options.json else report.table(here, lines))
    missed = [line for line in lines if line.verdict in ("miss", "not measured")]
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
