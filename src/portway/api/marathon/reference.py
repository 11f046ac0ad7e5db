"""docs/reference/marathon.md from the table of operations: `python -m portway.api.marathon.reference > docs/reference/marathon.md`."""

from __future__ import annotations

import sys

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
- **`/metrics`** is the server's page for Prometheus, not Marathon's JSON. There is no `/logging`: the level is a setting.

| operation | what it does | parameters | what differs |
|---|---|---|---|
"""


def render_reference() -> str:
    """The whole page as Markdown."""
    return _INTRODUCTION + "".join(_row(endpoint) for endpoint in ENDPOINTS)


def _row(endpoint: Endpoint) -> str:
    parameters = ", ".join(f"`{name}`" for name in endpoint.parameters)
    cells = (f"`{endpoint.method} {endpoint.path}`", endpoint.tells, parameters, endpoint.differs)
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    sys.stdout.write(render_reference())
