"""A request becomes a release: parsed, checked against engine and other stacks, images pinned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from portway.controller.releasing import check_engine, check_stack_name, with_images
from portway.controller.views import ReleaseRequest
from portway.core.app import App, Container, NetworkMode
from portway.core.errors import EngineError, ManifestError, RequestError
from portway.engines.memory import ImageBehaviour
from tests.controller.inprocess import WEB, Portway, compose

VIRTUAL_TIME = True


@pytest.mark.parametrize("name", ["shop", "0", "a-b_c.d", "x" * 63])
def test_a_stack_name_names_networks_and_labels(name: str) -> None:
    check_stack_name(name)


@pytest.mark.parametrize(
    "name", ["", "Shop", "-a", ".a", "a/b", "a b", "a\n", "x" * 64, "ü", "..", "a:b"]
)
def test_a_name_that_cannot_name_them_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="cannot be the name of a stack"):
        check_stack_name(name)


async def test_a_manifest_with_mistakes_makes_no_release_and_no_stack(portway: Portway) -> None:
    with pytest.raises(ManifestError):
        await portway.release("shop", compose(web="image: web; ports: ['80:80:80:80']"))
    assert portway.world.stacks == {}
    assert portway.store.batches == []


async def test_a_manifest_whose_profiles_choose_nothing_is_refused(portway: Portway) -> None:
    with pytest.raises(RequestError, match="names no service to run"):
        await portway.release("shop", compose(web="image: web; profiles: [debug]"))
    view = await portway.release(
        "shop", compose(web="image: web; profiles: [debug]"), profiles=("debug",)
    )
    assert view.apps == ("web",)


async def test_an_image_is_pinned_to_what_it_means_now(portway: Portway) -> None:
    release = await portway.release("shop", WEB)
    stored = await portway.store.release("shop", release.id)
    assert stored is not None
    (app,) = stored.apps
    assert app.image == "web"
    assert app.image_id.startswith("sha256:")


async def test_an_image_that_is_not_there_is_said_with_its_app(portway: Portway) -> None:
    with pytest.raises(RequestError, match="web: Image missing is not on this machine") as caught:
        await portway.release("shop", compose(web="image: missing"))
    assert caught.value.hint


async def test_an_engine_that_cannot_answer_is_no_fault_of_the_request(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(image: str) -> str:
        raise EngineError("the engine does not answer")

    monkeypatch.setattr(portway.engine, "resolve_image", away)
    with pytest.raises(EngineError):
        await portway.release("shop", WEB)


async def test_an_app_to_be_built_needs_its_image(portway: Portway) -> None:
    manifest = compose(web="build: .")
    with pytest.raises(RequestError, match="has to be built"):
        await portway.release("shop", manifest, directory="/src")
    view = await portway.release(
        "shop", manifest, directory="/src", images={"web": "portway/shop-web:b1"}
    )
    stored = await portway.store.release("shop", view.id)
    assert stored is not None
    assert stored.apps[0].image == "portway/shop-web:b1"


async def test_an_image_for_an_app_nobody_named_is_refused(portway: Portway) -> None:
    with pytest.raises(RequestError, match="wep") as caught:
        await portway.release("shop", WEB, images={"wep": "x"})
    assert 'Did you mean "web"?' in str(caught.value)


async def test_the_stacks_variables_fill_what_the_request_leaves_open(portway: Portway) -> None:
    await portway.release("shop", WEB)
    await portway.operations.change_environment("shop", set_={"TAG": "7"}, unset=())
    manifest = compose(web="image: 'web:${TAG}'")
    for variables, image in (({}, "web:7"), ({"TAG": "8"}, "web:8")):
        view = await portway.release("shop", manifest, variables=variables)
        stored = await portway.store.release("shop", view.id)
        assert stored is not None
        assert stored.apps[0].image == image


async def test_a_stack_keeps_where_it_was_deployed_from(portway: Portway) -> None:
    await portway.release("shop", WEB, directory="/src/shop")
    await portway.release("shop", WEB)
    assert portway.world.stacks["shop"].directory == "/src/shop"


def test_what_an_engine_cannot_run_is_refused(portway: Portway) -> None:
    images = replace(portway.engine.traits, runs_commands=False)
    commands = replace(portway.engine.traits, runs_images=False)
    check_engine(App(id="s/a", image="web"), images)
    check_engine(App(id="s/a", command=("serve",)), commands)
    check_engine(App(id="s/a", command_text="serve"), portway.engine.traits)
    with pytest.raises(RequestError, match="neither an image nor a build"):
        check_engine(App(id="s/a", command=("serve",)), images)
    with pytest.raises(RequestError, match="has no command"):
        check_engine(App(id="s/a", image="web"), commands)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"containers": (Container(name="side", image="side"),)}, "has several containers"),
        ({"network_mode": NetworkMode.BRIDGE}, 'has the network mode "bridge"'),
    ],
)
def test_what_needs_containers_is_refused_where_there_are_none(
    portway: Portway, fields: dict[str, Any], said: str
) -> None:
    app = App(id="s/web", image="web", command=("serve",), **fields)
    check_engine(app, portway.engine.traits)
    with pytest.raises(RequestError, match=said):
        check_engine(app, replace(portway.engine.traits, runs_groups=False))


BARE = App(id="s/a", command=("x",), network_mode=NetworkMode.HOST, environment_form="marathon")


def test_where_both_run_a_command_without_an_image_is_a_process_of_marathon_only(
    portway: Portway,
) -> None:
    both = replace(portway.engine.traits, runs_both=True)
    check_engine(BARE, both)
    with pytest.raises(RequestError, match="a names neither an image nor a build"):
        check_engine(replace(BARE, environment_form=""), both)


@pytest.mark.parametrize(
    ("app", "said"),
    [
        (
            replace(BARE, network_mode=NetworkMode.OWN),
            'a has the network mode "own", and what names no image',
        ),
        (
            replace(BARE, containers=(Container(name="b", image=""),)),
            "a has several containers, and what",
        ),
        (
            replace(BARE, image="web", containers=(Container(name="b", image=""),)),
            "a has containers with an image, and others without one: b",
        ),
    ],
)
def test_where_both_run_an_app_is_all_containers_or_one_process(
    app: App, said: str, portway: Portway
) -> None:
    with pytest.raises(RequestError, match=said):
        check_engine(app, replace(portway.engine.traits, runs_both=True))


def test_containers_that_name_none_of_each_other_are_refused(portway: Portway) -> None:
    app = App(id="s/web", image="web", container_links=(("db", "db"),))
    with pytest.raises(RequestError, match="names db, which is none of its containers"):
        check_engine(app, portway.engine.traits)


async def test_every_container_of_an_app_is_pinned(portway: Portway) -> None:
    app = App(id="s/web", image="web", containers=(Container(name="side", image="side"),))
    request = ReleaseRequest(manifest="", manifest_name="")
    (pinned,) = await with_images([app], request, portway.engine)
    assert pinned.containers[0].image_id == await portway.engine.resolve_image("side")
    portway.engine.behave("side", ImageBehaviour(missing=True))
    with pytest.raises(RequestError, match="Image side is not on this machine"):
        await with_images([app], request, portway.engine)


@pytest.mark.parametrize(
    ("mine", "theirs", "conflict"),
    [
        ("80:80", "80:80", True),
        ("80:80", "81:80", False),
        ("127.0.0.1:80:80", "80:80", True),
        ("127.0.0.1:80:80", "127.0.0.2:80:80", False),
        ("80-82:80", "81:80", True),
    ],
)
async def test_a_listener_belongs_to_one_app(
    portway: Portway, mine: str, theirs: str, conflict: bool
) -> None:
    await portway.deploy("blog", compose(web=f"image: web; ports: ['{theirs}']"))
    request = ReleaseRequest(manifest=compose(web=f"image: web; ports: ['{mine}']"))
    if conflict:
        with pytest.raises(RequestError, match="which blog/web has already") as caught:
            await portway.operations.create_release("shop", request)
        assert caught.value.http_status == 409
    else:
        await portway.operations.create_release("shop", request)
