"""Security policies of HTTPS and TLS listeners, and the limits of an account."""

from __future__ import annotations

from typing import Any

from portway.api.aws.elbv2.common import listing, refused
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation

DEFAULT_POLICY = "ELBSecurityPolicy-2016-08"

# By name: the versions of TLS. portway itself speaks 1.2 and 1.3 only, whatever a policy allows besides.
POLICIES = {
    "ELBSecurityPolicy-2016-08": ("TLSv1.2", "TLSv1.1", "TLSv1"),
    "ELBSecurityPolicy-TLS13-1-2-2021-06": ("TLSv1.2", "TLSv1.3"),
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06": ("TLSv1.2", "TLSv1.3"),
    "ELBSecurityPolicy-TLS13-1-3-2021-06": ("TLSv1.3",),
    "ELBSecurityPolicy-TLS-1-2-2017-01": ("TLSv1.2",),
    "ELBSecurityPolicy-TLS-1-2-Ext-2018-06": ("TLSv1.2",),
    "ELBSecurityPolicy-FS-1-2-2019-08": ("TLSv1.2",),
    "ELBSecurityPolicy-FS-1-2-Res-2020-10": ("TLSv1.2",),
}
_CIPHERS_13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_CIPHERS_12 = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)

LIMITS = {
    "application-load-balancers": 50,
    "condition-values-per-alb-rule": 5,
    "condition-wildcards-per-alb-rule": 5,
    "listeners-per-application-load-balancer": 50,
    "listeners-per-network-load-balancer": 50,
    "network-load-balancers": 50,
    "rules-per-application-load-balancer": 100,
    "target-groups": 3000,
    "target-groups-per-action-on-application-load-balancer": 5,
    "target-groups-per-application-load-balancer": 100,
    "targets-per-application-load-balancer": 1000,
    "targets-per-target-group": 1000,
    "certificates-per-application-load-balancer": 25,
}


@operation("elbv2", "DescribeSSLPolicies", ignores=("LoadBalancerType",))
async def describe_ssl_policies(face: Face, request: Request) -> dict[str, Any]:
    """By name, or all."""
    names = request.get("Names", [])
    for name in names:
        if name not in POLICIES:
            raise refused("SSLPolicyNotFound", f"SSL policy '{name}' not found")
    return listing(request, "SslPolicies", names or list(POLICIES), lambda name: name, _shown)


def _shown(name: str) -> dict[str, Any]:
    versions = POLICIES[name]
    ciphers = [
        *(_CIPHERS_13 if "TLSv1.3" in versions else ()),
        *(_CIPHERS_12 if "TLSv1.2" in versions else ()),
    ]
    return {
        "Name": name,
        "SslProtocols": list(versions),
        "Ciphers": [{"Name": c, "Priority": n} for n, c in enumerate(ciphers, start=1)],
        "SupportedLoadBalancerTypes": ["application", "network"],
    }


@operation("elbv2", "DescribeAccountLimits")
async def describe_account_limits(face: Face, request: Request) -> dict[str, Any]:
    """How many of each there may be."""
    return listing(
        request,
        "Limits",
        list(LIMITS),
        lambda name: name,
        lambda name: {"Name": name, "Max": str(LIMITS[name])},
    )
