"""The reserved fields of the history, in their fixed order, and their starting values."""

from typing import Any

import numpy as np

libE_fields: list[tuple[str, type]] = [
    ("sim_id", int),  # the row's number, unless the generator numbers its points
    ("gen_worker", int),  # who generated it (0: the manager's own generator thread)
    ("gen_started_time", float),  # when that generator was last given work
    ("gen_ended_time", float),  # when the row came in
    ("sim_worker", int),  # who evaluates or evaluated it
    ("sim_started", bool),  # given to a worker?
    ("sim_started_time", float),
    ("sim_ended", bool),  # come back?
    ("sim_ended_time", float),
    ("gen_informed", bool),  # told to a generator after it ended?
    ("gen_informed_time", float),
    ("cancel_requested", bool),  # asked not to be evaluated, by a generator or an allocation function
    ("kill_sent", bool),  # a kill signal has gone to its worker
]

protected_libE_fields: list[str] = [
    name for name, _ in libE_fields if name not in ("sim_id", "cancel_requested")
]

# What a fresh row holds where it is not zero. `resource_sets` and `_id` count only where the user declares them.
starting_values: dict[str, Any] = {
    "sim_id": -1,
    "sim_started_time": np.inf,
    "gen_informed_time": np.inf,
    "resource_sets": 1,
    "_id": -1,
}
