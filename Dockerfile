# One image for every command: `abut serve`, `abut ingest`, `dask worker`, ...; docs/docker.md says how it is used.
ARG BASE_IMAGE=python:3.12-slim-bookworm

# What is needed besides the project; changes with the lock alone.
FROM ${BASE_IMAGE} AS dependencies
COPY requirements-build.lock requirements-image.lock /src/
# hadolint ignore=DL3013,DL3042
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes --no-deps -r /src/requirements-build.lock \
    && python -m venv --without-pip /opt/abut \
    && /opt/build/bin/uv pip install --no-cache --python /opt/abut/bin/python --require-hashes --no-deps \
        --compile-bytecode -r /src/requirements-image.lock

# The project, with the viewer's page, as what a prefix holds.
FROM dependencies AS project
WORKDIR /src
COPY services/viewer/package.json services/viewer/package-lock.json services/viewer/
COPY deploy/build deploy/
RUN deploy/build node_modules
COPY pyproject.toml README.md LICENSE ./
COPY abut abut
COPY catalog catalog
COPY cli cli
COPY ingest ingest
COPY services services
COPY workflows workflows
RUN deploy/build project /out

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Abut" \
      org.opencontainers.image.description="Sentinel-2 L1C stored once: overlap-free Zarr, any legacy tile back bit for bit" \
      org.opencontainers.image.licenses="Apache-2.0"
# libexpat1: rasterio; libgomp1: lightgbm. The versions are those of the base image's release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libexpat1 libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 abut \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin abut \
    && install -d -o abut -g abut /data
COPY --from=dependencies /opt/abut /opt/abut
COPY --from=project /out /opt/abut
ENV PATH=/opt/abut/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    ABUT_HOST=0.0.0.0 \
    ABUT_PORT=8000 \
    ABUT_LOG_FORMAT=json \
    ABUT_SCRATCH=/tmp
USER 10001:10001
WORKDIR /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python","-m","services.probe"]
CMD ["abut","serve"]
