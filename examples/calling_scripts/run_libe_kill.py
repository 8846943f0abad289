"""Points that are no longer wanted: a generator cancels them, and simulations that already run stop when told.

    python examples/calling_scripts/run_libe_kill.py --comms local --nworkers 4

Of twelve points four take a moment and eight take twenty seconds. Once the four are back the generator cancels the
rest: those that have not started never will, those that run get a signal (`kill_canceled_sims`). The run takes about
as long as the quick points.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the examples are not installed: they are found from here

from examples.gen_funcs.cancel_slow import cancel_slow
from examples.sim_funcs.sleep_until_killed import sleep_until_killed
from libensemble import AllocSpecs, Ensemble, ExitCriteria, GenSpecs, SimSpecs
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens

if __name__ == "__main__":
    ensemble = Ensemble(parse_args=True)
    ensemble.libE_specs.kill_canceled_sims = True
    ensemble.libE_specs.gen_on_manager = True
    ensemble.gen_specs = GenSpecs(
        gen_f=cancel_slow,
        persis_in=["sim_id"],
        outputs=[("seconds", float)],
        user={"batch_size": 12, "enough": 4, "fast": 0.1, "slow": 20.0},
    )
    ensemble.sim_specs = SimSpecs(
        sim_f=sleep_until_killed,
        inputs=["seconds"],
        outputs=[("slept", float), ("killed", bool)],
    )
    # Results reach the generator one by one (async_return), at any time, not only as answers (active_recv_gen).
    ensemble.alloc_specs = AllocSpecs(
        alloc_f=only_persistent_gens,
        user={"async_return": True, "active_recv_gen": True},
    )
    ensemble.exit_criteria = ExitCriteria(sim_max=12, wallclock_max=120)

    started = time.monotonic()
    H, persis_info, flag = ensemble.run()

    if ensemble.is_manager:
        print(f"{'sim':>4}{'wanted':>9}{'slept':>9}  fate")
        for row in H:
            fate = "killed" if row["killed"] else "ended" if row["sim_ended"] else "never started"
            print(f"{row['sim_id']:4d}{row['seconds']:8.1f}s{row['slept']:8.2f}s  {fate}")
        print(f"took {time.monotonic() - started:.1f} s")
