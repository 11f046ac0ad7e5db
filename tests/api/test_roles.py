"""Roles: each has everything the one before may; who was not let in by the guard may not more than look."""

from __future__ import annotations

import pytest

from portway.api.roles import SCOPE_KEY, Role, refuse_without, role_in
from portway.core.errors import RequestError


def test_each_role_may_what_the_ones_before_it_may() -> None:
    assert [[one.covers(other) for other in Role] for one in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_without_a_guard_nobody_may_more_than_look() -> None:
    assert role_in({}) is Role.READ
    assert role_in({SCOPE_KEY: "admin"}) is Role.READ
    assert role_in({SCOPE_KEY: Role.ADMIN}) is Role.ADMIN


def test_a_refusal_names_both_roles() -> None:
    refuse_without({SCOPE_KEY: Role.DEPLOY}, Role.DEPLOY)
    with pytest.raises(RequestError, match="role deploy, and that needs the role admin") as caught:
        refuse_without({SCOPE_KEY: Role.DEPLOY}, Role.ADMIN)
    assert caught.value.http_status == 403
