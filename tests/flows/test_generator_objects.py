"""Generator objects and simulators of dicts in whole runs: what they are asked, what they are told, what H holds."""

import multiprocessing

import numpy as np
import numpy.testing as npt
import pytest
from gest_api.vocs import VOCS

from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.ensemble import Ensemble
from libensemble.errors import LoggedException
from libensemble.gen_classes import UniformSample
from libensemble.gen_classes.external import sampling as external_sampling
from libensemble.libE import libE
from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs
from tests.fakes import generator_objects as objects
from tests.fakes.generator_objects import LINE, MIXED, WITH_CONSTANTS

FIRST_UNIFORM = (-0.9527135011989731, 4.851391088977806)  # of domains [-3, 1] x [2, 5], seed 1


@pytest.fixture(params=[True, False], ids=["on_manager", "on_worker"])
def on_manager(request):
    """Whether the generator runs in the calling process or on a worker."""
    return request.param


def run(comms, generator, vocs=LINE, *, simulator=objects.double_a, nworkers=3, on_manager=True, **stated):
    """Run a generator object; return (H, persis_info, flag).

    Parameters
    ----------
    **stated
        ``sim_max`` or ``exit_criteria``; ``gen``, ``sim``, ``alloc``, ``persis_info``, ``H0``; others are libE_specs.
    """
    sim_max = stated.pop("sim_max", 12)
    gen = {"generator": generator, "vocs": vocs, **stated.pop("gen", {})}
    sim = {"simulator": simulator, "vocs": vocs, **stated.pop("sim", {})}
    return libE(
        SimSpecs(**sim),
        GenSpecs(**gen),
        stated.pop("exit_criteria", {"sim_max": sim_max}),
        stated.pop("persis_info", {}),
        AllocSpecs(**stated.pop("alloc", {})),
        H0=stated.pop("H0", None),
        libE_specs=LibeSpecs(comms=comms, nworkers=nworkers, gen_on_manager=on_manager, **stated),
    )


def evaluated_rows(count=4, **columns):
    """Return a starting history: ``a = -1, -2, ...`` and ``f = 2 a``."""
    H0 = np.zeros(count, dtype=[("a", float), ("b", float), ("f", float)])
    H0["a"] = -np.arange(1, count + 1)
    H0["f"] = 2 * H0["a"]
    return H0


# ---- points and results


def test_points_are_evaluated_and_results_are_told(comms, on_manager):
    H, persis_info, flag = run(comms, objects.Counting(), on_manager=on_manager)
    assert flag == 0 and len(H) >= 12
    done = H[H["sim_ended"]]
    assert (done["f"] == 2 * done["a"]).all() and (done["b"] == 0.5).all()
    assert done["a"].tolist() == list(range(len(done)))  # rows come in the order of the suggestions
    assert set(H["gen_worker"]) == {0 if on_manager else 1}
    assert H["gen_informed"][:12].all()


def test_on_the_manager_it_is_the_very_object_of_the_caller(comms):
    generator = objects.Counting()
    H, _, _ = run(comms, generator)
    assert generator.ended == 1
    assert sorted(one["a"] for one in generator.results) == H["a"][H["gen_informed"]].tolist()
    assert all(one["f"] == 2 * one["a"] for one in generator.results)
    assert {type(value) for one in generator.results for value in one.values()} == {float}
    assert {tuple(one) for one in generator.results} == {("a", "b", "f")}  # neither ids nor reserved fields


def test_in_a_worker_process_it_is_a_copy():
    generator = objects.Counting()
    run("local", generator, on_manager=False)
    assert (generator.asked, generator.told, generator.ended) == ([], [], 0)


@pytest.mark.parametrize(
    ("gen", "first", "later"),
    [
        ({}, 3, 3),
        ({"batch_size": 2}, 2, 2),
        ({"initial_batch_size": 5}, 5, 5),
        ({"initial_batch_size": 5, "batch_size": 2}, 5, 2),
    ],
)
def test_how_many_points_it_is_asked_for(comms, gen, first, later):
    generator = objects.Counting()
    run(comms, generator, gen=gen, sim_max=first + 3 * later)
    assert generator.asked[:4] == [first, later, later, later]
    assert [len(results) for results in generator.told][:4] == [first, later, later, later]


@pytest.mark.parametrize("options", [{}, {"gen_workers": [2]}, {"gen_workers": [1, 3]}])
def test_without_a_size_there_is_a_point_for_each_idle_worker_that_may_simulate(comms, options):
    H, _, _ = run(comms, objects.Counting(), nworkers=4, on_manager=False, sim_max=4, **options)
    first_batch = H["gen_ended_time"] == H["gen_ended_time"][0]
    assert first_batch.sum() == 4 - len(options.get("gen_workers", [1]))
    assert set(H["gen_worker"]) == {options.get("gen_workers", [1])[0]}


