"""Directories of whole runs: where user functions are, what lies there, what the run leaves and where."""

import glob
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from libensemble import Ensemble
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.errors import LoggedException
from tests.fakes import functions_of_files as user
from tests.fakes.ensembles import run, specs

SIM = {"out": user.SIM_OUT, "user": {}}
GEN = {"out": user.GEN_OUT, "user": {}}


def located(comms, nworkers=2, sim_max=4, sim=None, gen=None, **options):
    """Run an ensemble whose functions say where they are."""
    return run(
        comms,
        nworkers,
        sim_f=user.located_sim,
        gen_f=options.pop("gen_f", user.located_points),
        sim={**SIM, **(sim or {})},
        gen={**GEN, **(gen or {})},
        sim_max=sim_max,
        **options,
    )


def seen(H, field, top=None):
    """Return the set of directories in a field, relative to `top` (default: here)."""
    return {os.path.relpath(path, top or os.getcwd()) for path in H[field]}


@pytest.fixture
def launch(own_folder, monkeypatch):
    """The directory where a run is launched: files it may use lie elsewhere."""
    folder = own_folder / "launch"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    assert os.getcwd() == str(folder), "the run moved the process"


@pytest.fixture
def deck(own_folder):
    """A directory with inputs."""
    folder = own_folder / "deck"
    (folder / "mesh").mkdir(parents=True)
    (folder / "mesh" / "nodes").write_text("1 2 3")
    (folder / "factor").write_text("2.5")
    return folder


# -- Which directory

SIMS = {f"sim000{row}" for row in range(4)}
E = "ensemble/"
TABLE = {
    "none": ({}, {"."}, {"."}),
    "sims": ({"sim_dirs_make": True}, {E + name for name in SIMS}, {"."}),
    "gens": ({"gen_dirs_make": True}, {"."}, {E + "gen0001"}),
    "both": ({"sim_dirs_make": True, "gen_dirs_make": True}, {E + name for name in SIMS}, {E + "gen0001"}),
    "workers": ({"use_worker_dirs": True}, {E + "worker1"}, {E + "worker1"}),
    "workers, sims": (
        {"use_worker_dirs": True, "sim_dirs_make": True},
        {E + "worker1/" + name for name in SIMS},
        {E + "worker1"},
    ),
    "workers, gens": (
        {"use_worker_dirs": True, "gen_dirs_make": True},
        {E + "worker1"},
        {E + "worker1/gen0001"},
    ),
    "workers, both": (
        {"use_worker_dirs": True, "sim_dirs_make": True, "gen_dirs_make": True},
        {E + "worker1/" + name for name in SIMS},
        {E + "worker1/gen0001"},
    ),
    "copies for sims": ({"sim_dir_copy_files": ["factor"]}, {"ensemble"}, {"."}),
    "links for sims": ({"sim_dir_symlink_files": ["factor"]}, {"ensemble"}, {"."}),
    "copies for gens": ({"gen_dir_copy_files": ["factor"]}, {"."}, {"ensemble"}),
    "links for gens": ({"gen_dir_symlink_files": ["factor"]}, {"."}, {"ensemble"}),
    "copy back": ({"ensemble_copy_back": True}, {"ensemble"}, {"ensemble"}),
    "input of sims": ({"sim_input_dir": "mesh"}, {E + name for name in SIMS}, {"."}),
    "input of gens": ({"gen_input_dir": "mesh"}, {"."}, {E + "gen0001"}),
}


def with_paths(options, deck):
    """Put the directory of the inputs before their names."""

    def full(value):
        if isinstance(value, list):
            return [str(deck / name) for name in value]
        return str(deck / value) if isinstance(value, str) else value

    return {key: full(value) for key, value in options.items()}


@pytest.mark.parametrize("row", TABLE)
def test_the_options_say_where_user_functions_run(comms, row, launch, deck):
    options, sims, gens = TABLE[row]
    H, _, _ = located(comms, nworkers=1, **with_paths(options, deck))
    assert seen(H, "sim_cwd") == sims
    assert seen(H, "gen_cwd") == gens
    assert Path("ensemble").exists() == any(path != "." for path in sims | gens), "made only if something asks for it"


