"""A hospital on this machine: proxy with TLS, two web servers, workers, MariaDB and Redis, each a process of its own.

The files of the proxy are those of docs/deploy. Every test leaves everything running as it found it.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
import requests
from sqlalchemy import create_engine

from melanoma_app.models import Clinic, LesionImage, Prediction
from melanoma_app.models.connection import engine_options
from melanoma_app.models.vocabulary import Role
from tests import factories
from tests.cluster.machines import Machine, flask, wait_until, write_proxy_files
from tests.cluster.visitor import Visitor
from tests.databases import FIRST_CLINIC_ID, MariaDbServer, find_free_port
from tests.factories import UserFactory
from tests.records import Records
from tests.released import SERVED, shelve

USERNAME = "nora"
PROGRAMS = ("nginx", "redis-server", "mariadbd", "faketime")
SIGN_INS_A_MINUTE = 12
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs every server at once."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what held, a line for each, and what could not be tried."""
    passed = terminalreporter.stats.get("passed", [])
    if names := [report.nodeid for report in passed if "tests/cluster/" in report.nodeid]:
        terminalreporter.section("the cluster")
        for name in names:
            terminalreporter.line(f"held: {name.rpartition('::')[2].removeprefix('test_').replace('_', ' ')}")


@dataclass
class Cluster:
    """Everything that runs, and what everything shares."""

    folder: Path
    address: str
    plain_address: str
    certificate: Path
    database: MariaDbServer
    database_url: str
    environment: dict[str, str]
    redis: Machine
    proxy: Machine
    webs: tuple[Machine, Machine]
    web_ports: tuple[int, int]
    workers: tuple[Machine, ...]
    records: Records
    proxy_log: Path

    @property
    def image_folder(self) -> Path:
        return Path(self.environment["IMAGE_FOLDER"])

    @property
    def model_folder(self) -> Path:
        return Path(self.environment["MODEL_FOLDER"])

    def flask(self, *arguments: str) -> str:
        """What a `flask …` command prints."""
        done = flask(self.environment, *arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def ask(self, number: int, path: str, **headers: str) -> requests.Response:
        """Ask one web server past the proxy, as the proxy would."""
        with requests.Session() as session:
            session.trust_env = False
            return session.get(
                f"http://127.0.0.1:{self.web_ports[number]}{path}",
                headers={"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"} | headers,
                timeout=30,
                allow_redirects=False,
            )

    def web_logs(self) -> str:
        return "".join(web.said() for web in self.webs)

    def is_ready(self) -> bool:
        """Whether both web servers say that they can serve."""
        return all(self.ask(number, "/health/ready").ok for number in range(2))

    def assert_whole(self) -> None:
        """Nothing acknowledged is lost, nothing is there twice, and the counts are what the records say."""
        images = self.records.all(LesionImage)
        for image in images:
            assert self.records.stored(image.storage_key).is_file()
            assert self.records.stored(str(image.thumbnail_key)).is_file()
        scored = [one.lesion_image_id for one in self.records.all(Prediction)]
        assert sorted(scored) == sorted(one.id for one in images)
        self.flask("audit", "verify")
        self.flask("statistics", "verify")


def _answers_http(port: int) -> Callable[[], bool]:
    def answers() -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=5).close()
        except (urllib.error.URLError, OSError):
            return False
        return True

    return answers


def _answers_proxy(port: int) -> Callable[[], bool]:
    def answers() -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/proxy-health", timeout=5).close()
        except (urllib.error.URLError, OSError):
            return False
        return True

    return answers


