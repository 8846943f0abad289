"""Small things that calling scripts do before and after a run: random streams, saving results, waiting for a file."""

import logging
import os
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from libensemble.logger import StderrHandler
from libensemble.tools.forkable_pdb import ForkablePdb
from libensemble.tools.parse_args import parse_args

__all__ = [
    "ForkablePdb",
    "add_unique_random_streams",
    "check_npy_file_exists",
    "eprint",
    "parse_args",
    "save_libE_output",
]

_LOOK_SECONDS = 0.1


def _plain_logger() -> logging.Logger:
    """Return a logger that shows its messages as they are on the terminal, and nowhere else."""
    plain = logging.getLogger(__name__)
    plain.propagate = False
    plain.setLevel(logging.INFO)
    if not plain.handlers:
        handler = StderrHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        plain.addHandler(handler)
    return plain


logger = _plain_logger()


def add_unique_random_streams(
    persis_info: dict[Any, Any], nstreams: int, seed: int | str | None = ""
) -> dict[Any, Any]:
    """Give each worker a stream of random numbers of its own.

    Parameters
    ----------
    persis_info : dict
        Changed in place: ``persis_info[i]`` for each `i` below `nstreams` gets `rand_stream`
        (a ``numpy.random.Generator``) and `worker_num` (`i`); what else it holds stays.
    nstreams : int
        Number of streams; usually one more than there are workers, for worker 0.
    seed : int, None or "", default ""
        By default stream `i` is seeded with `i`. With a number all streams are seeded with it, and so are equal;
        with None every stream differs, and differs from run to run.

    Returns
    -------
    dict
        `persis_info`.

    Examples
    --------
    >>> persis_info = add_unique_random_streams({}, 3)
    >>> persis_info[2]["worker_num"]
    2
    """
    if isinstance(seed, str) and seed:
        raise ValueError(f"seed is a number, None or '' (stream i is seeded with i), not {seed!r}")
    for number in range(nstreams):
        stream = np.random.default_rng(number if isinstance(seed, str) else seed)
        persis_info.setdefault(number, {}).update(rand_stream=stream, worker_num=number)
    return persis_info


def check_npy_file_exists(filename: str | os.PathLike[str], basename: bool = False, max_wait: float = 3) -> bool:
    """Wait for a saved history to appear.

    Parameters
    ----------
    filename : path
        The file; or, with `basename`, what was given as `basename` to `save_libE_output`.
    basename : bool, default False
        Look in the current directory for any ``.npy`` file whose name begins with the short form of `filename`.
    max_wait : float, default 3
        Seconds to wait.

    Returns
    -------
    bool
        Whether the file is there.
    """
    deadline = time.monotonic() + max_wait
    while not _is_there(filename, basename):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _is_there(filename: str | os.PathLike[str], basename: bool) -> bool:
    if not basename:
        return os.path.isfile(filename)
    short = _short_name(filename)
    return any(name.startswith(short) and name.endswith(".npy") for name in os.listdir())


def eprint(*args: Any, **kwargs: Any) -> None:
    """Print to stderr; takes what `print` takes."""
    print(*args, file=sys.stderr, **kwargs)


def save_libE_output(
    H: npt.NDArray[np.void],
    persis_info: dict[Any, Any],
    basename: str | os.PathLike[str],
    nworkers: int,
    dest_path: str | os.PathLike[str] | None = None,
    mess: str = "Run completed",
    append_attrs: bool = True,
) -> str:
    """Save the history as ``.npy`` and `persis_info` as ``.pickle``, and say so on stderr.

    A file of the same name is replaced as a whole once the new one is complete; no other file is touched.

    Parameters
    ----------
    H : structured array
    persis_info : dict
    basename : path
        Usually ``__file__``: directory, extension and everything up to the first ``test_`` are left out of the names.
    nworkers : int
        Shown in the names.
    dest_path : path, optional
        Directory for the files, made if missing. Default: the current directory.
    mess : str, default "Run completed"
        Shown with the path.
    append_attrs : bool, default True
        Append ``_history_length=<rows>_evals=<ended>_workers=<nworkers>`` (``_persis_info_length=...`` for the
        pickle) to the short name.

    Returns
    -------
    str
        Path of the ``.npy`` file.
    """
    directory = Path.cwd() if dest_path is None else Path(dest_path)
    directory.mkdir(parents=True, exist_ok=True)
    short = _short_name(basename)
    history_path, info_path = directory / f"{short}.npy", directory / f"{short}.pickle"
    if append_attrs:
        ended = int(np.sum(H["sim_ended"])) if len(H) else 0
        attributes = f"length={len(H)}_evals={ended}_workers={nworkers}"
        history_path = directory / f"{short}_history_{attributes}.npy"
        info_path = directory / f"{short}_persis_info_{attributes}.pickle"
    logger.info("%s\nSaving results to %s", mess, history_path)
    _write_whole(history_path, lambda file: np.save(file, H))
    _write_whole(info_path, lambda file: pickle.dump(persis_info, file))
    return str(history_path)


def _short_name(basename: str | os.PathLike[str]) -> str:
    stem = Path(basename).stem
    return stem.partition("test_")[2] or stem


def _write_whole(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Let `write` fill a file; it gets its name when it is complete."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with open(unfinished, "wb") as file:
            write(file)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
