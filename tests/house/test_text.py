"""What is committed speaks of the project alone, and can be read anywhere."""

import re
import subprocess

from tests.house.source import ROOT

# Places that exist only where somebody happens to work; written so that this file does not hold them itself.
WORKPLACES = ["/work" + r"/(?:main|shared|\.)", "/tmp" + "/brief", "shared" + "/(?:contract|recipes|design)"]
PLACE = re.compile("|".join([*WORKPLACES, r"\." + "library/"]))
SKIPPED = {".git", ".venv", "__pycache__", "_build"}


def project_files():
    """The files git knows or would add; in an unpacked release, which has no git, all."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not SKIPPED & set(path.parts)]
    return [path for path in paths if path.is_file()]


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


def test_shell_scripts_can_be_read_by_bash():
    scripts = [*ROOT.glob("install/*.sh"), ROOT / ".ci" / "run"]
    assert len(scripts) >= 4
    for script in scripts:
        subprocess.run(["bash", "-n", str(script)], check=True)
