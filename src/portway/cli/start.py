"""`portway start`: a manifest in the foreground on this machine, with its ports as written."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from portway.cli import session

if TYPE_CHECKING:
    from portway.cli.project import Project
    from portway.config import Config

_ENGINES = ("docker", "process", "memory")


@click.command("start")
@click.argument("words", nargs=-1, metavar="[DIR|FILE] [SERVICE]...")
@click.option(
    "-a",
    "--app",
    "stack",
    metavar="STACK",
    help="The stack's name, else the manifest's or directory's.",
)
@click.option(
    "--shift", type=int, default=0, metavar="N", help="Move every published port up by N."
)
@click.option("--engine", type=click.Choice(_ENGINES), help="What runs the instances.")
@click.option("--profile", "profiles", multiple=True, help="Also the services of this profile.")
@click.option(
    "-e",
    "--env-file",
    "env_files",
    multiple=True,
    metavar="FILE",
    help="Variables for ${...}, instead of .env.",
)
def command(
    words: tuple[str, ...],
    stack: str | None,
    shift: int,
    engine: str | None,
    profiles: tuple[str, ...],
    env_files: tuple[str, ...],
) -> None:
    """Run the manifest in DIR (or FILE) here, in the foreground, with its ports as written.

    With SERVICEs, only those and what they depend on. It needs no server. Ctrl-C stops and removes
    everything but named volumes and built images; a second Ctrl-C kills what will not stop. What a
    killed start left behind, the next one removes. Ports labelled https get a certificate of this
    machine's own.
    """
    from portway.cli.conflicts import refuse_conflicts, wanted_ports
    from portway.cli.deploying import check_builds, say_warnings
    from portway.cli.project import read_project
    from portway.cli.selection import split_source
    from portway.controller.ports.host_ports import HostPorts
    from portway.core.errors import RequestError
    from portway.manifests.language import COMPOSE, language_of

    config = session.configuration({"engine": engine} if engine else {})
    source, services = split_source(words)
    project = read_project(source, stack=stack, profiles=profiles, env_files=env_files)
    language = language_of(project.text)
    if language is not COMPOSE:
        raise RequestError(
            f"portway start runs compose files, and {project.file} is one of {language.title}.",
            hint=f"portway deploy {project.file} runs it.",
        )
    say_warnings(project)
    project = _rewritten(project, shift, services)
    check_builds(project)
    _clean_up_after_killed(config)
    if config.engine != "memory":
        refuse_conflicts(wanted_ports(project.manifest.apps), HostPorts().bind_test)
    _run_in_private(config, project)


def _rewritten(project: Project, shift: int, services: Sequence[str]) -> Project:
    """The project with its ports moved and only the services asked for; as it is where both say nothing."""
    from portway.cli.foreground import shifts_of
    from portway.cli.project import reread
    from portway.cli.rewrite import rewritten
    from portway.cli.selection import with_dependencies

    kept = with_dependencies(project.manifest.apps, services)
    shifts = shifts_of(project.manifest.apps, shift)
    if not shifts and not services:
        return project
    text = rewritten(
        project.text, file=project.file, variables=project.variables, shifts=shifts, kept=kept
    )
    return reread(project, text)


def _clean_up_after_killed(config: Config) -> None:
    from portway.assemble import wipe
    from portway.cli.private_home import abandoned_homes, discard
    from portway.core.errors import PortwayError

    with abandoned_homes(config.home) as homes:
        for home in homes:
            about = home.about
            who = f"an earlier `portway start` of {about.stack} (process {about.process_id})"
            session.say(f"Removing what {who} left behind.")
            own = replace(
                _own(config, home.path), engine=about.engine, docker_host=about.docker_host
            )
            try:
                asyncio.run(wipe(own))
            except PortwayError as error:
                session.warn(f"Not all of it could be removed: {error.message}")
            else:
                discard(home.path)


def _run_in_private(config: Config, project: Project) -> None:
    from portway.cli.private_home import About, private_home

    about = About(
        stack=project.stack,
        process_id=os.getpid(),
        engine=config.engine,
        docker_host=config.docker_host,
    )
    with private_home(config.home, about) as home:
        asyncio.run(_run(_own(config, home), project))


def _own(config: Config, home: Path) -> Config:
    """A portway of its own: nobody else's home, store or listener."""
    return replace(config, home=home, listen="", store_url="", token="", log_level="error")


async def _run(config: Config, project: Project) -> None:
    from portway.assemble import running, wipe
    from portway.cli.foreground import Foreground, run_foreground
    from portway.cli.map import terminal_columns
    from portway.cli.private_home import discard
    from portway.logs import set_up_logs

    set_up_logs(level=config.log_level, form=config.log_format)
    stop, hurry = asyncio.Event(), asyncio.Event()
    output = _Output(stop)
    run = Foreground(
        stack=project.stack,
        apps=project.manifest.apps,
        request=project.release_request(),
        needs_images=config.engine != "process",
        columns=terminal_columns(),
        say=output.say,
        stop=stop,
        hurry=hurry,
    )
    entered = False
    with _stopped_by_signals(stop, hurry):
        try:
            async with running(config) as operations:
                entered = True
                await run_foreground(operations, run)
        finally:
            if entered:
                await wipe(config)
            discard(config.home)
    output.complain()


class _Output:
    """Lines on standard output; once nobody reads them any more, the run is stopped."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._error: OSError | None = None

    def say(self, line: str) -> None:
        if self._error is not None:
            return
        try:
            session.say(line)
        except OSError as error:
            self._error = error
            self._stop.set()

    def complain(self) -> None:
        """Raise what ended the output, now that everything is removed."""
        if self._error is not None:
            raise self._error


@contextmanager
def _stopped_by_signals(stop: asyncio.Event, hurry: asyncio.Event) -> Generator[None]:
    """The first signal stops in good order, the next one at once."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def signalled() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in numbers:
        loop.add_signal_handler(number, signalled)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
