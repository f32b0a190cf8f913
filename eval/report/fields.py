"""The kinds of field that results are made of: counts, rates, numbers that may be undefined; nothing unknown passes."""

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _undefined(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Name = Annotated[str, Field(min_length=1)]
Rate = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Number = Annotated[float | None, BeforeValidator(_undefined)]
"""A number; undefined (NaN) is null."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
