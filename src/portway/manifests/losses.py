"""What is lost when Apps are written in another language: they are read back from it and compared, so nothing is lost in silence. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from typing import Any

from portway.core.app import App
from portway.core.log_streams import LOG_LABEL
from portway.manifests.ecs_values import MIB
from portway.manifests.tree import shown

_SECRET = ("environment",)
_NOTHING, _NAMELESS = "nothing", "another"
_OUR_LABELS = ("portway.", "convox.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One thing of an App that its new text does not say. `path`: the field of the App."""

    app: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.app}: {self.path}: {self.message}"


def losses(
    before: Sequence[App], after: Sequence[App], *, reasons: Mapping[str, str]
) -> tuple[Loss, ...]:
    """What differs between Apps and what was read back. `reasons`: why, by the beginning of a path."""
    found = {app.name: app for app in after}
    told: list[Loss] = []
    for app in before:
        other = found.get(app.name)
        if other is None:
            told.append(Loss(app=app.name, path="name", message="is another one there"))
            continue
        pairs = _differences(comparable(app), comparable(other), "")
        told.extend(_loss(app.name, path, old, new, reasons) for path, old, new in pairs)
    return tuple(told)


def comparable(app: App) -> App:
    """The App less what means the same however it is written."""
    labels = {k: v for k, v in app.labels.items() if not is_setting(k)}
    return replace(
        app,
        command_text=None,
        container_name="",
        count=1 if app.count is None else app.count,
        labels=labels,
        environment=dict(app.environment),
        ports=tuple(sorted(app.ports, key=lambda spec: (spec.container, spec.name))),
    )


def is_setting(label: str) -> bool:
    """Whether a label sets something of the App, so that it is told as that and not as a label."""
    return label.startswith(_OUR_LABELS) and not label.startswith(LOG_LABEL)


def _loss(app: str, path: str, old: object, new: object, reasons: Mapping[str, str]) -> Loss:
    told = f"{_at(path, old)} becomes {_at(path, new)}"
    if path.startswith(_SECRET):
        told = "is another one there"
    elif told == f"{_NAMELESS} becomes {_NOTHING}" or (old is True and new is False):
        told = "is left out"
    elif old is False and new is True:
        told = "is not left out there"
    why = next((reasons[key] for key in _prefixes(path) if key in reasons), "")
    return Loss(app=app, path=path, message=f"{told}: {why}" if why else told)


def _prefixes(path: str) -> Iterator[str]:
    """The path without numbers, then less and less of it."""
    plain = ".".join(part.partition("[")[0] for part in path.split("."))
    while plain:
        yield plain
        plain = plain.rpartition(".")[0]


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, object, object]]:
    if old == new:
        return
    if is_dataclass(old) and type(old) is type(new):
        inside = f"{path}." if path else ""
        for each in fields(old):
            yield from _differences(getattr(old, each.name), getattr(new, each.name), f"{inside}{each.name}")  # fmt: skip
    elif (
        isinstance(old, tuple)
        and isinstance(new, tuple)
        and len(old) == len(new)
        and _holds_values(old)
    ):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _differences(one, other, f"{path}[{index}]")
    else:
        yield path, old, new


def _holds_values(values: tuple[Any, ...]) -> bool:
    return all(is_dataclass(value) for value in values)


def _at(path: str, value: object) -> str:
    if path.endswith("_bytes") and isinstance(value, int):
        return f"{value / MIB:g} MiB"
    return _text(value)


def _text(value: object) -> str:
    if value is None or value in ("", (), {}):
        return _NOTHING
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return shown(", ".join(_text(each) for each in value))
    if is_dataclass(value):
        return str(getattr(value, "name", "") or getattr(value, "target", "") or _NAMELESS)
    if isinstance(value, Mapping):
        return shown(", ".join(str(key) for key in value))
    return f"{value:g}" if isinstance(value, float) else shown(str(value))
