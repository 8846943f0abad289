"""Platforms: what is known about a machine before anything is probed.

Owns the `Platform` model, the machines known by name, and how a name is found from the environment. Numbers found by
probing belong to `node_resources.py` and `gpu_detect.py`; what a run finally uses is decided in `resources.py`.

Where a value is stated twice, the later one of these wins: a detected machine, `$LIBE_PLATFORM`,
`libE_specs["platform"]`, `libE_specs["platform_specs"]`.
"""

import logging
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from libensemble.errors import PlatformException
from libensemble.logger import MANAGER_WARNING

__all__ = [
    "Aurora",
    "Frontier",
    "GenericROCm",
    "Known_platforms",
    "Lumi",
    "LumiGPU",
    "Perlmutter",
    "PerlmutterCPU",
    "PerlmutterGPU",
    "Platform",
    "PlatformException",
    "Polaris",
    "Summit",
    "detect_systems",
    "get_platform",
    "known_envs",
    "known_system_detect",
]

logger = logging.getLogger(__name__)

MPI_RUNNERS = ("mpich", "openmpi", "aprun", "srun", "jsrun", "msmpi", "flux", "custom")
GPU_SETTING_TYPES = ("runner_default", "env", "option_gpus_per_node", "option_gpus_per_task")

_DOMAIN_COMMAND = "hostname -d"
_DOMAIN_TIME_LIMIT = 2.0  # seconds
_BATCH_TOOLS = ("sbatch", "qsub", "bsub")


class Platform(BaseModel):
    """What a machine's nodes hold and how applications are started on them.

    A field that is None is found out when it is needed. Unknown fields are rejected, and assignments are checked.
    """

    # Most of these classes are never used in a run: their validators are built when one is.
    model_config = ConfigDict(extra="forbid", validate_assignment=True, defer_build=True)

    mpi_runner: str | None = Field(default=None, description=f"How MPI applications start: one of {MPI_RUNNERS}.")
    runner_name: str | None = Field(default=None, description="The run command, if not the runner's usual one.")
    cores_per_node: int | None = Field(default=None, description="Physical cores of a node.")
    logical_cores_per_node: int | None = Field(
        default=None, description="Logical cores of a node; a multiple of `cores_per_node`."
    )
    gpus_per_node: int | None = Field(default=None, description="GPUs of a node; 0 says that there are none.")
    tiles_per_gpu: int | None = Field(default=None, description="Tiles of a GPU that can be used as GPUs.")
    gpu_setting_type: str | None = Field(
        default=None,
        description="How a task learns its GPUs: `runner_default` (the runner's own way), `env` (a variable), "
        "`option_gpus_per_node` or `option_gpus_per_task` (an option on the run line).",
    )
    gpu_setting_name: str | None = Field(default=None, description="Name of that variable or option.")
    gpu_env_fallback: str | None = Field(
        default=None, description="Variable to set where no MPI runner starts the task (`set_env_to_gpus`)."
    )
    scheduler_match_slots: bool = Field(
        default=True, description="Whether resource sets of a task should have the same slots on each of its nodes."
    )

    @field_validator("mpi_runner")
    @classmethod
    def _is_a_runner(cls, value: str | None) -> str | None:
        if value is not None and value not in MPI_RUNNERS:
            raise ValueError(f"mpi_runner {value!r} is not known; it is one of {', '.join(MPI_RUNNERS)}")
        return value

    @field_validator("gpu_setting_type")
    @classmethod
    def _is_a_gpu_setting(cls, value: str | None) -> str | None:
        if value is not None and value not in GPU_SETTING_TYPES:
            raise ValueError(f"gpu_setting_type {value!r} is not known; it is one of {', '.join(GPU_SETTING_TYPES)}")
        return value

    # Not a constraint of the fields: classes for single machines state these fields anew.
    @field_validator("cores_per_node", "logical_cores_per_node", "gpus_per_node", "tiles_per_gpu")
    @classmethod
    def _is_a_count(cls, value: int | None, info: ValidationInfo) -> int | None:
        least = 0 if info.field_name == "gpus_per_node" else 1
        if value is not None and value < least:
            raise ValueError(f"{info.field_name} is {value}, but cannot be below {least}")
        return value

    # A field validator, not a model validator: a refused assignment then leaves the object as it was.
    @field_validator("cores_per_node", "logical_cores_per_node")
    @classmethod
    def _logical_is_a_multiple(cls, value: int | None, info: ValidationInfo) -> int | None:
        counts = {**info.data, str(info.field_name): value}
        physical, logical = counts.get("cores_per_node"), counts.get("logical_cores_per_node")
        if physical and logical and logical % physical:
            raise ValueError(f"logical_cores_per_node ({logical}) is not a multiple of cores_per_node ({physical})")
        return value


