# The web image: the app and its released models, without TensorFlow.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app

COPY requirements/web.txt requirements/web.txt
RUN pip install --no-cache-dir --require-hashes --requirement requirements/web.txt

COPY config.py wsgi.py ./
COPY melanoma_app melanoma_app
COPY migrations migrations
COPY ml ml
COPY static static
COPY templates templates

RUN useradd --system --uid 10001 clinic && install -d -o clinic -g clinic /var/lib/clinic
USER clinic
ENV INSTANCE_FOLDER=/var/lib/clinic HOST=0.0.0.0 PORT=5000

EXPOSE 5000
CMD ["flask", "serve"]
