"""What the tests share: the databases, the app on each of them, people of every role, and drawn photographs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import Engine, select

from config import PROJECT_ROOT, Settings
from melanoma_app import create_app
from melanoma_app.extensions import db
from melanoma_app.model_shelf import PLOTS
from melanoma_app.models import Clinic, LesionImage, Patient, Prediction, User
from melanoma_app.models.vocabulary import Role
from melanoma_app.security.permissions import ROLE_PERMISSIONS
from melanoma_app.services.actor import Actor
from melanoma_app.services.counting import recount_patients
from melanoma_app.services.record_totals import write_totals
from melanoma_app.services.tokens import create_token
from tests import databases, factories
from tests.api import send_image
from tests.browsing import Browser
from tests.chromium import chromium  # noqa: F401 (a fixture of tests/browser and tests/hostile)
from tests.databases import MariaDbServer
from tests.factories import (
    PASSWORD,
    ApiTokenFactory,
    ClinicFactory,
    JobFactory,
    LesionFactory,
    PatientFactory,
    PatientMergeFactory,
    ReviewFactory,
    UploadFactory,
    UserFactory,
    UserSessionFactory,
)
from tests.photographs import draw_photograph
from tests.records import Records
from tests.released import OTHER_THRESHOLD, OTHER_VERSION, SERVED, shelve
from tests.shared_work import shared_engine, work_shared

if TYPE_CHECKING:
    from tests.object_store import ObjectStore

NO_MARIADB = (
    "mariadbd or mariadb-install-db is missing, so nothing was tested on MariaDB. "
    "Install the package mariadb-server."
)
# The app and its database outlive one example; every example brings a clinic of its own.
hypothesis_settings.register_profile(
    "clinic",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hypothesis_settings.load_profile("clinic")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it loudly when one of the two databases was left out."""
    if databases.find_mariadb() is None:
        terminalreporter.section("NOT TESTED ON MARIADB", red=True, bold=True)
        terminalreporter.line(NO_MARIADB, red=True, bold=True)


