"""The export for research: only of those who agreed, and nothing that tells who they are."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from melanoma_app.errors import ConflictError
from melanoma_app.extensions import db, image_storage
from melanoma_app.models import AuditEvent, Clinic, ConsentDecision, LesionImage, Patient
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import (
    AnatomSiteGeneral,
    AuditAction,
    ConsentPurpose,
    FitzpatrickSkinType,
    Gender,
    ImageType,
    OutcomeLabel,
    Role,
)
from melanoma_app.services.actor import Actor
from melanoma_app.services.consents import record_consent
from melanoma_app.services.image_files import store_image_files
from melanoma_app.services.research_export import COLUMNS, export_research, plan_research_export
from melanoma_app.services.small_groups import SMALLEST_GROUP, STEPS, Person, choose_steps
from ml.training.loaders import load_sources
from tests.factories import (
    HistopathologyFactory,
    LesionFactory,
    LesionImageFactory,
    PatientFactory,
    ReviewFactory,
    UserFactory,
    actor_of,
)
from tests.photographs import draw_photograph
from tests.records import Records, end_app_transaction

Add = Callable[..., Patient]
BORN = date(1962, 4, 27)


@pytest.fixture
def admin(clinic: Clinic, context: None) -> Actor:
    return actor_of(UserFactory(clinic=clinic, role=Role.ADMIN))


@pytest.fixture
def add(clinic: Clinic, context: None) -> Add:
    """Put a patient who agreed on record, with one signed photograph a site; values are the patient's."""
    picture = Image.open(io.BytesIO(draw_photograph()))
    picture.load()

    def put(
        *sites: AnatomSiteGeneral,
        days: Sequence[date] = (),
        images: Mapping[str, object] | None = None,
        **values: object,
    ) -> Patient:
        given = {"consent_to_research": True, "birth_date": BORN, "gender": Gender.FEMALE} | values
        patient = PatientFactory(clinic=clinic, **given)
        for number, site in enumerate(sites or (AnatomSiteGeneral.HEAD_NECK,), start=1):
            lesion = LesionFactory(patient=patient, number=number, anatom_site_general=site)
            for day in days or (date(2025, 6, 1),):
                files = vars(store_image_files(image=picture, store=image_storage.store))
                image = LesionImageFactory(lesion=lesion, captured_on=day, **files, **(images or {}))
                ReviewFactory(
                    prediction=None,
                    lesion_image=image,
                    conclusion=OutcomeLabel.MALIGNANT if number == 2 else OutcomeLabel.BENIGN,
                    signed_by=image.created_by,
                )
        return patient

    return put


