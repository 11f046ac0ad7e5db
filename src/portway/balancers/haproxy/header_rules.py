"""What is done with the headers of every request, whatever the listener: written once, used by each kind. Pure."""

from __future__ import annotations

# One look at all names at once: what most requests have none of costs them nothing more.
IS_ODD = "{ var(txn.odd) -m bool }"
LOOK = (
    "http-request set-var(txn.odd) bool(1) if { req.hdr_names -m reg"
    " (^|,)((content-length|transfer-encoding|upgrade|http2-settings|x[-_.]real[-_.]ip"
    "|x[-_.]request[_.]id|x[_.]request-id)(,|$)|(x[-_.]?)?forwarded([-_.,]|$)) }",
)

# Content-Length beside Transfer-Encoding never gets here: HAProxy drops it, as RFC 9112 6.3 says.
REFUSE_SMUGGLING = (
    f"http-request deny deny_status 400 if {IS_ODD} {{ req.fhdr_cnt(content-length) gt 1 }}",
    f"http-request deny deny_status 400 if {IS_ODD} {{ req.fhdr(content-length) -m found }}"
    " !{ req.fhdr(content-length) -m reg ^[0-9]+$ }",
    f"http-request deny deny_status 400 if {IS_ODD} {{ req.fhdr_cnt(transfer-encoding) gt 1 }}",
    f"http-request deny deny_status 400 if {IS_ODD} {{ req.fhdr(transfer-encoding) -m found }}"
    " !{ req.fhdr(transfer-encoding) -i -m str chunked }",
    # h2c would hand the instance a connection nobody looks into.
    f"http-request del-header upgrade if {IS_ODD} {{ req.fhdr(upgrade) -i -m sub h2c }}",
    f"http-request del-header http2-settings if {IS_ODD}",
    # A Connection header that names X-Forwarded-* would make the instance drop them.
    "http-request del-header connection",
    f"http-request add-header connection upgrade if {IS_ODD} {{ req.fhdr(upgrade) -m found }}",
)

DROP_ALIASES = (
    # Aliases too: many servers read `_` and `.` in a name as `-`.
    "http-request del-header ^(x[-_.]?forwarded([-_.].*)?|x[-_.]real[-_.]ip|forwarded"
    f"|x[_.]request[-_.]id|x-request[_.]id)$ -m reg if {IS_ODD}",
)

# Written out once a connection: an address as text is dear.
SOURCE = (
    "tcp-request session set-var-fmt(sess.src) %[src]",
    "tcp-request session set-var-fmt(sess.for) for=%[src] if { src -m ip 0.0.0.0/0 }",
    'tcp-request session set-var-fmt(sess.for) "for=\\"[%[src]]\\"" unless { src -m ip 0.0.0.0/0 }',
)

REQUEST_ID = (
    "http-request set-var(txn.request_id) req.fhdr(x-request-id)"
    " if { req.fhdr(x-request-id) -m reg ^[A-Za-z0-9._-]{1,128}$ }"
    " { req.fhdr_cnt(x-request-id) eq 1 }",
    # The microsecond and 32 random bits: a third of what uuid() costs, and it sorts by time.
    "http-request set-var-fmt(txn.request_id) %[date(0,us),hex]%[rand,hex]"
    " unless { var(txn.request_id) -m found }",
    "http-request set-header x-request-id %[var(txn.request_id)]",
    # On our own answers too: a 503 is what people ask about.
    "http-after-response set-header x-request-id %[var(txn.request_id)]"
    " if { var(txn.request_id) -m found }",
)
