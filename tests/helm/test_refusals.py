"""Values that the chart refuses, and what it says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from services.settings import PARTS
from tests.helm.conftest import RefusedError

if TYPE_CHECKING:
    from tests.helm.conftest import Helm

type Values = dict[str, Any]

SCALED: Final = {"enabled": True, "minReplicas": 2, "maxReplicas": 3}

UNKNOWN: Final[dict[str, tuple[Values, str]]] = {
    "top": ({"replicaCount": 2}, "replicaCount"),
    "image": ({"image": {"name": "x"}}, "name"),
    "part": ({"parts": {"map": {}}}, "map"),
    "of a part": ({"parts": {"tiles": {"replica": 2}}}, "replica"),
    "of autoscaling": ({"parts": {"tiles": {"autoscaling": {"min": 2}}}}, "min"),
    "resource": ({"parts": {"tiles": {"resources": {"limits": {"gpu": 1}}}}}, "gpu"),
    "setting": ({"settings": {"ABUT_TILE_THREAD": 3}}, "ABUT_TILE_THREAD"),
    "peer": ({"networkPolicy": {"ingressFrom": [{"cidr": "10.0.0.0/8"}]}}, "cidr"),
    "password": ({"postgresql": {"password": "x"}}, "password"),
    "tokens as a setting": ({"settings": {"ABUT_READ_TOKENS": "0123456789abcdef"}}, "ABUT_READ_TOKENS"),
    "key of S3": ({"archive": {"s3": {"secretAccessKey": "x"}}}, "secretAccessKey"),
    "grace": ({"maintenance": {"settle": {"grace": "7d"}}}, "grace"),
}

WRONG: Final[dict[str, tuple[Values, str]]] = {
    "replicas": ({"parts": {"stac": {"replicas": "two"}}}, "replicas"),
    "less than none": ({"parts": {"stac": {"replicas": -1}}}, "replicas"),
    "workers": ({"parts": {"stac": {"workers": 0}}}, "workers"),
    "pull policy": ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    "mode of Dask": ({"dask": {"mode": "yarn"}}, "mode"),
    "access mode": ({"archive": {"folder": {"accessMode": "ReadOnlyMany"}}}, "accessMode"),
    "archive": ({"archive": {"url": "gs://bucket/l1c"}}, "url"),
    "password in a URL": ({"catalogue": {"url": "postgresql://abut:secret@db/abut"}}, "url"),
    "password of jobs": ({"jobs": {"url": "postgresql://abut:secret@db/abut"}}, "url"),
    "password in the environment": ({"extraEnv": [{"name": "A", "value": "postgresql://a:b@c/d"}]}, "value"),
    "password of a collector": ({"otlpEndpoint": "https://me:secret@collector"}, "otlpEndpoint"),
    "memory": ({"parts": {"stac": {"resources": {"limits": {"memory": "1 GB"}}}}}, "memory"),
    "schedule": ({"maintenance": {"purge": {"schedule": "daily"}}}, "schedule"),
    "grace without a unit": ({"maintenance": {"purge": {"grace": "7"}}}, "grace"),
    "secrets": ({"secrets": [{"name": "abut"}]}, "secrets"),
    "public URL": ({"publicUrl": "l1c.example.org"}, "publicUrl"),
    "port": ({"networkPolicy": {"outsidePorts": [70000]}}, "outsidePorts"),
}

S3: Final[Values] = {"archive": {"url": "s3://abut/l1c"}}
TWO: Final[Values] = {"parts": {"tiles": {"replicas": 2}}}
DATABASE: Final[Values] = {"catalogue": {"url": "postgresql://db/abut"}}
SHARED: Final[Values] = {"archive": {"folder": {"accessMode": "ReadWriteMany"}}}

IMPOSSIBLE: Final[dict[str, tuple[Values, str]]] = {
    "SQLite, two pods": (TWO, "parts.tiles: 2 pods can't share a SQLite catalogue"),
    "SQLite, scaled": ({"parts": {"stac": {"autoscaling": SCALED}}}, "parts.stac: 3 pods can't share a SQLite"),
    "SQLite, shared file system": (SHARED, "ReadWriteMany with a SQLite catalogue"),
    "SQLite, S3": (S3, "archive.url s3://abut/l1c needs catalogue.url"),
    "file of jobs, two pods": (
        SHARED | {"catalogue": {"url": "https://stac.example.org"}},
        "ReadWriteMany with a file of jobs",
    ),
    "file of jobs, S3": (S3 | {"catalogue": {"url": "https://stac.example.org"}}, "parts.cubes needs jobs.url"),
    "file of jobs, folder": (
        DATABASE | {"jobs": {"url": "/data/jobs.sqlite"}, "parts": {"cubes": {"replicas": 2}}},
        "parts.cubes: 2 pods can't share a file of jobs",
    ),
    "folder, two pods": (TWO | DATABASE, "parts.tiles: 2 pods need archive.folder.accessMode ReadWriteMany"),
    "folder elsewhere": ({"archive": {"url": "/data2"}}, "archive"),
    "folder, two workers": ({"dask": {"mode": "deployment"}}, "dask.workers: 2 pods need"),
    "grace": (
        {"maintenance": {"purge": {"grace": "6h"}}},
        "maintenance.purge.grace 6h is shorter than the longest job",
    ),
    "grace, long legacy tiles": (
        {
            "maintenance": {"purge": {"grace": "1d"}},
            "settings": {"ABUT_LEGACY_SECONDS": 90000},
            "parts": {"legacy": {"shutdownSeconds": 90000}},
        },
        "maintenance.purge.grace 1d is shorter",
    ),
    "grace of legacy tiles": (
        {"parts": {"legacy": {"shutdownSeconds": 300}}},
        "parts.legacy.shutdownSeconds 300 is shorter than the longest request, settings.ABUT_LEGACY_SECONDS 600",
    ),
    "shutdown": (
        {"parts": {"cubes": {"shutdownSeconds": 60}}},
        "parts.cubes.shutdownSeconds 60 is shorter than the longest request, settings.ABUT_CUBE_SECONDS 120",
    ),
    "shutdown, long tiles": (
        {"settings": {"ABUT_TILE_SECONDS": 45}},
        "parts.tiles.shutdownSeconds 30 is shorter than the longest request, settings.ABUT_TILE_SECONDS 45",
    ),
    "writes of nobody": ({"settings": {"ABUT_TRANSACTIONS": True}}, "settings.ABUT_TRANSACTIONS needs a Secret"),
    "writes of nobody, text": ({"settings": {"ABUT_TRANSACTIONS": "true"}}, "ABUT_TRANSACTIONS needs a Secret"),
    "readers unknown": ({"settings": {"ABUT_READ": "token"}}, "settings.ABUT_READ token needs a Secret"),
    "no URL": ({"publicUrl": "", "ingress": {"enabled": False}}, "publicUrl is needed"),
    "two schedulers": ({"dask": {"address": "tcp://d:8786"}}, "dask.address and dask.mode none"),
    "no scheduler": ({"dask": {"mode": "address"}}, "dask.mode address needs dask.address"),
    "two ways in": ({"gateway": {"enabled": True, "name": "g"}}, "ingress.enabled and gateway.enabled"),
    "gateway without name": ({"ingress": {"enabled": False}, "gateway": {"enabled": True}}, "gateway.name"),
    "certificate of nothing": ({"ingress": {"tlsSecret": "t"}}, "ingress.tlsSecret needs ingress.host"),
    "least above most": (
        {"parts": {"tiles": {"autoscaling": {"enabled": True, "minReplicas": 4, "maxReplicas": 3}}}},
        "parts.tiles.autoscaling: minReplicas 4 is above maxReplicas 3",
    ),
    "share of nothing": (
        S3 | DATABASE | {"parts": {"zarr": {"autoscaling": SCALED, "resources": {"requests": {"cpu": None}}}}},
        "parts.zarr.autoscaling needs parts.zarr.resources.requests.cpu",
    ),
    "budget of one": ({"parts": {"stac": {"disruption": {"minAvailable": 1}}}}, "minAvailable 1 of 1 pods: no node"),
    "budget of none": ({"parts": {"stac": {"disruption": {"maxUnavailable": 0}}}}, "maxUnavailable 0: no node"),
    "two catalogues": (DATABASE | {"postgresql": {"enabled": True}}, "postgresql.enabled and catalogue.url"),
    "database without Secret": (
        {"postgresql": {"enabled": True}},
        "postgresql.enabled needs postgresql.existingSecret",
    ),
    "secret in the open": ({"extraEnv": [{"name": "MY_PASSWORD", "value": "x"}]}, "extraEnv MY_PASSWORD has a value"),
    "ingest of nothing": ({"ingest": {"cron": {"enabled": True}}}, "ingest.cron.enabled needs ingest.cron.arguments"),
    "port of S3": (
        S3 | DATABASE | {"archive": S3["archive"] | {"s3": {"endpoint": "http://minio.minio:9000", "allowHttp": True}}},
        "archive.s3.endpoint http://minio.minio:9000: networkPolicy.outsidePorts lacks its port, 9000",
    ),
    "port of S3 unsaid": (
        S3 | DATABASE | {"archive": S3["archive"] | {"s3": {"endpoint": "http://minio.minio", "allowHttp": True}}},
        "networkPolicy.outsidePorts lacks its port, 80",
    ),
    "port of a collector": (
        {"otlpEndpoint": "http://collector.monitoring:4318"},
        "otlpEndpoint http://collector.monitoring:4318: networkPolicy.outsidePorts lacks its port, 4318",
    ),
    "port of a provider": (
        {"settings": {"ABUT_OIDC_ISSUER": "https://id.example.org:8443", "ABUT_OIDC_AUDIENCE": "abut"}},
        "settings.ABUT_OIDC_ISSUER https://id.example.org:8443: networkPolicy.outsidePorts lacks its port, 8443",
    ),
    "port of the database": (
        {"catalogue": {"url": "postgresql://db:6432/abut"}},
        "catalogue.url postgresql://db:6432/abut: networkPolicy.databasePort is another one, 5432",
    ),
    "port of jobs": (
        DATABASE | {"jobs": {"url": "postgresql://db:6432/jobs"}},
        "jobs.url postgresql://db:6432/jobs: networkPolicy.databasePort is another one, 5432",
    ),
    "scheduler nowhere": (
        {"dask": {"mode": "address", "address": "tcp://d:8786"}},
        "dask.address tcp://d:8786: networkPolicy.daskTo has to say where that is",
    ),
    "port of a scheduler": (
        {
            "dask": {"mode": "address", "address": "tcp://d:9786"},
            "networkPolicy": {"daskTo": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
        },
        "dask.address tcp://d:9786: networkPolicy.daskPort is another one, 8786",
    ),
    "parts behind a STAC API": (
        {"catalogue": {"url": "https://stac.example.org"}},
        "catalogue.url https://stac.example.org is a STAC API: parts need the database behind it",
    ),
    "an address of nothing": (
        {"parts": {part: {"enabled": False} for part in PARTS}},
        "ingress.enabled or gateway.enabled without any part",
    ),
    "signed URLs of a folder": ({"settings": {"ABUT_PRESIGN_SECONDS": 60}}, "settings.ABUT_PRESIGN_SECONDS needs"),
}

ABSENT: Final[dict[str, tuple[Values, str]]] = {
    "Gateway": (
        {"ingress": {"enabled": False}, "gateway": {"enabled": True, "name": "g"}},
        "gateway.enabled: this cluster has no gateway.networking.k8s.io/v1",
    ),
    "Dask's operator": ({"dask": {"mode": "operator", "workers": 1}}, "this cluster has no kubernetes.dask.org/v1"),
    "Prometheus's operator": ({"monitoring": {"rules": True}}, "this cluster has no monitoring.coreos.com/v1"),
}


def _said(helm: Helm, values: Values, **more: str) -> str:
    with pytest.raises(RefusedError) as caught:
        helm.text(values, **more)
    return str(caught.value)


@pytest.mark.parametrize("name", ["helm3", "helm4"])
@pytest.mark.parametrize("case", [*UNKNOWN, *WRONG])
def test_the_schema_names_the_key(helm: Helm, case: str, name: str) -> None:
    values, key = (UNKNOWN | WRONG)[case]
    said = _said(helm, values, name=name)
    assert key in said
    assert "values don't meet the specifications of the schema" in said


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_can_not_work_is_refused(helm: Helm, case: str) -> None:
    values, message = IMPOSSIBLE[case]
    assert message in _said(helm, values)


@pytest.mark.parametrize("case", ABSENT)
def test_what_the_cluster_lacks_is_not_used(helm: Helm, case: str) -> None:
    values, message = ABSENT[case]
    helm.text(values)
    assert message in _said(helm, values, apis="")


def test_the_chart_alone_asks_for_its_address(helm: Helm) -> None:
    assert "publicUrl is needed" in _said(helm, {}, profile="")


def test_what_network_policies_admit_is_not_refused(helm: Helm) -> None:
    opened = {"outsidePorts": [443, 4318, 9000], "databasePort": 6432}
    values = {
        "archive": S3["archive"] | {"s3": {"endpoint": "http://minio.minio:9000", "allowHttp": True}},
        "catalogue": {"url": "postgresql://db:6432/abut"},
        "otlpEndpoint": "http://collector.monitoring:4318",
    }
    helm.text(values | {"networkPolicy": opened})
    helm.text(values | {"networkPolicy": {"enabled": False}})
