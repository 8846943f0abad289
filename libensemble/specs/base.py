"""Spec: what all models of this folder share.

It owns the reading of keys (both spellings, None, unknown and removed names), assignment that either holds or leaves
the object as it was, and access by key as if the model were a dict.
"""

import copy
import difflib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NoReturn

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

# Options that no longer exist, and what took their place.
REMOVED = {
    "final_fields": "final_gen_send=True (with the fields in gen_specs persis_in)",
    "function": "sim_f, gen_f or alloc_f",
    "persistent_inputs": "persis_in",
}


def nearest(name: object, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name closest to `name`, or nothing.

    Neither case nor the order of words counts: ``max_sim`` is close to ``sim_max``.
    """
    given = str(name).lower()
    words = {word.lower(): word for word in known}
    reordered = {_sorted_words(word): word for word in words}
    close = difflib.get_close_matches(given, words, n=1) or [
        reordered[match] for match in difflib.get_close_matches(_sorted_words(given), reordered, n=1)
    ]
    return f" Did you mean {words[close[0]]!r}?" if close else ""


def _sorted_words(name: str) -> str:
    return "_".join(sorted(name.split("_")))


class Spec(BaseModel):
    """Base of the spec models: a checked record that can also be used like a dict.

    Keys are field names or their aliases (``spec["in"]`` is ``spec.inputs``). A field whose value is None counts as
    absent: it is not in ``spec.keys()``, and ``"field" in spec`` is False.
    """

    model_config = ConfigDict(
        extra="forbid", validate_assignment=True, populate_by_name=True, arbitrary_types_allowed=True
    )

    needs_value: ClassVar[frozenset[str]] = frozenset()  # fields for which None is an error, not "not said"
    hint: ClassVar[str] = ""  # added to the message about an unknown key that resembles nothing
    _derived: frozenset[str] = PrivateAttr(default=frozenset())  # fields that were filled in, not stated

    def __init__(self, **given: Any) -> None:
        super().__init__(**self._read(given))

    # ---- keys

    @classmethod
    def _names(cls) -> dict[str, str]:
        """Map every accepted key to its field's name."""
        names = {name: name for name in cls.model_fields}
        names.update({field.alias: name for name, field in cls.model_fields.items() if field.alias})
        return names

    @classmethod
    def _key(cls, name: str) -> str:
        return cls.model_fields[name].alias or name

    @classmethod
    def _read(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return `given` by field names, without the Nones that mean "not said"."""
        names = cls._names()
        cls._refuse({key: value for key, value in given.items() if key not in names})
        read: dict[str, Any] = {}
        for key, value in given.items():
            name = names[key]
            if name in read:
                cls._fail(key, value, f"{cls._key(name)!r} and {name!r} are one option: give only one of them.")
            read[name] = value
        return {name: value for name, value in read.items() if value is not None or cls._takes_none(name)}

    @classmethod
    def _takes_none(cls, name: str) -> bool:
        return name in cls.needs_value or cls._default(name) is None

    @classmethod
    def _default(cls, name: str) -> Any:
        return copy.copy(cls.model_fields[name].get_default(call_default_factory=True))

    @classmethod
    def _refuse(cls, unknown: Mapping[str, Any]) -> None:
        if unknown:
            cls._raise([(key, value, cls._about_unknown(key)) for key, value in unknown.items()])

    @classmethod
    def _about_unknown(cls, key: str) -> str:
        if key in REMOVED:
            return f"{key!r} was removed; use {REMOVED[key]}."
        suggestion = nearest(key, cls._names()) or (f" {cls.hint}" if cls.hint else "")
        return f"{key!r} is not an option of {cls.__name__}.{suggestion}"

    @classmethod
    def _fail(cls, key: str, value: Any, message: str) -> NoReturn:
        cls._raise([(key, value, message)])

    @classmethod
    def _raise(cls, problems: list[tuple[str, Any, str]]) -> NoReturn:
        raise ValidationError.from_exception_data(
            cls.__name__,
            [
                InitErrorDetails(
                    type=PydanticCustomError("unknown_option", "{message}", {"message": message}),
                    loc=(key,),
                    input=value,
                )
                for key, value, message in problems
            ],
        )

    # ---- assignment

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
            return
        if name not in type(self).model_fields:
            self._refuse_attribute(name, value)
        if value is None and not self._takes_none(name):
            value = self._default(name)
        state = dict(self.__dict__), set(self.__pydantic_fields_set__), self._derived
        try:
            self._about_to_assign(name)
            super().__setattr__(name, value)
        except Exception:
            self._restore(*state)
            raise

    def _refuse_attribute(self, name: str, value: Any) -> NoReturn:
        spelled = self._names().get(name)
        message = f"as an attribute, {name!r} is spelled {spelled!r}." if spelled else self._about_unknown(name)
        self._fail(name, value, message)

    def _about_to_assign(self, name: str) -> None:
        """Prepare for the assignment of one field: it is stated from now on."""
        self._derived -= {name}

    def _restore(self, values: dict[str, Any], stated: set[str], derived: frozenset[str]) -> None:
        object.__setattr__(self, "__dict__", values)
        object.__setattr__(self, "__pydantic_fields_set__", stated)
        self._derived = derived

    def _put(self, name: str, value: Any) -> None:
        """Set a checked value from inside a validator, where a plain assignment would validate for ever."""
        self.__dict__[name] = value
        self.__pydantic_fields_set__.add(name)

    def stated(self) -> dict[str, Any]:
        """Return by field name what was given, or put into a list or dict since; not what was filled in."""
        return {name: getattr(self, name) for name in type(self).model_fields if self._is_stated(name)}

    def _is_stated(self, name: str) -> bool:
        if name in self._derived:
            return False
        value = self.__dict__[name]
        return name in self.model_fields_set or (isinstance(value, dict | list) and value != self._default(name))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    # ---- as a dict

    def _field(self, key: str) -> str:
        try:
            return self._names()[key]
        except KeyError:
            raise KeyError(self._about_unknown(key)) from None

    def __getitem__(self, key: str) -> Any:
        return getattr(self, self._field(key))

    def __setitem__(self, key: str, value: Any) -> None:
        for name, translated in self._read(translate_removed(type(self), {key: value})).items():
            setattr(self, name, translated)

    def __contains__(self, key: object) -> bool:
        name = self._names().get(key) if isinstance(key, str) else None
        return name is not None and getattr(self, name) is not None

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        return iter(self.keys())

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or `default` when it is None or not an option."""
        value = getattr(self, self._names().get(key, ""), None)
        return default if value is None else value

    def keys(self) -> list[str]:
        """Return the keys of all fields that hold something, spelled as user functions see them."""
        return [self._key(name) for name in type(self).model_fields if getattr(self, name) is not None]

    def values(self) -> list[Any]:
        """Return the values that belong to `keys()`."""
        return [self[key] for key in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        """Return pairs of key and value for all fields that hold something."""
        return [(key, self[key]) for key in self.keys()]

    def update(self, *others: Any, **given: Any) -> None:
        """Set several fields at once; all of them or, after an error, none."""
        changes = self._read(translate_removed(type(self), dict(*others, **given)))
        fresh = type(self)(**{**self.stated(), **changes})
        self._restore(fresh.__dict__, fresh.__pydantic_fields_set__, fresh._derived)


def translate_removed(model: type[Spec], given: Mapping[str, Any], stacklevel: int = 3) -> dict[str, Any]:
    """Return a dict of options in which ``final_fields`` has become ``final_gen_send``, with a DeprecationWarning.

    Applied to options stated as dicts, as older scripts do; keyword arguments of a model are refused instead.
    """
    given = dict(given)
    if "final_fields" in given and "final_gen_send" in model.model_fields:
        warnings.warn(
            "'final_fields' is deprecated: set final_gen_send=True and name the fields in gen_specs persis_in.",
            DeprecationWarning,
            stacklevel=stacklevel,
        )
        fields = given.pop("final_fields")
        given.setdefault("final_gen_send", bool(fields))
    return given
