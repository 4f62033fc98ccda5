"""`flask users`, `tokens`, `models`, `audit`: the answer, or one clear line and a status that is not 0."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import ApiToken, AuditEvent, ModelActivation, User
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.security.permissions import ROLE_PERMISSIONS
from tests.browsing import Browser
from tests.factories import PASSWORD, ApiTokenFactory, ClinicFactory, UserFactory
from tests.records import Records
from tests.released import OTHER, SERVED, flip_a_bit

Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask) -> Run:
    runner = app.test_cli_runner()
    return lambda *arguments, **options: runner.invoke(args=arguments, **options)


def refused(result: Result) -> str:
    """A refusal's one line."""
    assert result.exit_code not in (0, None)
    assert "Traceback" not in result.output
    lines = [line for line in result.output.splitlines() if line.startswith("Error:")]
    assert len(lines) == 1, result.output
    return lines[0]


class TestUsersCreate:
    def test_user_may_sign_in_when_created(self, run: Run, client: FlaskClient, records: Records) -> None:
        result = run("users", "create", "Ada", "--role", "nurse", "--name", "Ada L.", "--password", PASSWORD)

        assert result.exit_code == 0, result.output
        user = records.one(User)
        assert (user.username, user.role, user.display_name) == ("ada", Role.NURSE, "Ada L.")
        assert Browser(client).sign_in("ada", PASSWORD).status == 200

    def test_password_is_asked_for_twice_when_left_out(self, run: Run, records: Records) -> None:
        result = run("users", "create", "ada", "--role", "admin", input=f"{PASSWORD}\n{PASSWORD}\n")

        assert result.exit_code == 0, result.output
        assert PASSWORD not in result.output

    def test_clinic_is_the_named_one_when_one_is_named(self, run: Run, records: Records) -> None:
        clinic = ClinicFactory()

        run("users", "create", "ada", "--role", "admin", "--password", PASSWORD, "--clinic", clinic.name)

        assert records.one(User).clinic_id == clinic.id

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (("a b", "--role", "nurse", "--password", PASSWORD), "user name"),
            (("ada", "--role", "surgeon", "--password", PASSWORD), "surgeon"),
            (("ada", "--role", "nurse", "--password", "short"), "password"),
            (("ada", "--role", "nurse", "--password", PASSWORD, "--clinic", "Nowhere"), "Nowhere"),
            (("ada", "--password", PASSWORD), "--role"),
            ((), "USERNAME"),
        ],
    )
    def test_line_says_what_is_wrong_when_input_is(
        self, run: Run, records: Records, arguments: tuple[str, ...], word: str
    ) -> None:
        assert word in refused(run("users", "create", *arguments))
        assert records.count(User) == 0

    def test_line_says_taken_when_the_name_is(self, run: Run, records: Records) -> None:
        UserFactory(username="ada")

        assert "taken" in refused(run("users", "create", "ada", "--role", "nurse", "--password", PASSWORD))


def test_every_account_is_shown_when_listed(run: Run, records: Records) -> None:
    UserFactory(username="ada", role=Role.ADMIN)
    UserFactory(username="eva", role=Role.ANALYST, is_active=False)

    lines = [line.split("\t") for line in run("users", "list").output.splitlines()]

    assert [line[:2] for line in lines] == [["ada", "admin"], ["eva", "analyst, switched off"]]


