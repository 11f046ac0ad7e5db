"""The policy at work: at the release, and again before every start, by where paths lead at that moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from portway.controller.policing import PolicyFile
from portway.controller.views import ReleaseRequest
from portway.core.errors import PolicyError, RequestError
from portway.core.instance import Phase
from tests.controller.inprocess import Portway, compose, running_portway

VIRTUAL_TIME = True


@pytest.fixture
async def portway(tmp_path: Path) -> AsyncIterator[Portway]:
    async with running_portway() as running:
        policy = PolicyFile(tmp_path)
        running.controller.policy = policy
        running.controller.executor._policy = policy
        yield running


def mounting(path: Path) -> ReleaseRequest:
    return ReleaseRequest(manifest=compose(web=f"image: web; volumes: ['{path}:/data:ro']"))


async def test_an_admin_is_bound_by_nothing(portway: Portway, tmp_path: Path) -> None:
    release = await portway.operations.create_release("shop", mounting(tmp_path))
    await portway.operations.promote("shop", release.id)
    await portway.settled()
    assert portway.running() == ["shop/web.1.1"]


async def test_a_caller_within_the_policy_makes_no_release_and_no_stack(
    portway: Portway, tmp_path: Path
) -> None:
    for ask in (portway.operations.plan, portway.operations.create_release):
        with pytest.raises(PolicyError, match=r"services\.web\.volumes"):
            await ask("shop", mounting(tmp_path), within_policy=True)
    assert portway.world.stacks == {}


async def test_a_path_that_leads_elsewhere_by_the_time_of_the_start_is_not_mounted(
    portway: Portway, tmp_path: Path
) -> None:
    shared, secret = tmp_path / "shared", tmp_path / "secret"
    (shared / "data").mkdir(parents=True)
    secret.mkdir()
    (tmp_path / "policy.toml").write_text(f'bind_paths = ["{shared}"]\n')
    release = await portway.operations.create_release(
        "shop", mounting(shared / "data"), within_policy=True
    )
    (shared / "data").rmdir()
    (shared / "data").symlink_to(secret)
    await portway.operations.promote("shop", release.id)
    await portway.settled()
    state = portway.world.apps["shop/web"]
    assert not [record for record in state.instances if record.phase is Phase.READY]
    assert portway.engine.world.instances == {}
    said = [event.message async for event in portway.operations.events()]
    assert [words for words in said if f"it leads to {secret}" in words]


async def test_a_policy_is_read_anew_and_a_broken_one_allows_nothing(
    portway: Portway, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(f'bind_paths = ["{tmp_path}"]\n')
    await portway.operations.plan("shop", mounting(tmp_path), within_policy=True)
    policy.write_text("bind_paths = ")
    with pytest.raises(RequestError, match="is not valid TOML"):
        await portway.operations.plan("shop", mounting(tmp_path), within_policy=True)
    policy.write_bytes(b"\xff")
    with pytest.raises(RequestError, match="cannot be read"):
        await portway.operations.plan("shop", mounting(tmp_path), within_policy=True)


async def test_the_variables_of_an_app_with_an_admins_powers_are_an_admins(
    portway: Portway,
) -> None:
    await portway.deploy("shop", compose(web="image: web; privileged: true"))
    with pytest.raises(PolicyError, match=r"services\.web\.privileged"):
        await portway.operations.change_environment(
            "shop", set_={"LD_PRELOAD": "/x.so"}, unset=(), within_policy=True
        )
    await portway.operations.change_environment("shop", set_={"A": "1"}, unset=())
