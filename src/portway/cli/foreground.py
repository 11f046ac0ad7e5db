"""A stack in the foreground: deployed into a portway of its own, its output on this terminal, removed at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

from portway.cli.context import context_stream, dockerfile_in_context
from portway.cli.lines import Prefixes
from portway.cli.mapview import map_lines
from portway.cli.progress import culprits, ending_line, failure_text, is_noted, is_over, latest
from portway.controller.contract import Operations
from portway.controller.views import PromotionView, ReleaseRequest, ReleaseView
from portway.core.app import App, Build, ListenerProtocol
from portway.core.errors import ImageMissingError, PortwayError, RequestError, WorldError
from portway.engines.base import Progress

_LOOK_EVERY_S = 0.2
_ENCRYPTED = frozenset({ListenerProtocol.HTTPS, ListenerProtocol.TLS})
_SYSTEM = "portway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreground:
    """What to run. `apps` have their ports as they will be; `say` gets each line, at most `columns` wide where it can.

    `stop` ends the run in good order, `hurry` after it at once.
    """

    stack: str
    apps: tuple[App, ...]
    request: ReleaseRequest
    needs_images: bool
    columns: int | None = None
    say: Callable[[str], None]
    stop: asyncio.Event
    hurry: asyncio.Event


async def run_foreground(operations: Operations, run: Foreground) -> None:
    """Build, deploy, show output until told to stop, then remove everything; WorldError when an App failed.

    Told to hurry, it leaves what would not stop to the caller.
    """
    shown = _Shown(operations, run)
    async with asyncio.TaskGroup() as group:
        error = await _first(_error_of(shown.work(group)), run.stop)
        shown.note("Stopping. Ctrl-C again kills what takes long.")
        removal = _error_of(remove(operations, run.stack))
        error = await _first(removal, run.hurry, stays=False) or error
        shown.end()
    if error is not None:
        raise error


async def remove(operations: Operations, stack: str) -> None:
    """Delete the stack and return once nothing of it is left; nothing when there is none."""
    try:
        await operations.delete_stack(stack, drain=False)
        while True:
            await operations.stack(stack)
            await asyncio.sleep(_LOOK_EVERY_S)
    except RequestError as error:
        if error.http_status != 404:
            raise


class _Shown:
    """The work of one run, every line of it behind the name of what it comes from."""

    def __init__(self, operations: Operations, run: Foreground) -> None:
        self._operations = operations
        self._run = run
        self._talkers: list[asyncio.Task[None]] = []
        self._heard: set[str] = set()  # the instances that have said something
        names = (f"{app.name}.{app.count or 1}" for app in run.apps)
        self._prefixes = Prefixes((_SYSTEM, *names))

    def note(self, text: str) -> None:
        """Say something of portway's own."""
        for line in text.splitlines():
            self._run.say(self._prefixes.line(_SYSTEM, line))

    def end(self) -> None:
        """Show nothing more."""
        for talker in self._talkers:
            talker.cancel()

    async def work(self, group: asyncio.TaskGroup) -> None:
        """Everything up to the moment all Apps run; what they say is shown by tasks of `group`."""
        stack = self._run.stack
        images = await self._images() if self._run.needs_images else {}
        release = await self._release(replace(self._run.request, images=images))
        promotion = await self._operations.promote(stack, release.id)
        self._talkers += [
            group.create_task(self._quietly(self._show_logs)),
            group.create_task(self._quietly(lambda: self._show_events(promotion))),
        ]
        await self._start(promotion)

    async def _start(self, promotion: PromotionView) -> None:
        await self._certify()
        await self._wait(promotion)
        view = await self._operations.stack(self._run.stack)
        routes = await self._operations.map(self._run.stack)
        columns = self._run.columns and self._run.columns - self._prefixes.width
        lines = [ending_line(view), *map_lines(routes, columns=columns), "Ctrl-C stops it."]
        self.note("\n".join(lines))

    async def _images(self) -> dict[str, str]:
        """The image of every App that has one built, each different build done once."""
        images: dict[str, str] = {}
        done: dict[str, str] = {}
        for app in self._run.apps:
            if app.build is not None:
                key = repr(app.build)
                if key not in done:
                    done[key] = await self._built(app, app.build)
                images[app.name] = done[key]
        return images

    async def _release(self, request: ReleaseRequest) -> ReleaseView:
        """A release; an image that is missing is fetched, each one once."""
        fetched: set[str] = set()
        while True:
            try:
                return await self._operations.create_release(self._run.stack, request)
            except ImageMissingError as error:
                if error.image in fetched:
                    raise
                fetched.add(error.image)
                self.note(f"pulling {error.image}")
                await _last_image(self._operations.pull(error.image), lambda _: None)

    async def _built(self, app: App, build: Build) -> str:
        self.note(f"building {app.name}")
        wanted = replace(build, dockerfile=dockerfile_in_context(build))
        steps = self._operations.build(self._run.stack, app.name, wanted, _streamed(build))
        return await _last_image(steps, self.note)

    async def _certify(self) -> None:
        """A certificate nobody vouches for is what a developer's own machine needs."""
        for app in self._run.apps:
            for spec in app.ports:
                if spec.listener.protocol in _ENCRYPTED:
                    for service_port in spec.service_ports:
                        await self._operations.put_certificate(
                            self._run.stack,
                            f"{app.name}:{service_port}",
                            certificate_pem="",
                            key_pem="",
                            replace=False,
                        )

    async def _wait(self, promotion: PromotionView) -> None:
        while True:
            view = await self._operations.stack(self._run.stack)
            now = latest(view, promotion.deployments)
            if is_over(now):
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        told = [failure_text(one) for one in culprits(now.values())]
        if told:
            raise WorldError(
                " ".join(message for message, _ in told),
                hint="\n".join(reason for _, reason in told if reason),
            )

    async def _show_logs(self) -> None:
        async for instance, line in self._operations.logs(self._run.stack, follow=True):
            self._heard.add(instance)
            self._run.say(self._prefixes.line(instance.rpartition(".")[0], line.text))

    async def _show_events(self, promotion: PromotionView) -> None:
        events = self._operations.events(
            after=promotion.sequence, stack=self._run.stack, follow=True
        )
        async for event in events:
            if is_noted(event):
                first, _, rest = event.message.partition("\n")
                name = event.instance_id.rpartition("/")[2]
                # The log lines a reason ends with are told only when they were not shown before.
                self.note(first if name in self._heard else f"{first}\n{rest}")

    async def _quietly(self, talk: Callable[[], Awaitable[None]]) -> None:
        """Losing the view of something is no reason to stop it."""
        error = await _error_of(talk())
        if error is not None:
            self.note(error.message)


