# A reader of releases: the HTTP service, `from recsys import Release`, and the commands that use it. CPU, small.
# docker build -f docker/serve.Dockerfile --build-arg CODE_COMMIT="$(git rev-parse HEAD)" -t firstlight/serve .
# docker run --rm -e RECSYS_STORE=s3://bucket/releases … firstlight/serve recommend USER
# docker/compose.yaml and docker/kubernetes/serve.yaml start the service.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d
ARG UV_IMAGE=ghcr.io/astral-sh/uv:0.13.0@sha256:cdc6093146eb3ff6a40107b38f008b789e050e77ad87865e381d9917da55a168
FROM ${UV_IMAGE} AS uv
FROM ${PYTHON_IMAGE}

COPY --from=uv /uv /usr/local/bin/uv

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    VIRTUAL_ENV=/opt/venv \
    UV_LINK_MODE=copy \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1

COPY docker/serve.lock /opt/firstlight/
RUN uv venv --python 3.11 /opt/venv \
    && uv pip install --no-cache --no-deps --require-hashes -r /opt/firstlight/serve.lock

COPY pyproject.toml README.md LICENSE params.yaml /opt/firstlight/
COPY recsys /opt/firstlight/recsys
# Bytecode of what a reader loads, and of nothing else: the image stays small, and no start compiles.
RUN uv pip install --no-cache --no-deps --no-build-isolation /opt/firstlight \
    && PYTHONDONTWRITEBYTECODE="" python -c "import recsys.serving.reader, recsys.cli.use, recsys.cli.serve, recsys.serving.service.app, faiss, openvino"

RUN useradd --uid 50000 --create-home --shell /usr/sbin/nologin firstlight \
    && install --directory --owner=firstlight /workspace \
    && install --mode=644 /opt/firstlight/params.yaml /workspace/params.yaml
USER 50000

ARG CODE_COMMIT=unknown
ENV RECSYS_CODE_COMMIT=$CODE_COMMIT \
    RECSYS_WORKSPACE=/workspace
WORKDIR /workspace
VOLUME ["/workspace"]
ENTRYPOINT ["python", "-m", "recsys"]
CMD ["status"]
