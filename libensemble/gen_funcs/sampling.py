"""Generator functions that draw a sample at every call and remember nothing.

Random numbers come from ``persis_info["rand_stream"]``, in the order that each docstring states, so that seeded runs
repeat.
"""

import numpy as np

from libensemble.specs.decorators import output_data

__all__ = [
    "latin_hypercube_sample",
    "uniform_random_sample",
    "uniform_random_sample_cancel",
    "uniform_random_sample_obj_components",
    "uniform_random_sample_with_var_priorities_and_resources",
    "uniform_random_sample_with_variable_resources",
]

PRIORITY_PER_RESOURCE_SET = 10


@output_data([("x", float, 2)])
def uniform_random_sample(_, persis_info, gen_specs):
    """Draw ``user["gen_batch_size"]`` points uniformly between ``user["lb"]`` and ``user["ub"]``.

    Draws ``uniform(lb, ub, (b, n))``.

    Returns
    -------
    H_o : structured array, b rows
        Field ``x``.
    persis_info : dict
    """
    H_o = np.zeros(gen_specs["user"]["gen_batch_size"], dtype=gen_specs["out"])
    _fill_uniform(H_o, persis_info, gen_specs["user"])
    return H_o, persis_info


def uniform_random_sample_with_variable_resources(_, persis_info, gen_specs):
    """Draw points uniformly, each with a random number of resource sets up to ``user["max_resource_sets"]``.

    Draws ``uniform(lb, ub, (b, n))``, then ``integers(1, max + 1, b)``. Fills ``x`` and ``resource_sets``.
    """
    user = gen_specs["user"]
    H_o = np.zeros(user["gen_batch_size"], dtype=gen_specs["out"])
    _fill_uniform(H_o, persis_info, user)
    H_o["resource_sets"] = persis_info["rand_stream"].integers(1, user["max_resource_sets"] + 1, len(H_o))
    print(f"Generating {len(H_o)} points with resource sets {H_o['resource_sets'].tolist()}", flush=True)
    return H_o, persis_info


def uniform_random_sample_with_var_priorities_and_resources(H, persis_info, gen_specs):
    """Draw a first sample of equal points, then one point at a time with random resource sets and priority.

    With no rows in `H` it makes ``user["initial_batch_size"]`` points, each of one resource set and priority 1.
    Otherwise it draws ``uniform(lb, ub, (1, n))``, then ``integers(1, user["max_resource_sets"] + 1)``; the priority
    is ten times the number of resource sets. ``gen_specs["in"]`` must name a field, or `H` is always empty.
    """
    user = gen_specs["user"]
    if len(H) == 0:
        H_o = np.zeros(user["initial_batch_size"], dtype=gen_specs["out"])
        _fill_uniform(H_o, persis_info, user)
        H_o["resource_sets"] = 1
        H_o["priority"] = 1
        return H_o, persis_info
    H_o = np.zeros(1, dtype=gen_specs["out"])
    _fill_uniform(H_o, persis_info, user)
    H_o["resource_sets"] = persis_info["rand_stream"].integers(1, user["max_resource_sets"] + 1)
    H_o["priority"] = PRIORITY_PER_RESOURCE_SET * H_o["resource_sets"]
    print(f"Generating 1 point with resource sets {H_o['resource_sets'].tolist()}", flush=True)
    return H_o, persis_info


def uniform_random_sample_obj_components(H, persis_info, gen_specs):
    """Draw points uniformly and ask for every component of the objective in a row of its own.

    For each of ``user["gen_batch_size"]`` points: ``uniform(lb, ub, (1, n))`` for ``x``, then ``uniform(0, 1, m)`` for
    the ``priority`` of its m = ``user["components"]`` rows. ``obj_component`` counts from 0; ``pt_id`` goes on from
    ``len(H) // m``.
    """
    user, stream = gen_specs["user"], persis_info["rand_stream"]
    components, count = user["components"], user["gen_batch_size"]
    H_o = np.zeros(count * components, dtype=gen_specs["out"])
    for point in range(count):
        rows = slice(point * components, (point + 1) * components)
        H_o["x"][rows] = stream.uniform(user["lb"], user["ub"], (1, len(user["lb"])))
        H_o["priority"][rows] = stream.uniform(0, 1, components)
        H_o["obj_component"][rows] = np.arange(components)
        H_o["pt_id"][rows] = len(H) // components + point
    return H_o, persis_info


def uniform_random_sample_cancel(_, persis_info, gen_specs):
    """Draw points uniformly and cancel every tenth at once.

    Draws ``uniform(lb, ub, (b, n))``. Fills ``x`` and ``cancel_requested`` (True in rows 0, 10, 20, ...).
    """
    H_o = np.zeros(gen_specs["user"]["gen_batch_size"], dtype=gen_specs["out"])
    _fill_uniform(H_o, persis_info, gen_specs["user"])
    H_o["cancel_requested"][::10] = True
    return H_o, persis_info


@output_data([("x", float, (1,))])
def latin_hypercube_sample(_, persis_info, gen_specs):
    """Draw a Latin hypercube sample of ``user["gen_batch_size"]`` points between ``user["lb"]`` and ``user["ub"]``.

    The draws are those of `lhs_sample`. Fills ``x``.
    """
    lb, ub = np.asarray(gen_specs["user"]["lb"]), np.asarray(gen_specs["user"]["ub"])
    H_o = np.zeros(gen_specs["user"]["gen_batch_size"], dtype=gen_specs["out"])
    sample = lhs_sample(len(lb), len(H_o), persis_info["rand_stream"])
    H_o["x"] = (lb + sample * (ub - lb)).reshape(H_o["x"].shape)
    return H_o, persis_info


def lhs_sample(n, k, stream):
    """Return a Latin hypercube sample of the unit cube.

    Each column has exactly one value in each of `k` equal cells. Draws ``uniform(0, 1, (k, n))`` for the places within
    the cells, then for each column one ``permutation(k)`` for their order.

    Parameters
    ----------
    n : int
        Number of columns (variables).
    k : int
        Number of rows (points).
    stream : numpy.random.Generator

    Returns
    -------
    array, shape (k, n)
        Values in [0, 1].
    """
    sample = (np.arange(k)[:, np.newaxis] + stream.uniform(0, 1, (k, n))) / k
    for column in range(n):
        sample[:, column] = sample[stream.permutation(k), column]
    return sample


def _fill_uniform(H_o, persis_info, user):
    lb, ub = user["lb"], user["ub"]
    draws = persis_info["rand_stream"].uniform(lb, ub, (len(H_o), len(lb)))
    H_o["x"] = draws.reshape(H_o["x"].shape)
