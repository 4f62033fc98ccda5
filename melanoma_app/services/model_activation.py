"""Which released model scores new photographs, and switching from one to another."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from melanoma_app.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    NotPermittedError,
    UnavailableError,
)
from melanoma_app.extensions import classifier, db
from melanoma_app.model_shelf import ModelPin
from melanoma_app.models import ModelActivation
from melanoma_app.models.model_activation import REASON_LENGTH
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.security.permissions import Permission
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.model_versions import ensure_model_version
from melanoma_app.services.text import tidy_text
from ml.inference import Classifier, ModelIntegrityError, ModelManifest

_COLLISION: Final = (
    "Another administrator has switched the model at the same moment, so nothing was changed. "
    "Look which model is active now, then switch again if you still want to."
)


def find_activation() -> ModelActivation | None:
    """The switch in force, with its model and who made it; None until an administrator has made the first."""
    return db.session.scalars(
        select(ModelActivation)
        .options(joinedload(ModelActivation.model_version), joinedload(ModelActivation.activated_by))
        .order_by(ModelActivation.number.desc())
        .limit(1)
    ).one_or_none()


def find_active_pin() -> ModelPin | None:
    """The active model as the shelf is asked for it; None for the one of the settings. One cheap query."""
    return pin_of(find_activation())


def pin_of(activation: ModelActivation | None) -> ModelPin | None:
    """The model that a switch chose, and no other of that name-version."""
    if activation is None:
        return None
    version = activation.model_version
    return ModelPin(identifier=f"{version.name}-{version.version}", sha256=version.sha256)


def load_active_model(*, pin: ModelPin | None, is_for_many: bool = False) -> Classifier:
    """The active model, ready to score; the caller ends its transaction first, for a large network takes a second.

    Args:
        pin: The model; None for the one of the settings.
        is_for_many: Load one apart, made to score many photographs in several threads; the caller holds it.

    Raises:
        UnavailableError: It is missing or damaged; no other takes its place.
    """
    try:
        return classifier.shelf.load_for_many(pin) if is_for_many else classifier.shelf.load(pin)
    except ModelIntegrityError as error:
        raise UnavailableError(
            "The model cannot be used at present, so the photograph was not taken in. Tell your engineer."
        ) from error


def check_active_model() -> ModelManifest:
    """Check the active model's files without loading them, for a process that forks later.

    Raises:
        ModelIntegrityError: It is missing or damaged.
    """
    pin = find_active_pin()
    db.session.commit()
    return classifier.shelf.check(pin)


def activate_model(
    *, identifier: str, reason: str, actor: Actor, replaces: str | None = None
) -> ModelActivation:
    """Let a released model score new photographs from now on, in every process and every clinic.

    Administrators alone may. The model is loaded and tried out first; what cannot be used never becomes active.
    Earlier predictions stay as they are. Switch and audit entry are kept together or not at all.

    Args:
        identifier: Name-version of a model on the shelf.
        reason: Why; kept with the switch, so it names no patient.
        actor: Who switches.
        replaces: Name-version of the model that the actor saw as the active one; None if they did not look.

    Raises:
        NotPermittedError: The actor is no administrator.
        InvalidInputError: There is no reason, or it is too long.
        NotFoundError: There is no such released model.
        ConflictError: The model is damaged, is active already, or somebody else has switched in the meantime.
    """
    if Permission.MANAGE_MODELS not in actor.permissions:
        raise NotPermittedError("Only an administrator may switch the model.")
    reason = _check_reason(reason)
    db.session.commit()
    manifest = _try_out(identifier)
    model_version = ensure_model_version(manifest=manifest)
    newest = find_activation()
    before = _active_identifier(newest)
    if newest is not None and newest.model_version_id == model_version.id:
        db.session.commit()
        raise ConflictError(f"{identifier} is the active model already, so nothing was changed.")
    if replaces is not None and replaces != before:
        db.session.commit()
        raise ConflictError(
            f"The active model is {before or 'not known'} by now, not {replaces}, so nothing was changed. "
            "Look at it, then switch again if you still want to."
        )
    activation = ModelActivation(
        number=newest.number + 1 if newest else 1,
        model_version=model_version,
        activated_by_id=actor.user.id,
        reason=reason,
    )
    _keep(activation, actor, before=before)
    return activation


def _active_identifier(activation: ModelActivation | None) -> str:
    """Name-version of the active model; empty where the settings name one that is not on the shelf."""
    if (pin := pin_of(activation)) is not None:
        return pin.identifier
    try:
        return classifier.shelf.choose(None).identifier
    except ModelIntegrityError:
        return ""


def _check_reason(reason: str) -> str:
    tidy = tidy_text(reason)
    problem = None
    if not tidy:
        problem = "Say why the model is switched; it is kept with the switch."
    elif len(tidy) > REASON_LENGTH:
        problem = f"The reason has more than {REASON_LENGTH} characters. Shorten it."
    if problem:
        raise InvalidInputError(problem, fields={"reason": [problem]})
    return tidy


def _try_out(identifier: str) -> ModelManifest:
    shelved = classifier.shelf.find(identifier)
    if shelved is None:
        raise NotFoundError(
            f"There is no released model {identifier!r}, so nothing was changed. Choose one from the list of models."
        )
    try:
        if shelved.manifest is None:
            raise ModelIntegrityError(shelved.problem)
        return classifier.shelf.try_out(shelved)
    except ModelIntegrityError as error:
        raise ConflictError(
            f"{identifier} cannot be used, so nothing was changed: {classifier.shelf.explain(error)}"
        ) from error


def _keep(activation: ModelActivation, actor: Actor, *, before: str) -> None:
    """Row and audit entry in one transaction; the reason stays in the row, for the log holds no free text."""
    try:
        # A savepoint: the page that tells of the refusal still needs what the session has loaded.
        with db.session.begin_nested():
            db.session.add(activation)
    except IntegrityError as error:
        db.session.commit()
        raise ConflictError(_COLLISION) from error
    version = activation.model_version
    record_event(
        action=AuditAction.MODEL_ACTIVATED,
        actor=actor,
        subject_public_id=version.public_id,
        details={
            "activation": activation.number,
            "model": f"{version.name}-{version.version}",
            "sha256": version.sha256,
            "replaces": before,
        },
    )
    db.session.commit()