@pytest.fixture(scope="session", autouse=True)
def shared() -> Iterator[None]:
    """Engines and compiled addresses outlive the apps that need them."""
    with work_shared():
        yield


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDbServer]:
    """A MariaDB server of the tests' own; without one, CI fails and others are told loudly."""
    if databases.find_mariadb() is None:
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(NO_MARIADB)
        pytest.skip(NO_MARIADB)
    server = MariaDbServer.start(tmp_path_factory.mktemp("mariadb"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated_mariadb(mariadb_server: MariaDbServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a MariaDB database at the newest revision; each test empties it first."""
    url = mariadb_server.create_database("clinic")
    databases.migrate(database_url=url, instance_folder=tmp_path_factory.mktemp("migration"))
    return url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at the newest revision; each test takes a copy."""
    folder = tmp_path_factory.mktemp("migrated")
    path = folder / "clinic.sqlite3"
    databases.migrate(database_url=f"sqlite:///{path}", instance_folder=folder)
    return path


@pytest.fixture(params=["sqlite", "mariadb"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Each test that reaches a database runs once on each kind."""
    kind: str = request.param
    return kind


@pytest.fixture
def empty_database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without any table."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    server: MariaDbServer = request.getfixturevalue("mariadb_server")
    return server.create_database("empty")


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a migrated database with nothing in it but what the migrations put there."""
    if database_kind == "sqlite":
        migrated: Path = request.getfixturevalue("migrated_sqlite")
        return f"sqlite:///{databases.copy_sqlite(migrated, migrated.parent / 'of_this_test.sqlite3')}"
    url: str = request.getfixturevalue("migrated_mariadb")
    databases.empty(url)
    return url


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Where the app under test keeps its images."""
    return tmp_path / "images"


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """A server of the tests' own that speaks S3; imported only where one is wanted, for it takes seconds."""
    from tests.object_store import ObjectStore

    server = ObjectStore()
    yield server
    server.stop()


@pytest.fixture
def bucket(object_store: ObjectStore) -> str:
    """An empty bucket."""
    return object_store.make_bucket()


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder of released models of the test's own: the served model and a later version of it."""
    folder = tmp_path / "released"
    shelve(folder, version=SERVED.name.rpartition("-")[2])
    shelve(folder, version=OTHER_VERSION, threshold=OTHER_THRESHOLD)
    return folder


@pytest.fixture
def environment(database_url: str, tmp_path: Path, image_folder: Path) -> dict[str, str]:
    """The variables that the app under test is started with."""
    return {
        "DATABASE_URL": database_url,
        "INSTANCE_FOLDER": str(tmp_path),
        "IMAGE_FOLDER": str(image_folder),
        "MODEL_FOLDER": str(PROJECT_ROOT / "ml" / "released"),
        "SECRET_KEY": databases.SECRET_KEY,
        "DEMO": "0",
        "WEB_THREADS": "64",  # many people at once, though the tests' client has no threads of its own
        "SIGN_IN_RATE_LIMIT": "1000 per minute",
    }


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Templates are compiled once, not once an app: half of the tests' time went there."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def make_app(
    environment: dict[str, str], compiled_templates: FileSystemBytecodeCache
) -> Iterator[Callable[..., Flask]]:
    """Make an app with some variables changed; an unforeseen exception reaches the test."""
    made: list[Flask] = []

    def make(**changes: str) -> Flask:
        app = create_app(Settings.from_environment(environment | changes))
        app.testing = True
        app.config["JOBS_RUN_IN_PROCESS"] = False
        app.jinja_env.bytecode_cache = compiled_templates
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """The app on a clean database."""
    return make_app()


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    """An app context for calling services; not beside a client, whose requests would share it."""
    with app.app_context():
        yield


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The tests' own way into the database, beside the app."""
    engine = shared_engine(database_url, whose="the tests'")
    yield engine
    engine.dispose()


@pytest.fixture
def records(engine: Engine, image_folder: Path) -> Iterator[Records]:
    """What is on record, seen from outside; the factories write into the same database."""
    factories.session.remove()
    factories.session.configure(bind=engine)
    yield Records(engine=engine, image_folder=image_folder)
    factories.session.remove()


@pytest.fixture
def clinic(records: Records) -> Clinic:
    """The clinic that most of a test happens in."""
    return ClinicFactory()


@pytest.fixture
def user(clinic: Clinic) -> User:
    """A clinician of the clinic."""
    return UserFactory(clinic=clinic, role=Role.CLINICIAN)


@pytest.fixture
def actor(user: User) -> Actor:
    """The clinician at work."""
    return Actor(user=user, origin="192.0.2.7", request_id="r1")


@pytest.fixture
def outsider(records: Records) -> User:
    """A clinician of another clinic."""
    return UserFactory(role=Role.CLINICIAN)


@pytest.fixture
def recount(app: Flask) -> Callable[[], None]:
    """Count what the factories wrote: they do not call the services that keep the statistics up."""

    def make_anew() -> None:
        with app.app_context():
            for clinic_id in db.session.scalars(select(Clinic.id)).all():
                ids = db.session.scalars(select(Patient.id).where(Patient.clinic_id == clinic_id)).all()
                if ids:
                    recount_patients(patient_ids=ids, clinic_id=clinic_id)
                    write_totals(clinic_id=clinic_id)
            db.session.commit()

    return make_anew


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client that nobody has signed in with."""
    return app.test_client()


@pytest.fixture
def sign_in(app: Flask) -> Callable[[User], Browser]:
    """Sign a user in through the page, as a browser would."""

    def sign_in_as(user: User) -> Browser:
        browser = Browser(app.test_client())
        answer = browser.sign_in(user.username, PASSWORD, follow=False)
        assert answer.status == 302, answer.text
        return browser

    return sign_in_as


@pytest.fixture
def browser(sign_in: Callable[[User], Browser], user: User) -> Browser:
    """The clinician's browser, signed in."""
    return sign_in(user)


@pytest.fixture
def token_headers(app: Flask) -> Callable[[User], dict[str, str]]:
    """The headers of an API call that acts as a user."""

    def headers_of(user: User) -> dict[str, str]:
        with app.app_context():
            _, secret = create_token(
                user=user,
                name="test",
                scopes=ROLE_PERMISSIONS[user.role],
                lifetime=timedelta(hours=1),
                actor=None,
            )
        return {"Authorization": f"Bearer {secret}"}

    return headers_of


@pytest.fixture
def headers(token_headers: Callable[[User], dict[str, str]], user: User) -> dict[str, str]:
    """The clinician's API headers."""
    return token_headers(user)


@pytest.fixture
def ids(
    client: FlaskClient,
    headers: dict[str, str],
    clinic: Clinic,
    user: User,
    records: Records,
    photograph: bytes,
) -> dict[str, str]:
    """The public ids of one record of each kind in the clinic, and the model that scored it."""
    lesion = LesionFactory(patient__clinic=clinic)
    answer = send_image(client, lesion.public_id, headers, photograph).json
    prediction = factories.session.scalars(select(Prediction)).one()
    image = factories.session.scalars(select(LesionImage)).one()
    review = ReviewFactory(prediction=prediction, lesion_image=image, signed_by=user)
    model = answer["prediction"]["model"]
    return {
        "patient": answer["patient_id"],
        "lesion": answer["lesion_id"],
        "image": answer["id"],
        "prediction": answer["prediction"]["id"],
        "review": str(review.public_id),
        "merge": str(PatientMergeFactory(kept__clinic=clinic).public_id),
        "job": str(JobFactory(clinic_id=clinic.id, made_by_id=user.id).public_id),
        "own_upload": str(UploadFactory(clinic_id=clinic.id, made_by_id=user.id).public_id),
        "other_patient": str(PatientFactory(clinic=clinic).public_id),
        "model": f"{model['name']}-{model['version']}",
        "plot": next(iter(PLOTS)),
        "colleague": str(UserFactory(clinic=clinic, role=Role.NURSE, display_name="Nora Yew").public_id),
        "own_token": str(ApiTokenFactory(user=user).public_id),
        "own_session": str(UserSessionFactory(user=user).public_id),
    }


@pytest.fixture(scope="session")
def photograph() -> bytes:
    """A drawn JPEG that says in the picture that it is synthetic."""
    return draw_photograph()
