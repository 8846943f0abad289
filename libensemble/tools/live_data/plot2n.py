"""Plot2N: a picture of the points of a two-dimensional run, drawn anew while it goes on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.tools.live_data.live_data import LiveData
from libensemble.utils.lookup import lookup

_GRID = 100  # points per side for contours and surface
_KINDS = (("evaluated", "k.", 4), ("local_pt", "b.", 6), ("local_min", "r*", 12))


class Plot2N(LiveData):
    """Contours or surface of a function of two variables, with the points of the run.

    The picture is renewed when more than 5 local points, any minimum, or 50 evaluations have come. In a notebook it
    replaces the picture before; elsewhere the figure's window is redrawn. Needs matplotlib.

    Parameters
    ----------
    plot_type : {"2d", "3d"}, default "2d"
    func : callable, optional
        Takes an array of two numbers and returns one. Default: the six-hump camel function.
    bounds : pair of pairs of float
        Lower and upper bound of each variable.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    """

    local_points_per_picture = 5
    evaluations_per_picture = 50

    def __init__(
        self,
        plot_type: str = "2d",
        func: Callable[..., Any] | str = "libensemble.sim_funcs.six_hump_camel.six_hump_camel_func",
        bounds: tuple[tuple[float, float], tuple[float, float]] = ((-2, 2), (-1, 1.1)),
    ) -> None:
        if plot_type not in ("2d", "3d"):
            raise ValueError(f"plot_type is '2d' or '3d', not {plot_type!r}")
        self.plot_type = plot_type
        self.func = lookup(func) if isinstance(func, str) else func
        self.bounds = bounds
        self._drawn = {"evaluated": 0, "local_pt": 0, "local_min": 0}
        self._plt = _matplotlib()
        self._grid = self._evaluate_grid()
        self.figure = self._plt.figure()
        self._display: Any = None

    def _evaluate_grid(self) -> tuple[npt.NDArray[np.float64], ...]:
        x, y = np.meshgrid(*(np.linspace(low, high, _GRID) for low, high in self.bounds))
        points = np.column_stack((x.ravel(), y.ravel()))
        return x, y, np.array([float(self.func(point)) for point in points]).reshape(x.shape)

    def live_update(self, hist: Any) -> None:
        """Draw the picture anew if enough has happened since the last one."""
        rows = hist.H[: hist.index]
        new = {name: count - self._drawn[name] for name, count in _counts(rows).items()}
        if (
            new["local_min"] > 0
            or new["local_pt"] > self.local_points_per_picture
            or new["evaluated"] >= self.evaluations_per_picture
        ):
            self._draw(rows)

    def finalize(self, hist: Any) -> None:
        """Draw the last picture."""
        self._draw(hist.H[: hist.index])

    def _draw(self, rows: npt.NDArray[np.void]) -> None:
        self._drawn = _counts(rows)
        self.figure.clear()
        x, y, heights = self._grid
        if self.plot_type == "3d":
            axes = self.figure.add_subplot(projection="3d")
            axes.plot_surface(x, y, heights, cmap="viridis", alpha=0.5)
        else:
            axes = self.figure.add_subplot()
            axes.contour(x, y, heights, levels=30, linewidths=0.5)
        for name, style, size in _KINDS:
            points = rows["x"][_mask(rows, name)]
            coordinates = [points[:, 0], points[:, 1]]
            if self.plot_type == "3d":
                coordinates.append(np.array([float(self.func(point)) for point in points]))
            axes.plot(*coordinates, style, markersize=size, label=f"{name}: {len(points)}")
        axes.legend(loc="upper right")
        self._show()

    def _show(self) -> None:
        try:
            from IPython.display import display
        except ImportError:
            self.figure.canvas.draw_idle()
            self.figure.canvas.flush_events()
            return
        if self._display is None:
            self._display = display(self.figure, display_id=True)
        else:
            self._display.update(self.figure)


def _mask(rows: npt.NDArray[np.void], name: str) -> npt.NDArray[np.bool_]:
    field = "sim_ended" if name == "evaluated" else name
    return rows[field] if field in (rows.dtype.names or ()) else np.zeros(len(rows), dtype=bool)


def _counts(rows: npt.NDArray[np.void]) -> dict[str, int]:
    return {name: int(np.count_nonzero(_mask(rows, name))) for name, _, _ in _KINDS}


def _matplotlib() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Plot2N needs matplotlib: pip install libensemble[plot]") from error
    return plt
