"""The manager's books are right at all times, and a worker's share follows from the sets it holds."""

import logging
import os
import pickle

import numpy as np
import pytest

from libensemble.resources.worker_resources import (
    ResourceManager,
    ResourceManagerException,
    WorkerResources,
    WorkerResourcesException,
)


@pytest.fixture
def make_manager(make_resources):
    def make(nodes, rsets, workers=4, **kwargs):
        return ResourceManager(workers, make_resources(nodes, rsets, **kwargs).glob_resources)

    return make


def held(make_share, nodes, rsets, team, **kwargs):
    return make_share(nodes, rsets, team, **kwargs).worker_resources


# --- the manager's books


@pytest.mark.parametrize(
    "workers, rsets, zero, expected",
    [
        (4, 2, [], [0, 1, None, None]),
        (4, 3, [1], [None, 0, 1, 2]),
        (4, 4, [], [0, 1, 2, 3]),
        (2, 8, [], [0, 1]),
        (4, 2, [2, 3], [0, None, None, 1]),
    ],
)
def test_workers_take_sets_in_order(workers, rsets, zero, expected):
    assert ResourceManager.get_index_list(workers, rsets, zero) == expected


@pytest.mark.parametrize("worker, team", [(0, []), (1, [0]), (2, [1]), (3, []), (4, []), (5, [])])
def test_a_worker_without_a_set_has_an_empty_team_and_so_has_the_manager(worker, team, make_manager):
    assert make_manager(1, 2, workers=4).default_team(worker) == team


@pytest.mark.parametrize(
    "hosts, expected",
    [
        ({1: "n2", 2: "n2", 3: "n1"}, [2, 3, 0, 1]),
        ({1: "n2", 2: "n2", 3: "n2", 4: "n2"}, [2, 3, 0, 1]),
        ({1: "n1", 2: "n1", 3: "n2", 4: "n2"}, [0, 1, 2, 3]),
        ({1: "login"}, [0, 1, 2, 3]),
    ],
)
def test_workers_may_have_sets_on_their_own_nodes(hosts, expected, make_resources):
    resources = make_resources(2, 4)
    resources.set_resource_manager(4, hosts)
    assert resources.resource_manager.index_list == expected


def test_sets_are_held_until_they_are_freed(make_manager):
    manager = make_manager(1, 6, gpus=4)
    manager.assign_rsets([0, 4], 1)
    manager.assign_rsets([1], 2)
    assert manager.rsets["assigned"].tolist() == [1, 2, -1, -1, 1, -1]
    assert (manager.rsets_free, manager.gpu_rsets_free, manager.nongpu_rsets_free) == (3, 2, 1)
    manager.free_rsets(1)
    assert manager.rsets["assigned"].tolist() == [-1, 2, -1, -1, -1, -1]
    assert manager.rsets_free == 5
    manager.free_rsets()
    assert manager.rsets_free == 6


def test_a_set_of_another_worker_is_refused_and_nothing_is_noted(make_manager):
    manager = make_manager(1, 4)
    manager.assign_rsets([2], 1)
    with pytest.raises(ResourceManagerException, match="set 2 cannot go to worker 2: worker 1 holds it"):
        manager.assign_rsets([1, 2], 2)
    assert manager.rsets["assigned"].tolist() == [-1, -1, 1, -1]


def test_a_worker_may_be_given_what_it_holds(make_manager):
    manager = make_manager(1, 4)
    manager.assign_rsets([2], 1)
    manager.assign_rsets([2, 3], 1)
    assert manager.rsets_free == 2


@pytest.mark.parametrize("team", [[4], [-1]])
def test_a_set_that_is_not_there_is_refused(team, make_manager):
    with pytest.raises(ResourceManagerException, match="sets are 0 to 3"):
        make_manager(1, 4).assign_rsets(team, 1)


def test_an_empty_or_missing_team_takes_nothing(make_manager):
    manager = make_manager(1, 4)
    manager.assign_rsets([], 1)
    manager.assign_rsets(None, 1)
    manager.assign_rsets(np.array([1]), 2)
    assert manager.rsets_free == 3


def test_groups_are_described(make_manager):
    manager = make_manager(2, 5)
    assert manager.num_groups == 2
    assert manager.group_sizes == {1: 3, 2: 2}
    assert manager.ngroups_by_size == {3: 1, 2: 1}
    assert not manager.even_groups
    assert make_manager(2, 4).even_groups


def test_the_books_do_not_look_for_gpus(make_manager, monkeypatch):
    manager = make_manager(1, 4, gpus=None)
    monkeypatch.setattr("libensemble.resources.gpu_detect.METHODS", [lambda: pytest.fail("GPUs were looked for")])
    manager.assign_rsets([0], 1)
    manager.free_rsets(1)
    assert manager.rsets_free == 4


@pytest.mark.parametrize("rsets, warned", [(5, True), (4, False), (1, False)])
def test_an_uneven_cut_is_told_once_by_the_manager(rsets, warned, make_manager, caplog):
    with caplog.at_level(logging.WARNING):
        make_manager(2, rsets)
    assert ("Uneven distribution" in caplog.text) is warned


