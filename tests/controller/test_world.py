"""What the controller knows: by stack, by App, and nothing of what is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.controller.world import (
    World,
    app_of,
    link_targets,
    network_aliases,
    short_id,
    unmet_dependency,
)
from portway.core.app import (
    App,
    Condition,
    Dependency,
    Exposure,
    Link,
    Network,
    PortSpec,
    TargetBinding,
)
from portway.core.instance import InstanceIdentity, InstanceRecord, Phase
from portway.core.placement import NodeView
from portway.core.stack import Certificate, Stack
from portway.core.state import AppState, Revision
from portway.store.base import Batch, Snapshot


def test_the_nodes_that_are_drained_are_those_of_now() -> None:
    world = World(nodes=(NodeView(name="a", address=""), NodeView(name="b", address="", draining=True)))  # fmt: skip
    assert (world.emptied(), world.emptied()) == ({"b"}, {"b"})
    world.nodes = (replace(world.nodes[0], draining=True),)
    assert world.emptied() == {"a"}


def revision(app_id: str, **fields: object) -> Revision:
    return Revision(id="R", release="R", app=App(id=app_id, **fields))  # type: ignore[arg-type]


def record(app_id: str, serial: int, *, node: str = "a", **fields: object) -> InstanceRecord:
    identity = InstanceIdentity(
        id=f"{app_id}.1.{serial}", app_id=app_id, slot=1, serial=serial, revision="R",
        release="R", node=node,
    )  # fmt: skip
    return InstanceRecord(identity=identity, planned_at_ms=0, **fields)  # type: ignore[arg-type]


def state(app_id: str, *records: InstanceRecord, count: int = 1, **fields: object) -> AppState:
    return AppState(
        app_id=app_id, target=revision(app_id, **fields), instances=records, count=count
    )


def world(*states: AppState) -> World:
    made = World()
    made.restore(Snapshot(home_id="h", stacks=(), apps=states, certificates=(), cooling=()))
    return made


def test_apps_are_found_by_their_stack_and_never_by_a_prefix() -> None:
    made = world(state("shop/web"), state("shop2/web"), state("shop/api"), state("a/shop/web"))
    assert [s.app_id for s in made.of_stack("shop")] == ["shop/api", "shop/web"]
    made.remember(Batch(deleted_apps=("shop/api", "shop/web")))
    assert made.of_stack("shop") == ()
    assert set(made.names) == {"shop2", "a/shop"}


def test_who_is_bound_to_a_target_group_is_known_until_no_revision_of_it_is() -> None:
    one = (TargetBinding(group="one", container="web", container_port=80),)
    made = world(state("shop/web", targets=one), state("shop/api"))
    assert made.members == {"one": {"shop/web"}}
    two = (TargetBinding(group="two", container="web", container_port=80),)
    both = replace(
        state("shop/web", targets=two), revisions={"R0": revision("shop/web", targets=one)}
    )
    made.remember(Batch(apps=(both,)))
    assert made.members == {"one": {"shop/web"}, "two": {"shop/web"}}
    made.remember(Batch(apps=(replace(both, revisions={}),)))
    assert made.members == {"two": {"shop/web"}}
    made.remember(Batch(deleted_apps=("shop/web",)))
    assert made.members == {}


def test_what_is_saved_is_known_with_its_next_version() -> None:
    made = world()
    certificate = Certificate(
        name="c", target="shop/web:443", pem="", domains=("a",), expires_at_ms=0, fingerprint=""
    )
    made.remember(
        Batch(
            stacks=(Stack(name="shop", created_at_ms=1),),
            apps=(state("shop/web"),),
            certificates=(certificate,),
        )
    )
    assert made.apps["shop/web"].version == 1
    assert made.certificates_for("shop/web") == {443: ("c",)}
    assert (made.certificates_of("shop"), made.certificates_of("sho")) == (("c",), ())
    made.remember(Batch(deleted_stacks=("shop",), deleted_certificates=("c",)))
    assert (made.stacks, made.certificates) == ({}, {})
    assert made.certificates_for("shop/web") == {}


def test_the_certificates_of_a_listener_are_those_of_its_app_by_name() -> None:
    targets = {"b": "shop/web:443", "a": "shop/web:443", "c": "shop/web:8443", "d": "shop/api:443"}
    certificates = tuple(
        Certificate(name=n, target=t, pem="", domains=(), expires_at_ms=0, fingerprint="")
        for n, t in targets.items()
    )
    made = World()
    made.restore(Snapshot(home_id="h", stacks=(), apps=(), certificates=certificates, cooling=()))
    assert made.certificates_for("shop/web") == {443: ("a", "b"), 8443: ("c",)}
    made.remember(Batch(deleted_certificates=("a",)))
    assert made.certificates_for("shop/web") == {443: ("b",), 8443: ("c",)}
    assert made.certificates_for("shop/api") == {443: ("d",)}
    assert made.certificates_for("other/web") == {}


def test_the_load_of_each_node_is_what_lives_there() -> None:
    gone = record("s/web", 3, phase=Phase.GONE)
    made = world(state("s/web", record("s/web", 1), record("s/web", 2, node="b"), gone))
    assert made.load == {"a": 1, "b": 1}
    made.remember(Batch(apps=(state("s/web", record("s/web", 4)),)))
    assert made.load == {"a": 1, "b": 0}
    made.remember(Batch(deleted_apps=("s/web",)))
    assert made.load == {"a": 0, "b": 0}


def test_nothing_is_kept_about_a_deleted_app() -> None:
    made = world(state("s/web", record("s/web", 1, phase=Phase.GONE)))
    about_apps = (made.applied, made.route_errors, made.blocked, made.problems)
    about_instances = (made.health, made.start_failures, made.last_words, made.explanations)
    for known in about_apps:
        known["s/web"] = known["s/api"] = ()  # type: ignore[assignment,index]
    for known in about_instances:
        known["s/web.1.1"] = ""  # type: ignore[assignment,index]
    made.remember(Batch(deleted_apps=("s/web", "s/unknown")))
    assert [set(known) for known in about_apps] == [{"s/api"}] * 4
    assert [set(known) for known in about_instances] == [set()] * 4


def test_ids_are_taken_apart() -> None:
    assert app_of("shop/my.app.1.22") == "shop/my.app"
    assert short_id("shop/my.app.1.22") == "my.app.1.22"


STARTED, HEALTHY, COMPLETED = Condition.STARTED, Condition.HEALTHY, Condition.COMPLETED


@pytest.mark.parametrize(
    ("condition", "db", "met"),
    [
        (STARTED, (), False),
        (STARTED, (record("s/db", 1),), False),
        (STARTED, (record("s/db", 1, phase=Phase.STARTED),), True),
        (HEALTHY, (record("s/db", 1, phase=Phase.STARTED),), False),
        (HEALTHY, (record("s/db", 1, phase=Phase.READY),), True),
        (HEALTHY, (record("s/db", 1, phase=Phase.DRAINING),), False),
        (COMPLETED, (record("s/db", 1, phase=Phase.READY),), False),
        (COMPLETED, (record("s/db", 1, phase=Phase.GONE, exit_code=0),), True),
        (COMPLETED, (record("s/db", 1, phase=Phase.GONE, exit_code=1, failed=True),), False),
    ],
)
def test_a_dependency_is_met_as_its_condition_says(
    condition: Condition, db: tuple[InstanceRecord, ...], met: bool
) -> None:
    made = world(state("s/db", *db))
    web = revision("s/web", depends_on=(Dependency(name="db", condition=condition),))
    expected = "" if met else f"it waits for db to be {condition.name.lower()}"
    assert unmet_dependency(made, web) == expected


def test_an_app_scaled_to_nothing_holds_nobody_up() -> None:
    made = world(state("s/db", count=0))
    for condition in (STARTED, HEALTHY):
        web = revision("s/web", depends_on=(Dependency(name="db", condition=condition),))
        assert unmet_dependency(made, web) == ""


def test_a_dependency_that_is_not_deployed_is_said_unless_it_may_be_absent() -> None:
    required = revision("s/web", depends_on=(Dependency(name="db"),))
    assert unmet_dependency(world(), required) == "it waits for db, which is not deployed"
    optional = revision("s/web", depends_on=(Dependency(name="db", required=False),))
    assert unmet_dependency(world(), optional) == ""


DB_PORTS = (
    PortSpec(name="9000", container_port=9000, service_ports=(9000,)),
    PortSpec(name="5432", container_port=5432, exposure=Exposure.INTERNAL, service_ports=(10000,)),
)


def test_a_link_is_an_alias_where_names_are_resolved_and_a_listener_elsewhere() -> None:
    db = state("s/db", ports=DB_PORTS, environment={"LINK_PORT": "5432"})
    web = revision("s/web", links=(Link(name="db", alias="database"), Link(name="no", alias="no")))
    (named,) = link_targets(world(db), web, resolves_names=True)
    assert (named.alias, named.address, named.port_number) == ("database", "database", 5432)
    (local,) = link_targets(world(db), web, resolves_names=False)
    assert (local.address, local.port_number) == ("127.0.0.1", 10000)


def test_a_link_to_an_app_without_ports_is_no_target() -> None:
    web = revision("s/web", links=(Link(name="db", alias="db"),))
    assert link_targets(world(state("s/db")), web, resolves_names=True) == ()
    assert link_targets(world(state("s/db")), web, resolves_names=False) == ()


def test_an_app_is_found_under_its_name_its_aliases_and_those_of_links_to_it() -> None:
    db = state("s/db", networks=(Network(name="back", aliases=("pg",)),))
    web = state("s/web", links=(Link(name="db", alias="database"),))
    stranger = state("t/web", links=(Link(name="db", alias="theirs"),))
    made = world(db, web, stranger)
    assert db.target is not None
    assert network_aliases(made, db.target) == ("database", "db", "pg")
