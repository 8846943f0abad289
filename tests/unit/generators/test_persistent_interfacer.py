"""A classic persistent gen_f can be asked from outside, and its errors reach whoever asks."""

import os

import numpy as np
import numpy.testing as npt
import pytest
from gest_api.vocs import VOCS

from libensemble.errors import RemoteException
from libensemble.generators import PersistentGenInterfacer
from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport

VOCS_ = VOCS(variables={"a": [0, 1], "b": [0, 1]}, objectives={"energy": "MINIMIZE"})
OUT = [("x", float, (2,)), ("sim_id", int)]


def counting_gen_f(H, persis_info, gen_specs, libE_info):
    """Send batches of two points; keep what came back; end with all of it."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    kept, tag, count = [], None, 0
    while tag not in (STOP_TAG, PERSIS_STOP):
        points = np.zeros(2, dtype=gen_specs["out"])
        points["sim_id"] = [count, count + 1]
        points["x"][:, 0] = points["sim_id"]
        count += 2
        tag, Work, calc_in = support.send_recv(points)
        if calc_in is not None:
            kept.append(calc_in)
            persis_info["rows"] = Work["libE_info"]["H_rows"].tolist()
            persis_info["fields"] = list(calc_in.dtype.names)
    persis_info["has_executor"] = "executor" in libE_info
    H_o = np.concatenate(kept) if kept else np.zeros(0, dtype=gen_specs["out"])
    return H_o, persis_info, FINISHED_PERSISTENT_GEN_TAG


def failing_gen_f(H, persis_info, gen_specs, libE_info):
    raise ZeroDivisionError("no points today")


def dying_gen_f(H, persis_info, gen_specs, libE_info):
    os._exit(3)


def short_gen_f(H, persis_info, gen_specs, libE_info):
    PersistentSupport(libE_info, EVAL_GEN_TAG).send(np.zeros(1, dtype=gen_specs["out"]))
    return H, persis_info, FINISHED_PERSISTENT_GEN_TAG


def needy_gen_f(H, persis_info):
    persis_info["history"] = len(H)
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


class InThread(PersistentGenInterfacer):
    threaded = True
    returns_id = True


class InProcess(PersistentGenInterfacer):
    returns_id = True


@pytest.fixture(params=[InThread, InProcess])
def make(request):
    made = []

    def make(gen_f, **options):
        specs = {"gen_f": gen_f, "out": OUT, "persis_in": ["sim_id", "x", "f"]}
        made.append(request.param(VOCS_, gen_specs=specs, **options))
        return made[-1]

    yield make
    for generator in made:
        generator.terminate()


def test_points_and_results_go_both_ways(make):
    generator = make(counting_gen_f)
    points = generator.suggest()
    assert points == [{"a": 0.0, "b": 0.0, "_id": 0}, {"a": 1.0, "b": 0.0, "_id": 1}]
    generator.ingest([{**point, "energy": 7.0, "other": 1} for point in points])
    assert [point["_id"] for point in generator.suggest()] == [2, 3]
    generator.finalize()
    H, persis_info, tag = generator.export()
    assert tag == FINISHED_PERSISTENT_GEN_TAG
    assert set(persis_info["fields"]) == {"sim_id", "x", "f", "sim_ended"}
    assert persis_info["rows"] == [0, 1]
    assert H["sim_ended"].all() and H["f"].tolist() == [7.0, 7.0]


def test_the_history_is_exported_in_every_form(make):
    generator = make(counting_gen_f)
    assert generator.export() == (None, None, None)
    generator.ingest([{**point, "energy": 7.0} for point in generator.suggest()])
    generator.suggest()
    generator.finalize()
    assert set(generator.export(vocs_field_names=True)[0].dtype.names) == {"_id", "a", "b", "energy", "sim_ended"}
    assert generator.export(vocs_field_names=True, as_dicts=True)[0][1]["_id"] == 1
    npt.assert_array_equal(generator.export(as_dicts=True)[0][1]["x"], [1, 0])


def test_finalize_may_be_called_again_and_after_a_stop(make):
    generator = make(counting_gen_f)
    rows = np.zeros(1, dtype=[("sim_id", int), ("x", float, (2,)), ("f", float)])
    generator.suggest_numpy()
    generator.ingest_numpy(rows, PERSIS_STOP)
    first = generator.finalize()
    assert generator.finalize() is first
    assert len(generator.export()[0]) == 1


def test_finalize_takes_points_that_nobody_asked_for(make):
    generator = make(counting_gen_f)
    generator.ingest_numpy(None)  # an answer without rows: the next batch comes
    generator.finalize()
    assert generator.gen_result is not None


def test_what_was_never_started_cannot_be_finalized(make):
    with pytest.raises(RuntimeError, match="never started"):
        make(counting_gen_f).finalize()


def test_it_is_set_up_once(make):
    generator = make(counting_gen_f)
    generator.setup()
    with pytest.raises(RuntimeError, match="already"):
        generator.setup()


def test_an_error_in_gen_f_has_type_text_and_traceback(make):
    with pytest.raises(RemoteException, match="ZeroDivisionError: no points today") as caught:
        make(failing_gen_f).suggest()
    assert "failing_gen_f" in caught.value.exc


def test_a_dead_process_is_noticed():
    generator = InProcess(VOCS_, gen_specs={"gen_f": dying_gen_f, "out": OUT})
    with pytest.raises(RemoteException, match="exit code 3"):
        generator.suggest()


def test_a_gen_f_that_has_ended_suggests_nothing_more(make):
    generator = make(short_gen_f)
    assert len(generator.suggest()) == 1
    assert generator.suggest() == []
    assert generator.next_message() is None
    assert generator.finalize()[2] == FINISHED_PERSISTENT_GEN_TAG


def test_gen_f_gets_as_many_arguments_as_it_takes(make):
    generator = make(needy_gen_f, History=np.zeros(3))
    assert generator.suggest() == []
    assert generator.export()[1]["history"] == 3


def test_results_without_ids_are_refused_once_points_were_made(make):
    generator = make(counting_gen_f)
    generator.suggest()
    with pytest.raises(ValueError, match="sim_id"):
        generator.ingest([{"a": 1.0, "b": 0.0, "energy": 2.0}])


def test_results_from_before_are_numbered_from_zero(make):
    generator = make(counting_gen_f)
    generator.ingest([{"a": 1.0, "b": 0.0, "energy": 2.0}] * 3)
    generator.suggest()
    generator.suggest()
    generator.finalize()
    assert generator.export()[1]["rows"] == [0, 1, 2]


def test_an_executor_goes_along_without_its_comm():
    class Executor:
        comm = object()

    executor = Executor()
    generator = InThread(VOCS_, gen_specs={"gen_f": counting_gen_f, "out": OUT}, libE_info={"executor": executor})
    generator.setup()
    assert generator.libE_info["executor"] is not executor
    assert generator.libE_info["executor"].comm is None
    assert executor.comm is not None


def test_a_missing_gen_f_is_named():
    with pytest.raises(ValueError, match="gen_f"):
        PersistentGenInterfacer(VOCS_, gen_specs={})
