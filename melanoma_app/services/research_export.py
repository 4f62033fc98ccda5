"""Photographs with a diagnosis for research: of those who agreed, without anything that tells who they are.

The table has the columns of the ISIC 2020 challenge, so that `python -m ml dataset` reads it (`isic2020:FOLDER`).
"""

from __future__ import annotations

import secrets
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Row

from melanoma_app.errors import ConflictError
from melanoma_app.extensions import db, image_storage
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.export_archive import ArchiveWriter, ExportedArchive
from melanoma_app.services.image_files import decode_stored_image, encode_jpeg, read_image_file
from melanoma_app.services.patients import clinic_day
from melanoma_app.services.record_export import write_csv
from melanoma_app.services.research_selection import (
    OLDEST_BAND,
    PickedPhotographs,
    ResearchPlan,
    general_site,
    is_confirmed,
    is_malignant,
    pick_photographs,
)
from melanoma_app.services.small_groups import SMALLEST_GROUP, STEPS

LARGEST_SHIFT_DAYS: Final = 365
JPEG_QUALITY: Final = 95
COLUMNS: Final = (
    "image_name",
    "patient_id",
    "lesion_id",
    "target",
    "diagnosis",
    "diagnosis_confirm_type",
    "sex",
    "age_approx",
    "fitzpatrick_skin_type",
    "anatom_site_general_challenge",
    "image_type",
    "clin_size_long_diam_mm",
    "captured_on",
)
_README: Final = """Photographs of skin lesions with diagnoses, for research, of patients who agreed to it.

manifest.csv has the columns of the ISIC 2020 challenge and a few more; images/ has the photographs.
To look at them and train: python -m ml dataset check isic2020:THIS_FOLDER (README.md of the app tells more).

Patients: {patients}. Photographs: {images}.
Left out: {images_left_out} photographs of {patients_left_out} patients whom fewer than {smallest} are like,
{undiagnosed} photographs without a diagnosis, {overviews} overviews.
{steps}
Ids are random and kept nowhere. The days of a patient are shifted by the same number of days. age_approx is the lower
end of a five-year band at the patient's first photograph; {oldest} is {oldest} and over.
A photograph can still show a tattoo, jewellery or a face: look through them before you hand them out, and never try to
find out who somebody is.
"""


def plan_research_export(*, actor: Actor) -> ResearchPlan:
    """What an export made now would hold; numbers alone, so it is not audited."""
    plan = pick_photographs(actor).plan
    db.session.commit()
    return plan


def export_research(*, actor: Actor) -> ExportedArchive:
    """A ZIP of photographs with diagnoses, of patients whose newest answer about research is yes; audited by numbers.

    Every id is a new random one, and which was which is kept nowhere: two exports cannot be joined. The days of a
    patient are all shifted by the same random number of days, so what lies between them stays. Ages are five-year
    bands. No free text goes out: the diagnosis is melanoma, malignant or benign. Where fewer than five patients are
    described alike, site, skin type, age and gender are held back in this order. The pictures are encoded anew, so
    that neither metadata nor a digest leads back to the record.

    Raises:
        ConflictError: Nothing can be given out.
        UnavailableError: A stored photograph is gone or damaged.
    """
    # Who withdraws waits until it is settled who is in it; who has withdrawn before is not.
    lock_chain(actor.clinic_id)
    picked = pick_photographs(actor)
    if not picked.plan.images:
        raise ConflictError(
            f"There is nothing to export: at least {SMALLEST_GROUP} patients have to agree to research and have a "
            "photograph that is signed or that the laboratory has reported on."
        )
    plan = picked.plan
    record_event(
        action=AuditAction.RESEARCH_EXPORTED,
        actor=actor,
        details={
            "patients": plan.patients,
            "images": plan.images,
            "patients_left_out": plan.patients_left_out,
            "suppressed": list(plan.steps),
        },
    )
    # No transaction stays open while photographs are read and encoded.
    db.session.commit()
    today = clinic_day(utc_now(), actor=actor)
    with ArchiveWriter() as archive:
        rows = [row for images in picked.images.values() for row in _describe_patient(images, picked)]
        # The order of the record would tell who was registered first.
        secrets.SystemRandom().shuffle(rows)
        archive.add("README.txt", _describe_plan(plan))
        with archive.adding_text("manifest.csv") as file:
            write_csv(file, COLUMNS, [columns for columns, _ in rows])
        for columns, image in rows:
            archive.add(f"images/{columns['image_name']}.jpg", _encode_anew(image))
        return archive.finish(name=f"research-{today.isoformat()}.zip")


def _describe_patient(
    images: Sequence[Row[Any]], picked: PickedPhotographs
) -> list[tuple[dict[str, Any], Row[Any]]]:
    """The rows of one patient; the ids and the shift are drawn here and kept nowhere."""
    patient_id = images[0].patient_id
    person, held_back = picked.people[patient_id], STEPS[: picked.steps[patient_id]]
    shift = timedelta(days=secrets.randbelow(2 * LARGEST_SHIFT_DAYS + 1) - LARGEST_SHIFT_DAYS)
    own_id = _new_id("P")
    lesion_ids: defaultdict[int, str] = defaultdict(_drawing("L"))
    rows = []
    for image in images:
        malignant = bool(is_malignant(image))
        described = {
            "image_name": _new_id("R"),
            "patient_id": own_id,
            "lesion_id": lesion_ids[image.lesion_id],
            "target": int(malignant),
            "diagnosis": _describe_diagnosis(image, malignant=malignant),
            "diagnosis_confirm_type": "histopathology"
            if is_confirmed(image)
            else "single contributor clinical assessment",
            "sex": "" if "gender" in held_back else person.gender,
            "age_approx": None if "age" in held_back else person.age,
            "fitzpatrick_skin_type": None if "skin_type" in held_back else person.skin_type,
            "anatom_site_general_challenge": "" if "site" in held_back else general_site(image),
            "image_type": image.image_type,
            "clin_size_long_diam_mm": image.clin_size_long_diam_mm,
            "captured_on": image.captured_on + shift,
        }
        rows.append((described, image))
    return rows


def _describe_diagnosis(image: Row[Any], *, malignant: bool) -> str:
    """A word of ours: what was typed may name anybody. A Breslow thickness is measured on melanomas alone."""
    if not malignant:
        return "benign_unspecified"
    is_melanoma = is_confirmed(image) and image.breslow_thickness_mm is not None
    return "melanoma" if is_melanoma else "malignant_unspecified"


def _encode_anew(image: Row[Any]) -> bytes:
    content = read_image_file(key=image.storage_key, sha256=image.sha256, store=image_storage.store)
    return encode_jpeg(decode_stored_image(content), quality=JPEG_QUALITY)


def _drawing(letter: str) -> Callable[[], str]:
    return lambda: _new_id(letter)


def _new_id(letter: str) -> str:
    return f"{letter}{uuid.uuid4().hex}"


def _describe_plan(plan: ResearchPlan) -> str:
    steps = "".join(
        f"Held back: {', '.join(STEPS[:step]).replace('_', ' ') or 'nothing'}. Patients: {patients}.\n"
        for step, patients in enumerate(plan.steps)
    )
    return _README.format(
        patients=plan.patients,
        images=plan.images,
        images_left_out=plan.images_left_out,
        patients_left_out=plan.patients_left_out,
        smallest=SMALLEST_GROUP,
        undiagnosed=plan.undiagnosed,
        overviews=plan.overviews,
        steps=steps,
        oldest=OLDEST_BAND,
    )
