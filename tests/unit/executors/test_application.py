"""Applications know how they are written on a command line and where they are looked for."""

import os
import sys

import pytest

from libensemble.errors import ExecutorException
from libensemble.executors.application import Application, split_text


def test_names_follow_from_the_path():
    app = Application("/a/b/sim.x")
    assert (app.exe, app.calc_dir, app.name, app.gname, app.desc) == (
        "sim.x",
        "/a/b",
        "sim.x",
        "libe_app_sim.x",
        "sim.x app",
    )
    assert Application("/a/b/sim.x", name="mine").gname == "libe_app_mine"


@pytest.mark.parametrize(
    "path, precedent, words",
    [
        ("/a/sim.x", "", ["/a/sim.x"]),
        ("/a/sim.x", None, ["/a/sim.x"]),
        ("/a b/sim.x", "", ["/a b/sim.x"]),
        ("sim.py", "", [sys.executable, "sim.py"]),
        ("sim.py", "mypython -u", ["mypython", "-u", "sim.py"]),
        ("/a/sim.x", "podman exec 'my box'", ["podman", "exec", "my box", "/a/sim.x"]),
    ],
)
def test_a_path_is_never_split_and_a_precedent_is(path, precedent, words):
    app = Application(path, precedent=precedent)
    assert app.words() == words
    assert app.app_cmd == " ".join(part for part in (app.precedent, path) if part)


@pytest.mark.parametrize(
    "text, words",
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("--name 'a b' c", ["--name", "a b", "c"]),
        (r"a\b $X", [r"a\b", "$X"]),
    ],
)
def test_only_text_with_quotes_is_split_as_a_shell_does(text, words):
    assert split_text(text) == words


def test_an_open_quote_is_an_error():
    with pytest.raises(ExecutorException, match="it's"):
        split_text("it's")


def test_a_file_is_looked_for_from_the_directory_of_the_submit(tmp_path):
    (tmp_path / "sim.x").touch()
    (tmp_path / "sim.py").touch()
    Application("sim.x").check_exists(str(tmp_path))
    Application("sim.py").check_exists(str(tmp_path))
    Application(str(tmp_path / "sim.x")).check_exists("/")


@pytest.mark.parametrize("path", ["/nowhere/sim.x", "nowhere/sim.x", "no-such-program-here", "sim.py"])
def test_a_missing_file_is_an_error_that_names_it(path, tmp_path):
    with pytest.raises(ExecutorException) as error:
        Application(path).check_exists(str(tmp_path))
    assert error.value.args[0] == f"Application does not exist {path}"
    assert os.path.isabs(path) or str(tmp_path) in error.value.args[1]


def test_a_bare_name_may_lie_on_path(tmp_path):
    Application("sh").check_exists(str(tmp_path))


def test_behind_a_precedent_of_the_users_nothing_is_looked_for(tmp_path):
    Application("/in/the/container/sim.py", precedent="podman exec box").check_exists(str(tmp_path))
