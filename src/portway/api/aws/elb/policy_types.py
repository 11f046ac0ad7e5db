"""The types of policies, what each takes, and the security policies that AWS has ready. Values alone."""

from __future__ import annotations

from dataclasses import dataclass

from portway.core.balancing.classic import (
    APP_COOKIE,
    LB_COOKIE,
    PROXY_PROTOCOL,
    SSL_NEGOTIATION,
    ClassicPolicy,
)

DEFAULT_SSL_POLICY = "ELBSecurityPolicy-2015-05"
PUBLIC_KEY = "PublicKeyPolicyType"
BACKEND_AUTHENTICATION = "BackendServerAuthenticationPolicyType"
REFERENCE = "Reference-Security-Policy"
_ORDER = "Server-Defined-Cipher-Order"
_DIGITS_MAX = 10
_ANY_NUMBER, _AT_MOST_ONE, _ONE = "ZERO_OR_MORE", "ZERO_OR_ONE", "ONE"

VERSIONS = ("Protocol-SSLv2", "Protocol-SSLv3", "Protocol-TLSv1", "Protocol-TLSv1.1", "Protocol-TLSv1.2")  # fmt: skip
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-AES256-SHA384", "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256", "AES128-SHA256", "AES128-SHA", "AES256-GCM-SHA384",
    "AES256-SHA256", "AES256-SHA",
)  # fmt: skip

# By name: the versions of TLS. portway itself speaks 1.2 and 1.3 only, whatever a policy allows besides.
SAMPLES = {
    "ELBSecurityPolicy-2016-08": ("Protocol-TLSv1", "Protocol-TLSv1.1", "Protocol-TLSv1.2"),
    "ELBSecurityPolicy-TLS-1-2-2017-01": ("Protocol-TLSv1.2",),
    "ELBSecurityPolicy-TLS-1-1-2017-01": ("Protocol-TLSv1.1", "Protocol-TLSv1.2"),
    DEFAULT_SSL_POLICY: ("Protocol-TLSv1", "Protocol-TLSv1.1", "Protocol-TLSv1.2"),
    "ELBSecurityPolicy-2015-03": ("Protocol-TLSv1", "Protocol-TLSv1.1", "Protocol-TLSv1.2"),
    "ELBSecurityPolicy-2015-02": ("Protocol-TLSv1", "Protocol-TLSv1.1", "Protocol-TLSv1.2"),
    "ELBSecurityPolicy-2014-10": ("Protocol-TLSv1", "Protocol-TLSv1.1", "Protocol-TLSv1.2"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeType:
    """One attribute that policies of a type take, and how often."""

    name: str
    kind: str
    cardinality: str
    default: str = ""
    description: str = ""

    @property
    def is_needed(self) -> bool:
        """Whether there is no policy without it."""
        return self.cardinality == _ONE

    def problem(self, value: str) -> str:
        """Why it cannot have this value, "" when it can."""
        if self.kind == "Boolean" and value.lower() not in ("true", "false"):
            return f"The value of attribute {self.name} must be true or false"
        if self.kind == "Long" and not (value.isascii() and value.isdecimal() and len(value) <= _DIGITS_MAX):  # fmt: skip
            return f"The value of attribute {self.name} must be a number of at most {_DIGITS_MAX} digits"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyType:
    """A type of policies. `refusal`: why portway has none of it, "" when it has."""

    name: str
    description: str
    attributes: tuple[AttributeType, ...]
    refusal: str = ""

    def attribute(self, name: str) -> AttributeType | None:
        """One of its attributes."""
        return next((one for one in self.attributes if one.name == name), None)


_UNCHECKED = "its balancer does not check the certificates of instances."

POLICY_TYPES = {
    one.name: one
    for one in (
        PolicyType(
            name=SSL_NEGOTIATION,
            description="The cipher suites and protocols that a listener and its clients agree on. Only for HTTPS and SSL listeners.",
            attributes=(
                AttributeType(name=REFERENCE, kind="String", cardinality=_AT_MOST_ONE),
                *(
                    AttributeType(name=name, kind="Boolean", cardinality=_AT_MOST_ONE, default="false")
                    for name in (*VERSIONS, _ORDER, *CIPHERS)
                ),
            ),
        ),
        PolicyType(
            name=LB_COOKIE,
            description="A cookie of the load balancer keeps a client on its instance. Only for HTTP and HTTPS listeners.",
            attributes=(
                AttributeType(
                    name="CookieExpirationPeriod",
                    kind="Long",
                    cardinality=_AT_MOST_ONE,
                    description="For how many seconds; without it, for the session of the browser.",
                ),
            ),
        ),
        PolicyType(
            name=APP_COOKIE,
            description="A cookie of the load balancer keeps a client on its instance as long as a cookie of the application lives. Only for HTTP and HTTPS listeners.",
            attributes=(AttributeType(name="CookieName", kind="String", cardinality=_ONE),),
        ),
        PolicyType(
            name=PROXY_PROTOCOL,
            description="Instances are told the address of the client in a line before its data. Only for TCP and SSL towards instances.",
            attributes=(AttributeType(name="ProxyProtocol", kind="Boolean", cardinality=_ONE),),
        ),
        PolicyType(
            name=BACKEND_AUTHENTICATION,
            description="Which public keys instances may have. portway refuses it.",
            attributes=(
                AttributeType(name="PublicKeyPolicyName", kind="PolicyName", cardinality=_ANY_NUMBER),
            ),
            refusal=_UNCHECKED,
        ),
        PolicyType(
            name=PUBLIC_KEY,
            description="A public key of instances. portway refuses it.",
            attributes=(AttributeType(name="PublicKey", kind="String", cardinality=_ONE),),
            refusal=_UNCHECKED,
        ),
    )
}  # fmt: skip


def sample_policy(name: str) -> ClassicPolicy:
    """A security policy of AWS's, with everything it allows."""
    return ClassicPolicy(
        name=name,
        type_name=SSL_NEGOTIATION,
        attributes=((REFERENCE, name), *allowed_by(name)),
    )


def allowed_by(name: str) -> tuple[tuple[str, str], ...]:
    """What one of AWS's security policies allows."""
    versions = SAMPLES[name]
    return (
        *((version, str(version in versions).lower()) for version in VERSIONS),
        (_ORDER, "true"),
        *((cipher, "true") for cipher in CIPHERS),
    )