def export(admin: Actor) -> tuple[list[dict[str, str]], dict[str, bytes]]:
    """The table and the files of an export."""
    end_app_transaction()
    with export_research(actor=admin).content as content, ZipFile(io.BytesIO(content.read())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    table = io.StringIO(files["manifest.csv"].decode(), newline="")
    return list(csv.DictReader(table)), files


def test_only_the_willing_are_in_it_when_exported(add: Add, admin: Actor, records: Records) -> None:
    willing = [add() for _ in range(SMALLEST_GROUP)]
    withdrew, unasked, refused = add(), add(consent_to_research=None), add(consent_to_research=False)
    end_app_transaction()
    record_consent(
        patient_public_id=withdrew.public_id, purpose=ConsentPurpose.RESEARCH, is_given=False, actor=admin
    )
    # As if the column had been left behind: the newest answer counts.
    behind = add()
    for is_given in (True, False):
        db.session.add(
            ConsentDecision(
                patient_id=behind.id,
                purpose=ConsentPurpose.RESEARCH,
                is_given=is_given,
                recorded_by_id=admin.user.id,
            )
        )
        db.session.commit()

    rows, files = export(admin)

    assert len({row["patient_id"] for row in rows}) == len(willing)
    assert sum(name.endswith(".jpg") for name in files) == len(rows) == len(willing)
    entry = records.one(AuditEvent, AuditEvent.action == AuditAction.RESEARCH_EXPORTED)
    assert entry.details["patients"] == entry.details["images"] == len(willing)
    assert unasked.consent_to_research is None
    assert refused.consent_to_research is False


def test_nothing_leads_back_to_the_record_when_exported(add: Add, admin: Actor, records: Records) -> None:
    patients = [add(family_name="Zwetschke", mrn=f"SECRET-{number}") for number in range(SMALLEST_GROUP)]
    HistopathologyFactory(lesion=LesionFactory(patient=patients[0], number=9), diagnosis="Zwetschke's naevus")

    rows, files = export(admin)
    again, _ = export(admin)

    content = b"".join(files.values())
    private = [
        *("Zwetschke", "SECRET-", BORN.isoformat()),
        *(str(one.public_id) for one in patients),
        *(one.public_id.hex for one in patients),
        *(
            text
            for one in records.all(LesionImage)
            for text in (one.storage_key, one.sha256, str(one.public_id))
        ),
    ]
    assert [text for text in private if text.encode() in content] == []
    kept = {one.sha256 for one in records.all(LesionImage)}
    for name, data in files.items():
        if name.endswith(".jpg"):
            assert hashlib.sha256(data).hexdigest() not in kept
            with Image.open(io.BytesIO(data)) as image:
                assert not image.getexif()
                assert not {"comment", "exif", "icc_profile"} & set(image.info)
    for column in ("image_name", "patient_id", "lesion_id"):
        assert not {row[column] for row in rows} & {row[column] for row in again}


def test_days_keep_their_distance_and_nothing_else_when_shifted(add: Add, admin: Actor) -> None:
    days = [date(2025, 1, 10), date(2025, 2, 28), date(2025, 12, 24)]
    for _ in range(SMALLEST_GROUP):
        add(days=days)

    rows, _ = export(admin)

    by_patient = defaultdict(list)
    for row in rows:
        by_patient[row["patient_id"]].append(date.fromisoformat(row["captured_on"]))
    shifts = set()
    for shifted in map(sorted, by_patient.values()):
        assert [one - shifted[0] for one in shifted] == [one - days[0] for one in days]
        shifts.add((shifted[0] - days[0]).days)
    assert all(-365 <= shift <= 365 for shift in shifts)
    assert len(shifts) > 1


def test_no_overview_and_nothing_without_a_diagnosis_is_in_it_when_exported(add: Add, admin: Actor) -> None:
    patients = [add() for _ in range(SMALLEST_GROUP)]
    add(images={"image_type": ImageType.CLINICAL_OVERVIEW})
    LesionImageFactory(lesion=LesionFactory(patient=patients[0], number=9))

    rows, files = export(admin)

    assert len(rows) == SMALLEST_GROUP
    summary = files["README.txt"].decode()
    assert "1 photographs without a diagnosis, 1 overviews" in summary
    assert tuple(rows[0]) == COLUMNS


def test_ages_are_bands_and_the_oldest_are_pooled_when_exported(add: Add, admin: Actor) -> None:
    for year in (1961, 1962, 1963, 1964, 1965):  # 60 to 64 on the day
        add(birth_date=date(year, 1, 1))
    for year in (1939, 1935, 1930, 1925, 1920):
        add(birth_date=date(year, 1, 1))

    rows, _ = export(admin)

    assert Counter(row["age_approx"] for row in rows) == {"60": 5, "85": 5}


def test_rare_properties_are_held_back_when_few_share_them(add: Add, admin: Actor) -> None:
    for _ in range(SMALLEST_GROUP):
        add(fitzpatrick_skin_type=FitzpatrickSkinType.II)
    for site in list(AnatomSiteGeneral)[1:6]:
        add(site, fitzpatrick_skin_type=FitzpatrickSkinType.II)
    add(gender=Gender.MALE)

    rows, files = export(admin)

    described = Counter(
        (row["sex"], row["age_approx"], row["fitzpatrick_skin_type"], row["anatom_site_general_challenge"])
        for row in rows
    )
    assert described == {("female", "60", "II", "head/neck"): 5, ("female", "60", "II", ""): 5}
    assert "Left out: 1 photographs of 1 patients" in files["README.txt"].decode()
    plan = plan_research_export(actor=admin)
    assert (plan.patients, list(plan.steps), plan.patients_left_out) == (10, [5, 5, 0, 0, 0], 1)


def test_nothing_is_exported_when_too_few_agreed(add: Add, admin: Actor, records: Records) -> None:
    for _ in range(SMALLEST_GROUP - 1):
        add()

    end_app_transaction()
    with pytest.raises(ConflictError, match="nothing to export"):
        export_research(actor=admin)

    db.session.rollback()
    assert records.count(AuditEvent, AuditEvent.action == AuditAction.RESEARCH_EXPORTED) == 0


def test_bench_reads_it_when_unpacked(add: Add, admin: Actor, tmp_path: Path) -> None:
    for _ in range(SMALLEST_GROUP):
        add(AnatomSiteGeneral.HEAD_NECK, AnatomSiteGeneral.POSTERIOR_TORSO)
    end_app_transaction()
    with export_research(actor=admin).content as content, ZipFile(io.BytesIO(content.read())) as archive:
        archive.extractall(tmp_path / "research")

    images = load_sources([f"isic2020:{tmp_path / 'research'}"])

    assert len(images) == 2 * SMALLEST_GROUP
    assert all(Path(one.path).is_file() for one in images)
    assert sum(one.malignant for one in images) == SMALLEST_GROUP
    assert {one.site for one in images} == {"head/neck", "torso"}
    assert len({one.group for one in images}) == SMALLEST_GROUP


def test_patients_of_other_clinics_are_not_in_it_when_exported(add: Add, admin: Actor) -> None:
    for _ in range(SMALLEST_GROUP):
        add()
    elsewhere = LesionFactory(patient__consent_to_research=True, patient__birth_date=BORN)
    ReviewFactory(
        prediction=None,
        lesion_image=LesionImageFactory(lesion=elsewhere, captured_at=utc_now()),
        signed_by=UserFactory(clinic=elsewhere.patient.clinic),
    )

    assert plan_research_export(actor=admin).patients == SMALLEST_GROUP


@given(
    people=st.lists(
        st.builds(
            Person,
            site=st.sampled_from("abc"),
            skin_type=st.sampled_from("xy"),
            age=st.sampled_from([20, 25]),
            gender=st.sampled_from("fm"),
        ),
        max_size=40,
    )
)
def test_nobody_is_described_like_fewer_than_five_when_steps_are_chosen(people: list[Person]) -> None:
    chosen = choose_steps(dict(enumerate(people)))

    groups = Counter(
        tuple(getattr(people[key], name) for name in STEPS[step:]) for key, step in chosen.items()
    )
    assert all(count >= SMALLEST_GROUP for count in groups.values())
    assert len(people) - len(chosen) < SMALLEST_GROUP
