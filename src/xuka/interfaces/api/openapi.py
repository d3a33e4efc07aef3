"""The interface for programs, described as OpenAPI 3.1 from the very types that read what is sent."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

from django.http import HttpRequest, HttpResponse, JsonResponse
from pydantic.json_schema import models_json_schema

from xuka.catalogue.rules import Policy
from xuka.interfaces.api.simulation import AT_MOST_BYTES, LIMITS, Simulation
from xuka.interfaces.simulating import Did

_UTC = {"type": "string", "format": "date-time", "description": "UTC."}
_MAYBE_UTC = {"type": ["string", "null"], "format": "date-time", "description": "UTC; null where there is none."}


def document(request: HttpRequest) -> HttpResponse:
    """The description; the same for everybody."""
    del request
    answer = JsonResponse(described())
    answer["Cache-Control"] = "public, max-age=300"
    return answer


@cache
def described() -> dict[str, Any]:
    """The description as a document."""
    modes = [(Simulation, "validation"), (Policy, "validation")]
    _, schemas = models_json_schema(modes, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    # It is read as a document first, so that each of its faults can be told.
    policy = schemas["$defs"]["Simulation"]["properties"]["policy"]
    policy["anyOf"] = [{"$ref": "#/components/schemas/Policy"}, {"type": "null"}]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Xuka", "version": "1"},
        "paths": {"/api/simulate": {"post": _simulate()}, "/api/plans/{plan}/disclosure": {"get": _disclosure()}},
        "components": {"schemas": {**schemas["$defs"], "Problem": _PROBLEM, "Simulated": _SIMULATED}},
    }


def _simulate() -> dict[str, Any]:
    return {
        "operationId": "simulate",
        "summary": "What would be active when if a card were bought, renewed and used at these times",
        "description": f"Writes nothing. At most {LIMITS['simulate'].split('/')[0]} a minute from one address, and "
        f"{AT_MOST_BYTES // 1024} KiB each. A policy that is no plan yet is for staff who are signed in.",
        "requestBody": {"required": True, "content": _json("Simulation")},
        "responses": {
            "200": {"description": "What came of it", "content": _json("Simulated")},
            **{
                status: {"description": why, "content": _json("Problem", "application/problem+json")}
                for status, why in {
                    "400": "The body is not JSON",
                    "403": "A policy document, and the asker is not staff",
                    "404": "No such plan",
                    "405": "Not posted",
                    "413": "Too large",
                    "415": "Not application/json",
                    "422": "Something in it cannot be; `errors` says where and why",
                    "429": "Too many in one minute",
                }.items()
            },
        },
    }


def _disclosure() -> dict[str, Any]:
    plan = {"name": "plan", "in": "path", "required": True, "description": "A plan's slug, or a version's id"}
    return {
        "operationId": "disclosure",
        "summary": "The terms of a plan on sale, or of any version",
        "parameters": [{**plan, "schema": {"type": "string", "maxLength": 60}}],
        "responses": {
            "200": {"description": "The terms", "content": {"application/json": {"schema": {"type": "object"}}}},
            "404": {"description": "No such plan", "content": _json("Problem", "application/problem+json")},
        },
    }


def _json(name: str, kind: str = "application/json") -> dict[str, Any]:
    return {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


_PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "errors": {
            "type": "array",
            "items": _object({"pointer": {"type": "string"}, "detail": {"type": "string"}}),
        },
    },
    "required": ["type", "title", "status"],
}
_FACTS = {"type": "array", "items": {"type": "object", "properties": {"kind": {"type": "string"}}}}
_SIMULATED = _object(
    {
        "zone": {"type": "string"},
        "periods": {
            "type": "array",
            "description": "In order of time.",
            "items": _object(
                {
                    "bought_by": {"type": "integer", "description": "Which of `happened` bought it; 0 is the start."},
                    "starts_at": _UTC,
                    "ends_at": {**_UTC, "description": "UTC; the moment itself is not in it."},
                    "waits": {"type": "boolean", "description": "It has no dates yet; these are as things stand."},
                    "data_starts_at": _UTC,
                    "data_ends_at": _UTC,
                    "would_have_ended_at": _MAYBE_UTC,
                }
            ),
        },
        "happened": {
            "type": "array",
            "description": "Every event, the start first, and whenever the card renewed itself: what came of it, in "
            "order of time.",
            "items": _object(
                {
                    "at": _UTC,
                    "does": {"type": "string", "enum": [*get_args(Did)]},
                    "refused": {"type": ["string", "null"], "description": "Why nothing happened, as a code."},
                    "possible_at": _MAYBE_UTC,
                    "starts_at": _MAYBE_UTC,
                    "ends_at": _MAYBE_UTC,
                    "kept": _FACTS,
                    "lost": _FACTS,
                    "renewable_again_at": _MAYBE_UTC,
                }
            ),
        },
        "renews_itself": {"type": "boolean", "description": "Whether it would go on renewing itself."},
    }
)
