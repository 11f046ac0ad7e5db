"""docker-compose.yml -> Manifest: version 1, 2.x, 3.x and the unversioned compose-spec. Pure: reads and opens nothing.

Every service becomes one App. All problems are told at once, each with file:line:column, field and fix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NoReturn

from portway.core.app import App, Condition, Link
from portway.core.errors import Problem
from portway.manifests.base import Manifest, References
from portway.manifests.compose_environment import EnvFiles, env_files_of
from portway.manifests.compose_keys import TOP_LEVEL
from portway.manifests.compose_network import (
    PlacedDependency,
    dependencies_of,
    links_of,
    networks_of,
    refuse_cycles,
)
from portway.manifests.compose_ports import refuse_conflicts
from portway.manifests.compose_service import Bonds, Scope, ServiceRead, read_service
from portway.manifests.compose_storage import Storage, named_volumes_of
from portway.manifests.compose_values import name_hint, name_problem
from portway.manifests.interpolate import (
    Interpolator,
    TemplateError,
    parse_template,
    variables_of,
)
from portway.manifests.reader import read_tree
from portway.manifests.tree import (
    Fields,
    Items,
    Node,
    Problems,
    Scalar,
    fields_of,
    is_null,
    kind_of,
    pairs_of,
    scalars_of,
    shown,
    text_of,
    warn_unknown,
)

SERVICES_MAX = 1000
PORTS_MAX = 20_000  # of all services

_VERSION_1 = re.compile(r"1(\.[0-9]{1,3})?", re.ASCII)
_VERSION_2_OR_3 = re.compile(r"[23](\.[0-9]{1,3})?", re.ASCII)
_AT_START = frozenset(("command", "entrypoint", "environment", "healthcheck"))
_DEFINITIONS = ("name", "volumes", "networks")
_INCLUDE = "include is not supported: a manifest is one file"
_INCLUDE_HINT = "Copy the services here, or deploy the other file as a stack of its own."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """A compose file whose version is settled: its services, and the top level around them."""

    root: Fields
    services: Fields
    version_1: bool


def parse_compose(
    text: str,
    *,
    stack: str,
    file: str = "docker-compose.yml",
    variables: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    directory: str = "",
    profiles: Sequence[str] = (),
) -> Manifest:
    """The Apps of a compose file; ManifestError with every problem in file order when it cannot be used.

    `variables` fill ${...} and bare environment names, `files` are the env_files by path as written,
    `directory` is where relative paths begin, `profiles` those selected ("*" = all).
    """
    problems = Problems(file)
    variables = variables or {}
    _check_stack(stack, problems)
    document = _filled(_document(read_tree(text, problems=problems)), Interpolator(variables))
    name = _name_of(document)
    scope = Scope(
        stack=stack,
        directory=directory,
        variables=variables,
        env_files=EnvFiles(files or {}, variables),
        networks=networks_of(document.root.get("networks")),
        storage=Storage(
            named=named_volumes_of(document.root.get("volumes"), any_name=document.version_1),
            directory=directory,
            home=variables.get("HOME", ""),
        ),
    )
    apps = _apps(document.services, scope, frozenset(profiles))
    problems.raise_errors()
    return Manifest(name=name, apps=tuple(apps), warnings=problems.warnings)


def _check_stack(stack: str, problems: Problems) -> None:
    problem = name_problem(stack)
    if problem:
        message = f"the stack cannot be called this: {problem}"
        problems.fail(Problem(message=message, hint=name_hint(stack), file=problems.file))


def _document(root: Node) -> _Document:
    """Settle the version; at once a ManifestError where nothing more can be read."""
    if not isinstance(root, Fields):
        root.problems.fail(
            root.problem(
                f"a compose file is a map of services, but this is {kind_of(root)}",
                "Begin with services:, then the name of a service, then its image.",
            )
        )
    version_node = root.get("version")
    version = text_of(version_node)
    if version_node is None and "services" in root.entries:
        return _spec(root)
    if version_node is None or (version and _VERSION_1.fullmatch(version.strip())):
        return _version_1(root)
    if not version or not _VERSION_2_OR_3.fullmatch(version.strip()):
        root.problems.fail(
            version_node.problem(
                f"unknown manifest version: {shown(version or '')}",
                "Versions 1, 2.x and 3.x are known; the key can simply be removed.",
            )
        )
    return _spec(root)


def _spec(root: Fields) -> _Document:
    warn_unknown(root, TOP_LEVEL, of="a compose file")
    if root.get("include") is not None:
        root.keys["include"].error(_INCLUDE, _INCLUDE_HINT)
    for key in ("configs", "secrets"):
        if root.get(key) is not None:
            root.keys[key].warn(f"{key} are ignored: mount the files as volumes instead")
    services = root.get("services")
    if not isinstance(services, Fields) or not services.entries:
        _fail_without_services(root, services)
    return _Document(root=root, services=services, version_1=False)


def _version_1(root: Fields) -> _Document:
    entries = {
        key: node
        for key, node in root.entries.items()
        if key != "version" and not key.startswith("x-")
    }
    if all(key in TOP_LEVEL for key in entries):
        _fail_without_services(root, None)
    for key, node in entries.items():
        if root.suggest(key, ("services",)) and _holds_services(node):
            hint = "Did you mean 'services'?"
            root.problems.fail(root.keys[key].problem("the file has no services", hint))
    return _Document(root=root, services=replace(root, entries=entries), version_1=True)


def _holds_services(node: Node) -> bool:
    if not isinstance(node, Fields):
        return False
    values = node.entries.values()
    return all(isinstance(v, Fields) and {"image", "build"} & v.entries.keys() for v in values)


def _fail_without_services(root: Fields, services: Node | None) -> NoReturn:
    if services is not None and not isinstance(services, Fields):
        problem = services.problem(
            f"services must be a map of name: service, but it is {kind_of(services)}",
            "Write the name of a service, a ':', and its keys indented below.",
        )
    else:
        where = root.keys.get("services", root)
        hint = "Add services:, then the name of a service, then its image."
        problem = where.problem("the file has no services", hint)
    root.problems.fail(problem)


def _filled(document: _Document, interpolator: Interpolator) -> _Document:
    """The document with every value filled in but the x-* ones, which are the user's own."""
    root = document.root
    if not document.version_1:
        top = {key: root.entries[key] for key in _DEFINITIONS if key in root.entries}
        filled = {key: interpolator.fill(node) for key, node in top.items()}
        root = replace(root, entries={**root.entries, **filled})
    services = {
        name: _filled_service(service, interpolator) if isinstance(service, Fields) else service
        for name, service in document.services.entries.items()
    }
    return replace(document, root=root, services=replace(document.services, entries=services))