def test_results_come_in_whole_batches_unless_asked_otherwise(comms):
    generator = objects.Counting()
    run(comms, generator, gen={"initial_batch_size": 6, "batch_size": 6}, sim_max=18)
    assert [len(results) for results in generator.told] == [6, 6, 6]


def test_async_return_tells_results_as_they_come(comms):
    generator = objects.Counting()
    alloc = {"user": {"async_return": True}}
    H, _, flag = run(comms, generator, alloc=alloc, gen={"initial_batch_size": 6}, sim_max=18)
    assert flag == 0
    sizes = [len(results) for results in generator.told]
    assert sum(sizes) >= 18 and min(sizes) < 6
    assert generator.asked[1:] == sizes[: len(generator.asked) - 1]  # one new point for each result
    assert sorted(one["a"] for one in generator.results) == H["a"][H["sim_ended"]].tolist()


def test_a_generator_may_leave_the_number_of_points_to_itself(comms):
    generator = objects.NoSize()
    run(comms, generator, gen={"batch_size": 4}, sim_max=8)
    assert generator.asked[:2] == [4, 4]


def test_persis_info_is_neither_given_to_it_nor_changed(comms, on_manager):
    mine = {0: {"a": 1}, 1: {"b": 2}, "other": 3}
    _, persis_info, _ = run(comms, objects.Counting(), on_manager=on_manager, persis_info=mine)
    assert mine == {0: {"a": 1}, 1: {"b": 2}, "other": 3}
    assert {key: persis_info[key] for key in mine} == mine


def test_two_runs_with_one_persis_info(comms, on_manager):
    persis_info = {}
    for _ in range(2):
        H, persis_info, flag = run(comms, objects.Counting(), on_manager=on_manager, persis_info=persis_info)
        assert flag == 0 and H["sim_ended"].sum() >= 12
        assert persis_info["num_gens_started"] == 0


def test_an_ensemble_may_run_again_with_the_same_generator(comms):
    generator = objects.Counting()
    ensemble = Ensemble(
        libE_specs=LibeSpecs(comms=comms, nworkers=2, gen_on_manager=True),
        gen_specs=GenSpecs(generator=generator, vocs=LINE, batch_size=4),
        sim_specs=SimSpecs(simulator=objects.double_a, vocs=LINE),
        exit_criteria=ExitCriteria(sim_max=8),
    )
    H, _, flag = ensemble.run()
    assert flag == 0 and H["a"][:8].tolist() == list(range(8))
    assert ensemble.gen_specs.generator is generator
    H, _, flag = ensemble.run()
    assert flag == 0 and H["a"][:8].tolist() == list(range(generator.count - len(H), generator.count))[:8]
    assert generator.ended == 2


def test_a_generator_may_run_in_a_thread_of_its_worker(comms, on_manager):
    generator = objects.Counting()
    H, _, flag = run(comms, generator, on_manager=on_manager, gen={"threaded": True})
    assert flag == 0 and H["sim_ended"].sum() >= 12
    if on_manager:
        assert generator.ended == 1 and len(generator.results) >= 12


def test_everything_may_be_stated_as_dicts(comms):
    generator = objects.Counting()
    H, _, flag = libE(
        {"simulator": objects.scaled, "vocs": WITH_CONSTANTS.model_dump(), "user": {"scale": 3}},
        {"generator": generator, "vocs": WITH_CONSTANTS.model_dump(), "initial_batch_size": 4, "batch_size": 2},
        {"sim_max": 8},
        libE_specs={"comms": comms, "nworkers": 2, "gen_on_manager": True},
    )
    assert flag == 0 and generator.asked[:2] == [4, 2]
    assert (H["f"][:8] == 3 * H["a"][:8]).all() and set(H["k"]) == {2.5}


# ---- the end


def test_the_last_batch_is_told_before_the_generator_is_finalized(comms):
    generator = objects.Counting()
    run(comms, generator, gen={"batch_size": 4}, sim_max=8)
    assert [one["a"] for one in generator.results] == list(range(8))
    generator = objects.Counting()
    run(comms, generator, gen={"batch_size": 4}, sim_max=8, final_gen_send=False)  # as was stated
    assert [one["a"] for one in generator.results] == list(range(4))
    assert generator.ended == 1


