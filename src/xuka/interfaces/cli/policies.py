"""The page of reference about policies: ``python -m xuka.interfaces.cli.policies write | check``.

``write`` fills the tables of ``docs/reference/policies.md`` from the types in ``catalogue/rules.py``; the prose around
them is written by hand. ``check`` exits with 1 where the page is not as it would be written.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from xuka.catalogue import rules
from xuka.interfaces import policy_fields
from xuka.interfaces.policy_fields import Field

PAGE = Path(__file__).resolve().parents[4] / "docs" / "reference" / "policies.md"
HEAD = "| field | values | left out | meaning | example |\n|---|---|---|---|---|"
_TABLE = re.compile(r"<!-- fields of (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def main() -> None:
    """Write the page, or say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["write", "check"])
    verb, page = parser.parse_args().verb, PAGE.read_text()
    if verb == "write":
        PAGE.write_text(written(page))
    elif page != written(page):
        sys.exit(f"{PAGE.name} is not what the types say: python -m xuka.interfaces.cli.policies write")


def written(page: str) -> str:
    """The page with its tables as the types say now."""
    return _TABLE.sub(lambda found: f"<!-- fields of {found[1]} -->\n{table(found[1])}\n<!-- end -->", page)


def table(part: str) -> str:
    """The table of the fields of a part, by the name of its type."""
    model: type[BaseModel] = getattr(rules, part)
    rows, before = [HEAD], None
    for field in policy_fields.fields(model):
        # Words that mean the same as those just told are not told again.
        rows += _rows(field, before)
        before = field
    return "\n".join(rows)


def _rows(field: Field, before: Field | None) -> list[str]:
    left_out = "must be told" if field.is_required else _code(field.default)
    told_before = before is not None and bool(field.words) and field.words == before.words
    values = "the same" if told_before else _values(field)
    first = _row(f"`{field.name}`", values, left_out, field.says, _code(field.example))
    if told_before:
        return [first]
    return [first, *(_row("", f"`{word}`", "", means, "") for word, means in field.words.items())]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _values(field: Field) -> str:
    of = f"[fields](#{field.part.__name__.lower()})" if field.part else "texts"
    said = {
        "word": "a word",
        "number": f"{_number(field.least)} to {_number(field.most)}",
        "yes_no": "true, false",
        "time": "HH:MM",
        "text": "a text",
        "part": of,
        "list": f"list of {of}" + (f", at most {field.most}" if field.most else ""),
    }[field.kind]
    return said + (", or null" if field.is_nullable else "")


def _number(number: int | None) -> str:
    """Large powers of ten as such."""
    if number and number >= 10**6:
        return "10" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(len(str(number)) - 1))
    return str(number)


def _code(value: Any) -> str:
    """A value as YAML in one line, which JSON is."""
    return f"`{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}`"


if __name__ == "__main__":
    main()
