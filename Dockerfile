# One image for both services: `repro` and, with another entry point, MLflow's tracking server.
#
#   docker build -t ssbrepro:0.1.0 .                       (or `make image`)
#
# A release names the base image with its digest, `make image BASE_IMAGE=python:3.11-slim-bookworm@sha256:…`,
# so that the same commit gives the same system libraries; the labels say which it was. The CUDA libraries
# come from PyPI with torch: a CUDA base image would hold them twice.
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONNOUSERSITE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# A named volume starts as a copy of these folders, owner and mode included. Mode 1777, as /tmp has:
# whichever user the container runs as (REPRO_UID in docker-compose.yml) can write to a new volume.
# No VOLUME line: with one, every container of either service would leave unnamed volumes of the other.
RUN groupadd --gid 1000 repro \
 && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin repro \
 && install -d -o repro -g repro -m 1777 /state /state/data /mlflow

# The dependencies: gigabytes that change only with the lock. It is complete, so nothing is resolved
# here; `pip check` would say what is missing. pip compiles the modules, whatever Python is told above.
RUN --mount=type=cache,target=/root/.cache/pip,sharing=locked \
    --mount=type=bind,source=requirements/run.lock,target=/build/run.lock \
    python -m pip install --require-hashes --no-deps --only-binary :all: -r /build/run.lock \
 && python -m pip check

# The project. setuptools writes beside the sources: `rw` lets it, and drops what it wrote.
RUN --mount=type=bind,target=/build/source,rw \
    python -m pip install --no-cache-dir --no-deps --no-build-isolation --no-index /build/source \
 && python -m pip check
COPY manifests /opt/ssbrepro/manifests

ENV SSBREPRO_MANIFESTS=/opt/ssbrepro/manifests \
    SSBREPRO_HOME=/state \
    HOME=/tmp \
    USER=repro \
    MPLCONFIGDIR=/tmp/matplotlib \
    MPLBACKEND=agg \
    MLFLOW_DISABLE_TELEMETRY=true \
    DO_NOT_TRACK=true \
    GIT_PYTHON_REFRESH=quiet

ARG BASE_IMAGE
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="ssbrepro" \
      org.opencontainers.image.description="Reproduces, figure by figure, two papers on symmetry breaking in deep networks" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.licenses="MIT"

USER 1000:1000
WORKDIR /state
ENTRYPOINT ["repro"]
CMD ["--help"]
