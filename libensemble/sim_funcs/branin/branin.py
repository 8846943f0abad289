"""The Branin function; as a program it reads two numbers from ``x.in`` and writes the value to ``f.out``."""

import math
from pathlib import Path


def branin(x1, x2):
    """Return (x2 - 5.1 x1^2 / (4 pi^2) + 5 x1 / pi - 6)^2 + 10 (1 - 1 / (8 pi)) cos x1 + 10."""
    valley = x2 - 5.1 * x1**2 / (4 * math.pi**2) + 5 * x1 / math.pi - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x1) + 10


if __name__ == "__main__":
    x1, x2 = (float(number) for number in Path("x.in").read_text().split()[:2])
    Path("f.out").write_text(f"{branin(x1, x2)!r}\n")