@pytest.mark.parametrize("looked_at", [False, True])
def test_books_can_be_pickled(looked_at, make_manager):
    manager = make_manager(1, 4)
    manager.assign_rsets([1], 3)
    assert not looked_at or manager.rsets["assigned"].tolist() == [-1, 3, -1, -1]
    copy = pickle.loads(pickle.dumps(manager))
    copy.assign_rsets([2], 1)
    assert copy.rsets["assigned"].tolist() == [-1, 3, 1, -1]
    assert manager.rsets_free == 3


# --- a worker's share


@pytest.mark.parametrize(
    "nodes, rsets, team, slots, even, matching, count, on_node",
    [
        (1, 4, [1, 2], {"n1": [1, 2]}, True, True, 2, [1, 2]),
        (2, 8, [1, 2, 5, 6], {"n1": [1, 2], "n2": [1, 2]}, True, True, 2, [1, 2]),
        (2, 8, [0, 1, 6, 7], {"n1": [0, 1], "n2": [2, 3]}, True, False, 2, None),
        (2, 8, [0, 1, 4], {"n1": [0, 1], "n2": [0]}, False, False, None, None),
        (4, 2, [1], {"n3": [0], "n4": [0]}, True, True, 1, [0]),
        (3, 7, [5], {"n3": [0]}, True, True, 1, [0]),
        (1, 4, [], {}, True, True, None, None),
    ],
)
def test_nodes_and_slots_follow_from_the_team(nodes, rsets, team, slots, even, matching, count, on_node, make_share):
    mine = held(make_share, nodes, rsets, team)
    assert mine.slots == slots
    assert mine.local_nodelist == list(slots)
    assert (mine.local_node_count, mine.num_rsets) == (len(slots), len(team))
    assert (mine.even_slots, mine.matching_slots) == (even, matching)
    assert (mine.slot_count, mine.slots_on_node) == (count, on_node)


def test_before_any_order_there_is_no_share(make_resources):
    mine = make_resources(1, 4).for_worker(4, 2).worker_resources
    assert (mine.workerID, mine.rset_team, mine.num_rsets) == (2, None, 0)
    assert (mine.slots, mine.slot_count, mine.slots_on_node) == (None, None, None)
    assert (mine.local_nodelist, mine.even_slots, mine.matching_slots) == ([], True, True)


def test_an_empty_team_leaves_nothing_of_the_former_one(make_share):
    mine = held(make_share, 1, 4, [0, 1])
    mine.set_rset_team([])
    assert (mine.slot_count, mine.slots_on_node, mine.local_node_count) == (None, None, 0)
    assert not mine.doihave_gpus()


def test_a_zero_resource_worker_takes_no_team(make_resources):
    mine = make_resources(1, 4, zero_resource_workers=[2]).for_worker(4, 2).worker_resources
    mine.set_rset_team([1])
    assert mine.rset_team is None


def test_teams_are_plain_ints(make_share):
    mine = held(make_share, 1, 4, list(np.array([1, 3])))
    assert f"{mine.rset_team}" == "[1, 3]"


def test_a_set_that_is_not_there_cannot_be_held(make_share):
    with pytest.raises(WorkerResourcesException, match="set 4"):
        held(make_share, 1, 4, [4])


@pytest.mark.parametrize(
    "team, kwargs, text",
    [
        ([1, 2], {}, "1,2"),
        ([1, 2], {"multiplier": 2, "delimiter": ":"}, "2:3:4:5"),
        ([1, 2], {"multiplier": 2, "limit": 3}, "2,3,4"),
    ],
)
def test_slots_are_written_as_text(team, kwargs, text, make_share):
    assert held(make_share, 1, 4, team).get_slots_as_string(**kwargs) == text


def test_tiles_are_written_as_gpu_and_tile(make_share):
    mine = held(make_share, 1, 12, [2, 3, 4], platform={"tiles_per_gpu": 2}, gpus=6, use_tiles_as_gpus=True)
    assert mine.get_slots_as_string() == "1.0,1.1,2.0"
    assert mine.gpu_ids() == ["1.0", "1.1", "2.0"]


@pytest.mark.parametrize("team", [[], [0, 1, 6, 7], [0, 1, 4]])
def test_slots_that_no_list_can_hold_are_told(team, make_share, caplog):
    mine = held(make_share, 2, 8, team)
    assert mine.get_slots_as_string() is None
    assert "Slots on node" in caplog.text
    with pytest.raises(WorkerResourcesException, match="CUDA_VISIBLE_DEVICES"):
        mine.set_env_to_slots("CUDA_VISIBLE_DEVICES")


def test_slots_are_set_in_the_environment(make_share, monkeypatch):
    monkeypatch.setenv("MY_SLOTS", "none")
    held(make_share, 2, 8, [1, 2, 5, 6]).set_env_to_slots("MY_SLOTS", multiplier=2, delimiter=";")
    assert os.environ["MY_SLOTS"] == "2;3;4;5"