@pytest.mark.parametrize("final_gen_send", [True, False, None])
@pytest.mark.parametrize("make", [objects.Counting, lambda: objects.Vectors(LINE)], ids=["dicts", "arrays"])
def test_a_run_may_stop_exactly_at_the_end_of_the_initial_batch(comms, on_manager, make, final_gen_send):
    generator = make()
    options = {} if final_gen_send is None else {"final_gen_send": final_gen_send}
    gen = {"initial_batch_size": 6, "batch_size": 6}
    H, _, flag = run(comms, generator, on_manager=on_manager, gen=gen, sim_max=6, **options)
    assert flag == 0 and H["sim_ended"].all() and len(H) == 6
    if on_manager:
        assert [len(results) for results in generator.told] == ([] if final_gen_send is False else [6])
        assert generator.ended == 1


def test_gen_max_ends_a_run(comms):
    H, _, flag = run(comms, external_sampling.UniformSample(LINE), gen={"batch_size": 5}, exit_criteria={"gen_max": 10})
    assert flag == 0 and len(H) == 10


def test_a_value_that_is_good_enough_ends_a_run(comms):
    H, _, flag = run(comms, objects.Counting(), exit_criteria={"stop_val": ("f", 0.0), "sim_max": 50})
    assert flag == 0 and len(H) < 50


@pytest.mark.parametrize("alloc", [{}, {"user": {"async_return": True}}], ids=["batches", "async"])
def test_a_finite_generator_gives_fewer_points_at_its_end(comms, alloc):
    generator = objects.Finite(10)
    H, _, flag = run(comms, generator, gen={"batch_size": 4}, alloc=alloc, sim_max=10)
    assert flag == 0 and len(H) == 10 and H["sim_ended"].all()
    assert sorted(one["a"] for one in generator.results) == list(range(10))  # each once


def test_a_generator_without_points_while_nothing_runs_is_an_error_that_says_so(comms, on_manager):
    with pytest.raises(LoggedException, match=r"gives no work.*10 rows generated, 10 evaluated"):
        run(comms, objects.Finite(10), on_manager=on_manager, gen={"batch_size": 4}, sim_max=11)
    with pytest.raises(LoggedException, match=r"gives no work.*0 rows generated, 0 evaluated"):
        run(comms, objects.Finite(0), on_manager=on_manager)


@pytest.mark.parametrize(("where", "told"), [("suggest", 0), ("ingest", 0), ("finalize", 2)])
def test_errors_of_a_generator_end_the_run(comms, on_manager, where, told, capfd):
    with pytest.raises(LoggedException, match=f"RuntimeError: no {where} today"):
        run(comms, objects.Failing(where), on_manager=on_manager)
    assert "_may_fail" in capfd.readouterr().err  # the traceback


# ---- how it is allocated


def test_an_allocation_function_is_chosen_that_runs_it_persistently(comms):
    H, _, flag = run(comms, objects.Counting(), alloc={"user": {"async_return": True, "num_active_gens": 1}})
    assert flag == 0 and H["sim_ended"].sum() >= 12
    H, _, flag = run(comms, objects.Counting(), alloc={"alloc_f": only_persistent_gens})
    assert flag == 0 and H["sim_ended"].sum() >= 12


def test_one_that_does_not_run_it_persistently_is_refused(comms, on_manager):
    with pytest.raises(LoggedException, match=r"ValueError: a generator object must run persistently"):
        run(comms, objects.Counting(), on_manager=on_manager, alloc={"alloc_f": give_sim_work_first})


def test_several_copies_may_run(comms):
    H, _, flag = run(
        comms,
        objects.Counting(),
        nworkers=4,
        on_manager=False,
        gen={"batch_size": 3},
        alloc={"user": {"num_active_gens": 2}},
        sim_max=18,
    )
    assert flag == 0 and set(H["gen_worker"]) == {1, 2}
    assert (H["f"][H["sim_ended"]] == 2 * H["a"][H["sim_ended"]]).all()


# ---- ids


def test_ids_of_the_generator_come_back_with_the_results(comms, on_manager):
    generator = objects.WithIds()
    H, _, flag = run(comms, generator, on_manager=on_manager, sim_max=15)
    assert flag == 0 and (H["_id"] == 100 + 7 * H["a"]).all()
    if on_manager:
        assert all(one["_id"] == 100 + 7 * one["a"] and type(one["_id"]) is int for one in generator.results)


def test_rows_that_are_not_its_own_have_no_id(comms):
    generator = objects.WithIds()
    H, _, flag = run(comms, generator, sim_max=250, H0=evaluated_rows())  # enough for H to grow
    assert flag == 0
    assert H["_id"][:4].tolist() == [-1] * 4
    assert not any("_id" in one for one in generator.told[0]) and all("_id" in one for one in generator.told[1])
    assert (H["_id"][4:] == 100 + 7 * H["a"][4:]).all()


