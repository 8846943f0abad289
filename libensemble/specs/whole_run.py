"""_EnsembleSpecs: all that is stated for one run, checked together.

It owns the rules between the specs, and the defaults that depend on more than one of them. The caller's spec objects
are never changed: where a default depends on another spec, the run gets a copy.
"""

import warnings
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from libensemble.history.fields import libE_fields
from libensemble.specs import checks, start_history, vocs
from libensemble.specs.base import Spec, nearest, translate_removed
from libensemble.specs.libe import LibeSpecs
from libensemble.specs.models import AllocSpecs, ExitCriteria, GenSpecs, SimSpecs

ALLOC_FOR_GENERATORS = "libensemble.alloc_funcs.start_only_persistent.only_persistent_gens"
PREGENERATED = "give_pregenerated_sim_work"
CALLER_OF_LIBE = 4  # frames from a validator of _EnsembleSpecs to the line that called libE()


class _EnsembleSpecs(BaseModel):
    """Everything stated for a run. Dicts become models; None becomes the default.

    After validation `H0` is a structured array, or None when there is no starting row.
    """

    model_config = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True, title="what was stated for this run"
    )

    H0: Any = None
    libE_specs: LibeSpecs = Field(default_factory=LibeSpecs)
    sim_specs: SimSpecs
    gen_specs: GenSpecs = Field(default_factory=GenSpecs)
    exit_criteria: ExitCriteria = Field(default_factory=ExitCriteria)
    persis_info: dict[Any, Any] = Field(default_factory=dict)
    alloc_specs: AllocSpecs = Field(default_factory=AllocSpecs)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        given = {name: value for name, value in given.items() if value is not None}
        given = {name: dict(value) if _is_other_mapping(value) else value for name, value in given.items()}
        if isinstance(given.get("libE_specs"), dict):
            given["libE_specs"] = translate_removed(LibeSpecs, given["libE_specs"], stacklevel=CALLER_OF_LIBE + 1)
        return given

    @model_validator(mode="after")
    def _settle(self) -> "_EnsembleSpecs":
        self._choose_for_generator()
        self._check_functions()
        self._check_workers()
        self.H0 = start_history.as_array(self.H0, self._declared())
        if self.H0 is not None:
            start_history.check_states(self.H0)
            start_history.check_shapes(self.H0, self._declared())
        self._check_stop_value()
        self._leave_out_unmade()
        self._check_inputs()
        if not self.exit_criteria.keys():
            warnings.warn(
                "No exit criterion is given: this run ends only if the generator ends it. "
                f"Exit criteria are {', '.join(ExitCriteria.model_fields)}.",
                stacklevel=CALLER_OF_LIBE,
            )
        return self

    def _choose_for_generator(self) -> None:
        """A generator object needs persistent allocation and wants the last results, unless the user says otherwise."""
        if self.gen_specs.generator is None:
            return
        if "alloc_f" not in self.alloc_specs.model_fields_set:
            self.alloc_specs = _changed(self.alloc_specs, alloc_f=checks.resolve(ALLOC_FOR_GENERATORS))
        if "final_gen_send" not in self.libE_specs.model_fields_set:
            self.libE_specs = _changed(self.libE_specs, final_gen_send=True)

    def _check_functions(self) -> None:
        if self.sim_specs.sim_f is None:
            raise ValueError("sim_specs needs a simulation function in 'sim_f' (or a 'simulator' with 'vocs')")
        alloc_f = self.alloc_specs.alloc_f
        if PREGENERATED in (getattr(alloc_f, "__name__", ""), getattr(getattr(alloc_f, "func", None), "__name__", "")):
            return
        generator = self.gen_specs.generator
        if generator is None and self.gen_specs.gen_f is None:
            raise ValueError(
                "gen_specs needs a generator function in 'gen_f' or a 'generator' object; "
                f"to evaluate the rows of H0 alone, use the allocation function {PREGENERATED}"
            )
        if generator is not None:
            self._check_generator(generator)

    def _check_generator(self, generator: Any) -> None:
        if isinstance(generator, type):
            raise ValueError(f"gen_specs 'generator' must be an object, not the class {generator.__name__}")
        if not any(callable(getattr(generator, name, None)) for name in ("suggest", "suggest_numpy")):
            raise ValueError(f"gen_specs 'generator' must have a method 'suggest'; {generator!r} has none")
        if not self.gen_specs.outputs:
            raise ValueError("gen_specs with a 'generator' needs 'vocs' or 'outputs', which name the fields it makes")

    def _check_workers(self) -> None:
        libE_specs = self.libE_specs
        if libE_specs.comms not in ("local", "threads"):
            return
        if libE_specs.nworkers < 1:
            raise ValueError(
                f"{libE_specs.comms} comms need at least one worker: set libE_specs 'nworkers' "
                f"(now {libE_specs.nworkers})"
            )
        absent = [worker for worker in libE_specs.gen_workers if worker > libE_specs.nworkers]
        if absent:
            raise ValueError(f"gen_workers names workers {absent}, but nworkers is {libE_specs.nworkers}")

    def _declared(self) -> dict[str, tuple[Any, ...]]:
        """Return all fields that the three specs declare, by name."""
        parts: tuple[Any, ...] = (self.alloc_specs, self.sim_specs, self.gen_specs)
        return {field[0]: field for part in parts for field in part.outputs}

    def _check_stop_value(self) -> None:
        if self.exit_criteria.stop_val is None:
            return
        name = self.exit_criteria.stop_val[0]
        known = [field[0] for field in self.sim_specs.outputs + self.gen_specs.outputs]
        if name not in known:
            raise ValueError(
                f"stop_val names the field {name!r}, which neither sim_specs nor gen_specs outputs have."
                f"{nearest(name, known)} Fields: {', '.join(known)}"
            )

    def _leave_out_unmade(self) -> None:
        """Of what a VOCS filled in, send only what there is.

        Constants that no generator makes are known to the simulator from the VOCS itself; a generator's `inputs` are
        there for a starting history, which need not have every field.
        """
        known = self._known()
        for part in ("sim_specs", "gen_specs"):
            spec = getattr(self, part)
            constants = vocs.names(spec.vocs, ("constants",))
            for option in spec._derived & {"inputs", "persis_in"}:
                may_lack = spec.inputs if (part, option) == ("gen_specs", "inputs") else constants
                kept = [name for name in getattr(spec, option) if name in known or name not in may_lack]
                if kept != getattr(spec, option):
                    setattr(self, part, spec := _changed(spec, **{option: kept}))

    def _known(self) -> list[str]:
        """Return the names of all fields that the history will have."""
        of_H0 = self.H0.dtype.names if self.H0 is not None else ()
        return list(dict.fromkeys([*self._declared(), *of_H0, *(name for name, _ in libE_fields)]))

    def _check_inputs(self) -> None:
        """A field that shall be sent to a user function exists."""
        known = self._known()
        for part, spec in (("sim_specs", self.sim_specs), ("gen_specs", self.gen_specs)):
            for option, names in (("in", spec.inputs), ("persis_in", spec.persis_in)):
                for name in names:
                    if name not in known:
                        raise ValueError(
                            f"{part} {option!r} names the field {name!r}, which neither the outputs of any specs "
                            f"nor H0 have.{nearest(name, known)} Available: {', '.join(known)}"
                        )


def _is_other_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and not isinstance(value, dict)


def _changed(spec: Any, **values: Any) -> Any:
    """Return a shallow copy of a spec with other values."""
    changed: Spec = spec.model_copy()
    for name, value in values.items():
        changed._put(name, value)
    return changed
