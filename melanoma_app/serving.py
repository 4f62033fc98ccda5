"""From settings to a serving app: check, upgrade the database, load the demo, start gunicorn.

Whatever stands in the way is one line that says what to do.
"""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import alembic.command
from alembic.util import CommandError
from flask import Flask
from gunicorn.app.base import BaseApplication
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from werkzeug.serving import WSGIRequestHandler, is_running_from_reloader, run_simple

from config import PROJECT_ROOT, Settings
from melanoma_app.errors import UnavailableError
from melanoma_app.extensions import db, image_storage, job_queue, migrate
from melanoma_app.instruments import SHARED_MEMORY, forget_process, share_between_processes
from melanoma_app.security.upload_gate import HEADER_TIMEOUT_S, bound_silence
from melanoma_app.services.accounts import has_users
from melanoma_app.services.count_check import count_what_is_uncounted
from melanoma_app.services.demo import find_demo_account, is_demo_wanted
from melanoma_app.services.file_removal import remove_noted_files
from melanoma_app.services.model_activation import check_active_model
from melanoma_app.web_worker import WebWorker
from ml.inference import ModelIntegrityError

REQUEST_TIMEOUT_S: Final = 60
M_ARENA_MAX: Final = -8
"""From glibc's malloc.h."""
ONE_TIME_LINKS: Final = "/set-password/"
EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 # nosec B104 # compared with, not bound to


def serve(app: Flask, settings: Settings) -> None:
    """Prepare, then serve with gunicorn until stopped; the address and the account are printed last."""
    welcome = prepare(app, settings)
    if settings.web_processes > 1:
        share_between_processes(settings.instance_folder)
    _share_memory_arenas()
    _Gunicorn(app, settings, lambda: print(welcome, flush=True)).run()


def serve_for_development(app: Flask, settings: Settings) -> None:
    """Prepare the same way, then serve with Werkzeug's server, which starts again when a module changes."""
    if settings.is_production:
        sys.exit("`python wsgi.py` serves for development alone. In production start it with `flask serve`.")
    if not is_running_from_reloader():  # the process that watches has prepared everything, and holds the port
        prepare(app, settings)
    else:
        with app.app_context():
            print(_describe_access(settings), flush=True)
    run_simple(
        settings.host,
        settings.port,
        app,
        use_reloader=True,
        threaded=True,
        request_handler=_DiscreetRequestHandler,
    )


def prepare(app: Flask, settings: Settings) -> str:
    """Bring everything to the point where requests can be answered.

    Returns:
        What to print once they are: the address, and the account to sign in with.

    Raises:
        SystemExit: Something stands in the way; its message is one line that says what to do.
    """
    if settings.demo:
        _keep_demo_local(settings.host)
    _check_port(settings.host, settings.port)
    _check_writable(settings.instance_folder)
    if not settings.image_store_url:
        _check_writable(settings.image_folder)
    with app.app_context():
        _check_bucket(settings)
        _upgrade_database(settings)
        count_what_is_uncounted()
        # What an erasure that was cut short has left.
        remove_noted_files(store=image_storage.store)
        if settings.demo:
            _load_demo()
        if find_demo_account(instance_folder=settings.instance_folder):
            _keep_demo_local(settings.host)
        _check_model()
        access = _describe_access(settings)
        # The processes forked from this one must not share its connections.
        db.session.remove()
        db.engine.dispose()
    return access


def _keep_demo_local(host: str) -> None:
    if not _is_loopback(host):
        sys.exit(
            f"The demo has an account that is printed at every start, so it is not opened to the network ({host}). "
            "Leave HOST out, or set DEMO=0 with a DATABASE_URL that holds no demo."
        )


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            advice = {
                errno.EADDRINUSE: f"Stop what listens there, or choose another: PORT={port % 65535 + 1} make run",
                errno.EACCES: "Choose one above 1023: PORT=5000 make run",
            }.get(error.errno or 0, "Set HOST to an address of this machine, or leave it out.")
            sys.exit(f"Port {port} on {host} cannot be used ({error.strerror}). {advice}")


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        sys.exit(
            f"The folder {folder} cannot be written ({error.strerror}). "
            "Make it writable, or name another in INSTANCE_FOLDER or IMAGE_FOLDER."
        )


def _check_bucket(settings: Settings) -> None:
    """The record can be read without its photographs, and the bucket may come back: a warning."""
    if settings.image_store_url:
        try:
            image_storage.store.check()
        except UnavailableError as error:
            print(
                f"Warning: photographs can be neither taken in nor shown: {error} See docs/storage.md.",
                file=sys.stderr,
            )


