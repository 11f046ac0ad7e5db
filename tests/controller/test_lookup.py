"""What a caller names is found, or what was meant is said."""

from __future__ import annotations

import pytest

from portway.controller.lookup import find_app, find_instance, find_stack
from portway.core.errors import RequestError
from portway.core.health import Health, HealthStatus
from tests.controller.inprocess import Portway, compose

VIRTUAL_TIME = True

MANIFEST = compose(
    web="image: web; ports: ['80:80']; scale: 2", worker="image: worker", other="image: other"
)


def message(call, *arguments: object) -> str:  # noqa: ANN001
    with pytest.raises(RequestError) as caught:
        call(*arguments)
    assert caught.value.http_status == 404
    return str(caught.value)


async def test_a_stack_is_found_by_its_exact_name(portway: Portway) -> None:
    await portway.deploy("shop", MANIFEST)
    assert find_stack(portway.world, "shop").name == "shop"
    assert 'Did you mean "shop"?' in message(find_stack, portway.world, "SHOP")
    assert "Did you mean" not in message(find_stack, portway.world, "blog")


async def test_an_app_is_found_in_its_own_stack_only(portway: Portway) -> None:
    await portway.deploy("shop", MANIFEST)
    await portway.deploy("shop.two", compose(api="image: api"))
    assert find_app(portway.world, "shop", "web").app_id == "shop/web"
    said = message(find_app, portway.world, "shop", "wrker")
    assert 'Did you mean "worker"?' in said
    assert "It has: other, web, worker." in said
    assert "api" not in message(find_app, portway.world, "shop", "api").partition("\n")[2]
    assert "no stack" in message(find_app, portway.world, "blog", "web")


async def test_a_stack_that_runs_nothing_says_so(portway: Portway) -> None:
    await portway.release("shop", MANIFEST)
    assert "It runs nothing yet." in message(find_app, portway.world, "shop", "web")


async def test_an_app_on_its_way_out_is_not_found(portway: Portway) -> None:
    await portway.deploy("shop", MANIFEST)
    portway.balancer.connections["shop/web.1.1"] = 1
    await portway.operations.delete_stack("shop")
    assert "It runs nothing yet." in message(find_app, portway.world, "shop", "web")


async def test_an_instance_is_found_by_its_id_its_slot_or_its_app(portway: Portway) -> None:
    await portway.deploy("shop", MANIFEST)

    def found(name: str) -> str:
        return find_instance(portway.world, "shop", name)[0].id

    assert found("web.1.1") == "shop/web.1.1"
    assert found("web.2") == "shop/web.2.2"
    assert found("web") == "shop/web.2.2"
    said = message(find_instance, portway.world, "shop", "web.1.9")
    assert "Did you mean" in said
    assert "portway ps -a shop" in said


async def test_of_several_instances_a_healthy_one_is_meant(portway: Portway) -> None:
    await portway.deploy("shop", MANIFEST)
    portway.world.health["shop/web.1.1"] = Health(status=HealthStatus.FAILING)
    assert find_instance(portway.world, "shop", "web")[0].id == "shop/web.2.2"


async def test_the_newest_of_a_slot_is_meant_once_it_is_healthy(portway: Portway) -> None:
    await portway.deploy("shop", MANIFEST)
    portway.balancer.connections["shop/web.1.1"] = 1
    await portway.operations.stop_instance("shop", "web.1")
    await portway.until(lambda: len(portway.serving(80)) == 3)
    assert find_instance(portway.world, "shop", "web.1")[0].id == "shop/web.1.3"
