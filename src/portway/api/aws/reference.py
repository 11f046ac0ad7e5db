"""docs/reference/aws.md from the operations themselves: `python -m portway.api.aws.reference > docs/reference/aws.md`. Prints, runs nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from portway.api.aws.operation import Operation, load_service, operations_of
from portway.api.aws.wire.services import SERVICES, Service
from portway.api.aws.wire.shapes import OperationModel, ServiceModel

_INTRODUCTION = """\
# AWS operations

Made from the program itself by `python -m portway.api.aws.reference`; do not edit.

The server answers the AWS CLI, boto3 and whatever else signs its requests as AWS wants it, on the address of its HTTP API.
`portway aws credentials` prints what a client needs:

```console
$ eval "$(portway aws credentials)"
$ aws sts get-caller-identity
```

Requests are read and validated, and answers written, from the service models of botocore: AWS JSON 1.0 and 1.1, query, EC2 query
and rpc-v2-cbor. What this page does not list is answered as AWS answers an operation it does not have
(`UnknownOperationException`, `InvalidAction`), with a sentence. Members that AWS does not know are ignored.

- **Signatures** (SigV4, in the header or presigned) are checked against the access keys of the home; there is a five minute window.
  A key has a role: `read` may only describe, list and get. `portway aws keys` makes, lists and revokes them. Over the unix socket an
  unsigned request is the administrator's. `--aws-verify-signatures off` checks nothing, on a loopback address only.
- **Region and account** are one each (`aws-region`, `aws-account-id`). A request signed for another region is refused; IAM and STS are
  global.
- **Policies** of IAM are kept and given back. None is evaluated: what a key may do is its role.

An operation *honours* a member when it has its effect. *Ignored* members are accepted and have none. *Refused* ones are answered with
an error that says so.
"""


def render_reference() -> str:
    """The whole page as Markdown."""
    sections = (_section(service) for service in SERVICES if operations_of(service.name))
    return "\n".join([_INTRODUCTION, *sections])


def members_of(model: OperationModel) -> tuple[str, ...]:
    """The top-level members an operation takes."""
    return tuple(model.input.members) if model.input is not None else ()


def _section(service: Service) -> str:
    model, operations = load_service(service.name)
    versions = service.version or service.target_prefix
    lines = [
        f"## {service.name}",
        "",
        f"`{versions}`, signed for `{service.scope}`. {len(operations)} of {len(model.known)} operations.",
        "",
        "| operation | honoured | ignored | refused |",
        "|---|---|---|---|",
        *_rows(model, operations.values()),
        "",
    ]
    return "\n".join(lines)


def _rows(model: ServiceModel, operations: Iterable[Operation]) -> Iterator[str]:
    for operation in sorted(operations, key=lambda each: each.name):
        yield _row(operation, model.operations[operation.name])


def _row(operation: Operation, model: OperationModel) -> str:
    left_out = {*operation.ignores, *operation.refuses}
    honoured = [member for member in members_of(model) if member not in left_out]
    cells = (operation.name, _names(honoured), _names(operation.ignores), _names(operation.refuses))
    return f"| {' | '.join(cells)} |"


def _names(members: Iterable[str]) -> str:
    return ", ".join(f"`{member}`" for member in members)


if __name__ == "__main__":
    sys.stdout.write(render_reference())
