"""The folder a calculation runs in.

::

    <workflow dir, or where the run was launched>/      the run's directory
        ensemble/                                       ensemble_dir_path
            worker1/                                    with use_worker_dirs
                sim0000/  sim0001/  gen0001/            with sim_dirs_make, gen_dirs_make
        ensemble_back/                                  with ensemble_copy_back

Owns where these lie, what they are called and what is put there, and the check that a run does not write into
results of another one. Making, furnishing, entering and leaving are done by `utils/loc_stack.py`.
"""

import contextlib
import logging
import os
import re
import shutil
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from libensemble.errors import DirectoryError
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG, calc_type_strings
from libensemble.utils.loc_stack import LocationStack, check_own_directory, own_directory, remove, unfinished_name
from libensemble.utils.misc import ranges

logger = logging.getLogger(__name__)

# Any of these makes user functions run in directories of the ensemble.
libE_spec_calc_dir_misc = ["ensemble_copy_back", "use_worker_dirs"]
libE_spec_sim_dir_keys = ["sim_dirs_make", "sim_dir_copy_files", "sim_dir_symlink_files", "sim_input_dir"]
libE_spec_gen_dir_keys = ["gen_dirs_make", "gen_dir_copy_files", "gen_dir_symlink_files", "gen_input_dir"]

_keys_of = {EVAL_SIM_TAG: libE_spec_sim_dir_keys, EVAL_GEN_TAG: libE_spec_gen_dir_keys}
_calculation_name = re.compile(r"(sim|gen)\d|worker\d+$|\..*\.unfinished$")
_LONGEST_NAME = 200  # file systems end at 255; user functions may append to it


def uses_directories(libE_specs: Mapping[str, Any], calc_type: int) -> bool:
    """Say whether simulations (EVAL_SIM_TAG) or generators (EVAL_GEN_TAG) of a run get directories of their own."""
    return any(libE_specs.get(key) for key in (*libE_spec_calc_dir_misc, *_keys_of[calc_type]))


# -- Before the workers start ----------------------------------------------------------------------------------------


class _Places(NamedTuple):
    """Where the directories of a run lie, all absolute."""

    run: Path
    ensemble: Path
    back: Path


def _places(libE_specs: Mapping[str, Any]) -> _Places:
    run = Path.cwd()
    if libE_specs.get("use_workflow_dir"):
        run = run / libE_specs["workflow_dir_path"]
    ensemble = Path(os.path.normpath(run / (libE_specs.get("ensemble_dir_path") or "ensemble")))
    return _Places(run, ensemble, run / f"{ensemble.stem}_back")


def prepare_run(libE_specs: Mapping[str, Any]) -> None:
    """Check on the manager, before any worker starts, that this run can have its directories; make the common ones.

    Makes the workflow directory and the copy-back directory where they are asked for.

    Raises
    ------
    DirectoryError
        The ensemble directory or the copy-back directory holds something already and `reuse_output_dir` is not set;
        or workers are threads that cannot have directories of their own on this platform. Directories that this run
        would not write to are not looked at.
    """
    places = _places(libE_specs)
    used = [calc_type for calc_type in _keys_of if uses_directories(libE_specs, calc_type)]
    _check_threads(libE_specs, bool(used))
    if used:
        _check_free(places.ensemble, "ensemble directory", "ensemble_dir_path", libE_specs)
    if libE_specs.get("ensemble_copy_back"):
        _check_free(places.back, "copy-back directory", "ensemble_dir_path", libE_specs)
        places.back.mkdir(parents=True, exist_ok=True)
    if libE_specs.get("use_workflow_dir"):
        places.run.mkdir(parents=True, exist_ok=True)


def _check_free(directory: Path, what: str, option: str, libE_specs: Mapping[str, Any]) -> None:
    if os.path.lexists(directory) and not directory.is_dir():
        raise DirectoryError(f"the {what} {directory} is not a directory; choose another {option}")
    if libE_specs.get("reuse_output_dir") or not directory.is_dir() or not any(directory.iterdir()):
        return
    raise DirectoryError(
        f"the {what} {directory} exists and is not empty. Move it away, choose another {option}, "
        "or set libE_specs['reuse_output_dir'] = True to write into it"
    )


def _check_threads(libE_specs: Mapping[str, Any], used: bool) -> None:
    workers_leave = libE_specs.get("comms") == "threads" and (used or libE_specs.get("use_workflow_dir"))
    generator_leaves = libE_specs.get("gen_on_manager") and _asks_for_gen_directories(libE_specs)
    if workers_leave or generator_leaves:
        check_own_directory()


