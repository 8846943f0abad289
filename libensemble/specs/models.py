"""SimSpecs, GenSpecs, AllocSpecs and ExitCriteria: the user functions, their fields, and when to stop."""

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from libensemble.specs import checks, vocs
from libensemble.specs.base import Spec
from libensemble.specs.decorators import declared

OutputFields = Annotated[list[tuple[Any, ...]], AfterValidator(checks.output_fields)]
UserFunction = Annotated[Any, BeforeValidator(checks.user_function)]
VocsObject = Annotated[Any, BeforeValidator(vocs.as_vocs)]
OnError = Annotated[str, AfterValidator(checks.on_error)]

GEST_API_SIM = "libensemble.sim_funcs.gest_api_wrapper.gest_api_sim"
DEFAULT_ALLOC = "libensemble.alloc_funcs.give_sim_work_first.give_sim_work_first"


class _FunctionSpec(Spec):
    """What simulators and generators have in common: fields that may be filled in from elsewhere."""

    hint: ClassVar[str] = "Settings for your own function go in 'user'."
    sources: ClassVar[frozenset[str]] = frozenset()  # when one of these is assigned, what was filled in is found anew

    def _about_to_assign(self, name: str) -> None:
        super()._about_to_assign(name)
        if name in self.sources:
            for filled in self._derived:
                self.__dict__[filled] = self._default(filled)
            self._derived = frozenset()

    def _fill(self, name: str, value: Any) -> None:
        """Fill in a field that was left empty."""
        if value and not getattr(self, name):
            self._put(name, value)
            self._derived |= {name}

    def _fill_from_function(self, function: Any) -> None:
        self._fill("inputs", declared(function, "inputs"))
        self._fill("persis_in", declared(function, "persis_in"))
        self._fill("outputs", checks.output_fields([tuple(field) for field in declared(function, "outputs")]))


class SimSpecs(_FunctionSpec):
    """The simulator: what evaluates the points of an ensemble.

    Keys may be spelled as here or, for `inputs` and `outputs`, as ``in`` and ``out``.
    """

    sources: ClassVar[frozenset[str]] = frozenset({"sim_f", "simulator", "vocs"})

    sim_f: UserFunction = None
    """Simulation function ``sim_f(H, persis_info, sim_specs, libE_info)`` or a shorter form, or its dotted name."""

    simulator: UserFunction = None
    """A callable that takes one point as a dict and returns a dict of results; needs `vocs`."""

    inputs: list[str] = Field(default_factory=list, alias="in")
    """History fields sent with every simulation. Filled in from `vocs`: variables, constants."""

    persis_in: list[str] = Field(default_factory=list)
    """History fields sent to a persistent simulator after its start."""

    outputs: OutputFields = Field(default_factory=list, alias="out")
    """Fields that the simulator returns, ``(name, dtype[, shape])``. Filled in from `vocs`: objectives,
    observables, constraints."""

    globus_compute_endpoint: str = ""
    """A Globus Compute endpoint on which the function shall run."""

    threaded: bool = False
    """Run the function in a thread of its worker."""

    on_error: OnError = "abort"
    """What an exception in a simulation does: ``"abort"`` ends the run. With ``"record"`` the run goes on: the rows
    are ended with NaN in all float fields of `outputs` (zero or empty in others), the traceback is logged, and the
    status is ``Exception occurred``. An exit, a persistent simulator, or a worker that dies ends the run all the
    same."""

    max_retries: int = Field(default=0, ge=0)
    """How often a simulation that raises is tried again, on the same worker and in the same directory, before
    `on_error` applies."""

    user: dict[Any, Any] = Field(default_factory=dict)
    """Anything that the function wants to know. The dict is copied, its values are not."""

    vocs: VocsObject = None
    """Variables, objectives, constraints, constants and observables, from which empty fields are filled in."""

    @model_validator(mode="after")
    def _fill_in(self) -> "SimSpecs":
        if self.simulator is not None and self.sim_f is None:
            if self.vocs is None:
                raise ValueError("a simulator needs 'vocs', which names the fields it takes and returns")
            self._fill("sim_f", checks.resolve(GEST_API_SIM))
        if self.vocs is not None:
            self._fill("inputs", vocs.names(self.vocs, vocs.INPUT_KINDS))
            self._fill("outputs", checks.output_fields(vocs.fields(self.vocs, vocs.OUTPUT_KINDS)))
        self._fill_from_function(self.sim_f)
        return self


class GenSpecs(_FunctionSpec):
    """The generator: what proposes the points of an ensemble, as a function or as an object."""

    sources: ClassVar[frozenset[str]] = frozenset({"gen_f", "generator", "vocs"})

    gen_f: UserFunction = None
    """Generator function ``gen_f(H, persis_info, gen_specs, libE_info)`` or a shorter form, or its dotted name."""

    generator: Any = None
    """A generator object with `suggest` and `ingest`. It is never copied or converted."""

    inputs: list[str] = Field(default_factory=list, alias="in")
    """History fields sent when the generator starts; for one that is not persistent, at every call. Filled in from
    `vocs` for a generator object, so that it can ingest a starting history."""

    persis_in: list[str] = Field(default_factory=list)
    """History fields sent back to a persistent generator. Filled in from `vocs`: all its names."""

    outputs: OutputFields = Field(default_factory=list, alias="out")
    """Fields that the generator returns, ``(name, dtype[, shape])``. Filled in from `vocs`: variables, constants."""

    globus_compute_endpoint: str = ""
    """A Globus Compute endpoint on which the function shall run."""

    initial_batch_size: int = Field(default=0, ge=0)
    """Points asked of a generator object first; 0: `batch_size`, or as many as there are idle workers."""

    batch_size: int = Field(default=0, ge=0)
    """Points asked of a generator object from then on; 0: as many as were last handed back."""

    threaded: bool = False
    """Run the function in a thread of its worker."""

    user: dict[Any, Any] = Field(default_factory=dict)
    """Anything that the function wants to know. The dict is copied, its values are not."""

    vocs: VocsObject = None
    """Variables, objectives, constraints, constants and observables, from which empty fields are filled in."""

    @model_validator(mode="after")
    def _fill_in(self) -> "GenSpecs":
        if self.vocs is not None:
            everything = vocs.names(self.vocs, vocs.INPUT_KINDS + vocs.OUTPUT_KINDS)
            self._fill("persis_in", everything)
            self._fill("inputs", list(everything) if self.generator is not None else [])
            self._fill("outputs", checks.output_fields(vocs.fields(self.vocs, vocs.INPUT_KINDS)))
        self._fill_from_function(self.gen_f)
        if self.generator is not None:
            self._fill("outputs", self._generators_own_outputs())
            self._carry_ids()
        return self

    def _generators_own_outputs(self) -> list[tuple[Any, ...]]:
        own = getattr(self.generator, "gen_specs", None)
        fields = own.get("out") if isinstance(own, dict) else None
        return checks.output_fields([tuple(field) for field in fields or []])

    def _carry_ids(self) -> None:
        """A generator that gives its points ids wants them back."""
        if not getattr(self.generator, "returns_id", False):
            return
        if self.outputs and "_id" not in [field[0] for field in self.outputs]:
            self._put("outputs", [*self.outputs, ("_id", int)])
        if (self.persis_in or self.vocs is not None) and "_id" not in self.persis_in:
            self._put("persis_in", [*self.persis_in, "_id"])


class AllocSpecs(Spec):
    """The allocation function: what decides which worker gets which work."""

    hint: ClassVar[str] = "Settings for the allocation function go in 'user'."

    alloc_f: UserFunction = Field(default=DEFAULT_ALLOC, validate_default=True)
    """Allocation function or its dotted name. Where a generator object is set and this is not stated, the run uses
    `only_persistent_gens`."""

    user: dict[Any, Any] = Field(default_factory=lambda: {"num_active_gens": 1})
    """Anything that the function wants to know. The dict is copied, its values are not."""

    outputs: OutputFields = Field(default_factory=list, alias="out")
    """History fields of the allocation function's own, ``(name, dtype[, shape])``."""


class ExitCriteria(Spec):
    """When to stop: at the first criterion that holds. None means: no such criterion."""

    hint: ClassVar[str] = "There are sim_max, gen_max, wallclock_max and stop_val."

    sim_max: int | None = None
    """Simulations that have ended in this run."""

    gen_max: int | None = None
    """Points that were generated in this run."""

    wallclock_max: float | None = None
    """Seconds since the start."""

    stop_val: tuple[str, float] | None = None
    """A field and a value: stop when the field of any evaluated point is at most the value."""
