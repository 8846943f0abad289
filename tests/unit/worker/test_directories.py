"""Rules of the folders that calculations run in: which, where, named how, holding what, copied where."""

import logging
import os
import threading

import pytest

from libensemble.errors import DirectoryError
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG
from libensemble.utils.loc_stack import LocationStack, check_own_directory
from libensemble.utils.output_directory import EnsembleDirectory
from libensemble.worker import directories
from libensemble.worker.directories import CalcDirectories, prepare_run, uses_directories

SIM, GEN = EVAL_SIM_TAG, EVAL_GEN_TAG


@pytest.fixture(autouse=True)
def launch(tmp_path, monkeypatch):
    """The directory where a run is launched."""
    path = tmp_path / "launch"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def inputs(tmp_path):
    folder = tmp_path / "inputs"
    (folder / "deck").mkdir(parents=True)
    (folder / "deck" / "part").write_text("part")
    (folder / "in.txt").write_text("in")
    return folder


def where(folders, calc_type, rows=(0,), gen_no=1):
    """Return where a call runs, relative to the launch directory."""
    launch = os.getcwd()
    with folders.enter(calc_type, rows, gen_no):
        return os.path.relpath(os.getcwd(), launch)


# -- Which directory (E: the ensemble directory, launch directory: ".")

TABLE = [
    ({}, ".", "."),
    ({"sim_dirs_make": True}, "ensemble/sim0000", "."),
    ({"gen_dirs_make": True}, ".", "ensemble/gen0001"),
    ({"sim_dirs_make": True, "gen_dirs_make": True}, "ensemble/sim0000", "ensemble/gen0001"),
    ({"use_worker_dirs": True}, "ensemble/worker1", "ensemble/worker1"),
    ({"use_worker_dirs": True, "sim_dirs_make": True}, "ensemble/worker1/sim0000", "ensemble/worker1"),
    (
        {"use_worker_dirs": True, "sim_dirs_make": True, "gen_dirs_make": True},
        "ensemble/worker1/sim0000",
        "ensemble/worker1/gen0001",
    ),
    ({"sim_dir_copy_files": ["in.txt"]}, "ensemble", "."),
    ({"sim_dir_symlink_files": ["in.txt"]}, "ensemble", "."),
    ({"gen_dir_copy_files": ["in.txt"]}, ".", "ensemble"),
    ({"gen_dir_symlink_files": ["in.txt"]}, ".", "ensemble"),
    ({"ensemble_copy_back": True}, "ensemble", "ensemble"),
    ({"sim_input_dir": "deck"}, "ensemble/sim0000", "."),
    ({"gen_input_dir": "deck"}, ".", "ensemble/gen0001"),
]


@pytest.mark.parametrize(("options", "sim", "gen"), TABLE)
def test_where_user_functions_run(options, sim, gen, inputs):
    def absolute(value):
        return [str(inputs / name) for name in value] if isinstance(value, list) else str(inputs / value)

    specs = {key: value if value is True else absolute(value) for key, value in options.items()}
    folders = CalcDirectories(specs, 1)
    assert folders.active(SIM) is uses_directories(specs, SIM) is (sim != ".")
    assert folders.active(GEN) is uses_directories(specs, GEN) is (gen != ".")
    assert (where(folders, SIM), where(folders, GEN)) == (sim, gen)


def test_a_call_comes_back_also_after_an_error(launch):
    folders = CalcDirectories({"sim_dirs_make": True}, 1)
    with pytest.raises(ZeroDivisionError), folders.enter(SIM, [3], 1) as path:
        assert path == os.getcwd() == str(launch / "ensemble" / "sim0003")
        raise ZeroDivisionError
    assert os.getcwd() == str(launch)


def test_what_is_not_asked_for_is_not_made(launch):
    with CalcDirectories({}, 1).enter(SIM, [0], 1) as path:
        assert path is None
    assert os.listdir(launch) == []


# -- Names


