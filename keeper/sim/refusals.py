"""How the marketplace says no, and when: statuses, slugs and texts as seen in the field. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

DISK_MIN_GB = 8.0
BID_MIN, BID_MAX = 0.001, 128.0  # dollars an hour
ARGS_MAX = 4096  # of args, args_str and onstart together
ENV_ITEM_MAX, ENV_ALL_MAX = 256, 32_768
# Documented words, and the official client's own spelling of the direct ones.
RUNTYPES = frozenset(
    {
        "ssh", "jupyter", "args", "ssh_proxy", "ssh_direct", "ssh_direc", "jupyter_proxy",
        "jupyter_direct", "jupyter_direc",
    }
)  # fmt: skip
# An unknown rental: most calls answer as the first; two are documented otherwise.
NO_INSTANCE = (404, "no_such_instance", "Instance {} not found.")
NO_REBOOT = (400, "invalid_args", "invalid instance_id")
NO_RECYCLE = (400, "invalid_id", "invalid instance_id")
GONE_TEXT = "error 404/3603: no_such_ask  Instance type by id {} is not available."


class Refusal(Exception):
    """The marketplace says no: an HTTP status (200 is possible) and a body."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {dict(body)}")
        self.status = status
        self.body = dict(body)


class ReplyLost(Exception):
    """It was done, and nobody will ever be told. ``note`` is the fault's word for the ledger."""

    def __init__(self, note: str) -> None:
        super().__init__(note)
        self.note = note


def race_lost(offer_id: int, luck: random.Random) -> Refusal:
    """Say that the offer is gone, in one of the forms seen in the field; mostly the first."""
    forms: Sequence[tuple[int, dict[str, Any]]] = (
        (400, {"error": "invalid_args", "msg": GONE_TEXT.format(offer_id)}),
        (400, {"error": "invalid_args", "msg": GONE_TEXT.format(offer_id)}),
        (410, {"error": "no_such_ask", "msg": f"No ask by id {offer_id}."}),
        (404, {"error": "no_such_ask", "msg": GONE_TEXT.format(offer_id)}),
        (409, {"error": "no_such_ask", "msg": "The ask was taken."}),
    )
    status, body = forms[luck.randrange(len(forms))]
    return Refusal(status, {"success": False, "ask_id": offer_id} | body)


def check_create(body: Mapping[str, Any], *, has_key: bool = True) -> None:
    """Refuse what the marketplace refuses. Lengths and bounds: Vast.ai docs, create instance.

    Unknown fields are let through, as the live service is not known to mind them.
    """
    problems = [*_texts(body), *_env(body.get("env"))]
    disk = body.get("disk")
    if disk is not None and not (_is_number(disk) and disk >= DISK_MIN_GB):
        problems.append(f"disk: a number of at least {DISK_MIN_GB:g} is required")
    words = str(body.get("runtype") or "ssh").split()
    if unknown := [word for word in words if word not in RUNTYPES]:
        problems.append(f"runtype: {unknown[0]} is none")
    if str(body.get("target_state")) not in {"None", "running", "stopped"}:
        problems.append("target_state: running or stopped")
    if not isinstance(body.get("volume_info") or {}, Mapping):
        problems.append("volume_info: an object is expected")
    price = body.get("price")
    if price is not None and not (_is_number(price) and BID_MIN <= price <= BID_MAX):
        raise Refusal(400, {"success": False, "error": "invalid_price", "msg": f"price: {price}"})
    if problems:
        text = "; ".join(problems)
        raise Refusal(400, {"success": False, "error": "invalid_args", "msg": text})
    if body.get("vm") and not has_key:
        text = "A VM needs an SSH key on the account."
        raise Refusal(400, {"success": False, "error": "no_ssh_key_for_vm", "msg": text})


def check_disk(body: Mapping[str, Any], free_gb: float) -> None:
    """Refuse a disk that the chunk has not."""
    if (body.get("disk") or 0) > free_gb:
        text = f"disk: {body['disk']} GB are asked for, {free_gb:g} are free"
        raise Refusal(400, {"success": False, "error": "invalid_args", "msg": text})


def _texts(body: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with the texts of a create."""
    problems = []
    if not body.get("image") and not body.get("template_hash_id"):
        problems.append("image: an image or a template is required")
    for name, most in (("image", 1024), ("label", 256)):
        value = body.get(name)
        if value is not None and not isinstance(value, str):
            problems.append(f"{name}: a text is expected")
        elif len(value or "") > most:
            problems.append(f"{name}: longer than {most}")
    args = body.get("args") or []
    args = args if isinstance(args, list) else [args]
    run = [str(one) for one in (*args, body.get("args_str") or "", body.get("onstart") or "")]
    if sum(len(one) for one in run) > ARGS_MAX:
        problems.append(f"error 400/3471: len(args) > {ARGS_MAX}")
    return problems


def _env(env: Any) -> list[str]:  # noqa: ANN401 - JSON
    """Say what is wrong with the variables; a text is taken, and has no effect."""
    if env is None or isinstance(env, str):
        items = [env or ""]
        most = ENV_ALL_MAX
    elif isinstance(env, Mapping):
        items = [f"{name}={value}" for name, value in env.items()]
        most = ENV_ITEM_MAX
    else:
        return ["env: an object is expected"]
    if sum(len(item) for item in items) > ENV_ALL_MAX:
        return [f"env: longer than {ENV_ALL_MAX} in all"]
    return [f"env: an item is longer than {most}"] if any(len(i) > most for i in items) else []


def _is_number(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, int | float) and not isinstance(value, bool)
