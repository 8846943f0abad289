"""RunFolder: every file that a run writes for later, and how it is written.

A file appears whole or not at all: it is written under a temporary name and renamed. Of the history, only the newest
file of each kind that this run wrote is kept; files of other runs are never touched.
"""

import os
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class RunFolder:
    """The folder where a run saves its history.

    Parameters
    ----------
    path : str or Path
    prefix : str
        Beginning of the names of history files.
    with_date : bool
        Put the run's start into these names.
    """

    def __init__(self, path: str | Path = ".", prefix: str = "libE_history", with_date: bool = False) -> None:
        self.path = Path(path).absolute()  # user functions may change the directory later
        date = _file_date(time.time()) + "_" if with_date else ""
        self._prefix = f"{prefix}_{date}"
        self._newest: dict[str, Path] = {}
        self._writer: threading.Thread | None = None
        self._error: Exception | None = None

    def save_history(self, H: npt.NDArray[np.void], kind: str, count: int) -> Path:
        """Save H as ``<prefix>_after_<kind>_<count>.npy`` and remove this run's previous file of that kind."""
        target = self.path / f"{self._prefix}after_{kind}_{count}.npy"
        write_whole(target, lambda file: np.save(file, H))
        previous = self._newest.get(kind)
        if previous is not None and previous != target:
            previous.unlink(missing_ok=True)
        self._newest[kind] = target
        return target

    @property
    def is_saving(self) -> bool:
        """Whether a history is being written beside the run."""
        return self._writer is not None and self._writer.is_alive()

    def save_history_soon(self, H: npt.NDArray[np.void], kind: str, count: int) -> None:
        """Save a copy of H in a thread beside the run; see `save_history` and `finish_saving`."""
        self.finish_saving()
        self._writer = threading.Thread(target=self._save, args=(H.copy(), kind, count), name="libE checkpoint")
        self._writer.start()

    def _save(self, H: npt.NDArray[np.void], kind: str, count: int) -> None:
        try:
            self.save_history(H, kind, count)
        except Exception as error:
            self._error = error

    def finish_saving(self) -> None:
        """Wait for what is being saved, and raise what went wrong with it."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def save_aborted_history(self, H: npt.NDArray[np.void], ended: int) -> Path:
        """Save H of a run that failed after `ended` simulations."""
        target = self.path / f"libE_history_at_abort_{ended}.npy"
        write_whole(target, lambda file: np.save(file, H))
        return target

    def save_aborted_persis_info(self, persis_info: Any, ended: int) -> Path:
        """Save persis_info of a run that failed after `ended` simulations."""
        target = self.path / f"libE_persis_info_at_abort_{ended}.pickle"
        write_whole(target, lambda file: pickle.dump(persis_info, file))
        return target


def write_whole(target: Path, write: Any) -> None:
    """Write a file so that it appears complete or not at all.

    Parameters
    ----------
    target : Path
        Missing parents are made.
    write : callable
        Called with the open binary file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            write(file)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _file_date(now: float) -> str:
    text = time.strftime("%Y-%m-%d_%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03d}"
    return text.replace(":", "-") if os.name == "nt" else text
