"""Runs a generator object for the whole of its life in an ensemble.

    manager  <-- points ---  driver  <-- suggest ---  generator
             --- results -->         --- ingest --->

Owns how often and for how many points a generator is asked, and how its points become rows of the history and rows
become results: names are split and gathered by the generator's ``variables_mapping``, and constants of the VOCS that
a generator leaves out are filled in. Generators are told apart by what they offer, never by their class.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.errors import Timeout
from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport
from libensemble.utils.arrays import (
    NO_ID,
    from_columns,
    list_dicts_to_np,
    map_numpy_array,
    np_to_list_dicts,
    unmap_numpy_array,
)

Array = npt.NDArray[np.void]

STOPS = (STOP_TAG, PERSIS_STOP)
SHORTEST_WAIT = 0.0005  # s; between two looks at a background generator and at the manager
LONGEST_WAIT = 0.01


def drive(
    generator: Any, gen_specs: dict[str, Any], calc_in: Array | None, persis_info: Any, libE_info: dict[str, Any]
) -> tuple[None, Any, int]:
    """Suggest points and ingest their results until the manager says stop.

    Parameters
    ----------
    generator : object
        Offers ``suggest`` and ``ingest`` (dicts), or ``suggest_numpy`` and ``ingest_numpy`` (arrays), or in addition
        drives a ``gen_f`` in the background (`libensemble.generators.PersistentGenInterfacer`). Everything else is
        optional: ``variables_mapping``, ``suggest_updates``, ``finalize``, ``vocs``.
    gen_specs : dict
        ``out``, ``vocs``, ``initial_batch_size``, ``batch_size``.
    calc_in : structured array or None
        Rows of a starting history, to be ingested first.
    persis_info : dict
        Comes back untouched.
    libE_info : dict
        ``batch_size`` is how many points to ask for when `gen_specs` does not say.

    Returns
    -------
    (None, persis_info, FINISHED_PERSISTENT_GEN_TAG)
    """
    driver = _driver_for(generator, gen_specs, libE_info)
    if calc_in is not None and len(calc_in):
        driver.ingest(calc_in)
    driver.run()
    finalize = getattr(generator, "finalize", None)
    if finalize is not None:
        finalize()
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def _driver_for(generator: Any, gen_specs: dict[str, Any], libE_info: dict[str, Any]) -> "_Driver":
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    if hasattr(generator, "gen_f") and hasattr(generator, "setup"):
        return _BackgroundDriver(generator, gen_specs, support)
    if hasattr(generator, "suggest_numpy"):
        return _ArrayDriver(generator, gen_specs, support)
    if hasattr(generator, "suggest"):
        return _StandardDriver(generator, gen_specs, support)
    raise TypeError(f"a generator needs a method suggest(num_points), which {type(generator).__name__} does not have")


class _Driver:
    """What all drivers share: batch sizes, the names of the history, and the loop.

    Subclasses say how to `suggest` an array for the history and how to `ingest` rows of it.
    """

    def __init__(self, generator: Any, gen_specs: dict[str, Any], support: PersistentSupport) -> None:
        self.generator = generator
        self.support = support
        self.out = _declared_fields(generator, gen_specs)
        self.names = self.out.names or ()
        self.mapping: Mapping[str, Sequence[str]] = getattr(generator, "variables_mapping", None) or {}
        self.batch_size = int(gen_specs.get("batch_size") or 0)
        workers = support.libE_info.get("batch_size") or support.comm.get_num_workers() or 1
        self.first_size = int(gen_specs.get("initial_batch_size") or self.batch_size or workers)
        constants = _entries(gen_specs.get("vocs") or getattr(generator, "vocs", None), "constants")
        self.constants = {name: _value_of(constant) for name, constant in constants.items() if name in self.names}
        variables = _entries(gen_specs.get("vocs"), "variables")
        self.required = [name for name, kind in variables.items() if name in self.names and not _is_contextual(kind)]

    def suggest(self, num_points: int) -> Array:
        raise NotImplementedError

    def ingest(self, results: Array) -> None:
        raise NotImplementedError

    def run(self) -> None:
        """Ask, send, wait and tell, until told to stop."""
        size = self.first_size
        while True:
            points = self.suggest(size)
            self._send_updates()
            tag, _, results = self.support.send_recv(points)
            received = 0 if results is None else len(results)
            if results is not None and received:
                self.ingest(results)
            if tag in STOPS:
                self._send_updates()
                return
            size = self.batch_size or received or size

    def _send_updates(self) -> None:
        """Send changes to points made before; they carry `sim_id` and leave this worker's state as it is."""
        suggest_updates = getattr(self.generator, "suggest_updates", None)
        for update in (suggest_updates() if suggest_updates is not None else None) or ():
            if len(update):
                self.support.send(update, keep_state=True)

    def _as_rows(self, points: Array) -> Array:
        """Return points with the fields of the history: declared ones first, then what else the generator gave."""
        columns = self._split_columns(points)
        if not columns.keys() >= set(self.required) and len(points):
            if "sim_id" in columns:
                return from_columns(columns, len(points))  # changes to points made before
            self._refuse_gaps(columns)
        extra = [(name, column.dtype, column.shape[1:]) for name, column in columns.items() if name not in self.names]
        rows = np.zeros(len(points), dtype=[*((name, self.out[name]) for name in self.names), *extra])
        for name in rows.dtype.names or ():
            if name in columns:
                rows[name] = _fitted(name, columns[name], rows[name].shape)
            elif name in self.constants:
                rows[name] = self.constants[name]
            elif name == "_id":
                rows[name] = NO_ID
        return rows

    def _refuse_gaps(self, names: Iterable[str]) -> None:
        """A variable that a generator leaves out would reach the simulator as zero."""
        missing = [name for name in self.required if name not in names]
        if missing:
            raise ValueError(
                f"the points of {type(self.generator).__name__} lack {missing}, which the vocs has as variables; they "
                f"have {list(names)}"
            )

    def _split_columns(self, points: Array) -> dict[str, npt.NDArray[Any]]:
        """Return the columns by name; vectors whose parts are declared fields are split into these."""
        columns = _by_name(points)
        for field, names in self.mapping.items():
            if field in columns and any(name in self.names for name in names):
                parts = _by_name(unmap_numpy_array(points[[field]], {field: names}))
                if field not in self.names:
                    del columns[field]
                columns.update(parts)
        return columns


