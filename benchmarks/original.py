"""The 1.6.1 release of libEnsemble from PyPI, in a virtual environment of its own, used as a black box.

Nothing here opens a file of that release: its interpreter is asked for a version, and runs workloads.
"""

import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

RELEASE = "1.6.1"
DEFAULT_FOLDER = Path(__file__).resolve().parent.parent / ".bench" / f"libensemble-{RELEASE}"
_ASK = "from importlib.metadata import version; print(version('libensemble'))"


class OriginalMissing(Exception):
    """There is no such environment, and none could be made."""


def interpreter(folder: Path) -> Path:
    """Return the Python of the environment in `folder`, which is built first if it is not there.

    Raises
    ------
    OriginalMissing
        It cannot be built (no network, say), or holds another release.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        _build(folder, python)
    asked = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, cwd=folder, check=False)
    if asked.stdout.strip() != RELEASE:
        found = asked.stdout.strip() or asked.stderr.strip()[-300:]
        raise OriginalMissing(f"{folder} should hold libensemble {RELEASE}, not {found!r}; see --original")
    return python


def _build(folder: Path, python: Path) -> None:
    print(f"building {folder} with libensemble=={RELEASE} from PyPI", file=sys.stderr)
    venv.create(folder, with_pip=True)
    wanted = [f"libensemble=={RELEASE}", f"numpy=={version('numpy')}", f"pydantic=={version('pydantic')}"]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(pip + wanted, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OriginalMissing(f"pip could not install {wanted} into {folder}: {done.stderr.strip()[-500:]}")
