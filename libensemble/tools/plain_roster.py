"""PlainRoster: the answers of a roster, found by looking through a plain array.

The manager hands allocation functions a roster that knows its answers. A unit test, or an older script, may hand them
a structured array instead; this class looks through it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.errors import AllocException
from libensemble.message_numbers import EVAL_GEN_TAG


class PlainRoster:
    """Answers of a roster, found by looking through a plain array (or anything with its columns).

    Parameters
    ----------
    W : structured array
        Its fields are those of the roster; a row's place tells the worker's id where `worker_id` is not filled in.
    """

    def __init__(self, W: Any) -> None:
        self._W = W

    def __getitem__(self, wid: int) -> Any:
        if not isinstance(self._W, np.ndarray):
            return self._W[wid]
        found = np.flatnonzero(self._ids() == wid)
        if len(found) == 0:
            raise AllocException(f"there is no worker {wid}; the workers are {self._ids().tolist()}")
        return self._W[found[0]]

    def available(
        self,
        persistent: int | bool | None,
        active_recv: bool,
        zero_resource_workers: bool | None,
        gen_workers: bool | None,
    ) -> list[int]:
        """Return ids as `AllocSupport.avail_worker_ids` does."""
        W = self._W
        fits = np.array(W["active_recv"], dtype=bool) if active_recv else W["active"] == 0
        if persistent is not None:
            fits &= W["persis_state"] == int(persistent)
        for name, wanted in (("zero_resource_worker", zero_resource_workers), ("gen_worker", gen_workers)):
            if wanted is not None and np.any(W[name]):
                fits &= W[name] == wanted
        ids: list[int] = self._ids()[fits].tolist()
        return ids

    def count_active_gens(self) -> int:
        """Return how many workers run a generator now."""
        return int(np.count_nonzero(self._W["active"] == EVAL_GEN_TAG))

    def count_persistent_gens(self) -> int:
        """Return how many persistent generators are alive."""
        return int(np.count_nonzero(self._W["persis_state"] == EVAL_GEN_TAG))

    def _ids(self) -> npt.NDArray[np.int_]:
        return worker_ids(self._W)


def worker_ids(W: Any) -> npt.NDArray[np.int_]:
    """Return the id of each row of `W`, which arrays made by hand may leave out."""
    ids: npt.NDArray[np.int_] = W["worker_id"]
    return ids if np.any(ids) else np.arange(1, len(ids) + 1)