class _StandardDriver(_Driver):
    """Drives a generator that speaks dicts."""

    def suggest(self, num_points: int) -> Array:
        points = [{**self.constants, **point} for point in self.generator.suggest(num_points) or ()]
        if points:
            self._refuse_gaps(points[0])
        gathered = {field: names for field, names in self.mapping.items() if field in self.names and field not in names}
        return list_dicts_to_np(points, self.out, gathered)

    def ingest(self, results: Array) -> None:
        ingest = getattr(self.generator, "ingest", None)
        if ingest is not None:
            ingest(np_to_list_dicts(results, self.mapping, native=True))


class _ArrayDriver(_Driver):
    """Drives a generator that speaks structured arrays."""

    def suggest(self, num_points: int) -> Array:
        points = self.generator.suggest_numpy(num_points)
        return self._as_rows(np.zeros(0, dtype=self.out) if points is None else points)

    def ingest(self, results: Array) -> None:
        ingest = getattr(self.generator, "ingest_numpy", None)
        if ingest is not None:
            ingest(map_numpy_array(results, self.mapping))


class _BackgroundDriver(_ArrayDriver):
    """Drives a generator whose `gen_f` runs in the background and sends when it likes.

    Batch sizes do not apply: what `gen_f` sends is sent on, and what the manager sends is handed to `gen_f`.
    """

    def run(self) -> None:
        """Move messages both ways until the manager says stop or `gen_f` ends."""
        try:
            self._run()
        except BaseException:
            self.generator.terminate()
            raise

    def _run(self) -> None:
        wait = SHORTEST_WAIT
        listens_to_gen_f = True  # wait where the next message is expected, and look at the other side in between
        while True:
            has_points = self.generator.wait_for_message(wait if listens_to_gen_f else 0)
            if has_points:
                if not self._send_next():
                    return
                listens_to_gen_f = False
            has_results = self._wait_for_manager(0 if listens_to_gen_f or has_points else wait)
            if has_results:
                if self._ingest_next() in STOPS:
                    return
                listens_to_gen_f = True
            wait = SHORTEST_WAIT if has_points or has_results else min(2 * wait, LONGEST_WAIT)

    def _send_next(self) -> bool:
        """Send on one message of `gen_f`; return whether there was one (otherwise it has ended)."""
        message = self.generator.next_message()
        if message is None:
            return False
        points, keep_state = message
        if points is None:
            points = np.zeros(0, dtype=self.out)
        self.support.send(points if keep_state else self._as_rows(points), keep_state=keep_state)
        self._send_updates()
        return True

    def _wait_for_manager(self, timeout: float) -> bool:
        comm = self.support.comm
        if timeout == 0 or comm.mail_flag():
            return bool(comm.mail_flag())
        try:
            tag, payload = comm.recv(timeout)
        except Timeout:
            return False
        comm.push_to_buffer(tag, payload)
        return True

    def _ingest_next(self) -> int | None:
        tag, _, results = self.support.recv()
        if tag in STOPS:
            last = self._numbered(results) if results is not None and len(results) else None
            self.generator.ingest_numpy(map_numpy_array(last, self.mapping), PERSIS_STOP)
        elif results is not None:  # rows or none: gen_f waits for an answer
            self.ingest(self._numbered(results))
        return tag

    def _numbered(self, results: Array) -> Array:
        """Return results with the ids by which `gen_f` knows its points: their row numbers where they have no other."""
        columns = _by_name(results)
        if "sim_id" not in columns and "_id" not in columns:
            columns["sim_id"] = np.asarray(self.support.libE_info["H_rows"], dtype=int)
        return from_columns(columns, len(results))


