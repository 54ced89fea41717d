# The project as an image, in three sizes:
#
#   docker build --target pipeline .   what production runs (the default)
#   docker build --target local .      with the embedded BigQuery and the fake API
#   docker build --target airflow .    with Airflow and the project's DAG
#
# With what `publish report --html` draws with, 90 MB more:
#   docker build --build-arg REQUIREMENTS=report .
# A base of your own, or this one by its digest (`docker buildx imagetools inspect` prints it):
#   docker build --build-arg BASE=docker.io/library/python:3.11.15-slim-bookworm@sha256:... .
# Behind a proxy that signs TLS anew:
#   docker build --secret id=ca,src=bundle.pem .
ARG BASE=base
FROM docker.io/library/python:3.11.15-slim-bookworm AS base

# What is installed depends on the lock files alone: a change of code leaves these layers as they are.
FROM ${BASE} AS build
WORKDIR /app
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt \
    UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_REQUIRE_HASHES=1
COPY requirements/setup.txt requirements/
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    python -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --require-hashes --requirement requirements/setup.txt
ARG REQUIREMENTS=run
COPY requirements/${REQUIREMENTS}.txt requirements/
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    python -m venv --without-pip .venv \
    && /opt/uv/bin/uv pip sync --python .venv/bin/python "requirements/${REQUIREMENTS}.txt"
# As `make setup` does: the dbt packages, or stubs of them where the hub is out of reach.
COPY dbt_project.yml packages.yml package-lock.yml ./
COPY local/__init__.py local/packages.py local/
COPY local/dbt_packages local/dbt_packages
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    DBT_LOG_PATH=/tmp PYTHONDONTWRITEBYTECODE=1 .venv/bin/python -m local.packages

# What all three run on. The code is root's and the user cannot change it; these folders are its own.
FROM ${BASE} AS run
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home app
WORKDIR /app
# To use a profiles.yml of your own, mount it over this one.
COPY profiles.yml.example profiles.yml
RUN install --directory --owner=app .local exports logs target
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1
# A batch image is healthy when its command can start; services are checked over HTTP, see compose.yaml.
HEALTHCHECK --interval=60s --timeout=30s CMD ["python", "-c", "import ingest.cli, publish.__main__"]
CMD ["make", "pipeline"]

FROM run AS pipeline
COPY --from=build /app/.venv .venv
COPY . .
USER 10001
ENV DBT_TARGET=prod

# The lock file of a laptop holds that of production: only what is missing is installed.
FROM build AS build-local
COPY requirements/dev.txt requirements/
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    /opt/uv/bin/uv pip sync --python .venv/bin/python requirements/dev.txt
COPY local local
# The one extension that the emulator cannot start without; the user could not write it there.
RUN .venv/bin/python -c 'from local.emulator import add_extension; add_extension()'

FROM run AS local
COPY --from=build-local /app/.venv .venv
COPY . .
USER 10001

# Airflow must not share dbt's environment.
FROM build AS build-airflow
COPY requirements/airflow.txt requirements/
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    python -m venv --without-pip .venv/airflow \
    && /opt/uv/bin/uv pip sync --python .venv/airflow/bin/python requirements/airflow.txt

FROM run AS airflow
ENV AIRFLOW_HOME=/app/.local/airflow
COPY --from=build-airflow /app/.venv .venv
COPY . .
USER 10001

# What is built when no target is named.
FROM pipeline
