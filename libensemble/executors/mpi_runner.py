"""The run line of each MPI runner.

Owns `MPIRunner` and one class per runner: a placement becomes the words in front of an application. Which options a
runner has is stated in its class and nowhere else. Where ranks and GPUs lie is decided before
(`resources/mpi_resources.py`, `gpu_settings.py`).

    Placement + extra arguments + GPU option  --runner.words()-->  mpirun -hosts n1 -np 4 --ppn 4 ...
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from libensemble.errors import ExecutorException
from libensemble.executors.extra_args import ExtraArgs
from libensemble.resources.mpi_resources import Placement
from libensemble.utils.launcher import form_command


class MPIRunner:
    """A runner of the type ``custom``: its run line is what the user says. Base of the others.

    Parameters
    ----------
    run_command : str, optional
        Text in front of the options; may hold options and the fields that `words` knows.
    platform_info : dict, optional

    Attributes
    ----------
    options : tuple of str
        Options in their order, each with one field; an option whose field is None is left out.
    subgroup_launch : bool
        Whether tasks start in a new session. Runners that must stay attached to forward signals do not.
    takes_machinefile, writes_machinefile : bool
        Whether the runner takes a machine file, and whether it gets its hosts by one.
    procs_options, nodes_options, procs_per_node_options, host_options : tuple of str
        Spellings by which a user may state these in the extra arguments.
    default_options : str
        Put at the end of the run line.
    gpus_per_task_option, gpus_per_node_option : str or None
        Options that assign GPUs.
    gpu_options : tuple of str
        Options by which a user may assign GPUs.
    """

    run_command = "mpiexec"
    options: tuple[str, ...] = ()
    subgroup_launch = False
    takes_machinefile = False
    writes_machinefile = False
    procs_options: tuple[str, ...] = ()
    nodes_options: tuple[str, ...] = ()
    procs_per_node_options: tuple[str, ...] = ()
    host_options: tuple[str, ...] = ()
    default_options = ""
    gpus_per_task_option: str | None = None
    gpus_per_node_option: str | None = None
    gpu_options: tuple[str, ...] = ()
    advice: Mapping[str, str] = {}  # by what a runner says on stderr

    def __init__(self, run_command: str | None = None, platform_info: dict[str, Any] | None = None) -> None:
        if run_command:
            self.run_command = run_command
        self.platform_info = platform_info or {}

    @staticmethod
    def get_runner(
        mpi_runner_type: str | None, runner_name: str | None = None, platform_info: dict[str, Any] | None = None
    ) -> "MPIRunner | None":
        """Return a runner of a type; None if the type is None.

        Raises
        ------
        ExecutorException
            There is no such type.
        """
        if mpi_runner_type is None:
            return None
        check_runner_type(mpi_runner_type)
        return RUNNERS[mpi_runner_type](runner_name, platform_info)

    @property
    def states_placement(self) -> bool:
        """Whether the run line says how many ranks there are and where they lie."""
        return bool(self.options)

    def words(self, placement: Placement, extra: ExtraArgs, gpu_option: str | None = None) -> list[str]:
        """Return the words in front of an application.

        The fields ``{num_procs}``, ``{num_nodes}``, ``{procs_per_node}``, ``{hostlist}`` and ``{machinefile}`` are
        filled in wherever a user wrote them. What the extra arguments state is not stated again.
        """
        fields = self._fields(placement)
        words = [_filled(word, fields) for word in shlex.split(self.run_command, posix=False)]
        words += form_command(self.options, self._without_stated(fields, extra))
        words += [_filled(word, fields) for word in extra.words]
        if gpu_option:
            words += gpu_option.split()
        if self.default_options and not extra.has(_names(self.default_options)):
            words += self.default_options.split()
        return words

    def _fields(self, placement: Placement) -> dict[str, Any]:
        return {
            "num_procs": placement.procs,
            "num_nodes": placement.nodes,
            "procs_per_node": placement.procs_per_node,
            "hostlist": ",".join(placement.hosts) or None,
            "machinefile": placement.machinefile,
        }

    def _without_stated(self, fields: Mapping[str, Any], extra: ExtraArgs) -> dict[str, Any]:
        spellings = {
            "num_procs": self.procs_options,
            "num_nodes": self.nodes_options,
            "procs_per_node": self.procs_per_node_options,
            "hostlist": self.host_options,
            "machinefile": self.host_options,
        }
        return {name: None if extra.has(spellings[name]) else value for name, value in fields.items()}

    def advice_for(self, stderr: str) -> str | None:
        """Return what may help a user whose task wrote this on its standard error."""
        return next((text for sign, text in self.advice.items() if sign.lower() in stderr.lower()), None)


class MPICH_MPIRunner(MPIRunner):
    """mpirun of MPICH and of its relatives (Intel MPI, Cray PALS, MVAPICH)."""

    run_command = "mpirun"
    options = ("-machinefile {machinefile}", "-hosts {hostlist}", "-np {num_procs}", "--ppn {procs_per_node}")
    subgroup_launch = True
    takes_machinefile = True
    procs_options = ("-n", "-np")
    procs_per_node_options = ("--ppn", "-ppn")
    host_options = ("-hosts", "--hosts", "-host", "-f", "-machinefile", "--machinefile", "-hostfile", "--hostfile")


class OPENMPI_MPIRunner(MPIRunner):
    """mpirun of Open MPI."""

    run_command = "mpirun"
    options = ("-machinefile {machinefile}", "-host {hostlist}", "-np {num_procs}", "-npernode {procs_per_node}")
    subgroup_launch = True
    takes_machinefile = True
    writes_machinefile = True
    procs_options = ("-n", "-np", "-c", "--n")
    procs_per_node_options = ("-npernode",)
    host_options = ("-host", "--host", "-H", "-machinefile", "--machinefile", "-hostfile", "--hostfile")


class APRUN_MPIRunner(MPIRunner):
    """aprun of Cray ALPS."""

    run_command = "aprun"
    options = ("-L {hostlist}", "-n {num_procs}", "-N {procs_per_node}")
    procs_options = ("-n",)
    procs_per_node_options = ("-N",)
    host_options = ("-L",)


class MSMPI_MPIRunner(MPIRunner):
    """mpiexec of Microsoft MPI."""

    run_command = "mpiexec"
    options = ("-n {num_procs}", "-cores {procs_per_node}")
    procs_options = ("-n", "-np")
    procs_per_node_options = ("-cores",)


class SRUN_MPIRunner(MPIRunner):
    """srun of Slurm."""

    run_command = "srun"
    options = ("-w {hostlist}", "--ntasks {num_procs}", "--nodes {num_nodes}", "--ntasks-per-node {procs_per_node}")
    procs_options = ("-n", "--ntasks")
    nodes_options = ("-N", "--nodes")
    procs_per_node_options = ("--ntasks-per-node",)
    host_options = ("-w", "--nodelist")
    default_options = "--exact"
    gpus_per_task_option = "--gpus-per-task"
    gpus_per_node_option = "--gpus-per-node"
    gpu_options = ("--gpus-per-task", "--gpus-per-node", "--gpus-per-socket", "--gpus", "-G", "--gres=gpu:")
    advice = dict.fromkeys(
        ("step creation temporarily disabled", "Requested nodes are busy"),
        "Slurm has no room for this step beside those that run. A step takes all memory of its nodes unless it is told "
        'otherwise: limit it, as with extra_args="--mem-per-cpu=2G" (or the variable SLURM_MEM_PER_NODE=0), and do not '
        "mix steps with and without --exact on a node.",
    ) | {
        "CPU binding outside of job step allocation": "The step asks for cores of another step. Unset SLURM_CPU_BIND "
        'in the batch script, or give extra_args="--cpu-bind=none".',
    }


class JSRUN_MPIRunner(MPIRunner):
    """jsrun of IBM; ranks count its resource sets."""

    run_command = "jsrun"
    options = ("-n {num_procs}", "-r {procs_per_node}")
    subgroup_launch = True
    procs_options = ("--np", "-n")
    procs_per_node_options = ("-r",)
    gpus_per_task_option = "-g"
    gpu_options = ("-g", "--gpu_per_rs")

    def _fields(self, placement: Placement) -> dict[str, Any]:
        fields = super()._fields(placement)
        if placement.whole_share:  # jsrun finds out by itself
            fields["procs_per_node"] = None
        return fields


class FLUX_MPIRunner(MPIRunner):
    """flux run; it spreads ranks evenly over its nodes by itself."""

    run_command = "flux run"
    options = ("--requires=hosts:{hostlist}", "-n {num_procs}", "-N {num_nodes}")
    procs_options = ("-n", "--ntasks")
    nodes_options = ("-N", "--nodes")
    host_options = ("--requires",)
    gpus_per_task_option = "--gpus-per-task"
    gpu_options = ("-g", "--gpus-per-task", "--gpus-per-node")


RUNNERS: dict[str, type[MPIRunner]] = {
    "mpich": MPICH_MPIRunner,
    "openmpi": OPENMPI_MPIRunner,
    "aprun": APRUN_MPIRunner,
    "srun": SRUN_MPIRunner,
    "jsrun": JSRUN_MPIRunner,
    "msmpi": MSMPI_MPIRunner,
    "flux": FLUX_MPIRunner,
    "custom": MPIRunner,
}


def check_runner_type(mpi_runner_type: Any) -> None:
    """Raise `ExecutorException` unless there is a runner of this type."""
    if mpi_runner_type not in RUNNERS:
        raise ExecutorException(f"Unknown MPI runner {mpi_runner_type!r}; the known ones are {', '.join(RUNNERS)}")


def _filled(word: str, fields: Mapping[str, Any]) -> str:
    for name, value in fields.items():
        word = word.replace("{" + name + "}", "" if value is None else str(value))
    return word


def _names(options: str) -> Sequence[str]:
    return [word.partition("=")[0] for word in options.split() if word.startswith("-")]