def _filled_service(service: Fields, interpolator: Interpolator) -> Fields:
    entries = {
        key: node if key.startswith("x-") else interpolator.fill(node, at_start=key in _AT_START)
        for key, node in service.entries.items()
    }
    return replace(service, entries=entries)


def _name_of(document: _Document) -> str:
    node = None if document.version_1 else document.root.get("name")
    name = text_of(node)
    if node is None or not name:
        return ""
    problem = name_problem(name)
    if problem:
        node.error(problem, name_hint(name))
    return name


def _apps(services: Fields, scope: Scope, profiles: frozenset[str]) -> Iterator[App]:
    declared = dict(_declared_services(services))
    active = {n: f for n, f in declared.items() if _is_active(f, profiles)}
    links = {n: links_of(f, owner=n, names=declared) for n, f in active.items()}
    dependencies = {
        n: _active_dependencies(n, f, links[n], declared, active) for n, f in active.items()
    }
    refuse_cycles(dependencies)
    awaited = {
        d.spec.name
        for placed in dependencies.values()
        for d in placed
        if d.spec.condition is Condition.COMPLETED
    }
    bonds = {
        name: Bonds(links=links[name], dependencies=dependencies[name], awaited=name in awaited)
        for name in active
    }
    read = list(_read_services(active, scope, bonds))
    refuse_conflicts((service.app.name, port) for service in read for port in service.ports)
    _warn_of_silent_links(read)
    _warn_of_lost_isolation(read)
    return (service.app for service in read)


def _read_services(
    active: Mapping[str, Fields], scope: Scope, bonds: Mapping[str, Bonds]
) -> Iterator[ServiceRead]:
    wanted = 0
    for name, fields in active.items():
        service = read_service(name, fields, scope=scope, bonds=bonds[name])
        wanted += len(service.ports)
        if wanted > PORTS_MAX:
            fields.error(f"the services have more than {PORTS_MAX} ports", "Use smaller ranges.")
            return
        yield service


def _declared_services(services: Fields) -> Iterator[tuple[str, Fields]]:
    for number, (name, node) in enumerate(services.entries.items()):
        if name.startswith("x-"):
            continue
        if number >= SERVICES_MAX:
            services.keys[name].error(
                f"there are more than {SERVICES_MAX} services", "Split the file."
            )
            return
        problem = name_problem(name)
        if problem:
            services.keys[name].error(problem, name_hint(name))
        if is_null(node):
            services.keys[name].error(
                f"{shown(name)} has nothing to run", "Give it an image or a build."
            )
            continue
        fields = fields_of(node)
        if fields is not None and not problem:
            yield name, fields


def _is_active(service: Fields, profiles: frozenset[str]) -> bool:
    own = {scalar.value for scalar in scalars_of(service.get("profiles"))}
    return not own or "*" in profiles or bool(own & profiles)


