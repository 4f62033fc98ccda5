"""What the load benchmark compares with: a Flask app that calls Keras `predict` in the request, and counts by SQL.

    .venv/bin/gunicorn --worker-class gthread --threads 4 --bind 127.0.0.1:5993 "benchmarks.load_keras:make_app()"

The app of the earlier systems (one form, one Keras model, patients in MySQL, a dashboard, REST statistics), written as
well as a good student would: the model is loaded once and warm, one pool of connections, templates compiled once, no
query in a loop, every list of a bounded length by an index. It stands on the same MariaDB with the same patients.
Statistics are counted over all tests at each request, as there; but here gender, age and result stand in one row
(`counted_test`), and the schema has an index that holds them all, so that nothing is joined. The overview is counted in
one pass. What it scores goes into a table of its own; the upload's bytes go into a file.

It leaves out what the earlier systems leave out: signing in, permissions, the audit, consent, the check of the file and
of its quality, thumbnails, calibration, waiting for the disk, and the refusal of work when there is too much of it. Its
worklist is the list of the newest results.

`/predict/one` looks at the photograph once, as such apps do; `/predict/all` gives the answer that ours gives: the mean
of all views that the release asks for, in one batch. Where Keras cannot read the released weights back, the layers are
the same and the weights fresh: their values change the answer and not the time that it takes.

One process: each more would hold a TensorFlow of its own, and one alone uses all cores. `make_our_app` is the same app
around our classifier: what the way a network is run makes of it, and no more.
"""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from flask import Flask, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from jinja2 import DictLoader
from PIL import Image
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Double,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    func,
    insert,
    select,
)

from melanoma_app.models import CountedTest, Lesion, Patient, Prediction

PAGE: Final = 25
"""Rows of a list, as in ours."""
BAND_YEARS: Final = 10
THREADS: Final = 4
DATABASE_VARIABLE: Final = "LOAD_DATABASE_URL"
FOLDER_VARIABLE: Final = "LOAD_FOLDER"
MODEL_VARIABLE: Final = "LOAD_MODEL"

Look = Callable[[bytes], float]
"""From an upload to a probability."""
scored = Table(
    "small_app_prediction",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("lesion", String(36), nullable=False, index=True),
    Column("file_name", String(64), nullable=False),
    Column("probability", Double, nullable=False),
    Column("result", String(16), nullable=False),
    Column("created_at", DateTime, nullable=False, server_default=func.now()),
)
_AGE_BAND: Final = (CountedTest.age_years - CountedTest.age_years % BAND_YEARS).label("band")
_GROUPS: Final[dict[str, tuple[Any, ...]]] = {
    "gender": (CountedTest.gender,),
    "age": (_AGE_BAND,),
    "outcomes": (),
    "sites": (CountedTest.anatom_site_general,),
    "trend": (func.year(CountedTest.captured_on), func.month(CountedTest.captured_on)),
}
_TEMPLATES: Final = {
    "base.html": """<!doctype html><html lang="en"><head><title>{{ title }}</title></head><body>
        <nav><a href="/">Overview</a> <a href="/patients">Patients</a> <a href="/worklist">Results</a></nav>
        <h1>{{ title }}</h1>{% block content %}{% endblock %}</body></html>""",
    "tables.html": """{% extends "base.html" %}{% block content %}{% for name, rows in tables.items() %}
        <h2>{{ name }}</h2><table>{% for row in rows %}
        <tr>{% for value in row %}<td>{{ value }}</td>{% endfor %}</tr>{% endfor %}
        </table>{% endfor %}{% endblock %}""",
}


@dataclass(frozen=True, kw_only=True)
class Network:
    """A released network, as Keras has it."""

    model: Any
    size_px: int
    views: int

    def look(self, upload: bytes) -> float:
        """The probability by one look."""
        return float(self.model.predict(self._input_of(upload), verbose=0)[0, 0])

    def look_at_all_views(self, upload: bytes) -> float:
        """The mean probability of all views."""
        from ml.inference.views import mean_over_views, views_of

        answers = self.model.predict(views_of(self._input_of(upload), self.views), verbose=0)[:, 0]
        return float(mean_over_views(answers, self.views)[0])

    def _input_of(self, upload: bytes) -> Any:
        from ml.preprocessing import to_network_input

        image = Image.open(io.BytesIO(upload)).convert("RGB")
        return to_network_input(image, size_px=self.size_px)[np.newaxis]


def make_app() -> Flask:
    """The app; called in the process that answers, for a Keras model that was loaded before a fork hangs."""
    network = load_network(os.environ[MODEL_VARIABLE])
    return _make_app({"one": network.look, "all": network.look_at_all_views})


def make_our_app() -> Flask:
    """The same around the released network as the web app runs it: all views, and calibrated."""
    from ml.inference import Classifier, decode_image, find_released_model

    folder = find_released_model(os.environ[MODEL_VARIABLE])
    classifier = Classifier.load(folder, threads=len(os.sched_getaffinity(0)))
    return _make_app({"ours": lambda upload: classifier.predict(decode_image(upload)).probability})


