"""A stack's variables: read, changed; a change makes a release that nothing runs until it is promoted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from portway.controller.clock import random_letters
from portway.controller.lookup import find_stack
from portway.controller.loop import Controller
from portway.controller.views import EnvView
from portway.core.errors import RequestError
from portway.core.stack import Release, Stack, release_id
from portway.core.suggest import did_you_mean
from portway.store.base import Batch

VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ChangesEnvironment:
    """The part of PortwayOperations about variables."""

    controller: Controller

    async def environment(self, stack: str) -> EnvView:
        known = find_stack(self.controller.world, stack)
        return EnvView(stack=stack, environment=dict(known.environment))

    async def change_environment(
        self,
        stack: str,
        *,
        set_: Mapping[str, str],
        unset: Sequence[str],
        within_policy: bool = False,
    ) -> EnvView:
        async with self.controller.changing() as world:
            known = find_stack(world, stack)
            _check(known.environment, set_, unset)
            environment = {k: v for k, v in {**known.environment, **set_}.items() if k not in unset}
            base = await self._base(known)
            if within_policy:
                # A variable can make a program do anything; one with an admin's powers is an admin's.
                for release in base:
                    self.controller.policy.check(
                        release.apps, directory=known.directory, file=release.manifest_name
                    )
            releases = tuple(
                replace(
                    release,
                    id=release_id(random_letters()),
                    created_at_ms=self.controller.clock.now_ms(),
                    environment=environment,
                    description="variables changed: " + ", ".join(sorted({*set_, *unset})),
                )
                for release in base
            )
            await self.controller.save(
                Batch(stacks=(replace(known, environment=environment),), releases=releases)
            )
        made = releases[0].id if releases else ""
        return EnvView(stack=stack, environment=environment, release=made)

    async def _base(self, stack: Stack) -> Sequence[Release]:
        """What the changed variables are for: the release that runs, never one that failed or was left again."""
        if stack.active_release is not None:
            active = await self.controller.store.release(stack.name, stack.active_release)
            if active is not None:
                return (active,)
        return await self.controller.store.releases(stack.name, limit=1)


def _check(before: Mapping[str, str], set_: Mapping[str, str], unset: Sequence[str]) -> None:
    for name, value in set_.items():
        if not VARIABLE_NAME.fullmatch(name):
            raise RequestError(
                f'"{name}" cannot be the name of a variable',
                hint="Use letters, digits and _, not beginning with a digit.",
            )
        if "\0" in value:
            raise RequestError(
                f"the value of {name} contains a NUL byte, which no program can read"
            )
    for name in unset:
        if name not in before:
            raise RequestError(
                f"{name} is not set.{did_you_mean(name, list(before))}",
                hint="`portway env` lists what is set.",
                http_status=404,
            )
