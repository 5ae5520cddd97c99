.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export DVC_NO_ANALYTICS := true
export HF_HUB_OFFLINE ?= 1
# Where this is set, pytest would rewrite the assertions of all tests in every run.
export PYTHONDONTWRITEBYTECODE :=
VENV := .venv
PY := $(VENV)/bin/python
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

help: ## show these targets
	@grep -hE '^[a-z-]+%?:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(VENV)/.ready ## make .venv from requirements.lock (Python 3.11)

$(VENV)/.ready: requirements.lock pyproject.toml
	python3.11 -m venv $(VENV) 2>/dev/null || python3 -m venv $(VENV)
	$(PY) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Firstlight needs Python 3.11, this is " + sys.version)'
	$(PY) -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/uv pip install --quiet --python $(PY) --no-deps --require-hashes --compile-bytecode -r requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(VENV)/bin/uv pip install --quiet --python $(PY) --no-deps --no-build-isolation -e .
	$(PY) -m compileall -q recsys plugins dags localplatform demo bench
	touch $@

# torch and the CUDA libraries that come with it on Linux are pinned apart: a CPU and a GPU machine have other builds.
COMPILE := uv pip compile --quiet --no-annotate --no-header --python-version 3.11 --generate-hashes
lock: ## pin, with hashes, what pyproject.toml asks for; versions stay (UPGRADE=1: the newest of all)
	echo 'torch==2.13.0' > $(VENV)/torch.constraint
	$(COMPILE) $(if $(UPGRADE),--upgrade) --constraint $(VENV)/torch.constraint --no-emit-package torch --all-extras pyproject.toml -o requirements.lock
	awk '/^[a-z0-9]/ {keep = !/^(nvidia-|cuda-|triton==)/} keep' requirements.lock > $(VENV)/lock && cp $(VENV)/lock requirements.lock
	$(COMPILE) --upgrade --constraint requirements.lock --extra serve pyproject.toml docker/serve.in -o docker/serve.lock

format: setup ## put every file into shape
	ruff format . && ruff check --fix .

check: setup ## lint, types, layers, docstrings, spelling, Dockerfiles
	ruff format --check .
	ruff check .
	mypy
	lint-imports
	pydoclint recsys dags plugins localplatform demo
	codespell
	hadolint docker/*.Dockerfile

# tests/conftest.py says how many workers run, and which tests stay together.
TEST := pytest --numprocesses auto --dist loadscope --no-loadscope-reorder
test: setup ## all tests, against real SeaweedFS, MLflow and Airflow
	$(TEST)

test-fast: setup ## the quick tests: no server, no whole installation or pipeline
	$(TEST) -m "not servers and not whole and not slow and not gpu"

test-gpu: setup ## the tests that need a CUDA device; no other command runs them
	pytest -m gpu

data: setup ## build the demo's data/ as data.dvc names it, and the pretrained champion
	$(PY) -m demo data

repro: setup ## run every stage whose inputs changed
	dvc repro

demo: setup ## the whole main job, from landing to rollback, with real servers
	$(PY) -m demo run

up: setup ## start the platform (SeaweedFS, MLflow, Airflow) and keep it running
	$(PY) -m localplatform up

down: setup ## stop what `make up` started
	$(PY) -m localplatform down

bench-%: setup ## run one benchmark of bench/, such as bench-encode
	$(PY) -m bench.$(subst -,_,$*)

reference: setup ## write docs/reference.md from the code
	$(PY) docs/make_reference.py

clean: ## remove what runs left behind (var/), never data or artifacts
	rm -rf var

.PHONY: help setup lock format check test test-fast test-gpu data repro demo up down reference clean
