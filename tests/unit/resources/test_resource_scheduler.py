"""The scheduler: no set is given twice, none is lost, and a request lies where the rules put it."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libensemble.errors import ResourceManagerException
from libensemble.resources.resources import Resources
from libensemble.resources.scheduler import InsufficientFreeResources, InsufficientResourcesError, ResourceScheduler

NOT_NOW = InsufficientFreeResources
NEVER = InsufficientResourcesError
DTYPE = [("assigned", int), ("group", int), ("slot", int), ("gpus", bool)]


class Sets:
    """What a scheduler needs to know of resources: groups of these sizes, the first `gpus` slots of each with GPUs."""

    def __init__(self, sizes, gpus=0, free=None, first_group=1):
        rows = [(g, s, s < gpus) for g, size in enumerate(sizes, start=first_group) for s in range(size)]
        self.rsets = np.array([(-1, *row) for row in rows], dtype=DTYPE)
        if free is not None:
            self.rsets["assigned"] = [-1 if i in free else 1 for i in range(len(rows))]


def outcome(scheduler, *request):
    try:
        return scheduler.assign_resources(*request)
    except (NOT_NOW, NEVER) as error:
        return type(error)


@pytest.mark.parametrize(
    "sizes, free, wanted, options, expected",
    [
        ([4, 4], None, 0, {}, []),
        ([4, 4], None, 3, {}, [0, 1, 2]),
        ([4, 4], None, 5, {}, [0, 1, 2, 4, 5, 6]),
        ([4, 4], None, 6, {}, [0, 1, 2, 4, 5, 6]),
        ([4, 4], None, 7, {}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ([4, 4], [2, 3, 4, 5, 6, 7], 1, {}, [2]),
        ([4, 4], [2, 3, 4, 5, 6, 7], 2, {}, [2, 3]),
        ([4, 4], [2, 3, 4, 5, 6, 7], 3, {}, [4, 5, 6]),
        ([4, 4], [2, 3, 4, 5, 6, 7], 4, {}, [4, 5, 6, 7]),
        ([4, 4], [2, 3, 6, 7], 4, {}, [2, 3, 6, 7]),
        ([4, 4], [2, 3, 6, 7], 4, {"split2fit": False}, NOT_NOW),
        ([4, 4], [2, 3, 6, 7], 3, {}, NOT_NOW),
        ([4, 4], [2, 3, 4, 5], 4, {}, NOT_NOW),
        ([4, 4], [2, 3, 4, 5], 4, {"match_slots": False}, [2, 3, 4, 5]),
        ([3, 2, 2], None, 1, {}, [3]),
        ([3, 2, 2], None, 2, {}, [3, 4]),
        ([3, 2, 2], None, 4, {}, [0, 1, 3, 4]),
        ([3, 2, 2], None, 5, {}, [0, 1, 3, 4, 5, 6]),
        ([3, 2, 2], None, 6, {}, [0, 1, 3, 4, 5, 6]),
        ([4, 4], None, 9, {}, NEVER),
        ([4, 4], [], 1, {}, NOT_NOW),
        ([4, 4], [0], 2, {}, NOT_NOW),
    ],
)
def test_a_request_lies_where_the_rules_put_it(sizes, free, wanted, options, expected):
    assert outcome(ResourceScheduler(Sets(sizes, free=free), options), wanted) == expected


@pytest.mark.parametrize(
    "wanted, use_gpus, expected",
    [
        (5, True, [0, 1, 2, 6, 7, 8]),
        (3, False, [4, 5, 10, 11]),
        (9, True, NEVER),
        (5, False, NEVER),
        (12, None, list(range(12))),
    ],
)
def test_sets_with_and_without_gpus_are_pools_of_their_own(wanted, use_gpus, expected):
    assert outcome(ResourceScheduler(Sets([6, 6], gpus=4)), wanted, use_gpus) == expected


def test_requests_of_one_round_do_not_collide():
    scheduler = ResourceScheduler(Sets([4, 4], gpus=1))
    assert [scheduler.assign_resources(n) for n in (3, 2, 1)] == [[0, 1, 2], [4, 5], [3]]
    assert (scheduler.rsets_free, scheduler.gpu_rsets_free, scheduler.nongpu_rsets_free) == (2, 0, 2)
    assert scheduler.avail_rsets_by_group == {1: [], 2: [6, 7]}


def test_numbers_of_the_user_are_divided_by_the_nodes_where_that_is_possible():
    free = [2, 3, 6, 7]
    assert outcome(ResourceScheduler(Sets([4, 4], free=free)), 4, None, [3]) is NOT_NOW
    assert outcome(ResourceScheduler(Sets([4, 4], free=free)), 4, None, [8, 4]) == free


def test_a_request_that_no_free_machine_could_divide_is_placed_undivided():
    assert outcome(ResourceScheduler(Sets([3, 2, 2])), 6, None, [5]) == [0, 1, 3, 4, 5, 6]


def test_the_size_of_groups_bounds_what_lies_on_one():
    assert outcome(ResourceScheduler(Sets([4, 4])), 5) == [0, 1, 2, 4, 5, 6]


def test_a_request_that_can_never_lie_evenly_is_refused_at_once_with_the_possible_sizes():
    scheduler = ResourceScheduler(Sets([3, 2, 2]))
    with pytest.raises(NEVER, match=r"7 .*\[1, 2, 3, 4, 5, 6\]"):
        scheduler.assign_resources(7)


def test_a_request_that_can_never_lie_evenly_is_rounded_up_where_a_larger_one_can():
    everything = Sets([5, 3, 3])
    assert outcome(ResourceScheduler(everything), 7) == [0, 1, 2, 5, 6, 7, 8, 9, 10]
    some = Sets([5, 3, 3], free=[0, 1, 2, 3, 5, 6, 8, 9])
    assert outcome(ResourceScheduler(some), 7) is NOT_NOW


def test_more_nodes_are_tried_where_enough_is_free_but_slots_do_not_match():
    sizes = [4] * 4
    free = [0, 1, 2, 5, 6, 7, 8, 9, 11, 12, 14, 15]  # of each node, all but one slot, each another
    assert outcome(ResourceScheduler(Sets(sizes, free=free)), 6) is NOT_NOW
    free = [0, 1, 2, 4, 6, 7, 8, 9]
    assert outcome(ResourceScheduler(Sets([4, 4, 4], free=free)), 3) == [0, 1, 2]
    free = [0, 1, 5, 6, 8, 9, 12, 13]
    assert outcome(ResourceScheduler(Sets(sizes, free=free)), 6, None, [6]) == [0, 1, 8, 9, 12, 13]


def test_groups_may_be_numbered_from_zero():
    assert outcome(ResourceScheduler(Sets([4, 4], first_group=0)), 5) == [0, 1, 2, 4, 5, 6]


def test_teams_are_plain_ints():
    team = ResourceScheduler(Sets([4])).assign_resources(np.int64(2), None, [np.int64(2)])
    assert f"{team}" == "[0, 1]"


def test_the_sets_of_the_run_are_the_default(make_resources):
    with pytest.raises(ResourceManagerException, match="resource management is off"):
        ResourceScheduler()
    Resources.resources = make_resources(1, 4)
    Resources.resources.set_resource_manager(4)
    assert ResourceScheduler().assign_resources(2) == [0, 1]


def test_scheduler_and_books_work_together(make_resources):
    resources = make_resources(2, 8, gpus=4)
    resources.set_resource_manager(4)
    books = resources.resource_manager
    books.assign_rsets(ResourceScheduler(books).assign_resources(3), 1)
    books.assign_rsets(ResourceScheduler(books).assign_resources(4), 2)
    assert books.rsets["assigned"].tolist() == [1, 1, 1, -1, 2, 2, 2, 2]
    books.free_rsets(1)
    assert ResourceScheduler(books).assign_resources(4) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "platform, options, matches",
    [
        ({}, {}, True),
        ({"scheduler_match_slots": False}, {}, False),
        ({"scheduler_match_slots": False}, {"match_slots": True}, True),
    ],
)
def test_the_platform_states_whether_slots_match_unless_the_user_does(platform, options, matches, make_resources):
    resources = make_resources(1, 4, platform=platform)
    resources.set_resource_manager(4)
    assert ResourceScheduler(resources.resource_manager, options).match_slots is matches


# --- any order of events

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=4)
EVENTS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from([None, True, False])), max_size=12)
OPTIONS = st.fixed_dictionaries({"split2fit": st.booleans(), "match_slots": st.booleans()})


def check_team(sets, team, wanted, use_gpus, options):
    rows = sets.rsets[team]
    assert len(set(team)) == len(team) >= wanted
    assert (rows["assigned"] == -1).all(), "a set that is held was given"
    assert use_gpus is None or (rows["gpus"] == use_gpus).all()
    slots = [rows["slot"][rows["group"] == group].tolist() for group in np.unique(rows["group"])]
    assert len({len(each) for each in slots}) <= 1, "uneven"
    if options["match_slots"]:
        assert all(each == slots[0] for each in slots)


@settings(max_examples=200, deadline=None)
@given(SIZES, st.integers(0, 4), EVENTS, OPTIONS)
def test_no_set_is_given_twice_and_none_is_lost(sizes, gpus, events, options):
    sets = Sets(sizes, gpus)
    teams = {}
    for worker, (wanted, use_gpus) in enumerate(events, start=1):
        before = int((sets.rsets["assigned"] == -1).sum())
        if wanted == 9 and teams:  # the oldest gives back what it holds
            _, team = teams.popitem()
            sets.rsets["assigned"][team] = -1
            assert int((sets.rsets["assigned"] == -1).sum()) == before + len(team)
            continue
        team = outcome(ResourceScheduler(sets, options), wanted, use_gpus)
        if isinstance(team, list):
            check_team(sets, team, wanted, use_gpus, options)
            teams[worker] = team
            sets.rsets["assigned"][team] = worker
        assert int((sets.rsets["assigned"] == -1).sum()) + sum(map(len, teams.values())) == sum(sizes)


@settings(max_examples=200, deadline=None)
@given(SIZES, st.integers(0, 4), st.sets(st.integers(0, 15)), st.integers(1, 16), st.booleans(), OPTIONS)
def test_waiting_helps_exactly_where_the_answer_is_not_now(sizes, gpus, free, wanted, use_gpus, options):
    """Never: not even with all sets free. Not now: there is a team once all are free. A team: a request was placed."""
    some = Sets(sizes, gpus, free=free)
    now = outcome(ResourceScheduler(some, options), wanted, use_gpus)
    later = outcome(ResourceScheduler(Sets(sizes, gpus), options), wanted, use_gpus)
    if now is NEVER:
        assert later is NEVER
    else:
        assert isinstance(later, list)
    if isinstance(now, list):
        check_team(some, now, wanted, use_gpus, options)


@settings(max_examples=200, deadline=None)
@given(SIZES, st.sets(st.integers(0, 15)), st.integers(1, 8), OPTIONS)
def test_what_fits_on_one_node_lies_on_the_fullest_that_has_room(sizes, free, wanted, options):
    sets = Sets(sizes, free=free)
    scheduler = ResourceScheduler(copy.deepcopy(sets), options)
    room = [len(indices) for indices in scheduler.avail_rsets_by_group.values() if len(indices) >= wanted]
    if room and wanted <= max(sizes):
        team = scheduler.assign_resources(wanted)
        groups = set(sets.rsets["group"][team].tolist())
        assert len(groups) == 1
        left = ((sets.rsets["group"] == groups.pop()) & (sets.rsets["assigned"] == -1)).sum()
        assert left == min(room)
