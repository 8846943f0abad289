"""What ranks do in the tests of MPIComm: ``mpiexec -n 3 python mpi_pair.py CASE``; a case fails by an exception."""

import sys
import time
import traceback

import numpy as np
from mpi4py import MPI

from libensemble.comms.mpi import MainMPIComm, MPIComm, Timeout
from libensemble.message_numbers import EVAL_SIM_TAG, MAN_SIGNAL_KILL, PERSIS_STOP, STOP_TAG

WORLD = MPI.COMM_WORLD
PATIENCE = 20  # seconds; only a failing test waits that long


def in_order(comm):
    """Messages of all kinds arrive whole, once, in order, and workers do not hear each other."""
    if comm.rank == 0:
        ends = {1: comm, 2: MPIComm(WORLD, 2)}
        for number in range(50):
            for rank, end in ends.items():
                end.send(rank, number, {"array": np.arange(number)}, None)
        for rank, end in ends.items():
            assert [end.recv(PATIENCE) for _ in range(50)] == [(rank, number) for number in range(50)]
            assert end.get_num_workers() == 2
    else:
        for number in range(50):
            rank, count, content, nothing = comm.recv()
            assert (rank, count, nothing) == (comm.rank, number, None)
            assert np.array_equal(content["array"], np.arange(number))
            comm.send(comm.rank, count)


def pairs(comm):
    """The (tag, payload) variant, and a conversation of both classes."""
    if comm.rank == 0:
        main = MainMPIComm(WORLD, 1)
        main.send(np.int64(EVAL_SIM_TAG), {"x": 1})
        assert main.recv() == (EVAL_SIM_TAG, {"x": 2})
        main.push_to_buffer(STOP_TAG, 20)
        assert main.mail_flag()
        assert main.recv() == (STOP_TAG, 20)
    elif comm.rank == 1:
        tag, payload = comm.recv()
        comm.send(tag, {"x": payload["x"] + 1})


def large(comm):
    """Both ends send what no buffer holds before either receives."""
    if comm.rank == 2:
        return
    for number in range(3):
        comm.send(number, np.full(2_000_000, comm.rank + number, float))
    for number in range(3):
        got, array = comm.recv()
        assert got == number
        assert array.shape == (2_000_000,)
        assert (array == 1 - comm.rank + number).all()
        array[0] = -1  # it is the receiver's
    comm.flush(PATIENCE)


def flushing(comm):
    """What is sent at last arrives although the sender does nothing else; what nobody takes does not hold it up."""
    if comm.rank == 1:
        comm.send("last", np.ones(2_000_000))
        try:
            comm.flush(0.05)
        except Timeout as error:
            assert "rank 0" in str(error)
        else:
            raise AssertionError("nobody had taken it")
        WORLD.barrier()
        comm.flush()
    elif comm.rank == 0:
        WORLD.barrier()
        assert comm.recv()[1].sum() == 2_000_000
    else:
        WORLD.barrier()


def waiting(comm):
    """A time-out is one, costs little, and takes nothing away."""
    if comm.rank == 0:
        assert not comm.mail_flag()
        for timeout in (0, -1, 0.05):
            try:
                comm.recv(timeout)
            except Timeout as error:
                assert "rank 1" in str(error)
            else:
                raise AssertionError("a message came from nowhere")
        cpu, begun = time.process_time(), time.monotonic()
        try:
            comm.recv(0.4)
        except Timeout:
            assert time.process_time() - cpu < 0.5 * (time.monotonic() - begun)
        comm.send("go on")
        assert comm.recv(PATIENCE) == ("here",)
    elif comm.rank == 1:
        assert comm.recv() == ("go on",)
        comm.send("here")


def kills(comm):
    """A signal is seen and stays; work is not taken for a signal."""
    if comm.rank == 0:
        for message in ((EVAL_SIM_TAG, {}), (STOP_TAG, MAN_SIGNAL_KILL), (PERSIS_STOP, MAN_SIGNAL_KILL), (np.ones(2),)):
            comm.send(*message)
        return
    if comm.rank == 2:
        return
    seen = []
    for _ in range(4):
        while not comm.mail_flag():
            time.sleep(0.001)
        seen += [comm.kill_pending(), comm.kill_pending()]
        message = comm.recv()
        comm.push_to_buffer(*message)
        assert comm.mail_flag()
        assert comm.recv()[0] is message[0]
    assert seen == [False, False, True, True, True, True, False, False]
    assert not comm.kill_pending()
    assert not comm.mail_flag()


def mistakes(comm):
    """What cannot work is named at once."""
    for communicator, rank, words in (
        (WORLD, 3, "ranks 0 to 2"),
        (WORLD, -1, "is -1"),
        (MPI.COMM_NULL, 0, "COMM_NULL"),
    ):
        try:
            MPIComm(communicator, rank)
        except ValueError as error:
            assert words in str(error)
        else:
            raise AssertionError(words)


CASES = {case.__name__: case for case in (in_order, pairs, large, flushing, waiting, kills, mistakes)}


def main(name):
    """Run a case on this rank: each worker talks with rank 0, and that with rank 1."""
    try:
        CASES[name](MPIComm(WORLD, 1 if WORLD.rank == 0 else 0))
        WORLD.barrier()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        WORLD.Abort(1)


if __name__ == "__main__":
    main(sys.argv[1])
