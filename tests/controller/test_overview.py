"""What is decided and seen of Apps, for the faces."""

from __future__ import annotations

import pytest

from portway.core.errors import RequestError
from tests.controller.inprocess import WEB, Portway

VIRTUAL_TIME = True


async def test_an_overview_has_the_apps_with_their_instances_and_verdicts(portway: Portway) -> None:
    await portway.deploy("httpd", WEB)
    [stack] = portway.world.stacks
    whole = await portway.operations.overview()
    [app_id] = whole.apps
    [record] = whole.apps[app_id].instances
    assert record.id in whole.instances
    assert record.id in whole.health
    assert [node.name for node in whole.nodes] == [record.identity.node]
    assert whole.sees_engine
    assert whole.home_id == portway.controller.world.home_id
    assert await portway.operations.overview(stack) == whole
    assert (await portway.operations.overview(app_ids=(app_id, "x/y"))).apps == whole.apps
    assert (await portway.operations.overview(app_ids=())).apps == {}


async def test_a_stack_that_is_not_there_has_no_apps(portway: Portway) -> None:
    """A cluster without services has no stack yet."""
    assert (await portway.operations.overview("nobody")).apps == {}
    with pytest.raises(RequestError):
        await portway.operations.stack("nobody")
