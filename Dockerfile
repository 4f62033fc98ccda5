# The web image: the app and its released models, without TensorFlow. It also runs the worker and the commands.
FROM python:3.11.13-slim-bookworm AS packages

ENV PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/web.txt /web.txt
# Every package is a wheel and is held against its hash; nothing is compiled here.
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: --requirement /web.txt

FROM python:3.11.13-slim-bookworm

# What sets the type of PDF reports, and the database's own tools for `flask backup`. DejaVu has the Latin, Greek,
# Cyrillic, Armenian, Georgian, Hebrew and Arabic scripts; for names in others add fonts-noto-cjk or fonts-noto-core.
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core mariadb-client \
    && rm -rf /var/lib/apt/lists/*

# The volumes take their owner from the folders that they are first mounted on.
RUN useradd --system --uid 10001 --user-group --no-create-home clinic \
    && install -d -o clinic -g clinic -m 0700 /var/lib/clinic /var/lib/clinic/images /var/lib/clinic/objects /var/backups/clinic

WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY config.py wsgi.py ./
COPY melanoma_app melanoma_app
COPY migrations migrations
COPY ml ml
COPY static static
COPY templates templates

USER clinic
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 FLASK_SKIP_DOTENV=1 \
    ENVIRONMENT=production INSTANCE_FOLDER=/var/lib/clinic HOST=0.0.0.0 HOME=/tmp XDG_CACHE_HOME=/tmp

EXPOSE 5000
CMD ["flask", "serve"]
