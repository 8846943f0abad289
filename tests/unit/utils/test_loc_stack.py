"""Rules of LocationStack, of furnishing directories, and of a thread's own directory."""

import os
import sys
import threading

import pytest

from libensemble.errors import DirectoryError
from libensemble.utils import loc_stack
from libensemble.utils.loc_stack import LocationStack, check_own_directory, furnish, own_directory


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "sources"
    (folder / "tree" / "leaf").mkdir(parents=True)
    (folder / "tree" / "leaf" / "green").write_text("leaf")
    (folder / "a.txt").write_text("a")
    script = folder / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    return folder


# -- The stack


def test_registered_directories_are_made_with_parents(here):
    stack = LocationStack()
    assert stack.register_loc("one", "a/b/c") == "a/b/c"
    assert stack.dirs == {"one": "a/b/c"}
    assert (here / "a" / "b" / "c").is_dir()


def test_prefix_takes_the_last_component(here):
    assert LocationStack().register_loc(0, "some/where/calc", prefix="out") == os.path.join("out", "calc")
    assert (here / "out" / "calc").is_dir()


def test_push_and_pop_nest(here):
    stack = LocationStack()
    stack.register_loc(1, "one")
    stack.register_loc(2, "two")
    stack.push_loc(1)
    stack.push_loc(2)  # relative to where it was registered, not to where we are
    assert os.getcwd() == str(here / "two")
    stack.pop()
    assert os.getcwd() == str(here / "one")
    stack.pop()
    assert os.getcwd() == str(here)
    assert stack.stack == []


def test_entering_none_is_staying(here):
    stack = LocationStack()
    assert stack.register_loc(0, None) is None
    with stack.loc(0), stack.dir(None):
        assert os.getcwd() == str(here)
    stack.push(None)
    stack.pop()
    assert os.getcwd() == str(here)


def test_contexts_come_back_after_errors(here):
    stack = LocationStack()
    stack.register_loc("x", "x")
    with pytest.raises(ZeroDivisionError), stack.loc("x"):
        assert os.getcwd() == str(here / "x")
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), stack.dir("x"):
        raise ZeroDivisionError
    assert os.getcwd() == str(here)
    assert stack.stack == []


def test_failing_to_enter_leaves_nothing_on_the_stack(here):
    stack = LocationStack()
    with pytest.raises(FileNotFoundError):
        stack.push("nowhere")
    assert stack.stack == []


def test_clean_locs_deletes_what_was_registered(here):
    stack = LocationStack()
    stack.register_loc(0, None)
    stack.register_loc(1, "full")
    (here / "full" / "file").write_text("x")
    (here / "other").mkdir()
    stack.clean_locs()
    assert os.listdir() == ["other"]
    assert stack.dirs == {}


def test_register_furnishes(here, sources):
    LocationStack().register_loc("x", "x", copy_files=[sources / "a.txt"], symlink_files=[sources / "tree"])
    assert (here / "x" / "a.txt").read_text() == "a"
    assert os.readlink(here / "x" / "tree") == str(sources / "tree")


# -- Furnishing


def test_files_and_trees_are_copied_with_their_modes(here, sources):
    furnish(here, copy_files=[sources / "run.sh", str(sources / "tree")])
    assert os.access(here / "run.sh", os.X_OK)
    assert (here / "tree" / "leaf" / "green").read_text() == "leaf"


def test_links_are_absolute_though_named_relatively(here, sources):
    furnish(here, symlink_files=[os.path.relpath(sources / "a.txt")])
    assert os.readlink(here / "a.txt") == str(sources / "a.txt")


def test_a_path_in_both_lists_is_copied(here, sources):
    furnish(here, copy_files=[sources / "a.txt"], symlink_files=[str(sources / "a.txt")])
    assert not (here / "a.txt").is_symlink()


def test_files_are_overwritten(here, sources):
    (here / "a.txt").write_text("old")
    furnish(here, copy_files=[sources / "a.txt"])
    assert (here / "a.txt").read_text() == "a"


@pytest.mark.parametrize("option", ["copy_files", "symlink_files"])
def test_other_entries_are_an_error(here, sources, option):
    (here / "tree").mkdir()
    with pytest.raises(FileExistsError, match="tree"):
        furnish(here, **{option: [sources / "tree"]})


def test_a_link_in_the_way_is_not_written_through(here, sources, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("keep")
    (here / "a.txt").symlink_to(precious)
    with pytest.raises(FileExistsError):
        furnish(here, copy_files=[sources / "a.txt"])
    furnish(here, copy_files=[sources / "a.txt"], replace_existing=True)
    assert precious.read_text() == "keep"
    assert (here / "a.txt").read_text() == "a"


@pytest.mark.parametrize("option", ["copy_files", "symlink_files"])
def test_replacing_removes_what_was_there(here, sources, option):
    (here / "tree").mkdir()
    (here / "tree" / "old").write_text("x")
    furnish(here, **{option: [sources / "tree"]}, replace_existing=True)
    assert os.listdir(here / "tree") == ["leaf"]


@pytest.mark.parametrize("option", ["copy_files", "symlink_files"])
def test_ignoring_leaves_what_was_there(here, sources, option):
    (here / "tree").mkdir()
    (here / "a.txt").write_text("mine")
    furnish(here, **{option: [sources / "tree", sources / "a.txt", sources / "run.sh"]}, ignore_existing=True)
    assert os.listdir(here / "tree") == []
    assert (here / "a.txt").read_text() == "mine"
    assert (here / "run.sh").exists()
    assert sorted(os.listdir(here)) == ["a.txt", "run.sh", "tree"]  # nothing unfinished stays behind


def test_someone_faster_wins_when_a_directory_is_shared(here, sources, monkeypatch):
    def slow_copy(source, target):
        (here / "tree").mkdir()
        (here / "tree" / "faster").write_text("x")
        copy(source, target)

    copy = loc_stack._copy
    monkeypatch.setattr(loc_stack, "_copy", slow_copy)
    furnish(here, copy_files=[sources / "tree"], ignore_existing=True)
    assert os.listdir(here / "tree") == ["faster"]
    assert os.listdir(here) == ["tree"]


# -- A thread's own directory


def in_thread(act):
    results = []

    def attempt():
        try:
            results.append(act())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return results[0]


@pytest.fixture
def threads_can_move():
    try:
        check_own_directory()
    except DirectoryError as error:
        pytest.skip(str(error))


def test_a_thread_with_its_own_directory_moves_nobody_else(here, tmp_path, threads_can_move):
    def move():
        own_directory()
        own_directory()  # calling it again does nothing
        os.chdir(tmp_path)
        child_of_thread = in_thread(os.getcwd)
        return os.getcwd(), child_of_thread

    assert in_thread(move) == (str(tmp_path), str(tmp_path))
    assert os.getcwd() == str(here)


def test_checking_changes_nothing(here, threads_can_move):
    check_own_directory()
    assert not getattr(loc_stack._thread, "owns_directory", False)


def test_platforms_without_say_what_to_do(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    error = in_thread(own_directory)
    assert isinstance(error, DirectoryError)
    assert "darwin" in str(error)
    assert "comms 'local'" in str(error)
    with pytest.raises(DirectoryError):
        check_own_directory()
