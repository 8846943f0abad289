"""A simulator of one point as a dict is called once per row, with what it takes."""

import numpy as np
import pytest
from gest_api.vocs import VOCS

from libensemble.sim_funcs.gest_api_wrapper import gest_api_sim

VOCS_ = VOCS(
    variables={"a": [0, 1], "b": [0, 1]},
    objectives={"f": "MINIMIZE"},
    constraints={"c": ["LESS_THAN", 1]},
    observables=["o"],
    constants={"k": 2.5},
)
OUT = [("f", float), ("o", float), ("c", float), ("n", int)]


def run(simulator, vocs=VOCS_, user=None, fields=("a", "b")):
    H = np.zeros(2, dtype=[(name, float) for name in fields])
    H["a"], H["b"] = [1, 2], [10, 20]
    specs = {"simulator": simulator, "vocs": vocs, "user": user or {}, "out": OUT}
    return gest_api_sim(H, {"p": 1}, specs, {"workerID": 3})


@pytest.mark.parametrize("vocs", [VOCS_, VOCS_.model_dump()], ids=["object", "dict"])
def test_outputs_are_stored_and_other_keys_ignored(vocs):
    H_o, info = run(lambda point: {"f": point["a"] + point["b"], "o": point["k"], "c": 1, "other": 9}, vocs)
    assert H_o["f"].tolist() == [11, 22]
    assert H_o["o"].tolist() == [2.5, 2.5]  # a constant that the history does not hold
    assert info == {"p": 1}


def test_a_constant_in_the_history_wins_over_the_declared_one():
    H_o, _ = run(lambda point: {"f": point["k"]}, fields=("a", "b", "k"))
    assert H_o["f"].tolist() == [0, 0]


def test_missing_outputs_are_nan_in_float_fields():
    H_o, _ = run(lambda point: {"f": 1})
    assert np.isnan(H_o["c"]).all() and np.isnan(H_o["o"]).all() and (H_o["n"] == 0).all()


def test_user_entries_are_keyword_arguments():
    assert run(lambda point, scale=1: {"f": scale * point["a"]}, user={"scale": 3})[0]["f"].tolist() == [3, 6]


def test_libE_info_goes_to_those_who_take_it():
    assert run(lambda point, libE_info: {"f": libE_info["workerID"]})[0]["f"].tolist() == [3, 3]
    assert run(lambda point, **rest: {"f": rest["libE_info"]["workerID"]})[0]["f"].tolist() == [3, 3]


def test_a_type_error_inside_does_not_lead_to_a_second_call():
    calls = []

    def simulator(point):
        calls.append(point)
        raise TypeError("inside")

    with pytest.raises(TypeError, match="inside"):
        run(simulator)
    assert len(calls) == 1


def test_a_callable_object_is_a_simulator():
    class Simulator:
        def __call__(self, point, libE_info=None):
            return {"f": libE_info["workerID"]}

    assert run(Simulator())[0]["f"].tolist() == [3, 3]


def test_what_is_missing_or_wrong_is_said():
    with pytest.raises(ValueError, match="vocs"):
        run(lambda point: {}, vocs=None)
    with pytest.raises(TypeError, match=r"must return a dict .* not float: 1.0"):
        run(lambda point: 1.0)
