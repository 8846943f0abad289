"""Bases of generators that suggest points and ingest results.

`LibensembleGenerator` is for generators that work on arrays: it converts between the dicts of the gest-api standard
and structured arrays. `PersistentGenInterfacer` gives that interface to a classic persistent `gen_f`, which it drives
in the background:

    suggest()  --->  suggest_numpy()  <--- queue ---  gen_f  (a process or thread, talking through PersistentSupport)
    ingest()   --->  ingest_numpy()   ---- queue --->

How generators run inside an ensemble is owned by `worker/drivers.py`, which does not need these bases.
"""

import contextlib
import copy
import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.util import Finalize
from typing import Any

import numpy as np
import numpy.typing as npt
from gest_api import Generator

from libensemble.comms.queues import QCommProcess, QCommThread
from libensemble.errors import CommFinishedException, GeneratorNotStartedException, Timeout
from libensemble.message_numbers import (
    EVAL_GEN_TAG,
    FINISHED_PERSISTENT_GEN_TAG,
    PERSIS_STOP,
    STOP_TAG,
    UNSET_TAG,
)
from libensemble.utils.arrays import from_columns, list_dicts_to_np, np_to_list_dicts, unmap_numpy_array
from libensemble.utils.current import current

__all__ = ["Generator", "GeneratorNotStartedException", "LibensembleGenerator", "PersistentGenInterfacer"]

Array = npt.NDArray[np.void]

DEFAULT_SEED = 4321
PATIENCE_AT_END = 5.0  # s; how long a background process may live on after its function has returned


class LibensembleGenerator(Generator):
    """Base of generators that work on structured arrays.

    A subclass implements `suggest_numpy` and `ingest_numpy`; `suggest` and `ingest` then take and give dicts. It may
    also define ``suggest_updates()``, which returns a list of arrays that change points made before (their rows carry
    ``sim_id``).

    Parameters
    ----------
    vocs : gest_api.vocs.VOCS
        Names of variables, objectives and so on.
    History : structured array or list of dict, optional
        Evaluations from before.
    persis_info : dict, optional
        Used if it has a ``rand_stream``; otherwise one with a fixed seed is made.
    gen_specs : dict, optional
        Copied, so that objects do not share options.
    libE_info : dict, optional
    variables_mapping : dict of str to list of str, optional
        Which VOCS names each array field gathers, for example ``{"x": ["core", "edge"], "f": ["energy"]}``. Without
        an entry, ``x`` gathers all variables that no other entry claims, ``f`` all such objectives; a single variable
        called ``x`` (or objective called ``f``) needs none. With `returns_id`, ``sim_id`` is called ``_id``.
    **kwargs
        Further options: they become ``gen_specs["user"]`` entries.
    """

    def __init__(
        self,
        vocs: Any,
        History: Any = None,
        persis_info: dict[str, Any] | None = None,
        gen_specs: dict[str, Any] | None = None,
        libE_info: dict[str, Any] | None = None,
        variables_mapping: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        self._validate_vocs(vocs)
        self.vocs = vocs
        self.History = [] if History is None else History
        self.gen_specs = dict(gen_specs or {})
        if kwargs or "user" in self.gen_specs:
            self.gen_specs["user"] = {**(self.gen_specs.get("user") or {}), **kwargs}
        self.libE_info = dict(libE_info or {})
        self.variables_mapping = self._completed_mapping(variables_mapping)
        if (persis_info or {}).get("rand_stream"):
            self.persis_info = persis_info
        else:
            self.persis_info = {"rand_stream": np.random.default_rng(DEFAULT_SEED), "worker_num": 1}

    def _completed_mapping(self, given: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]]:
        mapping = {field: list(names) for field, names in (given or {}).items()}
        for field, kind in (("x", "variables"), ("f", "objectives")):
            names = list(_entries(self.vocs, kind))
            if field in mapping or names in ([], [field]):
                continue
            claimed = {name for claims in mapping.values() for name in claims}
            free = [name for name in names if name not in claimed]
            if free:
                mapping[field] = free
        if self.returns_id:
            mapping.setdefault("sim_id", ["_id"])
        return mapping

    def _validate_vocs(self, vocs: Any) -> None:
        """Accept any VOCS; a subclass raises ValueError for one that it cannot handle."""

    @abstractmethod
    def suggest_numpy(self, num_points: int | None = 0) -> Array:
        """Return points to evaluate, one per row.

        Parameters
        ----------
        num_points : int
            How many; 0 or None leaves it to the generator.
        """

    @abstractmethod
    def ingest_numpy(self, results: Array | None) -> None:
        """Take results: rows that were suggested, or others, with objectives."""

    def suggest(self, num_points: int | None = 0) -> list[dict[str, Any]]:
        """Return points to evaluate as dicts keyed by VOCS names, with plain Python scalars."""
        return self._as_dicts(self.suggest_numpy(num_points))

    def ingest(self, results: list[dict[str, Any]]) -> None:
        """Take evaluated points, as dicts keyed by VOCS names."""
        self.ingest_numpy(list_dicts_to_np(results, mapping=self.variables_mapping))

    def _as_dicts(self, array: Array) -> list[dict[str, Any]]:
        mapping = dict(self.variables_mapping)
        for name, variable in _entries(self.vocs, "variables").items():
            # a lone variable `x` that the generator keeps in a vector of length one is a scalar for everybody else
            is_scalar = not isinstance(getattr(variable, "dtype", None), tuple)
            if is_scalar and name in (array.dtype.names or ()) and array.dtype[name].shape == (1,):
                mapping.setdefault(name, [name])
        return np_to_list_dicts(array, mapping, native=True)


