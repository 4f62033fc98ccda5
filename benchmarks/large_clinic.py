"""A clinic of any size, filled by the MariaDB server itself: always ten years, and the same shares of everything.

Three photographs a lesion, one and a half lesions a patient, one answer a photograph; 60 % of the photographs are
reviewed, 10 % of the lesions have a laboratory report. Patients, lesions and photographs are numbered in the order of
time. Everything is drawn with fixed seeds, so two fillings are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select, text

from melanoma_app.models.outcome_count import UNKNOWN
from melanoma_app.models.vocabulary import AnatomSiteGeneral, ComparedWith, FitzpatrickSkinType, Gender
from melanoma_app.services.count_slices import UNDIVIDED_VALUES, Property, Slice, slices_of

FIRST_DAY: Final = date(2016, 1, 1)
DAYS: Final = 3653
"""To 31 December 2025."""
MODELS: Final = ("1.0.0", "1.1.0", "2.0.0")
USERNAME: Final = "bench"
PASSWORD: Final = "sixteen letters x"

_VALUES: Final[dict[Property, tuple[str, ...] | tuple[int, ...]]] = {
    Property.GENDER: tuple(Gender),
    Property.AGE: (0,),
    Property.SITE: tuple(AnatomSiteGeneral),
    Property.SKIN_TYPE: tuple(FitzpatrickSkinType),
    Property.MODEL: (0,),
}
"""The names that are given numbers from 1 on; what is a number is its own."""
_MOST_CODES: Final = 1000
_TAKEN_AT: Final = (
    f"TIMESTAMP('{FIRST_DAY}') + INTERVAL FLOOR(({{number}} - 1) / :tests * {DAYS} * 86400 * 1e6) MICROSECOND"
)


def _drawn(seed: int, shares: dict[str | None, float]) -> str:
    """SQL for a value drawn by its share."""
    limits, total = [], 0.0
    for share in list(shares.values())[:-1]:
        total += share
        limits.append(f"{total:.4f}")
    values = ", ".join("NULL" if value is None else f"'{value}'" for value in shares)
    return f"ELT(1 + INTERVAL(RAND({seed}), {', '.join(limits)}), {values})"


_GENDER: Final = _drawn(101, {"female": 0.52, "male": 0.46, "other": 0.01, "unknown": 0.01})
_SKIN_TYPE: Final = _drawn(
    211, {"I": 0.06, "II": 0.28, "III": 0.30, "IV": 0.12, "V": 0.05, "VI": 0.02, None: 0.17}
)
_SITE: Final = _drawn(
    307,
    {
        "head/neck": 0.15,
        "upper extremity": 0.18,
        "lower extremity": 0.20,
        "anterior torso": 0.17,
        "lateral torso": 0.05,
        "posterior torso": 0.21,
        "palms/soles": 0.03,
        "oral/genital": 0.01,
    },
)

_PATIENTS: Final = f"""
    INSERT INTO patient (id, public_id, clinic_id, mrn, family_name, given_name, search_name, birth_date,
        birth_date_precision, gender, fitzpatrick_skin_type, consent_to_care, consent_to_ai_analysis, created_at,
        updated_at, version)
    SELECT seq, MD5(CONCAT('patient', seq)), :clinic, CONCAT('M', seq), CONCAT('Family', seq), 'Given',
        CONCAT('family', seq, ' given'),
        DATE(created_at) - INTERVAL FLOOR(365.25 * (2 + 47 * (RAND(401) + RAND(503)))) DAY,
        'exact', {_GENDER}, {_SKIN_TYPE}, 1, 1, created_at, created_at, 1
    FROM (
        SELECT seq, {_TAKEN_AT.format(number="3 * (seq + (seq - 1) DIV 2) - 2")} AS created_at
        FROM seq_1_to_{{patients}}
    ) AS drawn
