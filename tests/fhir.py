"""What a FHIR R4 reader expects of a Bundle, asked of a FHIR library's models.

The library has R4B alone, which equals R4 in the resources that are exported. It checks elements, their number and
their form; value sets and the kinds of referred resources stand in its fields and are checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir.resources.R4B.bundle import Bundle
from pydantic import BaseModel

Resource = dict[str, Any]
SHORTENED = {
    "Observation.status": "registered preliminary final amended corrected cancelled entered-in-error unknown",
    "DiagnosticReport.status": "registered partial preliminary final amended corrected appended cancelled "
    "entered-in-error unknown",
}
"""Value sets of which the library has the first members and a plus sign: hl7.org/fhir/R4/valueset-observation-status
and -diagnostic-report-status."""


def check_bundle(bundle: Resource) -> dict[str, list[Resource]]:
    """Hold a Bundle to FHIR, and give its resources by type, in their order."""
    read = Bundle.model_validate(bundle)
    resources = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    assert len(resources) == len(bundle["entry"]), "two resources of one name"
    for name, resource in resources.items():
        assert name == f"urn:uuid:{resource['id']}"
    for owner, field, value in _walk(read):
        _check_field(owner, field, value, resources)

    by_type: dict[str, list[Resource]] = {}
    for resource in resources.values():
        by_type.setdefault(resource["resourceType"], []).append(resource)
    return by_type


def _walk(model: BaseModel) -> Iterator[tuple[BaseModel, str, Any]]:
    for field in type(model).model_fields:
        value = getattr(model, field)
        for one in value if isinstance(value, list) else [value]:
            if one is None:
                continue
            yield model, field, one
            if isinstance(one, BaseModel):
                yield from _walk(one)


def _check_field(owner: BaseModel, field: str, value: Any, resources: dict[str, Resource]) -> None:
    known = type(owner).model_fields[field].json_schema_extra or {}
    assert isinstance(known, dict)
    where = f"{type(owner).__name__}.{field}"
    if "enum_values" in known:
        members = SHORTENED[where].split() if "+" in known["enum_values"] else known["enum_values"]
        assert value in members, where
    if "enum_reference_types" in known and value.reference is not None:
        assert value.reference in resources, f"{where} refers to nothing in the Bundle"
        kind = resources[value.reference]["resourceType"]
        assert {kind, "Resource"} & set(known["enum_reference_types"]), where
