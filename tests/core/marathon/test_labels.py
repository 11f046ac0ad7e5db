"""What an App says of the definition it was made from."""

from __future__ import annotations

from portway.core.app import App
from portway.core.marathon.labels import (
    Origin,
    labels_of,
    origin_of,
    origin_of_state,
    users_labels,
)
from portway.core.state import AppState, Revision

FULL = Origin(
    path="/shop/web",
    version="2015-02-03T12:30:00.000Z",
    role="dev",
    docker=True,
    enforces_role=True,
    own_labels={"a": "b"},
    disk_mib={"": 10.0},
    cpus={"": 0.001},
    memory_mib={"": 4.0},
    names={"p0": ""},
)


def made(origin: Origin, **labels: str) -> App:
    return App(id="shop/web", labels={**labels_of(origin), **labels})


def test_everything_said_is_read_back() -> None:
    for origin in (FULL, Origin(path="/a")):
        assert origin_of(made(origin)) == origin


def test_what_is_as_by_default_is_not_said() -> None:
    assert labels_of(Origin(path="/a")) == {"portway.marathon.id": "/a"}


def test_the_users_labels_are_the_others() -> None:
    assert users_labels(made(FULL, owner="me").labels) == {"owner": "me"}


def test_an_app_from_elsewhere_has_no_origin_and_broken_labels_break_nothing() -> None:
    assert origin_of(App(id="shop/web", labels={"portway.marathon.role": "x"})) is None
    broken = {
        "portway.marathon.id": "/a",
        "portway.marathon.names": "[",
        "portway.marathon.disk": "1",
    }
    assert origin_of(App(id="shop/web", labels=broken)) == Origin(path="/a")


def test_an_app_on_its_way_out_is_what_it_ran_last() -> None:
    revision = Revision(id="R1", release="R1", app=made(FULL))
    state = AppState(app_id="shop/web", target=None, revisions={"R1": revision})
    assert origin_of_state(state) == FULL
    assert origin_of_state(AppState(app_id="shop/web", target=None)) is None
