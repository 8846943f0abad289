"""Which MPI is here, by asking the programs found on PATH.

Nothing is started before someone asks; each program is asked once per process, within a time limit.
"""

import functools
import os
import platform
import re
import shutil
import subprocess

_PROBE_TIME_LIMIT = 4.0  # seconds


def get_MPI_variant() -> str | None:
    """Which MPI is here: a runner type such as `"mpich"` or `"srun"`, or None.

    Programs are sought on PATH and asked for their version; the answer is kept for this process (and PATH).
    """
    return _variant_on(os.environ.get("PATH", ""), bool(os.environ.get("FLUX_URI")))


def get_MPI_runner(mpi_runner: str | None = None) -> str | None:
    """The program that starts MPI ranks for a runner type (by default the one that is here), or None."""
    variant = mpi_runner or get_MPI_variant()
    return {"mpich": "mpirun", "openmpi": "mpirun", "msmpi": "mpiexec", "custom": None}.get(variant or "", variant)


@functools.lru_cache(maxsize=8)
def _variant_on(path: str, inside_flux: bool) -> str | None:
    if inside_flux and shutil.which("flux", path=path):
        return "flux"
    for name in ("aprun", "jsrun"):
        if _answers(name, path):
            return name
    if platform.system() == "Windows" and "Microsoft" in _said(["mpiexec"], path)[1]:
        return "msmpi"
    return _variant_of_mpirun(path) or ("srun" if _answers("srun", path) else None)


def _variant_of_mpirun(path: str) -> str | None:
    if not shutil.which("mpirun", path=path):
        return None
    version = _said(["mpirun", "--version"], path)[1]
    if re.search(r"open ?mpi|open-mpi|openrte|prrte", version, re.IGNORECASE):
        return "openmpi"
    if re.search(r"hydra|mpich|intel", version, re.IGNORECASE):
        return "mpich"
    returncode, answer = _said(["mpirun", "-npernode"], path)
    if returncode is None:
        return None
    return "mpich" if "unrecognized argument npernode" in answer else "openmpi"


def _answers(name: str, path: str) -> bool:
    return _said([name, "--version"], path)[0] == 0


def _said(command: list[str], path: str) -> tuple[int | None, str]:
    """Exit status and all output of a command; (None, "") if it is missing or takes too long."""
    program = shutil.which(command[0], path=path)
    if not program:
        return None, ""
    try:
        done = subprocess.run(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PROBE_TIME_LIMIT,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return None, ""
    return done.returncode, done.stdout
