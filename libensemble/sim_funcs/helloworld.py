"""A small application: every process says hello, with its rank and host.

Scripts register it with an executor under ``helloworld.__file__``. Rank and number of processes are read from what
the launcher put into the environment, so it runs with any MPI, and without.
"""

import os
import platform

_RANK_NAMES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID", "FLUX_TASK_RANK")
_SIZE_NAMES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS", "FLUX_JOB_SIZE")


def main() -> None:
    """Print one line."""
    rank = next((os.environ[name] for name in _RANK_NAMES if name in os.environ), "0")
    size = next((os.environ[name] for name in _SIZE_NAMES if name in os.environ), "1")
    print(f"Hello world from rank {rank} of {size} on {platform.node()}", flush=True)


if __name__ == "__main__":
    main()
