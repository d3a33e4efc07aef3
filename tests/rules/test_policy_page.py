"""The page that explains policies is what the types say, and the types explain every field and value."""

from __future__ import annotations

import re
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter

from xuka.catalogue import documents
from xuka.catalogue.rules import Policy, contradictions, policy_of
from xuka.interfaces import policy_fields
from xuka.interfaces.cli.policies import PAGE, written
from xuka.interfaces.policy_fields import Field

TEXT = PAGE.read_text()


def parts(part: type[BaseModel]) -> set[type[BaseModel]]:
    """This part of a policy and every part inside it."""
    inner = [parts(field.part) for field in policy_fields.fields(part) if field.part]
    return {part}.union(*inner)


PARTS = sorted(parts(Policy), key=lambda part: part.__name__)
FIELDS = [(part, field) for part in PARTS for field in policy_fields.fields(part)]


def name(case: Any) -> str:
    return case.name if isinstance(case, Field) else case.__name__


def test_the_page_is_as_the_types_say() -> None:
    assert written(TEXT) == TEXT, "python -m xuka.interfaces.cli.policies write"


def test_the_page_tells_every_part() -> None:
    # A further limit has the fields of a window, which are among those of the data.
    assert set(re.findall(r"<!-- fields of (\w+) -->", TEXT)) == {part.__name__ for part in PARTS} - {"Limit"}


@pytest.mark.parametrize(("part", "field"), FIELDS, ids=name)
def test_every_field_has_one_sentence_an_example_and_a_meaning_for_each_word(
    part: type[BaseModel], field: Field
) -> None:
    assert re.fullmatch(r"[A-Z][^|\n]*[^.]\.", field.says)
    assert "." not in re.sub(r"`[^`]*`", "", field.says[:-1]), "one sentence"
    assert field.example is not None
    assert [word for word, means in field.words.items() if not means] == []


@pytest.mark.parametrize("part", PARTS, ids=name)
def test_every_example_is_valid(part: type[BaseModel]) -> None:
    for about in part.model_fields.values():
        for example in about.examples or ():
            TypeAdapter(Annotated[(about.annotation, "the field", *about.metadata)]).validate_python(example)


def test_the_document_at_the_top_of_the_page_can_be_sold() -> None:
    (document,) = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
    policy = policy_of(documents.read(document)[0]["policy"])
    assert contradictions(policy) == ()
    assert policy.quota.data.tiers[0].after_bytes == 3_000_000_000
