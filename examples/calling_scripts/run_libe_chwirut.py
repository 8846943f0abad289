"""Calibrate a model of real measurements: the three parameters of NIST's data set Chwirut1.

    python examples/calling_scripts/run_libe_chwirut.py --comms local --nworkers 4

A persistent generator proposes parameters, workers compute the 214 residuals of each, and the generator moves to where
the sum of squares is low. The best parameters are shown beside those that NIST certifies. Into the folder `--output`
go the history, the log files, and a picture of the fit. Ends with 1 if the sum of squares is not within 5 percent of
the certified one.

Options besides `--comms` and `--nworkers`: `--seed`, `--sim_max`, `--output`.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the examples are not installed: they are found from here

from examples.gen_funcs.cross_entropy import cross_entropy
from examples.sim_funcs.chwirut_residuals import chwirut_residuals, model, nist_data
from libensemble import AllocSpecs, Ensemble, ExitCriteria, GenSpecs, SimSpecs
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens

# The box holds both of NIST's starting points, (0.1, 0.01, 0.02) and (0.15, 0.008, 0.01).
LOWER, UPPER = np.array([0.01, 0.001, 0.001]), np.array([1.0, 0.05, 0.05])


class Progress:
    """Says every 200 evaluations how far the run has come; the manager calls it when results arrive."""

    def __init__(self, every=200):
        self.every = every
        self.next_count = every
        self.started = time.perf_counter()

    def live_update(self, hist):
        if hist.sim_ended_count >= self.next_count:
            self.next_count = hist.sim_ended_count + self.every
            self.show(hist)

    def finalize(self, hist):
        self.show(hist)

    def show(self, hist):
        rows = hist.H[: hist.index]
        best = rows["f"][rows["sim_ended"]].min(initial=np.inf)
        elapsed = time.perf_counter() - self.started
        count, rate = hist.sim_ended_count, hist.sim_ended_count / elapsed
        print(f"{elapsed:7.2f} s {count:7d} evaluations ({rate:5.0f}/s)   best sum of squares {best:.7f}", flush=True)


def read_options(words):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="of the generator's random numbers (default 1)")
    parser.add_argument("--sim_max", type=int, default=4000, help="evaluations at most (default 4000)")
    parser.add_argument("--output", type=Path, default=Path("."), help="folder for what the run leaves (default here)")
    return parser.parse_args(words)


def show_table(best, data):
    print(f"\n{'':16}{'this run':>16}{'NIST':>16}{'off by, in standard deviations':>34}")
    for i, (found, certified, deviation) in enumerate(zip(best["x"], data.parameters, data.deviations), start=1):
        print(f"b{i:<15}{found:16.10f}{certified:16.10f}{abs(found - certified) / deviation:34.2e}")
    print(f"{'sum of squares':16}{best['f']:16.7f}{data.sum_of_squares:16.7f}")


def draw(best, data, path):
    try:
        import matplotlib
    except ModuleNotFoundError:
        print("No picture: it needs matplotlib (pip install 'libensemble[plot]')")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    at = np.linspace(data.distance.min(), data.distance.max(), 300)
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    axes.plot(data.distance, data.response, "o", markersize=4, alpha=0.5, label="measured (NIST Chwirut1)")
    label = f"fit, sum of squares {best['f']:.4f}\n(certified {data.sum_of_squares:.4f})"
    axes.plot(at, model(best["x"], at), linewidth=2, color="tab:red", label=label)
    axes.set(xlabel="metal distance", ylabel="ultrasonic response", title="y = exp(-b1 x) / (b2 + b3 x)")
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)
    print(f"Picture: {path}")


def main():
    ensemble = Ensemble(parse_args=True)
    options = read_options(ensemble.extra_args)
    output = options.output.resolve()
    data = nist_data()

    ensemble.libE_specs.workflow_dir_path = output
    ensemble.libE_specs.gen_on_manager = True  # the generator needs no worker of its own
    ensemble.libE_specs.live_data = Progress()
    ensemble.gen_specs = GenSpecs(
        gen_f=cross_entropy,
        persis_in=["x", "f"],
        outputs=[("x", float, (3,))],
        user={"lb": LOWER, "ub": UPPER, "batch_size": 100},
    )
    ensemble.sim_specs = SimSpecs(
        sim_f=chwirut_residuals,
        inputs=["x"],
        outputs=[("f", float), ("residuals", float, (len(data.response),))],
    )
    ensemble.alloc_specs = AllocSpecs(alloc_f=only_persistent_gens)
    ensemble.exit_criteria = ExitCriteria(sim_max=options.sim_max)
    ensemble.add_random_streams(seed=options.seed)

    H, _, _ = ensemble.run()
    if not ensemble.is_manager:
        return 0

    ended = H[H["sim_ended"]]
    best = ended[np.argmin(ended["f"])]
    show_table(best, data)
    ensemble.save_output("chwirut")
    draw(best, data, output / "chwirut_fit.png")

    excess = best["f"] / data.sum_of_squares - 1
    print(f"The sum of squares is {100 * excess:.2g} percent above the certified one ({len(ended)} evaluations).")
    return 0 if excess < 0.05 else 1


if __name__ == "__main__":
    sys.exit(main())