def _answers_redis(port: int) -> Callable[[], bool]:
    def answers() -> bool:
        client = redis.Redis(port=port, socket_connect_timeout=1)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    return answers


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """All of it, started; all of it stopped at the end."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
    assert not missing, f"install {', '.join(missing)}: make cluster-test needs all of {', '.join(PROGRAMS)}"
    # Whoever stops the tests (`timeout`, CI) must not leave seven servers behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = tmp_path_factory.mktemp("cluster")
    # What was acknowledged must outlive a kill, so this one writes each commit to its log.
    database = MariaDbServer.start(folder, "--innodb-flush-log-at-trx-commit=1")
    machines: list[Machine] = []
    try:
        built = _build(folder, database, machines)
        built.redis.start()
        for web in built.webs:  # at once: both bring the empty database up, one waits for the other
            web.launch()
        for web in built.webs:
            wait_until(web.answers, what=f"{web.name} answers")
        built.proxy.start()
        _employ(built)
        for worker in built.workers:
            worker.start()
        yield built
    finally:
        factories.session.remove()
        for machine in reversed(machines):
            machine.stop()
        database.stop()


def _build(folder: Path, database: MariaDbServer, machines: list[Machine]) -> Cluster:
    http_port, https_port, redis_port, *web_ports = (find_free_port() for _ in range(5))
    secret_file = folder / "secret_key"
    secret_file.write_text(secrets.token_hex(32), encoding="ascii")
    shelve(folder / "released", version=SERVED.name.rpartition("-")[2])
    url = database.create_database("clinic")
    known = {"SECRET_KEY", "DATABASE_URL", "DEMO", "PORT", "HOST", "FLASK_APP", "FLASK_DEBUG"}
    environment = {name: value for name, value in os.environ.items() if name not in known} | {
        "FLASK_SKIP_DOTENV": "1",
        "ENVIRONMENT": "production",
        "SECRET_KEY_FILE": str(secret_file),
        "DATABASE_URL": url,
        "INSTANCE_FOLDER": str(folder / "instance"),
        "IMAGE_FOLDER": str(folder / "images"),
        "MODEL_FOLDER": str(folder / "released"),
        "TRUSTED_PROXIES": "1",
        "DEMO": "0",
        "HOST": "127.0.0.1",
        "SIGN_IN_RATE_LIMIT": f"{SIGN_INS_A_MINUTE} per minute",
        "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "RATE_LIMIT_STORAGE_URL": f"redis://127.0.0.1:{redis_port}/1",
        "OMP_NUM_THREADS": "1",
    }

    def machine(name: str, command: list[str], answers: Callable[[], bool], **variables: str) -> Machine:
        made = Machine(name, command, environment | variables, folder / f"{name}.log", answers)
        machines.append(made)
        return made

    (folder / "redis").mkdir()
    redis_server = machine(
        "redis",
        [
            "redis-server",
            "--port",
            str(redis_port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(folder / "redis"),
            "--appendonly",
            "yes",
            "--save",
            "",
            "--maxmemory-policy",
            "noeviction",
        ],
        _answers_redis(redis_port),
    )
    first, second = (
        machine(
            f"web{number}",
            [sys.executable, "-m", "flask", "serve"],
            _answers_http(port),
            PORT=str(port),
            INSTANCE_FOLDER=str(folder / f"instance{number}"),
        )
        for number, port in enumerate(web_ports)
    )
    main_file, proxy_log = write_proxy_files(
        folder, http_port=http_port, https_port=https_port, web_ports=web_ports
    )
    nginx = shutil.which("nginx", path=_PATH)
    assert nginx
    as_user = " user root;" if os.getuid() == 0 else ""  # the folder is its owner's alone
    proxy = machine(
        "proxy", [nginx, "-c", str(main_file), "-g", f"daemon off;{as_user}"], _answers_proxy(http_port)
    )
    engine = create_engine(url, **engine_options(url))
    factories.session.remove()
    factories.session.configure(bind=engine)
    return Cluster(
        folder=folder,
        address=f"https://localhost:{https_port}",
        plain_address=f"http://localhost:{http_port}",
        certificate=folder / "tls_certificate",
        database=database,
        database_url=url,
        environment=environment,
        redis=redis_server,
        proxy=proxy,
        webs=(first, second),
        web_ports=(web_ports[0], web_ports[1]),
        workers=tuple(_workers(machine)),
        records=Records(engine=engine, image_folder=folder / "images"),
        proxy_log=proxy_log,
    )


def _workers(machine: Callable[..., Machine]) -> Iterator[Machine]:
    if importlib.util.find_spec("melanoma_app.worker") is None:
        return
    for number in range(2):
        command = [sys.executable, "-m", "celery", "--app", "melanoma_app.worker", "worker"]
        made: Machine = machine(
            f"worker{number}",
            [*command, "--concurrency", "1", "--loglevel", "INFO", "--hostname", f"w{number}@%h"],
            lambda: True,
        )
        made.answers = lambda made=made: "[tasks]" in made.said()  # type: ignore[misc]
        yield made


def _employ(cluster: Cluster) -> None:
    UserFactory(username=USERNAME, role=Role.CLINICIAN, clinic=factories.session.get(Clinic, FIRST_CLINIC_ID))
    factories.session.remove()


@pytest.fixture
def make_visitor(cluster: Cluster) -> Iterator[Callable[..., Visitor]]:
    """Somebody new, at an address of one's own so that others' attempts to sign in do not count."""
    made: list[Visitor] = []

    def make() -> Visitor:
        made.append(
            Visitor(cluster.address, certificate=cluster.certificate, source=f"127.0.0.{_next_address()}")
        )
        return made[-1]

    yield make
    for visitor in made:
        visitor.close()


_addresses = iter(range(2, 250))


def _next_address() -> int:
    return next(_addresses)


@pytest.fixture
def nurse(make_visitor: Callable[..., Visitor]) -> Visitor:
    """Somebody who is signed in."""
    visitor = make_visitor()
    page = visitor.sign_in(USERNAME)
    assert page.status_code == 200, page.text[:500]
    return visitor


@pytest.fixture
def token(cluster: Cluster) -> str:
    """A token for the API."""
    return cluster.flask("tokens", "create", USERNAME, "--all").strip()
