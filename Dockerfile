# The web image: the app and its released models, without TensorFlow.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app

# What sets the type of PDF reports. DejaVu has the Latin, Greek, Cyrillic, Armenian, Georgian, Hebrew and Arabic scripts;
# for names in others add fonts-noto-cjk or fonts-noto-core.
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/*

COPY requirements/web.txt requirements/web.txt
RUN pip install --no-cache-dir --require-hashes --requirement requirements/web.txt

COPY config.py wsgi.py ./
COPY melanoma_app melanoma_app
COPY migrations migrations
COPY ml ml
COPY static static
COPY templates templates

# The volume for the images takes its owner from the folder it is mounted on.
RUN useradd --system --uid 10001 --user-group clinic && install -d -o clinic -g clinic /var/lib/clinic /var/lib/clinic/images
USER clinic
ENV ENVIRONMENT=production INSTANCE_FOLDER=/var/lib/clinic HOST=0.0.0.0

EXPOSE 5000
CMD ["flask", "serve"]