def test_without_returns_id_there_is_no_such_field(comms):
    H, _, _ = run(comms, objects.Counting())
    assert "_id" not in H.dtype.names


def test_a_generator_may_number_its_points_and_change_them_later(comms, on_manager):
    """Rows with sim_id are additions and updates; the manager sends ids back although nobody asked for them."""
    generator = objects.Numbering(LINE)
    H, _, flag = run(comms, generator, on_manager=on_manager, gen={"batch_size": 4}, sim_max=12)
    assert flag == 0 and H["sim_id"].tolist() == list(range(len(H)))
    assert H["mark"].shape == (len(H), 2)  # a new field, of zeros in rows that were not updated
    npt.assert_array_equal(H["mark"][:12], np.stack([H["f"][:12]] * 2, axis=1))  # also of the last batch
    assert not H["mark"][12:].any()
    if on_manager:
        assert [results["sim_id"].tolist() for results in generator.told][:2] == [[0, 1, 2, 3], [4, 5, 6, 7]]


# ---- a starting history


@pytest.mark.parametrize("as_dicts", [True, False])
def test_H0_is_ingested_before_the_first_suggestion(comms, as_dicts):
    generator = objects.Counting()
    H0 = evaluated_rows()
    given = [dict(zip(H0.dtype.names, row.item())) for row in H0] if as_dicts else H0
    H, _, flag = run(comms, generator, H0=given, sim_max=6)
    assert flag == 0 and H["sim_ended"].sum() >= 10
    assert generator.told[0] == [{"a": -1.0 - i, "b": 0.0, "f": -2.0 - 2 * i} for i in range(4)]
    assert [one["a"] for one in generator.results[4:]] == H["a"][4:][H["sim_ended"][4:]].tolist()
    assert H["gen_informed"][:4].all()


def test_H0_reaches_a_generator_on_a_worker(comms):
    H, _, flag = run(comms, objects.Counting(), H0=evaluated_rows(), on_manager=False)
    assert flag == 0 and H["gen_informed"][:4].all() and (H["gen_worker"][:4] == 0).all()


def test_H0_of_an_array_generator_comes_as_vectors(comms):
    generator = objects.Vectors(LINE)
    run(comms, generator, H0=evaluated_rows(), sim_max=6)
    assert generator.told[0]["x"].tolist() == [[-1, 0], [-2, 0], [-3, 0], [-4, 0]]
    assert generator.told[0]["f"].tolist() == [-2, -4, -6, -8]


def test_H0_may_lack_what_only_some_rows_have(comms):
    generator = objects.Counting()
    H, _, flag = run(comms, generator, WITH_CONSTANTS, simulator=objects.use_constants, H0=evaluated_rows())
    assert flag == 0 and generator.told[0][0]["a"] == -1


def test_the_history_of_one_run_continues_in_the_next(comms, on_manager):
    first, _, _ = run(comms, objects.WithIds(), on_manager=on_manager, gen={"batch_size": 4}, sim_max=8)
    first = first[first["sim_ended"]]
    generator = objects.WithIds()
    H, _, flag = run(comms, generator, on_manager=on_manager, gen={"batch_size": 4}, H0=first, sim_max=8)
    assert flag == 0 and H["sim_ended"].sum() == 16
    assert H["a"][:8].tolist() == list(range(8))
    if on_manager:
        assert [one["a"] for one in generator.told[0]] == list(range(8))
        assert len(generator.results) == 16


def test_rows_of_H0_that_have_not_run_are_evaluated_and_told_with_the_others(comms, on_manager):
    H0 = np.zeros(6, dtype=[*evaluated_rows().dtype.descr, ("sim_id", int), ("sim_started", bool), ("sim_ended", bool)])
    H0["a"], H0["sim_id"] = np.arange(-6, 0), np.arange(6)
    H0["sim_started"][:3] = H0["sim_ended"][:3] = True
    H0["f"][:3] = 2 * H0["a"][:3]
    generator = objects.Counting()
    H, _, flag = run(comms, generator, on_manager=on_manager, H0=H0, gen={"batch_size": 4}, sim_max=11)
    assert flag == 0 and H["sim_ended"].sum() == 14
    assert (H["f"][:14] == 2 * H["a"][:14]).all() and H["gen_informed"][:14].all()
    if on_manager:
        assert all(one["f"] == 2 * one["a"] for one in generator.results)
        assert sorted(one["a"] for one in generator.results) == sorted(H["a"][:14])  # each once


