"""The command line of a calling script: which comms, how many workers.

`parse_args()` reads it; `mpi_init()` initialises MPI, and does so only when MPI is chosen (once it is initialised,
processes should not be forked).
"""

import argparse
import os
import shlex
import sys
from typing import Any

from libensemble.comms.mpi import initialised_mpi

COMMS = ("local", "threads", "tcp", "ssh", "client", "mpi")
DEFAULT_WORKERS = 4

Parsed = tuple[int, bool, dict[str, Any], list[str]]


def parse_args() -> Parsed:
    """Read the command line (`sys.argv`) of a calling script.

    Options: ``--comms {local,threads,tcp,ssh,client,mpi}``, ``--nworkers``/``-n``, ``--nsim_workers`` (workers for
    simulations: one more is added for a generator), ``--nresource_sets``, ``--workers`` (hosts, for ssh),
    ``--workerID`` and ``--server IP PORT AUTHKEY`` (for client), ``--pwd``, ``--worker_pwd``, ``--worker_python``,
    ``--tester_args``. Without ``--comms``: local if ``--nworkers`` is given, else mpi.

    Returns
    -------
    nworkers : int
        Number of workers.
    is_manager : bool
        Is this process the manager?
    libE_specs : dict
        Options for `libE()`, to which a script may add its own.
    extra_args : list of str
        Words of the command line that are not options of this function.

    Raises
    ------
    SystemExit
        An option has a wrong value, or its form lacks another option (status 2).
    ModuleNotFoundError
        MPI is chosen but mpi4py is not installed.

    Examples
    --------
    >>> nworkers, is_manager, libE_specs, extra_args = parse_args()  # doctest: +SKIP
    """
    nworkers, is_manager, libE_specs, extra_args = read_command_line()
    assert nworkers is not None and is_manager is not None  # they are, when comms are not stated elsewhere
    return nworkers, is_manager, libE_specs, extra_args


def read_command_line(comms_stated: bool = False) -> tuple[int | None, bool | None, dict[str, Any], list[str]]:
    """Read the command line of a script that may itself state comms.

    Returns what `parse_args()` returns. Where the script states comms and the command line does not, `nworkers` and
    `is_manager` are None, and the options are only those that go with any comms.
    """
    parser = _parser()
    words, extra_args = parser.parse_known_args(sys.argv[1:])
    script = sys.argv[0]
    if words.pwd:
        script = os.path.abspath(script)
        os.chdir(words.pwd)
    if comms_stated and words.comms is None and words.nworkers is None:
        return None, None, dict(_resource_sets(words)), extra_args
    forms = {"mpi": _mpi, "local": _local, "threads": _local, "tcp": _tcp, "ssh": _ssh, "client": _client}
    comms = words.comms or ("local" if words.nworkers is not None else "mpi")
    return *forms[comms](parser, words, script), extra_args


def mpi_init(mpi_comm: Any = None) -> tuple[int, bool]:
    """Initialise MPI if that is still to be done, and say who this process is.

    Parameters
    ----------
    mpi_comm : mpi4py communicator, optional
        Default: COMM_WORLD.

    Returns
    -------
    nworkers : int
        Size of the communicator less one; 0 for a process outside of it.
    is_manager : bool
        Is this process its rank 0?
    """
    MPI = initialised_mpi()
    if mpi_comm is None:
        mpi_comm = MPI.COMM_WORLD
    if mpi_comm == MPI.COMM_NULL:
        return 0, False
    return mpi_comm.Get_size() - 1, mpi_comm.Get_rank() == 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=os.path.basename(sys.argv[0]) if sys.argv else None)
    add = parser.add_argument
    add("--comms", nargs="?", choices=COMMS, help="how manager and workers talk")
    add("--nworkers", "-n", nargs="?", type=int, help="number of workers")
    add("--nsim_workers", nargs="?", type=int, help="number of workers for simulations; one is added for a generator")
    add("--nresource_sets", nargs="?", type=int, help="number of resource sets")
    add("--workers", nargs="*", help="ssh: hosts of the workers")
    add("--workerID", nargs="?", type=int, help="client: id of this worker")
    add("--server", nargs="*", help="client: address, port and key of the manager")
    add("--pwd", nargs="?", help="change to this directory first")
    add("--worker_pwd", nargs="?", help="ssh: directory on the workers' hosts")
    add("--worker_python", nargs="?", default=None, help="ssh: Python on the workers' hosts")
    add("--tester_args", nargs="*", help="words for test scripts, ignored here")
    return parser