class Aurora(Platform):
    """ALCF Aurora: Intel GPUs of two tiles."""

    mpi_runner: str | None = "mpich"
    runner_name: str | None = "mpiexec"
    cores_per_node: int | None = 104
    logical_cores_per_node: int | None = 208
    gpus_per_node: int | None = 6
    tiles_per_gpu: int | None = 2
    gpu_setting_type: str | None = "env"
    gpu_setting_name: str | None = "ZE_AFFINITY_MASK"
    scheduler_match_slots: bool = True


class GenericROCm(Platform):
    """Any machine with AMD GPUs and MPICH."""

    mpi_runner: str | None = "mpich"
    gpu_setting_type: str | None = "env"
    gpu_setting_name: str | None = "ROCR_VISIBLE_DEVICES"
    scheduler_match_slots: bool = True


class Frontier(Platform):
    """OLCF Frontier."""

    mpi_runner: str | None = "srun"
    cores_per_node: int | None = 64
    logical_cores_per_node: int | None = 128
    gpus_per_node: int | None = 8
    gpu_setting_type: str | None = "runner_default"
    gpu_env_fallback: str | None = "ROCR_VISIBLE_DEVICES"
    scheduler_match_slots: bool = False


class Lumi(Platform):
    """CSC LUMI, CPU partition."""

    mpi_runner: str | None = "srun"
    cores_per_node: int | None = 64
    logical_cores_per_node: int | None = 128


class LumiGPU(Lumi):
    """CSC LUMI, GPU partition."""

    gpus_per_node: int | None = 8
    gpu_setting_type: str | None = "env"
    gpu_setting_name: str | None = "ROCR_VISIBLE_DEVICES"
    scheduler_match_slots: bool = True


class Perlmutter(Platform):
    """NERSC Perlmutter, partition not known."""

    mpi_runner: str | None = "srun"


class PerlmutterCPU(Perlmutter):
    """NERSC Perlmutter, CPU nodes."""

    cores_per_node: int | None = 128
    logical_cores_per_node: int | None = 256
    gpus_per_node: int | None = 0


class PerlmutterGPU(Perlmutter):
    """NERSC Perlmutter, GPU nodes."""

    cores_per_node: int | None = 64
    logical_cores_per_node: int | None = 128
    gpus_per_node: int | None = 4
    gpu_setting_type: str | None = "runner_default"
    gpu_env_fallback: str | None = "CUDA_VISIBLE_DEVICES"
    scheduler_match_slots: bool = False


class Polaris(Platform):
    """ALCF Polaris."""

    mpi_runner: str | None = "mpich"
    runner_name: str | None = "mpiexec"
    cores_per_node: int | None = 32
    logical_cores_per_node: int | None = 64
    gpus_per_node: int | None = 4
    gpu_setting_type: str | None = "runner_default"
    gpu_env_fallback: str | None = "CUDA_VISIBLE_DEVICES"
    scheduler_match_slots: bool = True


class Summit(Platform):
    """OLCF Summit."""

    mpi_runner: str | None = "jsrun"
    cores_per_node: int | None = 42
    logical_cores_per_node: int | None = 168
    gpus_per_node: int | None = 6
    gpu_setting_type: str | None = "option_gpus_per_task"
    gpu_setting_name: str | None = "-g"
    scheduler_match_slots: bool = False


class Known_platforms(BaseModel):
    """The platforms that can be named in `libE_specs["platform"]` or `$LIBE_PLATFORM`; one field each."""

    model_config = ConfigDict(defer_build=True)

    aurora: Aurora = Field(default_factory=Aurora)
    generic_rocm: GenericROCm = Field(default_factory=GenericROCm)
    frontier: Frontier = Field(default_factory=Frontier)
    lumi: Lumi = Field(default_factory=Lumi)
    lumi_g: LumiGPU = Field(default_factory=LumiGPU)
    perlmutter: Perlmutter = Field(default_factory=Perlmutter)
    perlmutter_c: PerlmutterCPU = Field(default_factory=PerlmutterCPU)
    perlmutter_g: PerlmutterGPU = Field(default_factory=PerlmutterGPU)
    polaris: Polaris = Field(default_factory=Polaris)
    summit: Summit = Field(default_factory=Summit)


