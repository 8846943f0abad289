"""A generator that stays alive: it sends a batch, waits for the results, and sends the next.

    python examples/calling_scripts/run_libe_persistent_uniform.py --comms local --nworkers 4
"""

import numpy as np

from libensemble import AllocSpecs, Ensemble, ExitCriteria, GenSpecs, SimSpecs
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.gen_funcs.persistent_sampling import persistent_uniform
from libensemble.sim_funcs.six_hump_camel import six_hump_camel

if __name__ == "__main__":
    ensemble = Ensemble(parse_args=True)
    ensemble.gen_specs = GenSpecs(
        gen_f=persistent_uniform,
        persis_in=["sim_id", "f"],
        outputs=[("x", float, (2,))],
        user={"initial_batch_size": 20, "lb": np.array([-3.0, -2.0]), "ub": np.array([3.0, 2.0])},
    )
    ensemble.sim_specs = SimSpecs(sim_f=six_hump_camel, inputs=["x"], outputs=[("f", float)])
    ensemble.alloc_specs = AllocSpecs(alloc_f=only_persistent_gens)
    ensemble.exit_criteria = ExitCriteria(gen_max=200)
    ensemble.add_random_streams()

    H, persis_info, flag = ensemble.run()

    if ensemble.is_manager:
        batches = len(np.unique(H["gen_ended_time"]))
        ended = H[H["sim_ended"]]
        best = ended[np.argmin(ended["f"])]
        print(f"{len(H)} points in {batches} batches; lowest f = {best['f']:.4f} at {best['x'].round(3).tolist()}")
