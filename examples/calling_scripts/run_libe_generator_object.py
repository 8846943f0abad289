"""A generator object of the gest-api standard: any class with `suggest` and `ingest`, on points that are dictionaries.

    python examples/calling_scripts/run_libe_generator_object.py --comms local --nworkers 4
"""

import numpy as np
from gest_api.vocs import VOCS

from libensemble import AllocSpecs, Ensemble, ExitCriteria, Generator, GenSpecs, SimSpecs
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens


class RandomWalk(Generator):
    """Steps around the best point so far; the steps grow shorter as results come in."""

    def __init__(self, vocs, seed=0):
        super().__init__(vocs)
        self.vocs = vocs
        self.bounds = {name: variable.domain for name, variable in vocs.variables.items()}
        (self.objective,) = vocs.objectives
        self.rng = np.random.default_rng(seed)
        self.results = []

    def _validate_vocs(self, vocs):
        if len(vocs.objectives) != 1:
            raise ValueError(f"RandomWalk minimizes one objective; this VOCS has {len(vocs.objectives)}")

    def suggest(self, num_points):
        return [{name: self._step(name, *bound) for name, bound in self.bounds.items()} for _ in range(num_points)]

    def ingest(self, results):
        self.results.extend(results)

    def best(self):
        return min(self.results, key=lambda result: result[self.objective])

    def _step(self, name, low, high):
        if not self.results:
            return self.rng.uniform(low, high)
        reach = (high - low) / (1 + len(self.results) / 10)
        return float(np.clip(self.best()[name] + reach * self.rng.normal(), low, high))


def parabola(point, height):
    """Simulator: takes a point as a dictionary, returns its outputs as one."""
    return {"f": (point["a"] - 1) ** 2 + (point["b"] + 2) ** 2 + height, "distance": abs(point["a"])}


if __name__ == "__main__":
    vocs = VOCS(
        variables={"a": [-5.0, 5.0], "b": [-5.0, 5.0]},
        objectives={"f": "MINIMIZE"},
        observables=["distance"],
    )
    walk = RandomWalk(vocs)

    ensemble = Ensemble(parse_args=True)
    ensemble.libE_specs.gen_on_manager = True  # so that `walk` itself is run, not a copy, and can be asked afterwards
    ensemble.gen_specs = GenSpecs(generator=walk, vocs=vocs, initial_batch_size=20, batch_size=10)
    ensemble.sim_specs = SimSpecs(simulator=parabola, vocs=vocs, user={"height": 0.5})
    ensemble.alloc_specs = AllocSpecs(alloc_f=only_persistent_gens)
    ensemble.exit_criteria = ExitCriteria(sim_max=200)

    H, persis_info, flag = ensemble.run()

    if ensemble.is_manager:
        best = walk.best()
        print(f"{len(walk.results)} results ingested")
        print(f"best f = {best['f']:.4f} at a = {best['a']:.3f}, b = {best['b']:.3f}")
