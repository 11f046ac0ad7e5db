"""Task definitions and services as JSON files -> Manifest. Pure: reads and opens nothing.

Every service becomes an App, and so does every task definition that no service names. All problems are told at once,
each with file:line:column, field and what to do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from portway.core.app import App
from portway.core.aws_names import slug
from portway.core.ecs.labels import SERVICE, Origin
from portway.core.errors import ManifestError, Problem
from portway.core.suggest import did_you_mean
from portway.manifests.base import Manifest
from portway.manifests.ecs_app import Making, app_of, secret_faults
from portway.manifests.ecs_definition import Checked, check_definition
from portway.manifests.ecs_ports import Reach
from portway.manifests.ecs_service import balancer_faults, check_service, family_of, with_service
from portway.manifests.ecs_shape import Fault, kind_of
from portway.manifests.json_reader import Placed, Where, read_json
from portway.manifests.tree import shown

SECRETS = "the home's folder secrets as {name}"

_DEFINITION_KEYS = ("containerDefinitions", "family", "networkMode", "requiresCompatibilities")
_SERVICE_KEYS = ("serviceName", "desiredCount", "loadBalancers", "schedulingStrategy", "deploymentConfiguration", "cluster")  # fmt: skip
_OURS = re.compile(
    r'"(containerDefinitions|taskDefinitions?|serviceName|desiredCount|family|services)"\s*:'
)
_COMPOSE = re.compile(r'"services"\s*:\s*\{')


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One task definition or service of a file, and where in it that is."""

    placed: Placed
    where: Where
    checked: Checked

    @property
    def body(self) -> Mapping[str, Any]:
        return self.checked.body

    @property
    def revision(self) -> int:
        """What describe-task-definition printed; a file that says nothing is the first."""
        inner: Any = self.placed.value
        for key in self.where:
            inner = inner[key]
        said = inner.get("revision")
        return said if isinstance(said, int) and said > 0 else 1

    def problem(self, fault: Fault) -> Problem:
        return self.placed.problem((*self.where, *fault.where), fault.message, fault.hint)


def is_ecs(text: str) -> bool:
    """Whether a text is meant as a task definition or service: JSON that has their words, and no compose file in JSON."""
    start = text.removeprefix("\ufeff").lstrip()
    return start.startswith("{") and bool(_OURS.search(start)) and not _COMPOSE.search(start)


def parse_ecs(
    documents: Mapping[str, str], *, stack: str, secrets: Mapping[str, str] | None = None
) -> Manifest:
    """The Apps of some files by name; ManifestError with every problem when they cannot be used.

    `secrets`: what each `valueFrom` holds; None where that is not known, then nothing is said of those that lack.
    """
    placed: list[Placed] = []
    problems: list[Problem] = []
    for file, text in documents.items():
        try:
            placed.append(read_json(text, file=file))
        except ManifestError as error:
            problems.extend(error.problems)
    return _parsed(placed, problems, stack=stack, secrets=secrets)


def parse_documents(documents: Mapping[str, Any], *, stack: str) -> Manifest:
    """The same of values that were never a text; places are unknown then."""
    placed = [Placed(value=value, file=file, places={}) for file, value in documents.items()]
    return _parsed(placed, [], stack=stack, secrets=None)


def _parsed(
    documents: list[Placed],
    problems: list[Problem],
    *,
    stack: str,
    secrets: Mapping[str, str] | None,
) -> Manifest:
    definitions: list[_Part] = []
    services: list[_Part] = []
    for placed in documents:
        _sort(placed, definitions, services, problems)
    for part in (*definitions, *services):
        problems.extend(part.problem(fault) for fault in part.checked.faults)
    if problems:
        raise ManifestError(problems)
    problems.extend(_misfits(definitions, services, secrets))
    if problems:
        raise ManifestError(problems)
    apps = _apps(definitions, services, stack=stack, secrets=secrets or {})
    return Manifest(
        name="",
        apps=tuple(apps),
        warnings=tuple(_warnings(definitions, services)),
        origins={slug(origin.service): origin for origin in _origins(definitions, services, stack)},
    )


def _sort(
    placed: Placed, definitions: list[_Part], services: list[_Part], problems: list[Problem]
) -> None:
    """Put each document where it belongs, taken out of what describe-... prints around it."""
    value: Any = placed.value
    if not isinstance(value, dict):
        told = f"a task definition or service is an object, but this is {kind_of(value)}"
        problems.append(placed.problem((), told, "Write { ... }."))
    elif isinstance(value.get("taskDefinition"), dict):
        inner = value["taskDefinition"]
        definitions.append(_Part(placed=placed, where=("taskDefinition",), checked=check_definition(inner)))  # fmt: skip
    elif isinstance(value.get("services"), list) or isinstance(value.get("taskDefinitions"), list):
        for index, inner in enumerate(_listed(value, "taskDefinitions")):
            where: Where = ("taskDefinitions", index)
            definitions.append(_Part(placed=placed, where=where, checked=check_definition(inner)))
        for index, inner in enumerate(_listed(value, "services")):
            where = ("services", index)
            services.append(_Part(placed=placed, where=where, checked=check_service(inner)))
    elif isinstance(value.get("service"), dict):
        services.append(_Part(placed=placed, where=("service",), checked=check_service(value["service"])))  # fmt: skip
    elif "containerDefinitions" in value or not _is_service(value):
        definitions.append(_Part(placed=placed, where=(), checked=check_definition(value)))
    else:
        services.append(_Part(placed=placed, where=(), checked=check_service(value)))


