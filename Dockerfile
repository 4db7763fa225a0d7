FROM python:3.11-slim AS build
WORKDIR /app
COPY requirements.txt .
# gcc: on some platforms a wheel is missing.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev make \
    && python -m venv /venv && /venv/bin/pip install --no-cache-dir -r requirements.txt

FROM python:3.11-slim
RUN useradd --system --uid 10001 callcenter && install -d -o callcenter /data
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 DATA_DIR=/data HOST=0.0.0.0
WORKDIR /app
COPY --from=build /venv /venv
COPY . .
USER callcenter
CMD ["python", "-m", "callcenter.web"]
