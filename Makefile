# Everything installs what it needs; a second run is quick. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
SETUP := $(VENV)/.installed
# Where real processes share a busy machine, a failed test is tried once more and named in the summary (ADR 22).
AGAIN := --reruns 1 --rerun-show-tracebacks

.PHONY: help demo test lint unit sim sim-tests apiserver host cluster-tests faults bench up down image guest chart-lint docs lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(SETUP) ## Bring up the local cluster, install the chart, apply examples/, show two running VMs
	$(PY) -m dev demo

test: $(SETUP) lint unit sim-tests apiserver host cluster-tests ## All tests

lint: $(SETUP) ## Format, lint, types, architecture
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

unit: $(SETUP) ## Decisions, as tables and properties, and the database; no cluster; some 35 s (20 is the goal)
	$(PY) -m dev packages --tests
	$(PY) -m pytest tests/unit -q -n 2 --dist worksteal

apiserver: $(SETUP) ## Against a real API server and etcd
	$(PY) -m dev build
	$(PY) -m pytest tests/apiserver -q -n 2 --dist loadfile $(AGAIN)

sim: $(SETUP) ## Simulate the control plane: SEEDS=10000 [FIRST=1] [JOBS=2], or SEED=123 to replay one with its trace
	$(PY) -m sim $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),200) --first $(or $(FIRST),1) $(if $(JOBS),--jobs $(JOBS)))

sim-tests: $(SETUP) ## A fixed number of seeds, and mistakes that the simulation must find
	$(PY) -m pytest tests/sim -q -n 2 --dist worksteal

host: $(SETUP) ## Agents on real libvirt, QEMU, nftables; no Kubernetes
	$(PY) -m dev build
	$(PY) -m images.tiny.build
	$(PY) -m pytest tests/host -q -m "not slow" -n 2 --dist loadfile $(AGAIN)

cluster-tests: $(SETUP) ## The chart on a real cluster (KUBECONFIG's, else the local one), guests that boot and talk; some sudden deaths
	$(PY) -m dev deploy
	$(PY) -m pytest tests/cluster -q -m "not slow and not alone" -n 2 --dist loadfile $(AGAIN)
	$(PY) -m pytest tests/cluster tests/faults -q -m "alone and not slow" $(AGAIN)

faults: $(SETUP) ## Kill everything at every step, on hosts and on the cluster
	$(PY) -m dev deploy
	$(PY) -m pytest tests/host -q -m slow
	$(PY) -m pytest tests/faults -q

bench: $(SETUP) ## Measure, and print the tables of docs/benchmarks.md
	$(PY) -m dev deploy
	$(PY) -m pytest tests/bench -q -s

up: $(SETUP) ## The local cluster only
	$(PY) -m dev up

down: $(SETUP) ## Take the local cluster down
	$(PY) -m dev down

image: $(SETUP) ## Build the image from the Dockerfile and load it into the local cluster
	$(PY) -m dev image build
	$(PY) -m dev image load

docs: $(SETUP) ## Generate docs/reference from the CRDs, docs/api.md from the API's commands
	$(PY) -m docs.generate
	$(PY) -m docs.generate_api

lock: $(SETUP) ## Resolve the lock files anew
	$(VENV)/bin/uv pip compile -q --upgrade --python-version 3.11 --universal --no-emit-index-url --no-header --generate-hashes pyproject.toml --extra agents --extra data -o requirements/image.lock
	$(VENV)/bin/uv pip compile -q --upgrade --python-version 3.11 --universal --no-emit-index-url --no-header --generate-hashes pyproject.toml --extra agents --extra data --extra dev -o requirements/dev.lock

clean: ## Remove what was made in this folder (not the caches, not the cluster)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(SETUP): requirements/dev.lock
	python3 -m dev packages
	test -x $(PY) || python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	touch $@
