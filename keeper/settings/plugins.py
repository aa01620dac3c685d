"""Fields whose shape a plug-in decides: ``kind`` names the plug-in, the rest is read by its model.

A union of all models would report an error once for each kind. Asking the registry by ``kind``
first gives the one error that the operator has made, at its own place.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from keeper import alerts, workloads

Models = Callable[[], Mapping[str, type[BaseModel]]]


def workload_models() -> Mapping[str, type[BaseModel]]:
    """Give the settings model of each workload kind."""
    return {kind: plugin.settings for kind, plugin in sorted(workloads.registered().items())}


def channel_models() -> Mapping[str, type[BaseModel]]:
    """Give the settings model of each channel kind."""
    kinds = alerts.registered_channels()
    return {kind: plugin.settings for kind, plugin in sorted(kinds.items())}


class OfKind:
    """Annotates a field that holds the settings of whichever plug-in its ``kind`` names."""

    def __init__(self, what: str, models: Models) -> None:
        self._what = what
        self.models = models

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Validate by asking the registry, each time: plug-ins may be registered later."""
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the field as one of the kinds that are known now."""
        choices = [handler(model.__pydantic_core_schema__) for model in self.models().values()]
        return {"oneOf": choices, "discriminator": {"propertyName": "kind"}}

    def _read(self, value: Any) -> BaseModel:
        models = self.models()
        if isinstance(value, tuple(models.values())):
            return cast("BaseModel", value)
        if not isinstance(value, Mapping):
            raise PydanticCustomError("dict_type", "expected a mapping with the key 'kind'")
        kind = value.get("kind")
        known = ", ".join(models)
        if kind is None:
            raise PydanticCustomError(
                "kind_missing", "the key 'kind' is missing; one of: {known}", {"known": known}
            )
        if kind not in models:
            close = difflib.get_close_matches(str(kind), models, n=1)
            hint = f" (did you mean '{close[0]}'?)" if close else ""
            raise PydanticCustomError(
                "kind_unknown",
                "no {what} is of kind '{kind}'{hint}; one of: {known}",
                {"what": self._what, "kind": str(kind), "hint": hint, "known": known},
            )
        # Errors of this inner validation keep their places below this field.
        return models[kind].model_validate(value)