def _active_dependencies(
    name: str,
    fields: Fields,
    links: tuple[Link, ...],
    declared: Mapping[str, Fields],
    active: Mapping[str, Fields],
) -> tuple[PlacedDependency, ...]:
    """What is waited for and runs. As in the compose-spec, depending on a service does not select its profile."""
    kept: list[PlacedDependency] = []
    for dependency in dependencies_of(fields, links, owner=name, names=declared):
        target = dependency.spec.name
        if target in active:
            kept.append(dependency)
        elif dependency.spec.required:
            own = ", ".join(s.value for s in scalars_of(declared[target].get("profiles")))
            dependency.node.error(
                f"{name} needs {target}, which is left out: none of its profiles ({shown(own)}) is selected",
                "Select its profile, or remove the profile or the dependency.",
            )
    return tuple(kept)


def _warn_of_silent_links(read: Sequence[ServiceRead]) -> None:
    apps = {service.app.name: service.app for service in read}
    for service in read:
        for link in service.app.links:
            target = apps.get(link.name)
            if target is not None and not target.ports and not target.expose:
                service.fields.entries["links"].warn(
                    f"{service.app.name} links to service: {link.name} which does not expose any ports, "
                    "so no link variables are set",
                    f"It is still found by its name; add the port to expose of {link.name}.",
                )


def _warn_of_lost_isolation(read: Sequence[ServiceRead]) -> None:
    """Every App joins the stack's own network, so networks in the file never keep two Apps apart: say so once."""
    groups: dict[frozenset[str], ServiceRead] = {}
    for service in read:
        groups.setdefault(_network_names(service.fields.get("networks")), service)
    for (names, one), (others, other) in combinations(groups.items(), 2):
        if names & others:
            continue
        listing = one if one.fields.get("networks") else other
        listing.fields.keys["networks"].warn(
            f"networks do not keep {one.app.name} and {other.app.name} apart: "
            "all services of a stack also share its own network",
            "Deploy them as two stacks if they must not reach each other.",
        )
        return


def _network_names(node: Node | None) -> frozenset[str]:
    match node:
        case Fields():
            return frozenset(node.entries)
        case Items():
            return frozenset(scalar.value for scalar in scalars_of(node))
        case _:
            return frozenset(("default",))


def compose_references(
    text: str, *, file: str, variables: Mapping[str, str] | None = None
) -> References:
    """What a compose file needs from the machine it lies on: variables and env_files; ManifestError when it is not YAML.

    env_file paths are as written; given `variables`, those in the paths are filled in.
    """
    problems = Problems(file)
    document = _document(read_tree(text, problems=problems))
    services = [s for s in document.services.entries.values() if isinstance(s, Fields)]
    definitions = () if document.version_1 else _DEFINITIONS
    names: dict[str, None] = {}
    for node in (document.root.get(key) for key in definitions):
        names.update(dict.fromkeys(_names_in(node)))
    for service in services:
        names.update(dict.fromkeys(_names_of_service(service)))
    fill = Interpolator(variables or {})
    nodes = [service.get("env_file") for service in services]
    required, optional = _files_of(
        fill.fill(node) if variables and node else node for node in nodes
    )
    return References(variables=tuple(names), files=required, optional_files=optional)


def _files_of(nodes: Iterable[Node | None]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(every env_file, those of them that may be absent)."""
    required: dict[str, bool] = {}
    for node in nodes:
        for env_file in env_files_of(node):
            required[env_file.path] = required.get(env_file.path, False) or env_file.required
    return tuple(required), tuple(path for path, needed in required.items() if not needed)


def _names_of_service(service: Fields) -> Iterator[str]:
    for key, node in service.entries.items():
        if not key.startswith("x-"):
            yield from _names_in(node)
    build = service.get("build")
    bare = [service.get("environment"), build.get("args") if isinstance(build, Fields) else None]
    for node in bare:
        for pair in pairs_of(node if isinstance(node, Fields | Items) else None):
            if pair.value is None:
                yield pair.key
    if any(scalar.value.startswith("~") for scalar in _scalars(service.get("volumes"))):
        yield "HOME"


def _names_in(node: Node | None) -> Iterator[str]:
    for scalar in _scalars(node):
        if "$" not in scalar.value:
            continue
        try:
            template = parse_template(scalar.value)
        except TemplateError:
            continue  # said when the manifest is parsed
        yield from (variable.name for variable in variables_of(template))


def _scalars(node: Node | None) -> Iterator[Scalar]:
    match node:
        case Scalar():
            yield node
        case Items():
            for item in node.items:
                yield from _scalars(item)
        case Fields():
            for value in node.entries.values():
                yield from _scalars(value)
        case _:
            pass
