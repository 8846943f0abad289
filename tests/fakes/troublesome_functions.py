"""User functions that go wrong, each in its own way; importable, so that spawned workers find them."""

import asyncio
import logging.config
import sys
import time

import numpy as np

from tests.fakes.user_functions import double


def raise_value_error(H):
    """Raise what any user function may raise."""
    raise ValueError("the model diverged")


def raise_after_three(H, persis_info, sim_specs):
    """Fail for the fourth point."""
    if H["x"][0] == 3:
        raise ValueError("the model diverged")
    return double(H, persis_info, sim_specs)


def call_exit(H):
    """Leave the interpreter, as scripts wrapped into functions do."""
    sys.exit(3)


def call_exit_with_text(H):
    """Leave the interpreter with a message."""
    sys.exit("no licence")


def raise_keyboard_interrupt(H):
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt


def fail_first_others_sleep(H, persis_info, sim_specs):
    """Fail for the first point; the others take much longer than anybody wants to wait."""
    if H["x"][0] == 0:
        raise ValueError("the model diverged")
    time.sleep(20)
    return double(H, persis_info, sim_specs)


def silence_logging_and_fail(H):
    """Set up logging as many applications do, which disables all loggers that exist; then fail."""
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
    raise ValueError("the model diverged")


class Unshowable(Exception):
    """An exception that can neither be pickled nor shown."""

    def __init__(self):
        super().__init__(lambda: None)

    def __str__(self):
        raise RuntimeError("no text")


def raise_unshowable(H):
    """Raise an exception that is a trouble itself."""
    raise Unshowable


def raise_cancelled(H):
    """Raise what is no Exception, as asyncio does."""
    raise asyncio.CancelledError


def raise_chained(H):
    """Raise an error with a cause."""
    try:
        {}["key"]
    except KeyError as error:
        raise ValueError("the input lacks a key") from error


def return_dict(H):
    """Return what a gest-api simulator would."""
    return {"f": 1.0}


def return_plain_array(H):
    """Return an array without field names."""
    return np.zeros(len(H))


def return_four(H, persis_info, sim_specs):
    """Return one item too many."""
    return double(H, persis_info, sim_specs), persis_info, 0, "more"


def return_too_few(H, persis_info, sim_specs):
    """Return no entry for the rows that were given."""
    return np.zeros(0, dtype=sim_specs["out"])


def nothing_at_all(H):
    """Generate nothing, and not even say so."""


def no_points(H, persis_info, gen_specs):
    """Generate an empty array."""
    return np.zeros(0, dtype=gen_specs["out"])


def one_unfilled_id(H, persis_info, gen_specs):
    """Generate a point with a sim_id that is never filled in."""
    return np.zeros(1, dtype=gen_specs["out"])


def unfilled_ids(H, persis_info, gen_specs):
    """Generate points with sim_ids that are never filled in."""
    return np.zeros(3, dtype=gen_specs["out"])


def ids_with_a_gap(H, persis_info, gen_specs):
    """Generate points numbered 0, 1, 3."""
    H_o = np.zeros(3, dtype=gen_specs["out"])
    H_o["sim_id"] = [0, 1, 3]
    return H_o


def negative_ids(H, persis_info, gen_specs):
    """Generate a point with a negative number."""
    return np.array([(-5, 1.0)], dtype=gen_specs["out"])