def load_network(name: str) -> Network:
    """The Keras network of a release, warm."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from ml.inference import ModelManifest, find_released_model
    from ml.training.architectures import BACKBONES, build
    from ml.training.onnx_models import keras_model_from_onnx

    folder = find_released_model(name)
    manifest = ModelManifest.read(folder)
    if name in BACKBONES:  # exported with its normalisation folded into the convolutions
        model = build(name, input_size_px=manifest.input_size_px)
    else:
        model = keras_model_from_onnx(folder / "model.onnx", architecture=name)
    for batch in (1, manifest.views):
        model.predict(np.zeros((batch, *model.input_shape[1:]), np.float32), verbose=0)
    return Network(model=model, size_px=manifest.input_size_px, views=manifest.views)


def _make_app(looks: Mapping[str, Look]) -> Flask:
    app = Flask(__name__)
    app.jinja_loader = DictLoader(_TEMPLATES)
    engine = create_engine(os.environ[DATABASE_VARIABLE], isolation_level="READ COMMITTED", pool_size=THREADS)
    scored.metadata.create_all(engine)
    folder = Path(os.environ[FOLDER_VARIABLE])
    folder.mkdir(exist_ok=True)

    @app.get("/sign-in")
    def is_there() -> ResponseReturnValue:
        """What the benchmark waits for."""
        return ""

    @app.get("/")
    def overview() -> ResponseReturnValue:
        """All tests by gender, age and result, and the newest of them."""
        with engine.connect() as connection:
            return _page("Overview", count_overview(connection) | {"Newest": list_newest(connection)})

    @app.get("/worklist")
    def results() -> ResponseReturnValue:
        """The newest results."""
        with engine.connect() as connection:
            return _page("Results", {"Newest": list_newest(connection)})

    @app.get("/patients")
    def patients() -> ResponseReturnValue:
        """The first patients by name, with their last result."""
        with engine.connect() as connection:
            return _page("Patients", {"By name": list_patients(connection)})

    @app.get("/patients/<uuid:public_id>")
    def patient(public_id: uuid.UUID) -> ResponseReturnValue:
        """A patient's details and results."""
        with engine.connect() as connection:
            return _page("Patient", describe_patient(connection, public_id))

    @app.get("/api/v1/statistics/<any(gender, age, outcomes, sites, trend):name>")
    def statistics(name: str) -> ResponseReturnValue:
        """All tests, counted by one property and their result."""
        with engine.connect() as connection:
            return jsonify(groups=count_by(connection, *_GROUPS[name]))

    @app.post("/predict/<look>")
    def predict(look: str) -> ResponseReturnValue:
        """Score a photograph, and keep it with its result."""
        upload = request.files["image"].read()
        probability = looks[look](upload)
        file_name = f"{uuid.uuid4()}.jpg"
        (folder / file_name).write_bytes(upload)
        result = "malignant" if probability >= 0.5 else "benign"
        with engine.begin() as connection:
            connection.execute(
                insert(scored).values(
                    lesion=request.args["lesion"], file_name=file_name, probability=probability, result=result
                )
            )
        return jsonify(probability=probability, result=result), 201

    return app


def _page(title: str, tables: Mapping[str, list[list[Any]]]) -> str:
    return render_template("tables.html", title=title, tables=tables)


def count_by(connection: Connection, *properties: Any) -> list[list[Any]]:
    """All tests by some properties and their result."""
    columns = (*properties, CountedTest.outcome)
    rows = connection.execute(select(*columns, func.count()).group_by(*columns))
    return [list(row) for row in rows]


def count_overview(connection: Connection) -> dict[str, list[list[Any]]]:
    """All tests by gender, by age and by result: counted once, added up three times."""
    rows = count_by(connection, CountedTest.gender, _AGE_BAND)
    tables: dict[str, list[list[Any]]] = {}
    for name, place in {"By gender": 0, "By age": 1, "By result": 2}.items():
        totals: dict[Any, int] = {}
        for row in rows:
            totals[row[place]] = totals.get(row[place], 0) + row[3]
        tables[name] = [[value, total] for value, total in sorted(totals.items())]
    return tables


def list_newest(connection: Connection) -> list[list[Any]]:
    """The newest predictions and whose they are."""
    newest = (
        select(Prediction.lesion_image_id, Prediction.malignancy_probability, Prediction.label)
        .order_by(Prediction.id.desc())
        .limit(PAGE)
        .subquery()
    )
    rows = connection.execute(
        select(Patient.family_name, Patient.given_name, newest.c.label, newest.c.malignancy_probability)
        .select_from(newest)
        .join(CountedTest, CountedTest.lesion_image_id == newest.c.lesion_image_id)
        .join(Patient, Patient.id == CountedTest.patient_id)
    )
    return [list(row) for row in rows]


def list_patients(connection: Connection) -> list[list[Any]]:
    """The first patients by name, each with the result that was written last."""
    columns = (Patient.id, Patient.family_name, Patient.given_name, Patient.gender, Patient.birth_date)
    patients = connection.execute(
        select(*columns).order_by(Patient.clinic_id, Patient.search_name).limit(PAGE)
    ).all()
    tests = connection.execute(
        select(CountedTest.patient_id, CountedTest.outcome)
        .where(CountedTest.patient_id.in_([patient.id for patient in patients]))
        .order_by(CountedTest.lesion_image_id)
    )
    last = {test.patient_id: test.outcome for test in tests}
    return [[*patient[1:], last.get(patient.id, "")] for patient in patients]


def describe_patient(connection: Connection, public_id: uuid.UUID) -> dict[str, list[list[Any]]]:
    """A patient's details, and every result."""
    patient = connection.execute(
        select(
            Patient.id,
            Patient.family_name,
            Patient.given_name,
            Patient.gender,
            Patient.birth_date,
            Patient.mrn,
        ).where(Patient.public_id == public_id)
    ).one()
    tests = connection.execute(
        select(
            CountedTest.captured_at,
            Lesion.anatom_site_general,
            Prediction.label,
            Prediction.malignancy_probability,
        )
        .join(Lesion, Lesion.id == CountedTest.lesion_id)
        .join(Prediction, Prediction.id == CountedTest.prediction_id)
        .where(CountedTest.patient_id == patient.id)
        .order_by(CountedTest.captured_at)
    )
    return {"Details": [list(patient[1:])], "Results": [list(test) for test in tests]}
