"""Ensemble: who we are, how options from script, command line and files come together, what run() hands on."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from libensemble import ensemble as ensemble_module
from libensemble.ensemble import Ensemble
from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs
from libensemble.utils.current import current


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No MPI, no words on the command line, an empty directory."""
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.delenv("OMPI_COMM_WORLD_SIZE", raising=False)
    monkeypatch.delenv("PMI_SIZE", raising=False)
    monkeypatch.setattr(sys, "argv", ["run_it.py"])
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def argv(monkeypatch):
    return lambda words: monkeypatch.setattr(sys, "argv", ["run_it.py", *words.split()])


@pytest.fixture
def calls(monkeypatch):
    """Replace the run itself; return what it was called with."""
    seen = []

    def fake_libE(*args, **options):
        seen.append((args, options))
        return np.zeros(3, dtype=[("sim_ended", bool)]), {"from": "run"}, 0

    monkeypatch.setattr(ensemble_module, "libE", fake_libE)
    return seen


@pytest.fixture
def mpi(monkeypatch):
    def comm(size, rank):
        return SimpleNamespace(Get_size=lambda: size, Get_rank=lambda: rank)

    MPI = SimpleNamespace(COMM_WORLD=comm(8, 0), COMM_NULL=None)
    package = SimpleNamespace(MPI=MPI, rc=SimpleNamespace(initialize=True), comm=comm)
    monkeypatch.setitem(sys.modules, "mpi4py", package)
    return package


# ---- defaults


def test_two_ensembles_share_nothing():
    first, second = Ensemble(), Ensemble()
    first.nworkers = 2
    first.add_random_streams()
    first.gen_specs["user"]["lb"] = [0]
    first.exit_criteria["sim_max"] = 1
    assert second.persis_info == {} and second.gen_specs.user == {} and second.exit_criteria == {}
    assert second.libE_specs.nworkers == 0


def test_parts_are_kept_as_given():
    sim_specs, exit_criteria, persis_info = {"sim_f": len}, ExitCriteria(sim_max=1), {1: {}}
    ensemble = Ensemble(sim_specs=sim_specs, exit_criteria=exit_criteria, persis_info=persis_info)
    assert ensemble.sim_specs is sim_specs and ensemble.exit_criteria is exit_criteria
    assert ensemble.persis_info is persis_info and isinstance(ensemble.alloc_specs, AllocSpecs)


def test_ready_means_that_something_is_stated():
    assert not Ensemble().ready()
    assert Ensemble(exit_criteria=ExitCriteria(sim_max=1), libE_specs={"nworkers": 1}).ready() is True
    assert Ensemble(exit_criteria=ExitCriteria(sim_max=1), libE_specs=None).ready() is False


# ---- who we are


@pytest.mark.parametrize(
    ("libE_specs", "is_manager", "nworkers"),
    [
        (LibeSpecs(nworkers=4), True, 4),
        ({"nworkers": 4}, True, 4),
        ({"comms": "threads", "nworkers": 3}, True, 3),
        ({"comms": "tcp", "workers": ["a", "b"]}, True, 2),
        ({"comms": "tcp", "nworkers": 2, "workerID": 1}, False, 2),
        (None, False, 0),
    ],
)
def test_manager_and_workers_are_known_at_construction(libE_specs, is_manager, nworkers):
    ensemble = Ensemble(libE_specs=libE_specs)
    assert ensemble.is_manager is is_manager and ensemble.nworkers == nworkers


def test_local_comms_without_workers_are_refused():
    with pytest.raises(ValueError, match="nworkers"):
        Ensemble(libE_specs=LibeSpecs(comms="local"))


def test_mpi_says_how_many_we_are(mpi):
    ensemble = Ensemble(libE_specs=LibeSpecs(comms="mpi"))
    assert ensemble.is_manager and ensemble.nworkers == 7
    assert Ensemble().nworkers == 7


def test_mpi_uses_the_given_communicator(mpi):
    ensemble = Ensemble(libE_specs=LibeSpecs(comms="mpi", mpi_comm=mpi.comm(3, 1)))
    assert not ensemble.is_manager and ensemble.nworkers == 2


def test_mpi_that_was_asked_for_but_is_missing_is_an_error():
    with pytest.raises(ModuleNotFoundError, match=r"libensemble\[mpi\]"):
        Ensemble(libE_specs={"comms": "mpi"})


def test_the_bare_default_imports_no_mpi():
    ensemble = Ensemble()
    assert ensemble.is_manager and ensemble.nworkers == 0


def test_nworkers_can_be_assigned():
    ensemble = Ensemble(libE_specs={"nworkers": 2})
    ensemble.nworkers = 5
    assert ensemble.nworkers == ensemble.libE_specs.nworkers == 5
    fresh = Ensemble()
    fresh.nworkers = 3
    assert fresh.libE_specs.comms == "local" and fresh.nworkers == 3


# ---- the command line


