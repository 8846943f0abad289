"""Ensemble: from construction, options and files to a run and its saved output."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from libensemble import Ensemble
from libensemble.executors import Executor
from libensemble.manager import LoggedException
from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs
from libensemble.utils.current import current
from tests.fakes import troublesome_functions as trouble
from tests.fakes import user_functions
from tests.fakes.ensembles import specs


def small(comms="threads", **options):
    """An ensemble of eight points, made of objects."""
    stated = specs(comms)
    return Ensemble(
        SimSpecs(**stated["sim_specs"]),
        GenSpecs(**stated["gen_specs"]),
        ExitCriteria(**stated["exit_criteria"]),
        LibeSpecs(**stated["libE_specs"]),
        **options,
    )


def saved():
    """Names of the files that save_output made."""
    return sorted(name for name in os.listdir() if name.endswith((".npy", ".pickle")))


# ---- a run and what it leaves


def test_a_run_returns_what_the_object_keeps(comms):
    ensemble = small(comms)
    H, persis_info, flag = ensemble.run()
    assert H is ensemble.H and persis_info is ensemble.persis_info and (flag, ensemble.flag) == (0, 0)
    assert H["f"].tolist() == [2.0 * x for x in range(8)]


def test_dicts_are_as_good_as_objects(comms):
    stated = specs(comms)
    ensemble = Ensemble(**stated)
    ensemble.run()
    assert len(ensemble.H) == 8 and ensemble.sim_specs is stated["sim_specs"], "kept as given"


def test_everything_may_be_assigned_after_construction(comms):
    stated = specs(comms)
    ensemble = Ensemble()
    for name in ("sim_specs", "gen_specs", "exit_criteria", "alloc_specs", "libE_specs"):
        setattr(ensemble, name, stated[name])
    assert (ensemble.is_manager, ensemble.nworkers) == (True, 2)
    assert ensemble.ready()
    assert len(ensemble.run()[0]) == 8


def test_nothing_is_shared_between_two_ensembles():
    one, other = Ensemble(), Ensemble()
    one.libE_specs.nworkers = 7
    one.add_random_streams()
    assert other.persis_info == {} and other.libE_specs.nworkers == 0
    assert one.sim_specs is not other.sim_specs and one.alloc_specs is not other.alloc_specs
    one.alloc_specs.user["mine"] = 1
    assert "mine" not in other.alloc_specs.user


def test_an_ensemble_runs_again_with_its_persis_info_and_the_same_h0(comms):
    ensemble = small(comms, H0=[{"x": -1.0}], persis_info={1: {"mine": 1}})
    for _ in range(2):
        H, persis_info, flag = ensemble.run()
        assert (len(H), flag, H["x"][0]) == (9, 0, -1.0)
        assert persis_info[1]["mine"] == 1
    assert ensemble.H0 == [{"x": -1.0}]


def test_persistent_generators_run_again_too(comms):
    ensemble = Ensemble(**specs(comms, gen_f=user_functions.persistent_count_up))
    lengths = [ensemble.run()[0]["sim_ended"].sum() for _ in range(3)]
    assert lengths == [8, 8, 8]


def test_the_result_of_one_run_starts_the_next(comms):
    ensemble = small(comms)
    first, _, _ = ensemble.run()
    second, _, _ = ensemble.run(H0=first)
    assert len(second) == 16 and np.array_equal(second["x"][:8], first["x"])
    assert ensemble.H0 is None, "given for one run only"
    third, _, _ = ensemble.run()
    assert len(third) == 8


@pytest.mark.parametrize("as_argument", [True, False])
def test_h0_may_be_a_list_of_dicts(comms, as_argument):
    H0 = [{"x": 1.5, "f": 3.0, "tag": "a"}, {"x": 2.5, "f": 5.0, "tag": "long"}]
    ensemble = small(comms, H0=None if as_argument else H0)
    H, _, _ = ensemble.run(H0=H0) if as_argument else ensemble.run()
    assert H["x"][:3].tolist() == [1.5, 2.5, 2.0] and H["tag"][:3].tolist() == ["a", "long", ""]
    assert H["f"][:2].tolist() == [3.0, 5.0] and len(H) == 10


def test_an_error_comes_out_of_run(comms):
    ensemble = small(comms)
    ensemble.sim_specs.sim_f = trouble.raise_value_error
    with pytest.raises(LoggedException, match="the model diverged"):
        ensemble.run()
    ensemble.sim_specs.sim_f = user_functions.double
    assert len(ensemble.run()[0]) == 8


def test_what_is_wrong_is_said_at_run_at_the_latest():
    ensemble = small()
    ensemble.sim_specs = {"in": ["x"], "out": [("f", float)]}
    with pytest.raises(ValidationError, match="sim_f"):
        ensemble.run()


def test_a_dry_run_leaves_nothing_behind(capsys):
    ensemble = small()
    ensemble.libE_specs.dry_run = True
    with pytest.raises(SystemExit):
        ensemble.run()
    assert "dry_run" in capsys.readouterr().err and not hasattr(ensemble, "H") and os.listdir() == []


def test_every_worker_finds_the_executor(comms, monkeypatch):
    monkeypatch.setattr(current, "executor", None)  # and put back what was there
    executor = Executor()
    executor.register_app(full_path=sys.executable, app_name="python")
    ensemble = small(comms, executor=executor)
    ensemble.sim_specs.sim_f = user_functions.name_the_applications
    H, _, _ = ensemble.run()
    assert set(H["f"]) == {1.0}
    assert Executor.executor is executor


# ---- who we are, and what comes of it


def test_results_are_saved_on_one_machine_whatever_the_comms(comms):
    ensemble = small(comms)
    assert ensemble.is_manager and ensemble.nworkers == 2
    ensemble.run()
    ensemble.save_output("dir/test_mine.py")
    assert saved() == [
        "mine_history_length=8_evals=8_workers=2.npy",
        "mine_persis_info_length=8_evals=8_workers=2.pickle",
    ]
    assert np.array_equal(np.load(saved()[0]), ensemble.H)


def test_output_goes_to_the_workflow_dir_and_may_have_a_plain_name(comms, tmp_path):
    ensemble = small(comms)
    ensemble.libE_specs.workflow_dir_path = tmp_path / "work"
    ensemble.run()
    ensemble.save_output("mine", append_attrs=False)
    assert {"mine.npy", "mine.pickle", "ensemble.log"} <= set(os.listdir("work")) and os.listdir() == ["work"]


def test_only_the_manager_saves():
    ensemble = small()
    ensemble.run()
    ensemble.is_manager = False
    ensemble.save_output("mine")
    assert saved() == []


def test_random_streams_are_used_by_the_workers(comms):
    values = []
    for _ in range(2):
        ensemble = small(comms)
        ensemble.libE_specs.nworkers = 1
        ensemble.add_random_streams(seed=5)
        assert sorted(ensemble.persis_info) == [0, 1]
        ensemble.sim_specs.sim_f = user_functions.draw
        H, persis_info, _ = ensemble.run()
        values.append(H["f"].tolist())
        assert persis_info[1]["rand_stream"].random() not in values[-1], "the stream has moved on"
    assert values[0] == values[1] and len(set(values[0])) == 8


def test_the_command_line_says_how_to_run(monkeypatch):
    words = ["script", "--comms", "threads", "--nworkers", "3", "--mine", "7"]
    monkeypatch.setattr(sys, "argv", words)
    stated = specs()
    ensemble = Ensemble(
        stated["sim_specs"],
        stated["gen_specs"],
        stated["exit_criteria"],
        libE_specs={"H_file_prefix": "mine", "save_H_on_completion": True},
        parse_args=True,
    )
    assert ensemble.parsed and ensemble.extra_args == ["--mine", "7"]
    assert (ensemble.is_manager, ensemble.nworkers, ensemble.libE_specs.comms) == (True, 3, "threads")
    ensemble.run()
    assert saved() == ["mine_after_sim_8.npy"]
    ensemble.save_output("result")
    assert "result_history_length=8_evals=8_workers=3.npy" in saved()


def test_options_may_be_assigned_again_without_losing_others(comms):
    ensemble = small(comms)
    ensemble.libE_specs = LibeSpecs(comms=comms, nworkers=1, save_H_on_completion=True)
    ensemble.libE_specs = {"H_file_prefix": "mine"}
    ensemble.libE_specs["safe_mode"] = True
    assert (ensemble.nworkers, ensemble.libE_specs.safe_mode) == (1, True)
    H, _, _ = ensemble.run()
    assert saved() == ["mine_after_sim_8.npy"] and set(H["sim_worker"]) == {1}


def test_workers_alone_may_be_restated_with_local_comms():
    ensemble = small("local")
    ensemble.libE_specs = LibeSpecs(nworkers=1)
    assert set(ensemble.run()[0]["sim_worker"]) == {1}


def test_other_comms_are_refused_when_assigned_and_when_smuggled_in():
    ensemble = small("threads")
    with pytest.raises(ValueError, match=r"threads.*local"):
        ensemble.libE_specs = LibeSpecs(comms="local", nworkers=2)
    ensemble.libE_specs.comms = "local"
    with pytest.raises(ValueError, match=r"threads.*local"):
        ensemble.run()


def test_specs_can_be_used_like_dicts_up_to_the_run():
    ensemble = small()
    ensemble.gen_specs["user"].update(batch=2)
    ensemble.libE_specs["save_H_on_completion"] = True
    ensemble.exit_criteria["sim_max"] = 6
    assert "gen_f" in ensemble.gen_specs and ensemble.sim_specs.get("nothing", 3) == 3
    H, _, _ = ensemble.run()
    assert len(H) == 6 and saved() == ["libE_history_after_sim_6.npy"]


# ---- files

TABLES = {
    "sim_specs": {
        "sim_f": "tests.fakes.user_functions.double",
        "inputs": ["x"],
        "outputs": {"f": {"type": "float"}, "name": {"type": "U7"}, "v": {"type": "float", "size": 1}},
    },
    "gen_specs": {
        "gen_f": "tests.fakes.user_functions.count_up",
        "inputs": ["sim_id"],
        "outputs": {"x": {"type": "float"}, "grid": {"type": "int", "size": [2, 3]}},
        "user": {"batch": 4},
    },
    "alloc_specs": {
        "alloc_f": "libensemble.alloc_funcs.give_sim_work_first.give_sim_work_first",
        "user": {"num_active_gens": 1},
    },
    "exit_criteria": {"sim_max": 8},
    "libE_specs": {"comms": "threads", "nworkers": 2, "save_H_on_completion": True, "H_file_prefix": "filed"},
}


def as_yaml(value, indent=""):
    """The tables as YAML, by hand: mappings in block style, everything else as JSON, which YAML understands."""
    lines = []
    for key, inner in value.items():
        if isinstance(inner, dict):
            lines += [f"{indent}{key}:", as_yaml(inner, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {json.dumps(inner)}")
    return "\n".join(lines)


def as_toml(value, path=""):
    """The tables as TOML."""
    lines = [f"[{path}]"] if path else []
    lines += [f"{key} = {json.dumps(inner)}" for key, inner in value.items() if not isinstance(inner, dict)]
    lines += [
        as_toml(inner, f"{path}.{key}" if path else key) for key, inner in value.items() if isinstance(inner, dict)
    ]
    return "\n".join(lines)


WRITERS = {"yaml": as_yaml, "toml": as_toml, "json": json.dumps}


@pytest.mark.parametrize("kind", WRITERS)
def test_an_ensemble_can_come_from_a_file(kind):
    Path(f"specs.{kind}").write_text(WRITERS[kind](TABLES))
    ensemble = Ensemble()
    getattr(ensemble, f"from_{kind}")(f"specs.{kind}")
    assert (ensemble.is_manager, ensemble.nworkers) == (True, 2)
    H, _, flag = ensemble.run()
    assert (len(H), flag) == (8, 0) and H["f"].tolist() == [2.0 * x for x in range(8)]
    assert H.dtype["name"] == "U7" and H.dtype["v"].shape == (1,) and H.dtype["grid"].shape == (2, 3)
    assert saved() == ["filed_after_sim_8.npy"]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_completes_what_a_script_states(kind):
    tables = {name: TABLES[name] for name in ("sim_specs", "gen_specs", "exit_criteria")}
    Path("part").write_text(WRITERS[kind](tables))
    ensemble = Ensemble(libE_specs={"comms": "threads", "nworkers": 1})
    getattr(ensemble, f"from_{kind}")(Path("part"))
    ensemble.gen_specs.user["batch"] = 2
    assert len(ensemble.run()[0]) == 8


def test_a_file_is_merged_into_dicts_and_replaces_objects():
    Path("more.json").write_text(json.dumps({"gen_specs": {"in": ["x"], "user": {"batch": 3}}}))
    stated = specs("threads")
    from_dict, from_object = Ensemble(**stated), small()
    for ensemble in (from_dict, from_object):
        ensemble.from_json("more.json")
        assert ensemble.gen_specs.inputs == ["x"] and ensemble.gen_specs.user == {"batch": 3}
    assert from_dict.gen_specs.gen_f is user_functions.count_up
    assert from_object.gen_specs.gen_f is None
    assert len(from_dict.run()[0]) >= 8


@pytest.mark.parametrize(
    ("tables", "error", "words"),
    [
        ({"sim_spec": {}}, (AttributeError, KeyError), "sim_specs"),
        ({"sim_specs": {"sim_f": "tests.fakes.user_functions.dubble"}}, AttributeError, "dubble"),
        ({"sim_specs": {"sim_f": "tests.no_such_module.double"}}, ModuleNotFoundError, "no_such_module"),
        ({"sim_specs": {"sim_function": "x"}}, ValidationError, "sim_function"),
        ({"libE_specs": {"comms": "local", "nworkers": 2}}, ValueError, "threads"),
        ({"exit_criteria": {"sim_max": "many"}}, ValidationError, "sim_max"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_and_changes_nothing(tables, error, words, caplog):
    Path("wrong.json").write_text(json.dumps(tables))
    ensemble = small()
    with pytest.raises(error, match=words):
        ensemble.from_json("wrong.json")
    assert len(ensemble.run()[0]) == 8


def test_old_keys_in_a_file_are_understood_with_a_warning():
    Path("old.json").write_text(
        json.dumps(
            {
                "libE_specs": {"exit_criteria": {"sim_max": 5}},
                "sim_specs": {
                    "function": "tests.fakes.user_functions.double",
                    "inputs": ["x"],
                    "outputs": {"f": {"type": "float"}},
                },
            }
        )
    )
    ensemble = small()
    with pytest.warns(DeprecationWarning):
        ensemble.from_json("old.json")
    assert ensemble.run()[0]["sim_ended"].sum() == 5


# ---- typical scripts


def test_the_documented_short_form(comms):
    ensemble = Ensemble(libE_specs=LibeSpecs(comms=comms, nworkers=2))
    ensemble.sim_specs = SimSpecs(sim_f=user_functions.double, inputs=["x"], out=[("f", float)])
    ensemble.gen_specs = GenSpecs(
        gen_f=user_functions.count_up, inputs=["sim_id"], outputs=[("x", float)], user={"batch": 2}
    )
    ensemble.alloc_specs = AllocSpecs()
    ensemble.exit_criteria = ExitCriteria(sim_max=4)
    ensemble.add_random_streams()
    ensemble.run()
    if ensemble.is_manager:
        ensemble.save_output(__file__)
    assert saved()[0] == f"{Path(__file__).stem.removeprefix('test_')}_history_length=4_evals=4_workers=2.npy"