def _listed(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


def _is_service(value: Mapping[str, Any]) -> bool:
    if "taskDefinition" in value:
        return True
    of_service = sum(key in value for key in _SERVICE_KEYS)
    return of_service > sum(key in value for key in _DEFINITION_KEYS)


def _misfits(
    definitions: list[_Part], services: list[_Part], secrets: Mapping[str, str] | None
) -> Iterator[Problem]:
    """What of the files does not fit together."""
    families: dict[str, _Part] = {}
    for part in definitions:
        family = part.body["family"]
        if family in families:
            other = families[family].placed.file
            fault = Fault(where=("family",), message=f"{shown(family)} is in {other} already")
            yield part.problem(replace(fault, hint="Deploy one revision of a family at a time."))
        families.setdefault(family, part)
        if secrets is not None:
            for fault in secret_faults(part.body, secrets, file=SECRETS):
                yield part.problem(fault)
    names: dict[str, _Part] = {}
    for part in services:
        yield from _service_misfits(part, families)
        name = slug(_service_name(part, families))
        if name in names:
            where: Where = ("serviceName",)
            yield part.problem(Fault(where=where, message=f"{shown(name)} is there twice"))
        names[name] = part


def _service_misfits(part: _Part, families: Mapping[str, _Part]) -> Iterator[Problem]:
    definition = _definition_of(part, families)
    if definition is not None:
        yield from (part.problem(fault) for fault in balancer_faults(part.body, definition.body))
        return
    family = family_of(part.body.get("taskDefinition") or "")
    where: Where = ("taskDefinition",)
    if not families:
        told = "there is no task definition among the files"
        hint = "Give its file too: portway deploy taskdef.json service.json"
    elif not family:
        told = "the service does not say which task definition it runs"
        hint = f"Add taskDefinition: one of {', '.join(sorted(families))}."
    else:
        told = f"the task definition {shown(family)} is in none of the files"
        hint = f"They have {', '.join(sorted(families))}.{did_you_mean(family[:64], families)}"
    yield part.problem(Fault(where=where, message=told, hint=hint))


def _definition_of(part: _Part, families: Mapping[str, _Part]) -> _Part | None:
    named = part.body.get("taskDefinition")
    if not named and len(families) == 1:
        return next(iter(families.values()))
    return families.get(family_of(named or ""))


def _service_name(part: _Part, families: Mapping[str, _Part]) -> str:
    definition = _definition_of(part, families)
    family = definition.body["family"] if definition else ""
    return part.body.get("serviceName") or family or "service"


def _apps(
    definitions: list[_Part],
    services: list[_Part],
    *,
    stack: str,
    secrets: Mapping[str, str],
) -> Iterator[App]:
    families = {part.body["family"]: part for part in definitions}
    served: set[str] = set()

    def made(body: Mapping[str, Any], name: str) -> App:
        app_id = f"{stack}/{slug(name)}"
        return app_of(body, Making(app_id=app_id, reach=Reach.LISTENER, secrets=secrets))

    for part in services:
        definition = _definition_of(part, families)
        assert definition is not None
        served.add(definition.body["family"])
        app = made(definition.body, _service_name(part, families))
        yield with_service(app, part.body, reach=Reach.LISTENER)
    for family, part in families.items():
        if family not in served:
            yield made(part.body, family)


def _origins(definitions: list[_Part], services: list[_Part], stack: str) -> Iterator[Origin]:
    """What the AWS face shows the Apps as: services of a cluster called like the stack, where a cluster can be."""
    if slug(stack) != stack:
        return
    families = {part.body["family"]: part for part in definitions}
    named = [(_definition_of(part, families), _service_name(part, families)) for part in services]
    served = {definition.body["family"] for definition, _ in named if definition}
    named += [(part, family) for family, part in families.items() if family not in served]
    for definition, name in named:
        assert definition is not None
        yield Origin(
            kind=SERVICE,
            cluster=stack,
            service=name,
            task_definition=f"{definition.body['family']}:{definition.revision}",
            is_of_files=True,
        )


def _warnings(definitions: list[_Part], services: list[_Part]) -> Iterator[Problem]:
    for part in (*definitions, *services):
        yield from (part.problem(fault) for fault in part.checked.ignored)
    for part in definitions:
        yield from _shared_volumes(part)


def _shared_volumes(part: _Part) -> Iterator[Problem]:
    mounts = Counter(
        point["sourceVolume"]
        for container in part.body["containerDefinitions"]
        for point in container.get("mountPoints") or ()
    )
    for index, volume in enumerate(part.body.get("volumes") or ()):
        lasting = (volume.get("dockerVolumeConfiguration") or {}).get("scope") == "shared"
        is_bind = bool((volume.get("host") or {}).get("sourcePath"))
        if mounts[volume["name"]] > 1 and not lasting and not is_bind:
            told = "is shared by all instances and outlives them: several containers mount it"
            hint = "On ECS each task has its own."
            yield part.problem(Fault(where=("volumes", index), message=told, hint=hint))
