"""Specs become plain dicts by reference, and rows become short texts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from libensemble.utils import arrays, misc
from libensemble.utils.misc import _WorkerIndexer, extract_H_ranges, ranges, specs_dump


class Model(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True, populate_by_name=True)
    inputs: list[str] = Field(default=[], alias="in")
    user: dict = {}
    anything: Any = None
    size: int = 3


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str = "n"


@dataclass
class Option:
    value: int = 1


class TestSpecsDump:
    def test_aliases_are_used_when_asked_for(self):
        model = Model(inputs=["x"])
        assert list(specs_dump(model, by_alias=True)) == ["in", "user", "anything", "size"]
        assert specs_dump(model)["inputs"] == ["x"]

    def test_no_value_is_converted(self):
        option, nested = Option(), {"deep": Option()}
        dump = specs_dump(Model(user={"option": option, "nested": nested}, anything=Extra()))
        assert dump["user"]["option"] is option
        assert dump["user"]["nested"] is nested
        assert isinstance(dump["anything"], Extra)

    def test_the_top_level_of_user_belongs_to_the_dump(self):
        model = Model(user={"a": 1}, inputs=["x"])
        dump = specs_dump(model)
        dump["user"]["b"] = 2
        dump["inputs"].append("y")
        assert model.user == {"a": 1} and model.inputs == ["x"]

    def test_none_unset_and_defaults_can_be_left_out(self):
        model = Model(size=3, user={"array": np.zeros(2)})
        assert "anything" not in specs_dump(model, exclude_none=True)
        assert set(specs_dump(model, exclude_unset=True)) == {"size", "user"}
        assert set(specs_dump(model, exclude_defaults=True)) == {"user"}

    def test_an_array_that_equals_its_default_is_left_out(self):
        class Bounds(BaseModel):
            model_config = ConfigDict(arbitrary_types_allowed=True)
            low: np.ndarray = np.zeros(2)

        assert specs_dump(Bounds(low=np.zeros(2)), exclude_defaults=True) == {}
        assert "low" in specs_dump(Bounds(low=np.ones(2)), exclude_defaults=True)

    def test_extra_fields_are_kept(self):
        assert specs_dump(Extra(more=1)) == {"name": "n", "more": 1}

    def test_a_dict_is_copied(self):
        given = {"a": None, "b": [1]}
        dump = specs_dump(given, exclude_none=True)
        assert dump == {"b": [1]} and dump["b"] is not given["b"]

    def test_anything_else_is_named(self):
        with pytest.raises(TypeError, match="not int: 3"):
            specs_dump(3)


@pytest.mark.parametrize(
    ("rows", "text"),
    [([], ""), ([7], "7"), ([0, 1, 2, 5, 7, 8], "0-2_5_7-8"), ([3, 4], "3-4"), ([4, 3], "4_3"), ([1, 1], "1_1")],
)
def test_rows_are_written_as_runs(rows, text):
    assert ranges(rows) == text
    assert extract_H_ranges({"libE_info": {"H_rows": np.array(rows, dtype=int)}}) == text


def test_an_empty_float_array_of_rows_is_no_rows():
    assert extract_H_ranges({"libE_info": {"H_rows": np.array([])}}) == ""


@given(st.lists(st.integers(0, 300), min_size=1, max_size=200))
def test_runs_can_be_read_back(rows):
    read = []
    for run in ranges(rows).split("_"):
        first, _, last = run.partition("-")
        read.extend(range(int(first), int(last or first) + 1))
    assert read == rows
    assert ranges(np.array(rows)) == ranges(rows)


class TestWorkerIndexer:
    table = np.array([(1, 0), (2, 5), (3, 0)], dtype=[("worker_id", int), ("active", int)])

    def test_workers_are_counted_from_one(self):
        workers = _WorkerIndexer(self.table.copy())
        assert workers[2]["active"] == 5
        assert workers[np.int64(3)]["worker_id"] == 3
        workers[1]["active"] = 9
        assert workers["active"].tolist() == [9, 5, 0]
        assert len(workers) == 3 and [row["worker_id"] for row in workers] == [1, 2, 3]

    def test_an_additional_worker_is_number_zero(self):
        assert _WorkerIndexer(self.table, additional_worker=True)[0]["worker_id"] == 1

    def test_there_is_no_worker_zero_otherwise(self):
        with pytest.raises(IndexError, match="no worker 0"):
            _WorkerIndexer(self.table)[0]


def test_known_names_are_shown_here():
    assert misc.list_dicts_to_np is arrays.list_dicts_to_np
    assert misc.np_to_list_dicts is arrays.np_to_list_dicts
    assert misc.map_numpy_array is arrays.map_numpy_array
    assert misc.unmap_numpy_array is arrays.unmap_numpy_array
    assert (misc.pydanticV1, misc.pydanticV2) == (False, True)
