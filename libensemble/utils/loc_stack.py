"""Change directory and come back; make and furnish directories; a directory of its own for a thread.

Owns `LocationStack`, the rules by which files are copied and linked into a directory, and `own_directory`. Which
directories a run uses is decided in `worker/directories.py`.
"""

import contextlib
import ctypes
import os
import shutil
import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from libensemble.errors import DirectoryError

AnyPath = str | os.PathLike[str]

_CLONE_FS = 0x00000200  # linux/sched.h: what threads share of directory, root and umask
_thread = threading.local()


# -- A thread's own directory ----------------------------------------------------------------------------------------


def own_directory() -> None:
    """Give the calling thread a current directory of its own.

    From then on `os.chdir` in this thread, and in threads and processes that it starts, does not move the rest of
    the process. It starts in the directory where the process is; calling it again does nothing.

    Raises
    ------
    DirectoryError
        The platform gives threads no directory of their own (only Linux does), or the container forbids it.
    """
    if getattr(_thread, "owns_directory", False):
        return
    if not sys.platform.startswith("linux"):
        raise DirectoryError(_no_own_directory(f"on {sys.platform} all threads of a process share one"))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_FS) != 0:
        raise DirectoryError(_no_own_directory(f"unshare(CLONE_FS) failed: {os.strerror(ctypes.get_errno())}"))
    _thread.owns_directory = True


def _no_own_directory(reason: str) -> str:
    return (
        f"a thread cannot have a current directory of its own here ({reason}). Use comms 'local' (workers are "
        "processes), or leave out the directory options of libE_specs"
    )


def check_own_directory() -> None:
    """Raise DirectoryError if threads cannot have directories of their own here; changes nothing."""
    errors: list[DirectoryError] = []

    def attempt() -> None:
        try:
            own_directory()
        except DirectoryError as error:
            errors.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


# -- Furnishing ------------------------------------------------------------------------------------------------------


def furnish(
    directory: AnyPath,
    copy_files: Iterable[AnyPath] = (),
    symlink_files: Iterable[AnyPath] = (),
    ignore_existing: bool = False,
    replace_existing: bool = False,
) -> None:
    """Copy and link files and directories into a directory, under their own base names.

    Parameters
    ----------
    directory : path
        Must exist.
    copy_files, symlink_files : iterable of paths
        A path in both is copied. Links are absolute.
    ignore_existing : bool, default False
        Leave alone what is there already; entries appear whole, so that several processes may furnish one directory.
    replace_existing : bool, default False
        Remove what is there first.

    Raises
    ------
    FileExistsError
        A directory or link of that name is there, and neither option is set. (Files are overwritten.)
    """
    copied = [os.path.abspath(path) for path in copy_files]
    linked = [path for path in map(os.path.abspath, symlink_files) if path not in copied]
    for act, sources in ((_copy, copied), (os.symlink, linked)):
        for source in sources:
            target = os.path.join(directory, os.path.basename(source))
            if ignore_existing:
                _place_once(act, source, target)
                continue
            if replace_existing:
                remove(target)
            elif os.path.islink(target) or (act is _copy and os.path.isdir(target)):
                raise FileExistsError(f"{target} is there already, so {source} cannot be put there")
            act(source, target)


def _copy(source: str, target: str) -> None:
    if os.path.isdir(source):
        shutil.copytree(source, target, ignore_dangling_symlinks=True)
    else:
        shutil.copy2(source, target)


def _place_once(act: Callable[[str, str], None], source: str, target: str) -> None:
    """Put `source` at `target` unless someone else did or does; nobody sees half of it."""
    if os.path.lexists(target):
        return
    unfinished = unfinished_name(target)
    act(source, unfinished)
    try:
        os.rename(unfinished, target)
    except OSError:  # a directory with content has appeared meanwhile
        if not os.path.lexists(target):
            raise
    finally:
        remove(unfinished)


def unfinished_name(target: AnyPath) -> str:
    """Return a name beside `target`, hidden and of this thread alone, for what is renamed to it when complete."""
    folder, name = os.path.split(target)
    return os.path.join(folder, f".{name}.{os.getpid()}-{threading.get_ident()}.unfinished")


def remove(path: AnyPath) -> None:
    """Remove a file, a link or a directory with all it holds; nothing happens if it is not there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _make_directory(path: AnyPath) -> None:
    try:
        os.mkdir(path)  # mostly the parent is there
    except FileNotFoundError:
        os.makedirs(path, exist_ok=True)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


# -- The stack -------------------------------------------------------------------------------------------------------


class LocationStack:
    """Directories with names, and the way back from each.

    Attributes
    ----------
    dirs : dict
        The registered directories, by key.
    stack : list
        Where `pop` returns to, last first out; None where nothing was entered.
    """

    def __init__(self) -> None:
        self.dirs: dict[Hashable, Any] = {}
        self.stack: list[str | None] = []
        self._origins: dict[Hashable, str] = {}  # what relative paths in `dirs` are relative to

    def register_loc(
        self,
        key: Hashable,
        dirname: AnyPath | None,
        prefix: AnyPath | None = None,
        copy_files: Sequence[AnyPath] = (),
        symlink_files: Sequence[AnyPath] = (),
        ignore_FileExists: bool = False,
        allow_overwrite: bool = False,
    ) -> Any:
        """Make a directory (with its parents), furnish it, and remember it under a key.

        Parameters
        ----------
        key : hashable
        dirname : path or None
            None registers a place that is entered by staying.
        prefix : path, optional
            The directory is made in here, under the last component of `dirname`.
        copy_files, symlink_files : sequence of paths, optional
            See `furnish`.
        ignore_FileExists, allow_overwrite : bool, default False
            What to do with entries that are there already: leave them, or remove them first. Default: files are
            overwritten, anything else raises FileExistsError.

        Returns
        -------
        path or None
            The directory, as `push_loc` will enter it.
        """
        if prefix is not None and dirname is not None:
            dirname = os.path.join(prefix, os.path.basename(dirname))
        self.dirs[key] = dirname
        if dirname:
            self._origins[key] = "" if os.path.isabs(dirname) else os.getcwd()
            _make_directory(dirname)
            if copy_files or symlink_files:
                furnish(dirname, copy_files, symlink_files, ignore_FileExists, allow_overwrite)
        return dirname

    def push_loc(self, key: Hashable) -> None:
        """Enter the directory registered under `key`."""
        dirname = self.dirs[key]
        self.push(os.path.join(self._origins[key], dirname) if dirname else None)

    def push(self, dirname: AnyPath | None) -> None:
        """Enter a directory; with None, stay."""
        if not dirname:
            self.stack.append(None)
            return
        here = os.getcwd()
        os.chdir(dirname)
        self.stack.append(here)

    def pop(self) -> None:
        """Go back to where the last `push` came from."""
        before = self.stack.pop()
        if before is not None:
            os.chdir(before)

    @contextlib.contextmanager
    def loc(self, key: Hashable) -> Iterator[Any]:
        """Context manager: be in the directory registered under `key`."""
        self.push_loc(key)
        try:
            yield self.dirs[key]
        finally:
            self.pop()

    @contextlib.contextmanager
    def dir(self, dirname: AnyPath | None) -> Iterator[AnyPath | None]:
        """Context manager: be in a directory; with None, stay."""
        self.push(dirname)
        try:
            yield dirname
        finally:
            self.pop()

    def clean_locs(self) -> None:
        """Delete all registered directories with what they hold, and forget them."""
        for key, dirname in self.dirs.items():
            if dirname:
                remove(Path(self._origins[key]) / dirname)
        self.dirs.clear()
        self._origins.clear()
