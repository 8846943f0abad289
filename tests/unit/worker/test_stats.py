"""Rules of a line in libE_stats.txt: parts, order, widths, and what it may cost."""

import time
import timeit

import pytest

from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG, WORKER_DONE, calc_status_strings
from libensemble.worker.stats import stats_text

START = time.mktime((2026, 1, 5, 10, 0, 0, 0, 0, -1)) + 0.1
END = START + 3.25
TIMES = "Time: 3.250 Start: 2026-01-05 10:00:00.100 End: 2026-01-05 10:00:03.350"


class Timer:
    def __str__(self):
        return "3.001 Tstart: a Tend: b"

    def summary(self):
        return "3.001"


class Task:
    timer = Timer()


def line(rows=(14,), calc_type=EVAL_SIM_TAG, status=WORKER_DONE, **optional):
    return stats_text(calc_type, rows, 7, START, END, status, **optional)


def test_simulation():
    assert line() == f"sim_id    14: sim {TIMES} Status: Completed"


def test_generator():
    assert line(calc_type=EVAL_GEN_TAG) == f"Gen no     7: gen {TIMES} Status: Completed"


@pytest.mark.parametrize(
    ("rows", "shown"), [([], "     "), ([3], "    3"), ([0, 1, 2, 5, 7, 8], "0-2_5_7-8"), ([123456], "123456")]
)
def test_rows_are_shown_as_ranges_right_aligned(rows, shown):
    assert line(rows).startswith(f"sim_id {shown}: sim Time:")


@pytest.mark.parametrize("status", list(calc_status_strings))
def test_known_statuses_have_a_text(status):
    assert line(status=status).endswith(f" Status: {calc_status_strings[status]}")


@pytest.mark.parametrize(
    ("status", "shown"), [("Two of three", "Two of three"), ("a\nb", "a b"), (99, "99"), ([1], "[1]")]
)
def test_other_statuses_are_shown_as_they_are_in_one_line(status, shown):
    assert line(status=status).endswith(f" Status: {shown}")


def test_all_parts_in_order():
    text = line(tasks=[Task(), Task()], rset_team=[1, 2], stats_fmt={"task_timing": True, "show_resource_sets": True})
    assert text == f"sim_id    14: sim {TIMES} Task 0: 3.001 Task 1: 3.001 rsets: [1, 2] Status: Completed"


def test_dates_of_tasks():
    text = line(tasks=[Task()], stats_fmt={"task_datetime": True})
    assert " Task 0: 3.001 Tstart: a Tend: b Status:" in text


def test_resource_sets_are_plain_numbers():
    np = pytest.importorskip("numpy")
    assert " rsets: [0, 3] " in line(rset_team=np.array([0, 3]), stats_fmt={"show_resource_sets": True})


@pytest.mark.parametrize("missing", [{"tasks": None, "rset_team": None}, {"tasks": []}, {}])
def test_parts_without_facts_are_left_out(missing):
    stats_fmt = {"task_timing": True, "task_datetime": True, "show_resource_sets": True}
    assert line(stats_fmt=stats_fmt, **missing) == line()


def test_worker_without_resources_of_its_own_shows_so():
    assert " rsets: [] " in line(rset_team=[], stats_fmt={"show_resource_sets": True})


def test_a_line_costs_less_than_five_hundred_dict_stores():
    """It is made once per call of a user function. As a ratio, since machines differ; some 2 microseconds."""
    count = 2000
    cost = min(timeit.repeat(line, number=count, repeat=7))
    ten_stores = "d[1]=d[2]=d[3]=d[4]=d[5]=d[6]=d[7]=d[8]=d[9]=d[10] = 1.0"
    assert cost < min(timeit.repeat(ten_stores, "d = {}", number=count * 50, repeat=7))
