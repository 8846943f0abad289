"""The smallest ensemble: random points, the sine of each, and the history of what happened.

    python examples/calling_scripts/run_libe_sine_tutorial.py --comms local --nworkers 4
"""

import numpy as np

from libensemble import Ensemble, ExitCriteria, GenSpecs, SimSpecs


def random_points(H, persis_info, gen_specs):
    """Generator: a batch of points, uniform between `lower` and `upper`."""
    user = gen_specs["user"]
    points = np.zeros(user["batch_size"], dtype=gen_specs["out"])
    points["x"] = persis_info["rand_stream"].uniform(user["lower"], user["upper"], user["batch_size"])
    return points, persis_info


def sine(H, persis_info, sim_specs):
    """Simulator: the sine of each point."""
    results = np.zeros(len(H), dtype=sim_specs["out"])
    results["y"] = np.sin(H["x"])
    return results, persis_info


if __name__ == "__main__":
    ensemble = Ensemble(parse_args=True)
    ensemble.gen_specs = GenSpecs(
        gen_f=random_points,
        outputs=[("x", float)],
        user={"lower": -3.0, "upper": 3.0, "batch_size": 5},
    )
    ensemble.sim_specs = SimSpecs(sim_f=sine, inputs=["x"], outputs=[("y", float)])
    ensemble.exit_criteria = ExitCriteria(sim_max=80)
    ensemble.add_random_streams()

    H, persis_info, flag = ensemble.run()

    if ensemble.is_manager:
        print("fields of the history:", ", ".join(H.dtype.names))
        for row in H[:5]:
            print(f"sim {row['sim_id']} on worker {row['sim_worker']}: sin({row['x']:+.4f}) = {row['y']:+.4f}")
        print(f"{H['sim_ended'].sum()} points evaluated, exit flag {flag}")
