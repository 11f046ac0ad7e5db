"""Role: what a caller may do. Three of them, each with everything the one before may. Decides nothing else."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from starlette.types import Scope

from portway.core.errors import RequestError

SCOPE_KEY = "portway.role"  # where the guard writes down whose request it let through


class Role(StrEnum):
    """READ looks. DEPLOY changes what runs, within the policy. ADMIN does everything on the machine."""

    READ = "read"
    DEPLOY = "deploy"
    ADMIN = "admin"

    def covers(self, needed: Role) -> bool:
        """Whether a caller of this role may do what needs the other."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


def role_in(scope: Scope) -> Role:
    """The role the guard found; without a guard in front nobody may more than look."""
    found: Any = scope.get(SCOPE_KEY)
    return found if isinstance(found, Role) else Role.READ


def refuse_without(scope: Scope, needed: Role) -> None:
    """RequestError (403) when the caller's role does not cover the one that is needed."""
    role = role_in(scope)
    if not role.covers(needed):
        raise RequestError(
            f"This token has the role {role.value}, and that needs the role {needed.value}.",
            hint=f"Use another token; `portway token create NAME --role {needed.value}` "
            "on the server's machine makes one.",
            http_status=403,
        )
