"""What an allocation costs does not depend on how many rows there are."""

import timeit

import numpy as np
import pytest

from libensemble.alloc_funcs import fast_alloc
from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.alloc_funcs.only_one_gen_alloc import ensure_one_active_gen
from libensemble.alloc_funcs.persistent_aposmm_alloc import persistent_aposmm_alloc
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from tests.fakes.alloc_rig import AllocRig, start_rows

FEW, MANY = 500, 100_000


def cost(alloc_f, length):
    """Seconds for a call that finds one idle worker among four, with half of the rows evaluated and half waiting."""
    H0 = start_rows(length, started=range(length // 2), gen_informed=np.arange(length) < length // 2)
    gen_specs = {"user": {"initial_sample_size": 0}}
    rig = AllocRig(alloc_f, H0=H0, gen_specs=gen_specs, user={"num_active_gens": 1}, checks_fields=False)
    rig.step()
    rig.result(2)
    next_to_give = rig.persis_info.get("next_to_give", 0)

    def ask_again():
        rig.persis_info["next_to_give"] = next_to_give  # as if the order had not been made
        assert len(rig.ask()) == 1

    return min(timeit.repeat(ask_again, number=200, repeat=7)) / 200


@pytest.mark.parametrize(
    "alloc_f",
    [
        give_sim_work_first,
        fast_alloc.give_sim_work_first,
        ensure_one_active_gen,
        only_persistent_gens,
        persistent_aposmm_alloc,
    ],
    ids=lambda alloc_f: f"{alloc_f.__module__.rpartition('.')[2]}",
)
def test_cost_of_a_call_does_not_grow_with_the_rows(alloc_f):
    few, many = cost(alloc_f, FEW), cost(alloc_f, MANY)
    assert many < 4 * few, f"{1e6 * few:.1f} us with {FEW} rows, {1e6 * many:.1f} us with {MANY}"