def test_the_command_line_wins_over_the_script(argv):
    argv("--comms threads --nworkers 3 --depth 2")
    ensemble = Ensemble(parse_args=True, libE_specs=LibeSpecs(nworkers=8, safe_mode=True))
    assert ensemble.parsed and ensemble.is_manager and ensemble.nworkers == 3
    assert ensemble.libE_specs.comms == "threads" and ensemble.libE_specs.safe_mode is True
    assert ensemble.extra_args == ["--depth", "2"]


def test_the_script_holds_where_the_command_line_says_nothing(argv):
    argv("--depth 2 --nresource_sets 6")
    ensemble = Ensemble(parse_args=True, libE_specs={"nworkers": 8})
    assert ensemble.nworkers == 8 and ensemble.is_manager and ensemble.libE_specs.comms == "local"
    assert ensemble.libE_specs.num_resource_sets == 6 and ensemble.extra_args == ["--depth", "2"]


@pytest.mark.parametrize("libE_specs", [{"safe_mode": True}, LibeSpecs(safe_mode=True)])
def test_dict_and_object_both_go_with_the_command_line(argv, libE_specs):
    argv("-n 2")
    ensemble = Ensemble(parse_args=True, libE_specs=libE_specs)
    assert ensemble.libE_specs.safe_mode is True and ensemble.nworkers == 2


def test_a_client_is_no_manager(argv):
    argv("--comms client --server host 1234 key --workerID 2 -n 3")
    ensemble = Ensemble(parse_args=True)
    assert not ensemble.is_manager and ensemble.nworkers == 3 and ensemble.libE_specs.workerID == 2


def test_without_parse_args_the_command_line_is_not_read(argv):
    argv("-n 2")
    ensemble = Ensemble(libE_specs={"nworkers": 4})
    assert ensemble.nworkers == 4 and not ensemble.parsed and not hasattr(ensemble, "extra_args")


# ---- merging libE_specs


def test_assigned_libE_specs_are_merged_into_the_old_ones():
    ensemble = Ensemble(libE_specs=LibeSpecs(nworkers=4, safe_mode=True))
    ensemble.libE_specs = LibeSpecs(nworkers=6, profile=True)
    ensemble.libE_specs = {"worker_timeout": 5}
    specs = ensemble.libE_specs
    assert (specs.nworkers, specs.safe_mode, specs.profile, specs.worker_timeout) == (6, True, True, 5)


def test_merged_keys_are_checked_and_all_or_none_are_taken():
    ensemble = Ensemble(libE_specs={"nworkers": 4})
    with pytest.raises(ValidationError, match="Did you mean 'safe_mode'"):
        ensemble.libE_specs = {"profile": True, "safe_mod": True}
    assert ensemble.libE_specs.profile is False


@pytest.mark.parametrize("other", [{"comms": "threads"}, LibeSpecs(comms="threads", nworkers=2)])
def test_comms_cannot_become_other_ones(other):
    ensemble = Ensemble(libE_specs={"nworkers": 4, "profile": True})
    with pytest.raises(ValueError, match="'threads'"):
        ensemble.libE_specs = other
    assert ensemble.libE_specs.comms == "local" and ensemble.nworkers == 4
    ensemble.libE_specs = {"comms": "local"}


def test_comms_changed_behind_our_back_are_noticed_at_run(calls):
    ensemble = Ensemble(libE_specs={"nworkers": 4})
    ensemble.libE_specs.comms = "threads"
    with pytest.raises(ValueError, match="comms"):
        ensemble.run()
    assert calls == []


def test_comms_that_nobody_stated_may_still_be_chosen():
    ensemble = Ensemble()
    ensemble.libE_specs = LibeSpecs(nworkers=4)
    assert ensemble.is_manager and ensemble.nworkers == 4 and ensemble.libE_specs.comms == "local"
    late = Ensemble(libE_specs=None)
    late.libE_specs = {"comms": "threads", "nworkers": 2}
    assert late.is_manager and late.nworkers == 2


def test_specs_can_be_used_like_dicts():
    ensemble = Ensemble(libE_specs={"nworkers": 2}, gen_specs=GenSpecs(user={"lb": 0}))
    ensemble.libE_specs["safe_mode"] = True
    ensemble.gen_specs["user"].update(ub=1)
    assert ensemble.libE_specs.safe_mode is True and ensemble.gen_specs.user == {"lb": 0, "ub": 1}


# ---- files


def write(path, **tables):
    path.write_text(json.dumps(tables))
    return path


def test_a_file_is_merged_into_dicts_and_takes_the_place_of_objects(tmp_path):
    ensemble = Ensemble(
        sim_specs={"in": ["x"], "user": {"a": 1}},
        gen_specs=GenSpecs(inputs=["old"]),
        libE_specs={"nworkers": 4, "profile": True},
    )
    ensemble.from_json(
        write(
            tmp_path / "specs.json",
            sim_specs={"sim_f": "math.sqrt", "inputs": ["y"], "outputs": {"f": {"type": "float"}}},
            gen_specs={"gen_f": "math.cos"},
            libE_specs={"safe_mode": True, "nworkers": 6},
            exit_criteria={"sim_max": 3},
        )
    )
    assert isinstance(ensemble.sim_specs, SimSpecs)
    assert ensemble.sim_specs.inputs == ["x"]  # of two spellings the short one stays
    assert ensemble.sim_specs.user == {"a": 1} and ensemble.sim_specs.outputs == [("f", float)]
    assert ensemble.gen_specs == GenSpecs(gen_f="math.cos")
    assert ensemble.libE_specs.safe_mode and ensemble.libE_specs.profile and ensemble.nworkers == 6
    assert ensemble.exit_criteria == ExitCriteria(sim_max=3)


