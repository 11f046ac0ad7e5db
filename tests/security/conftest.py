"""Security tests: modules that say VIRTUAL_TIME never really wait, as in tests/controller."""

from tests.controller.conftest import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
