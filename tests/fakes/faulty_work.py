"""What workers do in the fault suite of the comms; importable, so that spawned processes find it."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time

import numpy as np

from libensemble.comms.messages import Order, Report
from libensemble.errors import CommError
from libensemble.message_numbers import EVAL_SIM_TAG
from tests.fakes.comm_work import echo

V = [("v", float)]


def large(megabytes, value=0.0):
    """Return a structured array of about so many megabytes."""
    return np.full(int(megabytes * 131072), value, dtype=V)


def send_and_receive_large(comm, worker, count):
    """Send `count` large reports without reading, then echo what has been waiting."""
    for number in range(count):
        comm.send(Report(EVAL_SIM_TAG, number, large(3, number)))
    echo(comm, worker)


def die_while_sending(comm, worker):
    """Be killed when about a megabyte of a large message has left; worker 2 is a normal one."""
    if worker == 2:
        echo(comm, worker)
        return
    comm.recv()
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGKILL)).start()
    comm.send(Report(EVAL_SIM_TAG, "never whole", large(40)))


def report_and_die(comm, worker):
    """Send a report that fills the stream's buffer, and be gone at once."""
    comm.recv()
    comm.send(Report(EVAL_SIM_TAG, "last", large(1.2, 7)))
    os._exit(3)


def leave_a_child_and_die(comm, worker):
    """Be killed while a forked child, which has inherited all descriptors, lives on."""
    comm.recv()
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            time.sleep(20)
        os._exit(0)
    comm.send(Report(EVAL_SIM_TAG, pid))
    comm.recv()
    os.kill(os.getpid(), signal.SIGKILL)


class CannotBeUnpacked:
    """Packs well; unpacking raises."""

    def __reduce__(self):
        return explode, ()


def explode():
    """Stand for a class that only the worker can import."""
    raise ImportError("no module named worker_only")


def send_what_cannot_be_unpacked(comm, worker):
    """Send a good report, one that the manager cannot unpack, and a good one, in one stream."""
    comm.recv()
    comm.send(Report(EVAL_SIM_TAG, "first", large(0.001)))
    comm.send(Report(EVAL_SIM_TAG, "bad", None, {"object": CannotBeUnpacked()}))
    comm.send(Report(EVAL_SIM_TAG, "last", large(0.001)))
    comm.recv()


def fail_to_send_then_send(comm, worker):
    """Try to send an array of a new type with what cannot be packed; then send the array alone."""
    data = np.arange(3, dtype=float).view([("new", float)])
    try:
        comm.send(Report(EVAL_SIM_TAG, "no", data, {"lock": threading.Lock()}))
    except CommError:
        comm.send(Report(EVAL_SIM_TAG, "yes", data))
    comm.recv()


def echo_in_a_storm(comm, worker):
    """Echo while signals with a handler come every millisecond."""
    signal.signal(signal.SIGALRM, lambda signum, frame: None)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    echo(comm, worker)
    signal.setitimer(signal.ITIMER_REAL, 0)


def is_aligned(comm, worker):
    """Tell whether arrays of all sizes arrive aligned and writable."""
    while isinstance(order := comm.recv(), Order):
        column = order.data["v"]
        good = column.ctypes.data % 16 == 0 and column.flags.aligned and order.data.flags.writeable
        comm.send(Report(EVAL_SIM_TAG, bool(good), order.data))


def tell_wakeup_fd(comm, worker):
    """Tell whether signals of this process are written to a descriptor that was inherited."""
    comm.send(Report(EVAL_SIM_TAG, signal.set_wakeup_fd(-1)))
    comm.recv()


def ping(comm, worker):
    """Answer small orders as fast as possible."""
    while isinstance(order := comm.recv(), Order):
        comm.send(Report(EVAL_SIM_TAG, order.rows[0]))


# ---- orphans: run as `python faulty_work.py METHOD WHAT`, a manager that the test kills


def say(what):
    """Tell the test, through the file named in the environment; one line at once, whole."""
    fd = os.open(os.environ["ORPHANS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{what}\n".encode())
    os.close(fd)


def idle(comm, worker):
    """Wait for an order that never comes."""
    say(os.getpid())
    comm.recv()


def compute(comm, worker):
    """Be busy, without a look at the comm."""
    say(os.getpid())
    while True:
        time.sleep(0.01)


def send_for_ever(comm, worker):
    """Send large reports one after the other; nobody reads."""
    say(os.getpid())
    while True:
        comm.send(Report(EVAL_SIM_TAG, 0, large(8)))


WORK = {"idle": idle, "compute": compute, "send": send_for_ever}


def be_a_manager(method, what):
    """Start two workers and wait for ever; with "helper", a forked process that holds all descriptors lives on."""
    from libensemble.comms.local import ProcessTeam

    multiprocessing.set_start_method(method)
    team = ProcessTeam([1, 2])
    team.start(WORK[what.removesuffix("+helper")])
    if what.endswith("+helper") and not os.fork():
        say(f"helper {os.getpid()}")
        time.sleep(30)
        os._exit(0)
    time.sleep(60)


if __name__ == "__main__":
    import tests.fakes.faulty_work as this

    this.be_a_manager(*sys.argv[1:])
