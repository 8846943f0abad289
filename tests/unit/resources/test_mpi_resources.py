"""A request lies on the fewest nodes that hold it, even on each, or is refused with a reason."""

import pickle

import pytest

from libensemble.resources.mpi_resources import (
    ALL_GPUS,
    MPIResourcesException,
    Placement,
    Request,
    create_machinefile,
    get_hostlist,
    get_resources,
    place,
    rassert,
    task_partition,
    write_machinefile,
)

REFUSED = MPIResourcesException


def lies(share, **request):
    """Ranks, nodes, ranks per node, GPUs on each node, and hosts of a request."""
    found = place(Request(**request), share)
    return found.procs, found.nodes, found.procs_per_node, found.gpus, " ".join(found.hosts)


# --- cores


@pytest.mark.parametrize(
    "request_, expected",
    [
        ({}, (32, 2, 16, None, "n1 n2")),
        ({"procs": 8}, (8, 1, 8, None, "n1")),
        ({"procs": 32}, (32, 2, 16, None, "n1 n2")),
        ({"procs": 8, "nodes": 2}, (8, 2, 4, None, "n1 n2")),
        ({"nodes": 1}, (16, 1, 16, None, "n1")),
        ({"procs_per_node": 4}, (8, 2, 4, None, "n1 n2")),
        ({"nodes": 2, "procs_per_node": 3}, (6, 2, 3, None, "n1 n2")),
        ({"procs": 6, "procs_per_node": 3}, (6, 2, 3, None, "n1 n2")),
        ({"hyperthreads": True}, (128, 2, 64, None, "n1 n2")),
        ({"procs": 4, "nodes": 1, "procs_per_node": 4}, (4, 1, 4, None, "n1")),
        ({"procs": 12}, (12, 1, 12, None, "n1")),
        ({"procs": "4"}, (4, 1, 4, None, "n1")),
        ({"procs": 17}, (18, 2, 9, None, "n1 n2")),
        ({"procs": 1, "nodes": 2}, (2, 2, 1, None, "n1 n2")),
    ],
)
def test_a_worker_with_two_whole_nodes(request_, expected, make_share):
    assert lies(make_share(2, 1, [0]), **request_) == expected


@pytest.mark.parametrize(
    "nodes, rsets, team, request_, expected",
    [
        (2, 3, [0], {}, (8, 1, 8, None, "n1")),
        (2, 3, [1], {}, (8, 1, 8, None, "n1")),
        (2, 3, [2], {}, (16, 1, 16, None, "n2")),
        (2, 3, [0, 1], {}, (16, 1, 16, None, "n1")),
        (2, 3, [0, 2], {}, (16, 2, 8, None, "n1 n2")),
        (3, 2, [0], {}, (32, 2, 16, None, "n1 n2")),
        (3, 2, [1], {}, (16, 1, 16, None, "n3")),
        (1, 1, [0], {"procs": 100}, (100, 1, 100, None, "n1")),
        (1, 20, [0], {"procs": 2}, (2, 1, 2, None, "n1")),
        (1, 20, [0], {"hyperthreads": True}, (3, 1, 3, None, "n1")),
        (1, 20, [0], {}, REFUSED),
        (1, 4, [], {}, REFUSED),
        (1, 4, [], {"procs": 2}, REFUSED),
    ],
)
def test_workers_with_parts_of_nodes(nodes, rsets, team, request_, expected, make_share):
    share = make_share(nodes, rsets, team)
    if expected is REFUSED:
        with pytest.raises(MPIResourcesException):
            lies(share, **request_)
    else:
        assert lies(share, **request_) == expected


@pytest.mark.parametrize(
    "request_, reason",
    [
        ({"procs": 9}, "per worker.*Only 8 available"),
        ({"procs": 17}, "on a node.*Only 16 available"),
        ({"procs": 9, "hyperthreads": True}, None),
        ({"procs": 8}, None),
    ],
)
def test_cores_can_be_a_bound(request_, reason, make_share):
    share = make_share(1, 2, [0], enforce_worker_core_bounds=True)
    if reason is None:
        assert lies(share, **request_)[0] == request_["procs"]
    else:
        with pytest.raises(MPIResourcesException, match=reason):
            lies(share, **request_)


@pytest.mark.parametrize("team", [[0, 1, 4], [1, 4, 5]])
def test_an_uneven_share_is_used_as_far_as_it_is_even(team, make_share):
    share = make_share(2, 8, team)
    assert lies(share)[:3] == (8, 1, 8)
    assert lies(share, procs=4)[:3] == (4, 1, 4)


def test_nodes_that_differ_are_filled_as_the_smallest(make_share):
    share = make_share(["n1 cores=16", "n2 cores=4"], 1, [0])
    assert lies(share)[:3] == (8, 2, 4)


