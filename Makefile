# `make demo` shows the main job, `make test` proves it. Both set up everything they need.
.DEFAULT_GOAL := help
PY := .venv/bin/python
DEMO_OUT ?= demo-output
OPEN ?= 1
EQUALITY_OUT ?= equality-output
SAFE ?=
LOCK := --universal --python-version 3.12 --generate-hashes --no-header -q
IMAGE_EXTRAS := client cubes dense ingest pgstac services traces workflows

.PHONY: help setup demo equality test test-containers images interop screenshots notebooks lint format bench bench-catalogue bench-continental bench-cubes bench-prices bench-service bench-tiles bench-workflows kind-test lock clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: ## Make .venv with the locked dependencies
	@.ci/setup

demo: setup ## SAFE in, overlap out, legacy tile back, then the viewer; SAFE="a b" uses your own, OPEN=0 opens nothing
	@$(PY) -m cli.main demo $(if $(filter 1,$(OPEN)),--open,--no-open) --out "$(DEMO_OUT)" $(SAFE)

equality: setup ## Certificate of equality for your own products: SAFE="a b ..."
	@$(PY) -m cli.main equality --out "$(EQUALITY_OUT)" $(SAFE)

test: setup ## Run the tests
	@$(PY) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations 25 --ignore tests/helm/test_pods.py tests

images: setup ## Build the image, and stand-ins for those of others, without a daemon (root, podman, buildah)
	@tests/containers/image
	@tests/containers/standins/make

test-containers: setup ## Compose brought up and the main job through it; the chart's pods run (root, podman, buildah)
	@tests/containers/run
	@tests/containers/image_checks
	@$(PY) -m pytest -q -p no:xdist tests/helm/test_pods.py

kind-test: setup ## Install the chart in a cluster of kind and test it there; skips, with its reason, where there is none
	@deploy/kind/run

interop: setup ## Other people's readers read a re-created SAFE as the original
	@tests/interop/run

screenshots: setup ## Write the documentation's pictures of the viewer (needs chromium)
	@$(PY) -m tests.viewer.screenshots

notebooks: setup ## Run docs/notebooks anew, and write the documentation's pictures of them; ABUT_NOTEBOOK_DATA=folder takes your own SAFEs
	@$(PY) docs/notebooks/run.py

lint: setup ## ruff and mypy; types and format of the viewer
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@services/viewer/check
	@$(PY) -m mypy

format: setup ## Let ruff put the code in order
	@$(PY) -m ruff check --fix-only -q .
	@$(PY) -m ruff format -q .

bench: setup ## Measure: prints ratios from one run
	@$(PY) -m benchmarks.run

bench-catalogue: setup ## Measure the STAC API: SQLite beside pgstac, 300,000 items (needs .ci/packages)
	@$(PY) -m benchmarks.catalogue.run

bench-continental: setup ## Measure five one-month cubes at once, many users, beside SAFEs: SCALE=tiny|small|hour, DOCS=docs
	@$(PY) -m benchmarks.continental.run --scale $(or $(SCALE),small) $(if $(DOCS),--docs $(DOCS))

bench-cubes: setup ## Measure cubes: neighbourhoods, windows, series, beside JP2, COG and stock readers
	@$(PY) -m benchmarks.cubes.run

bench-prices: setup ## Count objects, requests and bytes on S3, and price them
	@$(PY) -m benchmarks.prices.run

bench-service: setup ## Measure starts of services, two replicas beside one, S3 beside files (needs wrk)
	@$(PY) -m benchmarks.service.run

bench-tiles: setup ## Measure map tiles: beside rio-tiler on COGs, many clients, memory (needs wrk)
	@$(PY) -m benchmarks.tiles.run

bench-workflows: setup ## Measure workflows on an archive beside SAFE
	@$(PY) -m benchmarks.workflows.run

lock: setup ## Write the requirements-*.lock files anew from pyproject.toml
	@.venv/bin/uv pip compile pyproject.toml --all-extras --group dev -o requirements.lock $(LOCK)
	@.venv/bin/uv pip compile pyproject.toml $(IMAGE_EXTRAS:%=--extra %) -c requirements.lock -o requirements-image.lock $(LOCK)
	@.venv/bin/uv pip compile --group build -c requirements.lock -o requirements-build.lock $(LOCK)

clean: ## Remove what demo, benchmarks and tests left
	rm -rf $(DEMO_OUT) $(EQUALITY_OUT) .mypy_cache .ruff_cache .pytest_cache .hypothesis
