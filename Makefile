# Shortcuts: a target calls what a person would type. `make help` lists them by section (##@).
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
LOCAL := $(BIN)/python -m local --
READY := .venv/ready
EXPORTS := $(or $(EXPORT_DIR),exports)
ENVIRONMENTS := tests/python/environments
MORE_SOURCES := # beside randomuser: what `pipeline` also loads
export PATH := $(CURDIR)/$(BIN):$(PATH)
# By default uv trusts its own list of certificates. Behind the proxy of a company, as pip does, it
# must trust those of the system.
export UV_SYSTEM_CERTS ?= true
STEP = @printf '\n=== %s\n'

.PHONY: help setup demo pipeline build airflow dashboard test pytest lint lint-python sqlfluff \
	workflows-lint diff test-faults test-tooling airflow-test dashboard-test page-test image-test docs \
	bench cost erd lock clean

help:  ## list the commands
	@sed -nE 's/^##@ (.*)/\n\1/p; s/^([a-z-]+):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

##@ Run it
setup: $(READY) profiles.yml  ## install what the project needs into .venv/

$(READY): requirements/setup.txt requirements/dev.txt packages.yml dbt_project.yml \
		$(shell find local/dbt_packages -type f)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo \
		"Python 3.11 to 3.13 is needed, and $(PYTHON) is another: make PYTHON=python3.13"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(STEP) 'install uv'
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/setup.txt
	$(STEP) 'install the locked dependencies: half a minute or more'
	@$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements/dev.txt
	$(STEP) 'install the dbt packages'
	@DBT_LOG_PATH=.venv/logs $(BIN)/python -m local.packages
	@touch $@

# It is made once: what you change in it stays, and is not committed.
profiles.yml:
	@cp profiles.yml.example $@ && echo 'Made profiles.yml from profiles.yml.example: where dbt builds; git ignores it'

# A person watches: log lines and those of dbt would only repeat what the report prints.
demo: setup  ## load, build, test and publish 10,000 users on this machine
	@LOG_LEVEL=$${LOG_LEVEL:-WARNING} DBT_QUIET=$${DBT_QUIET:-1} $(LOCAL) $(MAKE) --no-print-directory pipeline USERS=10000 HTML=1
	@printf '%s\n' next \
		'  $(LOCAL) dbt show --select users' \
		'      shows rows of a table' \
		'  $(LOCAL) python -m ingest --users 500' \
		'      loads more users; then `dbt build` in the same way' \
		'  README.md, "Real BigQuery"' \
		'      does the same in your own project'

# What a schedule runs, against the BigQuery that the environment names. What dbt did is recorded and
# the report printed whatever the result of the build. Unit tests test the SQL, not the data: `make
# test` runs them.
pipeline: export LOAD_ID := $(or $(value LOAD_ID),$(shell date -u +manual-%Y%m%dT%H%M%SZ-$$$$))
pipeline:  ## the same on the BigQuery of the environment (USERS=...)
	$(STEP) 'load'
	python -m ingest --load-id "$$LOAD_ID" $(if $(USERS),--users $(USERS))
	$(if $(MORE_SOURCES),for name in $(MORE_SOURCES); do python -m ingest $$name --load-id "$$LOAD_ID" || exit; done)
	$(STEP) 'check freshness'
	@dbt source freshness || python -m publish history --exit-status $$?
	$(STEP) 'build and test'
	@dbt build --exclude-resource-type unit_test; status=$$?; printf '\n=== publish\n'; \
		python -m publish history --exit-status $$status; status=$$?; \
		{ [ $$status -ne 0 ] || python -m publish csv; } && \
		python -m publish report $(if $(HTML),--html) && exit $$status
	@python -m publish heartbeat

build: setup  ## dbt build on the embedded BigQuery
	$(LOCAL) dbt build

airflow: setup .venv/airflow/ready  ## Airflow with its web page, on the embedded BigQuery
	@$(LOCAL) python -m dags.service

dashboard: setup .venv/superset/ready  ## Superset with the dashboard, on the embedded BigQuery
	@$(LOCAL) .venv/superset/bin/python -m local.superset

##@ Check it
test: lint pytest  ## lint, and test the pipeline and its SQL: four minutes

