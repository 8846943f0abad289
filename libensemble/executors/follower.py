"""Following a task to its end, with an ear for the manager.

Owns `Follower`, the part of an executor that hears the manager's signals and turns the end of a task into a calc
status.
"""

import logging
from typing import Any

from libensemble.errors import ExecutorException
from libensemble.executors.task import Task
from libensemble.message_numbers import (
    MAN_KILL_SIGNALS,
    STOP_TAG,
    TASK_FAILED,
    TASK_FAILED_TO_START,
    UNSET_TAG,
    WORKER_DONE,
    WORKER_KILL_ON_TIMEOUT,
)

logger = logging.getLogger(__name__)

_STATUS_OF_STATE = {
    "FINISHED": WORKER_DONE,
    "FAILED": TASK_FAILED,
    "FAILED_TO_START": TASK_FAILED_TO_START,
}


class Follower:
    """Follows tasks, and hears what the manager says meanwhile."""

    comm: Any
    manager_signal: int | None
    wait_time: float
    _put_back_signal: int | None  # one that the comm does not show again by itself

    def manager_poll(self) -> int | None:
        """Look for a signal of the manager, and leave it for the worker to see.

        Returns
        -------
        int or None
            The signal, which is also kept as `manager_signal`.
        """
        self.manager_signal = self._put_back_signal
        if self.comm is None or self.manager_signal is not None or not self.comm.mail_flag():
            return self.manager_signal
        tag, payload = self.comm.recv()
        self.comm.push_to_buffer(tag, payload)
        if tag != STOP_TAG:
            return None
        if payload in MAN_KILL_SIGNALS:
            logger.info(f"Worker received kill signal {payload} from manager")
        else:
            logger.warning(f"Received unrecognized manager signal {payload}")
        if not self.comm.mail_flag():
            self._put_back_signal = payload
        self.manager_signal = payload
        return payload

    def manager_kill_received(self) -> bool:
        """Return whether the manager asks for an end."""
        return self.manager_poll() in MAN_KILL_SIGNALS

    def polling_loop(
        self, task: Task, timeout: float | None = None, delay: float = 0.1, poll_manager: bool = False
    ) -> int:
        """Follow a task to its end, and return the calc status.

        Parameters
        ----------
        task : Task
        timeout : float, optional
            Kill the task when its run time is longer than these seconds.
        delay : float
            Seconds between looks at the manager and the clock. The end of the task is seen at once.
        poll_manager : bool
            Kill the task when the manager asks for it.

        Returns
        -------
        int
            WORKER_DONE, TASK_FAILED, TASK_FAILED_TO_START, WORKER_KILL_ON_TIMEOUT, or the manager's signal.
        """
        status = None
        while not task.finished:
            try:
                task.poll()
            except ExecutorException as error:
                logger.warning(f"Polling of task {task.name} ends: {error}")
                break
            if task.finished:
                break
            status = self._why_kill(task, timeout, poll_manager)
            if status is not None:
                task.kill(self.wait_time)
                break
            task.pause(delay if timeout is None else min(delay, timeout - task.runtime + 0.001))
        if task.state in _STATUS_OF_STATE:  # also one that ended by itself before the kill reached it
            return _STATUS_OF_STATE[task.state]
        if status is None:
            logger.warning(f"Task {task.name} in state {task.state} has no calc status")
        return UNSET_TAG if status is None else status

    def _why_kill(self, task: Task, timeout: float | None, poll_manager: bool) -> int | None:
        if poll_manager and self.manager_kill_received():
            return self.manager_signal
        if timeout is not None and task.runtime > timeout:
            return WORKER_KILL_ON_TIMEOUT
        return None
