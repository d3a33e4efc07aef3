"""Documents that people write, YAML or JSON, as plain values, each with the line it stands on."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import yaml

DEEPEST = 40

Where = tuple[int | str, ...]


class BadDocument(ValueError):
    """The text is not a document; ``line`` (from 1) and ``reason`` say where and why."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


def read(text: str) -> tuple[Any, dict[Where, int]]:
    """The values that a YAML or JSON text tells, and the line of each place in it; {} where it tells nothing.

    YAML 1.2's core schema: 00:00 and NO are texts. No aliases, no tags, no field twice, nothing nested without end.

    Raises:
        BadDocument: it is not such a text.
    """
    lines: dict[Where, int] = {(): 1}
    try:
        node = yaml.compose(text, Loader=_Core)
        return _plain(node, (), lines) if node else {}, lines
    except yaml.reader.ReaderError as wrong:
        raise BadDocument(text[: wrong.position].count("\n") + 1, "a character that is not allowed") from wrong
    except yaml.MarkedYAMLError as wrong:
        line = wrong.problem_mark.line + 1 if wrong.problem_mark else 1
        raise BadDocument(line, wrong.problem or wrong.context or "not YAML") from wrong


class _Core(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="aliases are not used here", problem_mark=mark)
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_TAG = "tag:yaml.org,2002:"
_SCALARS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "null": (r"null|~|", lambda text: None),
    "bool": (r"true|false", lambda text: text == "true"),
    "int": (r"[-+]?[0-9][0-9_]{0,29}", lambda text: int(text.replace("_", ""))),
    "float": (r"[-+]?[0-9]{1,15}\.[0-9]{1,15}", Decimal),
}
for _name, (_pattern, _) in _SCALARS.items():
    _Core.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$", re.ASCII), None)


def _plain(node: yaml.Node, where: Where, lines: dict[Where, int]) -> Any:
    """The node as plain values; ``lines`` is filled with the line of each place in it."""
    lines.setdefault(where, node.start_mark.line + 1)
    if not isinstance(node, yaml.ScalarNode) and node.tag not in {_TAG + "map", _TAG + "seq"}:
        raise yaml.MarkedYAMLError(problem=f"{node.tag} is not used here", problem_mark=node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return {key: _plain(value, (*where, key), lines) for key, value in _items(node, where, lines)}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(value, (*where, index), lines) for index, value in enumerate(node.value)]
    return _scalar(node)


def _items(node: yaml.MappingNode, where: Where, lines: dict[Where, int]) -> Iterator[tuple[str, yaml.Node]]:
    for key_node, value in node.value:
        key = _scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            raise yaml.MarkedYAMLError(problem="a field's name is a text", problem_mark=key_node.start_mark)
        if (*where, key) in lines:
            raise yaml.MarkedYAMLError(problem=f"{key} is told twice", problem_mark=key_node.start_mark)
        lines[*where, key] = key_node.start_mark.line + 1
        yield key, value


def _scalar(node: yaml.Node) -> Any:
    kind = node.tag.removeprefix(_TAG)
    if any(unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t" for c in node.value):
        raise yaml.MarkedYAMLError(problem="a character that is not allowed", problem_mark=node.start_mark)
    if kind in _SCALARS and re.fullmatch(_SCALARS[kind][0], node.value, flags=re.ASCII):
        return _SCALARS[kind][1](node.value)
    if kind != "str":
        raise yaml.MarkedYAMLError(problem=f"{node.tag} is not used here", problem_mark=node.start_mark)
    return node.value
