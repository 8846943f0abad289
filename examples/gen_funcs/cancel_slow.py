"""A persistent generator that loses patience: once enough results are in, it cancels the points still out and ends."""

import numpy as np

from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport


def cancel_slow(H, persis_info, gen_specs, libE_info):
    """Send one batch of `seconds` to sleep; after `enough` results, cancel the rest.

    ``gen_specs["user"]``: ``batch_size``, ``enough``, and ``fast`` and ``slow``, how long simulations take: `enough`
    fast points come first, slow ones are the rest. Needs `sim_id` back as results come, so the allocation function is
    told ``async_return`` and ``active_recv_gen``.
    """
    user = gen_specs["user"]
    manager = PersistentSupport(libE_info, EVAL_GEN_TAG)
    batch = np.zeros(user["batch_size"], dtype=gen_specs["out"])
    batch["seconds"] = user["slow"]
    batch["seconds"][: user["enough"]] = user["fast"]
    manager.send(batch)

    missing = set(range(len(batch)))  # the only generator's first rows: sim_ids count from 0
    while len(batch) - len(missing) < user["enough"]:
        tag, _, results = manager.recv()
        if tag in (STOP_TAG, PERSIS_STOP):
            break
        missing -= set(results["sim_id"].tolist())
    manager.request_cancel_sim_ids(sorted(missing))
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG
