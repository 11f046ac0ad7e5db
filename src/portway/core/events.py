"""What happened, as values: the journal's vocabulary. Past tense, one sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the journal. `kind` is dotted past tense (instance.started, deployment.failed, port.moved).

    `sequence` is given by the store and grows; 0 before it is saved.
    """

    at_ms: int
    kind: str
    message: str
    stack: str = ""
    app_id: str = ""
    instance_id: str = ""
    release: str = ""
    deployment: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    sequence: int = 0
