"""docs/reference/marathon.md from the table of operations: `python -m portway.api.marathon.reference > docs/reference/marathon.md`."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from portway.api.marathon.call import Endpoint
from portway.api.marathon.routes import ENDPOINTS

_INTRODUCTION = """\
# Marathon's REST API

Made from the program itself by `python -m portway.api.marathon.reference`; do not edit.

The server answers Marathon's clients on the address of its HTTP API, as Marathon 1.11 does, over the same Apps as everything else:

```console
$ curl -X POST -H 'Content-Type: application/json' -d @app.json http://127.0.0.1:8080/v2/apps
$ curl http://127.0.0.1:8080/v2/apps/web
```

An app of Marathon is an App of portway: `/web` is `marathon/web`, `/shop/web` is `shop/web`; `portway ps`, `why` and `map` know it.
[What every field of a definition does](marathon-fields.md) is a page of its own, and so is
[how Marathon's rules hold here](../how-it-works/marathon.md).

- **Who may ask.** As everywhere on this server: with its token, or one of `portway token create`. It is sent as
  `Authorization: Bearer TOKEN`, as `Authorization: token=TOKEN`, or as the password of basic authentication with any name. Without
  any token only this machine may ask. The role `read` may look, `deploy` may change within the policy, `admin` everything.
- **Errors** have Marathon's status and JSON. Where portway itself refuses (no such engine, a listener that is taken, the policy), the
  message is its sentence and what to do about it.
- **Headers.** Every answer has Marathon's `Cache-Control`, `Pragma`, `Expires` and `X-Marathon-Leader`; what deploys has
  `Marathon-Deployment-Id`. A `GET` has an `ETag`, and `If-None-Match` spares its body.
- **Addresses** are read as clients write them: `/v2/apps//shop/web`, `/v2/apps/shop/web/` and `%2Fshop%2Fweb` are one.
- **A deployment** is stored before anything is done, with the definitions; a server that ends in its middle goes on where it was. It
  is tried for ever, as Marathon does. It fails where portway refuses the App, or when somebody calls off the App's deployment by
  other means (`portway cancel`).
- **Versions**: the newest 50 of an app or pod. Groups go back to the versions of the newest 50 deployments.
- **Service ports** are served by portway's balancer, so two apps cannot have the same one: 409, naming the other app.
- **Health results** have no history of single probes: `lastSuccess` and `lastFailure` say when a check's verdict last changed.
- **Apps made otherwise** (a compose file, the AWS face) are shown, without their variables, and cannot be changed here: 409, naming what
  changes them.
- **`/metrics`** is the server's page for Prometheus, and so is `/metrics/prometheus`; not Marathon's JSON. `/` and `/ui/` lead to
  the description of the server's own API, for there is no page of apps; so does `/help`. There is no `/logging`: the level is a setting.

| operation | what it does | parameters | what differs |
|---|---|---|---|
"""


_EVENTS = """
## Events

`GET /v2/events` with `Accept: text/event-stream` is a stream of what happens from then on; without that header it is 405.

```console
$ curl -N -H 'Accept: text/event-stream' 'http://127.0.0.1:8080/v2/events?event_type=status_update_event'
```

An event is `event: KIND`, `data: JSON` and an empty line. The JSON has `eventType` and `timestamp`, and what the table says.
`event_type` may be given several times; without it everything is told. A quiet stream gets an empty line every 15 seconds.

- **Order.** A deployment is told of before its tasks, and done after them. A task goes through `TASK_STAGING`, `TASK_STARTING`, `TASK_RUNNING`, `TASK_KILLING` and
  `TASK_KILLED`, none left out; one that ends by itself is `TASK_FAILED` or `TASK_FINISHED`, one whose node is away `TASK_UNREACHABLE`.
  Nobody is told that a task runs before it does; `/v2/tasks` shows it staged until then.
- **Who does not read** is cut off once 1024 events wait for it; nobody else waits. A stream ends with the server, and when its
  leadership is given up; what happened meanwhile is not told again, so a client asks for `/v2/apps` when it comes back.
- **`plan`** is `{id, steps, version, original, target}`, which clients of Marathon 1.5 to 1.7 need; of the two root groups it has the apps and
  pods that the deployment changes. With `plan-format=light` it is `{id, steps, version}`, as in Marathon 1.11.

| event | what else its JSON says | when |
|---|---|---|
"""


_TRIED = """
## Tried with

- **The Python client** of PyPI (`marathon` 0.13.0) drives apps, groups, versions, kills and events in the tests of portway. It was written for
  Python 3.9: from 3.10 on it needs `collections.Iterable = collections.abc.Iterable` first. It does not know two words of Marathon 1.9 and
  later, which are told here as well: `list_queue()` fails at `role` while something waits, `embed_task_stats` at `tasksStats`.
- **Readers of server-sent events**: `sseclient`, `sseclient-py`, and `curl -N`.
- **marathon-lb** itself, with HAProxy 2.6 and `--sse -H`, beside a server that leaves its groups alone (`marathon-groups`, as only one of the two
  can listen on a service port). It subscribed, wrote a backend for the service port with the host ports of the running, healthy tasks and
  the health check of the app, passed over tasks that were staged or being killed, and wrote it anew with every task that came or went. Requests went
  through it during a replacement and two changes of the number; 2 of 620 failed, as its HAProxy hears that a task is killed when it is
  already being killed. Served by portway itself, the same app under the same changes failed none of 544: there the balancer is told first.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKind:
    """One event of Marathon's. `fields`: none, for one that never happens here; then `when` says why."""

    kind: str
    fields: tuple[str, ...] = ()
    when: str


def _kind(kind: str, fields: str, when: str) -> EventKind:
    return EventKind(kind=kind, fields=tuple(fields.split()), when=when)


_SUBSCRIPTIONS = "callbacks by subscription are gone since Marathon 1.5"
_POD = "clientIp uri"
_HOLDS = "appId version healthCheck"
EVENTS = (
    _kind("api_post_event", "clientIp uri appDefinition", "somebody sends the definition of one app"),
    _kind("pod_created_event", _POD, "somebody makes a pod"),
    _kind("pod_updated_event", _POD, "somebody changes a pod"),
    _kind("pod_deleted_event", _POD, "somebody removes a pod"),
    _kind("group_change_success", "groupId version", "definitions have changed; once for `/` and once for every group that was sent"),
    _kind("group_change_failed", "groupId version reason", "a change that could be read is refused"),
    _kind("deployment_info", "plan currentStep", "a step begins"),
    _kind("deployment_step_success", "plan currentStep", "a step is done"),
    _kind("deployment_step_failure", "plan currentStep", "the step of a deployment that fails or is cancelled"),
    _kind("deployment_success", "id plan", "a deployment is done"),
    _kind("deployment_failed", "id plan reason", "a deployment fails or is cancelled"),
    _kind("status_update_event", "slaveId taskId taskStatus message appId host ipAddresses ports version", "a task changes its state; of a pod, for each container"),
    _kind("instance_changed_event", "instanceId condition runSpecId agentId host runSpecVersion", "likewise, for the instance"),
    _kind("add_health_check_event", _HOLDS, "a definition has a check it had not"),
    _kind("remove_health_check_event", "appId", "a definition has lost a check"),
    _kind("failed_health_check_event", "appId taskId healthCheck", "a health check of an instance fails, each time; not before its first success within the grace period; `taskId` is the instance's, as in Marathon"),
    _kind("health_status_changed_event", "appId instanceId version alive", "an instance is found healthy or unhealthy"),
    _kind("instance_health_changed_event", "instanceId runSpecId healthy runSpecVersion", "likewise"),
    _kind("unhealthy_instance_kill_event", "appId taskId instanceId version reason host slaveId", "an instance is replaced because its checks fail"),
    _kind("app_terminated_event", "appId", "an app is gone, with its last task"),
    _kind("event_stream_attached", "remoteAddress", "somebody begins to listen; the first event of every stream"),
    _kind("event_stream_detached", "remoteAddress", "somebody listens no more"),
    _kind("unknown_instance_terminated_event", "", "an instance that nobody knows is never ended: it is somebody else's"),
    _kind("unhealthy_task_kill_event", "", "Marathon 1.4's name of `unhealthy_instance_kill_event`"),
    _kind("subscribe_event", "", _SUBSCRIPTIONS),
    _kind("unsubscribe_event", "", _SUBSCRIPTIONS),
    _kind("scheduler_registered_event", "", "there is no Mesos"),
    _kind("scheduler_reregistered_event", "", "there is no Mesos"),
    _kind("scheduler_disconnected_event", "", "there is no Mesos"),
    _kind("framework_message_event", "", "there is no Mesos"),
)  # fmt: skip


def render_reference() -> str:
    """The whole page as Markdown."""
    rows = "".join(_row(endpoint) for endpoint in ENDPOINTS)
    return _INTRODUCTION + rows + _EVENTS + "".join(map(_event_row, EVENTS)) + _TRIED


def _event_row(event: EventKind) -> str:
    fields = ", ".join(f"`{name}`" for name in event.fields)
    when = event.when if fields else f"never: {event.when}"
    return f"| `{event.kind}` | {fields} | {when} |\n"


def _row(endpoint: Endpoint) -> str:
    parameters = ", ".join(f"`{name}`" for name in endpoint.parameters)
    cells = (f"`{endpoint.method} {endpoint.path}`", endpoint.tells, parameters, endpoint.differs)
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    sys.stdout.write(render_reference())
