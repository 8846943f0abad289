"""A small application: every process says hello, with its rank and host, and can be told to sleep and to fail.

Scripts register it with an executor under ``helloworld.__file__``. Rank and number of processes are read from what
the launcher put into the environment, so it runs with any MPI, and without. Arguments:

    (none)                  say hello
    sleep SECONDS           say hello, then sleep
    sleep SECONDS Error     ... then print a line with the word Error, and sleep again
    sleep SECONDS Fail      say hello, and exit with code 1 at once
"""

import os
import platform
import sys
import time
from collections.abc import Sequence

_RANK_NAMES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID", "FLUX_TASK_RANK")
_SIZE_NAMES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS", "FLUX_JOB_SIZE")


def main(arguments: Sequence[str] = ()) -> int:
    """Do what the arguments say, and return the exit code."""
    rank = next((os.environ[name] for name in _RANK_NAMES if name in os.environ), "0")
    size = next((os.environ[name] for name in _SIZE_NAMES if name in os.environ), "1")
    print(f"Hello world from rank {rank} of {size} on {platform.node()}", flush=True)
    if not arguments:
        return 0
    word, seconds, *outcome = arguments
    if word != "sleep":
        raise SystemExit(f"arguments are: sleep SECONDS [Error|Fail], not {' '.join(arguments)}")
    if "Fail" in outcome:
        return 1
    time.sleep(float(seconds))
    if "Error" in outcome:
        print(f"Error on rank {rank}, as asked for", flush=True)
        time.sleep(float(seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
