"""Matching slots: the same choice as trying all combinations of groups, without trying them."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libensemble.resources.slot_matching import choose_any, choose_matching, lowest, slots_in


def mask_of(*slots):
    return sum(1 << slot for slot in slots)


def common_slots(masks, groups):
    common = -1
    for group in groups:
        common &= masks[group]
    return common


def by_trying_all(masks, count, enough):
    """The rule itself: the first exact combination in order, else the first of those with the fewest common slots."""
    best = None
    fitting = [group for group, mask in masks.items() if mask.bit_count() >= enough]
    for groups in itertools.combinations(fitting, count):
        shared = common_slots(masks, groups).bit_count()
        if shared == enough:
            return groups
        if shared > enough and (best is None or shared < best[0]):
            best = (shared, groups)
    return best and best[1]


layouts = st.lists(st.integers(0, 63), min_size=1, max_size=7).map(lambda masks: dict(enumerate(masks, start=1)))


@settings(max_examples=400, deadline=None)
@given(layouts, st.integers(1, 7), st.integers(1, 6))
def test_the_choice_is_that_of_trying_all_combinations(masks, count, enough):
    expected = by_trying_all(masks, count, enough)
    chosen = choose_matching(masks, count, enough)
    if expected is None:
        assert chosen is None
    else:
        assert tuple(chosen) == expected
        assert set(chosen.values()) == {lowest(common_slots(masks, expected), enough)}


@settings(max_examples=200, deadline=None)
@given(layouts, st.integers(1, 7), st.integers(1, 6))
def test_without_matching_the_smallest_gaps_that_suffice_are_filled(masks, count, enough):
    chosen = choose_any(masks, count, enough)
    sizes = sorted(mask.bit_count() for mask in masks.values() if mask.bit_count() >= enough)
    if len(sizes) < count:
        assert chosen is None
    else:
        assert sorted(masks[group].bit_count() for group in chosen) == sizes[:count]
        assert all(slots == lowest(masks[group], enough) for group, slots in chosen.items())


@pytest.mark.parametrize(
    "masks, count, enough, groups, slots",
    [
        ({1: mask_of(0, 1, 2, 3), 2: mask_of(2, 3)}, 1, 1, [2], [2]),
        ({1: mask_of(0, 1, 2, 3), 2: mask_of(2, 3)}, 1, 3, [1], [0, 1, 2]),
        ({1: mask_of(2, 3), 2: mask_of(2, 3)}, 2, 2, [1, 2], [2, 3]),
        ({1: mask_of(0, 1, 2), 2: mask_of(0, 1), 3: mask_of(0, 1)}, 2, 2, [1, 2], [0, 1]),
        ({1: mask_of(0, 1, 2), 2: mask_of(0, 1, 2), 3: mask_of(1, 2, 3)}, 2, 2, [1, 3], [1, 2]),
    ],
)
def test_exact_gaps_come_first_then_the_order_of_groups(masks, count, enough, groups, slots):
    chosen = choose_matching(masks, count, enough)
    assert list(chosen) == groups
    assert slots_in(next(iter(chosen.values()))) == slots


def test_slots_that_have_too_little_in_common_are_not_chosen():
    assert choose_matching({1: mask_of(2, 3), 2: mask_of(0, 1)}, 2, 2) is None


@pytest.mark.parametrize("nodes, slots, count", [(96, 8, 12), (200, 60, 25), (1000, 4, 30)])
def test_the_search_ends_on_many_nodes(nodes, slots, count):
    """Trying all combinations of 12 nodes out of 96 would take longer than anyone can wait."""
    source = random.Random(0)
    masks = {group: source.getrandbits(slots) for group in range(nodes)}
    chosen = choose_matching(masks, count, 2)
    assert len(chosen) == count
    assert len(set(chosen.values())) == 1
    assert all(masks[group] & mask == mask and mask.bit_count() == 2 for group, mask in chosen.items())
