"""The processes of a hospital, on this machine: each can be killed and started again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config import PROJECT_ROOT

START_TIMEOUT_S = 90
DEPLOY = PROJECT_ROOT / "docs" / "deploy"


def wait_until(is_so: Callable[[], object], *, what: str, timeout_s: float = START_TIMEOUT_S) -> None:
    """Look again and again, and say what did not come about."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s} s"
        time.sleep(0.1)


@dataclass
class Machine:
    """A process with children of its own, and its log.

    Args:
        name: What it is called in messages.
        command: Its program and arguments.
        environment: All its variables.
        log: Where its output goes.
        answers: Whether it works by now.
    """

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    answers: Callable[[], bool]
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.launch()

        def is_up() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"{self.name} did not start:\n{self.said()[-3000:]}"
            return self.answers()

        wait_until(is_up, what=f"{self.name} answers")

    def launch(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=PROJECT_ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def kill(self) -> None:
        """As a power cut does: the process and its children, at once."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As `systemctl stop` does."""
        self._end(signal.SIGTERM)

    def start_again(self) -> None:
        self.stop()
        self.start()

    def said(self) -> str:
        """Its whole log."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            os.killpg(self.process.pid, how)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.process = None


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of localhost that has signed itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "tls_certificate", folder / "tls_key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


def write_proxy_files(
    folder: Path, *, http_port: int, https_port: int, web_ports: Sequence[int]
) -> tuple[Path, Path]:
    """The proxy's own files from docs/deploy, with this machine's ports and folders; gives the main one and the log."""
    certificate, key = make_certificate(folder)
    log = folder / "proxy-access.log"
    text = (DEPLOY / "clinic.conf").read_text(encoding="utf-8")
    for shipped, here in (
        ("listen 80 ", f"listen 127.0.0.1:{http_port} "),
        ("listen 443 ", f"listen 127.0.0.1:{https_port} "),
        ("/run/secrets/tls_certificate", str(certificate)),
        ("/run/secrets/tls_key", str(key)),
        ("access_log /dev/stdout", f"access_log {log}"),
    ):
        assert shipped in text
        text = text.replace(shipped, here)
    (folder / "clinic.conf").write_text(text, encoding="utf-8")
    shipped_line = (DEPLOY / "upstream.conf").read_text(encoding="utf-8").splitlines()[-1]
    (folder / "upstream.conf").write_text(
        "\n".join(shipped_line.replace("web:5000", f"127.0.0.1:{port}") for port in web_ports) + "\n",
        encoding="utf-8",
    )
    main = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    main = re.sub(r"/tmp/nginx", f"{folder}/nginx", main)
    main = main.replace("/etc/nginx/clinic/", f"{folder}/")
    path = folder / "nginx.conf"
    path.write_text(main, encoding="utf-8")
    return path, log


def flask(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a `flask …` command."""
    return subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
    )
