# A Celery worker with a GPU: it takes tasks from the queue `gpu`. CUDA comes with torch's own packages; the base brings the
# variables by which the container toolkit hands over the driver.
# docker build -f docker/train.Dockerfile --build-arg CODE_COMMIT="$(git rev-parse HEAD)" -t firstlight/train .
ARG CUDA_IMAGE=nvidia/cuda:12.8.1-base-ubuntu24.04@sha256:133c78a0575303be34164d0b90137a042172bdf60696af01a3c424ab402d86e2
ARG UV_IMAGE=ghcr.io/astral-sh/uv:0.13.0@sha256:cdc6093146eb3ff6a40107b38f008b789e050e77ad87865e381d9917da55a168
FROM ${UV_IMAGE} AS uv
FROM ${CUDA_IMAGE}

COPY --from=uv /uv /usr/local/bin/uv

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    VIRTUAL_ENV=/opt/venv \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    UV_PYTHON_INSTALL_DIR=/opt/python \
    PYTHONDONTWRITEBYTECODE=1 \
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False \
    DO_NOT_TRACK=1 \
    DVC_NO_ANALYTICS=true \
    GX_ANALYTICS_ENABLED=false \
    HF_HUB_OFFLINE=1 \
    MLFLOW_DISABLE_TELEMETRY=true

# Ubuntu 24.04 carries Python 3.12, the lock is made for 3.11: uv brings it. On Linux, PyPI's torch depends on the CUDA
# libraries that it was built for, so here it is installed with its dependencies.
ARG TORCH_INDEX=https://pypi.org/simple
COPY requirements.lock /opt/firstlight/requirements.lock
RUN uv venv --python 3.11 /opt/venv \
    && uv pip install --no-cache --no-deps --require-hashes -r /opt/firstlight/requirements.lock \
    && uv pip install --no-cache torch==2.13.0 --index-url "$TORCH_INDEX" --constraints /opt/firstlight/requirements.lock

COPY pyproject.toml README.md LICENSE params.yaml dvc.yaml .dvcignore /opt/firstlight/
COPY docker/enter.sh /opt/firstlight/enter.sh
COPY recsys /opt/firstlight/recsys
COPY dags /opt/firstlight/dags
COPY plugins /opt/firstlight/plugins
RUN uv pip install --no-cache --no-deps --no-build-isolation /opt/firstlight \
    && python -m compileall -q /opt/firstlight/dags /opt/firstlight/plugins /opt/firstlight/recsys

RUN useradd --uid 50000 --create-home --shell /usr/sbin/nologin firstlight \
    && install --directory --owner=firstlight /workspace /opt/airflow /opt/airflow/logs
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
ENTRYPOINT ["bash", "/opt/firstlight/enter.sh"]
CMD ["celery", "worker", "--queues", "gpu"]
