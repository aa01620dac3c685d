# syntax=docker/dockerfile:1
# keeper in a container: built from the hash lock, run as nobody in particular, root file system
# read-only if you like.
#
#   docker build -t keeper .
#   docker run -d --name keeper --read-only --tmpfs /run/keeper:uid=10001,gid=10001,mode=0755 \
#     --cap-drop ALL --security-opt no-new-privileges \
#     -e VAST_API_KEY -v keeper-state:/var/lib/keeper -v ./keeper.yaml:/etc/keeper/keeper.yaml:ro keeper

ARG PYTHON=3.12-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/keeper
# The dependencies change rarely: a layer of their own.
COPY requirements.lock ./
RUN /opt/keeper/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY keeper ./keeper
RUN /opt/keeper/bin/pip install --no-deps . \
    && /opt/keeper/bin/pip uninstall --yes pip \
    && /opt/keeper/bin/python -m compileall -q /opt/keeper/lib

FROM python:${PYTHON}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="keeper" \
      org.opencontainers.image.description="Keeps GPU streams on air on Vast.ai" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/keeper/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
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
# Healthy means that ticks finish. Listening elsewhere than on port 9877? Give a --health-cmd.
HEALTHCHECK --interval=30s --timeout=5s --start-period=3m --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9877/-/healthy', timeout=4)"]
ENTRYPOINT ["keeper"]
CMD ["run", "--config", "/etc/keeper/keeper.yaml"]
