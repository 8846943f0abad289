"""Run empty tasks by other means, two workers each, and print how fast they came back.

    process-pool   concurrent.futures.ProcessPoolExecutor, two tasks in flight
    thread-pool    concurrent.futures.ThreadPoolExecutor, two tasks in flight
    pipe           multiprocessing.Pipe to two processes that echo: no bookkeeping at all

The last line printed is a JSON object with `sims` and `seconds`.
"""

import argparse
import json
import multiprocessing
import time
from concurrent.futures import FIRST_COMPLETED, Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any

import numpy as np

POINT = np.zeros(1, dtype=[("x", float, 2)]).tobytes()


def nothing(point: bytes) -> float:
    """Evaluate one point: an empty simulation."""
    return 0.0


def seconds_in_pool(pool: Executor, sims: int) -> float:
    """Return how long `sims` tasks take with two of them in flight."""
    wait([pool.submit(nothing, POINT) for _ in range(20)])
    began = time.perf_counter()
    running = {pool.submit(nothing, POINT) for _ in range(2)}
    submitted = 2
    while running:
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for _ in range(min(len(done), sims - submitted)):
            running.add(pool.submit(nothing, POINT))
            submitted += 1
    return time.perf_counter() - began


def echo(pipe: Connection) -> None:
    """Answer every point by its value until told None."""
    while (order := pipe.recv()) is not None:
        row, point = order
        pipe.send((row, nothing(point)))


def seconds_over_pipes(sims: int) -> float:
    """Return how long `sims` points take to two echoing processes and back."""
    pairs = [multiprocessing.Pipe() for _ in range(2)]
    workers = [multiprocessing.Process(target=echo, args=(far,)) for _, far in pairs]
    for worker in workers:
        worker.start()
    pipes = [near for near, _ in pairs]
    for pipe in pipes:  # warm up
        pipe.send((0, POINT))
        pipe.recv()
    began = time.perf_counter()
    for pipe in pipes:
        pipe.send((0, POINT))
    sent, back = len(pipes), 0
    while back < sims:
        for ready in wait_for_any(pipes):
            assert isinstance(ready, Connection)
            ready.recv()
            back += 1
            if sent < sims:
                ready.send((sent, POINT))
                sent += 1
    took = time.perf_counter() - began
    for pipe, worker in zip(pipes, workers):
        pipe.send(None)
        worker.join()
    return took


def main() -> None:
    """Measure the neighbour named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["process-pool", "thread-pool", "pipe"])
    parser.add_argument("--sims", type=int, default=5000)
    options = parser.parse_args()
    if options.kind == "pipe":
        seconds = seconds_over_pipes(options.sims)
    else:
        with {"process-pool": ProcessPoolExecutor, "thread-pool": ThreadPoolExecutor}[options.kind](2) as pool:
            seconds = seconds_in_pool(pool, options.sims)
    print(json.dumps({"sims": options.sims, "seconds": seconds}))


if __name__ == "__main__":
    main()
