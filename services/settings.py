"""What an operator decides: environment variables ``ABUT_...``, the same for all parts of the service."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from abut.errors import AbutError

PREFIX: Final = "ABUT_"
"""What the names of all variables begin with."""

_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*", re.ASCII)
_BASE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s?#]+", re.ASCII)


_KEY: Final = 32
"""Characters of the shortest key."""


class InvalidSettingError(AbutError, ValueError):
    """A variable or option has a value that can't be used."""


def _listed(value: object) -> object:
    """Split what is separated by commas or spaces."""
    return tuple(part for part in re.split(r"[,\s]+", value) if part) if isinstance(value, str) else value


type Listed[T] = Annotated[tuple[T, ...], NoDecode, BeforeValidator(_listed)]
"""Several values, separated by commas or spaces."""


type PartName = Literal["viewer", "stac", "tiles", "cubes", "legacy", "zarr"]
"""A part of the service."""

PARTS: Final[tuple[PartName, ...]] = ("viewer", "stac", "tiles", "cubes", "legacy", "zarr")
"""All of them."""


class Settings(BaseSettings):
    """Settings of the services; get them with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    archive: str
    """The archive: a folder, or ``s3://bucket/prefix``."""
    catalogue: SecretStr | None = None
    """How the archive's own catalogue is reached, see `catalog.opening.reached_by`; may hold a password."""

    parts: Listed[PartName] = PARTS
    """Parts that this service has; what others have is behind the same public URL, by the same paths."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8000, ge=0, le=65535)
    """Port to listen on; 0: any that is free."""
    workers: int = Field(1, ge=1, le=64)
    """Processes that answer."""
    shutdown_seconds: int = Field(30, ge=0, le=3600)
    """How long requests in flight may take after the service was told to end."""

    public_url: str | None = None
    """URL under which clients see the service, where that is not what their requests say."""
    trusted_proxies: Listed[IPv4Network | IPv6Network] = (ip_network("127.0.0.0/8"), ip_network("::1"))
    """Networks of proxies whose ``Forwarded`` and ``X-Forwarded-...`` headers are believed."""
    products_url: str | None = None
    """Where clients find the archive's folder ``products``: a bucket or CDN; default: this service's ``/zarr``."""
    presign_seconds: int = Field(0, ge=0, le=604_800)
    """How long URLs of the store are good for to which whoever asks for a block is redirected; 0: this service sends
    blocks itself. Needs an archive on S3."""
    store_endpoint: str | None = None
    """Endpoint of an S3 store as clients reach it; default: the one that this service uses."""
    cors_origins: Listed[str] = ("*",)
    """Web sites whose pages may read answers."""

    max_body: int = Field(1_000_000, ge=1)
    """Largest body of a search, in bytes."""
    max_written_body: int = Field(64_000_000, ge=1)
    """Largest body of a transaction, in bytes."""

    zone_views: int = Field(8, ge=1, le=1000)
    """Zone views that each process keeps open."""
    zone_threads: int = Field(4, ge=1, le=64)
    """Blocks of zone views that each process merges at once."""
    zone_snapshots: str | None = None
    """Folder in which processes tell each other of snapshots; default: one that `abut serve` makes for its workers."""

    cube_sync_bytes: int = Field(64_000_000, ge=1)
    """Largest cube that is answered at once, in bytes of its pixels."""
    cube_max_bytes: int = Field(20_000_000_000, ge=1)
    """Largest job, in bytes of the pixels of all its cubes."""
    cube_parts: int = Field(200, ge=1, le=10_000)
    """Cubes that one job may ask for."""
    cube_jobs_per_user: int = Field(10, ge=1)
    """Jobs of one user that may wait or run."""
    cube_threads: int = Field(2, ge=1, le=64)
    """Requests for cubes and explanations that each process answers at once."""
    cube_waiting: int = Field(32, ge=0, le=10_000)
    """Requests that may wait for that; further ones are told to come back."""
    cube_requests_per_user: int = Field(8, ge=1)
    """Requests of one user that may be answered or wait."""
    cube_seconds: float = Field(120, gt=0)
    """How long a cube may take to be made."""
    jobs: SecretStr | None = None
    """Where jobs are kept: a file, or ``postgresql://...``; default: beside the catalogue, or in its database."""
    results: str | None = None
    """Store of the results of jobs: a folder, or ``s3://bucket/prefix``; default: the folder ``results`` of the
    archive."""
    results_days: float = Field(7, gt=0)
    """How long a job that is over is kept, and its results."""
    dask_scheduler: str | None = None
    """Scheduler whose workers make cubes of jobs, such as ``tcp://10.0.0.5:8786``; default: processes here."""
    cube_workers: int = Field(1, ge=1, le=256)
    """Processes that make cubes of jobs where there is no scheduler."""
    cube_parts_at_once: int = Field(4, ge=1)
    """Cubes of jobs that are made at once, by all services that share the jobs."""
    cube_parts_per_user: int = Field(2, ge=1)
    """Those of one user."""
    cube_lease_seconds: float = Field(60, ge=1)
    """How long after a service fell silent the cubes of jobs that it made are handed out again."""
    cube_idle_seconds: float = Field(600, ge=0)
    """How long after the last cube of a job the processes that make them end, where there is no scheduler."""
    legacy_threads: int = Field(1, ge=1, le=64)
    """Legacy tiles that each process makes at once; each takes some 600 MB of memory."""
    legacy_seconds: float = Field(600, gt=0)
    """How long a legacy tile may take to be made."""
    scratch: str | None = None
    """Folder for files that exist only while they are made and sent; default: the system's."""

    tile_threads: int = Field(4, ge=1, le=64)
    """Pictures that each process makes at once."""
    tile_waiting: int = Field(256, ge=0, le=10_000)
    """Requests that may wait for that; further ones are told to come back."""
    tile_crop_threads: int = Field(2, ge=1, le=64)
    """Crops, previews, statistics and series that each process makes at once, beside map tiles."""
    tile_requests_per_client: int = Field(64, ge=1)
    """Requests of one address that may be answered or wait."""
    tile_seconds: float = Field(30, gt=0)
    """How long a picture may take, waiting included."""
    tile_cache_bytes: int = Field(512_000_000, ge=0)
    """Decoded blocks that each process keeps, in bytes."""
    tile_objects: int = Field(2_000, ge=1, le=100_000)
    """Objects that one picture may be made of; a tile that needs more is empty, and says so."""
    tile_pixels: int = Field(4_194_304, ge=1)
    """Pixels of the largest picture."""
    tile_values: int = Field(6_000_000, ge=1)
    """Pixels times bands and flags of the largest picture."""
    tile_values_at_once: int = Field(12_000_000, ge=1)
    """The same of all pictures that each process makes at once; further ones wait."""
    tile_grid_bytes: int = Field(1_500_000_000, ge=1)
    """Largest file of native pixels around a tile (`/tiles/grid`), in bytes of its pixels."""
    tile_grid_threads: int = Field(1, ge=1, le=64)
    """Such files that each process makes at once."""
    tile_series_steps: int = Field(400, ge=1)
    """Steps of the longest series of a point."""

    read: Literal["open", "token"] = "open"
    """Who may read: everybody, or whoever has a token."""
    read_tokens: Listed[SecretStr] = ()
    """Tokens of those who may read, and nothing else."""
    ticket_key: SecretStr | None = None
    """What signs tickets (`services.tickets`), the same for all processes; default: each `abut serve` makes one."""
    ticket_seconds: int = Field(3_600, ge=1, le=86_400)
    """How long a ticket may last."""
    transactions: bool = False
    """Whether the STAC API takes writes, from whoever has a token."""
    write_tokens: Listed[SecretStr] = ()
    """Tokens of those who may write collections and items."""
    register_tokens: Listed[SecretStr] = ()
    """Tokens of those who speak for an archive: what `abut ingest` needs to register over HTTP."""
    oidc_issuer: str | None = None
    """URL of the OpenID Connect provider whose tokens are accepted."""
    oidc_audience: str | None = None
    """Audience that its tokens must name."""

    metrics: bool = True
    """Whether `/metrics` answers; what is in front of the service should not pass it on to the world."""
    metrics_token: SecretStr | None = Field(None, min_length=16)
    """Bearer token that it asks for; default: none."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least level that is logged."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """``json``: an object a line; ``text``: for people; ``auto``: text on a terminal, else JSON."""

    @field_validator("archive")
    @classmethod
    def _require_name(cls, value: str) -> str:
        if not value.strip() or "\0" in value:
            raise ValueError(f"{value!r} names no archive")
        return value

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value.rstrip("/"))
        plain = (
            parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment or "@" in value)
        )
        if not plain or not _PATH.fullmatch(parts.path):
            raise ValueError(f"{value!r} is not a URL such as https://example.org/abut")
        return value.rstrip("/")

    @field_validator("products_url")
    @classmethod
    def _check_products_url(cls, value: str | None) -> str | None:
        if value is not None and not _BASE.fullmatch(value):
            raise ValueError(f"{value!r} is not a URL such as s3://bucket/l1c/products")
        return value.rstrip("/") if value else None

    @model_validator(mode="after")
    def _require_a_store_that_signs(self) -> Self:
        if self.presign_seconds and not self.archive.startswith("s3://"):
            raise ValueError(f"ABUT_PRESIGN_SECONDS needs an archive on S3; {self.archive} has no URLs to sign")
        return self

    @field_validator("store_endpoint")
    @classmethod
    def _check_store_endpoint(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
            raise ValueError(f"{value!r} is not a URL such as https://s3.example.org")
        return value.rstrip("/") if value else None

    @model_validator(mode="after")
    def _require_a_place_of_objects(self) -> Self:
        if not self.parts:
            raise ValueError(f"ABUT_PARTS names none of {', '.join(PARTS)}")
        if "stac" in self.parts and "zarr" not in self.parts and not (self.public_url or self.products_url):
            raise ValueError(
                "ABUT_PARTS has stac without zarr: ABUT_PUBLIC_URL or ABUT_PRODUCTS_URL has to say where objects are"
            )
        return self

    @model_validator(mode="after")
    def _require_a_way_to_write(self) -> Self:
        if (self.oidc_issuer is None) != (self.oidc_audience is None):
            raise ValueError("ABUT_OIDC_ISSUER and ABUT_OIDC_AUDIENCE go together, and one is not set")
        if self.transactions and not (self.write_tokens or self.register_tokens or self.oidc_issuer):
            raise ValueError(
                "ABUT_TRANSACTIONS needs ABUT_WRITE_TOKENS, ABUT_REGISTER_TOKENS or ABUT_OIDC_ISSUER: who may write?"
            )
        return self

    @model_validator(mode="after")
    def _require_a_way_to_read(self) -> Self:
        known = self.read_tokens or self.write_tokens or self.register_tokens or self.oidc_issuer
        if self.read == "token" and not known:
            raise ValueError("ABUT_READ=token needs ABUT_READ_TOKENS or ABUT_OIDC_ISSUER: who may read?")
        if self.read == "open" and self.read_tokens:
            raise ValueError("ABUT_READ_TOKENS is set, but everybody may read: set ABUT_READ=token")
        return self

    @field_validator("ticket_key")
    @classmethod
    def _require_a_long_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < _KEY:
            raise ValueError(f"a key has {_KEY} characters at least")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


def load_settings(**given: Any) -> Settings:
    """Read the settings from the environment.

    Parameters
    ----------
    **given : any
        Values that go before the environment's; None: not given.

    Raises
    ------
    InvalidSettingError
        If one is missing or can't be used; the message names the variable, and the value unless it is secret.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise InvalidSettingError(
            "; ".join(_explained(problem) for problem in error.errors(include_url=False))
        ) from None


def secrets_of(settings: Settings) -> list[str]:
    """Return what is secret in settings, and the passwords in URLs among it, as they are written and as they are."""
    found = []
    for value in settings.model_dump().values():
        some = value if isinstance(value, tuple) else (value,)
        found += [one.get_secret_value() for one in some if isinstance(one, SecretStr)]
    found = [one for one in found if "://" not in one or urlsplit(one).password or urlsplit(one).query]
    passwords = [urlsplit(one).password for one in found if "://" in one]
    return [*found, *(form for one in passwords if one for form in (one, unquote(one)))]


def _explained(problem: Any) -> str:
    if not problem["loc"]:
        return str(problem["msg"].removeprefix("Value error, "))
    name = PREFIX + "_".join(str(part) for part in problem["loc"][:1]).upper()
    if problem["type"] == "missing":
        return f"{name} is not set"
    secret = Settings.model_fields.get(str(problem["loc"][0]))
    text = problem["msg"].removeprefix("Value error, ")
    shown = "" if secret is None or "Secret" in str(secret.annotation) else f"={problem.get('input', '')!s:.100}"
    return f"{name}{shown}: {text}"
