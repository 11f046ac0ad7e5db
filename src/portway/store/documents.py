"""Documents in the tables of a SQL store, and in memory. Knows rows, not what a document means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, func, insert, select, update

from portway.store import schema
from portway.store.base import Document
from portway.store.codec import decode, encode
from portway.store.refusals import document_changed

T = TypeVar("T")

Run = Callable[[Callable[[Connection], T]], Awaitable[T]]

_table = schema.documents


class SqlDocuments:
    """Documents of one SQL database. `read` and `write` run a query in a transaction, off the event loop."""

    def __init__(self, *, read: Run[Any], write: Run[Any], where: str) -> None:
        self._read = read
        self._write = write
        self._where = where

    async def put(
        self,
        kind: str,
        key: str,
        document: Mapping[str, Any],
        expected_version: int | None = None,
    ) -> Document:
        """Make or replace one."""
        text = encode(document)

        def call(connection: Connection) -> int:
            return _put(connection, kind, key, text, expected_version)

        version = await self._write(call)
        return Document(kind=kind, key=key, version=version, body=self._body(kind, key, text))

    async def get(self, kind: str, key: str) -> Document | None:
        """One of a kind."""
        query = select(_table.c.version, _table.c.document).where(*_is(kind, key))
        found = await self._read(lambda connection: connection.execute(query).first())
        if found is None:
            return None
        body = self._body(kind, key, found.document)
        return Document(kind=kind, key=key, version=found.version, body=body)

    async def list(self, kind: str, prefix: str = "") -> tuple[Document, ...]:
        """Those whose key begins with `prefix`."""
        query = select(_table.c.key, _table.c.version, _table.c.document).where(
            *_begins(kind, prefix)
        )
        found = await self._read(lambda connection: connection.execute(query).all())
        return tuple(
            Document(kind=kind, key=row.key, version=row.version, body=self._body(kind, row.key, row.document))
            for row in sorted(found, key=lambda row: row.key)
        )  # fmt: skip

    async def keys(self, kind: str, prefix: str = "") -> tuple[str, ...]:
        """Their keys alone."""
        query = select(_table.c.key).where(*_begins(kind, prefix))
        found = await self._read(lambda connection: connection.execute(query).scalars().all())
        return tuple(sorted(found))

    async def delete(self, kind: str, key: str) -> bool:
        """Forget one."""
        statement = delete(_table).where(*_is(kind, key))
        return await self._write(
            lambda connection: connection.execute(statement).rowcount > 0,
        )

    def _body(self, kind: str, key: str, text: str) -> dict[str, Any]:
        return decode(dict, text, where=f"{kind} {key} in {self._where}")


class MemoryDocuments:
    """Documents in a dict. `read` and `write` are called before each look and change: they may refuse it."""

    def __init__(
        self,
        kept: Callable[[], dict[tuple[str, str], tuple[int, str]]] | None = None,
        *,
        read: Callable[[], object] = lambda: None,
        write: Callable[[], object] = lambda: None,
    ) -> None:
        own: dict[tuple[str, str], tuple[int, str]] = {}
        self._kept = kept or (lambda: own)
        self._read = read
        self._write = write

    async def put(
        self,
        kind: str,
        key: str,
        document: Mapping[str, Any],
        expected_version: int | None = None,
    ) -> Document:
        """Make or replace one."""
        text = encode(document)
        self._write()
        stored = self._kept().get((kind, key), (0, ""))[0]
        if expected_version is not None and expected_version != stored:
            raise document_changed(kind, key, stored=stored, given=expected_version)
        self._kept()[kind, key] = (stored + 1, text)
        return _document(kind, key, (stored + 1, text))

    async def get(self, kind: str, key: str) -> Document | None:
        """One of a kind."""
        self._read()
        found = self._kept().get((kind, key))
        return None if found is None else _document(kind, key, found)

    async def list(self, kind: str, prefix: str = "") -> tuple[Document, ...]:
        """Those whose key begins with `prefix`."""
        self._read()
        return tuple(
            _document(kind, key, found)
            for (of, key), found in sorted(self._kept().items())
            if of == kind and key.startswith(prefix)
        )

    async def keys(self, kind: str, prefix: str = "") -> tuple[str, ...]:
        """Their keys alone."""
        self._read()
        return tuple(sorted(k for of, k in self._kept() if of == kind and k.startswith(prefix)))

    async def delete(self, kind: str, key: str) -> bool:
        """Forget one."""
        self._write()
        return self._kept().pop((kind, key), None) is not None


def _put(
    connection: Connection, kind: str, key: str, text: str, expected_version: int | None
) -> int:
    """The one writer's transaction: between looking and writing nobody else changes it."""
    stored = connection.scalar(select(_table.c.version).where(*_is(kind, key))) or 0
    if expected_version is not None and expected_version != stored:
        raise document_changed(kind, key, stored=stored, given=expected_version)
    values = {"version": stored + 1, "document": text}
    if stored:
        connection.execute(update(_table).where(*_is(kind, key)).values(values))
    else:
        connection.execute(insert(_table).values(kind=kind, key=key, **values))
    return stored + 1


def _is(kind: str, key: str) -> tuple[Any, Any]:
    return _table.c.kind == kind, _table.c.key == key


def _begins(kind: str, prefix: str) -> list[Any]:
    # LIKE would take capitals for small letters in SQLite.
    begins = [func.substr(_table.c.key, 1, len(prefix)) == prefix] if prefix else []
    return [_table.c.kind == kind, *begins]


def _document(kind: str, key: str, found: tuple[int, str]) -> Document:
    version, text = found
    return Document(kind=kind, key=key, version=version, body=decode(dict, text))
