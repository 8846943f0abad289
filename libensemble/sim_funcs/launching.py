"""What simulation functions that launch applications have in common.

Owns how an executor is asked for ranks, and runs of the application ``six_hump_camel``: its arguments, and the value
that it prints.
"""

import inspect

import numpy as np

from libensemble.errors import WorkerResourcesException
from libensemble.sim_funcs.six_hump_camel import six_hump_camel_func
from libensemble.utils.current import current

OUTPUT_FILES = {"stdout": "out.txt", "stderr": "err.txt"}


def ranks(executor, count):
    """Return the arguments of `submit` that ask for ranks; none where the executor launches one process only."""
    return {"num_procs": count} if "num_procs" in inspect.signature(executor.submit).parameters else {}


def own_share():
    """Return the `WorkerResources` of this worker.

    Raises
    ------
    WorkerResourcesException
        There is no resource management in this run.
    """
    share = getattr(current.resources, "worker_resources", None)
    if share is None:
        raise WorkerResourcesException(
            "this simulation function looks at the resources of its worker, but there are none: "
            "libE_specs['disable_resource_manager'] must not be set"
        )
    return share


def own_team():
    """Return the resource sets of this worker; None without resource management."""
    return getattr(getattr(current.resources, "worker_resources", None), "rset_team", None)


def submit_camel(executor, x, dry_run=False, **arguments):
    """Submit the application registered as ``six_hump_camel`` for a point."""
    words = [str(value) for value in x]
    return executor.submit(app_name="six_hump_camel", app_args=words, dry_run=dry_run, **OUTPUT_FILES, **arguments)


def camel_value(task, x):
    """Return what the application printed on its first line; NaN if it did not finish, the formula in a dry run."""
    if task.dry_run:
        return six_hump_camel_func(x)
    if task.state != "FINISHED":
        return np.nan
    return float(task.read_stdout().splitlines()[0])
