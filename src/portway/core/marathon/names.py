"""Marathon's names and portway's: paths <-> Apps, task ids <-> instance ids, host names, times. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from portway.core.instance import InstanceIdentity

TOP_STACK = "marathon"  # of apps without a group
_APP = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_STACK = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_HASH_LENGTH = 6
_SLUG_MAX = 50
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_INSTANCE = re.compile(rf"(?P<path>[^/]+)\.(?:instance-|marathon-)(?P<uuid>{_UUID})")
_TASK = re.compile(
    rf"(?P<instance>[^/]+\.(?:instance-|marathon-){_UUID})\.(?P<container>[^.]+)(?:\.(?P<nth>\d+))?"
)
_LEGACY_TASK = re.compile(rf"[^/]+\.{_UUID}(?:\.\d+)?")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{3})Z")
APP_CONTAINER = "_app"


def segments_of(path: str) -> tuple[str, ...]:
    """The parts of a path; empty ones do not count."""
    return tuple(part for part in path.split("/") if part)


def app_id_of(path: str) -> str:
    """The App of a path: "/web" is "marathon/web", "/shop/db/main" is "shop/db_main".

    A path that cannot be said so, or that another one is said as, gets a slug and six letters of its hash.
    """
    segments = segments_of(path)
    stack = segments[0] if len(segments) > 1 else TOP_STACK
    name = "_".join(segments[1:] or segments)
    is_sayable = _STACK.fullmatch(stack) and _APP.fullmatch(name)
    if is_sayable and not (len(segments) > 1 and stack == TOP_STACK):
        return f"{stack}/{name}"
    letters = hashlib.sha256("/".join(segments).encode()).hexdigest()[:_HASH_LENGTH]
    slug = re.sub(r"[^a-z0-9_-]+", "-", name).strip("-_")[:_SLUG_MAX].rstrip("-_")
    return f"{_stack_name(stack)}/{slug or 'app'}-{letters}"


def _stack_name(segment: str) -> str:
    if _STACK.fullmatch(segment):
        return segment
    letters = hashlib.sha256(segment.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{segment[:_SLUG_MAX].rstrip('-.')}-{letters}"


def path_of(app_id: str) -> str:
    """The path of an App that was not made over the Marathon face: every part of its id is one of the path."""
    stack, _, name = app_id.partition("/")
    parts = (name,) if stack == TOP_STACK else (stack, *name.split("_"))
    return "/" + "/".join(parts)


def host_name(path: str) -> str:
    """The path as a host name: "/product/frontend" is "frontend.product"."""
    return ".".join(reversed(segments_of(path)))


def safe_path(path: str) -> str:
    """The path as task ids begin: "/product/frontend" is "product_frontend"."""
    return "_".join(segments_of(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskName:
    """A task id taken apart. `container` is "_app" for an app; both it and `attempt` are empty for an instance's id."""

    instance: str
    container: str = ""
    attempt: int = 0


def run_of(identity: InstanceIdentity) -> str:
    """What tells an instance from all others, those of an App that had the name before included."""
    return f"{identity.id} {identity.revision}"


def instance_uuid(instance_id: str, *, home_id: str) -> str:
    """The UUID that an instance has for Marathon's clients: the same for ever, and another one in every home."""
    digest = bytearray(hashlib.sha256(f"{home_id}\n{instance_id}".encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50  # RFC 4122: version 5 ...
    digest[8] = digest[8] & 0x3F | 0x80  # ... of the usual variant
    text = digest.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def instance_name(path: str, instance_id: str, *, home_id: str) -> str:
    """An instance's id as Marathon writes it: "shop_web.instance-<uuid>"."""
    return f"{safe_path(path)}.instance-{instance_uuid(instance_id, home_id=home_id)}"


def task_name(
    path: str, instance_id: str, *, home_id: str, container: str = APP_CONTAINER, attempt: int = 1
) -> str:
    """A task's id: the instance's with "._app.<n>", or with the container's name for a pod's. An instance is started once."""
    return f"{instance_name(path, instance_id, home_id=home_id)}.{container}.{attempt}"


def executor_name(path: str, instance_id: str, *, home_id: str) -> str:
    """The id of the executor that a pod's containers share."""
    return f"instance-{safe_path(path)}.{instance_uuid(instance_id, home_id=home_id)}"


def parse_task_name(text: str) -> TaskName | None:
    """An instance's or a task's id taken apart; None where it is neither. One of before 1.5 names an instance nobody has."""
    if found := _INSTANCE.fullmatch(text):
        return TaskName(instance=found[0])
    if found := _TASK.fullmatch(text):
        attempt = int(found["nth"] or 0)
        return TaskName(instance=found["instance"], container=found["container"], attempt=attempt)
    return TaskName(instance=text) if _LEGACY_TASK.fullmatch(text) else None


def time_text(at_ms: int) -> str:
    """A time as Marathon writes it, always with three digits of milliseconds: 2015-02-03T12:30:00.000Z."""
    seconds, ms = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def parse_time(text: str) -> int | None:
    """Unix milliseconds of a time written so; None where it is none."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    try:
        moment = datetime.strptime(f"{found[1]}+0000", "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:  # the 30th of February
        return None
    return int(moment.timestamp()) * 1000 + int(found[2])