"""  # noqa: S608 # nosec B608 # the parts are constants of this file
# Two lesions in three are a new patient's first; every third is one more of somebody who has come before.
_LESIONS: Final = f"""
    INSERT INTO lesion (id, public_id, patient_id, number, anatom_site_general, description, created_at)
    SELECT seq, MD5(CONCAT('lesion', seq)), patient_id, ROW_NUMBER() OVER (PARTITION BY patient_id ORDER BY seq),
        site, '', created_at
    FROM (
        SELECT seq, IF(seq % 3, seq - seq DIV 3, 1 + FLOOR(RAND(601) * (seq - seq DIV 3))) AS patient_id,
            {_SITE} AS site, {_TAKEN_AT.format(number="3 * seq - 2")} AS created_at
        FROM seq_1_to_{{lesions}}
    ) AS drawn
"""  # noqa: S608 # nosec B608 # the parts are constants of this file
# One photograph in three is a new lesion's first; the others show one that was photographed before.
_PHOTOGRAPHS: Final = f"""
    INSERT INTO lesion_image (id, public_id, lesion_id, storage_key, sha256, upload_sha256, size_bytes, width_px,
        height_px, image_type, captured_at, captured_on, created_at, created_by_id)
    SELECT seq, MD5(CONCAT('image', seq)), lesion_id, CONCAT('images/', seq), REPEAT('0', 64), REPEAT('0', 64), 1, 1, 1,
        'dermoscopic', captured_at, DATE(captured_at), captured_at, :user
    FROM (
        SELECT seq, IF(seq % 3 = 1, (seq + 2) DIV 3, 1 + FLOOR(RAND(701) * ((seq + 2) DIV 3))) AS lesion_id,
            {_TAKEN_AT.format(number="seq")} AS captured_at
        FROM seq_1_to_{{tests}}
    ) AS drawn
"""  # noqa: S608 # nosec B608 # the parts are constants of this file
_PREDICTIONS: Final = """
    INSERT INTO prediction (id, public_id, lesion_image_id, model_version_id, malignancy_probability, label, threshold,
        operating_point, preprocessing_version, image_sha256, latency_s, created_at, created_by_id)
    SELECT seq, MD5(CONCAT('prediction', seq)), seq, model, probability, IF(probability >= 0.7, 'malignant', 'benign'),
        0.7, 'balanced', '1', REPEAT('0', 64), 0.1, :now, :user
    FROM (
        SELECT seq, POW(RAND(809), 3) AS probability,
            :first_model + INTERVAL(seq / :tests + 0.1 * RAND(907), 0.4, 0.75) AS model
        FROM seq_1_to_{tests}
    ) AS drawn
"""
_REVIEWS: Final = """
    INSERT INTO review (public_id, lesion_image_id, prediction_id, conclusion, clinical_diagnosis, reason, plan,
        signed_at, signed_by_id)
    SELECT MD5(CONCAT('review', id)), id, id,
        IF(RAND(1009) < 0.9, label, IF(label = 'benign', 'malignant', 'benign')), '', '', 'reassure', :now, :user
    FROM prediction WHERE RAND(1103) < 0.6
"""
_REPORTS: Final = f"""
    INSERT INTO histopathology (public_id, lesion_id, diagnosis, outcome, reported_on, recorded_at, recorded_by_id)
    SELECT MD5(CONCAT('report', seq)), seq, 'drawn', IF(RAND(1201) < 0.4, 'malignant', 'benign'),
        DATE({_TAKEN_AT.format(number="3 * seq - 2")}) + INTERVAL FLOOR(900 * RAND(1301)) DAY, :now, :user
    FROM seq_1_to_{{lesions}} WHERE RAND(1409) < 0.1
"""  # noqa: S608 # nosec B608 # the parts are constants of this file
# What `services/counting.py` says of a test, without the marks; `verify_statistics` is asked whether it is the same.
_TESTS: Final = """
    CREATE TEMPORARY TABLE test (PRIMARY KEY (lesion_image_id)) ENGINE=Aria TRANSACTIONAL=0
    SELECT image.id AS lesion_image_id, lesion.patient_id, lesion.id AS lesion_id, prediction.id AS prediction_id,
        prediction.model_version_id, image.captured_at, image.captured_on, patient.gender,
        GREATEST(TIMESTAMPDIFF(YEAR, patient.birth_date, image.captured_on), 0) AS age_years,
        lesion.anatom_site_general, patient.fitzpatrick_skin_type, prediction.label AS outcome,
        review.conclusion AS review_conclusion,
        IF(image.captured_on <= report.reported_on, report.outcome, NULL) AS histology_outcome
    FROM lesion_image AS image
    STRAIGHT_JOIN lesion ON lesion.id = image.lesion_id
    STRAIGHT_JOIN patient ON patient.id = lesion.patient_id
    STRAIGHT_JOIN prediction ON prediction.lesion_image_id = image.id
    LEFT JOIN review ON review.lesion_image_id = image.id
    LEFT JOIN histopathology AS report ON report.lesion_id = lesion.id
