# One image for every component and agent: `cloudstack run <component>`.
# BASE is any Debian 12 image with Python 3.11 or later as `python3`, its venv module included.
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev pkg-config libvirt-dev \
 && rm -rf /var/lib/apt/lists/*
COPY requirements/image.lock /tmp/image.lock
RUN python3 -m venv /opt/cloudstack \
 && /opt/cloudstack/bin/pip install --no-cache-dir --require-hashes -r /tmp/image.lock

FROM ${BASE}
# What the agents work with. The operators' pods use none of it, but one image is one thing to build, sign and pull.
RUN apt-get update \
 && apt-get install -y --no-install-recommends dnsmasq-base iproute2 iputils-arping kmod libvirt0 nftables procps qemu-utils util-linux \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin cloudstack
COPY --from=build /opt/cloudstack /opt/cloudstack
COPY crds /app/crds
COPY agents /app/agents
COPY operators /app/operators
RUN printf '#!/bin/sh\nexec /opt/cloudstack/bin/python -m operators.launch "$@"\n' > /usr/local/bin/cloudstack \
 && chmod 755 /usr/local/bin/cloudstack \
 && /opt/cloudstack/bin/python -m compileall -q /app
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001
ENTRYPOINT ["cloudstack"]
