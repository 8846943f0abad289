"""The forms of the command line, and what each says of workers and comms."""

import sys
from types import SimpleNamespace

import pytest

from libensemble.tools.parse_args import mpi_init, parse_args, read_command_line


@pytest.fixture
def command(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(words):
        monkeypatch.setattr(sys, "argv", ["run_it.py", *words.split()])
        return parse_args()

    return run


class FakeComm:
    def __init__(self, size, rank):
        self.size, self.rank = size, rank

    def Get_size(self):
        return self.size

    def Get_rank(self):
        return self.rank


@pytest.fixture
def fake_mpi(monkeypatch):
    calls = []
    MPI = SimpleNamespace(
        COMM_WORLD=FakeComm(8, 3),
        COMM_NULL="null",
        Is_initialized=lambda: bool(calls),
        Init=lambda: calls.append("Init"),
    )
    package = SimpleNamespace(MPI=MPI, rc=SimpleNamespace(initialize=True), calls=calls)
    monkeypatch.setitem(sys.modules, "mpi4py", package)
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", MPI)
    return package


@pytest.fixture
def no_mpi(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)


@pytest.mark.parametrize(
    ("words", "nworkers", "options"),
    [
        ("--comms local --nworkers 3", 3, {"comms": "local", "nworkers": 3}),
        ("--nworkers 3", 3, {"comms": "local", "nworkers": 3}),
        ("-n 3", 3, {"comms": "local", "nworkers": 3}),
        ("--nwork 3", 3, {"comms": "local", "nworkers": 3}),
        ("--comms threads", 4, {"comms": "threads", "nworkers": 4}),
        ("--comms local --nworkers", 4, {"comms": "local", "nworkers": 4}),
        ("--comms local --nsim_workers 3", 4, {"comms": "local", "nworkers": 4, "num_resource_sets": 3}),
        ("-n 6 --nsim_workers 3", 6, {"comms": "local", "nworkers": 6, "num_resource_sets": 3}),
        ("-n 6 --nsim_workers 3 --nresource_sets 8", 6, {"comms": "local", "nworkers": 6, "num_resource_sets": 8}),
    ],
)
def test_one_machine(command, words, nworkers, options):
    assert command(words) == (nworkers, True, options, [])


def test_unknown_words_are_the_scripts_own(command):
    assert command("-n 2 first --depth 3")[3] == ["first", "--depth", "3"]


def test_tester_args_are_swallowed(command):
    assert command("-n 2 --tester_args a b c") == command("-n 2")


def test_bad_comms_exit_with_status_2(command, capsys):
    with pytest.raises(SystemExit) as exit_info:
        command("--comms pigeon")
    assert exit_info.value.code == 2 and "pigeon" in capsys.readouterr().err


def test_tcp(command):
    nworkers, is_manager, options, _ = command("--comms tcp -n 2")
    assert (nworkers, is_manager) == (2, True)
    client = "--comms client --server {manager_ip} {manager_port} {authkey} --workerID {workerID} --nworkers 2"
    assert options == {
        "comms": "tcp",
        "nworkers": 2,
        "worker_cmd": [sys.executable, "run_it.py", *client.split()],
    }


def test_ssh(command):
    nworkers, is_manager, options, _ = command(
        "--comms ssh --workers n1 n2 --worker_pwd /far/away --worker_python /bin/py"
    )
    assert (nworkers, is_manager) == (2, True)
    assert options["comms"] == "tcp" and options["workers"] == ["n1", "n2"] and options["ip"] == "localhost"
    assert options["worker_cmd"] == [
        "ssh",
        "-R",
        "{tunnel_port}:localhost:{manager_port}",
        "{worker_ip}",
        "( cd /far/away ; /bin/py /far/away/run_it.py --comms client --server localhost {tunnel_port} {authkey} "
        "--workerID {workerID} --nworkers 2 )",
    ]


def test_client(command):
    words = "--comms client --server 10.0.0.1 1234 secret --workerID 2"
    options = {"comms": "tcp", "ip": "10.0.0.1", "port": 1234, "authkey": "secret", "workerID": 2, "nworkers": 4}
    assert command(words) == (4, False, options, [])


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ("--comms ssh", "--workers"),
        ("--comms ssh --workers", "--workers"),
        ("--comms client --workerID 1", "--server"),
        ("--comms client --server host 1234 --workerID 1", "--server"),
        ("--comms client --server host port key --workerID 1", "'port'"),
        ("--comms client --server host 1234 key", "--workerID"),
    ],
)
def test_a_form_that_lacks_an_option_names_it(command, capsys, words, needed):
    with pytest.raises(SystemExit) as exit_info:
        command(words)
    assert exit_info.value.code == 2 and needed in capsys.readouterr().err


def test_what_tcp_and_ssh_launch_can_be_read_back(command):
    values = {"manager_ip": "host", "manager_port": 99, "authkey": "key", "workerID": 2}
    launched = [word.format(**values) for word in command("--comms tcp -n 3")[2]["worker_cmd"]]
    assert command(" ".join(launched[2:]))[2] == {
        "comms": "tcp",
        "ip": "host",
        "port": 99,
        "authkey": "key",
        "workerID": 2,
        "nworkers": 3,
    }


def test_pwd_changes_directory_first(command, tmp_path):
    (tmp_path / "there").mkdir()
    options = command("--pwd there --comms tcp")[2]
    assert options["worker_cmd"][1] == str(tmp_path / "run_it.py")
    assert (tmp_path / "there").samefile(".")


def test_mpi(command, fake_mpi):
    world = fake_mpi.MPI.COMM_WORLD
    assert command("") == (7, False, {"mpi_comm": world, "comms": "mpi"}, [])
    options = command("--comms mpi --nsim_workers 6")[2]
    assert options == {"mpi_comm": world, "comms": "mpi", "num_resource_sets": 6}


def test_mpi_init_uses_the_given_communicator(fake_mpi):
    assert mpi_init() == (7, False)
    assert mpi_init(FakeComm(3, 0)) == (2, True)
    assert mpi_init("null") == (0, False)
    assert fake_mpi.calls == []


def test_mpi_init_initialises_once_when_mpi4py_was_told_not_to(fake_mpi):
    fake_mpi.rc.initialize = False
    mpi_init()
    mpi_init()
    assert fake_mpi.calls == ["Init"]


def test_a_missing_mpi4py_is_named_with_its_extra(command, no_mpi):
    for words in ("", "--comms mpi"):
        with pytest.raises(ModuleNotFoundError, match=r"libensemble\[mpi\]"):
            command(words)


@pytest.mark.parametrize("words", ["-n 2", "--comms threads", "--comms tcp", "--comms ssh --workers a"])
def test_other_comms_do_not_need_mpi4py(command, no_mpi, words):
    assert command(words)[1] is True


def test_a_script_that_states_comms_keeps_them_unless_told_otherwise(command, no_mpi, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "--nresource_sets", "5", "mine"])
    assert read_command_line(comms_stated=True) == (None, None, {"num_resource_sets": 5}, ["mine"])
    monkeypatch.setattr(sys, "argv", ["x", "-n", "5"])
    assert read_command_line(comms_stated=True)[:2] == (5, True)
