# syntax=docker/dockerfile:1
# keeper in a container: built from the hash lock, run as nobody in particular, on a read-only root.
#
#   docker build -t keeper \
#     --build-arg PYTHON_DIGEST="$(docker buildx imagetools inspect python:3.12-slim-bookworm \
#                                   --format '{{.Manifest.Digest}}')" .
#   docker run -d --name keeper --read-only --tmpfs /tmp --tmpfs /run/keeper:uid=10001,gid=10001,mode=0755 \
#     --cap-drop ALL --security-opt no-new-privileges \
#     -e VAST_API_KEY -v keeper-state:/var/lib/keeper -v ./keeper.yaml:/etc/keeper/keeper.yaml:ro keeper
#
# The base is pinned by its digest, which is an argument: a release passes it and the labels tell it, so that
# what was built can be built again. Without it the tag's newest image is taken, which suits a desk.

ARG PYTHON_IMAGE=python:3.12-slim-bookworm
ARG PYTHON_DIGEST=

FROM ${PYTHON_IMAGE}${PYTHON_DIGEST:+@${PYTHON_DIGEST}} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/keeper
# The dependencies change rarely: a layer of their own.
COPY requirements.lock ./
RUN /opt/keeper/bin/pip install --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY keeper ./keeper
RUN /opt/keeper/bin/pip install --no-deps . \
    && /opt/keeper/bin/pip uninstall --yes pip \
    && /opt/keeper/bin/python -m compileall -q /opt/keeper/lib

FROM ${PYTHON_IMAGE}${PYTHON_DIGEST:+@${PYTHON_DIGEST}}
ARG PYTHON_IMAGE
ARG PYTHON_DIGEST
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title="keeper" \
      org.opencontainers.image.description="Keeps GPU streams on air on Vast.ai" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.opencontainers.image.base.digest="${PYTHON_DIGEST}"
# Secrets may come as files of /run/secrets, by the names that deploy/systemd/README.md gives credentials.
ENV PATH=/opt/keeper/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    KEEPER_SOCKET=/run/keeper/keeper.sock
# A number, so that an orchestrator can see that it is not root. The folders that keeper writes to
# belong to it, and a fresh volume inherits that.
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/keeper \
    && install -d -o 10001 -g 10001 -m 0755 /run/keeper \
    && install -d -m 0755 /etc/keeper
COPY --from=build /opt/keeper /opt/keeper
USER 10001:10001
WORKDIR /var/lib/keeper
VOLUME /var/lib/keeper
EXPOSE 9877
# SIGTERM drains; keeper handles its signals itself, also as process 1.
STOPSIGNAL SIGTERM
# Healthy means that ticks finish. Asked on the local socket, wherever keeper listens besides.
HEALTHCHECK --interval=30s --timeout=5s --start-period=3m --retries=3 \
    CMD ["python", "-c", "import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(4); s.connect(os.environ['KEEPER_SOCKET']); s.sendall(b'GET /-/healthy HTTP/1.0\\r\\nHost: keeper\\r\\n\\r\\n'); sys.exit(b' 200 ' not in s.recv(64))"]
ENTRYPOINT ["keeper"]
CMD ["run", "--config", "/etc/keeper/keeper.yaml"]
