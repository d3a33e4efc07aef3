"""What may import what: the house as it is keeps every contract, and a breach of each is found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "xuka"
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = {contract["id"]: contract["name"] for contract in LINTER["contracts"]}

# contract -> (the file that breaks it, what is planted there). Each breaks this contract and no other.
BREACHES = {
    "layers: a lower package looks up": ("layers", "xuka/ledger/operations.py", "import xuka.renewals.rules"),
    "layers: siblings meet": ("layers", "xuka/ledger/queries.py", "import xuka.catalogue.rules"),
    "layers: a package stands outside": ("layers", "xuka/helpers/__init__.py", ""),
    "pure: the kernel reads the clock": ("pure", "xuka/kernel/span.py", "import time"),
    "pure: a rule knows Django": ("pure", "xuka/renewals/rules.py", "import django.utils.timezone"),
    "pure: a rule reaches a table": ("pure", "xuka/renewals/rules.py", "import xuka.renewals.models"),
    "pure: a contract calls out": ("pure", "xuka/activation/contract.py", "import httpx"),
    "pure: a connector's wire calls out": ("pure", "xuka/connectors/carriers/airalo/wire.py", "import httpx"),
    "connectors: one knows the business": (
        "connectors",
        "xuka/connectors/carriers/airalo/planted.py",
        "import xuka.catalogue.rules",
    ),
    "connectors: one knows another's contract": (
        "connectors",
        "xuka/connectors/channels/smtp/planted.py",
        "import xuka.activation.contract",
    ),
    "connectors-apart": (
        "connectors-apart",
        "xuka/connectors/carriers/airalo/planted.py",
        "import xuka.connectors.channels.smtp",
    ),
    "ledger-tables": ("ledger-tables", "xuka/renewals/planted.py", "import xuka.ledger.models"),
    "lines-tables": ("lines-tables", "xuka/renewals/planted.py", "import xuka.lines.models"),
    "payments-tables": ("payments-tables", "xuka/renewals/planted.py", "import xuka.payments.models"),
    "sandbox": ("sandbox", "sandbox/planted.py", "import xuka.kernel.money"),
}


def _broken(tree: Path) -> tuple[int, set[str]]:
    """Exit code of import-linter on the tree, and which contracts it calls broken."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--config", "pyproject.toml"]
    # Wide enough for a name and its verdict on one line.
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "300"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    verdicts = done.stdout.splitlines()
    told = {key for key, name in CONTRACTS.items() if any(f"{name} BROKEN" in line for line in verdicts)}
    known = {key for key, name in CONTRACTS.items() if any(line.startswith(name) for line in verdicts)}
    assert known == set(CONTRACTS), done.stdout + done.stderr
    return done.returncode, told


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the house to break."""
    only_python = shutil.ignore_patterns("__pycache__", "static", "templates", "locale", "fixtures")
    shutil.copytree(SOURCE, tmp_path / "xuka", ignore=only_python)
    shutil.copytree(ROOT / "sandbox", tmp_path / "sandbox", ignore=only_python)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_house_keeps_every_contract(tree: Path) -> None:
    assert _broken(tree) == (0, set())


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_found(tree: Path, breach: str) -> None:
    contract, file, planted = BREACHES[breach]
    path = tree / file
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as source:
        source.write(f"\n{planted}\n")
    assert _broken(tree) == (1, {contract})


def test_every_contract_has_a_breach() -> None:
    assert {contract for contract, _, _ in BREACHES.values()} == set(CONTRACTS)


def test_connectors_are_kept_from_every_package_but_the_kernel() -> None:
    packages = {f"xuka.{path.parent.name}" for path in SOURCE.glob("*/__init__.py")}
    (contract,) = (contract for contract in LINTER["contracts"] if contract["id"] == "connectors")
    assert set(contract["forbidden_modules"]) == packages - {"xuka.kernel", "xuka.connectors"}


def test_tables_of_money_and_lines_are_guarded() -> None:
    guarded = {table for contract in LINTER["contracts"] for table in contract.get("protected_modules", [])}
    owners = [name for name in ("ledger", "lines", "payments") if (SOURCE / name / "models.py").exists()]
    assert guarded == {f"xuka.{name}.models" for name in owners}