def _declared_fields(generator: Any, gen_specs: dict[str, Any]) -> np.dtype[Any]:
    own_specs = getattr(generator, "gen_specs", None)
    out = gen_specs.get("out") or (own_specs.get("out") if isinstance(own_specs, dict) else None)
    if not out:
        raise ValueError(
            f"which fields does {type(generator).__name__} generate? Give GenSpecs a vocs, or outputs such as "
            "[('x', float)] for each name in its points"
        )
    return np.dtype(list(out))


def _fitted(name: str, column: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Give a column the shape of its field: a vector of length one and a scalar are the same to users."""
    if column.size != int(np.prod(shape)):
        raise ValueError(
            f"the generator gives {name!r} the shape {column.shape[1:]} per point; the field has shape {shape[1:]}"
        )
    return column.reshape(shape)


def _entries(vocs: Any, kind: str) -> Mapping[str, Any]:
    entries = vocs.get(kind) if isinstance(vocs, dict) else getattr(vocs, kind, None)
    return entries if isinstance(entries, Mapping) else {}


def _is_contextual(variable: Any) -> bool:
    """Return whether a variable's value is not the generator's to choose."""
    kind = variable.get("type") if isinstance(variable, dict) else type(variable).__name__
    return kind == "ContextualVariable"


def _value_of(constant: Any) -> Any:
    return constant.get("value") if isinstance(constant, dict) else getattr(constant, "value", constant)


def _by_name(array: Array) -> dict[str, npt.NDArray[Any]]:
    return {name: array[name] for name in array.dtype.names or ()}