@pytest.mark.parametrize("row", ["none", "both", "workers", "copies for sims"])
def test_with_a_workflow_directory_everything_is_in_there(comms, row, launch, deck):
    options, sims, gens = TABLE[row]
    H, _, _ = located(comms, nworkers=1, workflow_dir_path="flow", **with_paths(options, deck))
    assert seen(H, "sim_cwd", "flow") == sims
    assert seen(H, "gen_cwd", "flow") == gens
    assert os.listdir() == ["flow"]


def test_workers_are_apart(comms, launch):
    H, _, _ = located(comms, nworkers=3, sim_max=12, gen={"user": {"batch": 12}}, use_worker_dirs=True)
    where = {(int(by), os.path.basename(cwd)) for by, cwd in zip(H["by"], H["sim_cwd"])}
    assert len(where) > 1
    assert all(name == f"worker{by}" for by, name in where)


def test_a_persistent_function_has_one_directory_for_life(comms, launch):
    H, persis_info, _ = located(
        comms,
        sim_max=8,
        gen_f=user.persistent_located_points,
        gen={"persis_in": ["f"]},
        alloc={"alloc_f": only_persistent_gens},
        sim_dirs_make=True,
        gen_dirs_make=True,
    )
    (cwds,) = [info["cwds"] for info in persis_info.values() if isinstance(info, dict) and "cwds" in info]
    assert len(cwds) >= 2
    assert {os.path.relpath(cwd) for cwd in cwds} == seen(H, "gen_cwd") == {"ensemble/gen0001"}
    assert {f"ensemble/sim000{row}" for row in range(8)} <= seen(H, "sim_cwd")


@pytest.mark.parametrize(
    ("options", "where"),
    [({"gen_dirs_make": True}, "ensemble/gen0001"), ({"use_worker_dirs": True}, "ensemble/worker0"), ({}, ".")],
)
def test_a_generator_on_the_manager_has_its_directory(comms, options, where, launch):
    H, _, _ = located(comms, gen_on_manager=True, **options)
    assert seen(H, "gen_cwd") == {where}
    assert set(H["gen_worker"]) == {0}


def test_threaded_user_functions_are_there_too(comms, launch):
    H, _, _ = located(comms, sim={"threaded": True}, sim_dirs_make=True)
    assert seen(H, "sim_cwd") == {E + name for name in SIMS}


def test_a_function_that_changes_directory_moves_nobody_else(comms, launch, own_folder):
    H, _, _ = run(
        comms,
        3,
        sim_f=user.sim_that_moves,
        gen_f=user.located_points,
        sim={"out": user.SIM_OUT, "user": {"at": str(own_folder)}},
        gen={"out": user.GEN_OUT, "user": {"batch": 9}},
        sim_max=9,
    )
    assert len(set(H["by"])) > 1
    assert all(cwd == str(own_folder / f"worker{by}") for by, cwd in zip(H["by"], H["sim_cwd"]))
    assert os.path.exists("ensemble.log")


