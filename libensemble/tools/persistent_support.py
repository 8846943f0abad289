"""PersistentSupport: how a persistent user function talks with the manager."""

from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG, PERSIS_STOP, STOP_TAG, UNSET_TAG, calc_type_strings

_STOP_TAGS = (STOP_TAG, PERSIS_STOP)
_STAYS_HERE = ("comm", "executor")  # parts of libE_info that belong to this worker alone


class PersistentSupport:
    """Send results to the manager and receive what comes back, from inside a persistent function.

    Parameters
    ----------
    libE_info : dict
        As given to the user function. ``libE_info["H_rows"]`` is kept up with each receive.
    calc_type : int
        EVAL_GEN_TAG or EVAL_SIM_TAG: what kind of function is speaking.

    Raises
    ------
    AssertionError
        `calc_type` is neither.
    """

    def __init__(self, libE_info: dict[str, Any], calc_type: int) -> None:
        assert calc_type in (EVAL_GEN_TAG, EVAL_SIM_TAG), (
            f"calc_type is EVAL_GEN_TAG ({EVAL_GEN_TAG}) or EVAL_SIM_TAG ({EVAL_SIM_TAG}), not {calc_type!r}"
        )
        self.libE_info = libE_info
        self.comm = libE_info["comm"]
        self.calc_type = calc_type
        self.calc_str = calc_type_strings[calc_type]

    def send(
        self, output: npt.NDArray[np.void] | None, calc_status: int | str = UNSET_TAG, keep_state: bool = False
    ) -> None:
        """Send output to the manager.

        Parameters
        ----------
        output : structured array
            New points (or changes to old ones, with `sim_id`) from a generator; results from a simulator.
        calc_status : int or str, optional
        keep_state : bool, default False
            Leave this worker's state on the manager as it is: for updates in between, to which no answer is expected.
        """
        info = {key: value for key, value in self.libE_info.items() if key not in _STAYS_HERE}
        info["keep_state"] = keep_state
        self.comm.send(
            self.calc_type,
            {"calc_out": output, "libE_info": info, "calc_status": calc_status, "calc_type": self.calc_type},
        )

    def recv(self, blocking: bool = True) -> tuple[int | None, Any, npt.NDArray[np.void] | None]:
        """Receive from the manager.

        Parameters
        ----------
        blocking : bool, default True
            Wait for a message. With False, return ``(None, None, None)`` when there is none.

        Returns
        -------
        tag : int
            EVAL_GEN_TAG or EVAL_SIM_TAG with data; STOP_TAG or PERSIS_STOP when it is time to return.
        Work : dict or int
            The work order; or, with a stop that brings no data, the signal.
        calc_in : structured array or None
            The rows of ``Work["libE_info"]["H_rows"]``.
        """
        if not blocking and not self.comm.mail_flag():
            return None, None, None
        tag, Work = self.comm.recv()
        if tag in _STOP_TAGS and not isinstance(Work, dict):
            self.comm.push_to_buffer(tag, Work)  # the worker wants to know, too
            return tag, Work, None
        self.libE_info["H_rows"] = Work["libE_info"]["H_rows"]
        data_tag, calc_in = self.comm.recv()
        if data_tag in _STOP_TAGS and not isinstance(calc_in, np.ndarray):
            self.comm.push_to_buffer(data_tag, calc_in)
            return data_tag, calc_in, None
        return tag, Work, calc_in

    def send_recv(
        self, output: npt.NDArray[np.void] | None, calc_status: int | str = UNSET_TAG
    ) -> tuple[int | None, Any, npt.NDArray[np.void] | None]:
        """Send output and wait for the answer; see `send` and `recv`."""
        self.send(output, calc_status)
        return self.recv()

    def request_cancel_sim_ids(self, sim_ids: Any) -> None:
        """Ask that these points not be evaluated, or be killed if `kill_canceled_sims` is set and they are running.

        Parameters
        ----------
        sim_ids : int or sequence of int
        """
        ids = np.atleast_1d(sim_ids).astype(int)
        request = np.zeros(len(ids), dtype=[("sim_id", int), ("cancel_requested", bool)])
        request["sim_id"] = ids
        request["cancel_requested"] = True
        self.send(request, keep_state=True)
