# Two commands do it all on a machine with Python 3.11 or newer: `make fig8a` and `make test`.
PYTHON ?= python3
PROFILE ?= auto
VENV := .venv
REPRO := $(VENV)/bin/repro
PAPERS := $(notdir $(patsubst %/paper.yaml,%,$(wildcard manifests/*/paper.yaml)))
BASE_IMAGE ?= python:3.11-slim-bookworm
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)".*/\1/p' ssbrepro/__init__.py)

.DEFAULT_GOAL := help
.PHONY: help install data test test-slow check format verify-all report ui image bench attack mutants docs release-check crate-check lock schema verdicts clean

help: ## Show this list
	@sed -n 's/^\([a-z0-9%-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 14

fig%: install ## Reproduce a figure, e.g. `make fig8a`, `make ssb2018/fig1`, `make ssb2018/lr-drop PROFILE=smoke`
	$(REPRO) run $@ --profile $(PROFILE)

$(addsuffix /%,$(PAPERS)): install
	$(REPRO) run $@ --profile $(PROFILE)

install: $(VENV)/installed ## Make .venv with the hash-pinned environment and the command `repro`

# Built aside and renamed, so that an interrupted install is never taken for a whole one.
$(VENV)/installed: requirements/dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

data: install ## Download the whole of CIFAR-10, which only profile paper needs
	$(REPRO) data fetch

# Two processes of one thread each: a small network keeps no second thread busy. Neighbours, which
# share fixtures, stay together until a process runs out of tests.
test: install ## Run the quick tests (some 3 minutes on two cores)
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -m "not slow and not container and not browser" --numprocesses 2 --dist worksteal

test-slow: install ## Run all tests; those in containers need `make image` first, those on a cluster one
	$(VENV)/bin/pytest

check: install ## Check format, lint, types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: install ## Format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

verify-all: install ## Check every figure against claims and references, e.g. before a release
	$(REPRO) verify --all --profile $(if $(filter auto,$(PROFILE)),smoke,$(PROFILE))

report: install ## Write report.html from the runs on this machine
	$(REPRO) report --all

ui: install ## Open MLflow on this machine's runs
	$(REPRO) ui

# The digest that a base image is named by goes into the labels, for who looks for newer ones.
image: ## Build the container image, for a release with BASE_IMAGE=python:3.11-slim-bookworm@sha256:…
	docker build --build-arg BASE_IMAGE=$(BASE_IMAGE) $(BUILD_FLAGS) --tag ssbrepro:$(VERSION) \
	  $(addprefix --label org.opencontainers.image.base.digest=,$(word 2,$(subst @, ,$(BASE_IMAGE)))) .

bench: $(VENV)/bench-installed ## Time the work beside other tools, e.g. on two idle cores in 10 minutes
	$(VENV)/bin/python -m bench

$(VENV)/bench-installed: requirements/bench.lock $(VENV)/installed
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.lock
	touch $@

release-check: $(VENV)/release-installed ## Check versions, licences, locks; write the bill of materials to dist/
	$(VENV)/bin/python -m release

$(VENV)/release-installed: requirements/release.lock $(VENV)/installed
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/release.lock
	touch $@

# In an environment of its own: the validator wants releases of libraries that we do not.
crate-check: $(VENV)-crate/installed ## Validate what `repro export` wrote, e.g. `make crate-check CRATE=folder`
	$(VENV)-crate/bin/python release/crate.py $(CRATE)

$(VENV)-crate/installed: requirements/crate.lock
	$(PYTHON) -m venv --clear $(VENV)-crate
	$(VENV)-crate/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/crate.lock
	touch $@

attack: install ## Attack every surface, e.g. with damage, kills and hostile input (hours)
	$(VENV)/bin/python -m attack

mutants: $(VENV)/mutants-installed ## Seed defects and count what the quick tests notice (an hour)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m mutants

$(VENV)/mutants-installed: requirements/mutants.lock $(VENV)/installed
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/mutants.lock
	touch $@

docs: $(VENV)/docs-installed ## Build this project's site into docs/_build, with pictures of the runs made here
	$(VENV)/bin/sphinx-build --fresh-env --nitpicky --fail-on-warning --keep-going docs docs/_build/html

$(VENV)/docs-installed: requirements/docs.lock $(VENV)/installed
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.lock
	touch $@

lock: install ## Resolve the requirements anew (needs `uv`)
	uv pip compile --quiet requirements/run.in --output-file requirements/run.lock
	uv pip compile --quiet requirements/dev.in --constraint requirements/run.lock --output-file requirements/dev.lock
	uv pip compile --quiet requirements/bench.in --constraint requirements/dev.lock --output-file requirements/bench.lock
	uv pip compile --quiet requirements/mutants.in --constraint requirements/dev.lock --output-file requirements/mutants.lock
	uv pip compile --quiet requirements/release.in --constraint requirements/dev.lock --output-file requirements/release.lock
	uv pip compile --quiet requirements/crate.in --output-file requirements/crate.lock
	uv pip compile --quiet requirements/docs.in --constraint requirements/dev.lock --output-file requirements/docs.lock

schema: install ## Write manifests/**/schema.json from the models, the profiles and the stages
	$(VENV)/bin/python -m repro.manifests.schemas manifests

verdicts: install ## Write docs/verdicts/ and the tables of the README from what is recorded
	$(REPRO) verdicts docs/verdicts README.md

clean: ## Remove .venv; results stay
	rm -rf $(VENV) $(VENV)-crate
