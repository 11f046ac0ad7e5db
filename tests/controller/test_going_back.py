"""Which App goes back, and to what."""

from __future__ import annotations

import pytest

from portway.controller.going_back import release_before
from portway.core.app import App
from portway.core.errors import RequestError
from portway.core.receipt import Receipt
from portway.core.stack import Release
from portway.core.state import AppState, Revision


def release(
    release_id: str, name: str = "web", *, image: str = "", status: str = "done"
) -> Release:
    receipt = Receipt(deployment="D", release=release_id, status=status, started_at_ms=1)
    app = App(id=f"shop/{name}", image=image or release_id)
    return Release(
        id=release_id, stack="shop", created_at_ms=1, manifest="", manifest_name="", apps=(app,),
        partial=True, receipts=(receipt,),
    )  # fmt: skip


def runs(one: Release) -> AppState:
    app = one.apps[0]
    return AppState(app_id=app.id, target=Revision(id=one.id, release=one.id, app=app))


R1, R2, FAILED, R3 = release("R1"), release("R2"), release("RF", status="failed"), release("R3")
API1, API2 = release("A1", "api"), release("A2", "api")


def test_the_app_that_was_changed_last_goes_back() -> None:
    releases = [FAILED, R2, API2, R1, API1]
    assert release_before("shop", [runs(R2), runs(API2)], releases) == ("web", R1)
    assert release_before("shop", [runs(R2), runs(API2)], releases, asked="api") == ("api", API1)


def test_nobody_goes_back_to_what_failed() -> None:
    assert release_before("shop", [runs(R3)], [R3, FAILED, R2, R1]) == ("web", R2)


def test_what_went_back_goes_further_back() -> None:
    again = release("R4", image="R2")
    assert release_before("shop", [runs(again)], [again, R3, R2, R1]) == ("web", R1)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("wbe", 'no app and no release "wbe". Did you mean "web"'),
        ("", "web has no earlier release"),
    ],
)
def test_where_there_is_nothing_to_go_back_to_it_is_said(asked: str, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        release_before("shop", [runs(R1)], [R1], asked=asked)
    with pytest.raises(RequestError, match="nothing that could go back"):
        release_before("shop", [], [])
