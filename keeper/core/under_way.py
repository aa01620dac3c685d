"""What people are shown of a slot beside its record: a deploy under way, and what was kept to read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from keeper.core.model import InstanceId, SlotId


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployProgress:
    """How far a deploy, or a restart by deploying again, has come."""

    slot: SlotId
    instance_id: InstanceId
    began_at: datetime
    number: int  # of the step under way, from 1; 0: none has begun
    of: int
    step: str
    since: datetime  # when this step began
    line: str = ""  # the last one it has printed: without secrets, made plain, bounded
    log: str = ""  # its name in the archive; "": none could be opened


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFor:
    """The archive's latest files about a slot, by name; "" : none since keeper began."""

    deploy_log: str = ""  # of a deploy that failed
    post_mortem: str = ""
