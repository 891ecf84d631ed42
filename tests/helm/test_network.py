"""Which flows the network policies admit: those that are needed, and no others."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

import pytest

from services.settings import PARTS
from tests.helm.reading import BUNDLED, FULL, fits, of_kind, pods

if TYPE_CHECKING:
    from tests.helm.conftest import Helm
    from tests.helm.reading import Object


@dataclass(frozen=True)
class End:
    """One end of a flow."""

    namespace: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    ip: str = "10.244.0.9"


type Flow = tuple[str, str, int]

OUTSIDERS: Final = {
    "controller": End("ingress-nginx"),
    "prometheus": End("monitoring"),
    "gateways": End("gateways"),
    "operator": End("dask-operator"),
    "stranger": End("elsewhere", {"app.kubernetes.io/name": "abut"}),
    "dns": End("kube-system", {"k8s-app": "kube-dns"}),
    "database": End("databases"),
    "store": End(ip="93.184.216.34"),
    "metadata": End(ip="169.254.169.254"),
}
PORTS: Final = (53, 443, 5432, 8000, 8786, 8787, 8788, 9999)
RUNS: Final = ("setup", "ingest", "settle", "purge", "check")


def _is_peer(peer: Object, end: End) -> bool:
    if block := peer.get("ipBlock"):
        inside = ip_address(end.ip) in ip_network(block["cidr"])
        return (
            end.namespace is None
            and inside
            and not any(ip_address(end.ip) in ip_network(one) for one in block.get("except", []))
        )
    if end.namespace is None:
        return False
    if "namespaceSelector" in peer:
        named = fits(peer["namespaceSelector"], {"kubernetes.io/metadata.name": end.namespace})
    else:
        named = end.namespace == "maps"
    return named and fits(peer.get("podSelector", {}), end.labels)


def _admits(policies: list[Object], way: str, end: End, other: End, port: int) -> bool:
    if end.namespace != "maps":
        return True
    mine = [one["spec"] for one in policies if fits(one["spec"]["podSelector"], end.labels)]
    mine = [one for one in mine if way in one["policyTypes"]]
    if not mine:
        return True
    rules = [rule for one in mine for rule in one.get(way.lower(), [])]
    peers = "from" if way == "Ingress" else "to"
    return any(
        any(one["port"] == port for one in rule["ports"])
        and (peers not in rule or any(_is_peer(peer, other) for peer in rule[peers]))
        for rule in rules
    )


def flows(policies: list[Object], ends: dict[str, End]) -> set[Flow]:
    """Return the flows from or to pods of the release that policies admit."""
    return {
        (source, target, port)
        for source, one in ends.items()
        for target, other in ends.items()
        for port in PORTS
        if "maps" in (one.namespace, other.namespace)
        and _admits(policies, "Egress", one, other, port)
        and _admits(policies, "Ingress", other, one, port)
    }


def ends_of(objects: list[Object]) -> dict[str, End]:
    """Return the pods of the release, by component, and what is around them."""
    found = {}
    for name, pod in pods(objects):
        labels = pod["metadata"]["labels"]
        found[labels.get("app.kubernetes.io/component") or name.rsplit("/", 1)[1]] = End("maps", labels)
    return found | OUTSIDERS


def expected(controller: str, *, operator: bool = False) -> set[Flow]:
    """Return what is needed with a database and a store elsewhere."""
    ours: tuple[str, ...] = (*PARTS, *RUNS, "scheduler", "worker")
    found: set[Flow] = {(source, part, 8000) for source in (controller, "prometheus", "test") for part in PARTS}
    found |= {(source, "scheduler", 8786) for source in ("cubes", "ingest", "worker")}
    found |= {(source, "worker", 8788) for source in ("scheduler", "worker")}
    found |= {(source, "dns", 53) for source in (*ours, "test")}
    found |= {(source, target, port) for source in ours for target, port in (("database", 5432), ("store", 443))}
    if operator:  # the policy of the operator's pods is one for schedulers and workers
        members = ("scheduler", "worker")
        found |= {(one, other, port) for one in members for other in members for port in (8786, 8788)}
        found |= {(source, "worker", 8786) for source in ("cubes", "ingest")}
        found |= {("operator", one, port) for one in members for port in (8786, 8787)}
    return found


CASES: Final[dict[str, tuple[str, str, bool]]] = {
    "deployment": ("production", "controller", False),
    "operator": ("continental", "gateways", True),
}


@pytest.mark.parametrize("case", CASES)
def test_just_the_needed_flows_are_admitted(helm: Helm, case: str) -> None:
    profile, controller, operator = CASES[case]
    objects = helm.objects(FULL, profile)
    assert flows(of_kind(objects, "NetworkPolicy"), ends_of(objects)) == expected(controller, operator=operator)


@pytest.mark.parametrize("case", CASES)
def test_each_policy_makes_a_difference(helm: Helm, case: str) -> None:
    profile, controller, operator = CASES[case]
    objects = helm.objects(FULL, profile)
    policies, ends = of_kind(objects, "NetworkPolicy"), ends_of(objects)
    needed = expected(controller, operator=operator)
    for one in policies:
        assert flows([other for other in policies if other is not one], ends) != needed, one["metadata"]["name"]


def test_the_bundled_database_answers_abut_alone(helm: Helm) -> None:
    objects = helm.objects(FULL | BUNDLED)
    ends = ends_of(objects)
    found = {flow for flow in flows(of_kind(objects, "NetworkPolicy"), ends) if "postgresql" in flow}
    assert found == {(source, "postgresql", 5432) for source in (*PARTS, *RUNS)}


def test_an_external_scheduler_is_reached_where_it_is(helm: Helm) -> None:
    values: dict[str, Any] = {
        "dask": {"mode": "address", "address": "tcp://dask.elsewhere:8786"},
        "networkPolicy": {
            "daskTo": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}}}]
        },
    }
    objects = helm.objects(FULL | values, "production")
    found = {flow for flow in flows(of_kind(objects, "NetworkPolicy"), ends_of(objects)) if flow[1] == "stranger"}
    assert found == {("cubes", "stranger", 8786), ("ingest", "stranger", 8786)}


def test_without_policies_everything_is_admitted(helm: Helm) -> None:
    objects = helm.objects({"networkPolicy": {"enabled": False}})
    assert not of_kind(objects, "NetworkPolicy")
    assert ("stranger", "stac", 9999) in flows([], ends_of(objects))
