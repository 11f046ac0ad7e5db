"""Canaries: what is secret is in no view, event, plan, sentence or log line."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from portway.controller.views import ReleaseRequest
from tests.controller.inprocess import WEB, Portway, compose

VIRTUAL_TIME = True

CANARY = "canary-7f3a91"


def shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def everything_shown(portway: Portway) -> str:
    """Every answer there is, but the one that is for the variables."""
    operations = portway.operations
    answers: list[Any] = [
        await operations.server(),
        await operations.stacks(),
        await operations.stack("shop"),
        await operations.instances(),
        await operations.map(),
        releases := await operations.releases("shop"),
        [await operations.release("shop", release.id) for release in releases],
        await operations.certificates("shop"),
        await operations.plan("shop", ReleaseRequest(manifest=WEB)),
        [event async for event in operations.events()],
    ]
    return shown(answers)


async def test_a_variable_of_the_stack_is_shown_by_env_alone(
    portway: Portway, capsys: pytest.CaptureFixture[str]
) -> None:
    await portway.deploy("shop", WEB)
    changed = await portway.operations.change_environment("shop", set_={"KEY": CANARY}, unset=())
    assert changed.environment == {"KEY": CANARY}
    promotion = await portway.operations.promote("shop", changed.release)
    assert CANARY not in shown(promotion)
    await portway.settled()
    instance = portway.engine.world.instances["shop/web.1.2"]
    assert instance.request.environment["KEY"] == CANARY
    portway.engine.kill("shop/web.1.2")
    await portway.deploy("shop", compose(web="image: crash; ports: ['80:8080']"))
    assert CANARY not in await everything_shown(portway)
    assert CANARY not in repr(portway.world.blocked) + repr(portway.world.problems)
    output = capsys.readouterr()
    assert CANARY not in output.out + output.err
    again = await portway.operations.environment("shop")
    assert again.environment["KEY"] == CANARY


async def test_a_refused_variable_does_not_repeat_its_value(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    with pytest.raises(Exception, match="NUL") as caught:
        await portway.operations.change_environment("shop", set_={"KEY": f"{CANARY}\0"}, unset=())
    assert CANARY not in str(caught.value)


async def test_the_key_of_a_certificate_is_never_shown(portway: Portway) -> None:
    await portway.deploy("shop", compose(web="image: web; ports: ['443:80']"))
    view = await portway.operations.put_certificate(
        "shop", "web:443", certificate_pem="", key_pem="", replace=False
    )
    (certificate,) = portway.balancer.held_certificates
    key = certificate.pem.partition("PRIVATE KEY-----\n")[2][:40]
    assert key
    text = shown(view) + await everything_shown(portway)
    assert key not in text
    assert "PRIVATE KEY" not in text


async def test_a_private_variable_of_the_manifest_is_not_in_an_instance_view(
    portway: Portway,
) -> None:
    await portway.deploy("shop", compose(web=f"image: web; environment: {{KEY: {CANARY}}}"))
    views = await portway.operations.instances("shop")
    assert CANARY not in shown(views) + shown(await portway.operations.stack("shop"))
    events = [event async for event in portway.operations.events()]
    assert CANARY not in shown(events)