@pytest.mark.parametrize(
    ("rows", "width", "name"),
    [
        ([7], 4, "sim0007"),
        ([0, 1, 2, 3, 4], 4, "sim00-4"),
        ([0, 1, 2, 5, 7, 8], 4, "sim0-2_5_7-8"),
        ([123456], 4, "sim123456"),
        ([7], 6, "sim000007"),
        ([7], 1, "sim7"),
    ],
)
def test_names_of_simulations(rows, width, name):
    assert CalcDirectories({"calc_dir_id_width": width}, 1).name(SIM, rows, 9) == name


def test_generators_are_numbered_over_all_workers():
    specs = {"gen_dirs_make": True}
    assert where(CalcDirectories(specs, 1), GEN, gen_no=1) == "ensemble/gen0001"
    assert where(CalcDirectories(specs, 2), GEN, gen_no=2) == "ensemble/gen0002"


def test_names_that_no_file_system_takes_are_shortened():
    folders = CalcDirectories({"sim_dirs_make": True}, 1)
    names = {folders.name(SIM, list(range(0, 2000, step)), 1) for step in (2, 3)}
    assert len(names) == 2
    assert all(len(name) < 255 for name in names)
    assert where(folders, SIM, list(range(0, 2000, 2)))


# -- Contents


def test_an_input_directory_is_copied_entry_by_entry(inputs, launch):
    folders = CalcDirectories({"sim_input_dir": inputs}, 1)
    for row in (0, 1):
        with folders.enter(SIM, [row], 1) as path:
            assert sorted(os.listdir()) == ["deck", "in.txt"]
            (launch / path / "deck" / "part").write_text("changed")
    assert (inputs / "deck" / "part").read_text() == "part"


def test_copied_and_linked_files(inputs):
    specs = {
        "sim_dirs_make": True,
        "sim_dir_copy_files": [inputs / "in.txt"],
        "sim_dir_symlink_files": [inputs / "in.txt", inputs / "deck"],
    }
    with CalcDirectories(specs, 1).enter(SIM, [0], 1):
        assert not os.path.islink("in.txt")
        assert os.readlink("deck") == str(inputs / "deck")


def test_sims_and_gens_have_files_of_their_own(inputs):
    specs = {"gen_dirs_make": True, "sim_dirs_make": True, "gen_dir_copy_files": [inputs / "in.txt"]}
    folders = CalcDirectories(specs, 1)
    with folders.enter(SIM, [0], 1):
        assert os.listdir() == []
    with folders.enter(GEN, [], 1):
        assert os.listdir() == ["in.txt"]


def test_shared_directories_keep_what_calls_left(inputs, launch):
    specs = {"use_worker_dirs": True, "sim_dir_copy_files": [inputs / "in.txt", inputs / "deck"]}
    folders = CalcDirectories(specs, 1)
    with folders.enter(SIM, [0], 1):
        (launch / "ensemble" / "worker1" / "in.txt").write_text("mine")
    with folders.enter(SIM, [1], 1), open("in.txt") as file:
        assert file.read() == "mine"
    with CalcDirectories(specs, 1).enter(SIM, [2], 1), open("in.txt") as file:
        assert file.read() == "mine"


def test_a_call_directory_with_other_things_is_an_error(inputs, launch):
    (launch / "ensemble" / "sim0000" / "deck").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="deck"):
        where(CalcDirectories({"sim_input_dir": inputs}, 1), SIM)
    assert where(CalcDirectories({"sim_input_dir": inputs, "reuse_output_dir": True}, 1), SIM) == "ensemble/sim0000"


def test_reused_call_directories_keep_files_of_user_functions(inputs, launch):
    left = launch / "ensemble" / "sim0000" / "left"
    left.parent.mkdir(parents=True)
    left.write_text("x")
    where(CalcDirectories({"sim_input_dir": inputs, "reuse_output_dir": True}, 1), SIM)
    assert left.exists()


# -- Where the ensemble directory lies


