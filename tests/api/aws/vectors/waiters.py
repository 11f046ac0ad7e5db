"""Botocore's own waiters, told one answer at a time."""

from __future__ import annotations

from typing import Any

from botocore.loaders import Loader
from botocore.waiter import SingleWaiterConfig, WaiterModel


def waiter_of(service: str, name: str) -> SingleWaiterConfig:
    """A waiter as botocore has it."""
    return WaiterModel(Loader().load_service_model(service, "waiters-2")).get_waiter(name)


def verdict(waiter: SingleWaiterConfig, answer: dict[str, Any]) -> str:
    """What the waiter makes of an answer: "success", "failure" or "retry"."""
    for acceptor in waiter.acceptors:
        if acceptor.matcher_func(answer):
            return acceptor.state
    return "retry"
