"""How a recipe chooses a plugin. Knows no plugin."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


class PluginChoice(BaseModel):
    """A plugin by name, with the values that the recipe gives to its parameters: `{name: l2, ...}` or just `l2`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        if not isinstance(value, str | dict | PluginChoice):
            raise PydanticCustomError("a_plugin", "a name, or a mapping with a name and parameters")
        return {"name": value} if isinstance(value, str) else value

    @property
    def parameters(self) -> dict[str, Any]:
        """The values for the plugin's parameters."""
        return dict(self.model_extra or {})