def test_a_file_may_choose_comms_that_nobody_stated(tmp_path):
    ensemble = Ensemble()
    ensemble.from_json(write(tmp_path / "specs.json", libE_specs={"nworkers": 3}))
    assert ensemble.nworkers == 3 and ensemble.libE_specs.comms == "local"
    with pytest.raises(ValueError, match="threads"):
        ensemble.from_json(write(tmp_path / "other.json", libE_specs={"comms": "threads"}))


@pytest.mark.parametrize(
    ("kind", "text"), [("yaml", "exit_criteria: {sim_max: 4}"), ("toml", "[exit_criteria]\nsim_max = 4")]
)
def test_yaml_and_toml_are_read_too(tmp_path, kind, text):
    if kind == "yaml":
        pytest.importorskip("yaml")
    path = tmp_path / "specs"
    path.write_text(text)
    ensemble = Ensemble()
    getattr(ensemble, f"from_{kind}")(str(path))
    assert ensemble.exit_criteria == ExitCriteria(sim_max=4)


def test_final_fields_in_a_file_is_translated_with_one_warning(tmp_path):
    ensemble = Ensemble(libE_specs={"nworkers": 1})
    with pytest.warns(DeprecationWarning) as warned:
        ensemble.from_json(write(tmp_path / "specs.json", libE_specs={"final_fields": ["x"]}))
    assert len(warned) == 1 and ensemble.libE_specs.final_gen_send is True


def test_an_unknown_key_in_a_file_is_refused(tmp_path):
    with pytest.raises(ValidationError, match="Did you mean 'sim_max'"):
        Ensemble().from_json(write(tmp_path / "specs.json", exit_criteria={"simmax": 3}))


# ---- run and after


def test_run_hands_on_what_is_stated_and_keeps_what_comes_back(calls):
    ensemble = Ensemble(libE_specs={"nworkers": 2}, exit_criteria={"sim_max": 3}, H0="rows")
    H, persis_info, flag = ensemble.run()
    assert H is ensemble.H and persis_info is ensemble.persis_info and flag == ensemble.flag == 0
    args, options = calls[0]
    assert args == (ensemble.sim_specs, ensemble.gen_specs, {"sim_max": 3})
    assert options["libE_specs"] is ensemble.libE_specs and options["alloc_specs"] is ensemble.alloc_specs
    assert options["persis_info"] == {} and options["H0"] == "rows"


def test_a_second_run_goes_on_with_persis_info_and_the_same_H0(calls):
    ensemble = Ensemble(libE_specs={"nworkers": 2})
    ensemble.run()
    ensemble.run(H0="others")
    assert calls[1][1]["persis_info"] == {"from": "run"} and calls[1][1]["H0"] == "others"
    assert ensemble.H0 is None


def test_run_registers_the_executor(calls, monkeypatch):
    executor = object()
    monkeypatch.setattr(current._slot, "executor", None)
    Ensemble(libE_specs={"nworkers": 2}, executor=executor).run()
    assert current.executor is executor


@pytest.mark.parametrize(("given", "ids"), [({}, [0, 1, 2]), ({"num_streams": 4}, [0, 1, 2, 3, 4])])
def test_random_streams_are_for_every_worker_and_id_0(given, ids):
    ensemble = Ensemble(libE_specs={"nworkers": 2})
    assert ensemble.add_random_streams(**given) is ensemble.persis_info
    assert sorted(ensemble.persis_info) == ids
    assert all("rand_stream" in ensemble.persis_info[i] for i in ids)


def test_random_streams_can_be_seeded():
    first, second = (Ensemble(libE_specs={"nworkers": 1}).add_random_streams(seed=7) for _ in range(2))
    assert first[1]["rand_stream"].random() == second[0]["rand_stream"].random()


def test_output_is_saved_in_the_workflow_dir(calls, tmp_path):
    (tmp_path / "flow").mkdir()
    ensemble = Ensemble(libE_specs={"comms": "threads", "nworkers": 2, "workflow_dir_path": "flow"})
    ensemble.run()
    ensemble.save_output("run_it.py", append_attrs=False)
    assert sorted(path.name for path in (tmp_path / "flow").iterdir()) == ["run_it.npy", "run_it.pickle"]


def test_only_the_manager_saves_output(calls, tmp_path):
    ensemble = Ensemble(libE_specs={"comms": "tcp", "nworkers": 2, "workerID": 1})
    ensemble.run()
    ensemble.save_output("run_it.py")
    assert list(tmp_path.iterdir()) == []


def test_there_is_nothing_to_save_before_the_run():
    with pytest.raises(ValueError, match="run"):
        Ensemble(libE_specs={"nworkers": 2}).save_output("run_it.py")
