"""Residuals of NIST's model for the data set Chwirut1, and that data set with its certified values."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

DATA_FILE = Path(__file__).parents[1] / "data" / "NIST_StRD_Chwirut1.dat"


@dataclass(frozen=True)
class NISTData:
    """Measurements, and what NIST certifies about their fit."""

    distance: np.ndarray
    response: np.ndarray
    parameters: np.ndarray
    deviations: np.ndarray
    sum_of_squares: float


@cache
def nist_data(path=DATA_FILE):
    """Read the file once per process."""
    text = Path(path).read_text()
    # "  b1 =   0.1   0.15   1.9027818370E-01  2.1938557035E-02": two starts, the certified value, its deviation
    rows = [line.split("=")[1].split() for line in re.findall(r"^ *b\d *=.*$", text, flags=re.MULTILINE)]
    certified = np.array(rows, dtype=float)
    ssq = re.search(r"Residual Sum of Squares: *(\S+)", text)[1]
    response, distance = np.array(text.split("Data:  y            x")[1].split(), dtype=float).reshape(-1, 2).T
    return NISTData(distance, response, certified[:, 2], certified[:, 3], float(ssq))


def model(b, distance):
    """Ultrasonic response at `distance` for the parameters b1, b2, b3."""
    return np.exp(-b[0] * distance) / (b[1] + b[2] * distance)


def chwirut_residuals(H, persis_info, sim_specs):
    """Evaluate each row's parameters `x`: the 214 `residuals`, and `f`, the sum of their squares."""
    data = nist_data()
    out = np.zeros(len(H), dtype=sim_specs["out"])
    for row, b in zip(out, H["x"]):
        row["residuals"] = data.response - model(b, data.distance)
        row["f"] = row["residuals"] @ row["residuals"]
    return out, persis_info
