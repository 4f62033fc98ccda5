"""The clinic that the load benchmark asks: filled once, and kept where one wants to measure it again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.inference import make_photograph
from benchmarks.large_clinic import PASSWORD, fill_clinic, open_clinic
from melanoma_app.models import Lesion, Patient

TESTS_A_PATIENT: Final = 4.5
"""As `large_clinic.py` draws them."""
SAMPLE: Final = 500
"""Patients and lesions that are asked for."""
DATABASE: Final = "clinic"
FILLING: Final = ("--innodb-buffer-pool-size=3G", "--innodb-log-file-size=1G")
SERVING: Final = (
    "--innodb-buffer-pool-size=3G",
    "--innodb-log-file-size=1G",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-doublewrite=1",
)
"""As in a hospital: what is answered is on the disk, and a crash leaves no half page."""
_KEPT: Final = "clinic.json"


@dataclass(frozen=True, kw_only=True)
class Clinic:
    """Whom to ask for what in a filled clinic.

    Args:
        patients: How many there are.
        people: How many of its staff ask.
        accounts: Their user names.
        password: Of all of them.
        token: For the REST API.
        some_patients: Some patients' ids.
        some_lesions: Some lesions' ids.
    """

    patients: int
    people: int
    accounts: list[str]
    password: str
    token: str
    some_patients: list[str]
    some_lesions: list[str]


@contextmanager
def start_server(folder: Path, options: tuple[str, ...]) -> Iterator[Any]:
    """A MariaDB server on the data of a folder."""
    from tests.databases import MariaDbServer

    server = MariaDbServer.start(folder, *options)
    try:
        yield server
    finally:
        server.stop()


def find_or_fill_clinic(folder: Path, *, patients: int, people: int) -> Clinic:
    """The clinic that a folder keeps, or a new one."""
    kept = folder / _KEPT
    if not kept.exists():
        clinic = _fill(folder, patients=patients, people=people)
        kept.write_text(json.dumps(asdict(clinic)), encoding="utf-8")
        kept.chmod(0o600)
    clinic = Clinic(**json.loads(kept.read_text(encoding="utf-8")))
    if (clinic.patients, clinic.people) != (patients, people):
        raise SystemExit(
            f"{folder} keeps a clinic of {clinic.patients} patients and {clinic.people} people: ask for these, or "
            "name another folder."
        )
    return clinic


def draw_photograph(path: Path, *, is_from_telephone: bool) -> None:
    """The photograph that everybody sends: a drawn lesion, or one of 12 megapixels."""
    from melanoma_app.services.demo_images import draw_lesion

    path.write_bytes(make_photograph() if is_from_telephone else draw_lesion(seed=7, irregularity=0.7))


def _fill(folder: Path, *, patients: int, people: int) -> Clinic:
    started = time.perf_counter()
    with start_server(folder, FILLING) as server:
        app = open_clinic(server.create_database(DATABASE), folder / "instance")
        with app.app_context():
            fill_clinic(tests=round(patients * TESTS_A_PATIENT))
            accounts, token = _employ(people)
            clinic = Clinic(
                patients=patients,
                people=people,
                accounts=accounts,
                password=PASSWORD,
                token=token,
                some_patients=_some_of(Patient),
                some_lesions=_some_of(Lesion),
            )
    print(f"filled in {time.perf_counter() - started:.0f} s", flush=True)
    return clinic


def _employ(people: int) -> tuple[list[str], str]:
    """An account for each person, and a token for the programs."""
    from melanoma_app.models.vocabulary import Role
    from melanoma_app.security.permissions import ROLE_PERMISSIONS
    from melanoma_app.services.accounts import create_user
    from melanoma_app.services.clinics import find_clinic
    from melanoma_app.services.tokens import TOKEN_LIFETIME, create_token

    accounts = [f"person-{number}" for number in range(people)]
    for username in accounts:
        user = create_user(
            clinic=find_clinic(), username=username, display_name="", password=PASSWORD, role=Role.CLINICIAN
        )
    _, token = create_token(
        user=user,
        name="benchmark",
        scopes=ROLE_PERMISSIONS[user.role],
        lifetime=TOKEN_LIFETIME,
        actor=None,
    )
    return accounts, token


def _some_of(table: type[Patient] | type[Lesion]) -> list[str]:
    """Ids from all the years."""
    from sqlalchemy import func, select

    from melanoma_app.extensions import db

    step = max(1, (db.session.scalar(select(func.max(table.id))) or 1) // SAMPLE)
    chosen = table.id.in_([1 + step * number for number in range(SAMPLE)])
    return [str(one) for one in db.session.scalars(select(table.public_id).where(chosen))]
