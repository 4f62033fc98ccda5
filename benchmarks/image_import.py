"""Importing photographs with the custom CNN: `flask import images` against one `record_examination` each.

    .venv/bin/python -m benchmarks.image_import [photographs]

Both sides take in the same drawn photographs, of the sizes that ISIC's are (600×450 and 1024×768), into a fresh clinic
on SQLite each: guard, decode, score with eight views, judge, re-encode, store, audit, count. Prints photographs a
second, their ratio and the limit, and the work: milliseconds of one core a photograph, which a busy machine changes
less. The manifest is imported twice, the second time to find that all is there already.
"""

from __future__ import annotations

import csv
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from benchmarks.inference import environment_of

PHOTOGRAPHS: Final = 600
SIZES_PX: Final = ((600, 450), (1024, 768))
PHOTOGRAPHS_A_PATIENT: Final = 4
"""Two a lesion; in ISIC 2020 it is 16 a patient."""
DRAWINGS: Final = 12
ONE_BY_ONE_SHARE: Final = 4
"""One by one, every fourth photograph is enough to know the speed."""
SENSOR_NOISE: Final = 4.0  # grey levels
LIMIT_A_SECOND: Final = 50
MODEL: Final = "custom_cnn-1.1.0"


def main() -> None:
    """Measure and print everything."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PHOTOGRAPHS
    cores = len(os.sched_getaffinity(0))
    print(f"{count} photographs of each size, {MODEL}, {cores} cores\n", flush=True)
    print(
        f"{'size':<12}{'one by one':>14}{'work':>10}{'import':>14}{'work':>10}{'ratio':>8}{'again':>14}  limit",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as made:
        for width_px, height_px in SIZES_PX:
            folder = Path(made) / f"{width_px}x{height_px}"
            make_photographs(folder, count, width_px, height_px)
            single = measure_one_by_one(folder)
            first, again = measure_import(folder, count)
            print(
                f"{f'{width_px}×{height_px}':<12}{single}{first}{first.a_second / single.a_second:>8.2f}"
                f"{again.a_second:>12.1f}/s  ≥ {LIMIT_A_SECOND}/s",
                flush=True,
            )


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast photographs were taken in, and what work each was: milliseconds of one core."""

    a_second: float
    work_ms: float

    def __str__(self) -> str:
        return f"{self.a_second:>12.1f}/s{self.work_ms:>7.1f} ms"


@contextmanager
def measured(count: int, speeds: list[Speed]) -> Iterator[None]:
    """Measure what is done within."""
    started, worked = time.perf_counter(), time.process_time()
    yield
    seconds, work_s = time.perf_counter() - started, time.process_time() - worked
    speeds.append(Speed(a_second=count / seconds, work_ms=work_s / count * 1e3))


def make_photographs(folder: Path, count: int, width_px: int, height_px: int) -> None:
    """Draw lesions, no two files alike, with the manifest and the patients beside them."""
    from melanoma_app.services.demo_images import draw_lesion

    folder.mkdir()
    random = np.random.default_rng(7)
    noise = random.normal(0, SENSOR_NOISE, (2 * height_px, 2 * width_px, 1)).astype(np.float32)
    drawings = [
        np.asarray(
            Image.open(io.BytesIO(draw_lesion(seed=seed, irregularity=seed / DRAWINGS))).resize(
                (width_px, height_px), Image.Resampling.BICUBIC
            ),
            dtype=np.float32,
        )
        for seed in range(DRAWINGS)
    ]
    rows = []
    for number in range(count):
        y, x = random.integers(0, (height_px, width_px))
        grain = noise[y : y + height_px, x : x + width_px]
        pixels = np.clip(drawings[number % DRAWINGS] + grain, 0, 255).astype(np.uint8)
        name = f"DRAWN_{number:07d}"
        Image.fromarray(pixels).save(folder / f"{name}.jpg", quality=90)
        patient, own = divmod(number, PHOTOGRAPHS_A_PATIENT)
        rows.append(
            [name, f"IP-{patient}", f"IL-{patient}-{own // 2}", "lower extremity", "2024-03-05", "benign"]
        )
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["isic_id", "patient_id", "lesion_id", "anatom_site_general", "captured_on", "benign_malignant"]
        )
        writer.writerows(rows)