detect_systems: dict[str, str] = {
    "frontier.olcf.ornl.gov": "frontier",
    "hostmgmt.cm.aurora.alcf.anl.gov": "aurora",
    "hsn.cm.polaris.alcf.anl.gov": "polaris",
    "summit.olcf.ornl.gov": "summit",
}


def known_envs() -> str | None:
    """Name of the known platform that this environment's variables tell of, or None."""
    if os.environ.get("NERSC_HOST") == "perlmutter":
        return _partition_of("perlmutter", lambda part: "perlmutter_g" if "gpu_" in part else "perlmutter_c")
    if os.environ.get("SLURM_CLUSTER_NAME") == "lumi":
        return _partition_of("lumi", lambda part: "lumi_g" if part.endswith("-g") else "lumi")
    return None


def _partition_of(system: str, name_for: Any) -> str:
    partition = os.environ.get("SLURM_JOB_PARTITION")
    if partition:
        return name_for(partition)
    logger.log(
        MANAGER_WARNING,
        "%s was detected, but SLURM_JOB_PARTITION is not set (is this a login node?): "
        "only what holds for all of its partitions is assumed",
        system,
    )
    return system


def known_system_detect(cmd: str = _DOMAIN_COMMAND) -> str | None:
    """Name of the known platform that this is, by the domain of the host, else by `known_envs`.

    Parameters
    ----------
    cmd : str
        A command that prints the domain. The default is run only on machines that have a batch system, since no other
        can be a known platform; its errors are hidden and its time is limited.
    """
    return detect_systems.get(_domain(cmd)) or known_envs()


def _domain(cmd: str) -> str:
    if cmd == _DOMAIN_COMMAND:
        domain = socket.gethostname().partition(".")[2]
        if domain in detect_systems or not any(map(shutil.which, _BATCH_TOOLS)):
            return domain
    try:
        done = subprocess.run(
            shlex.split(cmd),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_DOMAIN_TIME_LIMIT,
            text=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def get_platform(libE_specs: Mapping[str, Any]) -> dict[str, Any]:
    """What is known about the platform of a run.

    Parameters
    ----------
    libE_specs : mapping
        `"platform"` (a name) and `"platform_specs"` (a `Platform` or a dict of its fields) are read.

    Returns
    -------
    dict
        Field name to value, without None. Fields of `platform_specs` that were stated (given when it was constructed,
        or by its class) stand over those of the named or detected platform; fields left alone never erase any.

    Raises
    ------
    PlatformException
        The platform's name is not known.
    pydantic.ValidationError
        A value is not allowed, alone or together with the named platform's.
    """
    name = libE_specs.get("platform") or os.environ.get("LIBE_PLATFORM") or known_system_detect()
    specs = libE_specs.get("platform_specs") or {}
    if not name:
        return dict(_given(specs)) if isinstance(specs, Mapping) else specs.model_dump(exclude_none=True)
    return _checked({**_named(name).model_dump(exclude_none=True), **_stated(specs)})


def _named(name: str) -> Platform:
    if name not in Known_platforms.model_fields:
        known = ", ".join(Known_platforms.model_fields)
        raise PlatformException(f"Unknown platform {name!r}; known platforms are {known}")
    return getattr(Known_platforms(), name)


def _given(specs: Mapping[str, Any]) -> dict[str, Any]:
    return _checked({field: value for field, value in specs.items() if value is not None})


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    return Platform(**values).model_dump(include=set(values))


def _stated(specs: Platform | Mapping[str, Any]) -> dict[str, Any]:
    """The fields that the user stated, as opposed to those that `Platform` filled in."""
    if isinstance(specs, Mapping):
        return _given(specs)
    by_class = {field for cls in type(specs).__mro__ if _refines_platform(cls) for field in cls.__annotations__}
    return specs.model_dump(include=specs.model_fields_set | by_class, exclude_none=True)


def _refines_platform(cls: type) -> bool:
    return issubclass(cls, Platform) and cls is not Platform