"""
# Photographs are numbered as they were taken, so the latest has the highest number.
_LESION_MARKS: Final = """
    CREATE TEMPORARY TABLE lesion_mark (PRIMARY KEY (lesion_id)) ENGINE=Aria TRANSACTIONAL=0
    SELECT lesion_id, MAX(lesion_image_id) AS counts,
        MAX(IF(review_conclusion IS NULL, 0, lesion_image_id)) AS review_counts,
        MAX(IF(histology_outcome IS NULL, 0, lesion_image_id)) AS histology_counts
    FROM test GROUP BY lesion_id
"""
_PATIENT_MARKS: Final = """
    CREATE TEMPORARY TABLE patient_mark (PRIMARY KEY (patient_id)) ENGINE=Aria TRANSACTIONAL=0
    SELECT patient_id,
        COALESCE(MIN(IF(outcome = 'malignant', lesion_image_id, NULL)), MAX(lesion_image_id)) AS counts,
        COALESCE(
            MIN(IF(outcome = 'malignant' AND review_conclusion IS NOT NULL, lesion_image_id, NULL)),
            MAX(IF(review_conclusion IS NULL, 0, lesion_image_id))
        ) AS review_counts,
        COALESCE(
            MIN(IF(outcome = 'malignant' AND histology_outcome IS NOT NULL, lesion_image_id, NULL)),
            MAX(IF(histology_outcome IS NULL, 0, lesion_image_id))
        ) AS histology_counts
    FROM test GROUP BY patient_id
"""
_COUNTED: Final = """
    INSERT INTO counted_test (lesion_image_id, clinic_id, patient_id, lesion_id, prediction_id, model_version_id,
        captured_at, captured_on, gender, age_years, anatom_site_general, fitzpatrick_skin_type, outcome,
        review_conclusion, histology_outcome, counts_lesion, review_counts_lesion, histology_counts_lesion,
        counts_patient, review_counts_patient, histology_counts_patient)
    SELECT test.lesion_image_id, :clinic, test.patient_id, test.lesion_id, prediction_id, model_version_id, captured_at,
        captured_on, gender, age_years, anatom_site_general, fitzpatrick_skin_type, outcome, review_conclusion,
        histology_outcome, of_lesion.counts = lesion_image_id, of_lesion.review_counts = lesion_image_id,
        of_lesion.histology_counts = lesion_image_id, of_patient.counts = lesion_image_id,
        of_patient.review_counts = lesion_image_id, of_patient.histology_counts = lesion_image_id
    FROM test
    STRAIGHT_JOIN lesion_mark AS of_lesion ON of_lesion.lesion_id = test.lesion_id
    STRAIGHT_JOIN patient_mark AS of_patient ON of_patient.patient_id = test.patient_id
"""
# Every photograph without a review waits for one; no review here asks for anything.
_OPEN_TASKS: Final = """
    INSERT INTO open_task (lesion_image_id, clinic_id, kind, patient_id, risk_order, outcome, since)
    SELECT test.lesion_image_id, :clinic, 'unsigned', test.patient_id, -prediction.malignancy_probability, test.outcome,
        test.captured_at
    FROM test STRAIGHT_JOIN prediction ON prediction.id = test.prediction_id
    WHERE test.review_conclusion IS NULL
