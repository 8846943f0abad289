"""Rules of live data objects: what must be given, and when Plot2N draws anew."""

from types import SimpleNamespace

import numpy as np
import pytest

from libensemble.tools.live_data.live_data import LiveData


def test_live_update_must_be_written_and_finalize_may():
    class Watcher(LiveData):
        def live_update(self, hist):
            self.seen = hist

    with pytest.raises(TypeError):
        LiveData()
    watcher = Watcher()
    watcher.live_update("history")
    watcher.finalize("history")
    assert watcher.seen == "history"


@pytest.fixture
def plot(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from libensemble.tools.live_data import plot2n

    monkeypatch.setattr(plot2n, "_GRID", 5)

    def make(plot_type="2d"):
        drawn = []
        plot = plot2n.Plot2N(plot_type, func=lambda x: x[0] ** 2 + x[1])
        monkeypatch.setattr(plot, "_show", lambda: drawn.append(len(plot.figure.axes[0].lines)))
        plot.drawn = drawn
        return plot

    yield make
    import matplotlib.pyplot as plt

    plt.close("all")


FIELDS = [("x", float, 2), ("sim_ended", bool), ("local_pt", bool), ("local_min", bool)]


def history(rows=100, fields=FIELDS):
    return SimpleNamespace(H=np.zeros(rows + 20, dtype=fields), index=rows)


@pytest.mark.parametrize(("field", "few", "enough"), [("local_min", 0, 1), ("local_pt", 5, 6), ("sim_ended", 49, 50)])
def test_a_new_picture_needs_something_new(plot, field, few, enough):
    picture, hist = plot(), history()
    for count, pictures in ((few, 0), (enough, 1), (enough, 1), (enough + few, 1), (2 * enough, 2)):
        hist.H[field][:count] = True
        picture.live_update(hist)
        assert len(picture.drawn) == pictures


@pytest.mark.parametrize("plot_type", ["2d", "3d"])
def test_the_end_is_always_drawn(plot, plot_type):
    picture = plot(plot_type)
    picture.finalize(history())
    assert picture.drawn == [3]  # evaluated points, local points, minima


def test_rows_beyond_the_index_and_missing_fields_do_not_count(plot):
    picture, hist = plot(), history(rows=10, fields=FIELDS[:2])
    hist.H["sim_ended"] = True
    hist.H["sim_ended"][:10] = False
    for _ in range(2):
        picture.live_update(hist)
    assert picture.drawn == []


def test_unknown_plot_types_are_refused():
    from libensemble.tools.live_data.plot2n import Plot2N

    with pytest.raises(ValueError, match="'4d'"):
        Plot2N("4d")


def test_showing_works_without_a_notebook(plot, monkeypatch):
    from libensemble.tools.live_data.plot2n import Plot2N

    picture = Plot2N(func=lambda x: x[0])
    picture.finalize(history())
    assert len(picture.figure.axes) == 1


def test_the_default_function_is_found_by_its_name(plot):
    from libensemble.tools.live_data.plot2n import Plot2N

    assert Plot2N().func.__name__ == "six_hump_camel_func"
