"""A command: the words that are launched, and the environment that they run in.

Owns `Command`, the text form of a command, the environment that a child gets, and the wrapping of a command in a user's
shell script. The environment of this process is read here and never written.
"""

import os
import re
import shlex
import shutil
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from libensemble.errors import ExecutorException

LIBE_SIM_DIR_PLACEHOLDER = "%LIBENSEMBLE_SIM_DIR%"
SIM_DIR_VARIABLE = "LIBENSEMBLE_SIM_DIR"

_WITHOUT_OPEN_SPACE = re.compile(r"""(?:"[^"]*"|'[^']*'|\S)+""")  # white space only in quotes, or none

# Variables of the MPI job that this process is a rank of; an MPI program started here would take them for its own.
_MPI_RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")
_MPI_PREFIXES = ("OMPI_", "PMIX_", "PMI_")
# Bindings of the Slurm step that this process is in; a step started here may lie elsewhere.
_SLURM_STEP_VARIABLES = ("SLURM_STEP_ID", "SLURM_STEPID")
_SLURM_PREFIXES = ("SLURM_CPU_BIND", "SLURM_DISTRIBUTION")


@dataclass(frozen=True, slots=True)
class Command:
    """What is launched.

    Attributes
    ----------
    argv : tuple of str
    env : dict
        Variables for the child, on top of what it inherits.
    new_session : bool
        The child leads its own session and process group, so that all it starts can be stopped with it.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    new_session: bool = True


def run_line(words: Iterable[str]) -> str:
    """Return a command as one line of text; words with white space are quoted unless they bring their quotes."""
    return " ".join(word if _is_one_word(word) else shlex.quote(word) for word in words)


def _is_one_word(word: str) -> bool:
    return bool(word) and (_WITHOUT_OPEN_SPACE.fullmatch(word) is not None)


def sim_directory(workdir: str, base_dir: str) -> str:
    """Return the working directory as seen from the directory of the workflow."""
    return os.path.relpath(workdir, base_dir)


def child_environment(added: Mapping[str, str], inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a child.

    It is this process's environment without what would make the child believe that it belongs to this process's own
    MPI job or Slurm step, and with what is added.

    Parameters
    ----------
    added : mapping
    inherited : mapping, optional
        Default: ``os.environ``.
    """
    source = os.environ if inherited is None else inherited
    hidden: tuple[str, ...] = ()
    if any(name in source for name in _MPI_RANK_VARIABLES):
        hidden += _MPI_PREFIXES
    if any(name in source for name in _SLURM_STEP_VARIABLES):
        hidden += _SLURM_PREFIXES
    env = {name: value for name, value in source.items() if not (hidden and name.startswith(hidden))}
    env.update(added)
    return env


def wrap_in_script(env_script: str, words: Iterable[str], name: str, directory: str) -> tuple[str, ...]:
    """Write a copy of a shell script that ends with a command, and return the words that run the copy.

    Parameters
    ----------
    env_script : str
        Path of the user's script, seen from `directory`.
    words : iterable of str
        The command; each word reaches the program as it is here.
    name : str
        The copy is ``<name>_run.sh`` in `directory`.

    Raises
    ------
    ExecutorException
        The script cannot be read.
    """
    source = os.path.join(directory, env_script)
    copy = os.path.join(directory, f"{name}_run.sh")
    try:
        with open(source) as file:
            text = file.read()
    except OSError as error:
        raise ExecutorException(f"env_script {source} cannot be read: {error.strerror}") from error
    if text and not text.endswith("\n"):
        text += "\n"
    with open(copy, "w") as file:
        file.write(text + shlex.join(words) + "\n")
    shutil.copymode(source, copy)
    os.chmod(copy, os.stat(copy).st_mode | stat.S_IXUSR)
    script = f"./{name}_run.sh"
    return (script,) if text.startswith("#!") else ("/bin/sh", script)