@contextmanager
def open_clinic(photographs: Path) -> Iterator[Any]:
    """A fresh clinic with the patients of the manifest, the custom CNN active and loaded; gives who imports."""
    import flask_migrate

    from config import Settings
    from melanoma_app import create_app
    from melanoma_app.models.vocabulary import Role
    from melanoma_app.services.accounts import create_user, find_user
    from melanoma_app.services.actor import Actor
    from melanoma_app.services.clinics import find_clinic
    from melanoma_app.services.model_activation import activate_model, find_active_pin, load_active_model

    with tempfile.TemporaryDirectory() as instance:
        app = create_app(
            Settings.from_environment(environment_of(Path(instance)) | {"MODEL_NAME": "resnet50"})
        )
        with app.app_context():
            flask_migrate.upgrade()
            create_user(
                clinic=find_clinic(),
                username="bench",
                display_name="",
                password="a synthetic clinic",  # noqa: S106 # nosec B106 # gone when it has been measured
                role=Role.ADMIN,
            )
            actor = Actor(user=find_user(username="bench"))
            activate_model(identifier=MODEL, reason="Benchmark", actor=actor)
            load_active_model(pin=find_active_pin())
            register_patients(photographs, actor)
            yield actor


def register_patients(photographs: Path, actor: Any) -> None:
    """Import the patients of the manifest."""
    from melanoma_app.services.import_errors import ErrorFile
    from melanoma_app.services.import_tables import open_table
    from melanoma_app.services.patient_import import PATIENT_COLUMNS, import_patients

    path = photographs / "patients.csv"
    mrns = sorted({row["patient_id"] for row in read_manifest(photographs)})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["mrn", "family_name", "given_name", "birth_date", "gender", "consent_to_ai_analysis"]
        )
        writer.writerows([mrn, "Drawn", "Patient", "1970-01-01", "female", "true"] for mrn in mrns)
    table = open_table(path=path, columns=PATIENT_COLUMNS)
    with ErrorFile(table) as errors:
        import_patients(table=table, errors=errors, actor=actor)


def measure_one_by_one(photographs: Path) -> Speed:
    """The speed when each photograph is sent by itself, each lesion having been made before."""
    from sqlalchemy import select

    from melanoma_app.extensions import db
    from melanoma_app.models import Patient
    from melanoma_app.models.vocabulary import AnatomSiteGeneral, ImageType
    from melanoma_app.services.examinations import record_examination
    from melanoma_app.services.lesions import add_lesion

    with open_clinic(photographs) as actor:
        patients = {one.mrn: one.public_id for one in db.session.scalars(select(Patient))}
        rows = read_manifest(photographs)[::ONE_BY_ONE_SHARE]
        lesions = [
            add_lesion(
                patient_public_id=patients[row["patient_id"]],
                description="",
                anatom_site_general=AnatomSiteGeneral.LOWER_EXTREMITY,
                actor=actor,
            ).public_id
            for row in rows
        ]
        speeds: list[Speed] = []
        with measured(len(rows), speeds):
            for row, lesion in zip(rows, lesions, strict=True):
                record_examination(
                    lesion_public_id=lesion,
                    upload=(photographs / f"{row['isic_id']}.jpg").read_bytes(),
                    image_type=ImageType.DERMOSCOPIC,
                    quality_override_reason="Imported",
                    actor=actor,
                )
        return speeds[0]


def measure_import(photographs: Path, count: int) -> tuple[Speed, Speed]:
    """The speed of the first and of a second import of the same manifest."""
    from melanoma_app.services.image_import import import_images
    from melanoma_app.services.image_import_files import photographs_in
    from melanoma_app.services.image_manifest import MANIFEST_COLUMNS
    from melanoma_app.services.import_errors import ErrorFile
    from melanoma_app.services.import_tables import open_table

    speeds: list[Speed] = []
    with open_clinic(photographs) as actor:
        for is_there in (False, True):
            with measured(count, speeds):
                table = open_table(
                    path=photographs / "manifest.csv", columns=MANIFEST_COLUMNS, takes_others=True
                )
                with ErrorFile(table) as errors:
                    summary = import_images(
                        table=table, photographs=photographs_in(photographs), errors=errors, actor=actor
                    )
            if (summary.already_there if is_there else summary.added) != count:
                raise SystemExit(f"the import went wrong: {summary}")
    return speeds[0], speeds[1]


def read_manifest(photographs: Path) -> list[dict[str, str]]:
    """The rows of the manifest."""
    with (photographs / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
