"""Resources: what is stated stands, the rest is found when it is read, and each worker has its own share."""

import pickle
import socket
import threading

import pytest

from libensemble.errors import ResourcesException
from libensemble.resources import node_resources, resources
from libensemble.resources.env_resources import EnvResources
from libensemble.resources.resources import GlobalResources, Resources
from libensemble.utils.current import current


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch):
    monkeypatch.setattr(node_resources.subprocess, "run", lambda *args, **kwargs: pytest.fail("a process was started"))


@pytest.fixture
def found(monkeypatch):
    """What detection finds, and how it was asked."""
    asked = []

    def find(*args, **kwargs):
        asked.append((args, kwargs))
        return (8, 16, 2)

    monkeypatch.setattr(resources, "get_sub_node_resources", find)
    return asked


def glob(tmp_path, platform=None, **libE_specs):
    return GlobalResources(libE_specs, platform, str(tmp_path))


# --- the doors


def test_the_door_leads_to_the_current_resources(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Resources.init_resources({}, {})
    assert made is Resources.resources is current.resources
    assert made.top_level_dir == str(tmp_path)
    Resources.resources = None
    assert current.resources is None


def test_disabled_resource_management_leaves_nothing_of_a_former_run():
    Resources.init_resources({})
    assert Resources.init_resources({"disable_resource_manager": True}) is None
    assert Resources.resources is None


def test_workers_that_are_threads_have_their_own(make_resources):
    Resources.resources = whole = make_resources(1, 2)
    seen = {}

    def work(worker_id):
        current.bind_thread(resources=whole.for_worker(2, worker_id))
        Resources.resources.worker_resources.set_rset_team([worker_id - 1])
        seen[worker_id] = Resources.resources

    threads = [threading.Thread(target=work, args=(worker_id,)) for worker_id in (1, 2)]
    for thread in threads:
        thread.start()
        thread.join()
    assert [seen[i].worker_resources.rset_team for i in (1, 2)] == [[0], [1]]
    assert seen[1].glob_resources is seen[2].glob_resources is whole.glob_resources
    assert Resources.resources is whole
    assert whole.worker_resources is None


def test_for_worker_leaves_the_books_with_the_manager(make_resources):
    whole = make_resources(1, 2)
    whole.set_resource_manager(2)
    assert whole.for_worker(2, 1).resource_manager is None
    assert whole.resource_manager.total_num_rsets == 2


def test_set_worker_resources_makes_the_object_that_of_a_worker(make_resources):
    mine = make_resources(1, 2)
    mine.set_worker_resources(2, 2)
    assert mine.worker_resources.workerID == 2


def test_everything_travels_to_spawned_workers(make_resources):
    whole = make_resources(2, 4, gpus=2)
    whole.set_resource_manager(4)
    whole.resource_manager.assign_rsets([1], 1)
    copy = pickle.loads(pickle.dumps(whole))
    mine = copy.for_worker(4, 1)
    mine.worker_resources.set_rset_team([1])
    assert mine.worker_resources.gpu_ids() == ["1"]
    assert copy.resource_manager.rsets_free == 3
    assert pickle.loads(pickle.dumps(mine)).worker_resources.rset_team == [1]


# --- what nodes hold


def test_nothing_is_looked_for_until_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "get_sub_node_resources", lambda *args, **kwargs: pytest.fail("looked for"))
    monkeypatch.setattr(resources, "get_MPI_runner", lambda *args: pytest.fail("looked for"))
    whole = Resources({}, {}, str(tmp_path))
    whole.add_comm_info([socket.gethostname()])
    whole.set_resource_manager(4)
    whole.for_worker(4, 1).worker_resources.set_rset_team([0])