Form = tuple[int, bool, dict[str, Any]]


def _resource_sets(words: argparse.Namespace) -> dict[str, int]:
    number = words.nresource_sets if words.nresource_sets is not None else words.nsim_workers
    return {} if number is None else {"num_resource_sets": number}


def _mpi(parser: argparse.ArgumentParser, words: argparse.Namespace, script: str) -> Form:
    nworkers, is_manager = mpi_init()
    world = initialised_mpi().COMM_WORLD
    return nworkers, is_manager, {"mpi_comm": world, "comms": "mpi", **_resource_sets(words)}


def _local(parser: argparse.ArgumentParser, words: argparse.Namespace, script: str) -> Form:
    nworkers = words.nworkers
    if nworkers is None:
        nworkers = words.nsim_workers + 1 if words.nsim_workers is not None else DEFAULT_WORKERS
    comms = words.comms or "local"
    return nworkers, True, {"comms": comms, "nworkers": nworkers, **_resource_sets(words)}


def _tcp(parser: argparse.ArgumentParser, words: argparse.Namespace, script: str) -> Form:
    nworkers = words.nworkers or DEFAULT_WORKERS
    server = ["{manager_ip}", "{manager_port}", "{authkey}"]
    worker_cmd = [_literal(sys.executable), _literal(script), *_client_words(server, nworkers)]
    return nworkers, True, {"comms": "tcp", "nworkers": nworkers, "worker_cmd": worker_cmd}


def _ssh(parser: argparse.ArgumentParser, words: argparse.Namespace, script: str) -> Form:
    if not words.workers:
        parser.error("--comms ssh needs --workers HOST [HOST ...]")
    nworkers = len(words.workers)
    directory = words.worker_pwd or os.getcwd()
    python = words.worker_python or sys.executable
    remote_script = os.path.join(directory, script)
    client = " ".join(_client_words(["localhost", "{tunnel_port}", "{authkey}"], nworkers))
    paths = [_literal(shlex.quote(path)) for path in (directory, python, remote_script)]
    worker_cmd = [
        "ssh",
        "-R",
        "{tunnel_port}:localhost:{manager_port}",
        "{worker_ip}",
        "( cd {} ; {} {} {} )".format(*paths, client),
    ]
    return nworkers, True, {"comms": "tcp", "workers": words.workers, "ip": "localhost", "worker_cmd": worker_cmd}


def _client_words(server: list[str], nworkers: int) -> list[str]:
    return ["--comms", "client", "--server", *server, "--workerID", "{workerID}", "--nworkers", str(nworkers)]


def _literal(path: str) -> str:
    """Return a path as a template that stands for itself."""
    return path.replace("{", "{{").replace("}", "}}")


def _client(parser: argparse.ArgumentParser, words: argparse.Namespace, script: str) -> Form:
    if not words.server or len(words.server) != 3:
        parser.error(f"--comms client needs --server IP PORT AUTHKEY, not {' '.join(words.server or []) or 'nothing'}")
    ip, port, authkey = words.server
    if not port.isdigit():
        parser.error(f"the port in --server must be a number, not {port!r}")
    if words.workerID is None:
        parser.error("--comms client needs --workerID N")
    nworkers = words.nworkers or DEFAULT_WORKERS
    libE_specs = {"comms": "tcp", "ip": ip, "port": int(port), "authkey": authkey, "workerID": words.workerID}
    return nworkers, False, {**libE_specs, "nworkers": nworkers}