@pytest.mark.parametrize("method", ["spawn", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_workers_of_any_start_method_find_the_launch_directory(method, launch, deck, monkeypatch):
    import multiprocessing

    context = multiprocessing.get_context(method)
    monkeypatch.setattr(multiprocessing, "get_context", lambda *_: context)
    H, _, _ = located("local", nworkers=1, sim_dirs_make=True, sim_dir_copy_files=[str(deck / "factor")])
    assert seen(H, "sim_cwd") == {E + name for name in SIMS}
    assert seen(H, "gen_cwd") == {"."}


# -- Names


def test_several_rows_are_ranges_in_the_name(comms, launch):
    H, _, _ = located(
        comms,
        nworkers=1,
        gen={"user": {"batch": 5}, "out": [*user.GEN_OUT, ("priority", float)]},
        alloc={"user": {"give_all_with_same_priority": True}},
        sim_max=5,
        sim_dirs_make=True,
    )
    assert seen(H, "sim_cwd") == {"ensemble/sim00-4"}


@pytest.mark.parametrize(("width", "name"), [(1, "sim3"), (2, "sim03"), (7, "sim0000003")])
def test_the_width_of_numbers_can_be_set(width, name, launch):
    located("threads", sim_dirs_make=True, calc_dir_id_width=width)
    assert os.path.isdir(f"ensemble/{name}")


def test_generators_count_over_all_workers(comms, launch):
    located(comms, nworkers=3, sim_max=12, gen={"user": {"batch": 3}}, gen_dirs_make=True)
    numbers = re.findall(r"Gen no +(\d+):", Path("libE_stats.txt").read_text())
    assert len(numbers) == len(set(numbers)) >= 4
    assert sorted(os.listdir("ensemble")) == sorted(f"gen{int(number):04d}" for number in numbers)


# -- Contents


def listed(comms, **options):
    H, _, _ = run(comms, sim_f=user.listing_sim, sim={"out": [("listing", "U1000")]}, sim_max=4, **options)
    assert len(set(H["listing"])) == 1, "the same for every call"
    return H["listing"][0].split()


def test_an_input_directory_is_copied_to_every_call(comms, launch, deck):
    assert listed(comms, sim_input_dir=deck) == ["factor", "mesh"]
    assert Path("ensemble/sim0003/mesh/nodes").read_text() == "1 2 3"


def test_listed_files_and_directories_are_copied(comms, launch, deck):
    assert listed(comms, sim_dirs_make=True, sim_dir_copy_files=[deck / "factor", deck / "mesh"]) == ["factor", "mesh"]
    assert Path("ensemble/sim0002/mesh/nodes").is_file()


def test_links_are_absolute_and_copies_go_before_links(comms, launch, deck):
    both = [str(deck / "factor")]
    links = [*both, str(deck / "mesh")]
    assert listed(comms, sim_dirs_make=True, sim_dir_copy_files=both, sim_dir_symlink_files=links) == [
        "factor",
        f"mesh->{deck / 'mesh'}",
    ]


def test_generators_have_files_of_their_own(comms, launch, deck):
    H, _, _ = located(comms, gen_dirs_make=True, gen_dir_symlink_files=[deck / "factor"], sim_dirs_make=True)
    assert os.readlink("ensemble/gen0001/factor") == str(deck / "factor")
    assert not os.path.lexists("ensemble/sim0000/factor")


@pytest.mark.parametrize("kind", ["sim_dir_copy_files", "sim_dir_symlink_files", "sim_input_dir"])
def test_relative_paths_are_seen_from_the_launch_directory(comms, kind, launch):
    os.mkdir("inputs")
    Path("inputs/factor").write_text("4.0")
    value = "inputs" if kind == "sim_input_dir" else ["inputs/factor"]
    H, _, _ = located(
        comms, sim={"user": {"reads": "factor"}}, workflow_dir_path="flow", sim_dirs_make=True, **{kind: value}
    )
    assert set(H["f"]) == {4.0}
    assert seen(H, "sim_cwd") == {f"flow/ensemble/{name}" for name in SIMS}


def test_relative_paths_stay_what_they_were_when_stated(comms, launch, monkeypatch):
    Path("factor").write_text("4.0")
    stated = specs(
        comms, sim_f=user.located_sim, gen_f=user.located_points, gen=GEN, sim={**SIM, "user": {"reads": "factor"}}
    )
    options = {**stated.pop("libE_specs"), "sim_dirs_make": True, "sim_dir_copy_files": ["factor"]}
    ensemble = Ensemble(**stated, libE_specs=options)
    os.mkdir("elsewhere")
    with monkeypatch.context() as moved:
        moved.chdir("elsewhere")
        H, _, _ = ensemble.run()
        assert seen(H, "sim_cwd") >= {E + name for name in SIMS}
    assert set(H["f"]) == {4.0}


def test_a_shared_directory_keeps_what_calls_wrote(comms, launch, deck):
    H, _, _ = located(comms, nworkers=3, sim_max=12, gen={"user": {"batch": 12}}, sim_dir_copy_files=[deck / "factor"])
    assert seen(H, "sim_cwd") == {"ensemble"}
    assert sorted(os.listdir("ensemble")) == ["factor", "made_by_sim"]
    assert len(Path("ensemble/made_by_sim").read_text().splitlines()) == 12


def something_in_the_way(H, persis_info, gen_specs, libE_info):
    (Path(gen_specs["user"]["at"]) / "ensemble" / "sim0000" / gen_specs["user"]["name"]).mkdir(parents=True)
    return user.located_points(H, persis_info, gen_specs, libE_info)


def test_a_directory_in_the_way_of_an_input_ends_the_run(comms, launch, deck, capfd):
    blocked = {"user": {"at": str(launch), "name": "mesh"}}
    with pytest.raises(LoggedException, match=r"FileExistsError.*mesh"):
        located(comms, gen_f=something_in_the_way, gen=blocked, sim_input_dir=deck)


def test_with_reuse_it_is_replaced(comms, launch, deck):
    blocked = {"user": {"at": str(launch), "name": "mesh"}}
    located(comms, gen_f=something_in_the_way, gen=blocked, sim_input_dir=deck, reuse_output_dir=True)
    assert os.listdir("ensemble/sim0000/mesh") == ["nodes"]


# -- The ensemble directory


@pytest.mark.parametrize("path", ["evaluations", "deep/evaluations", "ensemble.v2"])
@pytest.mark.parametrize("flow", [None, "flow"])
def test_a_relative_ensemble_directory_lies_in_the_run(comms, path, flow, launch):
    workflow = {"workflow_dir_path": flow} if flow else {}
    H, _, _ = located(comms, ensemble_dir_path=path, sim_dirs_make=True, **workflow)
    assert seen(H, "sim_cwd", flow) == {f"{path}/{name}" for name in SIMS}


def test_an_absolute_ensemble_directory_stays(comms, launch, own_folder):
    H, _, _ = located(comms, ensemble_dir_path=own_folder / "scratch", sim_dirs_make=True, workflow_dir_path="flow")
    assert seen(H, "sim_cwd", own_folder / "scratch") == SIMS
    assert not os.path.exists("flow/ensemble")


def test_a_used_ensemble_directory_with_something_in_it_is_refused_before_any_worker_starts(comms, launch, capfd):
    os.makedirs("ensemble/sim0000")
    with pytest.raises(LoggedException) as raised:
        located(comms, sim_dirs_make=True)
    text = str(raised.value)
    assert str(launch / "ensemble") in text
    assert "reuse_output_dir" in text
    assert "sim_id" not in Path("libE_stats.txt").read_text(), "no worker has been at work"
    assert os.listdir("ensemble") == ["sim0000"]
    shown = capfd.readouterr().err
    assert shown.count("exists and is not empty") >= 1
    assert "Gen no" not in Path("libE_stats.txt").read_text()


@pytest.mark.parametrize("options", [{}, {"workflow_dir_path": "flow", "sim_dirs_make": True}])
def test_a_directory_that_the_run_does_not_write_to_is_no_obstacle(comms, options, launch):
    os.makedirs("ensemble/sim0000")
    _, _, flag = located(comms, **options)
    assert flag == 0
    assert os.listdir("ensemble/sim0000") == []


def test_an_empty_ensemble_directory_is_no_obstacle(comms, launch):
    os.mkdir("ensemble")
    H, _, _ = located(comms, sim_dirs_make=True)
    assert seen(H, "sim_cwd") == {E + name for name in SIMS}


def test_the_check_looks_into_the_workflow_directory(comms, launch, capfd):
    options = {"workflow_dir_path": "flow", "ensemble_dir_path": "evaluations", "sim_dirs_make": True}
    located(comms, **options)
    with pytest.raises(LoggedException, match="flow/evaluations"):
        located(comms, **options)


def test_reused_directories_are_entered_again_and_keep_their_files(comms, launch, deck):
    options = {"sim_dirs_make": True, "sim_dir_copy_files": [deck / "mesh"], "reuse_output_dir": True}
    for _ in range(2):
        H, _, _ = located(comms, **options)
        assert seen(H, "sim_cwd") == {E + name for name in SIMS}
    assert len(Path("ensemble/sim0001/made_by_sim").read_text().splitlines()) == 2


# -- Copy back


def files_under(folder):
    return {os.path.relpath(path, folder) for path in glob.glob(f"{folder}/**", recursive=True) if os.path.isfile(path)}


def test_what_calls_left_is_copied_back(comms, launch, own_folder):
    located(
        comms,
        gen={"user": {"leaves": True}},
        ensemble_dir_path=own_folder / "node_local.tmp",
        sim_dirs_make=True,
        gen_dirs_make=True,
        ensemble_copy_back=True,
    )
    assert files_under("node_local_back") == {"gen0001/made_by_gen", *(f"{name}/made_by_sim" for name in SIMS)}


def test_copied_back_into_the_workflow_directory(comms, launch, own_folder):
    located(
        comms,
        ensemble_dir_path=own_folder / "scratch",
        sim_dirs_make=True,
        ensemble_copy_back=True,
        workflow_dir_path="not/there/yet",
    )
    assert files_under("not/there/yet/scratch_back") == {f"{name}/made_by_sim" for name in SIMS}
    assert os.listdir() == ["not"]


def test_the_copy_back_directory_needs_no_log_files_to_have_its_parents(comms, launch):
    located(comms, ensemble_copy_back=True, sim_dirs_make=True, workflow_dir_path="not/there", disable_log_files=True)
    assert sorted(os.listdir("not/there")) == ["ensemble", "ensemble_back"]


def test_worker_directories_are_copied_back_whole(comms, launch):
    H, _, _ = located(comms, nworkers=2, sim_dirs_make=True, use_worker_dirs=True, ensemble_copy_back=True)
    expected = {f"worker{by}/sim{row:04d}/made_by_sim" for row, by in enumerate(H["by"])}
    assert files_under("ensemble_back") == expected


def test_shared_files_are_copied_back(comms, launch):
    located(comms, gen={"user": {"leaves": True}}, ensemble_copy_back=True)
    assert files_under("ensemble_back") == {"made_by_sim", "made_by_gen"}


def test_links_are_copied_back_as_links(comms, launch, deck):
    located(comms, ensemble_copy_back=True, sim_dirs_make=True, sim_dir_symlink_files=[deck / "factor"])
    assert os.readlink("ensemble_back/sim0000/factor") == str(deck / "factor")


@pytest.mark.parametrize("more", [{}, {"use_worker_dirs": True}, {"workflow_dir_path": "flow"}])
def test_results_are_copied_back_after_an_error(comms, more, launch, capfd):
    with pytest.raises(LoggedException, match="no result for x = 3"):
        located(
            comms, nworkers=1, sim={"user": {"fails_at": [3.0]}}, sim_dirs_make=True, ensemble_copy_back=True, **more
        )
    top = "worker1/" if "use_worker_dirs" in more else ""
    flow = "flow/" if "workflow_dir_path" in more else ""
    assert files_under(f"{flow}ensemble_back") == {f"{top}{name}/made_by_sim" for name in SIMS}


def test_a_copy_back_directory_in_use_is_refused_unless_reused(comms, launch, capfd):
    options = {"sim_dirs_make": True, "ensemble_copy_back": True, "ensemble_dir_path": "scratch"}
    os.makedirs("scratch_back/sim0000/old")
    with pytest.raises(LoggedException, match="scratch_back"):
        located(comms, **options)
    located(comms, **options, reuse_output_dir=True)
    assert files_under("scratch_back") == {f"{name}/made_by_sim" for name in SIMS}
    assert not os.path.exists("scratch_back/sim0000/old"), "an existing target is removed first"


@pytest.fixture
def slow_copies(monkeypatch):
    """Copying a directory takes 0.3 s (workers are forked, or threads)."""
    copytree = shutil.copytree

    def slow(*args, **options):
        time.sleep(0.3)
        return copytree(*args, **options)

    monkeypatch.setattr(shutil, "copytree", slow)


def test_copies_that_take_longer_than_worker_timeout_are_finished(comms, launch, slow_copies):
    located(comms, nworkers=1, sim_dirs_make=True, ensemble_copy_back=True, worker_timeout=0)
    assert files_under("ensemble_back") == {f"{name}/made_by_sim" for name in SIMS}


def test_after_an_error_too(comms, launch, slow_copies, capfd):
    with pytest.raises(LoggedException, match="no result for x = 3"):
        located(
            comms,
            nworkers=1,
            sim={"user": {"fails_at": [3.0]}},
            sim_dirs_make=True,
            ensemble_copy_back=True,
            worker_timeout=0,
        )
    assert files_under("ensemble_back") == {f"{name}/made_by_sim" for name in SIMS}


@pytest.mark.slow
def test_a_worker_that_was_interrupted_copies_what_it_has_done(launch, slow_copies, capfd):
    stuck = {"user": {"fails_at": [3.0], "sleeps_at": {2.0: 30.0}}}
    begun = time.monotonic()
    with pytest.raises(LoggedException, match="no result for x = 3"):
        located("local", sim=stuck, sim_dirs_make=True, ensemble_copy_back=True, worker_timeout=0)
    assert time.monotonic() - begun < 15
    assert files_under("ensemble_back") == {f"{name}/made_by_sim" for name in SIMS}


@pytest.mark.slow
def test_threads_that_are_stuck_do_not_hold_up_the_copies(launch, capfd):
    stuck = {"user": {"fails_at": [3.0], "sleeps_at": {2.0: 6.0}}}
    begun = time.monotonic()
    with pytest.raises(LoggedException, match="no result for x = 3"):
        located("threads", sim=stuck, sim_dirs_make=True, ensemble_copy_back=True)
    assert time.monotonic() - begun < 5


def test_what_cannot_be_copied_back_is_named_in_the_log_and_the_rest_is_copied(comms, launch, capfd):
    located(
        comms,
        gen_f=something_in_the_way_of_copies,
        gen={"user": {"at": str(launch)}},
        sim_dirs_make=True,
        ensemble_copy_back=True,
    )
    assert files_under("ensemble_back") == {"sim0000", *(f"{name}/made_by_sim" for name in SIMS - {"sim0000"})}
    (line,) = [line for line in Path("ensemble.log").read_text().splitlines() if "could not be copied back" in line]
    assert re.match(r"\[[12]\] .*ensemble/sim0000 could not be copied back", line)


def something_in_the_way_of_copies(H, persis_info, gen_specs, libE_info):
    (Path(gen_specs["user"]["at"]) / "ensemble_back" / "sim0000").write_text("a file")
    return user.located_points(H, persis_info, gen_specs, libE_info)


# -- The workflow directory


def test_a_workflow_directory_gets_a_name(comms, launch):
    H, _, _ = located(comms, use_workflow_dir=True)
    (name,) = os.listdir()
    assert re.fullmatch(r"workflow_[0-9a-f]{6}", name)
    assert seen(H, "sim_cwd") == seen(H, "gen_cwd") == {name}, "manager and workers agree"


def test_two_runs_of_one_script_have_each_a_workflow_directory_of_their_own(launch):
    for _ in range(2):
        located("threads", use_workflow_dir=True)
    assert len(os.listdir()) == 2


def test_all_files_of_a_run_lie_in_its_workflow_directory(comms, launch):
    stated = specs(comms, workflow_dir_path="flow", save_every_k_sims=4, profile=True, sim_dirs_make=True)
    ensemble = Ensemble(**{**stated, "libE_specs": {**stated["libE_specs"], "ensemble_copy_back": True}})
    ensemble.run()
    ensemble.save_output("my_run.py")
    assert os.listdir() == ["flow"]
    names = set(os.listdir("flow"))
    assert names >= {"ensemble.log", "libE_stats.txt", "ensemble", "ensemble_back", "manager.prof"}
    assert any(name.startswith("libE_history_") for name in names)
    assert "my_run_history_length=8_evals=8_workers=2.npy" in names


def test_save_output_finds_a_workflow_directory_with_a_made_up_name(comms, launch):
    stated = specs(comms, use_workflow_dir=True)
    ensemble = Ensemble(**stated)
    ensemble.run()
    ensemble.save_output("my_run.py")
    (flow,) = os.listdir()
    assert {"ensemble.log", "my_run_history_length=8_evals=8_workers=2.npy"} <= set(os.listdir(flow))


def test_abort_files_lie_there_too(comms, launch, capfd):
    with pytest.raises(LoggedException):
        located(comms, nworkers=1, sim={"user": {"fails_at": [2.0]}}, workflow_dir_path="flow")
    assert os.listdir() == ["flow"]
    assert "libE_history_at_abort_2.npy" in os.listdir("flow")


def test_an_existing_workflow_directory_is_used_again(comms, launch):
    for _ in range(2):
        located(comms, workflow_dir_path="flow")
    text = Path("flow/libE_stats.txt").read_text()
    assert text.count("Starting ensemble at") == 2
    assert Path("flow/ensemble.log").read_text().count("Exit test reached") == 2


def test_the_next_run_does_not_stay_in_the_workflow_directory_of_the_last(comms, launch):
    located(comms, workflow_dir_path="flow")
    before = Path("flow/ensemble.log").read_bytes(), Path("flow/libE_stats.txt").read_bytes()
    H, _, _ = located(comms)
    assert seen(H, "sim_cwd") == {"."}
    assert {"ensemble.log", "libE_stats.txt"} <= set(os.listdir())
    assert (Path("flow/ensemble.log").read_bytes(), Path("flow/libE_stats.txt").read_bytes()) == before


def test_nothing_is_lost_of_many_small_directories(comms, launch):
    count = 60
    H, _, _ = located(
        comms, nworkers=3, sim_max=count, gen={"user": {"batch": count}}, sim_dirs_make=True, ensemble_copy_back=True
    )
    assert np.array_equal([os.path.basename(cwd) for cwd in H["sim_cwd"]], [f"sim{row:04d}" for row in range(count)])
    assert len(files_under("ensemble_back")) == count