def test_too_many_nodes_are_refused_with_a_way_out(make_share):
    with pytest.raises(MPIResourcesException, match=r"Requested 3\. Only 2 available.*num_procs, num_gpus"):
        lies(make_share(2, 1, [0]), nodes=3)


def test_a_worker_without_sets_is_told_what_to_do(make_share):
    with pytest.raises(MPIResourcesException, match=r"no resource sets.*disable_resource_manager"):
        lies(make_share(1, 4, []), procs=1, nodes=1, procs_per_node=1)


@pytest.mark.parametrize(
    "request_, whole",
    [
        ({}, True),
        ({"hyperthreads": True}, True),
        ({"gpus": 0}, True),
        ({"procs": 8}, False),
        ({"nodes": 1}, False),
        ({"procs_per_node": 4}, False),
        ({"gpus": ALL_GPUS}, False),
    ],
)
def test_a_launch_that_says_nothing_fills_the_whole_share(request_, whole, make_share):
    assert place(Request(**request_), make_share(2, 1, [0], gpus=4)).whole_share is whole


def test_no_gpus_are_looked_for_by_a_launch_without(make_share, monkeypatch):
    share = make_share(1, 4, [0], gpus=None)
    monkeypatch.setattr("libensemble.resources.gpu_detect.METHODS", [lambda: pytest.fail("GPUs were looked for")])
    assert lies(share, procs=2)[:3] == (2, 1, 2)


# --- GPUs


@pytest.mark.parametrize(
    "request_, expected",
    [
        ({}, (32, 1, 32, None)),
        ({"gpus": ALL_GPUS}, (4, 1, 4, 4)),
        ({"procs": 2, "gpus": ALL_GPUS}, (2, 1, 2, 4)),
        ({"procs": 1, "gpus": 2}, (1, 1, 1, 2)),
        ({"gpus": 3}, (3, 1, 3, 3)),
        ({"procs_per_node": 2, "gpus": 4}, (2, 1, 2, 4)),
        ({"procs": 1, "gpus": 10}, (1, 1, 1, 4)),
        ({"procs": 2, "gpus": 0}, (2, 1, 2, 0)),
        ({"procs": 8, "gpus": 4}, (8, 1, 8, 4)),
        ({"gpus": 0}, (32, 1, 32, 0)),
    ],
)
def test_gpus_of_half_a_node(request_, expected, make_share):
    share = make_share(1, 8, [0, 1, 2, 3], cores=(64, 128), gpus=8)
    assert lies(share, **request_)[:4] == expected


@pytest.mark.parametrize(
    "request_, expected",
    [
        ({"gpus": ALL_GPUS}, (8, 2, 4, 4, "n1 n2")),
        ({"procs": 2, "nodes": 2, "gpus": ALL_GPUS}, (2, 2, 1, 4, "n1 n2")),
        ({"procs": 1, "gpus": ALL_GPUS}, (1, 1, 1, 4, "n1")),
        ({"procs": 2, "gpus": 2}, (2, 1, 2, 2, "n1")),
        ({"gpus": 4}, (4, 1, 4, 4, "n1")),
        ({"gpus": 5}, (6, 2, 3, 3, "n1 n2")),
        ({"procs": 3, "nodes": 2, "gpus": 2}, (4, 2, 2, 1, "n1 n2")),
        ({"procs": 33}, (34, 2, 17, None, "n1 n2")),
    ],
)
def test_gpus_of_two_half_nodes(request_, expected, make_share):
    share = make_share(2, 8, [1, 2, 5, 6], cores=(64, 128), gpus=8)
    assert lies(share, **request_) == expected


def test_ranks_that_cannot_be_raised_to_an_even_number_are_refused(make_share):
    share = make_share(2, 8, [1, 2, 5, 6], cores=(64, 128), gpus=8)
    with pytest.raises(MPIResourcesException) as raised:
        lies(share, procs=65)
    assert raised.value.args[0] == "num_procs does not equal num_nodes*procs_per_node"
    assert "65" in str(raised.value)


def test_raising_and_limiting_are_logged(make_share, caplog):
    caplog.set_level("INFO")
    share = make_share(2, 8, [1, 2, 5, 6], cores=(64, 128), gpus=8)
    lies(share, gpus=5)
    assert "Adjusted ngpus to split evenly across 2 nodes. From 5 to 6" in caplog.text
    lies(share, procs=1, gpus=10)
    assert "Asked for more GPUs per node than available" in caplog.text


@pytest.mark.parametrize("request_", [{"gpus": 2}, {"procs": 2, "gpus": 1}, {"gpus": ALL_GPUS}])
def test_gpus_that_a_worker_does_not_have_are_refused(request_, make_share):
    with pytest.raises(MPIResourcesException, match="GPU"):
        lies(make_share(1, 6, [4, 5], gpus=4), **request_)


def test_all_gpus_of_a_worker_without_any_are_none(make_share):
    assert lies(make_share(1, 6, [4, 5], gpus=4), procs=2, gpus=ALL_GPUS)[:4] == (2, 1, 2, 0)


