"""``xuka new provider NAME``: the files that a payment connector begins with. Needs no settings and no database."""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from pathlib import Path

TEMPLATES = Path(__file__).parent / "provider"

# What is written from which template; {name} is the connector's.
FILES = {
    "src/xuka/connectors/payments/{name}/__init__.py": "",
    "src/xuka/connectors/payments/{name}/connector.py": "connector.py.txt",
    "src/xuka/connectors/payments/{name}/wire.py": "wire.py.txt",
    "src/xuka/connectors/payments/{name}/README.md": "README.md.txt",
    "sandbox/wallets/{name}.py": "stand_in.py.txt",
    "tests/contracts/stands/{name}.py": "stand.py.txt",
    "tests/contracts/test_{name}.py": "test.py.txt",
}


class CannotWrite(Exception):
    """Nothing was written; the sentence says why."""


def main(arguments: list[str]) -> None:
    """Write the files, and tell which and what is next. Exits with 1 and a sentence when it cannot."""
    wanted = argparse.ArgumentParser(prog="xuka new", description=__doc__)
    wanted.add_argument("what", choices=["provider"])
    wanted.add_argument("name", help="in lower case with underscores: stamp_pay")
    wanted.add_argument("--into", type=Path, default=Path(), help="the checkout; the current folder if left out")
    asked = wanted.parse_args(arguments)
    try:
        written = provider(asked.name, asked.into)
    except CannotWrite as error:
        sys.exit(str(error))
    for path in written:
        print(path)
    print(f"\nNow docs/how-to/add-a-payment-provider.md, from step 3. It begins to work with:\n{_suite(asked.name)}")


def provider(name: str, into: Path) -> list[Path]:
    """Write a connector, its stand-in, stand and tests below this folder; returns the paths, relative to it.

    Raises:
        CannotWrite: the name is none, the folder is no checkout, or a file is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > 20 or keyword.iskeyword(name):
        raise CannotWrite(f"{name!r} is no name for a connector: lower case with underscores, at most 20.")
    if not (into / "src/xuka/connectors/payments").is_dir():
        raise CannotWrite(f"{into.resolve()} is no checkout of Xuka: it has no src/xuka/connectors/payments.")
    texts = {Path(path.format(name=name)): _text(template, name) for path, template in FILES.items()}
    if there := [str(path) for path in texts if (into / path).exists()]:
        raise CannotWrite(f"Nothing was written, because this is there already: {', '.join(there)}.")
    for path, text in texts.items():
        (into / path).parent.mkdir(parents=True, exist_ok=True)
        (into / path).write_text(text)
    return list(texts)


def _text(template: str, name: str) -> str:
    """The template in this connector's words; lines that become too long or change their order are left to ruff."""
    if not template:
        return ""
    words = {
        "example_pay": name,
        "example-pay": name.replace("_", "-"),
        "ExamplePay": "".join(part.capitalize() for part in name.split("_")),
        "Example Pay": " ".join(part.capitalize() for part in name.split("_")),
    }
    return re.sub("|".join(words), lambda found: words[found[0]], (TEMPLATES / template).read_text())


def _suite(name: str) -> str:
    """The command that runs what every connector must do, and what only this one does."""
    tests = f"tests/contracts/test_payment_contract.py tests/contracts/test_{name}.py"
    return f"  .venv/bin/python -m pytest {tests} -k {name}"