@pytest.mark.parametrize(
    "platform, variable",
    [
        ({}, "CUDA_VISIBLE_DEVICES"),
        ({"gpu_setting_type": "env", "gpu_setting_name": "ROCR_VISIBLE_DEVICES"}, "ROCR_VISIBLE_DEVICES"),
        ({"gpu_setting_type": "runner_default", "gpu_env_fallback": "ZE_AFFINITY_MASK"}, "ZE_AFFINITY_MASK"),
        ({"gpu_setting_type": "env", "gpu_env_fallback": "ZE_AFFINITY_MASK"}, "ZE_AFFINITY_MASK"),
        ({"gpu_setting_type": "option_gpus_per_task", "gpu_setting_name": "-g"}, "CUDA_VISIBLE_DEVICES"),
    ],
)
def test_gpus_are_set_in_the_platforms_variable(platform, variable, make_share):
    held(make_share, 1, 4, [1, 2], gpus=8, platform=platform).set_env_to_gpus()
    assert os.environ[variable] == "2,3,4,5"


def test_gpus_are_set_in_a_named_variable_with_a_delimiter_and_no_more_than_asked_for(make_share, monkeypatch):
    mine = held(make_share, 1, 4, [1, 2], gpus=8)
    mine.set_gen_procs_gpus({"num_procs": 2, "num_gpus": 3})
    monkeypatch.setenv("MY_GPUS", "")
    mine.set_env_to_gpus("MY_GPUS", delimiter=":")
    assert os.environ["MY_GPUS"] == "2:3:4"


def test_values_of_the_generator_hold_for_one_order(make_share):
    mine = held(make_share, 1, 4, [1])
    mine.set_gen_procs_gpus({"num_procs": 2, "num_gpus": 0})
    assert (mine.gen_nprocs, mine.gen_ngpus) == (2, 0)
    mine.set_gen_procs_gpus({})
    assert (mine.gen_nprocs, mine.gen_ngpus) == (None, None)


@pytest.mark.parametrize("team", [[4, 5], []])
def test_without_gpus_the_environment_is_left_alone(team, make_share):
    held(make_share, 1, 6, team, gpus=4).set_env_to_gpus()
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_gpus_that_differ_between_nodes_cannot_be_set(make_share):
    with pytest.raises(WorkerResourcesException, match="differ"):
        held(make_share, 2, 8, [0, 1, 6, 7], gpus=4).set_env_to_gpus()


@pytest.mark.parametrize(
    "rsets, gpus, team, ids",
    [
        (6, 4, [0, 4], "0"),
        (6, 4, [4, 5], ""),
        (3, 8, [1, 2], "2 3 4 5"),
        (4, 4, [0, 3], "0 3"),
        (8, 8, [1, 3, 4, 7], "1 3 4 7"),
    ],
)
def test_only_sets_with_gpus_give_ids(rsets, gpus, team, ids, make_share):
    mine = held(make_share, 1, rsets, team, gpus=gpus)
    assert mine.gpu_ids() == ids.split()
    assert mine.doihave_gpus() is bool(ids)
    assert mine.gpu_count_on("n1") == len(ids.split())


def test_ids_need_to_match_only_between_the_nodes_in_use(make_share):
    mine = held(make_share, 2, 8, [0, 1, 6, 7], gpus=4)
    assert mine.gpu_ids(["n2"]) == ["2", "3"]
    assert mine.gpu_ids(["n1"], limit=1) == ["0"]
    with pytest.raises(WorkerResourcesException, match=r"n1.*n2"):
        mine.gpu_ids()


def test_sets_of_a_full_group_give_the_ids_of_their_place_on_the_node(make_share):
    assert held(make_share, 1, 8, [4, 5], gpus=8, gpus_per_group=4).gpu_ids() == ["4", "5"]


def test_ids_are_those_that_an_inherited_mask_leaves(make_resources, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    monkeypatch.setattr("libensemble.resources.node_resources.get_num_gpus", lambda: 2)
    mine = make_resources(["n1"], 2, gpus=None)
    mine.glob_resources._is_among_nodes = True
    share = mine.for_worker(2, 1).worker_resources
    share.set_rset_team([1])
    share.set_env_to_gpus()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"


def test_stated_gpus_have_their_own_ids_whatever_the_mask(make_share, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert held(make_share, 1, 2, [1], gpus=2).gpu_ids() == ["1"]


@pytest.mark.parametrize(
    "team, nodes, slots",
    [
        ([0, 1], ["n1"], 2),
        ([0, 1, 4], ["n1"], 2),
        ([0, 4, 5, 8], ["n1", "n2", "n3"], 1),
        ([0, 1, 4, 5, 8], ["n1", "n2"], 2),
    ],
)
def test_an_uneven_share_has_an_even_part(team, nodes, slots, make_share):
    assert held(make_share, 3, 12, team).even_share() == (nodes, slots)


def test_nodes_of_a_team_can_be_asked_for():
    split = [["n1"], ["n1"], ["n2"], ["n2"]]
    assert WorkerResources.get_local_nodelist(1, [1, 2], split, 2) == (["n1", "n2"], {"n1": [1], "n2": [0]})
    with pytest.raises(WorkerResourcesException, match="workerID"):
        WorkerResources.get_local_nodelist(None, [0], split, 2)
