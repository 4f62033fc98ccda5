from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path

import pytest

from config import PROJECT_ROOT, ConfigurationError, Settings

SECRET = "0123456789abcdef0123456789abcdef"
DATABASE = "mysql+pymysql://clinic:pw@db/clinic"
PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": SECRET, "DATABASE_URL": DATABASE}


def named_problems(environ: dict[str, str]) -> set[str]:
    """The variables that a refusal names, one a line."""
    with pytest.raises(ConfigurationError) as refusal:
        Settings.from_environment(environ)
    return {line.strip().partition(":")[0] for line in str(refusal.value).splitlines()[1:]}


def test_every_wrong_variable_is_named_when_several_are_wrong(tmp_path: Path) -> None:
    wrong = {
        "ENVIRONMENT": "staging",
        "SECRET_KEY": "short",
        "DATABASE_URL": "postgresql://db/clinic",
        "PORT": "http",
        "WEB_PROCESSES": "0",
        "WEB_THREADS": "65",
        "DEMO": "perhaps",
        "MAX_UPLOAD_MB": "-1",
        "MAX_IMAGE_MEGAPIXELS": "10000",
        "SESSION_HOURS": "3.5",
        "IMAGE_STORE_URL": "s3://Clinic_Images",
        "S3_ENDPOINT_URL": "s3.example.org",
        "S3_ENCRYPTION": "ROT13",
        "AWS_ACCESS_KEY_ID": "",
    }
    right = {"INSTANCE_FOLDER": str(tmp_path), "AWS_SECRET_ACCESS_KEY": "without its twin"}

    assert named_problems(right | wrong) == set(wrong)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", SECRET),
        ("DATABASE_URL", DATABASE),
        ("RATE_LIMIT_STORAGE_URL", "redis://:hidden@redis/1"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ],
)
def test_secret_comes_from_a_file_when_one_is_named(tmp_path: Path, name: str, value: str) -> None:
    file = tmp_path / "secret"
    file.write_text(value + "\n", encoding="utf-8")
    environ = {**PRODUCTION, "AWS_ACCESS_KEY_ID": "clinic", f"{name}_FILE": str(file)}
    environ.pop(name, None)

    assert getattr(Settings.from_environment(environ), name.lower()) == value


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("s3://", id="no-name"),
        pytest.param("https://bucket.s3.amazonaws.com", id="web-address"),
        pytest.param("s3://clinic images", id="space"),
        pytest.param("s3://clinic-images/a?b=c", id="query"),
        pytest.param("s3://user:secret@clinic-images", id="account"),
        pytest.param("s3://clinic-images/a\nb", id="line-end"),
        pytest.param("/srv/images", id="folder"),
    ],
)
def test_bucket_is_refused_when_its_address_is_none(tmp_path: Path, place: str) -> None:
    assert named_problems({"INSTANCE_FOLDER": str(tmp_path), "IMAGE_STORE_URL": place}) == {"IMAGE_STORE_URL"}


def test_secret_is_not_shown_when_the_settings_are_printed(tmp_path: Path) -> None:
    environ = {
        "INSTANCE_FOLDER": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "clinic",
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }

    assert SECRET not in repr(Settings.from_environment(environ))


def test_secret_file_is_named_when_it_cannot_be_read(tmp_path: Path) -> None:
    environ = {**PRODUCTION, "SECRET_KEY_FILE": str(tmp_path / "nowhere")}

    assert "SECRET_KEY_FILE" in named_problems(environ)


def test_development_key_is_kept_for_its_owner_alone_when_none_is_given(tmp_path: Path) -> None:
    Settings.from_environment({"INSTANCE_FOLDER": str(tmp_path)})

    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


def test_development_key_stays_the_same_when_started_again(tmp_path: Path) -> None:
    first, second = (Settings.from_environment({"INSTANCE_FOLDER": str(tmp_path)}) for _ in range(2))

    assert first.secret_key == second.secret_key
    assert len(first.secret_key) >= 32


def test_development_keys_differ_when_folders_do(tmp_path: Path) -> None:
    keys = {Settings.from_environment({"INSTANCE_FOLDER": str(tmp_path / n)}).secret_key for n in "ab"}

    assert len(keys) == 2


def test_folder_is_named_when_it_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "instance"
    blocked.write_text("a file where the folder should be", encoding="utf-8")

    with pytest.raises(ConfigurationError, match="INSTANCE_FOLDER"):
        Settings.from_environment({"INSTANCE_FOLDER": str(blocked)})


def test_settings_stay_when_somebody_assigns_to_them(tmp_path: Path) -> None:
    settings = Settings.from_environment({"INSTANCE_FOLDER": str(tmp_path)})

    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.port = 1  # type: ignore[misc]  # that is the point


def test_defaults_serve_this_machine_alone_when_nothing_is_set(tmp_path: Path) -> None:
    settings = Settings.from_environment({"INSTANCE_FOLDER": str(tmp_path)})

    assert (settings.host, settings.port) == ("127.0.0.1", 5000)
    assert settings.database_url == f"sqlite:///{tmp_path / 'clinic.sqlite3'}"
    assert settings.image_folder == tmp_path / "images"
    assert settings.demo


def test_default_stands_when_variable_is_blank(tmp_path: Path) -> None:
    assert Settings.from_environment({"INSTANCE_FOLDER": str(tmp_path), "PORT": " "}).port == 5000


def test_folder_is_meant_from_the_project_when_it_is_relative(tmp_path: Path) -> None:
    settings = Settings.from_environment({"INSTANCE_FOLDER": str(tmp_path), "MODEL_FOLDER": "ml/released"})

    assert settings.model_folder == PROJECT_ROOT / "ml" / "released"


def test_environment_is_the_process_own_when_none_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in set(os.environ) & {"ENVIRONMENT", "DATABASE_URL", "SECRET_KEY"}:
        monkeypatch.delenv(name)
    monkeypatch.setenv("INSTANCE_FOLDER", str(tmp_path))
    monkeypatch.setenv("PORT", "8123")

    # The default argument is bound to os.environ itself, not to a copy of it.
    assert Settings.from_environment().port == 8123


def test_message_shows_no_secret_when_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Settings.from_environment(
            {
                "INSTANCE_FOLDER": str(tmp_path),
                "SECRET_KEY": "hunter2",
                "DATABASE_URL": "postgresql://clinic:hunter2@db/clinic",
            }
        )

    assert "hunter2" not in str(refusal.value)


def test_secrets_stay_out_of_the_text_form_when_settings_are_printed() -> None:
    assert SECRET not in repr(Settings.from_environment(PRODUCTION))
