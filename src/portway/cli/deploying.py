"""What deploy and plan share: a server to ask, images built from the manifest, images fetched."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from portway.cli import session
from portway.cli.client import Client, ServerAbsent, segment
from portway.cli.context import (
    check_context,
    context_stream,
    dockerfile_in_context,
)
from portway.cli.launch import answers, log_file, start_in_background
from portway.cli.live import Live
from portway.cli.project import Project
from portway.controller.views import EnvView, ReleaseView, ServerView
from portway.core.app import App, Build
from portway.core.errors import ImageMissingError, RequestError, WorldError


def server_client(*, quiet: bool) -> Client:
    """A client of the server, which is started in the background when none answers."""
    config = session.configuration()
    client = Client(config.socket_path)
    if not answers(client):
        pid = start_in_background(config)
        if not quiet:
            session.say(
                f"Started the portway server in the background (process {pid}, log {log_file(config)})."
            )
    return client


def stored_environment(stack: str) -> Mapping[str, str]:
    """What `portway env set` gave the stack; nothing while there is no server or no such stack."""
    client = Client(session.configuration().socket_path)
    try:
        return client.view(EnvView, "GET", f"/stacks/{segment(stack)}/environment").environment
    except (ServerAbsent, RequestError):
        return {}


def runs_images(client: Client) -> bool:
    """Whether the server's engine needs images at all."""
    return client.view(ServerView, "GET", "/server").engine != "process"


def say_warnings(project: Project) -> None:
    """What is odd in the manifest, on standard error."""
    for warning in project.manifest.warnings:
        session.warn(str(warning))


def check_builds(project: Project) -> None:
    """Refuse before anything starts when something to build is not there."""
    for app in project.manifest.apps:
        if app.build is not None:
            check_context(app.build, app=app.name)


def build_images(client: Client, project: Project, *, quiet: bool) -> dict[str, str]:
    """The image of every App that has one built, each different build done once."""
    images: dict[str, str] = {}
    done: dict[str, str] = {}
    for app in project.manifest.apps:
        if app.build is None:
            continue
        key = repr(app.build)
        if key not in done:
            done[key] = _built(client, project.stack, app, app.build, quiet=quiet)
        images[app.name] = done[key]
    return images


def create_release(
    client: Client,
    project: Project,
    images: Mapping[str, str],
    *,
    description: str,
    quiet: bool,
    build_ms: int = 0,
) -> ReleaseView:
    """Make the release; an image the server says is missing is fetched, each one once.

    `build_ms` is what building took: the receipt says it, and what fetching takes.
    """
    path = f"/stacks/{segment(project.stack)}/releases"
    body = project.body(images, description=description)
    fetched: set[str] = set()
    pull_ms = 0
    while True:
        try:
            times = {"build_ms": build_ms, "pull_ms": pull_ms}
            return client.view(ReleaseView, "POST", path, body={**body, **times})
        except ImageMissingError as error:
            if error.image in fetched:
                raise
            fetched.add(error.image)
            begun_s = time.monotonic()
            _pull(client, error.image, quiet=quiet)
            pull_ms += since_ms(begun_s)


def since_ms(begun_s: float) -> int:
    """How long ago a moment of the steady clock was."""
    return round((time.monotonic() - begun_s) * 1000)


def _pull(client: Client, image: str, *, quiet: bool) -> None:
    lines = client.stream("POST", "/pulls", body={"image": image})
    _show(f"Pulling {image}", lines, quiet=quiet, keep=False)


def _built(client: Client, stack: str, app: App, build: Build, *, quiet: bool) -> str:
    query: Mapping[str, object] = {
        "app": app.name,
        "dockerfile": dockerfile_in_context(build),
        "target": build.target,
        "arg": [f"{name}={value}" for name, value in build.args.items()],
    }
    path = f"/stacks/{segment(stack)}/builds"
    lines = client.stream("POST", path, query=query, upload=context_stream(build))
    image = _show(f"Building {app.name}", lines, quiet=quiet, keep=True)
    if not image:
        raise WorldError(f"The build of {app.name} ended without an image.", hint="Try again.")
    return image


def _show(what: str, lines: Iterator[dict[str, Any]], *, quiet: bool, keep: bool) -> str:
    """Print the steps of a build or pull as they come (`keep`: each stays); the image it made."""
    image, live = "", Live(quiet=quiet, redraws=None if not keep else False)
    if not quiet:
        session.say(f"{what}...")
    for line in lines:
        image = str(line.get("image") or image)
        for text in str(line.get("text", "")).splitlines():
            _show_step(live, click.style(f"  {text}", dim=True), keep=keep, quiet=quiet)
    live.clear()
    return image


def _show_step(live: Live, line: str, *, keep: bool, quiet: bool) -> None:
    if keep:
        live.note(line)
    elif session.on_terminal() and not quiet:
        live.show({"step": line})
