"""What workers do in the contract suite of the comms; importable, so that spawned processes find it."""

import logging
import os
import signal
import sys
import time

import numpy as np

from libensemble.comms.logs import worker_logging_config
from libensemble.comms.mailbox import Mailbox
from libensemble.comms.messages import Failure, Order, Report, Signal
from libensemble.errors import Timeout
from libensemble.message_numbers import EVAL_SIM_TAG, MAN_SIGNAL_FINISH, MAN_SIGNAL_KILL


def echo(comm, worker):
    """Answer each order with its data, until told to finish."""
    while True:
        message = comm.recv()
        if isinstance(message, Signal) and message.payload == MAN_SIGNAL_FINISH:
            return
        if isinstance(message, Order):
            comm.send(Report(message.tag, f"{worker}:{message.rows}", message.data, message.persis_info, message.info))


def unread_then_read(comm, worker):
    """Read two messages, put them back in the opposite order, and tell what comes."""
    first, second = comm.recv(), comm.recv()
    comm.unread(second)
    comm.unread(first)
    order = [comm.ready(), comm.recv().rows, comm.ready(), comm.recv().rows, comm.ready()]
    try:
        comm.recv(timeout=0.01)
    except Timeout:
        order.append("timeout")
    comm.send(Report(EVAL_SIM_TAG, str(order)))
    comm.recv()


def watch_for_kill(comm, worker):
    """Work until a kill signal comes; put it back and see it again."""
    mailbox = Mailbox(comm, 1)
    while not mailbox.mail_flag():
        time.sleep(0.001)
    tag, payload = mailbox.recv()
    mailbox.push_to_buffer(tag, payload)
    seen = mailbox.mail_flag() and mailbox.recv() == (tag, payload)
    comm.send(Report(EVAL_SIM_TAG, f"{payload == MAN_SIGNAL_KILL} {seen}"))
    comm.recv()


def flood(comm, worker):
    """Send many numbered messages of growing size without reading."""
    for number in range(200):
        data = np.full(number * 50, number, dtype=[("v", float)])
        comm.send(Report(EVAL_SIM_TAG, number, data))
    comm.recv()


def die_by_exit(comm, worker):
    """Be gone without a word when ordered to."""
    comm.recv()
    os._exit(7)


def die_by_signal(comm, worker):
    """Be killed."""
    comm.recv()
    os.kill(os.getpid(), signal.SIGKILL)


def crash(comm, worker):
    """Die of a fatal signal, as a wrong C extension does."""
    comm.recv()
    os.kill(os.getpid(), signal.SIGSEGV)


class CannotPickle(Exception):
    """An exception that does not survive pickling."""

    def __init__(self, one, two):
        super().__init__(lambda: one)


def raise_odd_error(comm, worker):
    """Raise what cannot be sent as it is."""
    comm.recv()
    raise CannotPickle(1, 2)


def log_and_report(comm, worker):
    """Log a line, then report."""
    worker_logging_config(comm, worker)
    logging.getLogger("libensemble.test").warning("from %s: %s", worker, "text")
    comm.send(Report(EVAL_SIM_TAG, "done"))
    comm.recv()


def ignore_everything(comm, worker):
    """Never listen, and do not leave when asked by a signal."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    comm.send(Report(EVAL_SIM_TAG, "deaf"))
    while True:
        time.sleep(0.05)


def fail_at_start(comm, worker, cause):
    """End before the first message is read."""
    if cause == "exit":
        sys.exit(5)
    comm.send(Failure("never", "sent"))


class Bomb:
    """Unpacks by raising."""

    def __reduce__(self):
        return explode, ()


def explode():
    """Stand for a user's module that cannot be imported on the worker."""
    raise ImportError("no module named user_code")
