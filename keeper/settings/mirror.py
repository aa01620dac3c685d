"""Core dataclasses as sections of the configuration: a field there is a key here, bounds included.

The core owns names and defaults and may not know pydantic; so its values are mirrored instead of
being typed twice, and a new number of the policy is a setting the moment it exists.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from annotated_types import BaseMetadata, Ge, Gt, Le, Lt, MinLen
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidatorFunctionWrapHandler,
    create_model,
)
from pydantic_core import CoreSchema, core_schema
from typing_extensions import override

from keeper.core.model import FleetPolicy, Objective, OfferNeeds, Policy
from keeper.core.spare import Spares
from keeper.settings.durations import Duration, Number, Whole


class Section(BaseModel):
    """A mapping of the configuration: unknown keys are errors, values do not change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )


# Every number is at least 0; these need more. What has no meaning at 0, or above 1, is said here.
_BOUNDS: Mapping[type, Mapping[str, tuple[BaseMetadata, ...]]] = {
    OfferNeeds: {
        "reliability_min": (Le(1.0),),
        "gpu_count": (Ge(1),),
        "disk_gb": (Ge(1.0),),
        "price_max_dollars_per_hour": (Gt(0.0),),
        "bid_margin_ratio": (Ge(1.0),),
    },
    Policy: {
        "probe_interval_s": (Gt(0.0),),
        "probe_timeout_s": (Gt(0.0),),
        "failures_to_fail": (Ge(2),),  # nothing is done because of one look
        "successes_to_clear": (Ge(1),),
        "crash_loop_changes": (Ge(1),),
        "handover_good_probes": (Ge(1),),
        "deploy_attempts_max": (Ge(1),),
        "audition_retry_s": (Gt(0.0),),
        "no_offer_backoff_s": (MinLen(1),),
        "price_drift_max_ratio": (Ge(1.0),),
    },
    FleetPolicy: {
        "mass_failure_ratio": (Le(1.0),),
        "quarantine_s": (MinLen(1),),
        "quarantine_host_after": (Ge(1),),
        "list_interval_s": (Gt(0.0),),
        "list_interval_busy_s": (Gt(0.0),),
        "tick_interval_s": (Gt(0.0),),
        "account_interval_s": (Gt(0.0),),
        "spend_end_s": (Gt(0.0),),
        "spend_reserve_s": (Gt(0.0),),
    },
    Objective: {
        "ratio": (Lt(1.0),),
        "window_days": (Ge(1), Le(60)),  # so many days the ledger keeps
    },
    Spares: {
        "count": (Le(10),),
        "max_dollars_per_hour": (Gt(0.0),),
        "expire_after_s": (Ge(3600.0),),
        "start_within_s": (Ge(30.0), Le(900.0)),
    },
}


@cache
def mirrored(source: type) -> type[Section]:
    """Make the section of a core dataclass: same keys, same defaults."""
    hints = get_type_hints(source)
    bounds = _BOUNDS.get(source, {})
    keys: dict[str, Any] = {}
    for field in dataclasses.fields(source):
        annotation = _annotation(field.name, hints[field.name])
        extra = bounds.get(field.name, ())
        keys[field.name] = (Annotated[(annotation, *extra)] if extra else annotation, field.default)
    return create_model(
        f"{source.__name__}Section", __base__=Section, __doc__=source.__doc__, **keys
    )


def _annotation(name: str, hint: Any) -> Any:
    """Say how the file may write a core type."""
    if get_origin(hint) is tuple:
        return tuple.__class_getitem__((_annotation(name, get_args(hint)[0]), ...))
    if hint is float and name.endswith("_s"):
        return Duration
    if hint is float:
        return Annotated[Number, Field(ge=0.0)]
    if hint == float | None and name.endswith("_s"):
        return Annotated[Duration, Field(gt=0.0)] | None
    if hint == float | None:
        return Annotated[Number, Field(gt=0.0)] | None
    if hint is int:
        return Annotated[Whole, Field(ge=0)]
    if hint in (bool, str) or (isinstance(hint, type) and issubclass(hint, Enum)):
        return hint
    raise TypeError(f"{name}: the configuration cannot say {hint}")


class AsCore:
    """Annotates a field that holds a core dataclass, which the file writes as its mirror."""

    def __init__(self, source: type) -> None:
        self.section = mirrored(source)
        self._source = source

    def __get_pydantic_core_schema__(
        self, _source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Validate as the mirror, hand on the core value."""
        return core_schema.no_info_wrap_validator_function(
            self._read,
            handler(self.section),
            serialization=core_schema.plain_serializer_function_ser_schema(_plain),
        )

    def _read(self, value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        if isinstance(value, self._source):
            return value
        return self._source(**dict(validate(value)))


def _plain(value: Any) -> dict[str, Any]:
    """Dump a core value, or overrides, as a mapping."""
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else dict(value)  # type: ignore[arg-type] # a value, not a class


class AsOverrides(AsCore):
    """Annotates a mapping of only those keys of a core dataclass that the file has written."""

    @override
    def _read(self, value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        section = validate(value)
        return {name: getattr(section, name) for name in sorted(section.model_fields_set)}