def test_sets_without_gpus_do_not_count(make_share):
    assert lies(make_share(1, 6, [0, 4], gpus=4), gpus=ALL_GPUS)[:4] == (1, 1, 1, 1)


# --- without resource management


@pytest.mark.parametrize(
    "request_, expected",
    [
        ({"procs": 4}, Placement(1, 4, 4, whole_share=True)),
        ({"procs": 4, "nodes": 2}, Placement(2, 4, 2)),
        ({"nodes": 2, "procs_per_node": 3}, Placement(2, 6, 3)),
        ({"procs": 4, "gpus": 2}, Placement(1, 4, 4, 2, whole_share=True)),
        ({"procs": 4, "nodes": 2, "gpus": 3}, Placement(2, 4, 2, 2)),
        ({"procs": 4, "gpus": ALL_GPUS}, Placement(1, 4, 4, whole_share=True)),
    ],
)
def test_without_a_share_numbers_are_completed(request_, expected):
    assert place(Request(**request_), None) == expected


@pytest.mark.parametrize("request_", [{}, {"procs_per_node": 4}, {"procs": 5, "nodes": 2}, {"gpus": 2}])
def test_without_a_share_too_little_is_refused(request_):
    with pytest.raises(MPIResourcesException):
        place(Request(**request_), None)


# --- the parts


@pytest.mark.parametrize(
    "given, expected",
    [
        ((8, None, None), (8, 1, 8)),
        ((8, 2, None), (8, 2, 4)),
        ((8, None, 4), (8, 2, 4)),
        ((None, 2, 4), (8, 2, 4)),
        (("8", "2", "4"), (8, 2, 4)),
    ],
)
def test_two_numbers_give_the_third(given, expected):
    assert task_partition(*given) == expected


@pytest.mark.parametrize(
    "given, message",
    [
        ((None, None, None), "Need num_procs, num_nodes/procs_per_node, or machinefile"),
        ((None, 2, None), "Need num_procs, num_nodes/procs_per_node, or machinefile"),
        ((7, 2, None), "num_procs does not equal num_nodes*procs_per_node"),
        ((8, 2, 3), "num_procs does not equal num_nodes*procs_per_node"),
        ((2, None, 4), "num_procs does not equal num_nodes*procs_per_node"),
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(given, message):
    with pytest.raises(MPIResourcesException) as raised:
        task_partition(*given)
    assert raised.value.args[0] == message


@pytest.mark.parametrize("procs, warned", [(None, False), (4, True)])
def test_a_machinefile_says_it_all(procs, warned, caplog):
    assert task_partition(procs, None, None, "hosts") == (None, None, None)
    assert ("overrides" in caplog.text) is warned


@pytest.mark.parametrize(
    "given, expected",
    [
        ({}, (32, 2, 16)),
        ({"num_procs": 8}, (8, 1, 8)),
        ({"num_procs": 20}, (20, 2, 10)),
        ({"num_nodes": 1}, (16, 1, 16)),
        ({"procs_per_node": 4}, (8, 2, 4)),
        ({"hyperthreads": True}, (128, 2, 64)),
    ],
)
def test_resources_of_a_share_are_all_used_by_default(given, expected, make_share):
    assert get_resources(make_share(2, 1, [0]), **given) == expected


@pytest.mark.parametrize("team, message", [([], "Node list is empty - aborting"), ([0, 1, 4], "Uneven")])
def test_resources_need_an_even_share(team, message, make_share):
    with pytest.raises(MPIResourcesException, match=message):
        get_resources(make_share(2, 8, team), num_procs=2, num_nodes=1, procs_per_node=2)


def test_a_machinefile_names_each_node_once_per_rank(make_share, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "machinefile").write_text("old\n")
    made = create_machinefile(make_share(2, 1, [0]), num_procs=4, num_nodes=2)
    assert made == (True, 4, 2, 2)
    assert (tmp_path / "machinefile").read_text() == "n1\nn1\nn2\nn2\n"
    assert not write_machinefile(str(tmp_path / "empty"), [], 4)


@pytest.mark.parametrize("nodes, text", [(None, "n1,n2"), (1, "n1"), (2, "n1,n2")])
def test_a_hostlist_is_the_first_nodes(nodes, text, make_share):
    assert get_hostlist(make_share(2, 1, [0]), nodes) == text


def test_rassert_raises_unless_it_holds():
    rassert(True, "fine")
    with pytest.raises(MPIResourcesException, match="reason"):
        rassert([], "reason")


def test_requests_and_placements_are_values():
    one = Placement(1, 4, 4, hosts=("n1",))
    assert one == pickle.loads(pickle.dumps(one))
    with pytest.raises(AttributeError):
        one.nodes = 2
    with pytest.raises(AttributeError):
        Request().procs = 2
