"""What the chart's objects are, in all profiles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pytest
import yaml

from services.settings import PARTS, load_settings
from tests.helm.conftest import CHART, PROFILES, Helm
from tests.helm.reading import BUNDLED, FULL, containers, fits, named, of_kind, pods

if TYPE_CHECKING:
    from tests.helm.reading import Object

VARIANTS = {
    **{name: (name, FULL) for name in PROFILES},
    "bundled": ("laptop", FULL | BUNDLED),
    "everything": ("production", FULL | {"monitoring": {"serviceMonitor": True, "rules": True, "dashboard": True}}),
}


@pytest.fixture(params=VARIANTS)
def objects(request: pytest.FixtureRequest, helm: Helm) -> list[Object]:
    profile, values = VARIANTS[request.param]
    return helm.objects(values, profile)


def test_containers_have_no_rights(objects: list[Object]) -> None:
    for name, pod, container in containers(objects):
        security, whole = container["securityContext"], pod["spec"]["securityContext"]
        assert security["readOnlyRootFilesystem"] is True, name
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["runAsNonRoot"] is True, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert whole["runAsNonRoot"] is True, name
        assert whole["runAsUser"] == (999 if "postgresql" in name else 10001), name
        assert whole["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["spec"]["automountServiceAccountToken"] is False, name


def test_containers_have_memory_and_a_place_for_files(objects: list[Object]) -> None:
    for name, pod, container in containers(objects):
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
        assert container["resources"]["limits"].keys() == {"memory"}, name
        [tmp] = [one for one in pod["spec"]["volumes"] if one["name"] == "tmp"]
        assert tmp["emptyDir"]["sizeLimit"], name
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"], name  # noqa: S108 - in the container
        volumes = {one["name"] for one in pod["spec"]["volumes"]}
        if name.startswith("StatefulSet/"):
            volumes.add("data")
        assert {one["name"] for one in container["volumeMounts"]} <= volumes, name


def test_selectors_take_their_pods_and_no_others(objects: list[Object]) -> None:
    every = list(pods(objects))
    for one in of_kind(objects, "Deployment", "StatefulSet"):
        name = f"{one['kind']}/{one['metadata']['name']}"
        assert [found for found, pod in every if fits(one["spec"]["selector"], pod["metadata"]["labels"])] == [name]
    for one in of_kind(objects, "Service", "PodDisruptionBudget"):
        name = one["metadata"]["name"]
        selector = one["spec"]["selector"]
        selector = selector if one["kind"] == "PodDisruptionBudget" else {"matchLabels": selector}
        taken = [found for found, pod in every if fits(selector, pod["metadata"]["labels"])]
        assert [found.split("/")[1] for found in taken] == [name]


def test_ports_of_services_are_ports_of_pods(objects: list[Object]) -> None:
    for service in of_kind(objects, "Service"):
        for name, pod in pods(objects):
            if fits({"matchLabels": service["spec"]["selector"]}, pod["metadata"]["labels"]):
                open_ = {port["name"] for one in pod["spec"]["containers"] for port in one["ports"]}
                assert {port["targetPort"] for port in service["spec"]["ports"]} <= open_, name


def test_what_is_referred_to_is_there(objects: list[Object]) -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in objects}
    for name, pod in pods(objects):
        assert ("ServiceAccount", pod["spec"]["serviceAccountName"]) in there, name
        for volume in pod["spec"]["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                assert ("PersistentVolumeClaim", claim["claimName"]) in there, name
    for _, _, container in containers(objects):
        for source in container.get("envFrom", []):
            if config := source.get("configMapRef"):
                assert ("ConfigMap", config["name"]) in there
    for one in of_kind(objects, "HorizontalPodAutoscaler"):
        target = one["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) in there
        assert "replicas" not in named(objects, "Deployment", target["name"])["spec"], "the autoscaler says how many"
    for one in of_kind(objects, "Ingress"):
        for path in one["spec"]["rules"][0]["http"]["paths"]:
            assert ("Service", path["backend"]["service"]["name"]) in there
    for one in of_kind(objects, "HTTPRoute"):
        for rule in one["spec"]["rules"]:
            assert ("Service", rule["backendRefs"][0]["name"]) in there


def test_service_accounts_have_no_token(objects: list[Object]) -> None:
    accounts = of_kind(objects, "ServiceAccount")
    assert accounts
    assert all(one["automountServiceAccountToken"] is False for one in accounts)


def test_each_part_has_everything(helm: Helm) -> None:
    objects = helm.objects(FULL, "production")
    for part in PARTS:
        kinds = {one["kind"] for one in objects if one["metadata"]["name"] == f"rel-abut-{part}"}
        scaled = set() if part == "viewer" else {"HorizontalPodAutoscaler"}
        assert kinds == {"Deployment", "Service", "ServiceAccount", "PodDisruptionBudget"} | scaled
        deployment = named(objects, "Deployment", f"rel-abut-{part}")
        assert deployment["spec"]["template"]["spec"]["containers"][0]["args"][:3] == ["serve", "--part", part]


def test_probes_ask_the_process_to_live_and_its_needs_to_be_ready(objects: list[Object]) -> None:
    for part in PARTS:
        [container] = named(objects, "Deployment", f"rel-abut-{part}")["spec"]["template"]["spec"]["containers"]
        asked = {what: container[f"{what}Probe"]["httpGet"]["path"] for what in ("startup", "liveness", "readiness")}
        assert asked == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
        assert container["readinessProbe"]["timeoutSeconds"] > 5, "/readyz takes up to 5 s to say no"


def test_pods_have_time_to_end(objects: list[Object]) -> None:
    for part in PARTS:
        pod = named(objects, "Deployment", f"rel-abut-{part}")["spec"]["template"]["spec"]
        [container] = pod["containers"]
        shutdown = next(int(one["value"]) for one in container["env"] if one["name"] == "ABUT_SHUTDOWN_SECONDS")
        [sleep, seconds] = container["lifecycle"]["preStop"]["exec"]["command"]
        assert sleep == "sleep"
        assert pod["terminationGracePeriodSeconds"] > shutdown + int(seconds)


def test_replicas_spread_over_zones_and_nodes(objects: list[Object]) -> None:
    for part in PARTS:
        template = named(objects, "Deployment", f"rel-abut-{part}")["spec"]["template"]
        spread = template["spec"]["topologySpreadConstraints"]
        assert [one["topologyKey"] for one in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        assert all(fits(one["labelSelector"], template["metadata"]["labels"]) for one in spread)


def test_disruption_budgets_let_nodes_drain(objects: list[Object]) -> None:
    for one in of_kind(objects, "PodDisruptionBudget"):
        assert one["spec"].get("maxUnavailable", 0) >= 1
    assert of_kind(objects, "PodDisruptionBudget") or not of_kind(objects, "HorizontalPodAutoscaler")


def test_runs_end_do_not_overlap_and_are_tried_again(objects: list[Object]) -> None:
    crons = {one["metadata"]["name"]: one["spec"] for one in of_kind(objects, "CronJob")}
    assert crons.keys() == {f"rel-abut-{what}" for what in ("ingest", "settle", "purge", "check")}
    for spec in crons.values():
        assert spec["concurrencyPolicy"] == "Forbid"
    runs = [spec["jobTemplate"]["spec"] for spec in crons.values()] + [one["spec"] for one in of_kind(objects, "Job")]
    for spec in runs:
        assert spec["activeDeadlineSeconds"] > 0
        assert spec["backoffLimit"] >= 1
        assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_archive_and_tables_are_made_then_brought_up_to_date(objects: list[Object]) -> None:
    [setup] = [one for one in of_kind(objects, "Job") if "-setup-" in one["metadata"]["name"]]
    pod = setup["spec"]["template"]["spec"]
    assert [one["args"] for one in pod["initContainers"]] == [["create"]]
    assert [one["args"] for one in pod["containers"]] == [["catalog", "upgrade"]]


def test_jobs_that_change_get_another_name(helm: Helm) -> None:
    def names(**image: str) -> set[str]:
        return {one["metadata"]["name"] for one in of_kind(helm.objects(FULL | {"image": image}), "Job")}

    assert names(tag="1") == names(tag="1")
    assert not names(tag="1") & names(tag="2"), "a Job can't be changed"


def test_secrets_are_made_by_nobody_and_settings_hold_none(objects: list[Object]) -> None:
    assert not of_kind(objects, "Secret")
    for one in of_kind(objects, "ConfigMap"):
        assert not [key for key in one["data"] if re.search("PASSWORD|TOKENS?$|SECRET|TICKET_KEY|ACCESS_KEY", key)]
        assert not [value for value in one["data"].values() if re.search("://[^/ ]*:[^/ ]*@", str(value))]


def test_secrets_reach_every_container_of_abut(helm: Helm) -> None:
    values = FULL | {"secrets": ["one", "two"]}
    for name, _, container in containers(helm.objects(values, "continental")):
        if not name.startswith("Pod/"):
            sources = [source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source]
            assert sources == ["one", "two"], name


def test_settings_are_those_that_the_services_take(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    for profile in PROFILES:
        settings = named(helm.objects(None, profile), "ConfigMap", "rel-abut")["data"]
        with monkeypatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            patch.setenv("ABUT_READ_TOKENS", "sixteen-characters")
            if profile != "continental":
                patch.delenv("ABUT_READ_TOKENS")
            assert load_settings(parts=("stac",)).archive == settings["ABUT_ARCHIVE"]


def test_large_numbers_are_written_as_whole_numbers(helm: Helm) -> None:
    settings = named(helm.objects(None, "continental"), "ConfigMap", "rel-abut")["data"]
    assert settings["ABUT_TILE_CACHE_BYTES"] == "2000000000"


def test_pods_are_started_anew_when_settings_change(helm: Helm) -> None:
    def checksum(**settings: str) -> set[str]:
        found = helm.objects({"settings": settings})
        return {pod["metadata"]["annotations"]["checksum/config"] for name, pod in pods(found) if "Deployment" in name}

    [one], [other] = checksum(ABUT_LOG_LEVEL="INFO"), checksum(ABUT_LOG_LEVEL="DEBUG")
    assert one != other
    assert {one} == checksum(ABUT_LOG_LEVEL="INFO")


LONG = "a-release-whose-name-is-as-long-as-helm-allows-it-5"


@pytest.mark.parametrize("profile", PROFILES)
def test_names_are_short_enough_and_releases_do_not_collide(helm: Helm, profile: str) -> None:
    first, second = (helm.objects(FULL, profile, release=LONG + end) for end in "12")
    names = [{(one["kind"], one["metadata"]["name"]) for one in some} for some in (first, second)]
    assert not names[0] & names[1]
    assert all(len(name) <= (52 if kind == "CronJob" else 63) for kind, name in names[0])
    for one in of_kind(first, "Service", "Deployment"):
        selector = one["spec"]["selector"]
        selector = selector.get("matchLabels", selector)
        assert not [name for name, pod in pods(second) if fits({"matchLabels": selector}, pod["metadata"]["labels"])]


def test_each_object_is_made_once(objects: list[Object]) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))


def _led(objects: list[Object]) -> dict[tuple[str, str], str]:
    """Return which part answers which path, and how the path is meant."""
    found = {}
    for one in of_kind(objects, "Ingress"):
        for path in one["spec"]["rules"][0]["http"]["paths"]:
            found[path["pathType"], path["path"]] = path["backend"]["service"]["name"].removeprefix("rel-abut-")
    for one in of_kind(objects, "HTTPRoute"):
        for rule in one["spec"]["rules"]:
            path = rule["matches"][0]["path"]
            found[path["type"].removeprefix("Path"), path["value"]] = rule["backendRefs"][0]["name"].removeprefix(
                "rel-abut-"
            )
    return found


@pytest.mark.parametrize("profile", ["laptop", "production", "continental"])
def test_paths_lead_to_their_parts_and_metrics_nowhere(helm: Helm, profile: str) -> None:
    expected = {("Exact", "/"): "viewer", ("Prefix", "/access"): "stac"}
    expected |= {("Prefix", f"/{part}"): part for part in PARTS}
    assert _led(helm.objects(None, profile)) == expected


def test_paths_are_below_the_public_url(helm: Helm) -> None:
    led = _led(helm.objects({"publicUrl": "https://eo.example.org/l1c"}, "production"))
    assert led.pop(("Exact", "/l1c")) == led.pop(("Exact", "/l1c/")) == "viewer"
    assert led == {("Prefix", "/l1c/access"): "stac"} | {("Prefix", f"/l1c/{part}"): part for part in PARTS}


@pytest.mark.parametrize("profile", ["production", "continental"])
def test_dask_is_started_by_commands_that_there_are(helm: Helm, profile: str) -> None:
    roles = {}
    for name, _, container in containers(helm.objects(None, profile)):
        if container["command"] == ["dask"]:
            roles[container["args"][0]] = name
    assert roles.keys() == {"scheduler", "worker"}


@pytest.mark.parametrize("profile", PROFILES)
def test_commands_take_their_arguments(helm: Helm, profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed.cli import dask_scheduler, dask_worker  # noqa: PLC0415 - heavy

    from cli.main import program  # noqa: PLC0415 - heavy

    monkeypatch.setenv("ABUT_ARCHIVE", "s3://bucket/l1c")
    dask: dict[str, click.Command] = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
    seen = set()
    for name, _, container in containers(helm.objects(FULL, profile)):
        called, arguments = container["command"][0], list(container["args"])
        if called == "dask":
            command: click.Command = dask[arguments[0]]
            command.make_context(arguments[0], arguments[1:])
        elif called == "abut":
            command = program
            while isinstance(command, click.Group):
                word = arguments.pop(0)
                found = command.get_command(click.Context(command), word)
                assert found is not None, name
                command = found
            arguments = ["x.SAFE" if one == "@list" else one for one in arguments]
            command.make_context(word, arguments)
        seen.add(container["args"][0])
    assert seen >= {"serve", "create", "catalog", "ingest", "settle", "purge", "check"}


def test_cubes_and_ingest_ask_the_scheduler_of_the_release(helm: Helm) -> None:
    for profile in ("production", "continental"):
        objects = helm.objects(FULL, profile)
        url = named(objects, "ConfigMap", "rel-abut")["data"]["ABUT_DASK_SCHEDULER"]
        host = url.removeprefix("tcp://").removesuffix(":8786").split(".")[0]
        if profile == "production":
            assert named(objects, "Service", host)
        else:
            [cluster] = of_kind(objects, "DaskCluster")
            assert host == cluster["metadata"]["name"] + "-scheduler", "the operator names the Service so"
            [scaler] = of_kind(objects, "DaskAutoscaler")
            assert scaler["spec"] == {"cluster": cluster["metadata"]["name"], "minimum": 4, "maximum": 60}
        ingest = named(objects, "CronJob", "rel-abut-ingest")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert ingest["containers"][0]["args"] == ["ingest", f"--scheduler={url}", "@list"]


def test_alerts_and_dashboard_are_those_of_the_files(helm: Helm) -> None:
    objects = helm.objects(None, "continental")
    [rule] = of_kind(objects, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    dashboard = named(objects, "ConfigMap", "rel-abut-dashboard")["data"]["abut.json"]
    assert dashboard == (CHART / "files" / "dashboard.json").read_text()
    [monitor] = of_kind(objects, "ServiceMonitor")
    seen = [one for one in of_kind(objects, "Service") if fits(monitor["spec"]["selector"], one["metadata"]["labels"])]
    assert {one["metadata"]["name"] for one in seen} == {f"rel-abut-{part}" for part in PARTS}
    assert monitor["spec"]["endpoints"][0]["authorization"] == {
        "credentials": {"name": "abut", "key": "ABUT_METRICS_TOKEN"}
    }


def test_the_test_asks_each_part(helm: Helm) -> None:
    [pod] = of_kind(helm.objects(), "Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert set(pod["spec"]["containers"][0]["args"][1:]) == {f"http://rel-abut-{part}/readyz" for part in PARTS}


def test_a_part_that_is_off_leaves_nothing(helm: Helm) -> None:
    objects = helm.objects({"parts": {"legacy": {"enabled": False}}})
    assert "legacy" not in yaml.safe_dump_all(objects)


def test_the_bundled_database_is_the_catalogue(helm: Helm) -> None:
    objects = helm.objects(BUNDLED)
    settings = named(objects, "ConfigMap", "rel-abut")["data"]
    assert settings["ABUT_CATALOGUE"] == "postgresql://rel-abut-postgresql:5432/abut"
    assert named(objects, "Service", "rel-abut-postgresql")["spec"]["ports"][0]["port"] == 5432
    [database] = of_kind(objects, "StatefulSet")
    assert database["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == "20Gi"
    stac = named(objects, "Deployment", "rel-abut-stac")["spec"]["template"]["spec"]["containers"][0]
    assert {"secretRef": {"name": "db"}} in stac["envFrom"]


def test_products_to_ingest_may_lie_on_a_volume(helm: Helm) -> None:
    objects = helm.objects({"ingest": FULL["ingest"] | {"sourceClaim": "downloads"}})
    pod = named(objects, "CronJob", "rel-abut-ingest")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert {"name": "safe", "persistentVolumeClaim": {"claimName": "downloads", "readOnly": True}} in pod["volumes"]
    assert {"name": "safe", "mountPath": "/safe", "readOnly": True} in pod["containers"][0]["volumeMounts"]


def test_products_on_a_volume_are_not_given_to_workers_that_lack_it(helm: Helm) -> None:
    for values, told in (({}, True), ({"sourceClaim": "downloads"}, False)):
        objects = helm.objects({"ingest": FULL["ingest"] | values}, "production")
        runs = [one["args"] for name, _, one in containers(objects) if name.endswith("/ingest")]
        assert len(runs) == 2
        assert all(("--scheduler=tcp://rel-abut-scheduler:8786" in run) is told for run in runs)


def test_a_release_that_only_ingests_registers_through_an_api(helm: Helm) -> None:
    values = FULL | {
        "parts": {part: {"enabled": False} for part in PARTS},
        "catalogue": {"url": "https://stac.example.org"},
        "ingress": {"enabled": False},
        "monitoring": {"serviceMonitor": True},
    }
    objects = helm.objects(values, "production")
    assert not of_kind(objects, "HorizontalPodAutoscaler", "Pod", "ServiceMonitor")
    assert {one["metadata"]["labels"]["app.kubernetes.io/component"] for one in of_kind(objects, "Deployment")} == {
        "scheduler",
        "worker",
    }
    [setup] = [one for one in of_kind(objects, "Job") if "-setup-" in one["metadata"]["name"]]
    runs = [one["args"] for _, _, one in containers([setup])]
    assert runs == [["create"]], "a STAC API is upgraded where it is served"
    expressions = [
        one
        for policy in of_kind(objects, "NetworkPolicy")
        for one in policy["spec"]["podSelector"].get("matchExpressions", [])
    ]
    assert expressions
    assert all(one["values"] and all(one["values"]) for one in expressions)


def test_service_accounts_may_stand_for_roles_of_a_cloud(helm: Helm) -> None:
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/abut"}
    accounts = of_kind(helm.objects({"serviceAccountAnnotations": role}), "ServiceAccount")
    assert len(accounts) == len(PARTS) + 1
    assert all(one["metadata"]["annotations"] == role for one in accounts)


def test_pods_of_zarr_share_snapshots_by_a_volume(helm: Helm) -> None:
    objects = helm.objects({"zoneSnapshots": {"existingClaim": "snaps"}}, "production")
    assert named(objects, "ConfigMap", "rel-abut")["data"]["ABUT_ZONE_SNAPSHOTS"] == "/snapshots"
    pod = named(objects, "Deployment", "rel-abut-zarr")["spec"]["template"]["spec"]
    assert {"name": "snapshots", "mountPath": "/snapshots"} in pod["containers"][0]["volumeMounts"]
