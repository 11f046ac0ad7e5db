"""What a port's number says of the protocol behind it: only what surprises nobody. Pure."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import ListenerProtocol, ListenerSpec, PortSpec

# Web servers, and the development servers of web frameworks.
WEB = frozenset(
    {80, 443, 3000, 4200, 5000, 5173, 5601, 8000, 8008, 8080, 8081, 8443, 8888, 9090, 9200, 15672}
)
# The server says the first word: FTP, SSH, telnet, SMTP, POP3, NNTP, IMAP, rsync, MySQL, VNC.
SERVER_FIRST = frozenset({21, 22, 23, 25, 110, 119, 143, 587, 873, 2525, 3306, 33060, 5900})


def with_what_is_known(spec: PortSpec) -> ListenerSpec:
    """A listener that finds out what it speaks need not wait, or may wait long, where the numbers say enough.

    The container's own number says most; a web one on the outside is believed where that says nothing.
    """
    listener = spec.listener
    if listener.protocol is not ListenerProtocol.AUTO:
        return listener
    if spec.container_port in SERVER_FIRST:
        return replace(listener, protocol=ListenerProtocol.TCP)
    if WEB & {spec.container_port, *spec.service_ports}:
        return replace(listener, expects_http=True)
    return listener