@pytest.mark.parametrize("name", ["ensemble", "evaluations", "deep/evaluations"])
def test_relative_ensemble_directories_lie_in_the_workflow_directory(name, launch):
    specs = {
        "sim_dirs_make": True,
        "use_workflow_dir": True,
        "workflow_dir_path": launch / "flow",
        "ensemble_dir_path": name,
    }
    with CalcDirectories(specs, 1).enter(SIM, [0], 1) as path:
        assert path == str(launch / "flow" / name / "sim0000")


def test_absolute_ensemble_directories_stay(tmp_path, launch):
    specs = {"sim_dirs_make": True, "ensemble_dir_path": tmp_path / "scratch" / "ens"}
    with CalcDirectories(specs, 1).enter(SIM, [0], 1) as path:
        assert path == str(tmp_path / "scratch" / "ens" / "sim0000")


def test_a_worker_is_at_home_in_the_workflow_directory(launch):
    specs = {"use_workflow_dir": True, "workflow_dir_path": str(launch / "a" / "flow")}
    with CalcDirectories(specs, 1).home() as home:
        assert os.getcwd() == str(home) == str(launch / "a" / "flow")
    assert os.getcwd() == str(launch)


# -- Before the run


def test_a_used_ensemble_directory_with_content_is_refused(launch):
    (launch / "ensemble" / "sim0000").mkdir(parents=True)
    with pytest.raises(DirectoryError, match=r"ensemble exists and is not empty.*reuse_output_dir"):
        prepare_run({"sim_dirs_make": True})


@pytest.mark.parametrize("options", [{}, {"sim_dirs_make": True, "reuse_output_dir": True}])
def test_a_directory_that_is_not_used_or_may_be_reused_is_no_obstacle(options, launch):
    (launch / "ensemble" / "sim0000").mkdir(parents=True)
    prepare_run(options)


def test_an_empty_directory_is_no_obstacle(launch):
    (launch / "ensemble").mkdir()
    prepare_run({"sim_dirs_make": True})


def test_the_check_looks_where_the_run_writes(launch):
    (launch / "evaluations" / "other").mkdir(parents=True)
    specs = {
        "sim_dirs_make": True,
        "ensemble_dir_path": "evaluations",
        "use_workflow_dir": True,
        "workflow_dir_path": launch / "flow",
    }
    prepare_run(specs)
    assert (launch / "flow").is_dir()
    (launch / "flow" / "evaluations" / "sim0000").mkdir(parents=True)
    with pytest.raises(DirectoryError, match="flow"):
        prepare_run(specs)


def test_a_file_in_the_way_is_refused_even_when_reusing(launch):
    (launch / "ensemble").write_text("")
    with pytest.raises(DirectoryError, match="not a directory"):
        prepare_run({"sim_dirs_make": True, "reuse_output_dir": True})


def test_copy_back_directory_is_made_with_parents(launch):
    prepare_run(
        {
            "ensemble_copy_back": True,
            "use_workflow_dir": True,
            "workflow_dir_path": launch / "not" / "there",
            "ensemble_dir_path": "/nowhere/runs.v1",
        }
    )
    assert (launch / "not" / "there" / "runs_back").is_dir()


def test_copy_back_directory_with_content_is_refused(launch):
    (launch / "ensemble_back" / "sim0000").mkdir(parents=True)
    with pytest.raises(DirectoryError, match="copy-back"):
        prepare_run({"ensemble_copy_back": True})
    prepare_run({"ensemble_copy_back": True, "reuse_output_dir": True})


def no_own_directory():
    raise DirectoryError("threads share one here")


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({"comms": "threads"}, False),
        ({"comms": "threads", "sim_dirs_make": True}, True),
        ({"comms": "threads", "use_workflow_dir": True, "workflow_dir_path": "flow"}, True),
        ({"comms": "local", "sim_dirs_make": True}, False),
        ({"comms": "local", "gen_on_manager": True, "gen_dirs_make": True}, True),
        ({"comms": "local", "gen_on_manager": True, "use_worker_dirs": True}, False),
    ],
)
def test_threads_that_cannot_move_are_refused_before_they_start(options, refused, monkeypatch):
    monkeypatch.setattr(directories, "check_own_directory", no_own_directory)
    if refused:
        with pytest.raises(DirectoryError, match="threads share"):
            prepare_run(options)
    else:
        prepare_run(options)