class TestUsersOnAndOff:
    def test_account_is_off_and_on_again_when_told(
        self, run: Run, client: FlaskClient, user: User, records: Records
    ) -> None:
        ApiTokenFactory(user=user, secret="the-secret")

        off = run("users", "disable", user.username)
        assert Browser(client).sign_in(user.username, PASSWORD).status == 401
        on = run("users", "enable", user.username)

        assert (off.exit_code, on.exit_code) == (0, 0)
        assert Browser(client).sign_in(user.username, PASSWORD).path == "/"
        assert records.one(ApiToken).revoked_at is not None
        actions = [event.action for event in records.all(AuditEvent)]
        assert AuditAction.USER_DISABLED in actions
        assert AuditAction.USER_ENABLED in actions

    def test_line_says_so_when_nobody_has_the_name(self, run: Run, records: Records) -> None:
        for command in ("disable", "enable", "reset-link"):
            assert "nobody" in refused(run("users", command, "nobody"))

    def test_last_administrator_stays_when_told_to_disable_them(self, run: Run, records: Records) -> None:
        admin = UserFactory(role=Role.ADMIN)

        assert "last active administrator" in refused(run("users", "disable", admin.username))
        assert records.one(User).is_active

    def test_link_sets_a_password_when_printed(self, run: Run, client: FlaskClient, user: User) -> None:
        result = run("users", "reset-link", user.username)

        assert result.exit_code == 0, result.output
        address = result.stdout.strip()
        browser = Browser(client)
        page = browser.open(address)
        assert (page.status, page.path) == (200, "/set-password")
        names = [one["name"] for one in page.form().find_all("input", attrs={"type": "password"})]
        browser.send(page.form(), page, **dict.fromkeys(names, "seven lanterns over water"))
        assert Browser(client).sign_in(user.username, "seven lanterns over water").path == "/"


class TestTokens:
    def test_token_opens_its_scope_alone_when_created(
        self, run: Run, user: User, client: FlaskClient, records: Records
    ) -> None:
        result = run("tokens", "create", user.username, "--scope", "statistics:read", "--days", "7")

        headers = {"Authorization": f"Bearer {result.output.strip()}"}
        assert client.get("/api/v1/statistics/age", headers=headers).status_code == 200
        assert client.get("/api/v1/patients", headers=headers).status_code == 403
        left = records.one(ApiToken).expires_at - datetime.now(UTC)
        assert timedelta(days=6, hours=23) < left <= timedelta(days=7)

    def test_token_does_all_that_its_owner_may_when_asked_for_all(
        self, run: Run, user: User, records: Records
    ) -> None:
        run("tokens", "create", user.username, "--all")

        assert set(records.one(ApiToken).scopes or ()) == {one.value for one in ROLE_PERMISSIONS[user.role]}

    def test_line_says_what_is_wrong_when_input_is(self, run: Run, records: Records) -> None:
        UserFactory(username="eva")

        for arguments, word in (
            (("nobody", "--all"), "nobody"),
            (("eva", "--all", "--days", "0"), "0"),
            ((), "USERNAME"),
            (("eva", "--scope", "everything"), "everything"),
        ):
            assert word in refused(run("tokens", "create", *arguments))
        assert records.count(ApiToken) == 0

    def test_scopes_are_named_when_none_or_one_too_many_is_given(self, run: Run, records: Records) -> None:
        UserFactory(username="eva", role=Role.ANALYST)

        for arguments in ((), ("--scope", "patients:read")):
            result = run("tokens", "create", "eva", *arguments)
            assert refused(result)
            assert "models:read, statistics:read" in result.output
        assert records.count(ApiToken) == 0

    def test_token_is_listed_and_revoked_by_its_id_when_told(
        self, run: Run, user: User, records: Records
    ) -> None:
        token = ApiTokenFactory(user=user, name="nightly", scopes=["statistics:read"])

        before = run("tokens", "list", user.username).output.split("\t")
        result = run("tokens", "revoke", str(token.public_id))

        assert before[:3] == [str(token.public_id), "nightly", "valid"]
        assert before[-1].strip() == "statistics:read"
        assert result.exit_code == 0, result.output
        assert run("tokens", "list", user.username).output.split("\t")[2] == "revoked"

    def test_line_says_so_when_no_token_has_the_id(self, run: Run, records: Records) -> None:
        assert "no such token" in refused(run("tokens", "revoke", str(uuid.uuid4())))