def test_cancelled_rows_of_H0_are_neither_evaluated_nor_told(comms, on_manager):
    fields = [("sim_id", int), ("sim_started", bool), ("sim_ended", bool), ("cancel_requested", bool)]
    H0 = np.zeros(4, dtype=[*evaluated_rows().dtype.descr, *fields])
    H0["a"], H0["sim_id"] = -1, np.arange(4)
    H0["sim_started"][:2] = H0["sim_ended"][:2] = True
    H0["f"][:2] = -2
    H0["cancel_requested"][2:] = True
    generator = objects.Counting()
    H, _, flag = run(comms, generator, on_manager=on_manager, H0=H0, sim_max=6)
    assert flag == 0 and not H["sim_started"][2:4].any() and not H["gen_informed"][2:4].any()
    if on_manager:
        assert len(generator.told[0]) == 2 and all(one["f"] == 2 * one["a"] for one in generator.results)


# ---- constants and other kinds of values


def test_constants_reach_the_simulator_and_the_history(comms, on_manager):
    H, _, flag = run(comms, objects.Counting(), WITH_CONSTANTS, simulator=objects.use_constants, on_manager=on_manager)
    done = H[H["sim_ended"]]
    assert flag == 0
    assert (done["f"] == 2.5 * done["a"]).all() and (done["c"] == 1).all() and (done["o"] == 5).all()
    assert set(H["k"]) == {2.5} and set(H["label"]) == {"fine"} and set(H["count"]) == {3}
    assert "undeclared" not in H.dtype.names


def test_constants_are_told_to_the_generator(comms):
    generator = objects.Counting()
    run(comms, generator, WITH_CONSTANTS, simulator=objects.use_constants)
    assert generator.results[0] == {
        "a": 0.0, "b": 0.5, "k": 2.5, "label": "fine", "count": 3, "f": 0.0, "o": 5.0, "c": 1.0
    }  # fmt: skip


def test_constants_that_no_field_holds_reach_the_simulator_all_the_same(comms):
    gen = {"outputs": [("a", float), ("b", float)]}
    H, _, flag = run(comms, objects.Counting(), WITH_CONSTANTS, simulator=objects.use_constants, gen=gen)
    assert flag == 0 and "k" not in H.dtype.names
    assert (H["f"][:12] == 2.5 * H["a"][:12]).all()


def test_texts_integers_and_vectors_travel_both_ways(comms, on_manager):
    generator = objects.Recycling()
    H, _, flag = run(comms, generator, MIXED, simulator=objects.describe_mixed, on_manager=on_manager)
    done = H[H["sim_ended"]]
    assert flag == 0 and H.dtype["task"] == "U5" and H.dtype["level"].kind == "i" and H.dtype["v"].shape == (3,)
    npt.assert_array_equal(done["f"], 3 * done["a"] + done["level"])
    npt.assert_array_equal(done["g"], done["v"][:, :2])
    assert (done["note"] == np.where(done["level"] == 3, "is slow", "is swift")).all()
    if on_manager:
        one = generator.results[1]
        assert (one["task"], one["level"], one["note"]) == ("swift", 5, "is swift")
        assert one["v"].tolist() == [1, 1, 1] and one["g"].tolist() == [1, 1]


# ---- simulators of dicts


def test_options_in_user_are_arguments_of_the_simulator(comms):
    H, _, flag = run(comms, objects.Counting(), WITH_CONSTANTS, simulator=objects.scaled, sim={"user": {"scale": 4.0}})
    done = H[H["sim_ended"]]
    assert flag == 0 and (done["f"] == 4 * done["a"]).all()
    assert (done["o"] == done["sim_worker"]).all() and (done["c"] == 1).all()  # what libE_info said


def test_a_simulator_may_be_an_object(comms):
    H, _, flag = run(comms, objects.Counting(), simulator=objects.ScaledObject(5))
    assert flag == 0 and (H["f"][:12] == 5 * H["a"][:12]).all()


def test_outputs_that_a_simulator_leaves_out_are_unknown(comms):
    H, _, flag = run(comms, objects.Counting(), WITH_CONSTANTS, simulator=objects.only_f, sim={"user": {"extra": 1}})
    done = H[H["sim_ended"]]
    assert flag == 0 and (done["f"] == done["a"] + 100).all()
    assert np.isnan(done["c"]).all() and np.isnan(done["o"]).all()


def test_a_type_error_in_a_simulator_is_raised_after_one_call(comms, tmp_path):
    with pytest.raises(LoggedException, match="TypeError: this is no matter of arguments"):
        run(comms, objects.Counting(), simulator=objects.wrong_inside, gen={"batch_size": 1}, nworkers=1)
    assert (tmp_path / "calls.txt").read_text() == "called\n"


