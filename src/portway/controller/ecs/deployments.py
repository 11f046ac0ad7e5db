"""The service deployments of a service, as they are stored."""

from __future__ import annotations

from portway.core.aws_names import AwsNames
from portway.core.ecs.past import PastDeployment, follow_deployments
from portway.core.state import AppState
from portway.store.base import Documents
from portway.store.codec import from_body, to_body

KIND = "ecs.deployments"


async def stored_deployments(documents: Documents, service_arn: str) -> tuple[PastDeployment, ...]:
    """Those that were written down, the newest first."""
    found = await documents.get(KIND, service_arn)
    if found is None:
        return ()
    where = f"{KIND} {service_arn}"
    return tuple(from_body(PastDeployment, one, where=where) for one in found.body["deployments"])


async def forget_deployments(documents: Documents, service_arn: str) -> None:
    """A new service of the name begins anew."""
    await documents.delete(KIND, service_arn)


class DeploymentBook:
    """Writes them down; what it wrote it knows."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[PastDeployment, ...]] = {}

    async def write(
        self,
        documents: Documents,
        service_arn: str,
        state: AppState,
        names: AwsNames,
        *,
        now_ms: int,
    ) -> None:
        """What there has been of the service by now."""
        known = self._known.get(state.app_id)
        if known is None:
            known = await stored_deployments(documents, service_arn)
        after = follow_deployments(known, state, names, now_ms=now_ms)
        if after is not known:
            body = {"deployments": [to_body(one) for one in after]}
            await documents.put(KIND, service_arn, body)
        self._known[state.app_id] = after

    def drop(self, app_id: str) -> None:
        """Think of this service no more: it is gone."""
        self._known.pop(app_id, None)
