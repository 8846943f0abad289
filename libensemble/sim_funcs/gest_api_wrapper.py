"""Calls a simulator that takes one point as a dict, for every row of an order."""

import inspect

import numpy as np

__all__ = ["gest_api_sim"]

_INPUT_KINDS = ("variables", "constants")
_OUTPUT_KINDS = ("objectives", "observables", "constraints")


def gest_api_sim(H, persis_info, sim_specs, libE_info):
    """Evaluate ``sim_specs["simulator"]`` at every row.

    The simulator is called as ``simulator(point, **user)``, and gets ``libE_info`` as a keyword argument if it takes
    one of that name. `point` maps the names of the VOCS' variables and constants to values; a constant that the
    history does not hold has its declared value.

    Parameters
    ----------
    sim_specs : dict
        ``simulator``, ``vocs`` (a VOCS or its dict form), ``out``, and ``user`` with further keyword arguments.

    Returns
    -------
    H_o : structured array
        What the returned dicts hold of objectives, observables and constraints. What is missing in them is NaN in
        float fields and zero in others; other keys are ignored.
    persis_info : dict
    """
    simulator, vocs = sim_specs["simulator"], sim_specs.get("vocs")
    if vocs is None:
        raise ValueError("a simulator that takes dicts needs sim_specs['vocs'], which names its inputs and outputs")
    extra = dict(sim_specs.get("user") or {})
    if _takes_libE_info(simulator):
        extra["libE_info"] = libE_info
    constants = {name: _constant_value(constant) for name, constant in _entries(vocs, "constants").items()}
    fields = [name for kind in _INPUT_KINDS for name in _entries(vocs, kind) if name in H.dtype.names]
    H_o = _nothing_known(len(H), sim_specs["out"])
    outputs = [name for kind in _OUTPUT_KINDS for name in _entries(vocs, kind) if name in H_o.dtype.names]
    for row in range(len(H)):
        point = {**constants, **{name: H[name][row] for name in fields}}
        results = simulator(point, **extra)
        if not isinstance(results, dict):
            raise TypeError(
                f"the simulator must return a dict of its outputs, not {type(results).__name__}: {results!r}"
            )
        for name in outputs:
            if name in results:
                H_o[name][row] = results[name]
    return H_o, persis_info


def _takes_libE_info(simulator):
    try:
        parameters = inspect.signature(simulator).parameters.values()
    except (TypeError, ValueError):  # some built-in callables have no signature
        return False
    return any(
        parameter.kind is parameter.VAR_KEYWORD
        or (parameter.name == "libE_info" and parameter.kind is not parameter.POSITIONAL_ONLY)
        for parameter in parameters
    )


def _nothing_known(length, out):
    H_o = np.zeros(length, dtype=out)
    for name in H_o.dtype.names:
        if np.issubdtype(H_o.dtype[name].base, np.inexact):
            H_o[name] = np.nan
    return H_o


def _entries(vocs, kind):
    entries = vocs.get(kind) if isinstance(vocs, dict) else getattr(vocs, kind, None)
    return entries or {}


def _constant_value(constant):
    return constant["value"] if isinstance(constant, dict) else getattr(constant, "value", constant)
