# flowkit without a GPU, from packages of Debian and of the Python package index:
#
#     docker build -t flowkit .
#     docker run --rm -v "$PWD:/pages" flowkit binarize scans -o ink
#
# --build-arg TORCH_INDEX=URL, with the index of CPU builds that PyTorch's installation page names, saves some
# gigabytes: the default builds for x86-64 hold CUDA.
FROM debian:trixie-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3-venv \
    && rm -rf /var/lib/apt/lists/*
ENV PATH="/opt/flowkit/bin:$PATH"
RUN python3 -m venv /opt/flowkit

WORKDIR /src
COPY constraints.txt ./
ARG TORCH_INDEX=
RUN if [ -n "$TORCH_INDEX" ]; then pip install --no-cache-dir --index-url "$TORCH_INDEX" -c constraints.txt torch; fi
COPY pyproject.toml setup.py README.md LICENSE ./
COPY recipes recipes
COPY flowkit flowkit
RUN pip install --no-cache-dir -c constraints.txt '.[pdf,remote]' && rm -rf build

WORKDIR /pages
ENTRYPOINT ["flowkit"]
CMD ["--help"]
