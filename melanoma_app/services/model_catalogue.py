"""The released models as people see them: what each says of itself, which is active, what each has scored here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from melanoma_app.errors import NotFoundError
from melanoma_app.extensions import classifier, db
from melanoma_app.model_shelf import PLOTS, ShelvedModel
from melanoma_app.models import ModelActivation, ModelVersion, Prediction, User
from melanoma_app.services.actor import Actor
from melanoma_app.services.model_activation import find_activation, pin_of
from ml.inference import ModelIntegrityError, ModelManifest

_TEST = "test_"
_SERVED = "served"
_PROPER_WORDS = {"auc": "AUC", "f1": "F1", "recall": "recall (sensitivity)", "brier": "Brier score"}


@dataclass(frozen=True, kw_only=True)
class ListedModel:
    """A model that stands on the shelf, or has scored here and no longer does.

    Args:
        name: Architecture and line of the model.
        version: Three numbers.
        sha256: Of its file; empty when the model cannot be read.
        manifest: What it says of itself; None when it is no longer on the shelf or cannot be read.
        registered: Its row, once it has been active here.
        shelved: Its folder; None when it is no longer on the shelf.
        is_active: Whether it scores new photographs.
        predictions: How many it has made in the actor's clinic.
        problem: What is wrong with it and what to do; empty when nothing is known to be.
    """

    name: str
    version: str
    sha256: str
    manifest: ModelManifest | None
    registered: ModelVersion | None
    shelved: ShelvedModel | None
    is_active: bool
    predictions: int
    problem: str

    @property
    def identifier(self) -> str:
        """Name-version."""
        return f"{self.name}-{self.version}" if self.version else self.name

    @property
    def is_on_shelf(self) -> bool:
        """Whether it could be active."""
        return self.shelved is not None

    @property
    def facts(self) -> ModelManifest | ModelVersion | None:
        """Where threshold, input size and preprocessing version can be read."""
        return self.manifest or self.registered

    @property
    def sensitivity(self) -> float | None:
        """Of its threshold, on its validation images (0–1)."""
        if self.manifest is not None:
            return self.manifest.operating_point.sensitivity
        return self.registered.sensitivity if self.registered else None

    @property
    def specificity(self) -> float | None:
        """Of its threshold, on its validation images (0–1)."""
        if self.manifest is not None:
            return self.manifest.operating_point.specificity
        return self.registered.specificity if self.registered else None

    @property
    def operating_point(self) -> str:
        """How its threshold was chosen; empty when unknown."""
        if self.manifest is not None:
            return self.manifest.operating_point.name
        return self.registered.operating_point if self.registered else ""


@dataclass(frozen=True, kw_only=True)
class ActiveModel:
    """Which model scores new photographs, and since when.

    Args:
        identifier: Name-version; empty where the settings name a model that is not on the shelf.
        sha256: Of its file; empty with the identifier.
        is_default: Whether it is the one of the settings, since no administrator has chosen yet.
        activated_at: When it was chosen.
        activated_by: Who chose it, by name where they are of the actor's clinic, else empty.
        reason: Why, where they are of the actor's clinic, else empty.
        problem: Why it cannot score at present; empty when nothing is known to stand in the way.
    """

    identifier: str
    sha256: str
    is_default: bool
    activated_at: datetime | None
    activated_by: str
    reason: str
    problem: str


@dataclass(frozen=True, kw_only=True)
class ModelCatalogue:
    """Every model, and which of them is active."""

    active: ActiveModel
    models: list[ListedModel]


@dataclass(frozen=True, kw_only=True)
class FigureRow:
    """One measure of a manifest: its value over all thresholds, or at some of them.

    Args:
        name: In words.
        values: By what they were measured at; `""` is over all thresholds.
    """

    name: str
    values: dict[str, float]


def list_models(*, actor: Actor | None) -> ModelCatalogue:
    """Every released model, and those that have scored in the actor's clinic but are no longer on the shelf.

    Whoever may read the models may; the counts are of the actor's clinic alone, and so are the names and reasons of
    administrators. The command line (no actor) is told of no clinic's.
    """
    activation = find_activation()
    counts = _count_predictions(actor) if actor else {}
    rows = db.session.scalars(select(ModelVersion).order_by(ModelVersion.name, ModelVersion.id.desc())).all()
    db.session.commit()
    active = _describe_active(activation, actor)
    unseen = {(f"{row.name}-{row.version}", row.sha256): row for row in rows}
    listed = []
    for shelved in classifier.shelf.models():
        sha256 = shelved.manifest.sha256 if shelved.manifest else ""
        row = unseen.pop((shelved.identifier, sha256), None)
        listed.append(_on_shelf(shelved, row, active, counts))
    for (identifier, sha256), row in unseen.items():
        is_active = (identifier, sha256) == (active.identifier, active.sha256)
        if is_active or counts.get(row.id):
            listed.append(_no_longer_on_shelf(row, is_active=is_active, predictions=counts.get(row.id, 0)))
    return ModelCatalogue(active=active, models=listed)


def read_model(*, identifier: str, actor: Actor) -> tuple[ListedModel, ModelCatalogue]:
    """A model of that name-version with the list it stands in; one on the shelf before one that is no longer there.

    Raises:
        NotFoundError: There is none.
    """
    catalogue = list_models(actor=actor)
    for model in catalogue.models:
        if model.identifier == identifier:
            return model, catalogue
    raise NotFoundError("There is no such model. The page Model lists those there are.")


def read_plot(*, identifier: str, name: str) -> bytes:
    """One of the plots of a model on the shelf, as PNG; no other file of its folder is given out.

    Raises:
        NotFoundError: There is no such model or plot.
    """
    shelved = classifier.shelf.find(identifier)
    if shelved is not None and shelved.manifest is not None and name in PLOTS:
        try:
            return (shelved.folder / name).read_bytes()
        except OSError:
            pass
    raise NotFoundError("There is no such picture of a model.")


def describe_figures(manifest: ModelManifest) -> tuple[list[str], list[FigureRow]]:
    """The manifest's headline figures, which are those of the test images, as a table.

    Returns:
        What the columns were measured at (`""`: over all thresholds), and a row a measure, in the manifest's order.
    """
    rows: dict[str, dict[str, float]] = {}
    for key, value in manifest.metrics.items():
        measure, _, point = key.removeprefix(_TEST).partition("_at_")
        rows.setdefault(measure, {})[point] = value
    points = list(dict.fromkeys(point for values in rows.values() for point in values))
    named = [FigureRow(name=_in_words(measure), values=values) for measure, values in rows.items()]
    return points, named


def describe_counts(manifest: ModelManifest) -> list[tuple[str, str]]:
    """How many images of each part there were, in words."""
    return [(_in_words(part), f"{count:,}") for part, count in manifest.data.counts.items()]


def describe_point(point: str, manifest: ModelManifest) -> str:
    """A column of `describe_figures` in words."""
    if not point:
        return "All thresholds"
    return f"Served: {manifest.threshold:g}" if point == _SERVED else f"At {point}"


def _in_words(measure: str) -> str:
    text = " ".join(_PROPER_WORDS.get(word, word) for word in measure.split("_"))
    return text[:1].upper() + text[1:]


def _count_predictions(actor: Actor) -> dict[int, int]:
    """By model version; through who made them, which joins one small table instead of three large ones."""
    counts: dict[int, int] = {}
    rows = db.session.execute(
        select(Prediction.model_version_id, func.count())
        .join(User, Prediction.created_by_id == User.id)
        .where(User.clinic_id == actor.clinic_id)
        .group_by(Prediction.model_version_id)
    )
    for version_id, count in rows:
        counts[version_id] = count
    return counts


def _describe_active(activation: ModelActivation | None, actor: Actor | None) -> ActiveModel:
    pin, problem = pin_of(activation), ""
    identifier, sha256 = (pin.identifier, pin.sha256) if pin else ("", "")
    try:
        chosen = classifier.shelf.choose(pin)
    except ModelIntegrityError as error:
        problem = classifier.shelf.explain(error)
    else:
        identifier, problem = chosen.identifier, chosen.problem
        sha256 = chosen.manifest.sha256 if chosen.manifest else ""
    is_ours = activation and actor and activation.activated_by.clinic_id == actor.clinic_id
    return ActiveModel(
        identifier=identifier,
        sha256=sha256,
        is_default=activation is None,
        activated_at=activation.activated_at if activation else None,
        activated_by=activation.activated_by.display_name if activation and is_ours else "",
        reason=activation.reason if activation and is_ours else "",
        problem=problem,
    )


def _on_shelf(
    shelved: ShelvedModel, row: ModelVersion | None, active: ActiveModel, counts: dict[int, int]
) -> ListedModel:
    name, version = _split(shelved.identifier)
    sha256 = shelved.manifest.sha256 if shelved.manifest else ""
    return ListedModel(
        name=name,
        version=version,
        sha256=sha256,
        manifest=shelved.manifest,
        registered=row,
        shelved=shelved,
        is_active=(shelved.identifier, sha256) == (active.identifier, active.sha256),
        predictions=counts.get(row.id, 0) if row else 0,
        problem=shelved.problem,
    )


def _split(identifier: str) -> tuple[str, str]:
    """Name and version; a folder that is no name-version keeps its name whole."""
    name, _, version = identifier.rpartition("-")
    return (name, version) if name else (version, "")


def _no_longer_on_shelf(row: ModelVersion, *, is_active: bool, predictions: int) -> ListedModel:
    return ListedModel(
        name=row.name,
        version=row.version,
        sha256=row.sha256,
        manifest=None,
        registered=row,
        shelved=None,
        is_active=is_active,
        predictions=predictions,
        problem="",
    )
