"""What is committed speaks of the project alone, and can be read anywhere."""

import re
import shutil
import subprocess

from tests.house.source import ROOT

# Places that exist only where somebody happens to work; written so that this file does not hold them itself.
WORKPLACES = ["/work" + r"/(?:main|shared|\.)", "/tmp" + "/brief", "shared" + "/(?:contract|recipes|design)"]
PLACE = re.compile("|".join([*WORKPLACES, r"\." + "library/"]))
BUILT = {"__pycache__", "_build", "build", "dist", "main_job", "libensemble.egg-info"}
KEPT = {".github", ".ci", ".gitignore"}


def project_files():
    """The files git knows or would add; where there is no git, as in an unpacked release, all that are not built."""
    paths = [ROOT / name for name in git_listed()] or [path for path in ROOT.rglob("*") if not is_built(path)]
    return [path for path in paths if path.is_file()]


def git_listed():
    if not shutil.which("git"):
        return []
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return [name for name in listed.stdout.split("\0") if name]


def is_built(path):
    parts = path.relative_to(ROOT).parts
    return bool(BUILT & set(parts)) or any(part.startswith(".") and part not in KEPT for part in parts)


def texts():
    for path in project_files():
        content = path.read_bytes()
        if b"\0" not in content:
            yield path.relative_to(ROOT), content.decode("utf-8")


def test_no_file_names_a_workplace():
    found = [f"{path}: {match[0]}" for path, text in texts() for match in PLACE.finditer(text)]
    assert not found, "\n".join(found)


def test_the_search_for_workplaces_finds_them():
    assert PLACE.search("see " + "/work" + "/main/setup.cfg")


def test_text_files_end_with_a_newline():
    wrong = [str(path) for path, text in texts() if text and not text.endswith("\n")]
    assert not wrong


def test_the_project_is_found_without_git(monkeypatch):
    with_git = set(project_files())
    monkeypatch.setattr(shutil, "which", lambda name: None)
    without = set(project_files())
    assert ROOT / "setup.cfg" in without and ROOT / ".ci" / "run" in without
    assert not {path for path in without if ".venv" in path.parts}
    assert len(without) >= 100 and len(without - with_git) < 100  # `.gitignore` knows a few more that are built


def test_shell_scripts_can_be_read_by_bash():
    scripts = [*ROOT.glob("install/*.sh"), ROOT / ".ci" / "run"]
    assert len(scripts) >= 4
    for script in scripts:
        subprocess.run(["bash", "-n", str(script)], check=True)