async def _first(
    work: Coroutine[Any, Any, PortwayError | None], signal: asyncio.Event, *, stays: bool = True
) -> PortwayError | None:
    """The error the work ended with, None when the signal came first; work that `stays` is waited with once it is done."""
    async with asyncio.TaskGroup() as group:
        task, waiter = group.create_task(work), group.create_task(signal.wait())
        await asyncio.wait((task, waiter), return_when=asyncio.FIRST_COMPLETED)
        if stays and task.done() and task.result() is None:
            await waiter
        error = task.result() if task.done() else None
        task.cancel()
        waiter.cancel()
    return error


async def _error_of(work: Awaitable[None]) -> PortwayError | None:
    try:
        await work
    except PortwayError as error:
        return error
    return None


async def _last_image(steps: AsyncIterator[Progress], say: Callable[[str], None]) -> str:
    image = ""
    async for step in steps:
        image = step.image or image
        say(f"  {step.text}")
    return image


async def _streamed(build: Build) -> AsyncIterator[bytes]:
    for chunk in context_stream(build):
        yield chunk


def shifts_of(apps: tuple[App, ...], shift: int) -> Mapping[str, int]:
    """How far each App's published ports move: its own label's number on top of --shift."""
    return {app.name: app.start_shift + shift for app in apps if app.start_shift + shift}
