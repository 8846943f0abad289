"""Field lists, known minima and first states that calling scripts of others import from here."""

from typing import Any

import numpy as np

six_hump_camel_minima = np.array(
    [
        [-0.089842013, 0.712656403],
        [0.089842013, -0.712656403],
        [-1.703606715, 0.796083569],
        [1.703606715, -0.796083569],
        [-1.607104753, -0.568651455],
        [1.607104753, 0.568651455],
    ]
)
"""The six minima of the six-hump camel function, best first: two each of -1.031628453, -0.215463824, 2.104250310."""

branin_vals_and_minima = np.array(
    [
        [0.397887357729738, -np.pi, 12.275],
        [0.397887357729738, np.pi, 2.275],
        [0.397887357729738, 3 * np.pi, 2.475],
    ]
)
"""The three minima of the Branin function: value, x1, x2."""

uniform_or_localopt_gen_out = [
    ("priority", float),
    ("local_pt", bool),
    ("known_to_aposmm", bool),
    ("dist_to_unit_bounds", float),
    ("dist_to_better_l", float),
    ("dist_to_better_s", float),
    ("ind_of_better_l", int),
    ("ind_of_better_s", int),
    ("started_run", bool),
    ("num_active_runs", int),
    ("local_min", bool),
]
"""What `uniform_or_localopt` and `start_persistent_local_opt_gens` keep in the history, besides `x` and `x_on_cube`."""

aposmm_gen_out = [*uniform_or_localopt_gen_out[1:], ("paused", bool)]
"""What APOSMM can keep in the history, besides `x`, `x_on_cube` and `sim_id`."""

persis_info_1 = {"next_to_give": 0, "total_gen_calls": 0, "last_worker": 0}
"""First state of the allocation functions that walk through the rows."""

persis_info_2: dict[Any, Any] = {
    **persis_info_1,
    "H_len": 0,
    "need_to_give": set(),
    "inds_of_pt_ids": {},
    "pt_ids": set(),
    "has_nan": set(),
    "complete": set(),
    "best_complete_val": np.inf,
    "local_pt_ids": set(),
    "already_paused": set(),
    0: {},
}
"""First state of `fast_alloc_and_pausing`."""

persis_info_3: dict[Any, Any] = {"last_worker": 0, 0: {"active_runs": set(), "run_order": {}, "total_runs": 0}}
"""First state of a generator that advances several local runs itself."""
