# Tradewind. `make` lists what there is.
# Environments and programs are kept in $TRADEWIND_CACHE, else in $XDG_CACHE_HOME/tradewind, else in ~/.cache/tradewind.
# The base image is made of packages from $TRADEWIND_DEBIAN_MIRROR, else from where this machine's apt gets them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:

export PYTHONPATH := $(CURDIR)/operator/src:$(CURDIR)
# The Python of an environment, which is made first if the cache lacks it.
PYTHON = "$$(python3 -m e2e.venv operator)"

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: ## Digits from raw data to a service on a local Kubernetes (CONTEXT=name: on your own cluster).
	@$(PYTHON) -m e2e.demo

.PHONY: demo-clean
demo-clean: ## Remove what the demo created; caches stay.
	@$(PYTHON) -m e2e.demo clean

.PHONY: test
test: ## All checks and tests except those on a whole cluster.
	@python3 -m tests.steps

# KEEP=1 leaves the cluster up, CONTEXT=name uses yours, STORIES="-k helm" plays only those.
.PHONY: e2e
e2e: ## A selection of the stories on a whole local cluster, then of the faults: 20 minutes at most, warm.
.PHONY: e2e-all
e2e-all: ## The same with all stories.
e2e-all: ALL = --all
# The faults have an API server of their own, which they can kill. Who asked for one story wants no more.
e2e e2e-all:
	@$(PYTHON) -m e2e.stories $(ALL) $(STORIES)
	if [ -z "$(STORIES)$(CONTEXT)" ]; then
		$(PYTHON) -m e2e.faults --selection ci
	fi

.PHONY: faults
faults: ## Every fault at every request of each kind, more than an hour (FAULTS="--selection ci": a selection).
	@$(PYTHON) -m e2e.faults $(FAULTS)

.PHONY: bench
bench: ## All benchmarks, or BENCH="name name".
	@$(PYTHON) -m e2e.bench $(BENCH)

.PHONY: bench-controlplane
bench-controlplane: ## The operator compared with KubeRay and Trainer (CONTROLPLANE="--objects 100": quick).
	@$(PYTHON) -m e2e.bench.controlplane $(CONTROLPLANE)

.PHONY: bench-quality
bench-quality: ## Models compared with scikit-learn's, and as they are served (QUALITY="--seeds 1 credit": quick).
	@$(PYTHON) -m e2e.bench.quality $(QUALITY)

.PHONY: generate
generate: ## Generate the definitions, the manifests, the chart's templates and the reference again.
	@$(PYTHON) -m tradewind.generate

.PHONY: lint
lint: ## Style, types, layers, and whether what is generated is up to date.
	@python3 -m tests.steps format types layers generated

.PHONY: fmt
fmt: ## Format the code, and fix what ruff can fix.
	@python=$(PYTHON)
	$$python -m ruff check --fix-only --quiet .
	$$python -m ruff format .

.PHONY: test-unit
test-unit: ## Planners and other pure code: unit, golden and property tests.
	@python3 -m tests.steps unit

.PHONY: test-apiserver
test-apiserver: ## Definitions, runtime, manifests and chart on a real API server.
	@python3 -m tests.steps waiting apiserver packaging

.PHONY: test-workload
test-workload: ## The programs of training and compression jobs.
	@python3 -m tests.steps workload ray replica

.PHONY: test-server
test-server: ## The model server.
	@python3 -m tests.steps server

# Versions that are locked stay where they are; UPGRADE=1 takes the newest.
COMPILE = uv pip compile --quiet --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)
.PHONY: lock
lock: ## Write the lock files of images and tests again (UPGRADE=1: with the newest versions).
	@export UV_CUSTOM_COMPILE_COMMAND="make lock"
	PATH="$$(dirname $$(python3 -m e2e.venv install)):$$PATH"
	$(COMPILE) pyproject.toml -o images/operator/requirements.txt
	$(COMPILE) --group workload -o images/workload/requirements.txt
	$(COMPILE) --group server -o images/server/requirements.txt
	$(COMPILE) --group server-gpu -o images/server/requirements-gpu.txt
	$(COMPILE) pyproject.toml --group dev -c images/operator/requirements.txt -o tests/requirements.txt
	$(COMPILE) --group test -c images/workload/requirements.txt -o tests/requirements-workload.txt
	$(COMPILE) --group test-server -c images/server/requirements.txt -o tests/requirements-server.txt
	$(COMPILE) --group examples -o images/examples/requirements.txt
	$(COMPILE) --group install -o tests/requirements-install.txt
