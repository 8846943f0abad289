"""A generator for the killable borehole simulator: it gives up what is slow."""

import numpy as np

from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG
from libensemble.tools.persistent_support import PersistentSupport


def cancels_the_slow(H, persis_info, gen_specs, libE_info):
    """Send three points; when the first, which is fast, is back, ask for the other two to be cancelled."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    H_o = np.zeros(3, dtype=gen_specs["out"])
    H_o["x"], H_o["thetas"] = (0.5, 0.25, 1), (0.9, 0.5, 0.25, 0.75)
    support.send_recv(H_o)
    support.request_cancel_sim_ids([1, 2])
    support.send_recv(np.zeros(0, dtype=gen_specs["out"]))
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG
