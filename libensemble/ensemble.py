"""Ensemble: the object a user holds -- specs before a run, results after it.

It owns who this process is (manager or not, how many workers) and the merging of options from a script, the command
line and files. The run itself is `libE()`.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from libensemble.libE import libE
from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs, loading
from libensemble.specs.base import Spec, translate_removed
from libensemble.tools.parse_args import mpi_init, read_command_line
from libensemble.tools.tools import add_unique_random_streams, save_libE_output
from libensemble.utils.current import current

MODELS: dict[str, type[Spec]] = {
    "sim_specs": SimSpecs,
    "gen_specs": GenSpecs,
    "alloc_specs": AllocSpecs,
    "exit_criteria": ExitCriteria,
}
Outcome = tuple[npt.NDArray[Any], dict[Any, Any], int]


class _NotGiven:
    """Stands for an argument that the caller left out, where None would mean something else."""


class Ensemble:
    """One ensemble: what it shall do, and what came of it.

    Parameters
    ----------
    sim_specs : SimSpecs or dict, optional
    gen_specs : GenSpecs or dict, optional
    exit_criteria : ExitCriteria or dict, optional
    libE_specs : LibeSpecs, dict or None, optional
        None: to be assigned before the run.
    alloc_specs : AllocSpecs or dict, optional
    persis_info : dict, optional
        State per worker, kept between runs.
    executor : Executor, optional
        Made this process's executor when the ensemble runs.
    H0 : structured array or list of dict, optional
        The history to start from.
    parse_args : bool, default False
        Read comms and number of workers from the command line. They win over `libE_specs`; if the command line says
        nothing about them, what `libE_specs` states holds.

    Attributes
    ----------
    H : structured array
        The history, after `run()`.
    flag : int
        0 if the run ended as it should, after `run()`.
    persis_info : dict
    is_manager : bool
        Is this the process that gets the results?
    nworkers : int
    parsed : bool
        Was the command line read?
    extra_args : list of str
        With `parse_args`: words of the command line that are the script's own.

    Examples
    --------
    >>> ensemble = Ensemble(libE_specs=LibeSpecs(nworkers=4))
    >>> ensemble.exit_criteria = ExitCriteria(sim_max=100)
    >>> ensemble.is_manager, ensemble.nworkers
    (True, 4)
    """

    def __init__(
        self,
        sim_specs: SimSpecs | dict[str, Any] | None = None,
        gen_specs: GenSpecs | dict[str, Any] | None = None,
        exit_criteria: ExitCriteria | dict[str, Any] | None = None,
        libE_specs: LibeSpecs | dict[str, Any] | type[_NotGiven] | None = _NotGiven,
        alloc_specs: AllocSpecs | dict[str, Any] | None = None,
        persis_info: dict[Any, Any] | None = None,
        executor: Any = None,
        H0: Any = None,
        parse_args: bool = False,
    ) -> None:
        self.sim_specs = SimSpecs() if sim_specs is None else sim_specs
        self.gen_specs = GenSpecs() if gen_specs is None else gen_specs
        self.exit_criteria = {} if exit_criteria is None else exit_criteria
        self.alloc_specs = AllocSpecs() if alloc_specs is None else alloc_specs
        self.persis_info = {} if persis_info is None else persis_info
        self.executor = executor
        self.H0 = H0
        self.parsed = parse_args
        self._fixed_comms: str | None = None  # once known, they stay for the life of this object
        self._count: int | None = None  # workers, where MPI says how many
        self._is_manager: bool | None = None
        self._libE_specs: LibeSpecs | None = None
        if libE_specs is _NotGiven:
            self._libE_specs = LibeSpecs()
        elif libE_specs is not None:
            self._libE_specs = _as_libE_specs(libE_specs)
        if parse_args:
            self._read_command_line()
        self._fix_comms()

    # ---- who we are

    def _read_command_line(self) -> None:
        stated = self._libE_specs is not None and "comms" in self._libE_specs.model_fields_set
        self._count, self._is_manager, options, self.extra_args = read_command_line(comms_stated=stated)
        if self._libE_specs is None:
            self._libE_specs = LibeSpecs(**options)
        else:
            self._libE_specs.update(options)
        if self._libE_specs.comms != "mpi":
            self._count = None  # libE_specs knows it

    def _fix_comms(self) -> None:
        """Take the comms as settled if somebody stated them; a bare default may still change."""
        specs = self._libE_specs
        if specs is None or "comms" not in specs.model_fields_set:
            return
        if specs.comms == "local" and not specs.nworkers:
            raise ValueError("local comms need the number of workers: set 'nworkers' in libE_specs")
        self._fixed_comms = specs.comms
        self._find_out_who()

    def _find_out_who(self) -> None:
        specs = self._libE_specs
        if self._is_manager is not None or specs is None:
            return
        if specs.comms == "mpi":
            try:
                self._count, self._is_manager = mpi_init(specs.mpi_comm)
            except ModuleNotFoundError:
                if self._fixed_comms == "mpi":
                    raise
                return  # nobody asked for MPI, and it is not there
        else:
            self._is_manager = specs.comms != "tcp" or specs.workerID is None
        self._fixed_comms = specs.comms

    @property
    def is_manager(self) -> bool:
        """Is this the process that gets the results? False while `libE_specs` is None."""
        self._find_out_who()
        return self._libE_specs is not None if self._is_manager is None else self._is_manager

    @is_manager.setter
    def is_manager(self, value: bool) -> None:
        self._is_manager = value

    @property
    def nworkers(self) -> int:
        """Number of workers: from MPI or the command line, else from `libE_specs`. 0 while `libE_specs` is None."""
        self._find_out_who()
        if self._libE_specs is None:
            return self._count or 0
        return self._count or self._libE_specs.nworkers or len(self._libE_specs.workers)

    @nworkers.setter
    def nworkers(self, value: int) -> None:
        if self._fixed_comms is not None and self._libE_specs is not None:
            self._libE_specs.nworkers = value
        else:
            self.libE_specs = {"nworkers": value}
        if self._count is not None:
            self._count = value

    # ---- options

    @property
    def libE_specs(self) -> LibeSpecs | None:
        """How the run is carried out. Assigning merges: what is stated in the new specs is written over the old."""
        return self._libE_specs

    @libE_specs.setter
    def libE_specs(self, new: LibeSpecs | dict[str, Any] | None) -> None:
        if new is None:
            return
        if self._libE_specs is None:
            self._libE_specs = _as_libE_specs(new)
        else:
            self._merge(_stated(new))
        self._fix_comms()

    def _merge(self, changes: dict[str, Any]) -> None:
        assert self._libE_specs is not None
        merged = copy.copy(self._libE_specs)
        merged.update(changes)
        if self._fixed_comms not in (None, merged.comms):
            raise ValueError(_comms_changed(self._fixed_comms, merged.comms))
        self._libE_specs.update(changes)

    def from_yaml(self, path: str | Path) -> None:
        """Take specs from a YAML file (needs the extra ``yaml``)."""
        self._apply(loading.load(path, "yaml"))

    def from_toml(self, path: str | Path) -> None:
        """Take specs from a TOML file."""
        self._apply(loading.load(path, "toml"))

    def from_json(self, path: str | Path) -> None:
        """Take specs from a JSON file."""
        self._apply(loading.load(path, "json"))

    def _apply(self, tables: loading.Tables) -> None:
        """Use what a file says: merged into what was given as a dict, in place of what was given as an object."""
        for name, table in tables.items():
            if name == "libE_specs":
                self.libE_specs = table
                continue
            present = getattr(self, name)
            if isinstance(present, dict):
                table = {**present, **table}
                for short, long in (("in", "inputs"), ("out", "outputs")):
                    if short in table:
                        table.pop(long, None)
            setattr(self, name, MODELS[name](**table))

    # ---- acts

    def ready(self) -> bool:
        """Return whether exit criteria, libE_specs and sim_specs are there."""
        return bool(self.exit_criteria and self._libE_specs and self.sim_specs)

    def run(self, H0: Any = None) -> Outcome:
        """Run the ensemble; may be called again.

        Parameters
        ----------
        H0 : structured array or list of dict, optional
            The history that this run starts from; default: the attribute `H0`, which a run does not change.

        Returns
        -------
        H : structured array
        persis_info : dict
        flag : int

        Raises
        ------
        pydantic.ValidationError
            Something that was stated is wrong.
        LoggedException
            The run failed; the error is in the log, history and persis_info have been saved.
        """
        self._check_comms()
        if self.executor is not None:
            current.executor = self.executor
        self.H, self.persis_info, self.flag = libE(
            self.sim_specs,
            self.gen_specs,
            self.exit_criteria,
            persis_info=self.persis_info,
            alloc_specs=self.alloc_specs,
            libE_specs=self._libE_specs,
            H0=self.H0 if H0 is None else H0,
        )
        return self.H, self.persis_info, self.flag

    def _check_comms(self) -> None:
        comms = self._libE_specs.comms if self._libE_specs is not None else None
        if self._fixed_comms is not None and comms != self._fixed_comms:
            raise ValueError(_comms_changed(self._fixed_comms, comms))

    def add_random_streams(self, num_streams: int = 0, seed: int | str | None = "") -> dict[Any, Any]:
        """Give each worker (and id 0) a random stream in `persis_info`.

        Parameters
        ----------
        num_streams : int, default `nworkers`
            The highest worker id that gets one.
        seed : int, None or ""
            ``""``: a seed for each id; an int: the same for all; None: fresh entropy.

        Returns
        -------
        dict
            `persis_info`
        """
        self.persis_info = add_unique_random_streams(self.persis_info, (num_streams or self.nworkers) + 1, seed=seed)
        return self.persis_info

    def save_output(self, basename: str, append_attrs: bool = True) -> None:
        """Write H and persis_info to files in the workflow directory; on the manager only.

        Parameters
        ----------
        basename : str
            How the file names begin; a script's ``__file__`` will do.
        append_attrs : bool, default True
            Add the length of H, the number of evaluations and of workers to the names.
        """
        if not self.is_manager:
            return
        if not hasattr(self, "H"):
            raise ValueError("there is no output to save: call run() first")
        directory = self._libE_specs.workflow_dir_path if self._libE_specs is not None else "."
        save_libE_output(
            self.H, self.persis_info, basename, self.nworkers, dest_path=directory, append_attrs=append_attrs
        )


def _as_libE_specs(given: Any) -> LibeSpecs:
    if isinstance(given, LibeSpecs):
        return given
    return LibeSpecs(**translate_removed(LibeSpecs, given, stacklevel=4))


def _stated(new: LibeSpecs | Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that new specs state; None states nothing."""
    options = new.stated() if isinstance(new, LibeSpecs) else translate_removed(LibeSpecs, new, stacklevel=4)
    return {name: value for name, value in options.items() if value is not None}


def _comms_changed(old: str | None, new: str | None) -> str:
    return f"the comms of this Ensemble are {old!r} and cannot become {new!r}: make a new Ensemble"