"""
_STEPS: Final = {
    "patient": _PATIENTS,
    "lesion": _LESIONS,
    "lesion_image": _PHOTOGRAPHS,
    "prediction": _PREDICTIONS,
    "review": _REVIEWS,
    "histopathology": _REPORTS,
    "test": _TESTS,
    "lesion_mark": _LESION_MARKS,
    "patient_mark": _PATIENT_MARKS,
    "counted_test": _COUNTED,
    "open_task": _OPEN_TASKS,
}
"""The tables in the order in which they are filled."""


def open_clinic(database_url: str, folder: Path) -> Any:
    """The app on a migrated database that nobody has written to, with one clinician and the models."""
    from config import Settings
    from melanoma_app import create_app
    from melanoma_app.extensions import db
    from melanoma_app.models import ModelVersion
    from melanoma_app.models.vocabulary import Role
    from melanoma_app.services.accounts import create_user
    from melanoma_app.services.clinics import find_clinic
    from tests import databases

    folder.mkdir(exist_ok=True)
    databases.migrate(database_url=database_url, instance_folder=folder)
    settings = {
        "DATABASE_URL": database_url,
        "INSTANCE_FOLDER": str(folder),
        "SECRET_KEY": databases.SECRET_KEY,
        "DEMO": "0",
    }
    app = create_app(Settings.from_environment(settings))
    with app.app_context():
        create_user(
            clinic=find_clinic(),
            username=USERNAME,
            display_name="",
            password=PASSWORD,
            role=Role.CLINICIAN,
        )
        for version in MODELS:
            db.session.add(
                ModelVersion(
                    name="drawn",
                    version=version,
                    sha256="0" * 64,
                    input_size_px=224,
                    preprocessing_version="1",
                    operating_point="balanced",
                    threshold=0.7,
                )
            )
        db.session.commit()
    return app


def fill_clinic(*, tests: int) -> None:
    """Fill the current app's clinic with so many tests and everything that belongs to them, and count them.

    Rows are written by the server in statements of their own; the cells of the counters are those of the rebuilding.

    Args:
        tests: Photographs, each with one answer.
    """
    from melanoma_app.extensions import db

    lesions = (tests + 2) // 3
    sizes = {"tests": tests, "lesions": lesions, "patients": lesions - lesions // 3}
    with db.engine.connect() as connection:
        values = {
            "tests": tests,
            "clinic": connection.scalar(text("SELECT id FROM clinic")),
            "user": connection.scalar(text("SELECT id FROM user")),
            "first_model": connection.scalar(text("SELECT MIN(id) FROM model_version")),
            "now": "2026-01-01 00:00:00",
        }
        with _unchecked(connection):
            for table, statement in _STEPS.items():
                connection.execute(text(statement.format(**sizes)), values)
                connection.commit()
                # The next statements are planned by how large the table is now.
                connection.execute(text(f"ANALYZE TABLE {table}"))
    fill_counters()


def fill_counters() -> None:
    """Make the cells of the current app's clinic from its counted tests, in memory: rebuilding takes far longer."""
    from melanoma_app.extensions import db
    from melanoma_app.models import Clinic
    from melanoma_app.services.counting import COUNT_COLUMNS, KEY_COLUMNS
    from melanoma_app.services.record_totals import write_totals

    clinic_id = db.session.scalars(select(Clinic.id)).one()
    write_totals(clinic_id=clinic_id)
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)  # the server writes and reads files here, too
        path = Path(folder) / "cells"
        _write_cells(_read_codes(Path(folder) / "tests"), clinic_id, path)
        columns = ", ".join((*KEY_COLUMNS, *COUNT_COLUMNS))
        db.session.execute(
            text(f"LOAD DATA INFILE '{path}' INTO TABLE outcome_count CHARACTER SET utf8mb4 ({columns})")
        )
    db.session.commit()
    db.session.execute(text("ANALYZE TABLE outcome_count"))
    db.session.commit()


Codes = dict[str, NDArray[np.int64]]
"""A column of the counted tests each, as whole numbers: days since the first, or the place in _VALUES."""


