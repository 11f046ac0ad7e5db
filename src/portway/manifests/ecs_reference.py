"""docs/reference/ecs.md from the table of fields: `python -m portway.manifests.ecs_reference > docs/reference/ecs.md`. Prints, reads nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from portway.manifests.ecs_fields import Field, service_fields, task_fields

_INTRODUCTION = """\
# ECS files

Made from the program itself by `python -m portway.manifests.ecs_reference`; do not edit.

`portway deploy taskdef.json service.json` takes the files that `aws ecs register-task-definition --cli-input-json` and
`aws ecs create-service --cli-input-json` take, and what `describe-task-definition` and `describe-services` print. No AWS tool is
needed. The [tutorial](../tutorials/ecs-files.md) shows it; [the AWS API](aws.md) takes the same task definitions.

- **Several files are one stack.** Each service is an App; so is each task definition that no service names, with one instance.
  A directory with a `taskdef.json` (and a `service.json`) is deployed without naming them.
- **Ports.** A fixed `hostPort` is the listener of portway's balancer: any number of instances is behind it, on host ports of their own, so
  a deploy needs no free port. Without one the listener is assigned. Over the AWS API a `hostPort` is Docker's, as on ECS.
  UDP ports, and ports of a target group, are published on the node.
- **Network.** Without `networkMode` the containers are in the network of their stack and find other services by name. `bridge` is Docker's
  default bridge, as on ECS; `hostPort` 0, a range, and any free port with `bridge` come from the node's ephemeral range, in sequence.
- **Health.** Without a `healthCheck` the first TCP port must accept connections. With target groups they are asked instead.
- **Failing.** A deploy that fails goes back, as with compose files. A `deploymentCircuitBreaker` in the file is what counts instead.
- **Secrets.** `valueFrom` is the name or ARN of a secret in SSM or Secrets Manager. portway reads the file of that name in the folder
  `secrets` of its home: `secrets/prod/db` for `arn:aws:ssm:...:parameter/prod/db`, `secrets/db` for `arn:aws:secretsmanager:...:secret:db-AbCdEf`;
  with a JSON key in the ARN the member of the object in the file. Files hold at most 64 KiB of text; a last line end is left out.
  Whoever may deploy may use every secret of the folder.
- **Volumes** without a host path live as long as their task. One that several containers mount outlives it and is shared by all
  instances; a warning says so.

`portway convert --to ecs` writes a compose file as one document of this kind, `portway convert --to compose` the other way round; what the
other language cannot say is told field by field, because the text is read back and compared (`--strict`: then nothing is written).

*Honoured* fields have their effect. *Ignored* ones are accepted, have none, and a warning names them. *Refused* ones are an error.
"""


def render_reference() -> str:
    """The whole page as Markdown."""
    return "\n".join(
        [
            _INTRODUCTION,
            "## Task definition",
            "",
            *_table(task_fields().values()),
            "",
            "## Service",
            "",
            *_table(service_fields().values()),
            "",
        ]
    )


def _table(fields: Iterable[Field]) -> Iterator[str]:
    yield "| field | | |"
    yield "|---|---|---|"
    for field in fields:
        yield f"| `{field.path}` | {field.use.value} | {_told(field)} |"


def _told(field: Field) -> str:
    choices = f"one of {', '.join(f'`{choice}`' for choice in field.choices)}"
    return "; ".join(part for part in (choices if field.choices else "", field.told) if part)


if __name__ == "__main__":
    sys.stdout.write(render_reference())
