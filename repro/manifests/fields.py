"""What every kind of manifest is made of: strict, frozen models and short texts."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Model(BaseModel):
    """Nothing but its fields, each of exactly its type, never changed."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


Text = Annotated[str, Field(min_length=1)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


def _no_truth(value: Any) -> Any:
    """Not true, which equals 1 to Python.

    Raises:
        ValueError: If it is true or false.
    """
    if isinstance(value, bool):
        raise ValueError("Input should be 1")
    return value


Version = Annotated[Literal[1], BeforeValidator(_no_truth)]
