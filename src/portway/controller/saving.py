"""Saving: never half, not even when the caller leaves or the store does not say whether it saved."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from portway.controller.world import World
from portway.store.base import Batch

T = TypeVar("T")


async def to_the_end(work: Coroutine[None, None, None]) -> None:
    """Do it whole: whoever is cancelled meanwhile leaves after it."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise


class Doubts:
    """What failed saves may have saved all the same: the next save says with it what is really so.

    A database that is lost while it commits may have committed. Alone such a batch does no harm, for it is
    whole; beside later ones it would be a mixture nobody decided, such as a port leased twice.
    """

    def __init__(self) -> None:
        self._failed: list[Batch] = []

    def note(self, batch: Batch) -> None:
        """This save failed."""
        self._failed.append(batch)

    def forget(self) -> None:
        """A save that said what is so has succeeded."""
        self._failed.clear()

    def settled(self, batch: Batch, world: World) -> Batch:
        """The batch, and everything else that failed saves named as it is known to be."""
        failed = self._failed
        if not failed:
            return batch
        apps = _doubtful(
            [s.app_id for b in failed for s in b.apps]
            + [i for b in failed for i in b.deleted_apps],
            [s.app_id for s in batch.apps] + [*batch.deleted_apps],
        )
        stacks = _doubtful(
            [s.name for b in failed for s in b.stacks]
            + [n for b in failed for n in b.deleted_stacks],
            [s.name for s in batch.stacks] + [*batch.deleted_stacks],
        )
        certificates = _doubtful(
            [c.name for b in failed for c in b.certificates]
            + [n for b in failed for n in b.deleted_certificates],
            [c.name for c in batch.certificates] + [*batch.deleted_certificates],
        )
        return replace(
            batch,
            apps=(*batch.apps, *_known(apps, world.apps)),
            deleted_apps=(*batch.deleted_apps, *_unknown(apps, world.apps)),
            stacks=(*batch.stacks, *_known(stacks, world.stacks)),
            deleted_stacks=(*batch.deleted_stacks, *_unknown(stacks, world.stacks)),
            certificates=(*batch.certificates, *_known(certificates, world.certificates)),
            deleted_certificates=(
                *batch.deleted_certificates, *_unknown(certificates, world.certificates)
            ),
        )  # fmt: skip


def _doubtful(named: Iterable[str], said: Iterable[str]) -> list[str]:
    """Each name once that the batch itself says nothing about."""
    return [name for name in dict.fromkeys(named) if name not in set(said)]


def _known(names: Iterable[str], known: Mapping[str, T]) -> list[T]:
    return [known[name] for name in names if name in known]


def _unknown(names: Iterable[str], known: Mapping[str, T]) -> list[str]:
    return [name for name in names if name not in known]
