"""A Face over documents in memory, for the functions that are given one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from portway.api.aws.face import Caller, Face
from portway.api.aws.keys import KeyFolder
from portway.api.aws.operation import Request
from portway.api.roles import Role
from portway.store.documents import MemoryDocuments
from tests.api.fakes import FakeOperations

NOW_MS = 1_700_000_000_000
ARNS = "arn:aws:ecs:us-east-1:000000000000:"


def made_face(operations: Any = None, **fields: Any) -> Face:
    """An administrator's, at one moment that does not pass; its ids are 1, 2, 3 ..."""
    numbers = count(1)
    given = {
        "operations": operations or FakeOperations(),
        "documents": MemoryDocuments(),
        "keys": KeyFolder(Path("/nowhere")),
        "account_id": "000000000000",
        "region": "us-east-1",
        "caller": Caller(name="root", role=Role.ADMIN, arn="arn:aws:iam::000000000000:root"),
        "now_ms": lambda: NOW_MS,
        "new_id": lambda size_bytes: f"{next(numbers):0{2 * size_bytes}x}",
    }
    return Face(**{**given, **fields})


def asked(operation: str, /, service: str = "ecs", **members: Any) -> Request:
    """A request as operations get it."""
    given: Mapping[str, Any] = members
    return Request(service=service, operation=operation, input=given)
