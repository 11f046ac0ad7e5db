"""Logs: what a line of the server's log looks like. One event a line, its subject in fields, never a secret."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, MutableMapping
from contextlib import suppress
from typing import Any

import structlog

from portway.core.events import Event

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_FIRST = ("timestamp", "level", "event", "stack", "app", "instance", "deployment", "release")
_SECRET_NAME = re.compile(r"(?i)(^|_)(token|password|passwd|secret|key_pem|authorization)($|_)")
_SECRET_IN_TEXT = re.compile(r"(?i)(://[^/\s:@]*:)[^/\s@]+(@)|(bearer )[^\s\"']+")

Line = MutableMapping[str, Any]


def set_up_logs(*, level: str, form: str) -> None:
    """Lines go to standard error. `form`: json, text (key=value), or auto: for people on a terminal, else JSON."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            name_subject,
            hide_secrets,
            _renderer(form),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: _SteadyLogger(sys.stderr),
    )


def _renderer(form: str) -> Any:
    if form == "text":
        return structlog.processors.LogfmtRenderer(
            key_order=_FIRST, drop_missing=True, bool_as_flag=False
        )
    if form == "json" or not sys.stderr.isatty():
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer()


async def log_events(events: AsyncIterator[Event]) -> None:
    """Every event of the journal is a line too, with all that it is about."""
    async for event in events:
        log_event(event)


def log_event(event: Event) -> None:
    """One event as a line; what failed or is stuck is a warning."""
    log = structlog.get_logger()
    bad = event.kind.endswith((".failed", ".blocked")) or "failed" in event.data
    fields = {
        "stack": event.stack,
        "app": event.app_id,
        "instance": event.instance_id,
        "deployment": event.deployment,
        "release": event.release,
    }
    known = {name: value for name, value in fields.items() if value}
    (log.warning if bad else log.info)(event.kind, **known, message=event.message)


def name_subject(_logger: object, _method: str, line: Line) -> Line:
    """Say stack, app and instance wherever one of them can be told from the others."""
    kind, _, subject = str(line.get("action", "")).partition(" ")
    if kind == "instance":
        line.setdefault("instance", subject)
    elif kind == "routes":
        line.setdefault("app", subject)
    if instance := str(line.get("instance") or ""):
        line.setdefault("app", instance.rsplit(".", 2)[0])
    stack, slash, _ = str(line.get("app") or "").rpartition("/")
    if slash:
        line.setdefault("stack", stack)
    return line


def hide_secrets(_logger: object, _method: str, line: Line) -> Line:
    """Whatever is called a secret, and passwords and tokens inside texts, are written as ***."""
    for name, value in line.items():
        if _SECRET_NAME.search(name):
            line[name] = "***"
        elif isinstance(value, str):
            line[name] = _SECRET_IN_TEXT.sub(lambda m: f"{m[1] or m[3]}***{m[2] or ''}", value)
    return line


class _SteadyLogger(structlog.PrintLogger):
    """Writes lines and never fails: a log on a full disk must not stop what it reports on."""

    def msg(self, message: str) -> None:
        with suppress(OSError, ValueError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg
