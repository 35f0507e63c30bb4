# One image for web and worker. The browser's assets are installed at build time from the lock file.
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends npm make && rm -rf /var/lib/apt/lists/*
WORKDIR /srv/cerebro
COPY . .
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m venv .venv \
 && .venv/bin/pip install --no-cache-dir --index-url "$TORCH_INDEX" "$TORCH" \
 && .venv/bin/pip install --no-cache-dir -c constraints.txt -e ".[embed,postgres]" \
 && .venv/bin/cerebro assets && rm -rf node_modules

FROM python:3.12-slim
RUN useradd --create-home reader && mkdir /data && chown reader /data
WORKDIR /srv/cerebro
COPY --from=build /srv/cerebro /srv/cerebro
ENV PATH=/srv/cerebro/.venv/bin:$PATH CEREBRO_DATA=/data
USER reader
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"
# The port is published on loopback alone (docker-compose.yml); inside, it must listen wider.
CMD ["cerebro", "serve", "--host", "0.0.0.0", "--no-worker", "--no-password"]
