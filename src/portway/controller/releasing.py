"""ReleaseRequest -> Release: parsed, checked against engine and other stacks, images pinned."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from portway.controller.views import ReleaseRequest
from portway.controller.world import World
from portway.core.app import App, NetworkMode
from portway.core.containers import fault_of
from portway.core.ecs.labels import labels_of
from portway.core.errors import EngineError, EngineErrorKind, ImageMissingError, RequestError
from portway.core.ports import LOOPBACK, addresses_conflict
from portway.core.routes import RouteKey
from portway.core.routing import is_routed, joint_key, route_keys
from portway.core.state import AppState
from portway.core.suggest import did_you_mean
from portway.engines.base import EngineTraits, InstanceEngine
from portway.manifests.base import Manifest
from portway.manifests.language import Source, named_secrets, parse_manifest

APP_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
STACK_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


def check_stack_name(name: str) -> None:
    """Refuse a name that cannot name networks, containers and labels."""
    if not STACK_NAME.fullmatch(name):
        raise RequestError(
            f'"{name}" cannot be the name of a stack',
            hint="Use lower-case letters, digits, - _ and ., beginning with a letter or digit, "
            "at most 63 of them; give another one with -a.",
        )


def parse_request(
    world: World,
    stack: str,
    request: ReleaseRequest,
    *,
    secrets: Callable[[Iterable[str]], Mapping[str, str]],
) -> Manifest:
    """The Apps of a request; ManifestError with every problem in it.

    The stack's own variables fill what the request leaves open, `secrets` looks up what it names as such.
    """
    known = world.stacks.get(stack)
    check_stack_name(stack)
    source = Source(
        text=request.manifest,
        stack=stack,
        file=request.manifest_name,
        variables={**(known.environment if known else {}), **request.variables},
        files=request.files,
        directory=request.directory,
        profiles=request.profiles,
    )
    manifest = parse_manifest(replace(source, secrets=secrets(named_secrets(source))))
    if not manifest.apps:
        raise RequestError(
            f"{request.manifest_name} names no service to run",
            hint="Add a service, or choose its profile with --profile.",
        )
    return replace(manifest, apps=tuple(_labelled(app, manifest) for app in manifest.apps))


def _labelled(app: App, manifest: Manifest) -> App:
    """The App, known to the AWS face as the service of ECS that it is."""
    origin = manifest.origins.get(app.name)
    return replace(app, labels={**app.labels, **labels_of(origin)}) if origin else app


async def with_images(
    apps: Sequence[App], request: ReleaseRequest, engine: InstanceEngine
) -> tuple[App, ...]:
    """The Apps with what they run pinned: built images by name, others by immutable id."""
    unknown = set(request.images) - {app.name for app in apps}
    if unknown:
        name = sorted(unknown)[0]
        hint = did_you_mean(name, [app.name for app in apps])
        raise RequestError(
            f'an image was given for "{name}", which the manifest does not name', hint=hint
        )
    return tuple([await _with_image(app, request, engine) for app in apps])


async def _with_image(app: App, request: ReleaseRequest, engine: InstanceEngine) -> App:
    check_engine(app, engine.traits)
    built = request.images.get(app.name)
    image = built or app.image
    if not engine.traits.runs_images or (image is None and app.build is None):
        return app
    if image is None or (app.build is not None and built is None):
        raise RequestError(
            f"{app.name} has to be built before it can be released",
            hint="`portway deploy` does that; over the API, POST the context to builds first.",
        )
    others = [
        replace(other, image_id=await _image_id(app, other.image, engine))
        for other in app.containers
    ]
    image_id = await _image_id(app, image, engine)
    return replace(app, image=image, image_id=image_id, containers=tuple(others))


async def pinned_where_present(app: App, engine: InstanceEngine) -> App:
    """The App with those of its images pinned that are here; the others are pulled when an instance starts."""
    if not engine.traits.runs_images or app.image is None:
        return app
    others = [
        replace(other, image_id=await _id_if_present(other.image, engine))
        for other in app.containers
    ]
    image_id = await _id_if_present(app.image, engine)
    return replace(app, image_id=image_id, containers=tuple(others))


async def _id_if_present(image: str, engine: InstanceEngine) -> str:
    try:
        return await engine.resolve_image(image)
    except EngineError as error:
        if error.kind != EngineErrorKind.IMAGE_MISSING:
            raise
        return ""


async def _image_id(app: App, image: str, engine: InstanceEngine) -> str:
    try:
        return await engine.resolve_image(image)
    except EngineError as error:
        if error.kind != EngineErrorKind.IMAGE_MISSING:
            raise
        raise ImageMissingError(
            f"{app.name}: {error.message}",
            image=image,
            hint=error.hint or f"Pull {image} first, or correct its name.",
        ) from error


def check_engine(app: App, traits: EngineTraits) -> None:
    """Refuse an App this engine cannot run."""
    has_command = app.command is not None or bool(app.command_text)
    may_be_bare = traits.runs_commands and (bool(app.environment_form) or not traits.runs_both)
    if traits.runs_images and not app.names_image and not (may_be_bare and has_command):
        raise RequestError(
            f"{app.name} names neither an image nor a build",
            hint="Add `image:` or `build:`, or run plain commands with a server started "
            "with --engine process.",
        )
    fault = fault_of(app)
    if fault:
        raise RequestError(f"{app.name} cannot run: {fault}", hint="Correct the names.")
    if not traits.runs_groups:
        _check_alone(
            app, f"the {traits.name} engine runs", "Start the server with --engine docker."
        )
    elif traits.runs_both:
        _check_kind(app)
    if not traits.runs_images and not has_command:
        raise RequestError(
            f"{app.name} has no command, and the {traits.name} engine runs commands, not images",
            hint="Add `command:`, or start the server with --engine docker.",
        )


def _check_kind(app: App) -> None:
    """Refuse what is neither all containers nor one process. Of compose the manifest's reader has refused it before."""
    if not app.names_image:
        hint = "Give it an image (of a pod, each of its containers), or the machine's own network."
        _check_alone(app, "what names no image runs as", hint)
    without = [other.name for other in app.containers if not other.image]
    if without:
        raise RequestError(
            f"{app.name} has containers with an image, and others without one: {', '.join(without)}",
            hint="What has no image runs as a process of the machine, outside of the others' network. "
            "Give each container an image.",
        )


