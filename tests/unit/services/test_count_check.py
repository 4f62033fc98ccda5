"""Checking and mending: whatever was tampered with is named, and made anew; the command line says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import Result
from flask import Flask

from melanoma_app.models import Clinic, CountedTest, OutcomeCount
from melanoma_app.models.vocabulary import Gender, OutcomeLabel
from melanoma_app.services.count_check import rebuild_statistics, verify_statistics
from tests.factories import LesionImageFactory, PatientFactory, PredictionFactory
from tests.records import Records, end_app_transaction

CELLS = ", ".join(column.name for column in OutcomeCount.__table__.columns)
TESTS = ", ".join(column.name for column in CountedTest.__table__.columns)


@pytest.fixture
def counted(clinic: Clinic, recount: Callable[[], None]) -> list[int]:
    """Two tests of a man and a woman, counted, and a photograph that no model has looked at: their keys."""
    keys = []
    for gender, label in ((Gender.FEMALE, OutcomeLabel.MALIGNANT), (Gender.MALE, OutcomeLabel.BENIGN)):
        patient = PatientFactory(clinic=clinic, gender=gender)
        image = PredictionFactory(lesion_image__lesion__patient=patient, label=label).lesion_image
        keys.append(image.id)
    keys.append(LesionImageFactory(lesion=image.lesion).id)
    recount()
    return keys


def find_faults(app: Flask) -> list[str]:
    with app.app_context():
        faults = [f"{fault.place}: {fault.explanation}" for fault in verify_statistics()]
        end_app_transaction()
    return faults


TAMPERING = {
    "changed cell": (
        "UPDATE outcome_count SET negative_lesions = negative_lesions + 1 WHERE slice = 'month'",
        "cell month nothing",
        "it says [1, 1, 1, 2, 1, 1], the counted tests say [1, 1, 1, 1, 1, 1]",
    ),
    "missing cell": (
        "DELETE FROM outcome_count WHERE slice = 'month:gender' AND gender = 'female'",
        "cell month:gender nothing",
        "it says [0, 0, 0, 0, 0, 0], the counted tests say [1, 0, 1, 0, 1, 0]",
    ),
    "extra cell": (
        f"INSERT INTO outcome_count ({CELLS}) SELECT "  # the names of the table's own columns
        f"{CELLS.replace('period_start', ':day')} FROM outcome_count WHERE slice = 'month'",
        "cell month nothing 1999-01-01",
        "it says [1, 1, 1, 1, 1, 1], the counted tests say [0, 0, 0, 0, 0, 0]",
    ),
    "slice of another program": (
        "UPDATE outcome_count SET slice = 'month:shoe' WHERE slice = 'month:site'",
        "slice month:shoe",
        "this program does not keep it",
    ),
    "deleted test": (
        "DELETE FROM counted_test WHERE lesion_image_id = :first",
        "photograph {first}",
        "it is not counted",
    ),
    "changed test": (
        "UPDATE counted_test SET gender = 'other', age_years = 3 WHERE lesion_image_id = :first",
        "photograph {first}",
        "it is counted with another age_years, gender",
    ),
    "extra test": (
        f"INSERT INTO counted_test ({TESTS}) SELECT "  # the names of the table's own columns
        f"{TESTS.replace('lesion_image_id', ':unscored')} FROM counted_test WHERE lesion_image_id = :first",
        "photograph {unscored}",
        "it is counted, and should not be",
    ),
}


# What compares is the same on MariaDB, where the command line's test below runs, too.
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", list(TAMPERING))
def test_fault_is_named_and_mended_when_something_was_tampered_with(
    app: Flask, records: Records, counted: list[int], kind: str
) -> None:
    statement, place, explanation = TAMPERING[kind]
    keys = {"first": counted[0], "unscored": counted[2], "day": "1999-01-01"}
    assert find_faults(app) == []

    named = {name: value for name, value in keys.items() if f":{name}" in statement}
    records.execute(statement, **named)

    faults = find_faults(app)
    assert any(
        fault.startswith(place.format_map(keys)) and fault.endswith(explanation) for fault in faults
    ), faults
    with app.app_context():
        rebuild_statistics()
    assert find_faults(app) == []


@pytest.fixture
def run(app: Flask) -> Callable[..., Result]:
    runner = app.test_cli_runner()
    return lambda *arguments: runner.invoke(args=arguments)


@pytest.mark.usefixtures("counted")
def test_command_line_tells_and_mends_when_a_count_is_wrong(
    run: Callable[..., Result], records: Records
) -> None:
    fine = run("statistics", "verify")
    assert (fine.exit_code, fine.stderr) == (0, "")

    records.execute("UPDATE outcome_count SET positive_tests = 7 WHERE slice = 'month'")
    wrong = run("statistics", "verify")
    assert wrong.exit_code == 1
    assert "cell month nothing" in wrong.stderr
    assert "flask statistics rebuild" in wrong.stderr
    assert wrong.stdout == ""

    assert run("statistics", "rebuild").exit_code == 0
    assert run("statistics", "verify").exit_code == 0