# -- Threads


def in_threads(*acts):
    results = [None] * len(acts)

    def run(place, act):
        try:
            results[place] = act()
        except Exception as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_worker_threads_run_side_by_side_each_in_its_own_directory(launch):
    try:
        check_own_directory()
    except DirectoryError as error:
        pytest.skip(str(error))
    together = threading.Barrier(2, timeout=30)

    def call(worker):
        folders = CalcDirectories({"sim_dirs_make": True}, worker)
        with folders.enter(SIM, [worker], 1):
            together.wait()
            seen = os.path.basename(os.getcwd())
            together.wait()
        return seen

    assert in_threads(lambda: call(1), lambda: call(2)) == ["sim0001", "sim0002"]
    assert os.getcwd() == str(launch)


def test_where_threads_cannot_move_the_managers_generator_stays(launch, monkeypatch):
    monkeypatch.setattr(directories, "own_directory", no_own_directory)
    (seen,) = in_threads(lambda: where(CalcDirectories({"use_worker_dirs": True}, 0), GEN))
    assert seen == "."
    (seen,) = in_threads(lambda: where(CalcDirectories({"gen_dirs_make": True}, 0), GEN))
    assert isinstance(seen, DirectoryError)
    (seen,) = in_threads(lambda: where(CalcDirectories({"use_worker_dirs": True}, 1), GEN))
    assert isinstance(seen, DirectoryError)


# -- Copy back


def run_calls(specs, *calls, worker=1):
    folders = CalcDirectories(specs, worker)
    with folders.home():
        for calc_type, number in calls:
            with folders.enter(calc_type, [number], number):
                with open("out", "w") as file:
                    file.write(f"{calc_type} {number}")
                if not os.path.lexists("link"):
                    os.symlink("out", "link")


def tree(path):
    return sorted(
        os.path.relpath(os.path.join(folder, name), path) for folder, _, names in os.walk(path) for name in names
    )


def test_call_directories_come_back_under_their_names(launch, tmp_path):
    specs = {
        "ensemble_copy_back": True,
        "sim_dirs_make": True,
        "gen_dirs_make": True,
        "ensemble_dir_path": tmp_path / "ens",
    }
    run_calls(specs, (GEN, 1), (SIM, 0))
    assert tree(launch / "ens_back") == ["gen0001/link", "gen0001/out", "sim0000/link", "sim0000/out"]
    assert (launch / "ens_back" / "sim0000" / "link").is_symlink()


def test_worker_directories_come_back_whole(launch, tmp_path):
    specs = {
        "ensemble_copy_back": True,
        "sim_dirs_make": True,
        "use_worker_dirs": True,
        "ensemble_dir_path": tmp_path / "ens",
    }
    run_calls(specs, (SIM, 0), (SIM, 1))
    run_calls(specs, (SIM, 2), worker=2)
    assert [name for name in tree(launch / "ens_back") if name.endswith("out")] == [
        "worker1/sim0000/out",
        "worker1/sim0001/out",
        "worker2/sim0002/out",
    ]


def test_common_files_come_back_unless_every_call_has_a_directory(launch, tmp_path):
    ensemble = tmp_path / "ens"
    (ensemble / "sim0099").mkdir(parents=True)
    (ensemble / "simulation_notes").mkdir()
    (ensemble / "simulation_notes" / "n").write_text("n")
    (ensemble / "table").write_text("x")
    specs = {"ensemble_copy_back": True, "sim_dirs_make": True, "ensemble_dir_path": ensemble}
    run_calls(specs, (SIM, 0))
    assert tree(launch / "ens_back") == ["sim0000/link", "sim0000/out", "simulation_notes/n", "table"]
    specs = {**specs, "gen_dirs_make": True, "workflow_dir_path": launch / "flow", "use_workflow_dir": True}
    run_calls(specs, (SIM, 1))
    assert tree(launch / "flow" / "ens_back") == ["sim0001/link", "sim0001/out"]


