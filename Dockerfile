# The whole studio, or one part of it: `docker build -t omnisonic .`, then docs/operating.md, "Run in containers".
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY actors actors
COPY http http
COPY migrations migrations
COPY omnisonic omnisonic
RUN python -m venv /opt/omnisonic \
    && /opt/omnisonic/bin/pip install --no-cache-dir --constraint constraints.txt '.[embedded]' \
    && /opt/omnisonic/bin/python -m compileall -q /opt/omnisonic/lib

FROM python:3.12-slim-bookworm
# A fixed number, so that a volume keeps its owner when the image is built again.
RUN useradd --uid 10001 --user-group --home-dir /var/lib/omnisonic --shell /usr/sbin/nologin omnisonic \
    && install -d -o omnisonic -g omnisonic -m 0700 /var/lib/omnisonic
COPY --from=build /opt/omnisonic /opt/omnisonic
ENV PATH=/opt/omnisonic/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMNISONIC_DATA_DIR=/var/lib/omnisonic \
    OMNISONIC_ENV=production \
    WEB_HOST=0.0.0.0 \
    GATEWAY_HOST=0.0.0.0
USER 10001
VOLUME /var/lib/omnisonic
EXPOSE 3000 8080
# The part that answers here: the web, or in a container of its own the gateway. A worker has no port.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ.get('HEALTH_URL', 'http://127.0.0.1:3000/readyz'), timeout=8)"]
ENTRYPOINT ["omnisonic"]
CMD ["serve"]
