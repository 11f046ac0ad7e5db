"""What the daemon says -> what a person is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import App, Protocol
from portway.core.errors import EngineErrorKind
from portway.core.instance import InstanceIdentity
from portway.core.ports import Lease
from portway.core.state import Revision
from portway.engines.base import StartRequest
from portway.engines.docker.errors import (
    DockerRefusal,
    explain,
    explain_start,
    explain_unreachable,
    runtime_failure,
    tidy,
)

OCI = "failed to create shim task: OCI runtime create failed: runc create failed: "
LEASES = (
    Lease(port_name="80", node="local", protocol=Protocol.TCP, host_port=31004, container_port=80),
    Lease(port_name="81", node="local", protocol=Protocol.TCP, host_port=31005, container_port=81),
)
REQUEST = StartRequest(
    identity=InstanceIdentity(
        id="httpd/web.1.7",
        app_id="httpd/web",
        slot=1,
        serial=7,
        revision="R",
        release="R",
        node="local",
        leases=LEASES,
    ),
    revision=Revision(id="R", release="R", app=App(id="httpd/web", image="httpd:2")),
    environment={},
    command=None,
    command_text=None,
)


@pytest.mark.parametrize(
    "said",
    [
        "driver failed programming external connectivity on endpoint x (77ded): "
        "Bind for 127.0.0.1:31005 failed: port is already allocated",
        "driver failed programming external connectivity on endpoint x (77ded): Error starting "
        "userland proxy: listen tcp4 127.0.0.1:31005: bind: address already in use",
        "failed to set up container networking: driver failed programming external connectivity "
        "on endpoint x (77ded): failed to bind host port for 127.0.0.1:31005:172.18.0.2:81/tcp: "
        "address already in use",
        "Error starting userland proxy: listen tcp6 [::]:31005: bind: address already in use",
    ],
)
def test_a_taken_port_is_named_however_the_daemon_words_it(said: str) -> None:
    error = explain_start(DockerRefusal(500, said), REQUEST)
    assert error.kind == EngineErrorKind.PORT_TAKEN
    assert error.retryable
    assert error.message == (
        "httpd/web.1.7 could not be started: "
        'the host port 127.0.0.1:31005/tcp of its port "81" is taken.'
    )
    assert "ss -ltnup" in error.hint


def test_a_taken_port_that_the_daemon_does_not_name_is_still_a_taken_port() -> None:
    error = explain_start(DockerRefusal(500, "port is already allocated"), REQUEST)
    assert error.kind == EngineErrorKind.PORT_TAKEN
    assert "one of its host ports" in error.message


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            OCI + 'unable to start container process: exec: "/nope": stat /nope: no such file or '
            "directory: unknown",
            EngineErrorKind.BAD_COMMAND,
            'the command "/nope" does not exist in the image httpd:2.',
        ),
        (
            OCI + 'unable to start container process: exec: "nope": executable file not found in '
            "$PATH: unknown",
            EngineErrorKind.BAD_COMMAND,
            'the command "nope" does not exist in the image httpd:2.',
        ),
        (
            OCI + 'unable to start container process: exec: "/www": permission denied: unknown',
            EngineErrorKind.BAD_COMMAND,
            '"/www" in the image httpd:2 is not a program that may be executed.',
        ),
        ("No command specified", EngineErrorKind.BAD_COMMAND, "which command to run"),
        (
            "Cannot mkdir: /www/index.html is not a directory",
            EngineErrorKind.BAD_COMMAND,
            "the working directory /www/index.html is not a directory",
        ),
        (
            "unable to find user nobodyx: no matching entries in passwd file",
            EngineErrorKind.BAD_COMMAND,
            'the user "nobodyx" does not exist in the image httpd:2.',
        ),
        ("No such image: httpd:2", EngineErrorKind.IMAGE_MISSING, "is not on this machine"),
        ("invalid reference format", EngineErrorKind.IMAGE_MISSING, "is not the name of an image"),
        (
            "Error starting userland proxy: listen tcp4 10.9.9.9:31004: bind: cannot assign "
            "requested address",
            EngineErrorKind.OTHER,
            "10.9.9.9:31004 is not an address of this machine",
        ),
        (
            'invalid mount config for type "bind": bind source path does not exist: /nope/x',
            EngineErrorKind.OTHER,
            "the host path /nope/x does not exist",
        ),
        ("Duplicate mount point: /data", EngineErrorKind.OTHER, "two volumes are mounted at /data"),
        ("Minimum memory limit allowed is 6MB", EngineErrorKind.OTHER, "below 6MB"),
        (
            "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
            EngineErrorKind.OTHER,
            "more CPUs than the 2",
        ),
        (
            'error gathering device information while adding custom device "/dev/nope": no such '
            "file or directory",
            EngineErrorKind.OTHER,
            "the device /dev/nope does not exist",
        ),
        (
            'invalid CapAdd: unknown capability: "CAP_NOPE"',
            EngineErrorKind.OTHER,
            "there is no capability CAP_NOPE",
        ),
        (
            OCI + 'sysctl "nope.x" is not in a separate kernel namespace: unknown',
            EngineErrorKind.OTHER,
            "the kernel setting nope.x",
        ),
        ("Invalid signal: SIGNOPE", EngineErrorKind.OTHER, "there is no signal SIGNOPE"),
        (
            'Conflict. The container name "/portway-h-a-b-1-1" is already in use by container '
            '"ebf7". You have to remove (or rename) that container to be able to reuse that name.',
            EngineErrorKind.OTHER,
            "another container is named portway-h-a-b-1-1",
        ),
        ("network shared not found", EngineErrorKind.OTHER, "the network shared does not exist"),
        (
            "could not find an available, non-overlapping IPv4 address pool among the defaults to "
            "assign to the network",
            EngineErrorKind.OTHER,
            "no address range left",
        ),
        ("mkdir /x: no space left on device", EngineErrorKind.OTHER, "is full"),
    ],
)
def test_every_refusal_we_know_is_a_sentence_with_what_to_do(
    said: str, kind: str, words: str
) -> None:
    error = explain_start(DockerRefusal(500, said), REQUEST)
    assert error.kind == kind
    assert error.message.startswith("httpd/web.1.7 could not be started: ")
    assert words in error.message
    assert error.hint.endswith((".", "`.", ")."))
    assert "OCI runtime" not in str(error)


def test_what_we_do_not_know_is_quoted_never_said_alone() -> None:
    error = explain_start(DockerRefusal(500, OCI + "something new: unknown"), REQUEST)
    assert error.message == (
        'httpd/web.1.7 could not be started: Docker refused and said "something new".'
    )
    assert error.hint
    assert error.retryable


def test_a_refusal_that_is_our_mistake_is_not_tried_again() -> None:
    assert not explain(DockerRefusal(400, "bad parameter"), doing="It failed").retryable


def test_what_is_not_there_is_not_found() -> None:
    error = explain(DockerRefusal(404, "No such container: x"), doing="x could not be read")
    assert error.kind == EngineErrorKind.NOT_FOUND


def test_braces_in_what_the_daemon_says_do_no_harm() -> None:
    said = OCI + 'unable to start container process: exec: "{x}": executable file not found'
    assert '"{x}"' in explain(DockerRefusal(400, said), doing="It {0} failed", image="{}").message


@pytest.mark.parametrize(
    ("cause", "words", "hint"),
    [
        (FileNotFoundError(2, "x"), "there is no socket /s", "systemctl start docker"),
        (PermissionError(13, "x"), "this user may not open /s", "usermod -aG docker"),
        (ConnectionRefusedError(111, "x"), "refused or cut", "systemctl start docker"),
        (TimeoutError(), "no answer within 15 s", "systemctl restart docker"),
        (ConnectionError("server disconnected"), "refused or cut", "journalctl -u docker"),
    ],
)
def test_no_answer_says_why_and_how_to_get_one(cause: Exception, words: str, hint: str) -> None:
    error = explain_unreachable("unix:///s", cause, timeout_s=15)
    assert error.kind == EngineErrorKind.UNAVAILABLE
    assert error.retryable
    assert error.message.startswith("Docker does not answer at unix:///s: ")
    assert words in error.message
    assert hint in error.hint


def test_a_commands_own_output_is_not_taken_for_the_runtimes() -> None:
    assert runtime_failure("sh: nope: not found") is None
    assert runtime_failure("") is None
    said = 'OCI runtime exec failed: exec failed: exec: "x": executable file not found in $PATH'
    explained = runtime_failure(said)
    assert explained is not None
    assert explained("x could not be run").kind == EngineErrorKind.BAD_COMMAND


def test_the_wrappings_of_every_layer_are_taken_off() -> None:
    said = OCI + "unable to start container process: the reason: unknown"
    assert tidy(said) == "the reason"
    assert tidy("two\n lines.") == "two lines"


def test_ports_are_named_with_the_address_they_are_published_on() -> None:
    leases = (replace(LEASES[0], address="0.0.0.0", protocol=Protocol.UDP),)
    request = replace(REQUEST, identity=replace(REQUEST.identity, leases=leases))
    said = "Bind for 0.0.0.0:31004 failed: port is already allocated"
    assert "0.0.0.0:31004/udp" in explain_start(DockerRefusal(500, said), request).message
