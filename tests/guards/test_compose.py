"""What docker-compose.yml promises, read as YAML: no engine is needed here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import PROJECT_ROOT, S3_KEYS, SECRETS, SETTING_NAMES, Settings

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {"migrate", "objects-volume"}
"""They end by themselves, so nobody asks after their health."""
OUTSIDE = "outside"
AN_EXACT_TAG = re.compile(r"[a-z0-9./-]+:(RELEASE\.\S+|\d+\.\d+\.\d+\S*)")
every_service = pytest.mark.parametrize("name", sorted(SERVICES))


@every_service
def test_service_has_no_rights_to_spare_when_started(name: str) -> None:
    service = SERVICES[name]

    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid", "devices"}
    assert not [one for one in service.get("volumes", ()) if "docker.sock" in one]


@every_service
def test_service_is_bounded_and_looked_after_when_it_runs(name: str) -> None:
    service = SERVICES[name]

    assert set(service["deploy"]["resources"]["limits"]) >= {"cpus", "memory"}
    assert service["logging"]["options"]["max-size"]
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    if name in ONCE:
        assert service["healthcheck"] == {"disable": True}
    else:
        assert service["healthcheck"]["test"]
        assert service["healthcheck"]["timeout"]


@every_service
def test_image_is_the_same_tomorrow_when_pulled(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or AN_EXACT_TAG.fullmatch(service["image"])


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.trainer"])
def test_image_is_pinned_and_runs_without_rights_when_built(name: str) -> None:
    lines = (PROJECT_ROOT / name).read_text(encoding="utf-8").splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    users = [line.split()[1] for line in lines if line.startswith("USER ")]

    assert all(AN_EXACT_TAG.fullmatch(base) for base in bases)
    assert len(bases) == 2
    assert users
    assert "root" not in users
    assert any("--require-hashes" in line for line in lines)
    assert not [line for line in lines if re.match(r"(ENV|ARG).*(SECRET|PASSWORD|TOKEN)", line)]


@every_service
def test_no_secret_stands_in_the_environment_when_started(name: str) -> None:
    environment: dict[str, str] = SERVICES[name].get("environment", {})

    for variable, value in environment.items():
        if re.search("SECRET|PASSWORD|KEY|TOKEN|DATABASE_URL|REDIS_URL|LIMIT_STORAGE_URL", variable):
            assert variable.endswith("_FILE"), variable
        if variable.endswith("_FILE"):
            secret = str(value).removeprefix("/run/secrets/")
            assert secret in SERVICES[name]["secrets"]
            assert COMPOSE["secrets"][secret]["file"].startswith("./instance/secrets/")


def test_app_takes_every_secret_when_an_engineer_has_made_them(tmp_path: Path) -> None:
    """The script itself, in a folder of its own; what it makes goes into the app's settings."""
    script = tmp_path / "docs" / "deploy" / "make-secrets"
    script.parent.mkdir(parents=True)
    shutil.copy(PROJECT_ROOT / "docs/deploy/make-secrets", script)
    for expected in (0, 1):  # what is there is never made anew
        done = subprocess.run([script, "clinic.example.org"], capture_output=True, text=True, timeout=60)
        assert done.returncode == expected, done.stderr

    files = {name: tmp_path / secret["file"] for name, secret in COMPOSE["secrets"].items()}
    assert {path.name for path in (tmp_path / "instance/secrets").iterdir()} == set(files)
    assert (tmp_path / "instance/secrets").stat().st_mode & 0o077 == 0
    given = SERVICES["web"]["environment"]
    settings = Settings.from_environment(
        {"ENVIRONMENT": "production", "DEMO": "0"}
        | {
            variable: str(files[value.removeprefix("/run/secrets/")])
            for variable, value in given.items()
            if variable.endswith("_FILE")
        }
    )
    for name in (*SECRETS, *S3_KEYS):
        assert f"{name}_FILE" in given
        assert getattr(settings, name.lower()), name
    assert "instance" in (PROJECT_ROOT / ".gitignore").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["web", "worker", "migrate"])
def test_app_can_write_its_own_folder_when_the_rest_is_read_only(name: str) -> None:
    """Numbers for Prometheus, and the worker's sign of life, stand there."""
    (folder,) = re.findall(
        r"INSTANCE_FOLDER=(\S+)", (PROJECT_ROOT / "Dockerfile").read_text(encoding="utf-8")
    )
    mounts = {path: options for path, _, options in (one.partition(":") for one in SERVICES[name]["tmpfs"])}

    assert f"uid={SERVICES[name]['user'].partition(':')[0]}" in mounts[folder]
    assert "/tmp" in mounts


def test_worker_is_asked_for_what_it_does_when_its_health_is_looked_at() -> None:
    """It takes no remote control, so `celery inspect ping` would never be answered."""
    worker = (PROJECT_ROOT / "melanoma_app/worker.py").read_text(encoding="utf-8")
    (sign,) = re.findall(r'^SIGN_OF_LIFE = settings\.instance_folder / "([a-z-]+)"', worker, re.MULTILINE)

    (_, test) = SERVICES["worker"]["healthcheck"]["test"]

    assert f"/var/lib/clinic/{sign} " in test
    assert "inspect" not in test


def test_app_knows_every_variable_when_it_is_given() -> None:
    known = {*SETTING_NAMES, *(f"{name}_FILE" for name in SECRETS)}
    given = {
        name
        for service in SERVICES.values()
        if service["image"].startswith("clinic-web")
        for name in service["environment"]
    }
    assert {name for name in given if not name.startswith("AWS_")} <= known


def test_only_the_proxy_can_be_reached_when_it_runs() -> None:
    assert [name for name, service in SERVICES.items() if service.get("ports")] == ["proxy"]
    assert [name for name, service in SERVICES.items() if OUTSIDE in service["networks"]] == ["proxy"]
    assert all(one.get("internal") for name, one in COMPOSE["networks"].items() if name != OUTSIDE)
    assert "data" not in SERVICES["proxy"]["networks"]
    for name in ("mysql", "redis", "minio"):
        assert SERVICES[name]["networks"] == ["data"]


def test_nobody_serves_an_old_schema_when_started_together() -> None:
    for name in ("web", "worker"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["proxy"]["depends_on"]["web"] == {"condition": "service_healthy"}


def test_what_must_last_is_in_a_named_volume_when_containers_go() -> None:
    kept = {"web": "images", "worker": "images", "mysql": "database", "redis": "queue", "minio": "objects"}
    for name, volume in kept.items():
        assert volume in [one.partition(":")[0] for one in SERVICES[name]["volumes"]]
    assert set(COMPOSE["volumes"]) == set(kept.values())


def test_proxy_takes_what_the_app_takes_when_a_photograph_is_sent() -> None:
    text = (PROJECT_ROOT / "docs/deploy/clinic.conf").read_text(encoding="utf-8")

    assert "client_max_body_size 26m;" in text  # MAX_UPLOAD_MB's default and what a form holds beside it
    assert "non_idempotent" not in re.sub("#.*", "", text)
    assert "$proxy_add_x_forwarded_for" in text


@pytest.mark.skipif(
    shutil.which("docker-compose") is None and not os.environ.get("CI"),
    reason="docker-compose is not installed",
)
def test_compose_takes_the_file_when_it_is_there() -> None:
    done = subprocess.run(
        ["docker-compose", "--profile", "objects", "config"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["services"].keys() == SERVICES.keys()
