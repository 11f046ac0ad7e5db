"""@operation: one operation of one service is one plain function. What it does not read it says, and docs/reference/aws.md tells."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portway.api.aws.face import Face
    from portway.api.aws.wire.shapes import ServiceModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked, parsed and validated: `input` holds only members of the model, and no nulls at the top.

    Times are Unix milliseconds, blobs bytes. `unknown` are the members the model does not have.
    """

    service: str
    operation: str
    input: Mapping[str, Any]
    request_id: str = ""
    unknown: tuple[str, ...] = ()

    def __getitem__(self, member: str) -> Any:
        return self.input[member]

    def get(self, member: str, default: Any = None) -> Any:
        """The member, or `default` where it was not given."""
        return self.input.get(member, default)


Handler = Callable[["Face", Request], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation that portway carries out.

    `ignores`: members (paths with dots; lists and maps are passed through) that are accepted and have no effect.
    `refuses`: members that are refused with a sentence when given. `checks`: top-level members ("*": all) whose
    constraints the function checks in its own words instead of the model's.
    """

    service: str
    name: str
    run: Handler
    ignores: tuple[str, ...] = ()
    refuses: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[str, ...] = ()


_registry: dict[str, dict[str, Operation]] = {}


def operation(
    service: str,
    name: str,
    *,
    ignores: tuple[str, ...] = (),
    refuses: Mapping[str, str] | None = None,
    checks: tuple[str, ...] = (),
) -> Callable[[Handler], Handler]:
    """Register a function as an operation. `refuses`: member -> why, completing "portway does not do <member>: ..."."""

    def register(run: Handler) -> Handler:
        made = Operation(
            service=service,
            name=name,
            run=run,
            ignores=ignores,
            refuses=refuses or {},
            checks=checks,
        )
        of_service = _registry.setdefault(service, {})
        assert name not in of_service, f"{service} has {name} twice"
        of_service[name] = made
        return run

    return register


@cache
def operations_of(service: str) -> Mapping[str, Operation]:
    """Every operation of a service: whatever is registered in the modules of its package beside this one."""
    package_name = f"{__package__}.{service.replace('-', '_')}"
    try:
        package = importlib.import_module(package_name)
    except ModuleNotFoundError as error:
        if error.name != package_name:
            raise
        return {}
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
        importlib.import_module(f"{package_name}.{module.name}")
    return _registry.get(service, {})


def load_service(service: str) -> tuple[ServiceModel, Mapping[str, Operation]]:
    """A service's model and operations; slow the first time, quick from then on."""
    from portway.api.aws.wire.models import load_model

    with _loading:  # two threads would make the same model twice
        if service not in _loaded:
            operations = operations_of(service)
            _loaded[service] = (load_model(service, frozenset(operations)), operations)
        return _loaded[service]


async def loaded_service(service: str) -> tuple[ServiceModel, Mapping[str, Operation]]:
    """Likewise, off the event loop while it is slow."""
    return _loaded.get(service) or await asyncio.to_thread(load_service, service)


_loaded: dict[str, tuple[ServiceModel, Mapping[str, Operation]]] = {}
_loading = Lock()
