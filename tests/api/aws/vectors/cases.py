"""A vector, what it is asked of, and the scenarios that say how: each line of ecs.jsonl has one, or a reason in CLOUD_ONLY."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portway.core.aws_names import AwsNames
from tests.api.aws.direct import Direct, RefusedError
from tests.controller.inprocess import Portway

ROOT = Path(__file__).parents[4]
SHARED = ROOT.parent / "shared" / "vectors" / "ecs.jsonl"
COPY = ROOT / "tests" / "vectors" / "ecs.jsonl"

# What only an account at AWS can answer, and why. docs/reference/aws-vectors.md says the same.
CLOUD_ONLY = {
    "ecs-145": "what CloudFormation writes when a service that it makes trips the breaker; nobody here makes stacks of resources",
}

_PLACEHOLDER = re.compile(r"<[^<>]*>")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One vector."""

    id: str
    service: str
    operation: str
    input: Any
    expect: Mapping[str, Any]
    context: str = ""
    source: str = ""

    def filled(self, ids: Mapping[str, str]) -> Any:
        """The input with its placeholders filled; one that nobody filled would be asked as it stands."""
        text = _filled(json.dumps(self.input), ids)
        assert not _PLACEHOLDER.search(text), text
        return json.loads(text)

    async def asked(self, ground: Ground, **ids: str) -> dict[str, Any]:
        """The answer, once status, error, message and response are what they should be. `tg_arn` fills <tg-arn>."""
        known = {f"<{name.replace('_', '-')}>": value for name, value in ids.items()}
        known |= ground.literals
        expect = json.loads(_filled(json.dumps(self.expect), known))
        refused: RefusedError | None = None
        answer: dict[str, Any] = {}
        try:
            answer = await ground.aws.ask(self.service, self.operation, **self.filled(known))
        except RefusedError as error:
            refused = error
        if refused is not None:
            assert refused.code == expect.get("error"), refused
            assert refused.status == expect.get("status", refused.status), refused
            assert refused.message == expect.get("message", refused.message)
            return {}
        assert "error" not in expect, answer
        assert expect.get("status", 200) == 200
        fits(answer, expect.get("response", {}))
        return answer

    def told_in_order(self, messages: list[str]) -> re.Match[str]:
        """The match of the whole sequence against these sentences, oldest first; one placeholder is one text."""
        seen: dict[str, str] = {}
        lines = [sentence_pattern(line, seen) for line in self.expect["sequence"]]
        found = re.fullmatch("\n".join(lines), "\n".join(messages))
        assert found, messages
        return found


def _filled(text: str, ids: Mapping[str, str]) -> str:
    for placeholder, meant in ids.items():
        text = text.replace(placeholder, meant)
    return text


def sentence_pattern(sentence: str, seen: dict[str, str]) -> str:
    """A regular expression for a sentence: `S` is the service, and a placeholder the same text wherever it stands."""
    said = sentence.replace("(service S", "(service web")
    done, at = "", 0
    for found in _PLACEHOLDER.finditer(said):
        done += re.escape(said[at : found.start()])
        key = re.sub(r"\W", "_", said[max(0, found.start() - 5) : found.end()])
        name = seen.get(key)
        if name is None:
            name = seen[key] = f"p{len(seen)}"
            done += f"(?P<{name}>[^\\s()]+?)"
        else:
            done += f"(?P={name})"
        at = found.end()
    return done + re.escape(said[at:])


def fits(answer: Any, expected: Any, where: str = "answer") -> None:
    """Assert that the answer has what is expected; a placeholder stands for any text, but not for none."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert key in answer, f"{where} has no {key}: {answer}"
            fits(answer[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(answer) == len(expected), f"{where} is {answer}"
        for nth, (one, other) in enumerate(zip(answer, expected, strict=True)):
            fits(one, other, f"{where}[{nth}]")
    elif isinstance(expected, str) and _PLACEHOLDER.fullmatch(expected):
        assert isinstance(answer, str), f"{where} is {answer}"
        assert answer, where
    else:
        assert answer == expected, f"{where} is {answer!r}, not {expected!r}"


@dataclass(kw_only=True)
class Ground:
    """A whole portway in memory, and its AWS face. `literals`: ids that the vectors write out and this machine has not."""

    portway: Portway
    aws: Direct
    literals: dict[str, str] = field(default_factory=dict)

    @property
    def node_id(self) -> str:
        """The EC2 id of the first machine."""
        world = self.portway.world
        return AwsNames(region="", account_id="", home_id=world.home_id).ec2_instance_id(
            world.nodes[0].name
        )

    async def ecs(self, operation: str, /, **members: Any) -> dict[str, Any]:
        """Ask ECS in cluster c."""
        return await self.aws.ask("ecs", operation, **{"cluster": "c", **members})

    async def elb(self, operation: str, /, **members: Any) -> dict[str, Any]:
        """Ask for load balancers."""
        return await self.aws.ask("elbv2", operation, **members)

    async def until(self, what: Callable[[], Awaitable[Any]], *, step_s: float = 0.05) -> Any:
        """Let time pass, first a little and then more, until it is true; a day at most."""
        for _ in range(200):
            if found := await what():
                return found
            await asyncio.sleep(step_s)
            step_s = min(1.1 * step_s, max(step_s, 600.0))
        raise AssertionError(what)


Scenario = Callable[[Case, Ground], Awaitable[object]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(*ids: str) -> Callable[[Scenario], Scenario]:
    """Register how these vectors are asked."""

    def register(run: Scenario) -> Scenario:
        assert not SCENARIOS.keys() & set(ids), ids
        SCENARIOS.update(dict.fromkeys(ids, run))
        return run

    return register


def load() -> dict[str, Case]:
    """Every vector, by its id."""
    text = (SHARED if SHARED.exists() else COPY).read_text()
    rows = (json.loads(line) for line in text.splitlines() if line.strip())
    return {row["id"]: Case(**row) for row in rows}


CASES = load()