# Two files at once: half of the time a test waits.
pytest: setup
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: lint-python sqlfluff  ## ruff, mypy, SQLFluff

lint-python: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# SQLFluff compiles the models, and an incremental model looks into the warehouse for that.
sqlfluff: setup
	LOCAL_DIR=.local/lint $(LOCAL) sqlfluff lint models tests

diff: setup  ## what your change does to the data, since it left BASE (main)
	@PYTHONPATH=tests/python $(BIN)/python -m local.diff "$(or $(BASE),main)"

test-faults: setup  ## kill and break everything, at each step: five minutes
	$(BIN)/python -m pytest --all-faults -n 2 --dist loadgroup

test-tooling: setup  ## workflows, compose file, slim CI, package installation
	$(BIN)/python -m pytest -n 2 tests/python/tooling

workflows-lint: setup
	$(BIN)/jactionlint
	$(BIN)/zizmor --offline --quiet .github

airflow-test: setup .venv/airflow/ready  ## the DAG, and a run by a real scheduler (QUICK=1: the DAG)
	@rm -rf .local/airflow-test
	LOCAL_DIR=.local/airflow-test $(LOCAL) .venv/airflow/bin/python -m pytest \
		--confcutdir $(ENVIRONMENTS)/airflow $(ENVIRONMENTS)/airflow$(if $(QUICK),/test_dag.py)

dashboard-test: setup .venv/superset/ready  ## the numbers of the dashboard, and its limits
	$(BIN)/python -m pytest $(ENVIRONMENTS)/test_dashboard.py

page-test: setup  ## the accessibility of the report, in Chromium (and npm)
	$(BIN)/python -m pytest $(ENVIRONMENTS)/test_report_in_chromium.py

image-test: setup  ## build the Dockerfile with buildah, and run its commands
	$(BIN)/python -m pytest $(ENVIRONMENTS)/test_image.py

##@ Keep it current
# Parsed anew: when dbt parses only what changed, it can lose the description of a test.
docs: setup  ## exports/docs.html: dbt's docs of the local tables
	$(LOCAL) dbt --quiet docs generate --static --no-partial-parse
	@mkdir -p $(EXPORTS) && cp $(or $(DBT_TARGET_PATH),target)/static_index.html $(EXPORTS)/docs.html
	@echo Wrote $(EXPORTS)/docs.html

bench: setup .venv/bench/ready  ## docs/benchmarks.md: measure speed (ONLY=..., QUICK=1)
	PYTHONPATH=tests/python $(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

cost: setup  ## docs/cost.md: count what an hourly run reads
	DRAW=1 $(BIN)/python -m pytest tests/python/sql/test_cost.py

erd: setup  ## docs/erd.md: draw the tables and their relationships
	dbt --quiet parse --target local
	$(BIN)/python docs/erd.py > docs/erd.md.new && mv docs/erd.md.new docs/erd.md

lock: setup  ## lock the dependencies of pyproject.toml in requirements/
	$(BIN)/uv pip compile $(LOCK) --group setup -o requirements/setup.txt
	$(BIN)/uv pip compile $(LOCK) pyproject.toml --group dev -o requirements/dev.txt
	$(BIN)/uv pip compile $(LOCK) pyproject.toml -c requirements/dev.txt -o requirements/run.txt
	$(BIN)/uv pip compile $(LOCK) pyproject.toml --group report -c requirements/dev.txt -o requirements/report.txt
	$(BIN)/uv pip compile $(LOCK) --group bench -o requirements/bench.txt
	$(BIN)/uv pip compile $(LOCK) --group airflow -o requirements/airflow.txt
	$(BIN)/uv pip compile $(LOCK) --group superset -o requirements/superset.txt

LOCK := --quiet --upgrade --universal --generate-hashes --no-strip-extras \
	--no-emit-index-url --no-emit-find-links --no-header

clean:  ## delete the local tables, exports and what dbt wrote
	rm -rf .local "$${LOCAL_DIR:-.local}/bigquery" exports target logs

# Environments of their own: what is in them must not share our libraries.
.venv/%/ready: requirements/%.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv/$*
	$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode --python .venv/$*/bin/python $<
	@touch $@
