"""Which flows network policies admit: what Kubernetes says of them, for pods of one namespace and peers outside."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from tests.helm.rendering import matches

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Place:
    """A pod, by its labels and those of its namespace, or an address."""

    labels: dict[str, str] | None = None
    namespace: dict[str, str] | None = None
    """None: the release's own."""
    address: str | None = None


def admitted(policies: Sequence[dict[str, Any]], source: Place, target: Place, port: int) -> bool:
    """Whether a flow of TCP passes: the source's policies let it out, and the target's let it in."""
    return _passes(policies, source, target, "Egress", port) and _passes(policies, target, source, "Ingress", port)


def _passes(policies: Sequence[dict[str, Any]], own: Place, other: Place, direction: str, port: int) -> bool:
    if own.labels is None or own.namespace is not None:
        return True  # these policies are of the release's namespace
    concerned = [
        one["spec"]
        for one in policies
        if direction in one["spec"]["policyTypes"] and matches(one["spec"]["podSelector"], own.labels)
    ]
    if not concerned:
        return True
    key, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    return any(
        _has_port(rule, port) and any(_is(peer, other) for peer in rule.get(peers, []))
        for spec in concerned
        for rule in spec.get(key, [])
    )


def _has_port(rule: dict[str, Any], port: int) -> bool:
    if "ports" not in rule:
        return True
    return any(one["port"] == port and one.get("protocol", "TCP") == "TCP" for one in rule["ports"])


def _is(peer: dict[str, Any], place: Place) -> bool:
    if "ipBlock" in peer:
        if place.address is None:
            return False
        block, address = peer["ipBlock"], ip_address(place.address)
        return address in ip_network(block["cidr"]) and not any(
            address in ip_network(one) for one in block.get("except", [])
        )
    if place.labels is None:
        return False
    if "namespaceSelector" in peer:
        if place.namespace is None or not matches(peer["namespaceSelector"], place.namespace):
            return False
    elif place.namespace is not None:
        return False
    return "podSelector" not in peer or matches(peer["podSelector"], place.labels)