def test_what_is_no_dict_is_named(comms):
    with pytest.raises(LoggedException, match="must return a dict of its outputs, not float"):
        run(comms, objects.Counting(), simulator=objects.no_dict)


def test_a_function_of_dicts_given_as_sim_f_is_explained(comms):
    with pytest.raises(LoggedException, match=r"AttributeError.*simulator"):
        run(comms, objects.Counting(), simulator=None, sim={"sim_f": objects.double_a})


def test_a_classic_function_sees_one_field_for_each_name(comms, on_manager):
    for generator in (objects.Counting(), objects.Vectors(LINE)):
        sim = {"sim_f": objects.double_a_in_rows}
        H, _, flag = run(comms, generator, simulator=None, sim=sim, on_manager=on_manager)
        assert flag == 0 and (H["f"][:12] == 2 * H["a"][:12]).all() and H["a"][:12].tolist() == list(range(12))


# ---- generators that speak arrays


def test_vectors_become_the_names_of_the_vocs_and_back(comms, on_manager):
    generator = objects.Vectors(WITH_CONSTANTS)
    H, _, flag = run(
        comms, generator, WITH_CONSTANTS, simulator=objects.use_constants, on_manager=on_manager, gen={"batch_size": 4}
    )
    done = H[H["sim_ended"]]
    assert flag == 0 and "x" not in H.dtype.names and (done["b"] == 0.5).all()
    assert done["a"].tolist() == list(range(len(done)))
    assert (done["f"] == 2.5 * done["a"]).all() and set(H["k"]) == {2.5}
    if on_manager:
        assert generator.told[1]["x"].tolist() == [[4, 0.5], [5, 0.5], [6, 0.5], [7, 0.5]]
        assert generator.told[1]["f"].tolist() == [10, 12.5, 15, 17.5]
        assert generator.asked[:2] == [4, 4] and generator.ended == 1


def test_a_vector_that_is_declared_stays_one(comms, on_manager):
    generator = objects.Vectors(LINE)
    H, _, flag = run(
        comms,
        generator,
        simulator=None,
        sim={"sim_f": objects.double_x, "inputs": ["x"]},
        gen={"outputs": [("x", float, (2,))], "persis_in": ["x", "f", "sim_id"], "inputs": [], "batch_size": 4},
        on_manager=on_manager,
    )
    assert flag == 0 and {"a", "b"}.isdisjoint(H.dtype.names)
    assert (H["f"][:12] == 2 * H["x"][:12, 0]).all() and H["x"][:12, 0].tolist() == list(range(12))
    if on_manager:
        assert generator.told[0].dtype.names == ("x", "f", "sim_id")


def test_the_bundled_samplers_draw_what_their_seed_says(comms, on_manager):
    vocs = VOCS(variables={"a": [-3, 1], "b": [2, 5]}, objectives={"f": "MINIMIZE"})
    histories = []
    for generator in (UniformSample(vocs), external_sampling.UniformSample(vocs)):
        H, _, flag = run(comms, generator, vocs, on_manager=on_manager, gen={"batch_size": 4})
        assert flag == 0 and (H["a"][0], H["b"][0]) == FIRST_UNIFORM
        histories.append(H[["a", "b"]][:12])
    npt.assert_array_equal(*histories)


def test_one_variable_may_be_called_x_and_its_objective_f(comms, on_manager):
    vocs = VOCS(variables={"x": [-3, 1]}, objectives={"f": "MINIMIZE"})
    for generator in (UniformSample(vocs, random_seed=7), external_sampling.UniformSample(vocs)):
        H, _, flag = run(comms, generator, vocs, simulator=square, on_manager=on_manager)
        assert flag == 0 and H["x"].ndim == 1 and (H["f"][:12] == H["x"][:12] ** 2).all() and H["x"][:12].all()


def square(point):
    """Return x squared."""
    return {"f": point["x"] ** 2}


def test_a_variable_that_is_an_array(comms):
    class Variable:
        domain = [[-3, 1], [2, 5]]
        dtype = (float, (2,))

    class Vocs:
        variables = {"v": Variable()}
        objectives = {"f": None}
        constants = constraints = observables = {}

    generator = external_sampling.UniformSampleArray(Vocs())
    H, _, flag = libE(
        {"sim_f": sum_of_v, "in": ["v"], "out": [("f", float)]},
        {"generator": generator, "vocs": Vocs(), "batch_size": 3},
        {"sim_max": 6},
        libE_specs={"comms": "threads", "nworkers": 2, "gen_on_manager": True},
    )
    assert flag == 0 and tuple(H["v"][0]) == FIRST_UNIFORM
    npt.assert_allclose(H["f"][:6], H["v"][:6].sum(axis=1))


