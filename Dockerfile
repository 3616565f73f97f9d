# One image for every component and agent; what a container runs is its argument (`cloudstack run <component>`).
# Without a registry: `python3 -m dev image build`, which passes a stand-in for BASE.
ARG BASE=python:3.12-slim-bookworm

# Dependencies first, from the lock file alone: a change of code builds only the last layers again.
FROM ${BASE} AS wheels
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev pkg-config libvirt-dev \
 && rm -rf /var/lib/apt/lists/*
# The pattern lets the build pass as long as there is no lock file.
COPY Dockerfile requirements.loc[k] /src/
RUN mkdir -p /wheels && if [ -f /src/requirements.lock ]; then pip wheel --no-cache-dir --no-deps -r /src/requirements.lock -w /wheels; fi

FROM ${BASE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends dnsmasq-base iproute2 libvirt0 nftables qemu-utils \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 65532 --no-create-home --home-dir / --shell /usr/sbin/nologin cloudstack
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    if ls /wheels/*.whl >/dev/null 2>&1; then pip install --no-cache-dir --no-deps --no-compile /wheels/*.whl; fi
WORKDIR /app
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY . /app
RUN if [ -f pyproject.toml ]; then pip install --no-cache-dir --no-deps . ; fi
ENTRYPOINT ["cloudstack"]
