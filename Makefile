# Every habit has a name here; each only calls what a person would type.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
LOCAL := $(BIN)/python -m local --
READY := .venv/ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
# uv trusts its own list of certificates unless told otherwise; pip, and whoever is behind a proxy
# of a company, those of the system.
export UV_SYSTEM_CERTS ?= true
STEP = @printf '\n=== %s\n'

.PHONY: help setup demo pipeline test test-faults test-tooling lint sqlfluff workflows-lint image-test build erd cost bench airflow airflow-test lock clean

help:  ## list what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## put everything that the project needs into .venv/

$(READY): requirements/setup.txt requirements/dev.txt packages.yml dbt_project.yml \
		$(shell find local/dbt_packages -type f)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo \
		"Python 3.11 to 3.13 is needed, and $(PYTHON) is another: make PYTHON=python3.13"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(STEP) 'install uv'
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/setup.txt
	$(STEP) 'install what is locked: half a minute or more'
	$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements/dev.txt
	$(STEP) 'install the packages of dbt'
	DBT_LOG_PATH=.venv/logs $(BIN)/python -m local.packages
	@touch $@

demo: setup  ## 10,000 users from a fake API to tested tables and CSVs, on an embedded BigQuery
	@$(LOCAL) $(MAKE) --no-print-directory pipeline USERS=10000
	@printf '%s\n' next \
		'  $(LOCAL) dbt show --select users' \
		'      looks into a table' \
		'  $(LOCAL) python -m ingest --users 500' \
		'      loads some more; then `dbt build` likewise' \
		'  README.md, "Real BigQuery"' \
		'      the same with a project of your own'

# Load, check freshness, build and test, publish: what a schedule runs, against whatever the
# environment names. The report comes whatever the build said. Unit tests test the SQL, not the
# data: they belong to `make test`.
pipeline:
	$(STEP) 'load'
	python -m ingest $(if $(USERS),--users $(USERS))
	$(STEP) 'check freshness'
	dbt source freshness
	$(STEP) 'build and test'
	@dbt build --exclude-resource-type unit_test; status=$$?; printf '\n=== publish\n'; \
		{ [ $$status -ne 0 ] || python -m publish csv; } && python -m publish report && exit $$status

# Half of the time the tests wait for an answer: two files at once.
test: setup lint  ## what checks the data's way and the SQL: five minutes on two cores
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-faults: setup  ## every kill, fault and odd record: half an hour; draws docs/reliability.md
	$(BIN)/python -m pytest --all-faults

test-tooling: setup  ## the workflows, the compose file, slim CI, the installation of packages
	$(BIN)/python -m pytest -n 2 tests/python/tooling

lint: setup  ## ruff, mypy, SQLFluff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	LOCAL_DIR=.local/lint $(LOCAL) $(MAKE) --no-print-directory sqlfluff

# Compiling an incremental model asks the warehouse what is there.
sqlfluff:
	sqlfluff lint models tests

workflows-lint: setup  ## jactionlint and zizmor, on .github/
	$(BIN)/jactionlint
	$(BIN)/zizmor --offline --quiet .github

image-test: setup  ## build the Dockerfile with buildah, on a Debian made here, and run its commands
	$(BIN)/python -m pytest tests/image

build: setup  ## dbt build on the embedded BigQuery
	$(LOCAL) dbt build

erd: setup  ## draw docs/erd.md anew
	$(BIN)/python docs/erd.py > docs/erd.md.new && mv docs/erd.md.new docs/erd.md

cost: setup  ## count what an hourly run reads into docs/cost.md
	DRAW=1 $(BIN)/python -m pytest tests/python/sql/test_cost.py

bench: setup .venv/bench/ready  ## measure against dlt and DuckDB into docs/benchmarks.md; QUICK=1: a try
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

.venv/bench/ready: requirements/bench.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv/bench
	$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode --python .venv/bench/bin/python $<
	@touch $@

airflow: setup .venv/airflow/ready  ## Airflow and its page, with the DAG on the embedded BigQuery
	@$(LOCAL) python -m local.airflow

airflow-test: setup .venv/airflow/ready  ## the DAG, and under a real scheduler (not with QUICK=1)
	@rm -rf .local/airflow-test
	LOCAL_DIR=.local/airflow-test $(LOCAL) .venv/airflow/bin/python -m pytest tests/airflow$(if $(QUICK),/test_dag.py)
	$(BIN)/python -m pytest tests/python/tooling/test_containers.py -k airflow

.venv/airflow/ready: requirements/airflow.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv/airflow
	$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode --python .venv/airflow/bin/python $<
	@touch $@

lock: setup  ## lock the dependencies of pyproject.toml anew
	$(BIN)/uv pip compile $(LOCK) --group setup -o requirements/setup.txt
	$(BIN)/uv pip compile $(LOCK) pyproject.toml --group dev -o requirements/dev.txt
	$(BIN)/uv pip compile $(LOCK) pyproject.toml -c requirements/dev.txt -o requirements/run.txt
	$(BIN)/uv pip compile $(LOCK) --group bench -o requirements/bench.txt
	$(BIN)/uv pip compile $(LOCK) --group airflow -o requirements/airflow.txt

LOCK := --quiet --upgrade --universal --generate-hashes --no-strip-extras \
	--no-emit-index-url --no-emit-find-links --no-header

clean:  ## forget the embedded tables and what dbt wrote
	rm -rf .local exports target logs
