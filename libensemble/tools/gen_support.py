"""Functions of the time before `PersistentSupport`, for generators that still call them."""

from typing import Any

from libensemble.message_numbers import EVAL_GEN_TAG, UNSET_TAG
from libensemble.tools.persistent_support import PersistentSupport

__all__ = ["get_mgr_worker_msg", "send_mgr_worker_msg", "sendrecv_mgr_worker_msg"]


def get_mgr_worker_msg(comm: Any) -> tuple[Any, Any, Any]:
    """Return (tag, Work, calc_in): `PersistentSupport.recv`."""
    return PersistentSupport({"comm": comm}, EVAL_GEN_TAG).recv()


def send_mgr_worker_msg(comm: Any, D: Any, calc_status: int | str = UNSET_TAG) -> None:
    """Send output to the manager: `PersistentSupport.send`."""
    PersistentSupport({"comm": comm}, EVAL_GEN_TAG).send(D, calc_status)


def sendrecv_mgr_worker_msg(comm: Any, D: Any, calc_status: int | str = UNSET_TAG) -> tuple[Any, Any, Any]:
    """Send output and wait for the answer: `PersistentSupport.send_recv`."""
    return PersistentSupport({"comm": comm}, EVAL_GEN_TAG).send_recv(D, calc_status)
