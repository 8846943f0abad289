"""A persistent generator of weighted samples: a batch's weights follow from the likelihoods of its points.

The allocation function is `inverse_bayes_allocf.only_persistent_gens_for_inverse_bayes`, which evaluates sub-batches
whole, and moves the weights that come with a batch to the rows of the batch before, to which they belong.
"""

import numpy as np

from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport

__all__ = ["persistent_updater_after_likelihood"]


def persistent_updater_after_likelihood(_, persis_info, gen_specs, libE_info):
    """Draw batches of points until the manager says stop; with each come the weights of the batch before.

    A batch is ``num_subbatches`` sub-batches of ``subbatch_size`` points each. For every row, ``x`` is drawn by
    ``uniform(lb, ub, (1, n))`` from ``persis_info["rand_stream"]``, ``prior`` and then ``prop`` by ``randn()`` from
    NumPy's global stream. A weight is prior + likelihood - prop; those of the first batch, before which there is none,
    are 0.

    Parameters
    ----------
    gen_specs : dict
        ``user``: ``lb``, ``ub`` (arrays of length n), ``subbatch_size``, ``num_subbatches``. Out fields: ``x``,
        ``batch`` (number of the round, from 0), ``subbatch``, ``prior``, ``prop``, ``weight``. The field handed back is
        ``like``.

    Returns
    -------
    (None, dict, FINISHED_PERSISTENT_GEN_TAG)

    Raises
    ------
    ValueError
        Not all points of a batch came back.
    """
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    tag, batch, weights = None, 0, 0.0
    while tag not in (STOP_TAG, PERSIS_STOP):
        H_o = _batch(batch, persis_info["rand_stream"], gen_specs)
        H_o["weight"] = weights
        tag, _, calc_in = support.send_recv(H_o)
        if tag not in (STOP_TAG, PERSIS_STOP):
            weights = _weights(H_o, calc_in)
        batch += 1
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def _batch(number, stream, gen_specs):
    user = gen_specs["user"]
    lb, ub, size, count = user["lb"], user["ub"], user["subbatch_size"], user["num_subbatches"]
    H_o = np.zeros(size * count, dtype=gen_specs["out"])
    H_o["batch"] = number
    H_o["subbatch"] = np.repeat(np.arange(count), size)
    for row in range(len(H_o)):
        H_o["x"][row] = stream.uniform(lb, ub, (1, len(lb))).reshape(H_o["x"].shape[1:])
        H_o["prior"][row] = np.random.randn()
        H_o["prop"][row] = np.random.randn()
    return H_o


def _weights(H_o, calc_in):
    """Return the weights of a batch, whose likelihoods come in the order of its rows."""
    if len(calc_in) != len(H_o):
        raise ValueError(
            f"{len(calc_in)} of the {len(H_o)} points of batch {H_o['batch'][0]} came back: weights need all of them "
            "(use only_persistent_gens_for_inverse_bayes, and cancel no points)"
        )
    return H_o["prior"] + calc_in["like"] - H_o["prop"]
