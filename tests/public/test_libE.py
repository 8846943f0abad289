"""libE(): its arguments in all accepted forms, what it gives back, and several runs in one process."""

import dataclasses
import functools
import threading
from pathlib import Path

import numpy as np
import pytest
from gest_api.vocs import VOCS
from pydantic import ValidationError

from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.gen_classes.sampling import UniformSample
from libensemble.libE import libE
from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs
from libensemble.utils.misc import specs_dump
from tests.fakes import user_functions
from tests.fakes.ensembles import run, specs


def arguments(stated):
    """The arguments of libE() in their order, up to the sixth."""
    names = ("sim_specs", "gen_specs", "exit_criteria", "persis_info", "alloc_specs", "libE_specs")
    return [stated[name] for name in names]


# ---- what goes in


def test_six_arguments_may_be_given_by_position(comms):
    H, _, flag = libE(*arguments(specs(comms)))
    assert flag == 0 and len(H) == 8


def test_objects_do_what_dicts_do(comms):
    stated = specs(comms)
    models = (SimSpecs, GenSpecs, ExitCriteria, dict, AllocSpecs, LibeSpecs)
    mixed = [model(**given) for model, given in zip(models, arguments(stated), strict=True)]
    H, _, _ = libE(*mixed)
    assert H["f"].tolist() == (2 * H["x"]).tolist() and len(H) == 8


@pytest.mark.parametrize("left_out", ["persis_info", "alloc_specs", "H0"])
def test_none_is_the_default(left_out):
    H, _, flag = libE(**{**specs("threads"), left_out: None})
    assert (len(H), flag) == (8, 0)


def test_no_exit_criterion_is_warned_of():
    def stop_at_once(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
        assert libE_info["exit_criteria"] == {}
        return {}, persis_info, 1

    with pytest.warns(UserWarning, match="No exit criterion"):
        H, _, flag = run("threads", exit_criteria={}, alloc={"alloc_f": stop_at_once})
    assert (len(H), flag) == (0, 0)


def test_only_criteria_that_were_given_reach_the_allocation_function():
    seen = []

    def look(*args):
        seen.append(args[-1]["exit_criteria"])
        return give_sim_work_first(*args)

    run("threads", exit_criteria=ExitCriteria(sim_max=2, wallclock_max=60), alloc={"alloc_f": look})
    assert seen[0] == {"sim_max": 2, "wallclock_max": 60.0}


@dataclasses.dataclass
class Settings:
    """Something of the user's own."""

    depth: int = 3


def test_objects_in_user_reach_the_functions_as_they_are():
    given = Settings(), Path("somewhere"), ExitCriteria(sim_max=1)
    seen = {}

    def sim(H, persis_info, sim_specs):
        seen["sim"] = sim_specs["user"]["objects"]
        return user_functions.double(H, persis_info, sim_specs)

    def alloc(*args):
        seen["alloc"] = args[4]["user"]["objects"]
        return give_sim_work_first(*args)

    user = {"objects": given}
    run("threads", sim_f=sim, sim={"user": user}, alloc={"alloc_f": alloc, "user": user})
    assert seen["sim"] is given and seen["alloc"] is given


def test_dataclasses_in_user_stay_what_they_are_in_other_processes():
    H, _, _ = run("local", sim_f=user_functions.depth_of_settings, sim={"user": {"settings": Settings(5)}})
    assert set(H["f"]) == {5.0}


def test_user_functions_see_every_key_of_their_specs(comms):
    H, _, _ = run(comms, sim_f=user_functions.count_missing_keys, gen_f=user_functions.count_up_with_all_keys)
    assert set(H["f"]) == {0.0}


def test_user_functions_see_dicts_whatever_was_given():
    seen = []

    def sim(H, persis_info, sim_specs):
        seen.append(sim_specs)
        return user_functions.double(H, persis_info, sim_specs)

    run("threads", sim_f=SimSpecs(sim_f=sim).sim_f, sim={"user": {"a": 1}})
    assert type(seen[0]) is dict
    assert specs_dump(SimSpecs(**specs(sim_f=sim)["sim_specs"]), by_alias=True).keys() == seen[0].keys()


class Policy:
    """An allocation function that is an object, and so has no name."""

    def __call__(self, *args):
        return give_sim_work_first(*args)


@pytest.mark.parametrize("alloc_f", [Policy(), functools.partial(give_sim_work_first)])
def test_an_allocation_function_needs_no_name(alloc_f):
    H, _, _ = run("threads", alloc={"alloc_f": alloc_f})
    assert H["sim_ended"].all()


def test_a_reserved_field_may_be_declared_in_another_spelling(comms):
    out = [("sim_id", "int64"), ("x", float), ("priority", float)]
    H, _, _ = run(comms, gen_f=user_functions.count_up_with_ids, gen={"out": out})
    assert H["sim_id"].tolist() == list(range(8)) and H.dtype["sim_id"] == np.dtype(int)


def test_a_bare_array_of_two_rows_is_output(comms):
    H, _, _ = run(
        comms, gen={"user": {"batch": 2}}, alloc={"user": {"give_all_with_same_priority": True, "num_active_gens": 1}}
    )
    assert H["x"].tolist() == list(range(8)) and H["f"].tolist() == [2.0 * x for x in range(8)]


def test_bare_results_for_two_rows_are_output(comms):
    H, _, _ = run(
        comms,
        gen_f=user_functions.count_up_in_pairs,
        gen={"out": [("x", float), ("priority", float)], "user": {"batch": 8}},
        alloc={"user": {"give_all_with_same_priority": True, "num_active_gens": 1}},
    )
    assert H["f"].tolist() == [2.0 * x for x in range(8)]


def test_a_generator_object_needs_no_allocation_function(comms):
    vocs = VOCS(variables={"x": [0.0, 1.0]}, objectives={"f": "MINIMIZE"})
    H, _, flag = libE(
        SimSpecs(simulator=user_functions.double_of_dict, vocs=vocs),
        GenSpecs(generator=UniformSample(vocs), vocs=vocs, batch_size=2),
        ExitCriteria(sim_max=6),
        libE_specs=LibeSpecs(comms=comms, nworkers=2),
    )
    assert flag == 0 and H["sim_ended"].sum() >= 6
    ended = H[H["sim_ended"]]
    assert np.allclose(ended["f"], 2 * ended["x"])
    assert ended["gen_informed"].all(), "the generator is told of the last results, too"


def test_a_vocs_says_all_there_is_to_say_constants_included(comms):
    vocs = VOCS(
        variables={"x": [0.0, 1.0]},
        constants={"scale": 3.0},
        objectives={"f": "MINIMIZE"},
        observables=["seen"],
        constraints={"c": ["LESS_THAN", 2.0]},
    )
    H, _, _ = libE(
        {"simulator": user_functions.scaled, "vocs": vocs},
        {"generator": UniformSample(vocs), "vocs": vocs},
        {"sim_max": 4},
        libE_specs={"comms": comms, "nworkers": 2},
    )
    ended = H[H["sim_ended"]]
    assert len(ended) >= 4 and {"x", "f", "seen", "c"} <= set(H.dtype.names)
    assert np.allclose(ended["f"], 3 * ended["x"]) and set(ended["seen"]) == {3.0} and set(ended["c"]) == {1.0}


# ---- what is refused, before anything is started


def refused(stated, *words):
    """The error names all these words, and there is no trace of a run."""
    with pytest.raises(ValidationError) as error:
        libE(**stated)
    text = str(error.value)
    assert not [word for word in words if word not in text], text
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        (specs(sim={"in": ["y"]}), ["'y'", "Available", "x", "f", "sim_id"]),
        (specs(gen={"persis_in": ["x", "ff"]}), ["persis_in", "'ff'", "Did you mean 'f'"]),
        (specs(exit_criteria={"stop_val": ("g", 0.1)}), ["stop_val", "'g'", "f"]),
        (specs(sim_f=3), ["sim_f", "3"]),
        (specs(gen={"gen_f": None}), ["gen_f", "generator"]),
        (specs(nworkers=0), ["nworkers", "0"]),
        (specs("threads", nworkers=0), ["nworkers", "0"]),
        (specs("smoke signals"), ["comms", "local", "threads", "mpi", "tcp"]),
        (specs(sim={"function": None}), ["'function' was removed", "sim_f"]),
        (specs(gen={"persistent_inputs": ["x"]}), ["'persistent_inputs' was removed", "persis_in"]),
        (specs(sim_mex=3, nworkers=1), ["sim_mex"]),
        (specs(exit_criteria={"max_sim": 3}), ["max_sim", "sim_max"]),
        (specs(H0=np.zeros(2, dtype=[("x", float, 3)])), ["'x'", "(3,)", "()"]),
        (specs(H0=np.zeros(2, dtype=[("f", float, 3)]), sim={"out": [("f", float, 2)]}), ["'f'", "(3,)", "(2,)"]),
        (specs(H0=np.zeros(2, dtype=[("x", float), ("sim_ended", bool)])), ["sim_ended", "sim_started"]),
        (specs(H0=np.zeros(3)), ["structured array", "list of dicts"]),
    ],
)
def test_what_cannot_run_is_refused_with_advice(stated, words):
    refused(stated, *words)


def test_rows_of_h0_that_are_under_way_are_refused():
    H0 = np.zeros(3, dtype=[("x", float), ("sim_started", bool), ("sim_ended", bool)])
    H0["sim_started"] = [True, True, False]
    H0["sim_ended"][0] = True
    refused(specs(H0=H0), "row 1", "sim_started")


def test_final_fields_as_older_scripts_state_it_is_translated():
    with pytest.warns(DeprecationWarning, match="final_gen_send"):
        H, _, _ = run("threads", gen_f=user_functions.persistent_count_up, final_fields=["x", "f"])
    assert H["gen_informed"].all()


def test_a_dry_run_checks_everything_and_starts_nothing(comms, capsys):
    with pytest.raises(SystemExit) as end:
        run(comms, dry_run=True)
    assert end.value.code is None and "dry_run" in capsys.readouterr().err
    assert list(Path.cwd().iterdir()) == []
    with pytest.raises(ValidationError):
        run(comms, dry_run=True, sim={"in": ["y"]})


# ---- what comes out


def test_the_history_is_trimmed_to_the_rows_in_use(comms):
    H, _, _ = run(comms, exit_criteria={"gen_max": 6}, gen={"user": {"batch": 3}})
    assert type(H) is np.ndarray and H.shape == (6,)
    assert H["x"].tolist() == [0, 1, 2, 3, 4, 5]


def test_the_callers_persis_info_gains_no_keys_but_inner_dicts_are_updated(comms):
    inner, mine = {"calls": 10}, {}
    mine = {1: inner, "note": "mine"}
    _, persis_info, _ = run(comms, 1, sim_f=user_functions.count_calls, gen={"user": {"batch": 8}}, persis_info=mine)
    assert set(mine) == {1, "note"} and mine[1] is inner
    assert persis_info is not mine and persis_info[1] is inner
    assert inner["calls"] == 18 and persis_info["note"] == "mine"


def test_returned_persis_info_is_merged_and_never_deletes(comms):
    _, persis_info, _ = run(comms, 1, sim_f=user_functions.return_other_persis_info, persis_info={1: {"kept": 1}})
    assert persis_info[1] == {"kept": 1, "new": 7.0}


def test_an_entry_is_made_for_a_worker_that_has_none(comms):
    _, persis_info, _ = run(comms, 1, sim_f=user_functions.return_other_persis_info, persis_info={})
    assert persis_info[1]["new"] == 7.0


def test_empty_persis_info_is_no_entry(comms):
    _, persis_info, _ = run(comms, sim_f=user_functions.return_empty_persis_info)
    assert persis_info == {"num_gens_started": 0}


def test_what_the_allocation_function_keeps_comes_back():
    def alloc(*args):
        persis_info = dict(args[5])  # a new dict each time
        persis_info["rounds"] = persis_info.get("rounds", 0) + 1
        return give_sim_work_first(*args)[0], persis_info

    _, persis_info, _ = run("threads", alloc={"alloc_f": alloc})
    assert persis_info["rounds"] > 1


def test_flag_2_says_that_time_ran_out_while_somebody_was_at_work(comms):
    H, _, flag = run(comms, sim_f=user_functions.double_slowly, exit_criteria={"wallclock_max": 0.1})
    assert flag == 2
    assert H["sim_ended"].sum() < 8


def test_flag_0_when_the_allocation_function_stops_the_run(comms):
    H, _, flag = run(
        comms, gen_f=user_functions.persistent_two_batches, alloc={"alloc_f": only_persistent_gens}, sim_max=1000
    )
    assert flag == 0 and H["sim_ended"].sum() == len(H) == 8


# ---- several runs in one process


def test_runs_follow_one_another(comms):
    first, persis_info, _ = run(comms)
    second, persis_info, _ = run(comms, persis_info=persis_info)
    assert first["x"].tolist() == second["x"].tolist() == list(range(8))


def test_comms_may_change_from_run_to_run():
    lengths = [len(run(comms)[0]) for comms in ("threads", "local", "threads")]
    assert lengths == [8, 8, 8]


def test_a_run_after_a_failed_one_is_not_disturbed(comms):
    with pytest.raises(Exception, match="worker"):
        run(comms, sim_f=user_functions.fail)
    H, _, flag = run(comms)
    assert flag == 0 and len(H) == 8


@pytest.mark.parametrize("stale", [1, 3])
def test_a_stale_count_of_generators_does_not_stop_a_run(comms, stale):
    H, persis_info, flag = run(comms, gen_f=user_functions.persistent_count_up, persis_info={"num_gens_started": stale})
    assert (flag, H["sim_ended"].sum()) == (0, 8)
    assert persis_info["num_gens_started"] == 0


def test_the_same_persis_info_serves_a_second_persistent_run(comms):
    persis_info = {}
    for _ in range(2):
        H, persis_info, _ = run(comms, gen_f=user_functions.persistent_count_up, persis_info=persis_info)
        assert H["sim_ended"].sum() == 8


def test_generator_calls_are_counted_from_one_in_each_run(comms):
    for _ in range(2):
        run(comms)
    lines = Path("libE_stats.txt").read_text().splitlines()
    numbers = [int(line.split("Gen no")[1].split(":")[0]) for line in lines if "Gen no" in line]
    assert numbers[0] == 1 and numbers.count(1) == 2


def test_a_run_may_be_started_from_another_thread(comms):
    lengths = []
    thread = threading.Thread(target=lambda: lengths.append(len(run(comms)[0])))
    thread.start()
    thread.join(30)
    assert lengths == [8]


def test_runs_leave_no_threads_and_no_open_files():
    def open_files():
        return len(list(Path("/proc/self/fd").iterdir()))

    run("local"), run("threads")
    before = threading.active_count(), open_files()
    for _ in range(3):
        run("local"), run("threads"), run("threads", gen_on_manager=True)
    assert threading.active_count() <= before[0]
    assert open_files() <= before[1] + 1
