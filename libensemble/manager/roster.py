"""Roster: the workers and what each one does.

Allocation functions know it as `W`: ``W["active"]`` is a column, ``W[worker_id]`` a row. Beside the array it keeps
the set of idle workers, so that asking for them costs nothing on busy ones.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.errors import AllocException
from libensemble.message_numbers import EVAL_GEN_TAG

_FIELDS = [
    ("worker_id", int),
    ("gen_worker", bool),
    ("active", int),  # 0 idle, else the tag of the call it is working on
    ("persis_state", int),  # 0 not persistent, else the tag of the persistent function that lives there
    ("active_recv", bool),
    ("gen_started_time", float),
    ("zero_resource_worker", bool),
]


class Roster:
    """All workers of a run.

    Parameters
    ----------
    num_workers : int
        Workers 1 to this number.
    has_manager_gen : bool
        There is a worker 0, a thread of the manager's process, for the generator alone.
    gen_workers, zero_resource_workers : sequence of int
        Workers that run only generators; workers that hold no resources.
    """

    def __init__(
        self,
        num_workers: int,
        has_manager_gen: bool = False,
        gen_workers: Sequence[int] = (),
        zero_resource_workers: Sequence[int] = (),
    ) -> None:
        self._first = 0 if has_manager_gen else 1
        self.ids = list(range(self._first, num_workers + 1))
        self.array = np.zeros(len(self.ids), dtype=_FIELDS)
        self.array["worker_id"] = self.ids
        generates = {0, *gen_workers} if has_manager_gen else set(gen_workers)
        self.array["gen_worker"] = [worker in generates for worker in self.ids]
        self.array["zero_resource_worker"] = [worker in zero_resource_workers for worker in self.ids]
        self._generates = generates & set(self.ids)
        self._zero = set(zero_resource_workers) & set(self.ids)
        self._columns = {name: self.array[name] for name, _ in _FIELDS}
        self._active: dict[int, int] = {}  # workers at work -> tag
        self._persistent: dict[int, int] = {}  # workers where a persistent function lives -> tag
        self._active_recv: set[int] = set()
        self._idle = set(self.ids)

    # ---- as W

    def __getitem__(self, key: Any) -> Any:
        """Return a column for a name, a row for a worker id, and what the array gives for anything else."""
        if isinstance(key, str):
            return self._columns[key]
        if isinstance(key, (int, np.integer)):
            return self.array[self._index(int(key))]
        return self.array[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.array[self._index(int(key)) if isinstance(key, (int, np.integer)) else key] = value

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[np.void]:
        return iter(self.array)

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The type of a row."""
        return self.array.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.array, dtype=dtype) if copy else np.asarray(self.array, dtype=dtype)

    # ---- what allocation asks

    @property
    def any_idle(self) -> bool:
        """Whether some worker can be given an order, an active receiver included."""
        return bool(self._idle or self._active_recv)

    @property
    def idle_count(self) -> int:
        """How many workers are idle."""
        return len(self._idle)

    @property
    def any_busy(self) -> bool:
        """Whether some worker is at work."""
        return bool(self._active)

    @property
    def any_persistent(self) -> bool:
        """Whether a persistent function lives somewhere."""
        return bool(self._persistent)

    def available(
        self,
        persistent: int | bool | None = None,
        active_recv: bool = False,
        zero_resource_workers: bool | None = None,
        gen_workers: bool | None = None,
    ) -> list[int]:
        """Return the ids of workers that can be given an order, in order.

        Parameters
        ----------
        persistent : int or bool, optional
            Only those whose persistent state is this tag (0 or False: not persistent).
        active_recv : bool
            Those in active-receive mode instead of the idle ones; needs `persistent`.
        zero_resource_workers, gen_workers : bool, optional
            Only those that are, or are not, so marked; ignored when no worker is.

        Raises
        ------
        AllocException
            `active_recv` without `persistent`.
        """
        if active_recv and not persistent:
            raise AllocException("workers in active-receive mode are persistent: pass persistent=EVAL_GEN_TAG, too")
        ids = sorted(self._active_recv if active_recv else self._idle)
        if persistent is not None:
            ids = [worker for worker in ids if self._persistent.get(worker, 0) == persistent]
        if zero_resource_workers is not None and self._zero:
            ids = [worker for worker in ids if (worker in self._zero) == zero_resource_workers]
        if gen_workers is not None and self._generates:
            ids = [worker for worker in ids if (worker in self._generates) == gen_workers]
        return ids

    def idle_sim_workers(self) -> int:
        """Return how many idle workers may run simulations."""
        return len(self._idle - self._generates) if self._generates else len(self._idle)

    def count_active_gens(self) -> int:
        """Return how many workers are at work on a generator."""
        return sum(tag == EVAL_GEN_TAG for tag in self._active.values())

    def count_persistent_gens(self) -> int:
        """Return on how many workers a persistent generator lives."""
        return sum(tag == EVAL_GEN_TAG for tag in self._persistent.values())

    # ---- what one worker does

    def active(self, worker: int) -> int:
        """Return the tag of what a worker works on, or 0.

        Raises
        ------
        AllocException
            There is no such worker.
        """
        if worker not in self._idle and worker not in self._active:
            self._index(worker)
        return self._active.get(worker, 0)

    def persistent(self, worker: int) -> int:
        """Return the tag of the persistent function that lives on a worker, or 0."""
        return self._persistent.get(worker, 0)

    def is_active_recv(self, worker: int) -> bool:
        """Return whether a worker's function receives at any time."""
        return worker in self._active_recv

    def persistent_workers(self) -> list[int]:
        """Return the workers where a persistent function lives, in order."""
        return sorted(self._persistent)

    # ---- what happens (only the ledger calls these)

    def sent(self, worker: int, tag: int) -> None:
        """Note an order."""
        self._active[worker] = tag
        self._idle.discard(worker)
        self._columns["active"][worker - self._first] = tag

    def gen_started(self, worker: int, now: float) -> None:
        """Note when a generator was given work."""
        self._columns["gen_started_time"][worker - self._first] = now

    def lives(self, worker: int, tag: int, active_recv: bool) -> None:
        """Note that a persistent function lives on a worker."""
        index = worker - self._first
        self._persistent[worker] = tag
        self._columns["persis_state"][index] = tag
        if active_recv:
            self._active_recv.add(worker)
            self._columns["active_recv"][index] = True

    def idle(self, worker: int) -> None:
        """Note that a worker waits for its next order."""
        if self._active.pop(worker, None) is not None:
            self._idle.add(worker)
            self._columns["active"][worker - self._first] = 0

    def ended(self, worker: int) -> None:
        """Note that the persistent function of a worker has returned."""
        self._persistent.pop(worker, None)
        self._active_recv.discard(worker)
        index = self._index(worker)
        self._columns["persis_state"][index] = 0
        self._columns["active_recv"][index] = False
        self.idle(worker)

    def lost(self, worker: int) -> None:
        """Note that a worker is gone: it is neither at work nor idle."""
        self.ended(worker)
        self._idle.discard(worker)

    def _index(self, worker: int) -> int:
        index = worker - self._first
        if not 0 <= index < len(self.ids):
            raise AllocException(f"there is no worker {worker}; workers are {self.ids[0]} to {self.ids[-1]}")
        return index
