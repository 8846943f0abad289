"""A persistent generator that loses patience: it cancels the points still out once enough results are in."""

import numpy as np

from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport


def cancel_slow(H, persis_info, gen_specs, libE_info):
    """Send one batch of random `seconds`; after `enough` results request that the rest be cancelled.

    ``gen_specs["user"]``: ``batch_size``, ``enough``, and ``fast`` and ``slow``, how long simulations take: each batch
    has `enough` fast points and slow ones for the rest. Needs `sim_id` back, as results come (``async_return``).
    """
    user = gen_specs["user"]
    manager = PersistentSupport(libE_info, EVAL_GEN_TAG)
    batch = np.zeros(user["batch_size"], dtype=gen_specs["out"])
    batch["seconds"] = user["slow"]
    batch["seconds"][:: len(batch) // user["enough"]][: user["enough"]] = user["fast"]

    missing = set(range(len(batch)))  # the only generator's first rows: sim_ids count from 0
    cancelled = False
    tag, _, results = manager.send_recv(batch)
    while tag not in (STOP_TAG, PERSIS_STOP):
        missing -= set(results["sim_id"].tolist())
        if not missing:
            break
        if not cancelled and len(batch) - len(missing) >= user["enough"]:
            manager.request_cancel_sim_ids(sorted(missing))
            cancelled = True
        tag, _, results = manager.recv()
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG
