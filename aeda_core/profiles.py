"""Typed parameters, the same for papermill, Python and the command line. What is not known is refused."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import NoneType
from typing import Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from aeda_core.errors import Problem


class ParameterError(Problem):
    """A parameter that is unknown, or has a value that it cannot have."""


class Checked(BaseModel):
    """Typed values with ranges; a name that is not known or a value that does not fit is refused in one sentence."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    what: ClassVar[str] = "parameter"
    """What the sentence calls one of them."""

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("should be a number or a text, not a truth value")
        return value

    @classmethod
    def checked(cls, **given: Any) -> Self:
        """These values, and the defaults of the rest; strings such as "1e-3" are read as what the field is.

        Raises ParameterError, one sentence, for an unknown name or a value that does not fit.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            raise ParameterError(cls._sentence(error)) from None

    @classmethod
    def _sentence(cls, error: ValidationError) -> str:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, cls.model_fields, n=1)
            known = f"known are {', '.join(cls.model_fields)}." if cls.model_fields else "there are none."
            hint = f"did you mean '{near[0]}'?" if near else known
            return f"there is no {cls.what} '{name}'; {hint}"
        reason = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
        return f"{cls.what} {name} is {first['input']!r}: it {reason[0].lower() + reason[1:]}."


class Parameters(Checked):
    """What every chapter can be told. A field's default is the `paper` profile's value.

    profile: smoke     seconds a chapter, for tests; its results mean nothing
             laptop    the whole book live in 12 minutes on 2 CPU cores
             paper     the full protocol
             recorded  trains nothing and shows the committed records of `paper`
    """

    changes: ClassVar[Mapping[str, Mapping[str, Any]]] = {"smoke": {}, "laptop": {}}

    profile: Literal["smoke", "laptop", "paper", "recorded"] = Field(
        "recorded", description="recorded shows kept runs; smoke, laptop and paper train"
    )
    data_root: str = Field("", description="where the data is; empty: the ladder of data/README.md")
    seeds: int = Field(5, ge=1, le=100, description="runs of each method, with seeds 0, 1, …")

    @property
    def live(self) -> bool:
        """Whether runs that are missing are to be trained."""
        return self.profile != "recorded"

    @classmethod
    def load(cls, profile: str = "recorded", **overrides: Any) -> Self:
        """The parameters of `profile` with `overrides`; strings such as "1e-3" are read as what the field is.

        Raises ParameterError, one sentence, for an unknown name or a value that does not fit.
        """
        return cls.checked(**{"profile": profile, **cls.changes.get(profile, {}), **overrides})

    @classmethod
    def cell(cls) -> str:
        """The source of a chapter's parameters cell: every parameter, typed and explained, for `papermill
        --help-notebook` to tell. None stands for the profile's own value."""
        lines = ["# None: the profile's own value"]
        for name, field in cls.model_fields.items():
            value = {"profile": '"recorded"', "data_root": '""'}.get(name)
            lines.append(f"{name}: {_type(field)} = {value}  # {field.description}")
        return "\n".join(lines)

    @classmethod
    def from_notebook(cls, namespace: Mapping[str, Any]) -> Self:
        """The parameters of a chapter, from its `globals()` right after the parameters cell.

        papermill only logs a misspelt parameter; here every plain value in the namespace counts as one, so that it is
        refused. None is the profile's own value.
        """
        plain = (str, int, float, bool, list, tuple)
        given: dict[str, Any] = {k: v for k, v in namespace.items() if not k.startswith("_") and isinstance(v, plain)}
        for name in ("In", "exit", "quit"):  # IPython's own
            given.pop(name, None)
        return cls.load(**given)


def _type(field: FieldInfo) -> str:
    """The type of a parameter as papermill reads it from a cell: a plain name."""
    if get_origin(field.annotation) is Literal:
        return "str"
    kinds = [kind for kind in (get_args(field.annotation) or (field.annotation,)) if kind is not NoneType]
    return "tuple" if get_origin(field.annotation) is tuple else kinds[0].__name__