@pytest.mark.parametrize(
    "info, platform, expected",
    [
        ({}, {}, (8, 16, 2)),
        ({}, {"cores_per_node": 32, "logical_cores_per_node": 64, "gpus_per_node": 4}, (32, 64, 4)),
        ({"cores_on_node": (4, 8)}, {"cores_per_node": 32, "logical_cores_per_node": 64}, (4, 8, 2)),
        ({"gpus_on_node": 1}, {"gpus_per_node": 4}, (8, 16, 1)),
        ({"gpus_on_node": 0}, {"gpus_per_node": 4}, (8, 16, 0)),
        ({}, {"gpus_per_node": 0}, (8, 16, 0)),
        ({}, {"cores_per_node": 32}, (32, 16, 2)),
        ({"cores_on_node": (None, 12)}, {}, (8, 12, 2)),
    ],
)
def test_what_is_stated_stands_and_zero_is_a_statement(info, platform, expected, tmp_path, found):
    known = glob(tmp_path, platform, resource_info=info)
    numbers = known.physical_cores_avail_per_node, known.logical_cores_avail_per_node, known.gpus_avail_per_node
    assert numbers == expected


def test_numbers_are_found_once_and_cores_without_gpus(tmp_path, found):
    known = glob(tmp_path)
    assert [known.physical_cores_avail_per_node, known.logical_cores_avail_per_node] == [8, 16]
    assert [kwargs["gpus_too"] for _, kwargs in found] == [False]


