"""Which resource sets an order gets.

Owns the rules by which a number of sets becomes certain sets: on as few nodes as possible, as many on each, with the
same slots where they shall match, in the smallest gaps that suffice. The search for matching slots is in
`slot_matching.py`; who holds which sets, in `worker_resources.py`; how many are needed is worked out by the caller.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from libensemble.errors import InsufficientFreeResources, InsufficientResourcesError, ResourceManagerException
from libensemble.resources.slot_matching import Layout, Masks, choose_any, choose_matching, slots_in
from libensemble.utils.current import current

__all__ = ["InsufficientFreeResources", "InsufficientResourcesError", "ResourceScheduler"]

logger = logging.getLogger(__name__)

_POOL_NAMES: dict[bool | None, str] = {None: "", True: "GPU ", False: "non-GPU "}


class ResourceScheduler:
    """Chooses resource sets for orders, as long as one allocation round lasts.

    The free sets are looked up once, at the first request; sets given since then count as taken.

    Parameters
    ----------
    user_resources : ResourceManager, optional
        The sets and who holds them; by default those of the run. Anything with the array `rsets` (fields `assigned`,
        `group`, `slot`, `gpus`) will do.
    sched_opts : mapping, optional
        `split2fit` (True): a request that does not fit on the fewest nodes may be split over more of them.
        `match_slots` (as the platform says, else True): a request over several nodes gets the same slots on each.
    """

    def __init__(self, user_resources: Any = None, sched_opts: Mapping[str, Any] | None = None) -> None:
        self.resources: Any = user_resources or getattr(current.resources, "resource_manager", None)
        if self.resources is None:
            raise ResourceManagerException(
                "There are no resources to schedule: resource management is off, or Resources.set_resource_manager() "
                "was not called"
            )
        options = {**getattr(self.resources, "scheduler_defaults", {}), **(sched_opts or {})}
        self.split2fit = bool(options.get("split2fit", True))
        self.match_slots = bool(options.get("match_slots", True))
        self.log_msg: str | None = None
        self._layout: Layout | None = None
        self._free_masks: Masks = {}

    @property
    def rsets_free(self) -> int:
        """Sets that are free."""
        return self._free_in(None)

    @property
    def gpu_rsets_free(self) -> int:
        """Sets with GPUs that are free."""
        return self._free_in(True)

    @property
    def nongpu_rsets_free(self) -> int:
        """Sets without GPUs that are free."""
        return self._free_in(False)

    @property
    def avail_rsets_by_group(self) -> dict[int, list[int]]:
        """Group to the indices of its free sets."""
        layout = self._look_up()
        return {
            group: [layout.index_of[group][slot] for slot in slots_in(mask)] for group, mask in self._free_masks.items()
        }

    def assign_resources(
        self, rsets_req: int, use_gpus: bool | None = None, user_params: Sequence[Any] | None = None
    ) -> list[int]:
        """Choose free resource sets, and count them as taken from here on.

        Parameters
        ----------
        rsets_req : int
            Number of sets. Where this number cannot lie evenly on nodes, the next that can is taken.
        use_gpus : bool, optional
            True: only sets with GPUs; False: only sets without; None: any.
        user_params : sequence of int, optional
            Numbers (processes, GPUs) that the nodes should divide evenly, if the request is split over more nodes.

        Returns
        -------
        list of int
            Indices of the sets, ascending.

        Raises
        ------
        InsufficientResourcesError
            There are not that many such sets, or they can never lie evenly on nodes.
        InsufficientFreeResources
            The request cannot be placed now.
        """
        wanted = int(rsets_req)
        if wanted == 0:
            return []
        layout = self._look_up()
        total = _count(layout.pool(layout.masks(), use_gpus).values())
        if wanted < 0 or wanted > total:
            raise InsufficientResourcesError(
                f"More {_POOL_NAMES[use_gpus]}resource sets were requested ({wanted}) than exist ({total})"
            )
        params = tuple(int(number) for number in user_params or () if number)
        free = layout.pool(self._free_masks, use_gpus)
        chosen = self._place(wanted, free, params, layout, use_gpus)
        if chosen is None:
            size, params = self._size_that_fits(wanted, use_gpus, params, layout)
            chosen = self._place(size, free, params, layout, use_gpus)
        if chosen is None:
            number_free = _count(free.values())
            self.log_msg = (
                f"{wanted} {_POOL_NAMES[use_gpus]}resource sets cannot be placed now ({number_free} are free)"
            )
            raise InsufficientFreeResources(self.log_msg)
        for group, mask in chosen.items():
            self._free_masks[group] &= ~mask
        return layout.indices(chosen)

    def _look_up(self) -> Layout:
        if self._layout is None:
            rsets = self.resources.rsets
            self._layout = getattr(self.resources, "rset_layout", None) or Layout(rsets)
            self._free_masks = self._layout.masks(np.flatnonzero(rsets["assigned"] == -1).tolist())
        return self._layout

    def _free_in(self, use_gpus: bool | None) -> int:
        return _count(self._look_up().pool(self._free_masks, use_gpus).values())

    def _place(
        self, wanted: int, free: Masks, params: tuple[int, ...], layout: Layout, use_gpus: bool | None
    ) -> Masks | None:
        """Slots for a request by group, or None where it does not fit into these free slots."""
        if wanted > _count(free.values()):
            return None
        whole = layout.pool(layout.masks(), use_gpus)
        sizes = sorted((mask.bit_count() for mask in free.values()), reverse=True)
        wanted, fewest = _even_target(wanted, max(mask.bit_count() for mask in whole.values()), len(whole))
        counts = [fewest]
        if self.split2fit:
            more = range(fewest + 1, len(free) + 1)
            counts += [count for count in more if all(number % count == 0 for number in (wanted, *params))]
        choose = choose_matching if self.match_slots else choose_any
        for count in counts:
            if count <= len(sizes) and sizes[count - 1] >= wanted // count:
                chosen = choose(free, count, wanted // count)
                if chosen:
                    return chosen
        return None

    def _size_that_fits(
        self, wanted: int, use_gpus: bool | None, params: tuple[int, ...], layout: Layout
    ) -> tuple[int, tuple[int, ...]]:
        """The request itself if it fits with all sets free; else the next larger that does, whatever is divided."""
        key = (wanted, use_gpus, params, self.split2fit, self.match_slots)
        if key not in layout.sizes:
            layout.sizes[key] = self._first_fitting(wanted, use_gpus, params, layout)
        if layout.sizes[key] is None:
            whole = layout.pool(layout.masks(), use_gpus)
            possible = [n for n in range(1, wanted) if self._place(n, whole, (), layout, use_gpus)]
            raise InsufficientResourcesError(
                f"{wanted} {_POOL_NAMES[use_gpus]}resource sets can never lie evenly on the nodes. "
                f"Possible are {possible}"
            )
        return layout.sizes[key]

    def _first_fitting(
        self, wanted: int, use_gpus: bool | None, params: tuple[int, ...], layout: Layout
    ) -> tuple[int, tuple[int, ...]] | None:
        whole = layout.pool(layout.masks(), use_gpus)
        tries = [(wanted, params), (wanted, ()), *((n, ()) for n in range(wanted + 1, _count(whole.values()) + 1))]
        return next((one for one in tries if self._place(one[0], whole, one[1], layout, use_gpus)), None)


def _count(masks: Iterable[int]) -> int:
    return sum(mask.bit_count() for mask in masks)


def _even_target(wanted: int, most: int, groups: int) -> tuple[int, int]:
    """Sets to take, and on how many groups: as few as hold them evenly; rounded up if no number divides them."""
    fewest = -(-wanted // most)
    if fewest == 1:
        return wanted, 1
    for count in range(fewest, groups + 1):
        if wanted % count == 0:
            return wanted, count
    return fewest * -(-wanted // fewest), fewest
