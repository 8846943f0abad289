"""What was reached: lines with figures and targets, as a table or as JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.trials import Spread


@dataclass(frozen=True)
class Target:
    """A bound that a figure should keep: ``sign`` is ">=", "<=" or "<"."""

    sign: str
    bound: float

    def holds(self, figure: float) -> bool:
        """Return whether `figure` keeps the bound."""
        return {">=": figure >= self.bound, "<=": figure <= self.bound, "<": figure < self.bound}[self.sign]


@dataclass(frozen=True)
class Line:
    """One figure, with its target if it has one."""

    section: str
    name: str
    unit: str
    figure: Spread | None  # None: could not be measured
    target: Target | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Return "pass", "miss", "not measured", or nothing where there is no target."""
        if self.figure is None:
            return "not measured"
        if self.target is None:
            return ""
        return "pass" if self.target.holds(self.figure.median) else "miss"


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def table(machine: Mapping[str, Any], lines: Iterable[Line]) -> str:
    """Return the figures for people: one section under another, targets beside what was reached."""
    text = [
        "{cpu}, {cores} cores, {system}; load {load_before}; {date}".format(**machine),
        "Python {python}, numpy {numpy}, pydantic {pydantic}".format(**machine),
        "Medians, with the lowest and the highest; ratios are taken within a round.",
    ]
    section = ""
    for line in lines:
        if line.section != section:
            section = line.section
            text += ["", f"{section:<58}{'median':>9}  {'low - high':<19} {'':<8}{'target':<9}", "-" * 111]
        median, span = "-", ""
        if line.figure is not None:
            median = _number(line.figure.median)
            if line.figure.low != line.figure.high:
                span = f"{_number(line.figure.low)} - {_number(line.figure.high)}"
        goal = f"{line.target.sign} {line.target.bound:g}" if line.target else ""
        row = f"  {line.name:<56}{median:>9}  {span:<19} {line.unit:<8}{goal:<9}{line.verdict}"
        text.append(row.rstrip() + (f"\n      {line.note}" if line.note else ""))
    return "\n".join(text)


def as_data(machine: Mapping[str, Any], lines: Iterable[Line]) -> dict[str, Any]:
    """Return the same for machines: plain dicts and lists."""
    return {"machine": dict(machine), "lines": [{**asdict(line), "verdict": line.verdict} for line in lines]}