def sum_of_v(H, _, sim_specs):
    """Return the sum of v."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["f"] = H["v"].sum(axis=1)
    return H_o


# ---- a classic function behind the interface


def test_a_background_generator_runs_as_if_it_were_a_function(comms, on_manager):
    generator = objects.InBackground(LINE, batch=4)
    H, _, flag = run(comms, generator, on_manager=on_manager, gen={"batch_size": 1}, sim_max=12)
    assert flag == 0 and "x" not in H.dtype.names
    assert H["a"][:12].tolist() == list(range(12)) and (H["f"][:12] == 2 * H["a"][:12]).all()
    assert len(np.unique(H["gen_ended_time"][:12])) == 3  # batches of four, whatever the batch size
    if on_manager:
        told, own, tag = generator.export()
        assert tag == 12 and own["told"] == [2.0 * a for a in range(12)] and own["ids"] == list(range(12))
        assert generator.finalize() == generator.gen_result  # once more does no harm
        assert generator.export(vocs_field_names=True, as_dicts=True)[0][3] == {"sim_id": 3, "f": 6.0}


@pytest.mark.parametrize("final_gen_send", [True, False])
def test_a_background_generator_may_stop_at_its_first_batch(comms, final_gen_send):
    generator = objects.InBackground(LINE, batch=4)
    H, _, flag = run(comms, generator, sim_max=4, final_gen_send=final_gen_send)
    assert flag == 0 and H["sim_ended"].all()
    assert generator.export()[1]["told"] == ([0.0, 2.0, 4.0, 6.0] if final_gen_send else [])


def test_a_background_generator_that_returns_ends_the_run(comms):
    generator = objects.InBackground(LINE, batch=4, total=8)
    H, _, flag = run(comms, generator, sim_max=50)
    assert flag == 0 and len(H) == 8 and H["sim_ended"].all()
    assert generator.export()[1]["told"] == [2.0 * a for a in range(8)]


def test_errors_of_a_background_generator_end_the_run(comms, on_manager, capfd):
    with pytest.raises(LoggedException, match="KeyError: 'lost'"):
        run(comms, objects.InBackground(LINE, fails=True), on_manager=on_manager)
    assert "persistent_vectors" in capfd.readouterr().err


# ---- generators of others


def test_a_grid_keeps_its_order(comms):
    vocs = VOCS(variables={"x0": [-50.0, 5.0], "x1": [-5.0, 15.0]}, objectives={"f": "MAXIMIZE"})
    H, _, flag = run(
        comms, objects.Grid(vocs, (7, 15)), vocs, simulator=product, nworkers=4, gen={"batch_size": 4}, sim_max=105
    )
    assert flag == 0 and len(H) == 105 and H["sim_ended"].all()
    npt.assert_array_equal(np.unique(H["x0"]), np.linspace(-50, 5, 7))
    npt.assert_array_equal(np.unique(H["x1"]), np.linspace(-5, 15, 15))
    for x0 in np.unique(H["x0"]):
        npt.assert_array_equal(H["x1"][H["x0"] == x0], np.linspace(-5, 15, 15))
    npt.assert_array_equal(H["f"], H["x0"] * H["x1"])


def product(point):
    """Return the product of two variables."""
    return {"f": point["x0"] * point["x1"]}


@pytest.mark.parametrize("as_dict", [True, False])
def test_points_that_were_ingested_before_the_run(comms, as_dict):
    """Every result has the same keys, and inputs come back as they were suggested: y1 is x2 and c1 is x1."""
    vocs = VOCS(
        variables={"x1": [0, 1.0], "x2": [0, 10.0]},
        objectives={"y1": "MINIMIZE"},
        constraints={"c1": ["GREATER_THAN", 0.5]},
        constants={"k": 1.0},
    )
    generator = objects.KeepsFrame(vocs)
    generator.ingest([{"x1": v, "x2": 10 * v, "y1": 10 * v, "c1": v, "k": 1.0} for v in (0.2, 0.5, 0.7, 0.9)])
    sim = {} if as_dict else {"sim_f": objects.copy_rows}
    simulator = objects.copy_point if as_dict else None
    H, _, flag = run(
        comms, generator, vocs, simulator=simulator, sim=sim, nworkers=4, gen={"batch_size": 4}, sim_max=20
    )
    assert flag == 0 and len(H) == 20
    npt.assert_array_equal(H["y1"], H["x2"])
    npt.assert_array_equal(H["c1"], H["x1"])
    assert (H["k"] == 1).all() and len(generator.frame["x1"]) == 24


def test_a_generator_of_one_point_at_a_time(comms):
    generator = objects.OneAtATime()
    H, _, flag = run(comms, generator, nworkers=1, gen={"batch_size": 1}, sim_max=10)
    assert flag == 0 and len(generator.told) == 10
    assert (H["a"][:10] == 1e6 / np.arange(4, 14)).all()


def test_a_class_that_only_suggests():
    H, _, flag = libE(
        {"sim_f": objects.double_x, "in": ["x"], "out": [("f", float)]},
        {"generator": objects.OnlySuggest(), "out": [("x", float, (2,))], "persis_in": ["x", "f"]},
        {"sim_max": 80},
        libE_specs={"nworkers": 4},
    )
    assert flag == 0 and H["sim_ended"].sum() >= 80 and (H["f"][:80] == 2 * H["x"][:80, 0]).all()


def test_an_initial_batch_and_smaller_ones_until_gen_max(comms):
    H, _, flag = run(
        comms,
        external_sampling.UniformSample(LINE),
        nworkers=4,
        gen={"initial_batch_size": 20, "batch_size": 10},
        exit_criteria={"gen_max": 201},
    )
    assert flag == 0 and len(H) >= 201
    _, sizes = np.unique(H["gen_ended_time"], return_counts=True)
    assert sizes.tolist() == [20] + [10] * 19


# ---- what a generator may get wrong, and what it may not


@pytest.mark.parametrize("change", [objects.as_tuple, objects.in_numpy, objects.two_more])
def test_points_may_come_in_other_forms(comms, on_manager, change):
    generator = objects.Altered(change)
    H, _, flag = run(comms, generator, gen={"batch_size": 4}, on_manager=on_manager)
    assert flag == 0 and (H["f"][:12] == 2 * H["a"][:12]).all() and (H["b"] == 0.5).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (objects.without_b, r"points of Altered lack \['b'\].*they have \['a'\]"),
        (objects.with_c, r"a point has \['c'\], but the fields are \['a', 'b'\]"),
        (objects.with_lists, r"values of 'b', such as \[1.0, 2.0\], do not fit its field.*float64"),
    ],
)
def test_points_that_do_not_fit_the_vocs_are_refused_by_name(comms, on_manager, change, words):
    with pytest.raises(LoggedException, match=words):
        run(comms, objects.Altered(change), on_manager=on_manager)


def test_arrays_that_hold_no_variable_of_the_vocs_are_refused(comms):
    with pytest.raises(LoggedException, match=r"points of Other lack \['a', 'b'\].*they have \['x'\]"):
        run(comms, objects.Other(LINE))


def test_a_contextual_variable_is_not_the_generators_to_choose(comms):
    vocs = VOCS(variables={"a": [0, 1e6], "b": [0, 1], "weather": "CONTEXTUAL"}, objectives={"f": "MINIMIZE"})
    H, _, flag = run(comms, objects.Counting(), vocs)
    assert flag == 0 and "weather" in H.dtype.names and (H["f"][:12] == 2 * H["a"][:12]).all()


def test_changes_of_old_points_leave_their_other_fields_alone(comms):
    H, _, flag = run(comms, objects.Correcting(LINE), gen={"batch_size": 4}, sim_max=4, exit_criteria={"gen_max": 4})
    assert flag == 0
    with pytest.raises(LoggedException, match="sent nothing that is left to do"):
        run(comms, objects.Correcting(LINE), gen={"batch_size": 4}, sim_max=12)
    saved = np.load("libE_history_at_abort_4.npy")
    assert saved["a"].tolist() == [0, 1, 2, 3] and (saved["mark"][:, 0] == saved["f"]).all()


def test_a_generator_that_keeps_the_only_worker_is_told_so(comms):
    with pytest.raises(LoggedException, match="persistent functions keep all workers.*gen_on_manager"):
        run(comms, objects.Counting(), nworkers=1, on_manager=False)


def test_sizes_below_zero_are_refused():
    for name in ("batch_size", "initial_batch_size"):
        with pytest.raises(ValueError, match=name):
            GenSpecs(generator=objects.Counting(), vocs=LINE, **{name: -1})


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_background_generator_runs_where_processes_are_not_forked(method, on_manager):
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method(method, force=True)
    try:
        H, _, flag = run("local", objects.InBackground(LINE), on_manager=on_manager, nworkers=2, sim_max=8)
        assert flag == 0 and H["a"][:8].tolist() == list(range(8))
    finally:
        multiprocessing.set_start_method(before, force=True)