def test_what_lsf_does_not_tell_is_said_only_where_it_matters(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("LSB_MCPU_HOSTS", "c01 42 c02 42")
    monkeypatch.setattr(resources.socket, "gethostname", lambda: "c01")
    known = glob(tmp_path)
    assert (known.cores_on("c01"), caplog.text) == (42, "")
    assert known.cores_on("c01", hyperthreads=True) == 42
    assert "LSF does not tell" in caplog.text


@pytest.mark.parametrize(
    "use_tiles, platform, probed, expected",
    [
        (False, {"tiles_per_gpu": 2}, None, (1, 6)),
        (True, {"tiles_per_gpu": 2}, None, (2, 12)),
        (True, {}, 3, (3, 18)),
        (True, {}, None, (1, 6)),
    ],
)
def test_tiles_count_as_gpus_where_wanted(use_tiles, platform, probed, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "get_tiles_per_gpu", lambda: probed)
    known = glob(tmp_path, {"gpus_per_node": 6, **platform}, use_tiles_as_gpus=use_tiles)
    assert (known.tiles_per_gpu, known.gpus_avail_per_node) == expected


def test_another_kind_of_node_is_asked_through_the_launcher(tmp_path, found):
    (tmp_path / "node_list").write_text("compute1\n")
    known = glob(tmp_path, {"mpi_runner": "srun"})
    assert (known.physical_cores_avail_per_node, known.gpus_avail_per_node) == (8, 2)
    assert len(found) == 1, "one process finds all"
    assert found[0][0] == ("srun",)
    assert found[0][1]["remote_mode"] is True


@pytest.mark.parametrize(
    "platform, launcher",
    [({"mpi_runner": "mpich"}, "mpirun"), ({"mpi_runner": "mpich", "runner_name": "mpiexec"}, "mpiexec")],
)
def test_the_platform_names_the_launcher(platform, launcher, tmp_path):
    assert glob(tmp_path, platform).launcher == launcher


def test_this_node_is_not_asked_through_a_launcher_when_it_is_taken_off_the_list(tmp_path, found):
    (tmp_path / "node_list").write_text(f"{socket.gethostname()}\nother\n")
    known = glob(tmp_path, {"mpi_runner": "srun"}, dedicated_mode=True)
    known.add_comm_info([socket.gethostname()])
    assert known.physical_cores_avail_per_node == 8
    assert "remote_mode" not in found[0][1]


def test_nodes_may_differ(tmp_path):
    (tmp_path / "node_list").write_text("n1 cores=8 logical_cores=32 gpus=4\nn2 cores=4 slots=4\nn3\n")
    info = {"cores_on_node": (16, 64), "gpus_on_node": 2}
    known = glob(tmp_path, resource_info=info)
    nodes = ("n1", "n2", "n3")
    assert [known.cores_on(node) for node in nodes] == [8, 4, 16]
    assert [known.cores_on(node, hyperthreads=True) for node in nodes] == [32, 4, 64]
    assert [known.gpus_on(node) for node in nodes] == [4, 2, 2]


def test_defaults(tmp_path):
    known = glob(tmp_path)
    assert (known.dedicated_mode, known.zero_resource_workers, known.num_resource_sets) == (False, [], None)
    assert (known.enforce_worker_core_bounds, known.gpus_per_group, known.platform_info) == (False, None, {})


# --- the node list


def test_without_a_file_or_a_scheduler_this_host_is_the_list(tmp_path):
    assert GlobalResources.get_global_nodelist(rundir=str(tmp_path)) == [socket.gethostname()]
    assert GlobalResources.get_global_nodelist(rundir=str(tmp_path), env_resources=EnvResources()) == [
        socket.gethostname()
    ]


def test_a_scheduler_gives_the_list_and_a_file_stands_over_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_NODELIST", "n[9-10]")
    assert glob(tmp_path).global_nodelist == ["n9", "n10"]
    (tmp_path / "node_list").write_text("b\na\n")
    assert glob(tmp_path).global_nodelist == ["b", "a"]


def test_blank_lines_comments_and_repetitions_are_no_nodes(tmp_path):
    (tmp_path / "my_nodes").write_text("# two racks\n\nn2  \nn1\n   \nn2\nn3 # slow\n")
    assert glob(tmp_path, resource_info={"node_file": "my_nodes"}).global_nodelist == ["n2", "n1", "n3"]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n"])
def test_a_file_without_nodes_is_refused(text, tmp_path):
    (tmp_path / "node_list").write_text(text)
    with pytest.raises(ResourcesException) as raised:
        GlobalResources.get_global_nodelist(rundir=str(tmp_path))
    assert raised.value.args[0] == "Error. global_nodelist is empty"


@pytest.mark.parametrize(
    "key",
    [
        "nodelist_env_slurm",
        "nodelist_env_cobalt",
        "nodelist_env_pbs",
        "nodelist_env_lsf",
        "nodelist_env_lsf_shortform",
    ],
)
def test_variable_names_can_be_stated(key, tmp_path, monkeypatch):
    file = tmp_path / "hosts"
    file.write_text("7\n")
    monkeypatch.setenv("MY_NODES", str(file) if key.endswith("pbs") else "7")
    assert glob(tmp_path, resource_info={key: "MY_NODES"}).global_nodelist == ["7"]


def test_this_host_is_named_as_the_list_names_nodes(tmp_path, monkeypatch):
    monkeypatch.setattr(resources.socket, "gethostname", lambda: "n1.site.gov")
    assert glob(tmp_path).local_host == "n1.site.gov"
    monkeypatch.setenv("SLURM_NODELIST", "n[1-2]")
    assert glob(tmp_path).local_host == "n1"
    monkeypatch.setenv("SLURM_NODELIST", "n1.site.gov,n2.site.gov")
    known = glob(tmp_path)
    assert (known.shortnames, known.local_host) == (False, "n1.site.gov")


@pytest.mark.parametrize(
    "dedicated, nodes, running, expected",
    [
        (True, "n1 n2 n3", ["n1", "n1"], "n2 n3"),
        (False, "n1 n2 n3", ["n1"], "n1 n2 n3"),
        (True, "n1", ["n1"], "n1"),
        (True, "n1 n2", ["n9"], "n1 n2"),
        (True, "n1 n2", ["n1", "n2"], ""),
    ],
)
def test_dedicated_mode_keeps_nodes_free(dedicated, nodes, running, expected, tmp_path, caplog):
    (tmp_path / "node_list").write_text(nodes.replace(" ", "\n"))
    known = glob(tmp_path, dedicated_mode=dedicated)
    known.add_comm_info(running)
    assert known.global_nodelist == expected.split()
    assert known.libE_nodes == list(dict.fromkeys(running))
    assert ("leaves no nodes" in caplog.text) is (expected == "")


def test_a_string_is_one_node_to_remove():
    assert GlobalResources.remove_nodes(["n1", "n10"], "n10") == ["n1"]
    assert GlobalResources.remove_nodes(["n1", "n10", "n2"], ["n2", "n1"]) == ["n10"]


@pytest.mark.parametrize(
    "platform, options, expected",
    [
        ({"scheduler_match_slots": False}, {}, {"match_slots": False}),
        ({"scheduler_match_slots": False}, {"match_slots": True}, {"match_slots": True}),
        ({}, {"split2fit": False}, {"split2fit": False}),
    ],
)
def test_the_platform_states_whether_slots_match_unless_the_user_does(platform, options, expected, tmp_path):
    assert glob(tmp_path, platform).update_scheduler_opts(options) is options
    assert options == expected
