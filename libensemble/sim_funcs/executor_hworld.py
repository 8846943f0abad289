"""A simulator that goes through the ways an application can end: done, with an error, too late, failed, killed.

The application is the executor's default one for simulations. It takes the arguments ``sleep <seconds> [Error|Fail]``,
as `libensemble.sim_funcs.helloworld` does, or is ``six_hump_camel``, whose value is then checked.
"""

import numpy as np

from libensemble.message_numbers import (
    MAN_SIGNAL_FINISH,
    TASK_FAILED,
    TASK_FAILED_TO_START,
    UNSET_TAG,
    WORKER_DONE,
    WORKER_KILL_ON_ERR,
    WORKER_KILL_ON_TIMEOUT,
)
from libensemble.sim_funcs.launching import camel_value, ranks, submit_camel
from libensemble.sim_funcs.six_hump_camel import six_hump_camel_func
from libensemble.specs.decorators import input_fields, output_data

__all__ = ["executor_hworld"]

_POLLING = {"timeout": 6, "delay": 0.3, "poll_manager": True}
_STATUS_OF_STATE = {"FINISHED": WORKER_DONE, "FAILED": TASK_FAILED, "FAILED_TO_START": TASK_FAILED_TO_START}


def _poll(executor, task, **changes):
    """Follow the task by the executor's own loop; a task that ended well may still have printed an error."""
    status = executor.polling_loop(task, **{**_POLLING, **changes})
    return WORKER_KILL_ON_ERR if status == WORKER_DONE and _printed_an_error(task) else status


def _poll_by_hand(executor, task):
    return custom_polling_loop(executor, task, timeout_sec=6.0, delay=0.3)[1]


def _wait(executor, task):
    task.wait()
    return _status_at_end(task)


def _poll_briefly(executor, task):
    return _poll(executor, task, timeout=1)


# Arguments of the application, and how it is followed: for a worker's first task, its second, ...
_SCENARIOS = [
    ("sleep 1", _poll_by_hand),
    ("sleep 1 Error", _poll),
    ("sleep 1", _wait),
    ("sleep 8", _poll_briefly),
    ("sleep 2 Fail", _poll),
]
_LATER = ("sleep 1", _poll)


@input_fields(["x"])
@output_data([("f", float), ("cstat", int)])
def executor_hworld(H, _, sim_specs, info):
    """Run the default application once, in another way with each call of a worker, and return how it ended.

    The calls end with the statuses WORKER_DONE, WORKER_KILL_ON_ERR, WORKER_DONE, WORKER_KILL_ON_TIMEOUT, TASK_FAILED,
    and WORKER_DONE from then on. If the path of the application contains ``six_hump_camel``, the application registered
    as ``six_hump_camel`` is run at each point instead, and must print the value of the function.

    Parameters
    ----------
    H : structured array
        Field ``x``.
    sim_specs : dict
        ``user["cores"]``: ranks of the application. If ``user["elapsed_timeout"]`` is there, it sleeps 60 s, and is
        followed for 65 s: the manager is expected to end it.

    Returns
    -------
    H_o : structured array
        Field ``f``: 0, or the value of the six-hump camel function; ``cstat``, if it is an out field: the status.
    calc_status : int
    """
    user, executor = sim_specs["user"], info["executor"]
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    app = executor.default_app("sim")
    if "six_hump_camel" in app.full_path:
        H_o["f"] = [_checked_value(executor, x) for x in H["x"]]
        status = WORKER_DONE
    else:
        arguments, follow = ("sleep 60", _poll_long) if "elapsed_timeout" in user else _scenario(executor, app)
        task = executor.submit(calc_type="sim", app_args=arguments, **ranks(executor, user["cores"]))
        status = follow(executor, task)
    if "cstat" in H_o.dtype.names:
        H_o["cstat"] = status
    return H_o, status


def custom_polling_loop(exctr, task, timeout_sec=5.0, delay=0.3):
    """Follow a task, and kill it when the manager asks for it, when it prints "Error", or when its time is over.

    An example of what `Executor.polling_loop` cannot know: what the output of an application means.

    Parameters
    ----------
    exctr : Executor
    task : Task
    timeout_sec, delay : float
        Seconds that the task may run, and seconds between looks at it.

    Returns
    -------
    task : Task
    calc_status : int
        MAN_SIGNAL_FINISH, WORKER_KILL_ON_ERR, WORKER_KILL_ON_TIMEOUT, or by the state that the task ended in.
    """
    task.poll()
    while not task.finished:
        status = _reason_to_kill(exctr, task, timeout_sec)
        if status is not None:
            exctr.kill(task)
            return task, status if task.state == "USER_KILLED" else _status_at_end(task)
        task.pause(delay)
        task.poll()
    return task, _status_at_end(task)


def _reason_to_kill(exctr, task, timeout_sec):
    if exctr.manager_kill_received():
        return MAN_SIGNAL_FINISH
    if _printed_an_error(task):
        return WORKER_KILL_ON_ERR
    return WORKER_KILL_ON_TIMEOUT if task.runtime > timeout_sec else None


def _status_at_end(task):
    if task.state == "FINISHED" and _printed_an_error(task):
        return WORKER_KILL_ON_ERR
    return _STATUS_OF_STATE.get(task.state, UNSET_TAG)


def _printed_an_error(task):
    return task.stdout_exists() and "Error" in task.read_stdout()


def _poll_long(executor, task):
    return _poll(executor, task, timeout=65)


def _scenario(executor, app):
    """Return arguments and follower for the next task of this worker, whose executor lists those before it."""
    number = sum(task.app.name == app.name for task in executor.list_of_tasks)
    return _SCENARIOS[number] if number < len(_SCENARIOS) else _LATER


def _checked_value(executor, x):
    task = submit_camel(executor, x, **ranks(executor, 1))
    task.wait()
    printed, expected = camel_value(task, x), six_hump_camel_func(x)
    assert np.isclose(printed, expected), f"{task.name} at {x}: the application gives {printed}, not {expected}"
    return expected
