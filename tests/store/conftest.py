"""Fixtures of the store's tests."""

from tests.store.postgres_server import postgres_server

__all__ = ["postgres_server"]
