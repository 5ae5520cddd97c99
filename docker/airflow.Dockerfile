# Firstlight under Airflow, and MLflow: api-server, scheduler, dag-processor, triggerer, Celery workers. CPU.
# docker build -f docker/airflow.Dockerfile --build-arg CODE_COMMIT="$(git rev-parse HEAD)" -t firstlight/airflow .
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d
ARG UV_IMAGE=ghcr.io/astral-sh/uv:0.13.0@sha256:cdc6093146eb3ff6a40107b38f008b789e050e77ad87865e381d9917da55a168
FROM ${UV_IMAGE} AS uv
FROM ${PYTHON_IMAGE}

COPY --from=uv /uv /usr/local/bin/uv

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    VIRTUAL_ENV=/opt/venv \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False \
    DO_NOT_TRACK=1 \
    DVC_NO_ANALYTICS=true \
    GX_ANALYTICS_ENABLED=false \
    HF_HUB_OFFLINE=1 \
    MLFLOW_DISABLE_TELEMETRY=true

# Everything that changes rarely comes first: one pinned environment, as on a laptop; torch apart, as a CPU build.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY requirements.lock /opt/firstlight/requirements.lock
RUN uv venv --python 3.11 /opt/venv \
    && uv pip install --no-cache --no-deps --require-hashes -r /opt/firstlight/requirements.lock \
    && uv pip install --no-cache --no-deps torch==2.13.0 --index-url "$TORCH_INDEX"

COPY pyproject.toml README.md LICENSE params.yaml dvc.yaml .dvcignore /opt/firstlight/
COPY docker/enter.sh /opt/firstlight/enter.sh
COPY recsys /opt/firstlight/recsys
COPY dags /opt/firstlight/dags
COPY plugins /opt/firstlight/plugins
RUN uv pip install --no-cache --no-deps --no-build-isolation /opt/firstlight \
    && python -m compileall -q /opt/firstlight/dags /opt/firstlight/plugins /opt/firstlight/recsys

RUN useradd --uid 50000 --create-home --shell /usr/sbin/nologin firstlight \
    && install --directory --owner=firstlight /workspace /opt/airflow /opt/airflow/logs /opt/airflow/mlflow
USER 50000

ARG CODE_COMMIT=unknown
ENV RECSYS_CODE_COMMIT=$CODE_COMMIT \
    RECSYS_WORKSPACE=/workspace \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/firstlight/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/firstlight/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False
WORKDIR /workspace
VOLUME ["/workspace"]
EXPOSE 8080
ENTRYPOINT ["bash", "/opt/firstlight/enter.sh"]
CMD ["version"]
