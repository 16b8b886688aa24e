# Everything a person does here. `make` alone prints this list.
# Needs Python 3.11+ and make; all else is installed into .venv from requirements.lock.

PYTHON ?= python3
CONFIG ?= examples/grocery/journey.toml
WORKSPACE ?= workspace
HOST ?= 127.0.0.1
PORT ?= 8000
SERVE ?= 1
EVENTS ?= 1000000
CUSTOMERS ?= 8000
MINUTES ?= 10

VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
BENCHMARKS := accuracy.py interval_coverage.py train.py explanations.py learning_curve.py book.py friction.py cluster.py feature_engine.py service/bench.py
SPARK := $(VENV)/.spark

RESOLVE := uv pip compile --universal --python-version 3.11 --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --upgrade --quiet

SHELL := bash
.SHELLFLAGS := -eo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo train tune saas leakage-audit promote serve mlflow test check reference format bench-features bench-peers bench-accuracy bench-coverage bench-learning bench-train bench-cluster bench-book bench-explanations bench-serving bench-friction spark system lock clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

install: $(INSTALLED) ## install everything into .venv

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 2; }
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a minute or two the first time)"
	@$(RUN) -m pip install --disable-pip-version-check --progress-bar off --require-hashes -r requirements.lock \
	  | awk '/^Collecting/ && ++n % 20 == 0 {print "  " n " packages collected"} /^Installing/ {print "  unpacking"} {fflush()}'
	@$(RUN) -m pip check --disable-pip-version-check
	@$(RUN) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@echo "compiling the feature engine and the trees (half a minute, once)"
	@$(RUN) -c 'import models.trees; from features.engine import warm_up; warm_up()'
	@touch $@

demo: $(INSTALLED) ## train on real groceries, serve, score one household (SERVE=0 stops then)
	@$(RUN) examples/demo.py $(CONFIG) --workspace $(WORKSPACE) --host $(HOST) --port $(PORT) $(if $(filter 0,$(SERVE)),--stop)

train: $(INSTALLED) ## train every problem of CONFIG and register challengers
	@$(RUN) -m training train $(CONFIG) --workspace $(WORKSPACE)

tune: $(INSTALLED) ## search for better parameters of CONFIG's problems, MINUTES=10 each
	@$(RUN) -m training tune $(CONFIG) --workspace $(WORKSPACE) $(if $(PROBLEM),--problem $(PROBLEM)) --minutes $(MINUTES)

leakage-audit: $(INSTALLED) ## look for leaks in every problem of CONFIG (exit code 1 when there is one)
	@$(RUN) -m training audit $(CONFIG) --workspace $(WORKSPACE)

saas: $(INSTALLED) ## simulate a software business (CUSTOMERS=8000) and train its problems
	@test -e examples/saas/data/truth.parquet || $(RUN) -m features simulate examples/saas/data --customers $(CUSTOMERS)
	@$(RUN) -m training train examples/saas/journey.toml --workspace $(WORKSPACE)

promote: $(INSTALLED) ## make the challengers of CONFIG the champions
	@$(RUN) -m training promote $(CONFIG) --workspace $(WORKSPACE)

serve: $(INSTALLED) ## serve the champions of CONFIG on HOST:PORT
	@$(RUN) -m serving run $(CONFIG) --workspace $(WORKSPACE) --host $(HOST) --port $(PORT)

mlflow: $(INSTALLED) ## look at the experiments in a browser
	@MLFLOW_DISABLE_TELEMETRY=true $(VENV)/bin/mlflow ui --host 127.0.0.1 --port 5000 \
	  --backend-store-uri sqlite:///$(abspath $(WORKSPACE))/mlflow.db

test: $(INSTALLED) ## run every test
	@$(RUN) -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

check: $(INSTALLED) ## lint, types and the floors' borders
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@cd benchmarks && MYPYPATH=..:. $(abspath $(VENV))/bin/mypy --config-file ../pyproject.toml $(BENCHMARKS)
	@$(VENV)/bin/lint-imports --no-cache
	@said=$$($(VENV)/bin/pip-audit --progress-spinner off --disable-pip --require-hashes -r requirements.lock 2>&1) \
	  && echo "$$said" || { ! grep "^Found" <<< "$$said" || { echo "$$said"; exit 1; }; \
	  echo "pip-audit reached no network: known faults of dependencies were not looked for"; }

