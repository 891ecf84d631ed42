"""The chart: what each object has to be, whichever profile; what is refused; and both Helms."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.helm import rendering
from tests.helm.network import Place, admitted
from tests.helm.rendering import (
    CHART,
    CUSTOM,
    PROFILES,
    ROOT,
    WORKLOADS,
    containers,
    matches,
    named,
    of_kind,
    pods,
    rendered,
    template,
)

if TYPE_CHECKING:
    from pathlib import Path

BUNDLED = ("--set", "postgresql.enabled=true", "--set", "postgresql.existingSecret=abut", "--set", "catalogue.url=")
"""PostgreSQL of the chart; for production values."""
INGEST = ("--set", "ingest.job.enabled=true", "--set", "ingest.job.arguments={s3://eodata/x}")
EVERYTHING = {
    "laptop": (("laptop", ()),),
    "production": (("production", ()), ("production", (*BUNDLED, *INGEST))),
    "continental": (("continental", ()),),
}
SCRATCH = "/tmp"  # noqa: S108 - of containers, where it is a volume of their own
CASES = [case for some in EVERYTHING.values() for case in some]


@pytest.fixture(name="objects", params=CASES, ids=["laptop", "production", "bundled", "continental"])
def _objects(request: pytest.FixtureRequest) -> tuple[dict[str, Any], ...]:
    profile, options = request.param
    return rendered(*options, profile=profile)


# Both Helms


@pytest.mark.parametrize("profile", PROFILES)
def test_both_helms_render_the_same(profile: str) -> None:
    def sorted_by_name(version: str) -> list[dict[str, Any]]:
        return sorted(
            rendered(profile=profile, version=version), key=lambda one: (one["kind"], one["metadata"]["name"])
        )

    assert len(sorted_by_name("3")) > 20
    assert sorted_by_name("3") == sorted_by_name("4")


@pytest.mark.parametrize("version", ["3", "4"])
@pytest.mark.parametrize("profile", PROFILES)
def test_helm_finds_nothing_to_complain_of(profile: str, version: str) -> None:
    done = rendering.run(version, "lint", "--strict", str(CHART), "-f", str(CHART / "profiles" / f"{profile}.yaml"))
    assert done.returncode == 0, done.stdout


def test_the_versions_are_those_that_are_meant() -> None:
    assert rendering.run("3", "version", "--short").stdout.startswith("v3.17.3")
    assert rendering.run("4", "version", "--short").stdout.startswith("v4.3.1")


def test_kubernetes_knows_every_field(objects: tuple[dict[str, Any], ...], tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all([one for one in objects if one["kind"] not in CUSTOM]))
    command = [sys.executable, "-m", "kubernetes_validate", "-k", "1.37", "--strict", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = yaml.safe_load(yaml.safe_dump(of_kind(objects, "Deployment")[0]))
    wrong["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = "8000"
    file.write_text(yaml.safe_dump(wrong))
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode != 0


# Pods


def test_every_container_is_confined(objects: tuple[dict[str, Any], ...]) -> None:
    for metadata, spec in pods(objects):
        assert spec["automountServiceAccountToken"] is False, metadata
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        for one in containers(spec):
            security = one["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, one["name"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}
            assert "memory" in one["resources"]["limits"], one["name"]
            assert {"cpu", "memory"} <= set(one["resources"]["requests"]), one["name"]
            assert not one.get("env") or all(
                "PASSWORD" not in each["name"] or "valueFrom" in each for each in one["env"]
            )


def test_every_pod_can_write_where_it_has_to(objects: tuple[dict[str, Any], ...]) -> None:
    for _, spec in pods(objects):
        volumes = {one["name"] for one in spec.get("volumes", [])} | {"data"}
        for one in containers(spec):
            if one["name"] == "test":
                continue
            assert SCRATCH in {mount["mountPath"] for mount in one["volumeMounts"]}, one["name"]
            assert {mount["name"] for mount in one["volumeMounts"]} <= volumes
        for one in spec.get("volumes", []):
            if "emptyDir" in one:
                assert one["emptyDir"]["sizeLimit"], one


def test_parts_are_probed_and_end_in_order(objects: tuple[dict[str, Any], ...]) -> None:
    serving = [spec for _, spec in pods(objects) if containers(spec)[0].get("args", [""])[0] == "serve"]
    assert len(serving) == 6
    for spec in serving:
        [one] = spec["containers"]
        assert one["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert one["livenessProbe"]["httpGet"]["path"] == one["startupProbe"]["httpGet"]["path"] == "/healthz"
        assert one["startupProbe"]["periodSeconds"] * one["startupProbe"]["failureThreshold"] >= 60
        shutdown = int(next(each["value"] for each in one["env"] if each["name"] == "ABUT_SHUTDOWN_SECONDS"))
        [_, sleep] = one["lifecycle"]["preStop"]["exec"]["command"]
        assert spec["terminationGracePeriodSeconds"] > shutdown + int(sleep)
        assert {each["topologyKey"] for each in spec["topologySpreadConstraints"]} == {
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname",
        }


def test_accounts_are_there(objects: tuple[dict[str, Any], ...]) -> None:
    accounts = {one["metadata"]["name"]: one for one in of_kind(objects, "ServiceAccount")}
    assert all(one["automountServiceAccountToken"] is False for one in accounts.values())
    used = {spec["serviceAccountName"] for _, spec in pods(objects) if "serviceAccountName" in spec}
    assert used == set(accounts)


# Who selects whom


def test_selectors_take_their_own_pods_and_no_others(objects: tuple[dict[str, Any], ...]) -> None:
    labels = [metadata["labels"] for metadata, _ in pods(objects)]
    for one in of_kind(objects, "Deployment", "StatefulSet"):
        own = one["spec"]["template"]["metadata"]["labels"]
        assert [each for each in labels if matches(one["spec"]["selector"], each)] == [own], one["metadata"]["name"]
    for one in of_kind(objects, "Service"):
        selected = [
            spec
            for metadata, spec in pods(objects)
            if matches({"matchLabels": one["spec"]["selector"]}, metadata["labels"])
        ]
        [spec] = selected
        ports = {port["name"] for each in spec["containers"] for port in each["ports"]}
        assert {port["targetPort"] for port in one["spec"]["ports"]} <= ports
    for one in of_kind(objects, "PodDisruptionBudget"):
        assert len([each for each in labels if matches(one["spec"]["selector"], each)]) == 1
        assert one["spec"]["maxUnavailable"] >= 1


def test_what_scales_is_there_and_leaves_the_number_to_the_scaler(objects: tuple[dict[str, Any], ...]) -> None:
    deployments = {one["metadata"]["name"]: one for one in of_kind(objects, "Deployment")}
    for one in of_kind(objects, "HorizontalPodAutoscaler"):
        target = deployments[one["spec"]["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"]
        assert "cpu" in target["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in of_kind(objects, "HorizontalPodAutoscaler")}
    assert all("replicas" in one["spec"] for name, one in deployments.items() if name not in scaled)


def test_several_pods_have_a_budget_and_single_ones_have_none() -> None:
    objects = rendered(profile="production")
    budgets = {one["metadata"]["name"].rpartition("-")[2] for one in of_kind(objects, "PodDisruptionBudget")}
    assert budgets == {"viewer", "stac", "tiles", "cubes", "zarr"}


def test_paths_lead_to_their_parts() -> None:
    [ingress] = of_kind(rendered(profile="production"), "Ingress")
    [rule] = ingress["spec"]["rules"]
    leads = {one["path"]: one["backend"]["service"]["name"] for one in rule["http"]["paths"]}
    assert leads == {
        **{f"/{part}": f"l1c-abut-{part}" for part in ("stac", "tiles", "cubes", "legacy", "zarr")},
        "/access": "l1c-abut-stac",
        "/": "l1c-abut-viewer",
    }
    [route] = of_kind(rendered(profile="continental"), "HTTPRoute")
    assert {
        one["matches"][0]["path"]["value"]: one["backendRefs"][0]["name"] for one in route["spec"]["rules"]
    } == leads
    services = {one["metadata"]["name"] for one in of_kind(rendered(profile="production"), "Service")}
    assert set(leads.values()) <= services


# Settings and secrets


def test_settings_are_in_the_config_map_and_secrets_are_not(objects: tuple[dict[str, Any], ...]) -> None:
    settings = named(objects, "ConfigMap", "abut")["data"]
    assert settings["ABUT_ARCHIVE"]
    assert not [name for name in settings if re.search(r"TOKEN|PASSWORD|SECRET|KEY", name)]
    assert not of_kind(objects, "Secret")
    for _, spec in pods(objects):
        for one in containers(spec):
            if one["command"] == ["abut"] if "command" in one else False:
                assert {"configMapRef": {"name": "l1c-abut"}} in one["envFrom"], one["name"]


def test_a_change_of_settings_starts_pods_anew() -> None:
    def checksums(*options: str) -> set[str]:
        return {
            metadata["annotations"]["checksum/config"]
            for metadata, _ in pods(rendered(*options, profile="production"))
            if "checksum/config" in metadata.get("annotations", {})
        }

    [before] = checksums()
    [same] = checksums("--set", "parts.stac.workers=3")
    [after] = checksums("--set", "settings.ABUT_LOG_LEVEL=DEBUG")
    assert before == same != after


def test_secrets_reach_every_pod_of_abut() -> None:
    for _, spec in pods(rendered(profile="production")):
        for one in containers(spec):
            if one["name"] != "test":
                assert {"secretRef": {"name": "abut"}} in one["envFrom"], one["name"]


def test_commands_are_those_that_there_are(objects: tuple[dict[str, Any], ...]) -> None:
    from cli.main import COMMANDS  # noqa: PLC0415 - the command line's own list

    seen = set()
    for _, spec in pods(objects):
        for one in containers(spec):
            if one.get("command") == ["abut"]:
                seen.add(one["args"][0])
                assert one["args"][0] in COMMANDS
            if one.get("command") == ["dask"]:
                assert one["args"][0] in ("scheduler", "worker")
    assert {"serve", "settle", "purge", "check", "create", "catalog"} - seen <= {"create"}


def test_jobs_neither_pile_up_nor_run_for_ever(objects: tuple[dict[str, Any], ...]) -> None:
    crons = of_kind(objects, "CronJob")
    assert {one["metadata"]["name"].rpartition("-")[2] for one in crons} >= {"settle", "purge", "check"}
    for one in crons:
        assert one["spec"]["concurrencyPolicy"] == "Forbid"
        assert one["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 0
    for one in of_kind(objects, "Job"):
        assert one["spec"]["activeDeadlineSeconds"] > 0
        assert one["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_ingest_runs_again_only_if_it_is_told_otherwise() -> None:
    def name(*options: str) -> str:
        objects = rendered(*INGEST, *options, profile="production")
        [job] = [one for one in of_kind(objects, "Job") if "-ingest-" in one["metadata"]["name"]]
        assert job["spec"]["template"]["spec"]["containers"][0]["args"] == [
            "ingest",
            "--scheduler=tcp://l1c-abut-scheduler:8786",
            *(["s3://eodata/y"] if options else ["s3://eodata/x"]),
        ]
        return str(job["metadata"]["name"])

    assert name() != name("--set", "ingest.job.arguments={s3://eodata/y}")


def test_the_setup_makes_the_archive_before_its_catalogue_is_upgraded() -> None:
    [setup] = [one for one in of_kind(rendered(profile="production"), "Job") if "-setup-" in one["metadata"]["name"]]
    spec = setup["spec"]["template"]["spec"]
    assert [one["args"] for one in containers(spec)] == [["create"], ["catalog", "upgrade"]]
    assert setup["metadata"]["name"].endswith("-1")


def test_dask_is_started_by_commands_that_it_has() -> None:
    for _, spec in pods(rendered(profile="continental")):
        for one in containers(spec):
            if one["name"] in ("scheduler", "worker"):
                assert one["command"] == ["dask"]
                assert one["args"][0] == one["name"]
    [cluster] = of_kind(rendered(profile="continental"), "DaskCluster")
    [scaler] = of_kind(rendered(profile="continental"), "DaskAutoscaler")
    assert scaler["spec"]["cluster"] == cluster["metadata"]["name"]
    assert named(rendered(profile="continental"), "ConfigMap", "abut")["data"]["ABUT_DASK_SCHEDULER"] == (
        "tcp://l1c-abut-dask-scheduler.eo.svc:8786"
    )


def test_a_folder_is_on_a_volume_that_outlives_the_release() -> None:
    objects = rendered(profile="laptop")
    [claim] = of_kind(objects, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    for _, spec in pods(objects):
        for one in containers(spec):
            if one["name"] != "test":
                assert "/data" in {mount["mountPath"] for mount in one["volumeMounts"]}


def test_what_is_watched_is_what_the_files_say() -> None:
    objects = rendered(profile="continental")
    [rule] = of_kind(objects, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    board = named(objects, "ConfigMap", "-dashboard")["data"]["abut.json"]
    assert json.loads(board) == json.loads((CHART / "files" / "dashboard.json").read_text())
    [monitor] = of_kind(objects, "ServiceMonitor")
    found = [
        one for one in of_kind(objects, "Service") if matches(monitor["spec"]["selector"], one["metadata"]["labels"])
    ]
    assert len(found) == 6


# Names


def test_long_names_are_cut_and_stay_different() -> None:
    release = "a-release-with-a-name-as-long-as-helm-permits-it-to-be"[:53].rstrip("-")
    objects = rendered(*INGEST, profile="production", release=release)
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)
    for kind, name in names:
        assert len(name) <= (52 if kind == "CronJob" else 63), name
        assert not name.endswith("-")


def test_two_releases_do_not_meet() -> None:
    first, second = (rendered(profile="production", release=name) for name in ("one", "two"))
    names = [{(one["kind"], one["metadata"]["name"]) for one in some} for some in (first, second)]
    assert not names[0] & names[1]
    for one in of_kind(first, "Deployment"):
        assert not any(matches(one["spec"]["selector"], metadata["labels"]) for metadata, _ in pods(second))


# The network


def labels(component: str) -> Place:
    return Place(
        {
            "app.kubernetes.io/name": "abut",
            "app.kubernetes.io/instance": "l1c",
            "app.kubernetes.io/component": component,
        }
    )


PARTS = ("viewer", "stac", "tiles", "cubes", "legacy", "zarr")
RUNS = ("setup", "ingest", "settle", "purge", "check")
FRONT = Place({"app": "nginx"}, {"kubernetes.io/metadata.name": "ingress-nginx"})
WATCH = Place({"app": "prometheus"}, {"kubernetes.io/metadata.name": "monitoring"})
DNS = Place({"k8s-app": "kube-dns"}, {"kubernetes.io/metadata.name": "kube-system"})
STRANGER = Place({"app": "other"}, {"kubernetes.io/metadata.name": "other"})
NEIGHBOUR = Place({"app": "other"})
S3, CLOUD, DATABASE = Place(address="52.219.1.1"), Place(address="169.254.169.254"), Place(address="10.1.2.3")


def expected() -> dict[tuple[str, str, int], bool]:
    """Every flow between those that there are, and whether it is meant to pass."""
    inside = {name: labels(name) for name in (*PARTS, *RUNS, "scheduler", "worker", "postgresql", "test")}
    wanted: dict[tuple[str, str, int], bool] = {}
    for source in (*inside, "front", "watch", "stranger", "neighbour"):
        for target in (*inside, "dns", "s3", "cloud"):
            for port in (53, 443, 5432, 8000, 8786, 40_000):
                works = source in (*PARTS, *RUNS, "scheduler", "worker")
                dask = source in ("scheduler", "worker") and target in ("scheduler", "worker")
                wanted[source, target, port] = (
                    (target in PARTS and port == 8000 and source in ("front", "watch", "test"))
                    or (target == "dns" and port == 53)
                    or (target == "s3" and port == 443 and source not in ("postgresql", "test"))
                    or (target == "cloud" and source in ("front", "watch", "stranger", "neighbour"))
                    or (target == "s3" and source in ("front", "watch", "stranger", "neighbour"))
                    or (target == "dns" and source in ("front", "watch", "stranger", "neighbour"))
                    or (target == "postgresql" and port == 5432 and works)
                    or dask
                    or (target == "scheduler" and port == 8786 and source in ("cubes", "ingest"))
                )
    return wanted


def test_the_network_admits_what_is_needed_and_nothing_else() -> None:
    policies = of_kind(rendered(*BUNDLED, *INGEST, profile="production"), "NetworkPolicy")
    places = {name: labels(name) for name in (*PARTS, *RUNS, "scheduler", "worker", "postgresql", "test")}
    places |= {"front": FRONT, "watch": WATCH, "dns": DNS, "stranger": STRANGER, "neighbour": NEIGHBOUR}
    places |= {"s3": S3, "cloud": CLOUD}
    wanted = expected()
    found = {key: admitted(policies, places[key[0]], places[key[1]], key[2]) for key in wanted}
    assert {key: value for key, value in found.items() if value != wanted[key]} == {}
    assert sum(wanted.values()) > 100
    for missing in policies:  # each of them matters
        rest = [one for one in policies if one is not missing]
        changed = [key for key in wanted if admitted(rest, places[key[0]], places[key[1]], key[2]) != wanted[key]]
        assert changed, missing["metadata"]["name"]


def test_a_database_elsewhere_is_reached_at_its_port() -> None:
    policies = of_kind(rendered(profile="production"), "NetworkPolicy")
    assert admitted(policies, labels("stac"), DATABASE, 5432)
    assert not admitted(policies, labels("stac"), DATABASE, 22)
    assert not admitted(policies, labels("test"), DATABASE, 5432)


# Values


def test_readme_and_schema_are_those_of_the_values() -> None:
    spec = importlib.util.spec_from_file_location("helm_make", ROOT / "helm" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    make: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert (CHART / "values.schema.json").read_text() == make.schema(), "run helm/make.py"
    assert (CHART / "README.md").read_text() == make.readme(), "run helm/make.py"


def leaves(value: Any, path: str = "") -> list[str]:
    if not isinstance(value, dict) or not value or path.endswith(("resources", "schedulerResources")):
        return [path]
    return [leaf for name, one in value.items() for leaf in leaves(one, f"{path}.{name}" if path else name)]


def test_every_value_is_described_and_used() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    text = (CHART / "README.md").read_text()
    templates = "\n".join(path.read_text() for path in (CHART / "templates").rglob("*.*"))
    for leaf in leaves(values):
        if leaf.startswith("parts."):
            continue
        assert f"| `{leaf}` |" in text, leaf
        name = leaf.rpartition(".")[2]
        assert re.search(rf"\.{name}\b", templates) or f'"{name}"' in templates, f"{leaf} is used by no template"


def closed(schema: dict[str, Any], path: str = "") -> list[str]:
    """Paths of objects that take anything, though they have properties."""
    found = [] if schema.get("additionalProperties") is False or "properties" not in schema else [path]
    for name, one in schema.get("properties", {}).items():
        found += closed(one, f"{path}.{name}")
    return found


def test_the_schema_is_closed() -> None:
    assert closed(json.loads((CHART / "values.schema.json").read_text())) == []


REFUSED = [
    (("--set", "colour=red"), "colour"),
    (("--set", "parts.stac.replicaz=2"), "replicaz"),
    (("--set", "parts.maps.replicas=2"), "maps"),
    (("--set", "parts.stac.replicas=many"), "/parts/stac/replicas"),
    (("--set", "image.digest=abc"), "/image/digest"),
    (("--set", "dask.mode=maybe"), "/dask/mode"),
    (("--set", "catalogue.url=postgresql://me:pass@db/x"), "/catalogue/url"),
    (("--set", "archive.s3.secretKey=x"), "secretKey"),
    (("--set", "postgresql.password=x"), "password"),
    (("--set", "settings.colour=red"), "colour"),
    (("--set", "maintenance.purge.schedule=often"), "/maintenance/purge/schedule"),
    (("--set", "publicUrl=l1c.example.org"), "/publicUrl"),
    (("--set", "partDefaults.tmpSize=big"), "/partDefaults/tmpSize"),
]


@pytest.mark.parametrize(("options", "name"), REFUSED, ids=[options[1] for options, _ in REFUSED])
def test_the_schema_names_what_is_wrong(options: tuple[str, ...], name: str) -> None:
    for version in ("3", "4"):
        done = template(*options, profile="production", version=version)
        assert done.returncode != 0
        assert name.strip("/").rpartition("/")[2] in done.stderr, done.stderr


IMPOSSIBLE = [
    ("laptop", ("parts.stac.replicas=2",), "parts.stac: 2 pods can't share a SQLite catalogue"),
    ("laptop", ("archive.folder.accessMode=ReadWriteMany",), "SQLite can't be on a file system that nodes share"),
    (
        "laptop",
        ("parts.stac.replicas=2", "catalogue.url=postgresql://db/x"),
        "2 pods can't share a folder on a volume of one node",
    ),
    ("laptop", ("archive.url=/srv/l1c",), "a folder has to lie below /data"),
    ("laptop", ("archive.url=https://x.org/l1c",), "an archive is s3://bucket/prefix or a folder"),
    ("laptop", ("dask.mode=deployment",), "dask.workers (2): several can't share a folder"),
    ("laptop", ("publicUrl=",), "publicUrl: each part is a pod of its own"),
    ("production", ("catalogue.url=",), "an archive on S3 needs postgresql://"),
    ("production", ("jobs.url=/tmp/jobs.sqlite",), "parts.cubes: 2 pods can't share a file of jobs"),
    ("production", ("parts.cubes.shutdownSeconds=60",), "parts.cubes.shutdownSeconds (60) is shorter than the longest"),
    ("production", ("settings.ABUT_TILE_SECONDS=90",), "parts.tiles.shutdownSeconds (30) is shorter"),
    ("production", ("secrets=null", "settings.ABUT_TRANSACTIONS=true"), "settings.ABUT_TRANSACTIONS=true: needs"),
    ("production", ("secrets=null", "settings.ABUT_READ=token"), "settings.ABUT_READ=token: needs"),
    ("production", ("settings.ABUT_READ_TOKENS=abc",), "settings.ABUT_READ_TOKENS: is secret"),
    ("production", ("settings.AWS_SECRET_ACCESS_KEY=abc",), "settings.AWS_SECRET_ACCESS_KEY: is secret"),
    ("production", ("settings.ABUT_ARCHIVE=x",), "settings.ABUT_ARCHIVE: the chart sets it"),
    ("production", ("parts.zarr.enabled=false", "publicUrl="), "parts.zarr is not enabled"),
    ("production", ("dask.address=tcp://x:8786",), "dask.address and dask.mode=deployment"),
    ("production", ("dask.mode=address",), "dask.address: dask.mode=address needs one"),
    ("production", ("gateway.enabled=true", "gateway.name=x"), "ingress.enabled and gateway.enabled: one of them"),
    ("production", ("ingress.host=",), "ingress.host: a certificate"),
    ("continental", ("gateway.name=",), "gateway.name: name the Gateway"),
    ("continental", ("dask.workers=500",), "dask.workers (500) is more than dask.maxWorkers (400)"),
    ("production", ("parts.stac.autoscaling.minReplicas=9",), "minReplicas (9) is more than maxReplicas (6)"),
    ("production", ("parts.stac.disruption.maxUnavailable=0",), "nodes could never be drained"),
    ("production", ("ingest.cron.enabled=true",), "ingest.cron.arguments: say what is to be ingested"),
    ("production", ("postgresql.enabled=true",), "postgresql.enabled and catalogue.url"),
    ("production", ("postgresql.enabled=true", "catalogue.url="), "postgresql.existingSecret: name a Secret"),
    (
        "production",
        ("postgresql.enabled=true", "catalogue.url=", "postgresql.existingSecret=other"),
        "secrets: has to name postgresql.existingSecret",
    ),
]


@pytest.mark.parametrize(("profile", "values", "reason"), IMPOSSIBLE, ids=[case[2][:40] for case in IMPOSSIBLE])
def test_what_can_not_work_is_refused(profile: str, values: tuple[str, ...], reason: str) -> None:
    options = [part for value in values for part in ("--set-string" if "settings." in value else "--set", value)]
    done = template(*options, profile=profile)
    assert done.returncode != 0
    assert reason in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("api", "reason"),
    [
        ("kubernetes.dask.org/v1", "dask.mode=operator: the cluster has no"),
        ("gateway.networking.k8s.io/v1", "gateway.enabled: the cluster has no"),
        ("monitoring.coreos.com/v1", "the cluster has no monitoring.coreos.com/v1"),
    ],
)
def test_what_a_cluster_does_not_know_is_not_asked_of_it(api: str, reason: str) -> None:
    done = template(profile="continental", apis=tuple(one for one in rendering.APIS if one != api))
    assert done.returncode != 0
    assert reason in done.stderr


def test_kinds_are_known() -> None:
    kinds = {one["kind"] for profile, options in CASES for one in rendered(*options, profile=profile)}
    assert kinds >= {*WORKLOADS, *CUSTOM, "Ingress", "NetworkPolicy", "HorizontalPodAutoscaler", "PodDisruptionBudget"}