def _entries(vocs: Any, kind: str) -> Mapping[str, Any]:
    entries = vocs.get(kind) if isinstance(vocs, dict) else getattr(vocs, kind, None)
    return entries or {}


class PersistentGenInterfacer(LibensembleGenerator):
    """A classic persistent `gen_f`, driven in the background and asked through suggest and ingest.

    Parameters are those of `LibensembleGenerator`; ``gen_specs["gen_f"]`` is the function. Its results reach it in the
    fields that ``gen_specs["persis_in"]`` names, with ``sim_id`` as row numbers.

    Attributes
    ----------
    gen_result : tuple or None
        (history, persis_info, tag) that `gen_f` returned, once the generator is finalized.
    threaded : bool
        Class attribute: run `gen_f` in a thread instead of a process.
    """

    threaded = False

    def __init__(
        self,
        vocs: Any,
        History: Any = None,
        persis_info: dict[str, Any] | None = None,
        gen_specs: dict[str, Any] | None = None,
        libE_info: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocs, History, persis_info, gen_specs, libE_info, **kwargs)
        self.gen_f = self.gen_specs.get("gen_f")
        if not callable(self.gen_f):
            raise ValueError(f"gen_specs['gen_f'] must be the persistent generator function to run, not {self.gen_f!r}")
        self._running_gen_f: Any = None  # a QCommProcess or QCommThread
        self._pending: list[tuple[Array, bool]] = []
        self._has_sent = False
        self._is_stopped = False
        self.gen_result: tuple[Any, Any, Any] | None = None

    # The background function: its life

    def setup(self) -> None:
        """Make, but do not start, the background process or thread.

        Raises
        ------
        RuntimeError
            It was made before.
        """
        if self._running_gen_f is not None:
            raise RuntimeError("this generator has been set up already; one object drives its gen_f once")
        self.libE_info["executor"] = _without_comm(self.libE_info.get("executor") or current.executor)
        background = QCommThread if self.threaded else QCommProcess
        arguments = (self.gen_f, self.History, self.persis_info, self.gen_specs, dict(self.libE_info))
        self._running_gen_f = background(_call_gen_f, None, *arguments)
        if not self.threaded:
            # an object that nobody finalizes must not keep the interpreter from ending
            Finalize(self, _end_process, args=(self._running_gen_f,), exitpriority=10)

    def _start(self) -> None:
        if self._running_gen_f is None:
            self.setup()
            assert self._running_gen_f is not None
            self._running_gen_f.run()

    def finalize(self) -> tuple[Any, Any, Any]:  # type: ignore[override]
        """Stop `gen_f`, wait for what it returns, and keep that as `gen_result`.

        May be called again, and after an ensemble has stopped the generator.

        Raises
        ------
        RuntimeError
            The generator was never started.
        RemoteException
            `gen_f` raised.
        """
        if self.gen_result is None:
            if self._running_gen_f is None:
                raise RuntimeError("this generator was never started: nothing was suggested or ingested")
            if not self._is_stopped:
                self.ingest_numpy(None, PERSIS_STOP)
            while self._next(None) is not None:
                pass  # what it sent before it saw the stop
        assert self.gen_result is not None
        return self.gen_result

    def terminate(self) -> None:
        """Give the background process up, after an error."""
        if self._running_gen_f is not None and not self.threaded:
            _end_process(self._running_gen_f)

    def export(self, vocs_field_names: bool = False, as_dicts: bool = False) -> tuple[Any, Any, Any]:
        """Return what `gen_f` returned, or three None before the generator is finalized.

        Parameters
        ----------
        vocs_field_names : bool, default False
            Name the fields of the history as in the VOCS, with vectors split up.
        as_dicts : bool, default False
            Give the history as a list of dicts.

        Returns
        -------
        (structured array or list of dict or None, dict or None, int or None)
        """
        if self.gen_result is None:
            return None, None, None
        history, persis_info, tag = self.gen_result
        mapping = self.variables_mapping if vocs_field_names else {}
        if as_dicts:
            return np_to_list_dicts(history, mapping), persis_info, tag
        return unmap_numpy_array(history, mapping), persis_info, tag

    # What it sends

    def suggest_numpy(self, num_points: int | None = 0) -> Array:
        """Wait for the next points that `gen_f` sends, starting it on first use; `num_points` is ignored.

        Returns
        -------
        structured array
            Without rows once `gen_f` has ended.
        """
        message = self.next_message()
        return np.zeros(0, dtype=self.gen_specs.get("out") or []) if message is None else message[0]

    def wait_for_message(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; return whether `next_message` would return at once."""
        if not self._pending and self.gen_result is None:
            self._start()
            try:
                message = self._next(timeout)
            except Timeout:
                return False
            if message is not None:
                self._pending.append(message)
        return True

    def next_message(self) -> tuple[Array, bool] | None:
        """Return the next array that `gen_f` sends and whether its state should be kept; None once it has ended.

        Raises
        ------
        RemoteException
            `gen_f` raised, or its process died.
        """
        if self._pending:
            return self._pending.pop(0)
        if self.gen_result is not None:
            return None
        self._start()
        return self._next(None)

    def _next(self, timeout: float | None) -> tuple[Array, bool] | None:
        """Receive one message; None when there will be no more, and `gen_result` is set."""
        try:
            _, message = self._running_gen_f.recv(timeout)
        except CommFinishedException:
            self.gen_result = self._collected_result()
            return None
        self._has_sent = True
        return message["calc_out"], bool((message.get("libE_info") or {}).get("keep_state"))

    def _collected_result(self) -> tuple[Any, Any, Any]:
        try:
            returned = self._running_gen_f.result(timeout=PATIENCE_AT_END)
        except Timeout:  # it has returned, but something that it started keeps its process alive
            self.terminate()
            returned = self._running_gen_f.result()
        parts = tuple(returned) if isinstance(returned, tuple | list) else (returned,)
        missing = (None, self.persis_info, FINISHED_PERSISTENT_GEN_TAG)[len(parts) :]
        history, persis_info, tag = (*parts, *missing)[:3]
        return history, persis_info, tag

    # What it gets

    def ingest_numpy(self, results: Array | None, tag: int = EVAL_GEN_TAG) -> None:
        """Hand results to `gen_f`, starting it if necessary.

        Parameters
        ----------
        results : structured array or None
            Must have ``sim_id``; of the other fields those in ``gen_specs["persis_in"]`` are handed on.
        tag : int, default EVAL_GEN_TAG
            PERSIS_STOP makes these results the last ones, and None means that there are none.
        """
        self._start()
        if tag in (STOP_TAG, PERSIS_STOP):
            self._is_stopped = True
            if results is None:
                self._running_gen_f.send(tag, None)
                return
        rows = self._rows_for_gen_f(results)
        info = {"H_rows": rows["sim_id"].copy(), "persistent": True, "executor": None}
        fields = list(rows.dtype.names or ())
        self._running_gen_f.send(tag, {"H_fields": fields, "persis_info": {}, "tag": tag, "libE_info": info})
        self._running_gen_f.send(UNSET_TAG, rows)

    def ingest(self, results: list[dict[str, Any]], tag: int = EVAL_GEN_TAG) -> None:
        """Hand evaluated points, as dicts keyed by VOCS names, to `gen_f`; see `ingest_numpy`."""
        self.ingest_numpy(list_dicts_to_np(results, mapping=self.variables_mapping), tag)

    def _rows_for_gen_f(self, results: Array | None) -> Array:
        length = 0 if results is None else len(results)
        columns = {} if results is None else {name: results[name] for name in results.dtype.names or ()}
        if "sim_id" not in columns:
            if length and self._has_sent:
                raise ValueError(
                    f"results for a persistent gen_f need 'sim_id' ('_id' in dicts), not just {list(columns)}"
                )
            columns["sim_id"] = np.arange(length)  # evaluated before the start: these are the first rows
        wanted = self.gen_specs.get("persis_in") or list(columns)
        columns = {name: column for name, column in columns.items() if name in wanted or name == "sim_id"}
        columns["sim_ended"] = np.ones(length, dtype=bool)
        return from_columns(columns, length)


def _call_gen_f(
    comm: Any, gen_f: Callable[..., Any], History: Any, persis_info: Any, gen_specs: Any, libE_info: dict[str, Any]
) -> Any:
    """Run in the background: call `gen_f` with as many arguments as it takes."""
    libE_info["comm"] = comm
    arguments = (History, persis_info, gen_specs, libE_info)
    parameters = inspect.signature(gen_f).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return gen_f(*arguments)
    return gen_f(*arguments[: len(parameters)])


def _without_comm(executor: Any) -> Any:
    """Return a copy of the executor that holds no comm, which would not survive the way to another process."""
    if getattr(executor, "comm", None) is None:
        return executor
    executor = copy.copy(executor)
    executor.comm = None
    return executor


def _end_process(process: Any) -> None:
    if process.running:
        with contextlib.suppress(Timeout):  # it was told, and the interpreter's end will tell it again
            process.terminate(timeout=1)