def _read_codes(path: Path) -> Codes:
    """The counted tests of the current app's clinic."""
    from melanoma_app.extensions import db

    columns = {"day": f"DATEDIFF(captured_on, '{FIRST_DAY}')", "is_positive": "outcome = 'malignant'"}
    for one in Property:
        named = ", ".join(f"'{value}'" for value in _VALUES[one])
        columns[one] = f"FIELD({one}, {named})" if isinstance(_VALUES[one][0], str) else one
    for said in ("review_conclusion", "histology_outcome"):
        columns[said] = f"FIELD({said}, 'malignant', 'benign')"
    for prefix in ("", "review_", "histology_"):
        for unit in ("lesion", "patient"):
            columns[f"{prefix}counts_{unit}"] = f"{prefix}counts_{unit}"
    # The names are this file's own, the path is a temporary one.
    query = f"SELECT {', '.join(columns.values())} INTO OUTFILE '{path}' FROM counted_test"  # noqa: S608 # nosec B608
    db.session.execute(text(query))
    codes = np.loadtxt(path, dtype=np.int64)
    return dict(zip(columns, codes.T.copy(), strict=True))


def _write_cells(tests: Codes, clinic_id: int, path: Path) -> None:
    """A line a cell, in the order of the primary key within a slice: its key, then its counts."""
    with path.open("w", encoding="utf-8") as file:
        for compared_with in ComparedWith:
            compared = _compared(tests, compared_with)
            for one in slices_of(compared_with):
                for cell in _count_cells(compared, one):
                    print(clinic_id, one.name, compared_with, *cell, sep="\t", file=file)


def _compared(tests: Codes, compared_with: ComparedWith) -> Codes:
    """The tests that are set against something, with the marks that stand for the units there."""
    against, _, conclusion = compared_with.partition(": ")
    prefix, chosen = "", np.full(len(tests["day"]), True)
    if conclusion:
        prefix = f"{against}_"
        said = tests["review_conclusion" if against == "review" else "histology_outcome"]
        chosen = said == ("malignant", "benign").index(conclusion) + 1
    compared = {name: codes[chosen] for name, codes in tests.items()}
    compared["counts_test"] = np.ones_like(compared["day"])
    for unit in ("lesion", "patient"):
        compared[f"counts_{unit}"] = compared[f"{prefix}counts_{unit}"]
    return compared


def _count_cells(tests: Codes, one: Slice) -> Iterator[tuple[Any, ...]]:
    """The period, the properties and the counts of each cell of a slice."""
    starts = [one.period_start(FIRST_DAY + timedelta(days=number)) for number in range(DAYS)]
    periods = sorted(set(starts))
    period_of_day = np.array([periods.index(start) for start in starts])
    keys = period_of_day[tests["day"]]
    divided = [each for each in Property if each in one.properties]
    for each in divided:
        codes = tests[each]
        if isinstance(_VALUES[each][0], int):
            # The slice says what stands for a number: of an age perhaps the band.
            codes = np.array([one.value(each, number) for number in range(_MOST_CODES)])[codes]
        keys = keys * _MOST_CODES + codes
    found, cell_of = np.unique(keys, return_inverse=True)
    counts = [
        np.bincount(
            cell_of, weights=tests[f"counts_{unit}"] * (tests["is_positive"] == outcome), minlength=len(found)
        )
        for unit in ("test", "lesion", "patient")
        for outcome in (1, 0)
    ]
    for key, *numbers in zip(
        found.tolist(), *(one_count.astype(int).tolist() for one_count in counts), strict=True
    ):
        values: dict[Property, Any] = dict(UNDIVIDED_VALUES)
        for each in reversed(divided):
            key, code = divmod(key, _MOST_CODES)
            values[each] = _value_of(each, code)
        yield (periods[key], *(values[each] for each in Property), *numbers)


def _value_of(one: Property, code: int) -> str | int:
    """What a code stands for; 0 is the place of nothing in a list."""
    if isinstance(_VALUES[one][0], int):
        return code
    return _VALUES[one][code - 1] if code else UNKNOWN


@contextmanager
def _unchecked(connection: Connection) -> Iterator[None]:
    """Without checks, whole indexes are sorted and built at once instead of row by row."""
    for value in (0, 1):
        connection.execute(
            text(
                f"SET SESSION foreign_key_checks={value}, unique_checks={value}, check_constraint_checks={value}"
            )
        )
        if value == 0:
            yield
