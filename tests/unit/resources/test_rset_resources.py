"""Nodes are cut into resource sets as evenly as they can be, and each knows what it holds."""

from types import SimpleNamespace

import pytest

from libensemble.errors import ResourcesException
from libensemble.resources.rset_resources import RSetResources


def cut(make_resources, nodes, rsets, **kwargs):
    return RSetResources(4, make_resources(nodes, rsets, **kwargs).glob_resources)


def nodes_of(sets):
    return " ".join("+".join(nodes) for nodes in sets.split_list)


@pytest.mark.parametrize(
    "nodes, gpus, cores, rsets, split, gpus_each, cores_each",
    [
        (2, 4, 16, 8, "n1 n1 n1 n1 n2 n2 n2 n2", 1, 4),
        (2, 4, 16, 5, "n1 n1 n1 n2 n2", 1, 5),
        (4, 4, 16, 2, "n1+n2 n3+n4", 4, 16),
        (3, 4, 16, 2, "n1+n2 n3", 4, 16),
        (1, 4, 16, 6, "n1 n1 n1 n1 n1 n1", 1, 2),
        (1, 8, 16, 3, "n1 n1 n1", 2, 5),
        (2, 4, 8, 20, " ".join(["n1"] * 10 + ["n2"] * 10), 1, 0),
    ],
)
def test_nodes_are_cut_evenly(nodes, gpus, cores, rsets, split, gpus_each, cores_each, make_resources):
    sets = cut(make_resources, nodes, rsets, cores=(cores, cores), gpus=gpus)
    assert nodes_of(sets) == split
    assert sets.total_num_rsets == rsets
    assert sets.num_nodes == nodes
    assert sets.gpus_per_rset_per_node == gpus_each
    assert sets.cores_per_rset_per_node == cores_each


def test_what_a_set_holds_counts_over_its_nodes(make_resources):
    sets = cut(make_resources, 4, 2, gpus=4)
    assert (sets.nodes_in_rset, sets.gpus_per_rset, sets.cores_per_rset, sets.procs_per_rset) == (2, 8, 32, 32)


def test_where_sets_differ_only_what_each_holds_is_promised(make_resources):
    sets = cut(make_resources, 3, 2, gpus=4)
    assert (sets.nodes_in_rset, sets.gpus_per_rset, sets.cores_per_rset) == (2, 4, 16)


def test_sets_that_share_cores_may_run_more_processes(make_resources):
    sets = cut(make_resources, 2, 20, cores=(8, 8), gpus=4)
    assert (sets.cores_per_rset, sets.procs_per_rset) == (0, 16)


def test_without_a_stated_number_each_worker_that_takes_one_has_a_set(make_resources):
    glob = make_resources(1, zero_resource_workers=[1, 3]).glob_resources
    sets = RSetResources(6, glob)
    assert (sets.num_workers, sets.num_workers_2assign2, sets.total_num_rsets) == (6, 4, 4)
    assert RSetResources(2, glob).total_num_rsets == 0


def test_sets_of_a_node_are_a_group(make_resources):
    sets = cut(make_resources, 2, 5, gpus=1)
    assert sets.all_rsets.tolist() == [(1, 0, True), (1, 1, False), (1, 2, False), (2, 0, True), (2, 1, False)]
    assert (sets.total_num_gpu_rsets, sets.total_num_nongpu_rsets) == (2, 3)
    assert (sets.rsets_per_node, sets.gpu_rsets_per_node, sets.nongpu_rsets_per_node) == (3, 1, 2)


def test_sets_beyond_the_gpus_hold_none(make_resources):
    sets = cut(make_resources, 1, 6, gpus=4)
    assert sets.all_rsets["gpus"].tolist() == [True] * 4 + [False] * 2
    assert (sets.gpu_rsets_per_node, sets.nongpu_rsets_per_node) == (4, 2)


def test_a_group_is_full_at_the_stated_size(make_resources):
    sets = cut(make_resources, 1, 8, gpus=8, gpus_per_group=4)
    assert sets.all_rsets["group"].tolist() == [1] * 4 + [2] * 4
    assert sets.all_rsets["slot"].tolist() == [0, 1, 2, 3] * 2
    assert sets.slot_list == list(range(8)), "a set's position on its node does not depend on groups"


def test_sets_of_several_nodes_are_groups_of_their_own(make_resources):
    sets = cut(make_resources, 3, 2, gpus=4)
    assert sets.all_rsets.tolist() == [(1, 0, True), (2, 0, True)]


def test_nodes_may_differ(make_resources):
    sets = cut(make_resources, ["big cores=64 gpus=4", "small cores=8 gpus=1", "none gpus=0"], 12, gpus=2)
    assert sets.all_rsets["gpus"].tolist() == [True] * 4 + [True, False, False, False] + [False] * 4
    assert sets.cores_per_rset_per_node == 2, "what each set has at least"
    assert sets.gpus_per_rset_per_node == 1
    assert sets.total_num_gpu_rsets == 5


def test_no_gpus_are_looked_for_until_someone_asks(make_resources, monkeypatch):
    glob = make_resources(2, 4, gpus=None).glob_resources
    sets = RSetResources(4, glob)
    monkeypatch.setattr(type(glob), "gpus_avail_per_node", property(lambda self: pytest.fail("GPUs were looked for")))
    assert sets.procs_per_rset == 8
    assert sets.slot_list == [0, 1, 0, 1]


def test_no_nodes_cannot_be_cut():
    glob = SimpleNamespace(num_resource_sets=4, global_nodelist=[], zero_resource_workers=[])
    with pytest.raises(ResourcesException, match="no nodes"):
        RSetResources(4, glob)


def test_simple_objects_describe_nodes_too():
    glob = SimpleNamespace(
        num_resource_sets=None,
        global_nodelist=["a", "b"],
        zero_resource_workers=[],
        physical_cores_avail_per_node=4,
        gpus_avail_per_node=2,
    )
    sets = RSetResources(4, glob)
    assert (sets.cores_per_rset, sets.gpus_per_rset, sets.total_num_gpu_rsets) == (2, 1, 4)


@pytest.mark.parametrize(
    "items, parts, expected",
    [
        ([1, 2, 3, 4, 5], 2, [[1, 2, 3], [4, 5]]),
        ([1, 2, 3, 4], 4, [[1], [2], [3], [4]]),
        ([1, 2], 3, [[1], [2], []]),
    ],
)
def test_lists_are_split_with_the_longer_parts_first(items, parts, expected):
    assert RSetResources.best_split(items, parts) == expected


@pytest.mark.parametrize("nodes, sets, even", [(2, 8, True), (8, 2, True), (2, 5, False), (3, 2, False), (1, 1, True)])
def test_an_even_cut_is_one_where_one_number_divides_the_other(nodes, sets, even):
    assert RSetResources.even_assignment(nodes, sets) is even


def test_expanding_tells_how_many_share_each_node():
    assert RSetResources.expand_list(2, 5, ["a", "b"]) == (["a", "a", "a", "b", "b"], [3, 3, 3, 2, 2])


@pytest.mark.parametrize(
    "split, gpus, size, expected",
    [
        ([["a"], ["a"], ["b"]], 1, None, ([1, 1, 2], [0, 1, 0], [True, False, True])),
        ([["a"]] * 4, 4, 2, ([1, 1, 2, 2], [0, 1, 0, 1], [True] * 4)),
        ([["a", "b"], ["c", "d"]], 0, None, ([1, 2], [0, 0], [False, False])),
    ],
)
def test_groups_slots_and_gpus_of_a_split(split, gpus, size, expected):
    assert RSetResources.get_group_list(split, gpus, size) == expected
