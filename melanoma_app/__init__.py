"""The clinic's record: `create_app` puts its parts together."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask

from config import PROJECT_ROOT, Settings
from melanoma_app import cli, extensions, metrics
from melanoma_app.accounts import (
    account_views,
    audit_api,
    audit_views,
    clinic_views,
    second_factor_views,
    token_views,
    user_views,
)
from melanoma_app.accounts import views as accounts_views
from melanoma_app.dashboard import api as dashboard_api
from melanoma_app.dashboard import chart_views, export_views, job_views, worklist_api
from melanoma_app.dashboard import views as dashboard_views
from melanoma_app.errors import register_error_handlers
from melanoma_app.health import init_health
from melanoma_app.intake import api as intake_api
from melanoma_app.intake import (
    consent_views,
    fhir_api,
    fhir_views,
    lesion_api,
    lesion_views,
    merge_api,
    merge_views,
    privacy_api,
    privacy_views,
)
from melanoma_app.intake import views as intake_views
from melanoma_app.log_lines import init_logging
from melanoma_app.models.connection import engine_options
from melanoma_app.prediction import api as prediction_api
from melanoma_app.prediction import follow_up_api, follow_up_views, review_api, review_views, upload_views
from melanoma_app.prediction import views as prediction_views
from melanoma_app.request_log import init_request_log
from melanoma_app.rest import ClinicApi
from melanoma_app.security.authentication import init_authentication
from melanoma_app.security.headers import init_headers
from melanoma_app.security.request import ClinicRequest
from melanoma_app.security.request_gate import init_request_gate
from melanoma_app.security.request_source import refuse_foreign_requests, trust_proxies
from melanoma_app.security.timed_signature import ClinicSessionInterface
from melanoma_app.security.upload_gate import FORM_OVERHEAD_MB, init_upload_gate
from melanoma_app.statistics import api as statistics_api
from melanoma_app.storage import S3Access
from melanoma_app.templating import init_templating

PAGES = (
    accounts_views,
    account_views,
    second_factor_views,
    token_views,
    user_views,
    clinic_views,
    audit_views,
    dashboard_views,
    chart_views,
    export_views,
    job_views,
    intake_views,
    consent_views,
    merge_views,
    fhir_views,
    privacy_views,
    lesion_views,
    prediction_views,
    upload_views,
    follow_up_views,
    review_views,
)
API_PARTS = (
    intake_api,
    merge_api,
    lesion_api,
    prediction_api,
    review_api,
    follow_up_api,
    worklist_api,
    statistics_api,
    dashboard_api,
    fhir_api,
    privacy_api,
    audit_api,
)
COOKIE_OUTLIVES_SESSION = timedelta(days=1)


def create_app(settings: Settings) -> Flask:
    """Make an app from its settings.

    Args:
        settings: What the environment asks for; nothing else is read from it later.
    """
    init_logging()
    app = Flask(
        __name__,
        root_path=str(PROJECT_ROOT),
        instance_path=str(settings.instance_folder),
        static_folder=str(PROJECT_ROOT / "static"),
        template_folder=str(PROJECT_ROOT / "templates"),
    )
    app.request_class = ClinicRequest
    app.session_interface = ClinicSessionInterface()
    app.config.from_mapping(_flask_config(settings))
    settings.instance_folder.mkdir(parents=True, exist_ok=True)

    init_request_log(app)  # before all others: it tells how long they took, and what was answered at last
    extensions.metrics.init_app(app)
    # First, so that a request has its id and nonce even when what follows refuses it.
    libraries = init_templating(app)
    init_headers(
        app,
        script_origins=libraries.origins,
        is_production=settings.is_production,
        is_behind_proxy=settings.trusted_proxies > 0,
    )
    trust_proxies(app, count=settings.trusted_proxies)
    refuse_foreign_requests(app)
    init_request_gate(app, threads=settings.web_threads)
    init_upload_gate(app, uploads_at_once=max(1, settings.web_threads - 1))
    extensions.db.init_app(app)
    extensions.migrate.init_app(app, extensions.db, directory=str(PROJECT_ROOT / "migrations"))
    extensions.csrf.init_app(app)
    extensions.limiter.init_app(app)
    extensions.attempts.init_app(app)
    extensions.image_storage.init_app(
        app,
        place=settings.image_store_url or str(settings.image_folder),
        access=S3Access(
            endpoint_url=settings.s3_endpoint_url,
            region=settings.s3_region,
            access_key_id=settings.aws_access_key_id,
            secret_access_key=settings.aws_secret_access_key,
            encryption=settings.s3_encryption,
        ),
    )
    extensions.classifier.init_app(
        app,
        folder=settings.model_folder,
        default_name=settings.model_name,
        processes=settings.web_processes,
    )
    extensions.decoding.init_app(app, at_once=settings.decodes_at_once)
    extensions.job_queue.init_app(app, redis_url=settings.redis_url)
    init_authentication(app)
    init_health(app)
    app.register_blueprint(metrics.blueprint)

    api = ClinicApi(app)
    for blueprint in dict.fromkeys(page.blueprint for page in PAGES):  # some modules share one
        app.register_blueprint(blueprint)
    for part in API_PARTS:
        extensions.csrf.exempt(part.blueprint)  # bearer tokens alone open the API, never a cookie
        api.register_blueprint(part.blueprint)
    register_error_handlers(app)
    cli.register_commands(app, settings)
    return app


def _flask_config(settings: Settings) -> dict[str, object]:
    return {
        "SECRET_KEY": settings.secret_key,
        "DEMO": settings.demo,
        "SQLALCHEMY_DATABASE_URI": settings.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(settings.database_url, threads=settings.web_threads),
        # The prefix makes browsers refuse the cookie from another host, without TLS or for a part of the site.
        "SESSION_COOKIE_NAME": "__Host-session" if settings.is_production else "session",
        "SESSION_COOKIE_HTTPONLY": True,
        # Strict would send no cookie with a link from an e-mail, so that one seemed signed out.
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": settings.is_production,
        "SESSION_LIFETIME": timedelta(hours=settings.session_hours),
        "SESSION_IDLE_LIFETIME": timedelta(minutes=settings.session_idle_minutes),
        # The database says when a session ends. Its cookie may be older, so that a page can say what has happened.
        "PERMANENT_SESSION_LIFETIME": timedelta(hours=settings.session_hours) + COOKIE_OUTLIVES_SESSION,
        "MAX_CONTENT_LENGTH": (settings.max_upload_mb + FORM_OVERHEAD_MB) * 1_000_000,
        "JOBS_RUN_IN_PROCESS": True,  # where there is no Redis; tests run them by hand
        "MAX_UPLOAD_MB": settings.max_upload_mb,
        "MAX_IMAGE_MEGAPIXELS": settings.max_image_megapixels,
        "WTF_CSRF_TIME_LIMIT": None,  # as long as the session
        "WTF_CSRF_SSL_STRICT": False,  # asks for a Referer, which our pages do not send: see request_source
        "METRICS_TOKEN": settings.metrics_token,
        "RATELIMIT_STORAGE_URI": settings.rate_limit_storage_url,
        "RATELIMIT_STORAGE_OPTIONS": extensions.limit_storage_options(settings.rate_limit_storage_url),
        "SIGN_IN_RATE_LIMIT": settings.sign_in_rate_limit,
        "API_TITLE": "Skin-lesion clinic record",
        "API_VERSION": "v1",
        "OPENAPI_VERSION": "3.0.3",
        "OPENAPI_URL_PREFIX": "/api/v1",
        "OPENAPI_JSON_PATH": "openapi.json",
    }
