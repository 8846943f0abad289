"""Which slots of which groups: resource sets as bits of one integer per group.

Owns `Layout` (the sets of a run as bits) and the search for groups that have slots in common. When such a search is
made, and with which numbers, belongs to `scheduler.py`.

A group is the sets of one node (or a part of it); bit *s* of its mask stands for slot *s*.
"""

from collections.abc import Iterable, Sequence
from typing import Any

Masks = dict[int, int]  # group -> slots

_MOST_STEPS = 200_000  # bounds the search where a great many different sets of slots are free


class Layout:
    """The resource sets of a run by group and slot.

    Parameters
    ----------
    rsets : structured array
        With fields `group`, `slot` and `gpus`; as of `ResourceManager.rsets`.

    Attributes
    ----------
    index_of : dict of int to dict of int to int
        Group and slot to the index of the set.
    """

    def __init__(self, rsets: Any) -> None:
        self.index_of: dict[int, dict[int, int]] = {}
        self._everything: Masks = {}
        self._with_gpus: Masks = {}
        self._place_of: list[tuple[int, int]] = []
        columns = (rsets["group"].tolist(), rsets["slot"].tolist(), rsets["gpus"].tolist())
        for index, (group, slot, gpus) in enumerate(zip(*columns, strict=True)):
            self._place_of.append((group, slot))
            self.index_of.setdefault(group, {})[slot] = index
            self._everything[group] = self._everything.get(group, 0) | 1 << slot
            self._with_gpus[group] = self._with_gpus.get(group, 0) | bool(gpus) << slot
        self.sizes: dict[Any, Any] = {}  # what the scheduler found out about requests that never fit

    def masks(self, indices: Iterable[int] | None = None) -> Masks:
        """Slots of these sets (all by default) by group, in the order of groups."""
        if indices is None:
            return dict(self._everything)
        masks = dict.fromkeys(self._everything, 0)
        for index in indices:
            group, slot = self._place_of[index]
            masks[group] |= 1 << slot
        return masks

    def pool(self, masks: Masks, use_gpus: bool | None) -> Masks:
        """Of these slots, those with GPUs (True), without (False), or all (None)."""
        if use_gpus is None:
            return masks
        if use_gpus:
            return {group: mask & self._with_gpus[group] for group, mask in masks.items()}
        return {group: mask & ~self._with_gpus[group] for group, mask in masks.items()}

    def indices(self, chosen: Masks) -> list[int]:
        """Indices of these slots' sets, ascending."""
        return sorted(self.index_of[group][slot] for group, mask in chosen.items() for slot in slots_in(mask))


def slots_in(mask: int) -> list[int]:
    """The slots in a mask, ascending."""
    return [slot for slot in range(mask.bit_length()) if mask >> slot & 1]


def lowest(mask: int, count: int) -> int:
    """The `count` lowest slots of a mask."""
    kept = 0
    for _ in range(count):
        bit = mask & -mask
        kept |= bit
        mask ^= bit
    return kept


def choose_any(masks: Masks, count: int, per_group: int) -> Masks | None:
    """`per_group` slots on each of `count` groups: exact gaps first, then the smallest that suffice."""
    fitting = sorted((mask.bit_count(), i, group) for i, (group, mask) in enumerate(masks.items()))
    fitting = [entry for entry in fitting if entry[0] >= per_group][:count]
    if len(fitting) < count:
        return None
    return {group: lowest(masks[group], per_group) for _, _, group in fitting}


def choose_matching(masks: Masks, count: int, per_group: int) -> Masks | None:
    """The same `per_group` slots on each of `count` groups.

    Of all choices of groups, one with the fewest slots in common (but enough) is taken, so that small gaps are filled
    first; of those, the first in the order of groups.
    """
    groups = [group for group, mask in masks.items() if mask.bit_count() >= per_group]
    if len(groups) < count:
        return None
    places = _best_combination([masks[group] for group in groups], count, per_group)
    if places is None:
        return None
    common = -1
    for place in places:
        common &= masks[groups[place]]
    return dict.fromkeys((groups[place] for place in places), lowest(common, per_group))


def _best_combination(masks: Sequence[int], count: int, enough: int) -> Sequence[int] | None:
    if count == 1:
        return [min(range(len(masks)), key=lambda i: masks[i].bit_count())]
    times: dict[int, int] = {}
    for mask in masks:
        times[mask] = times.get(mask, 0) + 1
    if len(times) == 1:
        return range(count)
    tried = _intersections(list(times), count, enough) | _by_availability(masks, count, enough)
    possible = [common for common in tried if _support(times, common) >= count]
    if not possible:
        return None
    fewest = min(common.bit_count() for common in possible)
    return min(_first_with(masks, count, common) for common in possible if common.bit_count() == fewest)


def _support(times: dict[int, int], common: int) -> int:
    return sum(number for mask, number in times.items() if mask & common == common)


def _intersections(masks: Sequence[int], depth: int, enough: int) -> set[int]:
    """All intersections of up to `depth` of these masks that keep enough slots; some, if there are too many."""
    found = set(masks)
    edge = list(masks)
    steps = 0
    for _ in range(depth - 1):
        following: list[int] = []
        for one in edge:
            for other in masks:
                common = one & other
                if common not in found and common.bit_count() >= enough:
                    found.add(common)
                    following.append(common)
            steps += len(masks)
            if max(steps, len(found) * len(masks)) > _MOST_STEPS:
                return found
        edge = following
    return found


def _by_availability(masks: Sequence[int], count: int, enough: int) -> set[int]:
    """What groups have in common that are left when one slot after another is taken where most groups have it free."""
    left = list(masks)
    taken = 0
    for _ in range(enough):
        spare = [mask & ~taken for mask in left]
        slot = max(range(max(spare).bit_length()), key=lambda s: sum(mask >> s & 1 for mask in spare), default=0)
        left = [mask for mask in left if mask & ~taken & 1 << slot]
        taken |= 1 << slot
    if len(left) < count:
        return set()
    common = -1
    for mask in left[:count]:
        common &= mask
    return {common}


def _first_with(masks: Sequence[int], count: int, common: int) -> list[int]:
    """The first `count` masks, in order, that have exactly these slots in common."""
    supporters = [i for i, mask in enumerate(masks) if mask & common == common]
    after = [-1] * (len(supporters) + 1)  # what all supporters from there on have in common
    for place in reversed(range(len(supporters))):
        after[place] = after[place + 1] & masks[supporters[place]]
    chosen: list[int] = []
    shared = -1
    for place, i in enumerate(supporters):
        wanted = count - len(chosen) - 1  # still to be chosen if this one is
        with_this = shared & masks[i]
        rest = supporters[place + 1 :]
        suffices = wanted <= len(rest) and with_this & after[place + 1] == common
        if suffices and _can_cut(with_this, common, [masks[j] for j in rest], wanted):
            chosen.append(i)
            shared = with_this
        if len(chosen) == count:
            break
    return chosen


def _can_cut(shared: int, common: int, rest: Sequence[int], most: int) -> bool:
    """Whether at most `most` of the rest, whose intersection suffices, cut `shared` down to `common`."""
    if most >= shared.bit_count() - common.bit_count():
        return True  # each useful one cuts at least one slot
    reached = {shared}
    for _ in range(most):
        if common in reached:
            return True
        reached = {one & mask for one in reached for mask in set(rest)}
    return common in reached
