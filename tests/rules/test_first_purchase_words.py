"""A new eSIM's order is told in the words of a renewal, some of them replaced: each that is replaced is really said."""

from __future__ import annotations

import ast
from pathlib import Path

from django.utils import translation

from xuka.interfaces.web import esims, stories, texts


def said_in(module: object) -> set[str]:
    tree = ast.parse(Path(str(module.__file__)).read_text())  # type: ignore[attr-defined]
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_sentence_of_a_renewal_that_is_replaced_for_a_new_esim_is_still_said_of_one() -> None:
    with translation.override("en"):
        replaced = esims._instead()
    assert set(replaced) - said_in(stories) - said_in(texts) == set()
    assert all(told != instead for told, instead in replaced.items())
