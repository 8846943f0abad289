"""LibeSpecs: how a run is carried out -- comms, directories, files, resources."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from libensemble.specs import checks
from libensemble.specs.base import Spec

AnyPath = str | Path
InputDir = Annotated[AnyPath | None, AfterValidator(checks.input_dir)]
ExistingPaths = Annotated[list[AnyPath], AfterValidator(checks.existing_paths)]
StatsFormat = Annotated[dict[str, Any], AfterValidator(lambda value: checks.keys_among(value, checks.STATS_KEYS))]
SchedulerOptions = Annotated[
    dict[str, Any], AfterValidator(lambda value: checks.keys_among(value, checks.SCHEDULER_KEYS))
]
ResourceInfo = Annotated[dict[str, Any], AfterValidator(lambda value: checks.keys_among(value, checks.RESOURCE_KEYS))]


class LibeSpecs(Spec):
    """How a run is carried out. Every option has a default; most runs state two or three.

    When `nworkers` is given and `comms` is not, comms are ``"local"`` (or ``"mpi"``, if the environment says that
    this process is one of several MPI ranks). This is decided at construction only.
    """

    needs_value: ClassVar[frozenset[str]] = frozenset({"comms"})

    # ---- general

    comms: Annotated[str, BeforeValidator(checks.comms_name)] = "mpi"
    """``"local"`` (processes), ``"threads"``, ``"mpi"`` or ``"tcp"``."""

    nworkers: int = 0
    """Number of workers for local, threads and tcp comms; with mpi it follows from the number of ranks."""

    gen_on_manager: bool = False
    """Run generators in a thread of the manager, as worker 0."""

    mpi_comm: Any = None
    """The MPI communicator of the run; None: COMM_WORLD."""

    dry_run: bool = False
    """Check everything, then exit."""

    abort_on_exception: bool = True
    """With mpi comms: call ``MPI_Abort`` after an exception, so that no rank waits for ever."""

    worker_timeout: int = 1
    """Seconds that each worker has to end by itself at shutdown."""

    kill_canceled_sims: bool = False
    """Send a kill signal to running simulations whose `cancel_requested` is set."""

    gen_workers: list[int] = Field(default_factory=list)
    """Ids of workers that run generators only; all others then run simulations only."""

    safe_mode: bool = False
    """Protect the reserved history fields from user functions."""

    disable_log_files: bool = False
    """Write neither ``ensemble.log`` nor ``libE_stats.txt``."""

    profile: bool = False
    """Write cProfile dumps of manager and workers."""

    stats_fmt: StatsFormat = Field(default_factory=dict)
    """Additions to the lines of ``libE_stats.txt``: `task_timing`, `task_datetime`, `show_resource_sets` (bools)."""

    live_data: Any = None
    """An object with ``live_update(history)`` and ``finalize(history)``, called while the run goes on."""

    # ---- directories

    use_workflow_dir: bool = False
    """Put all files of the run in a directory of its own."""

    workflow_dir_path: AnyPath = "."
    """That directory; stating it sets `use_workflow_dir`. Default with `use_workflow_dir`: ``./workflow_<6 hex>``."""

    reuse_output_dir: bool = False
    """Accept an ensemble directory that has content from earlier runs."""

    ensemble_dir_path: AnyPath = Path("ensemble")
    """The directory that holds the directories of workers and calculations."""

    ensemble_copy_back: bool = False
    """Copy the directories of calculations back to the launch directory at the end."""

    use_worker_dirs: bool = False
    """Sort the directories of calculations by worker."""

    sim_dirs_make: bool = False
    """Give every simulation a directory."""

    gen_dirs_make: bool = False
    """Give every generator call a directory."""

    sim_dir_copy_files: ExistingPaths = Field(default_factory=list)
    """Files and directories copied into every simulation's directory."""

    gen_dir_copy_files: ExistingPaths = Field(default_factory=list)
    """Files and directories copied into every generator's directory."""

    sim_dir_symlink_files: ExistingPaths = Field(default_factory=list)
    """Files and directories linked into every simulation's directory."""

    gen_dir_symlink_files: ExistingPaths = Field(default_factory=list)
    """Files and directories linked into every generator's directory."""

    sim_input_dir: InputDir = None
    """A directory of which every simulation's directory starts as a copy; sets `sim_dirs_make`."""

    gen_input_dir: InputDir = None
    """A directory of which every generator's directory starts as a copy; sets `gen_dirs_make`."""

    calc_dir_id_width: int = 4
    """Digits in the names of calculations' directories."""

    # ---- saving the history

    save_every_k_sims: int = 0
    """Save the history after every k ended simulations; 0: never. Sets `save_H_on_completion`."""

    save_every_k_gens: int = 0
    """Save the history after every k generated points; 0: never. Sets `save_H_on_completion`."""

    save_H_and_persis_on_abort: bool = True
    """Save history and persis_info when the run ends with an exception."""

    save_H_on_completion: bool = False
    """Save the history at the end."""

    save_H_with_date: bool = False
    """Put the start time into the names of saved histories."""

    H_file_prefix: str = "libE_history"
    """How the names of saved histories begin."""

    use_persis_return_gen: bool = False
    """Put what a persistent generator returns at its end into the history."""

    use_persis_return_sim: bool = False
    """Put what a persistent simulator returns at its end into the history."""

    final_gen_send: bool = False
    """Send the last results to persistent generators before the end. A run with a generator object does so unless
    False is stated."""

    # ---- tcp

    workers: list[str] = Field(default_factory=list)
    """Hosts of remote workers."""

    ip: str | None = None
    """Address of the manager."""

    port: int = 0
    """Port of the manager; 0: any free one."""

    authkey: str = Field(default_factory=checks.authkey)
    """The key that manager and workers share; random by default."""

    workerID: int | None = None
    """This process's worker id, where the process is a worker."""

    worker_cmd: list[str] = Field(default_factory=list)
    """Command that starts a remote worker, a list of templates."""

    # ---- resources

    platform: str = ""
    """Name of a known platform; default: the environment's ``LIBE_PLATFORM``, or what is detected."""

    platform_specs: Annotated[Any, BeforeValidator(checks.platform)] = Field(default_factory=dict)
    """A Platform, or a dict of its fields."""

    disable_resource_manager: bool = False
    """Do not find out or share out nodes, cores and GPUs. Always so with tcp comms."""

    num_resource_sets: int = 0
    """Number of resource sets to divide resources into; 0: one for each worker."""

    gen_num_procs: int = 0
    """Processes that a generator needs."""

    gen_num_gpus: int = 0
    """GPUs that a generator needs."""

    gpus_per_group: int | None = None
    """Number of GPUs in each group of resource sets."""

    use_tiles_as_gpus: bool = False
    """Treat each tile of a GPU as a GPU."""

    enforce_worker_core_bounds: bool = False
    """Refuse launches that need more cores than the worker has."""

    dedicated_mode: bool = False
    """Keep the nodes that run manager and workers free of applications."""

    zero_resource_workers: list[int] = Field(default_factory=list)
    """Ids of workers that need no resources."""

    resource_info: ResourceInfo = Field(default_factory=dict)
    """Facts that replace detection: `cores_on_node` (physical, logical), `gpus_on_node`, `node_file`, and the names of
    environment variables with node lists: `nodelist_env_slurm`, `_cobalt`, `_pbs`, `_lsf`, `_lsf_shortform`."""

    scheduler_opts: SchedulerOptions = Field(default_factory=dict)
    """Options of the resource scheduler: `split2fit`, `match_slots` (bools, default True)."""

    @classmethod
    def _read(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        read = super()._read(given)
        if "comms" not in read and "nworkers" in read:
            read["comms"] = "mpi" if checks.launched_by_mpi() else "local"
        return read

    @model_validator(mode="after")
    def _apply_effects(self) -> "LibeSpecs":
        self._check_workers()
        if self.comms == "tcp":
            self._put("disable_resource_manager", True)
        if self.save_every_k_sims > 0 or self.save_every_k_gens > 0:
            self._put("save_H_on_completion", True)
        self._settle_workflow_dir()
        for kind in ("sim", "gen"):
            if getattr(self, f"{kind}_input_dir") is not None:
                self._put(f"{kind}_dirs_make", True)
        return self

    def _check_workers(self) -> None:
        if self.nworkers < 0 and self.comms != "mpi":
            raise ValueError(f"{self.comms} comms need at least one worker, not nworkers={self.nworkers}")
        if self.comms == "tcp" and not self.nworkers and not self.workers:
            raise ValueError("tcp comms need 'nworkers' or a list of hosts in 'workers'")

    def _settle_workflow_dir(self) -> None:
        """A path means: use it; use without a path means: make one up. Either way it is absolute from here on."""
        stated = len(str(self.workflow_dir_path)) > 1
        if stated:
            self._put("use_workflow_dir", True)
            self._put("workflow_dir_path", Path(self.workflow_dir_path).absolute())
        elif self.use_workflow_dir:
            self._put("workflow_dir_path", Path(f"workflow_{secrets.token_hex(3)}").absolute())
