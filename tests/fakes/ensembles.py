"""A small ensemble for tests of public behaviour: a test states what it is about, and the rest is filled in here.

The `comms` fixture runs a test over all comms of one machine; `tests/public/conftest.py` shows it to the tests.
"""

import pytest

from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.libE import libE
from tests.fakes import user_functions


@pytest.fixture(params=["local", "threads"])
def comms(request):
    """Each of the comms that need nothing but this machine."""
    return request.param


def specs(
    comms="local",
    nworkers=2,
    *,
    sim_f=user_functions.double,
    gen_f=user_functions.count_up,
    sim=None,
    gen=None,
    alloc=None,
    persis_info=None,
    H0=None,
    sim_max=8,
    exit_criteria=None,
    **libE_specs,
):
    """Return the arguments of `libE()`: by default eight points, ``x = 0, 1, ...``, for which ``f = 2 x``.

    Parameters
    ----------
    sim, gen, alloc : dict, optional
        Written over the default specs.
    exit_criteria : dict, optional
        In place of `sim_max`.
    **libE_specs
        Further options.
    """
    persistent = gen_f in user_functions.PERSISTENT
    gen_specs = {"gen_f": gen_f, "out": [("x", float)], "user": {"batch": 4}}
    if persistent:
        gen_specs["persis_in"] = ["x", "f", "sim_id"]
    else:
        gen_specs["in"] = ["sim_id"]
    return {
        "sim_specs": {"sim_f": sim_f, "in": ["x"], "out": [("f", float)], **(sim or {})},
        "gen_specs": {**gen_specs, **(gen or {})},
        "exit_criteria": {"sim_max": sim_max} if exit_criteria is None else exit_criteria,
        "persis_info": {} if persis_info is None else persis_info,
        "alloc_specs": {"alloc_f": only_persistent_gens if persistent else give_sim_work_first, **(alloc or {})},
        "libE_specs": {"comms": comms, "nworkers": nworkers, **libE_specs},
        "H0": H0,
    }


def run(comms="local", nworkers=2, **stated):
    """Run what `specs` returns for these arguments; return (H, persis_info, flag)."""
    return libE(**specs(comms, nworkers, **stated))
