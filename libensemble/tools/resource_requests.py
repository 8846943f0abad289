"""What an order needs: how many resource sets, with or without GPUs.

Simulations say it in fields of the history (`resource_sets`, `num_procs`, `num_gpus`, `use_gpus`), generators in
`persis_info` or `libE_specs`. Which sets an order gets is the scheduler's business.
"""

from math import ceil
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from libensemble.errors import InsufficientResourcesError


class Request(NamedTuple):
    """What an order needs: resource sets, with or without GPUs, and the amounts that they were derived from."""

    rsets: int
    use_gpus: bool | None
    amounts: dict[str, int]


def sim_request(H: npt.NDArray[np.void], rows: npt.NDArray[np.int_], resources: Any) -> Request:
    """Return what the evaluation of these rows needs: of each field, the highest value."""
    names = H.dtype.names or ()
    if not len(rows):
        return Request(1, None, {})
    use_gpus = bool(np.any(H["use_gpus"][rows])) if "use_gpus" in names else None
    amounts: dict[str, int] = {}
    rsets = 1
    if "resource_sets" in names:
        rsets = int(np.max(H["resource_sets"][rows]))
    elif "num_procs" in names:
        amounts["num_procs"] = int(np.max(H["num_procs"][rows]))
        rsets = _sets_for(amounts["num_procs"], "procs", resources)
    if "num_gpus" in names:
        amounts["num_gpus"] = int(np.max(H["num_gpus"][rows]))
        rsets = max(rsets, _sets_for(amounts["num_gpus"], "gpus", resources))
        use_gpus = True if amounts["num_gpus"] > 0 else use_gpus
    return Request(rsets, use_gpus, amounts)


def gen_request(wishes: dict[Any, Any], defaults: dict[str, Any], resources: Any) -> Request:
    """Return what a generator needs.

    Parameters
    ----------
    wishes : dict
        The whole `persis_info`: `gen_resources`, or else `gen_num_procs` and `gen_num_gpus`; `gen_use_gpus`.
    defaults : dict
        The allocation function's `libE_info`, whose `gen_num_procs` and `gen_num_gpus` hold where `wishes`
        says nothing.
    resources : ResourceManager or None
    """
    use_gpus = wishes.get("gen_use_gpus")
    if "gen_resources" in wishes:
        return Request(int(wishes["gen_resources"]), use_gpus, {})
    names = {"num_procs": "gen_num_procs", "num_gpus": "gen_num_gpus"}
    amounts = {name: int(wishes.get(wish, defaults.get(wish)) or 0) for name, wish in names.items()}
    rsets = max(_sets_for(amounts["num_procs"], "procs", resources), _sets_for(amounts["num_gpus"], "gpus", resources))
    use_gpus = True if amounts["num_gpus"] > 0 else use_gpus
    return Request(rsets, use_gpus, {name: amount for name, amount in amounts.items() if amount})


def _sets_for(amount: int, unit: str, resources: Any) -> int:
    """Return how many resource sets hold this many processes or GPUs (`unit`: ``"procs"`` or ``"gpus"``)."""
    if not amount or resources is None:
        return 0
    per_set = getattr(resources, f"{unit}_per_rset")
    if not per_set:
        raise InsufficientResourcesError(
            f"{amount} {unit} were asked for, but there are zero {unit} per resource set: use fewer workers (or fewer "
            "resource sets), or more resources"
        )
    return ceil(amount / per_set)