def _upgrade_database(settings: Settings) -> None:
    where = make_url(settings.database_url).render_as_string(hide_password=True)
    try:
        with db.engine.connect():
            pass
    except DBAPIError as error:
        sys.exit(
            f"The database {where} cannot be used ({_reason(error)}). Start it, or correct DATABASE_URL."
        )
    try:
        alembic.command.upgrade(migrate.get_config(), "head")
    except OperationalError as error:
        sys.exit(
            f"The database {where} cannot be upgraded ({_reason(error)}). "
            "Its user must be allowed to create and alter tables, and the disk must not be full."
        )
    except CommandError as error:
        sys.exit(
            f"The database {where} cannot be upgraded ({_first_line(error)}). "
            "It was probably written by a newer version: install that, or restore a backup."
        )


def _load_demo() -> None:
    """Make the demo in a process of its own: it loads the network, which must not happen before a fork."""
    if not is_demo_wanted():
        return
    print("Making the demo records …", flush=True)
    if subprocess.run(  # nosec B603 # arguments of this file alone
        [sys.executable, "-m", "flask", "--app", "wsgi", "demo", "load"], cwd=PROJECT_ROOT
    ).returncode:
        sys.exit("The demo records could not be made; see above. DEMO=0 starts without them.")


def _check_model() -> None:
    try:
        check_active_model()
    except ModelIntegrityError as error:
        print(
            f"Warning: photographs will be refused, since the active model cannot be used: {error} "
            "`flask models list` shows the released models, `flask models activate` switches to another.",
            file=sys.stderr,
        )


def _describe_access(settings: Settings) -> str:
    """Where to open the app and how to sign in."""
    host = "localhost" if _is_loopback(settings.host) else _bracketed(settings.host)
    address = f"Open http://{host}:{settings.port}"
    if settings.host in EVERY_ADDRESS:
        address = f"Open http://localhost:{settings.port} (or any other address of this machine)"
    return f"{address}\n{_describe_account(find_demo_account(instance_folder=settings.instance_folder))}"


def _describe_account(account: tuple[str, str] | None) -> str:
    if account:
        return f"Demo account (synthetic records, this machine only): {account[0]} / {account[1]}"
    if has_users():
        return "Sign in with your account."
    return "There is no account yet. Make one: .venv/bin/flask users create NAME --role admin"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bracketed(host: str) -> str:
    """The host as addresses write it: `[::1]`."""
    return f"[{host}]" if ":" in host else host


def _reason(error: DBAPIError) -> str:
    """What the driver says, without its number."""
    return str(error.orig.args[-1]) if error.orig and error.orig.args else "no reason given"


def _first_line(error: object) -> str:
    return (str(error).splitlines() or [""])[0]


class _DiscreetRequestHandler(WSGIRequestHandler):
    """Logs requests without their query, which holds whom somebody searched for, and names no version.

    Nor does it log what a one-time link carries: until it is used, it opens an account.
    """

    def version_string(self) -> str:
        """What `Server` says."""
        return "clinic"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log method, path and status."""
        path = self.path.partition("?")[0]
        if path.startswith(ONE_TIME_LINKS):
            path = f"{ONE_TIME_LINKS}…"
        self.log("info", "%s %s %s", self.command, path, code)


def _share_memory_arenas() -> None:
    """Let the threads share two of glibc's memory arenas.

    By itself glibc gives each thread one, and each keeps the room of the largest photograph it has seen: with four
    threads the process holds tens of MB more. Other C libraries have no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 2)


def _forget_worker(_server: Any, worker: Any) -> None:
    forget_process(worker.pid)


class _Gunicorn(BaseApplication):
    """Gunicorn around an app that is made already.

    Args:
        app: The app.
        settings: Address, processes and threads.
        on_ready: Called once the first worker can answer.
    """

    def __init__(self, app: Flask, settings: Settings, on_ready: Callable[[], None]) -> None:
        self._app, self._settings, self._on_ready = app, settings, on_ready
        super().__init__()

    def load_config(self) -> None:
        """Hand the settings over; the access log stays off, for addresses may hold what was searched for."""
        options = {
            "bind": f"{_bracketed(self._settings.host)}:{self._settings.port}",
            "workers": self._settings.web_processes,
            "threads": self._settings.web_threads,
            "worker_class": WebWorker,
            "timeout": REQUEST_TIMEOUT_S,
            "loglevel": "warning",
            "forwarded_allow_ips": "",  # TRUSTED_PROXIES alone says whom X-Forwarded-Proto is believed
            "control_socket_disable": True,  # else every instance shares one socket in the home folder
            "post_worker_init": self._announce,
            "child_exit": _forget_worker,
        }
        if SHARED_MEMORY.is_dir():
            options["worker_tmp_dir"] = str(SHARED_MEMORY)
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """The app, in each worker."""
        return self._app

    def _announce(self, worker: Any) -> None:
        for listener in worker.sockets:
            bound_silence(listener.sock, HEADER_TIMEOUT_S)
        with self._app.app_context():
            job_queue.resume()
        if worker.age == 1:
            self._on_ready()