class TestModels:
    @pytest.fixture
    def environment(self, environment: dict[str, str], shelf: Path) -> dict[str, str]:
        """An app with two released models, of which the older serves by default."""
        return environment | {"MODEL_FOLDER": str(shelf), "MODEL_NAME": SERVED.name}

    @pytest.fixture
    def ada(self, records: Records) -> User:
        return UserFactory(username="ada", role=Role.ADMIN)

    def test_active_model_is_marked_when_listed(self, run: Run, ada: User) -> None:
        assert run("models", "list").output.splitlines() == [f"{OTHER}\tready", f"{SERVED.name}\tactive"]

        run("models", "activate", OTHER, "--by", "ada", "--reason", "Better")

        assert run("models", "list").output.splitlines() == [f"{OTHER}\tactive", f"{SERVED.name}\tready"]

    def test_switch_is_the_named_administrators_when_made(
        self, run: Run, ada: User, records: Records
    ) -> None:
        result = run("models", "activate", OTHER, "--by", "Ada", "--reason", "Better")

        assert (result.exit_code, result.output) == (0, f"New photographs are scored by {OTHER}.\n")
        row = records.one(ModelActivation)
        assert (row.activated_by_id, row.reason) == (ada.id, "Better")

    def test_problem_is_told_when_the_active_model_is_gone(self, run: Run, ada: User, shelf: Path) -> None:
        run("models", "activate", OTHER, "--by", "ada", "--reason", "Better")
        shutil.rmtree(shelf / OTHER)

        result = run("models", "list")

        assert result.exit_code == 0
        assert f"{OTHER}\tactive, no longer on the shelf" in result.output
        assert "cannot be used" in result.output

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (("nothing-1.0.0", "--by", "ada", "--reason", "x"), "nothing-1.0.0"),
            ((OTHER, "--by", "nobody", "--reason", "x"), "nobody"),
            ((OTHER, "--by", "nora", "--reason", "x"), "administrator"),
            ((OTHER, "--by", "eva", "--reason", "x"), "switched off"),
            ((OTHER, "--by", "ada", "--reason", " "), "why"),
            ((OTHER, "--by", "ada"), "--reason"),
            ((OTHER, "--reason", "x"), "--by"),
        ],
    )
    def test_line_says_what_is_wrong_when_input_is(
        self, run: Run, ada: User, records: Records, arguments: tuple[str, ...], word: str
    ) -> None:
        UserFactory(username="nora", role=Role.NURSE)
        UserFactory(username="eva", role=Role.ADMIN, is_active=False)

        assert word in refused(run("models", "activate", *arguments))
        assert records.count(ModelActivation) == 0

    def test_line_says_damaged_when_the_model_is(
        self, run: Run, ada: User, shelf: Path, records: Records
    ) -> None:
        flip_a_bit(shelf / OTHER / "model.onnx")

        assert "sha256 differs" in refused(run("models", "activate", OTHER, "--by", "ada", "--reason", "x"))
        assert records.count(ModelActivation) == 0


class TestAuditVerify:
    @pytest.fixture(autouse=True)
    def _entries(self, run: Run, records: Records) -> None:
        for name in ("ada", "eva", "ida"):
            run("users", "create", name, "--role", "nurse", "--password", PASSWORD)

    def test_chains_are_said_to_hold_when_they_do(self, run: Run) -> None:
        result = run("audit", "verify")

        assert (result.exit_code, result.output) == (0, "Every audit chain holds.\n")

    def test_place_is_named_when_an_entry_was_edited(self, run: Run, records: Records) -> None:
        records.execute("UPDATE audit_event SET origin = 'elsewhere' WHERE sequence = 2")

        result = run("audit", "verify")

        assert result.exit_code == 1
        assert "entry 2: the entry was edited" in result.output

    def test_cut_is_named_when_the_whole_log_is_gone(self, run: Run, records: Records) -> None:
        records.execute("DELETE FROM audit_event")

        result = run("audit", "verify")

        assert result.exit_code == 1
        assert records.count(AuditEvent) == 0
        assert "cut off" in result.output
