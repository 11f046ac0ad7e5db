"""docs/reference/marathon-fields.md from the tables of fields: `python -m portway.manifests.marathon.reference > docs/reference/marathon-fields.md`. Prints, reads nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from portway.manifests.marathon.fields import Field, app_fields, pod_fields
from portway.manifests.marathon.parameters import PARAMETERS

_INTRODUCTION = """\
# Marathon's definitions

Made from the program itself by `python -m portway.manifests.marathon.reference`; do not edit.

portway reads Marathon's apps, pods and groups as Marathon 1.5 to 1.11 do: over `/v2/apps`, `/v2/pods` and `/v2/groups`, and as files.
Deprecated fields are taken and become what replaces them; what is left out is filled in with the same defaults; what Marathon refuses is
refused with its status, its path and its words. Then each definition becomes an App like any other.

- **Networks.** Without any, and with `host`, ports are the node's: `$PORT0` is what was leased, `requirePorts` asks for the very number.
  `container/bridge` is Docker's default bridge with a host port for each mapping. `container` gives each instance an address of its own
  on Docker's network of that name, which has to be there (`docker network create NAME`) and which apps of all groups share; a mapping
  without `hostPort` takes none of the node's ports.
- **Service ports** are listened on by portway's balancer, for TCP. A port that is on the node under the same number already (`requirePorts`,
  or a `hostPort` that is the `servicePort`) needs no listener. UDP ports are the node's alone.
- **Commands.** `cmd` is run by `/bin/sh -c`, in an image in place of its entry point; `args` are given to the image's entry point. Without an
  image an app is a process.
- **Checks** are all made by portway, whatever their protocol says of who asks. The failure after `maxConsecutiveFailures` ends an instance,
  never during its grace period unless it passed once. With 0 a failing instance only loses its traffic; of a COMMAND or MESOS check the
  first failure ends it. Without checks an instance counts as healthy once it runs.
- **Replacing.** `upgradeStrategy` bounds how many are there at a time. Old instances get no new requests and finish those they have before
  they are told to end; they have `taskKillGracePeriodSeconds` then, 10 unless given.

## Files

`portway deploy app.json` takes an app, a pod, a group or an array of them, and what `GET` shows of an app; a `marathon.json` is found in its
directory without being named. An App is called by its id without
the groups that all of them are in: `/shop/web` and `/shop/db` are `web` and `db`. Service ports that are 0 are assigned. Dependencies wait
until what they name in the file is healthy. A deploy that fails goes back. A container network without a name is that of the stack (as one named `default` is), and roles
have no meaning. Unknown fields, and those without an effect, are told as warnings.

`portway convert --to marathon` writes any manifest as an app, a pod (of several containers) or a group, `portway convert app.json --to compose` the other way round. The text
is read back and compared, and what it cannot say is told field by field (`--strict`: then nothing is written).

## What differs from Marathon

- A `cmd` of one character is taken; Marathon refuses it. Elements of `ports` have bounds as those of `portDefinitions` have.
- Volumes of the node need a `hostPath` that begins with `/`: there is no sandbox it could be relative to.
- A check's `port` must be one of the app's own.
- Fields that would mislead if they had no effect are refused: 422, `Object is not valid`, with the sentence of the tables below.
- So are more than 10,000 instances or 1000 ports of an app, and more than 100 containers of a pod.
- So are apps that want a network of their own, or volumes, without an image: a process has the node's.

*Honoured* fields have their effect. *Ignored* ones are kept, given back, and have none. *Refused* ones are an error.
"""

_PARAMETERS = """\
## Parameters of Docker

`container.docker.parameters` may have these keys of `docker run`; others are refused by name. They are held to the server's policy like
the fields that say the same.
"""


def render_reference() -> str:
    """The whole page as Markdown."""
    return "\n".join(
        [
            _INTRODUCTION,
            "## App",
            "",
            *_table(app_fields().values()),
            "",
            "## Pod",
            "",
            *_table(pod_fields().values()),
            "",
            _PARAMETERS,
            ", ".join(f"`{name}`" for name in PARAMETERS) + ".",
            "",
        ]
    )


def _table(fields: Iterable[Field]) -> Iterator[str]:
    yield "| field | | |"
    yield "|---|---|---|"
    for field in fields:
        yield f"| `{field.path}` | {field.use.value} | {field.told} |"


if __name__ == "__main__":
    sys.stdout.write(render_reference())