def test_calls_that_share_the_ensemble_directory_bring_its_files_back(launch, tmp_path):
    run_calls({"ensemble_copy_back": True, "ensemble_dir_path": tmp_path / "ens"}, (SIM, 0))
    assert tree(launch / "ens_back") == ["link", "out"]


def test_a_worker_that_did_nothing_brings_nothing(launch, tmp_path):
    run_calls({"ensemble_copy_back": True, "ensemble_dir_path": tmp_path / "ens"})
    assert os.listdir(launch) == []


def test_reuse_renews_what_was_copied_back(launch, tmp_path):
    specs = {
        "ensemble_copy_back": True,
        "sim_dirs_make": True,
        "ensemble_dir_path": tmp_path / "ens",
        "reuse_output_dir": True,
    }
    run_calls(specs, (SIM, 0))
    (launch / "ens_back" / "sim0000" / "old").write_text("x")
    (tmp_path / "ens" / "sim0000" / "link").unlink()
    run_calls(specs, (SIM, 0))
    assert tree(launch / "ens_back") == ["sim0000/link", "sim0000/out"]


def test_copying_back_happens_also_after_an_error(launch, tmp_path):
    folders = CalcDirectories(
        {"ensemble_copy_back": True, "sim_dirs_make": True, "ensemble_dir_path": tmp_path / "ens"}, 1
    )
    with pytest.raises(ZeroDivisionError), folders.home(), folders.enter(SIM, [0], 1):
        raise ZeroDivisionError
    assert os.listdir(launch / "ens_back") == ["sim0000"]


def test_what_cannot_be_copied_back_is_named_and_the_rest_comes(launch, tmp_path, caplog, monkeypatch):
    def failing_copytree(source, target, **options):
        if source.endswith("sim0000"):
            raise OSError("disk full")
        return copytree(source, target, **options)

    copytree = directories.shutil.copytree
    monkeypatch.setattr(directories.shutil, "copytree", failing_copytree)
    monkeypatch.setattr(logging.getLogger("libensemble"), "propagate", True)
    run_calls(
        {"ensemble_copy_back": True, "sim_dirs_make": True, "ensemble_dir_path": tmp_path / "ens"}, (SIM, 0), (SIM, 1)
    )
    assert os.listdir(launch / "ens_back") == ["sim0001"]
    assert "sim0000 could not be copied back" in caplog.text


# -- Step by step


def test_ensemble_directory_step_by_step(launch):
    stack = LocationStack()
    folders = EnsembleDirectory(
        {"sim_dirs_make": True, "gen_dirs_make": True, "use_worker_dirs": True, "ensemble_copy_back": True}, stack
    )
    folders.make_copyback()
    assert (launch / "ensemble_back").is_dir()
    assert folders.use_calc_dirs(SIM)
    for tag, info, name in (
        (SIM, {"H_rows": [4]}, "sim0004"),
        (GEN, {"H_rows": []}, "gen0002"),
        (GEN, {"H_rows": [], "gen_count": 9}, "gen0009"),
    ):
        same, key = folders.prep_calc_dir({"libE_info": info}, {SIM: 3, GEN: 2}, 5, tag)
        assert same is stack
        with stack.loc(key):
            assert os.getcwd() == str(launch / "ensemble" / "worker5" / name)
    folders.copy_back()
    assert sorted(os.listdir(launch / "ensemble_back" / "worker5")) == ["gen0002", "gen0009", "sim0004"]


def test_copy_back_directory_of_others_is_refused_step_by_step(launch):
    (launch / "ensemble_back" / "x").mkdir(parents=True)
    with pytest.raises(DirectoryError, match="copy-back"):
        EnsembleDirectory({"ensemble_copy_back": True}).make_copyback()
