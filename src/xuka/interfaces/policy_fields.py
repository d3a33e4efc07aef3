"""What the types of a policy say about themselves: each field with its sentence, its values and an example.

The page of reference and the form in which staff write a policy are made of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from pydantic import BaseModel

Kind = Literal["word", "number", "yes_no", "time", "text", "list", "part"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a part of the document.

    Attributes:
        name: as the document writes it.
        kind: ``word``: one of ``words``; ``part``: has fields of its own, those of ``part``; ``list``: of parts, or of
            texts where ``part`` is None.
        says: what it means, in a sentence; "" where the type does not tell it.
        example: a value of it; None where the type has none.
        default: what it is where it is left out, where it can be.
        words: each word it can be, with its meaning.
        least, most: of a number; of a list only ``most``, how many.
    """

    name: str
    kind: Kind
    says: str
    example: Any
    is_required: bool
    is_nullable: bool
    default: Any
    words: Mapping[str, str]
    least: int | None
    most: int | None
    part: type[BaseModel] | None


@cache
def fields(part: type[BaseModel]) -> tuple[Field, ...]:
    """The fields of this part of a policy, in the order of its type."""
    schema = part.model_json_schema()
    types = {about.alias or name: about for name, about in part.model_fields.items()}
    return tuple(
        _field(name, told, types[name], name in schema.get("required", ()))
        for name, told in schema["properties"].items()
    )


def _field(name: str, told: dict[str, Any], about: Any, is_required: bool) -> Field:
    either = told.get("anyOf", [told])
    shape = next(one for one in either if one.get("type") != "null")
    means = told.get("x-means", {})
    words = [shape["const"]] if "const" in shape else shape.get("enum", [])
    return Field(
        name=name,
        kind=_kind(shape),
        says=about.description or "",
        example=next(iter(about.examples or ()), None),
        is_required=is_required,
        is_nullable=len(either) > 1,
        default=told.get("default"),
        words={word: means.get(word, "") for word in words},
        least=shape.get("minimum"),
        most=shape.get("maximum", shape.get("maxItems")),
        part=_part(about.annotation),
    )


def _kind(shape: dict[str, Any]) -> Kind:
    if "enum" in shape or "const" in shape:
        return "word"
    if "$ref" in shape:
        return "part"
    if shape.get("format") == "time":
        return "time"
    plain: dict[str, Kind] = {"integer": "number", "boolean": "yes_no", "array": "list"}
    return plain.get(shape["type"], "text")


def _part(annotation: Any) -> type[BaseModel] | None:
    """The part that a field is, or is a list of, or may be instead of null."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((part for one in get_args(annotation) if (part := _part(one))), None)
