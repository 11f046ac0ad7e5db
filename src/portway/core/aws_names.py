"""ARNs and ids as AWS writes them, made of what portway knows: the same thing has the same name in every answer, for ever."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

SLUG_LENGTH_MAX = 63

_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NOT_IN_SLUG = re.compile(r"[^a-z0-9]+")
_DIGEST_LENGTH = 6
_TASK_IN_NAME = 12
_ARN_PARTS = 6


def slug(name: str) -> str:
    """The name as a stack or App may have it: itself, or made so, with a few digits of its hash to stay apart from others."""
    if _SLUG.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
    kept = _NOT_IN_SLUG.sub("-", name.lower()).strip("-")
    kept = kept[: SLUG_LENGTH_MAX - _DIGEST_LENGTH - 1].rstrip("-")
    return f"{kept}-{digest}" if kept else f"x-{digest}"


def service_app_id(cluster: str, service: str) -> str:
    """The App that a service is."""
    return f"{slug(cluster)}/{slug(service)}"


def task_app_id(cluster: str, family: str, task_id: str) -> str:
    """The App that a task of RunTask or StartTask is, by itself."""
    return f"{slug(cluster)}/{slug(f'{family}-{task_id[:_TASK_IN_NAME]}')}"


def last_part(name_or_arn: str) -> str:
    """What follows the last slash: the name or id in an ARN; a plain name is itself."""
    return name_or_arn.rpartition("/")[2]


def is_arn(text: str) -> bool:
    """Whether this is an ARN and no plain name."""
    return text.startswith("arn:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arn:
    """An ARN taken apart. `resource` is everything after the fifth colon."""

    service: str
    region: str
    account_id: str
    resource: str

    @property
    def kind(self) -> str:
        """What of the service it names: "cluster", "task"."""
        return self.resource.partition("/")[0].partition(":")[0]


def read_arn(text: str) -> Arn | None:
    """The parts of an ARN; None when it is none."""
    parts = text.split(":", _ARN_PARTS - 1)
    if len(parts) != _ARN_PARTS or parts[0] != "arn" or not parts[1] or not parts[2] or not parts[5]:  # fmt: skip
        return None
    return Arn(service=parts[2], region=parts[3], account_id=parts[4], resource=parts[5])


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsNames:
    """The names of one portway's objects. `home_id` keeps the ids of two portways apart."""

    region: str
    account_id: str
    home_id: str = ""

    def arn(self, service: str, resource: str) -> str:
        """arn:aws:ecs:us-east-1:000000000000:cluster/default"""
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"

    def cluster_arn(self, cluster: str) -> str:
        """Of a cluster by its name."""
        return self.arn("ecs", f"cluster/{cluster}")

    def service_arn(self, cluster: str, service: str) -> str:
        """Of a service by the names of both."""
        return self.arn("ecs", f"service/{cluster}/{service}")

    def task_definition_arn(self, family: str, revision: int) -> str:
        """Of one revision of a family."""
        return self.arn("ecs", f"task-definition/{family}:{revision}")

    def task_arn(self, cluster: str, task_id: str) -> str:
        """Of a task by its id."""
        return self.arn("ecs", f"task/{cluster}/{task_id}")

    def container_arn(self, cluster: str, task_id: str, container: str) -> str:
        """Of one container of a task."""
        container_id = self._hex("container", f"{task_id}/{container}", 32)
        dashed = "-".join(
            (container_id[:8], container_id[8:12], container_id[12:16], container_id[16:20], container_id[20:])
        )  # fmt: skip
        return self.arn("ecs", f"container/{cluster}/{task_id}/{dashed}")

    def container_instance_arn(self, cluster: str, node: str) -> str:
        """Of a node as one cluster sees it."""
        return self.arn("ecs", f"container-instance/{cluster}/{self.container_instance_id(node)}")

    def service_deployment_arn(self, cluster: str, service: str, deployment_id: str) -> str:
        """Of one deployment of a service, as ListServiceDeployments names it."""
        short_id = self._hex("service-deployment", deployment_id, 21)
        return self.arn("ecs", f"service-deployment/{cluster}/{service}/{short_id}")

    def service_revision_arn(self, cluster: str, service: str, deployment_id: str) -> str:
        """Of what a deployment brings."""
        digits = self._digits("service-revision", deployment_id, 19)
        return self.arn("ecs", f"service-revision/{cluster}/{service}/{digits}")

    def container_instance_id(self, node: str) -> str:
        """32 hexadecimal digits for a node."""
        return self._hex("container-instance", node, 32)

    def ec2_instance_id(self, node: str) -> str:
        """The node as EC2 calls it."""
        return f"i-{self._hex('instance', node, 17)}"

    def task_id(self, instance_id: str, planned_at_ms: int) -> str:
        """32 hexadecimal digits for one instance; another one of the same slot and serial, planned later, has others."""
        return self._hex("task", f"{instance_id}{planned_at_ms}", 32)

    def deployment_id(self, app_id: str, revision_id: str) -> str:
        """ecs-svc/ and 19 digits for one revision of a service."""
        return f"ecs-svc/{self._digits('deployment', f'{app_id}{revision_id}', 19)}"

    def _hex(self, what: str, of: str, length: int) -> str:
        return hashlib.sha256(f"{what}{self.home_id}{of}".encode()).hexdigest()[:length]

    def _digits(self, what: str, of: str, length: int) -> str:
        number = int(self._hex(what, of, 64), 16) % (9 * 10 ** (length - 1))
        return str(10 ** (length - 1) + number)