def _check_alone(app: App, runs: str, hint: str) -> None:
    """Refuse what needs containers, where there are none."""
    what = ""
    if app.containers:
        what = "has several containers"
    elif app.network_mode not in (NetworkMode.STACK, NetworkMode.HOST):
        what = f'has the network mode "{app.network_mode}"'
    if what:
        raise RequestError(
            f"{app.name} {what}, and {runs} one process on the machine's own network",
            hint=hint,
        )


def check_listeners(world: World, stack: str, apps: Iterable[App], *, instead_of: str = "") -> None:
    """Refuse a listener that another App serves already, naming it.

    The stack's own Apps are no others, for a release takes the place of all of them; with `instead_of` of that one alone.
    """
    wanted = [(*one, app.id) for app in apps for one in _listeners_of(app, {})]
    numbers = frozenset(key.service_port for key, *_ in wanted)
    others = _listeners_of_others(world, stack, instead_of, numbers) if numbers else []
    for key, group, app_id in wanted:
        for other, others_group, owner in others:
            if _conflict(key, other) and not (group and group == others_group):
                raise RequestError(
                    f"{app_id} wants the listener {_where(key)}, which {owner} has already",
                    hint=f"Change the left number of the port, or `portway apps delete -a "
                    f"{owner.rpartition('/')[0]}` if it is not needed any more.",
                    http_status=409,
                )


def _listeners_of_others(
    world: World, stack: str, instead_of: str, numbers: frozenset[int]
) -> list[tuple[RouteKey, str, str]]:
    """The listeners of other Apps that may have one of these numbers."""
    found: list[tuple[RouteKey, str, str]] = []
    for app_id in world.listening.apps_at(numbers):
        state = world.apps[app_id]
        own = instead_of in ("", app_id) and app_id.rpartition("/")[0] == stack
        if state.target is None or own:
            continue
        found.extend((*one, app_id) for one in _listeners_of(state.target.app, state.service_ports))
    return found


def _listeners_of(app: App, assigned: Mapping[str, int]) -> Iterator[tuple[RouteKey, str]]:
    """Each with the group of Apps that have it together, "" where the App has it alone."""
    for spec in filter(is_routed, app.ports):
        yield from ((key, "") for key, _ in route_keys(spec, assigned))
        if spec.joint is not None and (key := joint_key(spec)) is not None:
            yield key, spec.joint.group


def _conflict(one: RouteKey, other: RouteKey) -> bool:
    return one.service_port == other.service_port and addresses_conflict(one.address, other.address)


def _where(key: RouteKey) -> str:
    shown = "" if key.address in ("", LOOPBACK) else f" on {key.address}"
    return f"{key.service_port}{shown}"


def check_count(name: str, count: int, state: AppState) -> None:
    """Refuse a count that an App cannot have."""
    if not 0 <= count <= 10_000:
        raise RequestError(f"{name} cannot be scaled to {count}", hint="Use 0 to 10000.")
    assert state.target is not None
    for spec in state.target.app.ports:
        if len(spec.service_ports) > 1 and count > len(spec.service_ports):
            first, last = spec.service_ports[0], spec.service_ports[-1]
            raise RequestError(
                f"{name} cannot be scaled to {count}: its listener range {first}-{last} has only "
                f"{len(spec.service_ports)} ports, one for each instance",
                hint="Widen the range in the manifest and deploy, or scale to fewer.",
            )