def _asks_for_gen_directories(libE_specs: Mapping[str, Any]) -> bool:
    return any(libE_specs.get(key) for key in libE_spec_gen_dir_keys)


# -- On a worker -----------------------------------------------------------------------------------------------------


class _Plan(NamedTuple):
    """Where calls of one kind run, and what lies there."""

    parent: str
    per_call: bool  # a directory per call below `parent`, or `parent` itself for all
    input_dir: str | None
    copy_files: tuple[str, ...]
    symlink_files: tuple[str, ...]


class CalcDirectories:
    """The directories that one worker uses.

    Made by the worker, in the thread that runs the calculations and in the directory where the run was launched.

    Parameters
    ----------
    libE_specs : dict
        The run's options.
    worker_id : int
    loc_stack : LocationStack, optional
        A stack of one's own to enter and leave with.
    """

    def __init__(self, libE_specs: Mapping[str, Any], worker_id: int, loc_stack: LocationStack | None = None) -> None:
        self.specs = libE_specs
        self.worker_id = worker_id
        self.stack = loc_stack or LocationStack()
        self._places = _places(libE_specs)
        self._width = libE_specs.get("calc_dir_id_width", 4)
        self._used: dict[str, str] = {}  # name in the copy-back directory -> what is copied there
        self._furnished: set[int] = set()  # kinds of calls whose shared directory is ready
        self._plans = {
            calc_type: self._plan(calc_type) for calc_type in _keys_of if uses_directories(libE_specs, calc_type)
        }

    def _plan(self, calc_type: int) -> _Plan:
        make, copy_files, symlink_files, input_dir = (self.specs.get(key) for key in _keys_of[calc_type])
        parent = self._places.ensemble
        if self.specs.get("use_worker_dirs"):
            parent = parent / f"worker{self.worker_id}"
        return _Plan(
            str(parent),
            bool(make or input_dir),
            os.fspath(input_dir) if input_dir else None,
            tuple(map(os.fspath, copy_files or ())),
            tuple(map(os.fspath, symlink_files or ())),
        )

    def active(self, calc_type: int) -> bool:
        """Say whether calls of this kind run in a directory of the ensemble."""
        return calc_type in self._plans

    @contextlib.contextmanager
    def home(self, tell: Callable[[bool], Any] = lambda is_done: None) -> Iterator[Path]:
        """Context manager for the worker's whole life: be in the workflow directory, if any; copy back at the end.

        Parameters
        ----------
        tell : callable, optional
            Called with False before something is copied back and with True after that, also when it failed.
        """
        try:
            if self.specs.get("use_workflow_dir") and self._may_move():
                self._places.run.mkdir(parents=True, exist_ok=True)
                with self.stack.dir(self._places.run):
                    yield self._places.run
            else:
                yield self._places.run
        finally:
            if self.specs.get("ensemble_copy_back"):
                tell(False)
                try:
                    self.copy_back()
                finally:
                    tell(True)

    @contextlib.contextmanager
    def enter(self, calc_type: int, rows: Sequence[int], gen_no: int) -> Iterator[str | None]:
        """Context manager for one call: make and furnish its directory, and be there.

        Where no option asks for directories it stays, and yields None.

        Parameters
        ----------
        calc_type : int
        rows : sequence of int
            Rows given to a simulation.
        gen_no : int
            Number of the generator call, counted over all workers from 1.
        """
        if calc_type not in self._plans or not self._may_move():
            yield None
            return
        path = self.make(calc_type, self.name(calc_type, rows, gen_no))
        with self.stack.dir(path):
            yield path

    def name(self, calc_type: int, rows: Sequence[int], gen_no: int) -> str:
        """Return what the directory of a call is called: ``sim0007``, ``sim00-4``, ``gen0001``."""
        text = str(gen_no) if calc_type == EVAL_GEN_TAG else ranges(rows)
        if len(text) > _LONGEST_NAME:
            text = f"{text[:_LONGEST_NAME]}_{zlib.crc32(text.encode()):08x}"
        return calc_type_strings[calc_type] + text.rjust(self._width, "0")

    def make(self, calc_type: int, name: str) -> str:
        """Make and furnish the directory of a call, register it on the stack under `calc_type`, and return it."""
        plan = self._plans[calc_type]
        path = os.path.join(plan.parent, name) if plan.per_call else plan.parent
        if plan.per_call or calc_type not in self._furnished:
            inputs = [entry.path for entry in os.scandir(plan.input_dir)] if plan.input_dir else []
            self.stack.register_loc(
                calc_type,
                path,
                copy_files=(*inputs, *plan.copy_files),
                symlink_files=plan.symlink_files,
                ignore_FileExists=not plan.per_call,
                allow_overwrite=bool(self.specs.get("reuse_output_dir")),
            )
            self._furnished.add(calc_type)
        if self.specs.get("ensemble_copy_back"):
            self._note_used(plan, name, path)
        return path

    def _note_used(self, plan: _Plan, name: str, path: str) -> None:
        if self.specs.get("use_worker_dirs"):
            self._used[os.path.basename(plan.parent)] = plan.parent
        elif plan.per_call:
            self._used[name] = path
        else:
            self._used.setdefault("", "")  # nothing of its own, but it was in the ensemble directory

    def _may_move(self) -> bool:
        """Say whether this thread may change directory; makes sure that it moves nobody else."""
        if threading.current_thread() is threading.main_thread():
            return True
        try:
            own_directory()
        except DirectoryError as error:
            if self.worker_id != 0 or _asks_for_gen_directories(self.specs):
                raise
            logger.debug("the generator on the manager stays in %s: %s", os.getcwd(), error)
            return False
        return True

    # -- Copy back --

    def copy_back(self) -> None:
        """Copy what this worker used into the copy-back directory, if that is asked for.

        What cannot be copied is named in the log and stays where it is. A second call copies only what was used since.
        """
        used, self._used = self._used, {}
        if not used:
            return
        self._places.back.mkdir(parents=True, exist_ok=True)
        for name, source in used.items():
            if name:
                self._bring(source, self._places.back / name, renew=bool(self.specs.get("reuse_output_dir")))
        if not (self.specs.get("sim_dirs_make") and self.specs.get("gen_dirs_make")):
            self._bring_common_files()

    def _bring_common_files(self) -> None:
        """Copy what lies in the ensemble directory beside the directories of calculations and workers."""
        ensemble, back = self._places.ensemble, self._places.back
        if ensemble.is_dir():
            for entry in sorted(ensemble.iterdir()):
                if not _calculation_name.match(entry.name) and entry != back:
                    self._bring(str(entry), back / entry.name, renew=False)

    def _bring(self, source: str, target: Path, renew: bool) -> None:
        try:
            if renew:
                remove(target)
            if os.path.isdir(source) and not os.path.islink(source):
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            else:  # several workers may bring the same file: each replaces it whole
                unfinished = unfinished_name(target)
                shutil.copy2(source, unfinished, follow_symlinks=False)
                os.replace(unfinished, target)
        except OSError as error:
            logger.error("%s could not be copied back to %s: %s", source, target, error)


