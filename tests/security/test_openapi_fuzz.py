"""Requests made from the OpenAPI document, right and wrong ones, sent to a real server: always an answer, never a 5xx.

SCHEMA_EXAMPLES=500 sends more of them for each operation (`make fuzz`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode

from portway.api.native.routes import ENDPOINTS
from portway.api.openapi import make_document
from tests.e2e.machine import Machine, free_port

EXAMPLES = int(
    os.environ.get("SCHEMA_EXAMPLES", "4" if settings.default.max_examples >= 100 else "2")
)
TOKEN = "a-token-for-the-fuzzer"
# Stopping the server ends the test, a WebSocket is no request, and a tar is no JSON.
NOT_SENT = ("stop_server", "exec", "build")
DOCUMENT = make_document([one for one in ENDPOINTS if one.name not in NOT_SENT])
OPERATIONS = {
    operation.ok().definition.raw["operationId"]: operation.ok()
    for operation in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A whole portway with instances that exist only in its memory; its address."""
    with tempfile.TemporaryDirectory(prefix="pw") as home:
        machine = Machine(
            home=Path(home),
            directory=tmp_path_factory.mktemp("fuzz"),
            engine="memory",
            variables={
                "PORTWAY_LISTEN": (listen := f"127.0.0.1:{free_port()}"),
                "PORTWAY_TOKEN": TOKEN,
            },
        )
        try:
            machine.start_server()
            machine.manifest("services:\n  web: {image: httpd, ports: ['80:80']}\n")
            yield f"http://{listen}"
            log = (Path(home) / "server.log").read_text()
            assert "Traceback" not in log
        finally:
            machine.close()


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_every_request_the_document_allows_or_forbids_gets_an_answer(
    server: str, name: str
) -> None:
    operation = OPERATIONS[name]
    _send_examples(server, operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    if operation.query or operation.body:  # there is no wrong value for a name in a path
        _send_examples(server, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))


def _send_examples(server: str, cases: Any) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=EXAMPLES < 100,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def send(case: Any) -> None:
        if case.query:
            case.query.pop("follow", None)
        answer = case.call(
            base_url=server,
            headers={"Authorization": f"Bearer {TOKEN}", "X-Portway-Request": "1"},
            timeout=30,
        )
        assert answer.status_code < 500, answer.text
        assert "Traceback" not in answer.text
        if answer.status_code >= 400:
            assert answer.json()["error"]["message"]

    send()
