"""`portway deploy`: build, release, promote, and wait until it is healthy."""

from __future__ import annotations

import time
from typing import Any

import click

from portway.cli import session
from portway.cli.client import segment
from portway.cli.options import (
    json_option,
    no_wait_option,
    stack_option,
    strategy_options,
    until_gone_option,
)


@click.command("deploy")
@click.argument("sources", nargs=-1, metavar="[DIR|FILE...]")
@stack_option
@click.option("--force", is_flag=True, help="Replace instances even where nothing changed.")
@click.option("--profile", "profiles", multiple=True, help="Also the services of this profile.")
@click.option(
    "-e",
    "--env-file",
    "env_files",
    multiple=True,
    metavar="FILE",
    help="Variables for ${...}, instead of .env.",
)
@click.option("-m", "--description", default="", help="A remark kept with the release.")
@strategy_options
@no_wait_option
@until_gone_option
@json_option
def command(
    sources: tuple[str, ...],
    stack: str | None,
    force: bool,
    profiles: tuple[str, ...],
    env_files: tuple[str, ...],
    description: str,
    how: dict[str, Any],
    no_wait: bool,
    until_gone: bool,
    as_json: bool,
) -> None:
    """Deploy the manifest in DIR (or FILE): build, make a release, promote it, wait until it is healthy.

    Task definitions and services of ECS may be several files: portway deploy taskdef.json service.json.
    Starts a server in the background when none runs. A release that does not become healthy
    leaves the running one as it is. It ends when the new release alone serves: an old instance
    behind a listener has then answered its last request and is only being ended (--until-gone
    waits for that too); one without a listener has ended.
    """
    from portway.cli import deploying
    from portway.cli.follow import conclude
    from portway.cli.project import read_project

    project = read_project(
        *(sources or (".",)),
        stack=stack,
        profiles=profiles,
        env_files=env_files,
        stored=deploying.stored_environment,
    )
    deploying.say_warnings(project)
    deploying.check_builds(project)
    client = deploying.server_client(quiet=as_json)
    if not as_json:
        session.say(f"Deploying {project.stack}")
    images: dict[str, str] = {}
    begun_s = time.monotonic()
    if deploying.runs_images(client):
        images = deploying.build_images(client, project, quiet=as_json)
    build_ms = deploying.since_ms(begun_s) if images else 0
    release = deploying.create_release(
        client, project, images, description=description, quiet=as_json, build_ms=build_ms
    )
    if not as_json:
        session.say(f"Release {release.id}")
    path = f"/stacks/{segment(project.stack)}/releases/{segment(release.id)}/promote"
    answer = client.ask("POST", path, body={"force": force, **how})
    conclude(client, answer, no_wait=no_wait, until_gone=until_gone, as_json=as_json)
