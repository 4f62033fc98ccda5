"""The models part of the REST API."""

from __future__ import annotations

from typing import Any

from melanoma_app.dashboard.schemas import ActivationSchema, ModelListSchema
from melanoma_app.rest import ApiBlueprint
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.model_activation import activate_model
from melanoma_app.services.model_catalogue import ModelCatalogue, list_models

blueprint = ApiBlueprint(
    "models", __name__, url_prefix="/api/v1/models", description="Released models, one of them active"
)


@blueprint.route("")
@requires_token(Permission.READ_MODELS)
@blueprint.response(200, ModelListSchema)
def index() -> ModelCatalogue:
    """Every released model, and those that have scored in your clinic and are no longer released."""
    return list_models(actor=current_actor())


@blueprint.route("/active", methods=["PUT"])
@requires_token(Permission.MANAGE_MODELS)
@blueprint.arguments(ActivationSchema)
@blueprint.response(200, ModelListSchema)
def activate(choice: dict[str, Any]) -> ModelCatalogue:
    """Let another model score new photographs; earlier predictions stay as they are. For administrators.

    404 when there is no such released model; 409 when it is damaged, is active already, or somebody else has
    switched in the meantime.
    """
    activate_model(identifier=choice.pop("model"), actor=current_actor(), **choice)
    return list_models(actor=current_actor())