class EnsembleDirectory(CalcDirectories):
    """The directories of a worker, step by step: for code that makes, enters and leaves by itself.

    Parameters
    ----------
    libE_specs : dict
    loc_stack : LocationStack, optional
    """

    def __init__(self, libE_specs: Mapping[str, Any], loc_stack: LocationStack | None = None) -> None:
        super().__init__(libE_specs, 0, loc_stack)

    def make_copyback(self) -> None:
        """Make the copy-back directory if it is asked for; DirectoryError if it holds something already."""
        if self.specs.get("ensemble_copy_back"):
            _check_free(self._places.back, "copy-back directory", "ensemble_dir_path", self.specs)
            self._places.back.mkdir(parents=True, exist_ok=True)

    def use_calc_dirs(self, tag: int) -> bool:
        """Say whether calls with this tag run in a directory of the ensemble."""
        return self.active(tag)

    def prep_calc_dir(
        self, Work: Mapping[str, Any], calc_iter: Mapping[int, int], workerID: int, calc_type: int
    ) -> tuple[LocationStack, int]:
        """Make and furnish the directory of a call.

        Parameters
        ----------
        Work : dict
            The work order.
        calc_iter : dict
            Calls so far by tag; numbers a generator call whose order does not say `gen_count`.
        workerID : int
        calc_type : int

        Returns
        -------
        stack, key
            ``with stack.loc(key): ...`` is in the directory.
        """
        if workerID != self.worker_id:
            self.worker_id = workerID
            self._plans = {tag: self._plan(tag) for tag in self._plans}
            self._furnished.clear()
        info = Work["libE_info"]
        gen_no = info.get("gen_count", calc_iter.get(calc_type, 0)) if calc_type == EVAL_GEN_TAG else 0
        self.make(calc_type, self.name(calc_type, info["H_rows"], gen_no))
        return self.stack, calc_type
