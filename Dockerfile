# restain for a CPU:      docker build -t restain .
# For NVIDIA GPUs:        docker build -t restain:cuda --build-arg BASE=nvidia/cuda:12.8.1-base-ubuntu24.04 \
#                             --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
# BASE is any Debian or Ubuntu whose Python is 3.11 or newer.
ARG BASE=debian:bookworm-slim

# The environment is built in one image and copied into another, which then has no compiler, pip cache or source.
FROM ${BASE} AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/restain
WORKDIR /source
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
# The build of torch with a local version (+cpu, +cu128) is preferred to that of PyPI, which has none.
RUN /opt/restain/bin/pip install --no-cache-dir --constraint constraints.txt --extra-index-url "${TORCH_INDEX}" \
    ".[dicom,export,view]"

FROM ${BASE}
LABEL org.opencontainers.image.title="restain" \
      org.opencontainers.image.description="Virtual staining, H&E to immunohistochemistry. Not for clinical use." \
      org.opencontainers.image.licenses="Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home restain
COPY --from=build /opt/restain /opt/restain
# Caches are written wherever the user may write, also with --user.
ENV PATH=/opt/restain/bin:$PATH XDG_CACHE_HOME=/tmp/cache XDG_CONFIG_HOME=/tmp/config
USER 10001
WORKDIR /data
ENTRYPOINT ["restain"]
CMD ["--help"]
