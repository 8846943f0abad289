"""An ensemble stated in a YAML file; the script adds only what a file cannot hold.

    python examples/calling_scripts/run_libe_from_yaml.py --comms local --nworkers 4
"""

from pathlib import Path

import numpy as np

from libensemble import Ensemble

if __name__ == "__main__":
    ensemble = Ensemble(parse_args=True)
    ensemble.from_yaml(Path(__file__).with_name("from_yaml.yaml"))
    ensemble.gen_specs.user.update({"lb": np.array([-3.0, -2.0]), "ub": np.array([3.0, 2.0])})
    ensemble.add_random_streams()

    H, persis_info, flag = ensemble.run()

    if ensemble.is_manager:
        print(f"{H['sim_ended'].sum()} points evaluated; lowest f = {H['f'][H['sim_ended']].min():.4f}")