reference: $(INSTALLED) ## write docs/features.md, the page of all features, anew
	@$(RUN) tests/reference_page.py docs/features.md

format: $(INSTALLED) ## put the code into its usual shape
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

bench-features: $(INSTALLED) ## the feature engine beside its peers, in one run (EVENTS="1000000 10000000")
	@$(RUN) benchmarks/feature_engine.py --events $(EVENTS)

bench-peers: ## install the peers of benchmarks into environments of their own
	@for set in peers peers-pandas2 peers-serving; do \
	  test -x .venv-$$set/bin/python || $(PYTHON) -m venv .venv-$$set; \
	  .venv-$$set/bin/python -m pip install --disable-pip-version-check --quiet -r benchmarks/requirements-$$set.txt; \
	done
	@command -v java > /dev/null || echo "PySpark needs Java 17: apt-get install -y openjdk-17-jre-headless"

bench-accuracy: $(INSTALLED) ## models of every data set in DATA beside rules and published figures
	@$(RUN) benchmarks/accuracy.py $(CONFIGS) $(if $(DATA),--data $(DATA))

bench-coverage: $(INSTALLED) ## how often a score's interval holds the simulated truth
	@$(RUN) benchmarks/interval_coverage.py

bench-learning: $(INSTALLED) ## models of 50 to 500 positives beside the best rule (simulated)
	@$(RUN) benchmarks/learning_curve.py

bench-train: $(INSTALLED) ## seconds of a training run, stage by stage (ROWS=1000000 fits so many random rows)
	@$(RUN) benchmarks/train.py $(if $(ROWS),--rows $(ROWS))

bench-cluster: $(SPARK) ## Spark over buckets beside one process, in one run
	@$(RUN) benchmarks/cluster.py --events $(EVENTS)

bench-book: $(INSTALLED) ## everybody's score with reasons beside the usual recipe (CUSTOMERS=1000000)
	@$(RUN) benchmarks/book.py --customers $(CUSTOMERS)

bench-explanations: $(INSTALLED) ## reasons of one row and of 1,000 beside LightGBM's and shap's
	@$(RUN) benchmarks/explanations.py

bench-serving: $(INSTALLED) ## scores in process and over HTTP beside other ways of serving (needs wrk)
	@$(RUN) benchmarks/service/bench.py $(if $(wildcard $(WORKSPACE)/shelf),--workspace $(WORKSPACE))

bench-friction: $(INSTALLED) ## planted friction in the journey map of 100 simulated businesses
	@$(RUN) benchmarks/friction.py

spark: $(SPARK) ## install what --engine spark needs beside Java 17 into .venv

# pyspark is built here from its source, with the setuptools of the same file and nothing else.
$(SPARK): $(INSTALLED) requirements-spark.lock
	@echo "installing pyspark into $(VENV) (450 MB, a minute the first time)"
	@$(RUN) -m pip install --disable-pip-version-check --quiet --require-hashes --no-deps \
	  -r <(awk '/^[a-z]/ {on = /^setuptools==/} on' requirements-spark.lock)
	@$(RUN) -m pip install --disable-pip-version-check --quiet --require-hashes --no-deps \
	  --no-build-isolation -r requirements-spark.lock
	@$(RUN) -m pip check --disable-pip-version-check
	@touch $@

system: ## install what tests and benchmarks need from Debian (as root)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-dejavu-core \
	  openjdk-17-jre-headless postgresql wrk
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gnumeric

lock: ## resolve the newest versions again into both lock files (needs uv)
	$(RESOLVE) pyproject.toml --extra demo --extra dev --output-file requirements.lock
	@$(RUN) -c "import tomllib; extras = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
	  print(*extras['optional-dependencies']['spark'], sep='\n')" \
	  | $(RESOLVE) - --constraint requirements.lock --output-file requirements-spark.lock

clean: ## remove the environments and the workspace
	rm -rf $(VENV) .venv-peers .venv-peers-pandas2 .venv-peers-serving $(WORKSPACE)
