"""What ``xuka new provider`` writes: it imports, is clean, and is only not there where it says so."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sandbox.wallets
import tests.contracts.stands
import xuka.connectors.payments
from tests.contracts import test_payment_contract as suite
from xuka.interfaces.cli import main, scaffold

HOUSE = Path(__file__).resolve().parents[2]
PLACES = {
    xuka.connectors.payments: "src/xuka/connectors/payments",
    sandbox.wallets: "sandbox/wallets",
    tests.contracts.stands: "tests/contracts/stands",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like a checkout, with nothing in it."""
    for place in PLACES.values():
        (tmp_path / place).mkdir(parents=True)
    return tmp_path


def _cases() -> list[Callable[..., None]]:
    """The common suite, for who keeps nothing."""
    tests = [one for name, one in vars(suite).items() if name.startswith("test_") and inspect.isfunction(one)]
    return [one for one in tests if "keeper" not in inspect.signature(one).parameters]


def test_it_is_incomplete_only_where_it_says_so(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main.main(["new", "provider", "stamp_pay", "--into", str(checkout)])
    for package, place in PLACES.items():
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(checkout / place)])
    importlib.invalidate_caches()
    stand_of = importlib.import_module("tests.contracts.stands.stamp_pay").Stand
    assert tests.contracts.stands.connectors().count("stamp_pay") == 1
    ended: dict[str, set[str]] = {"passed": set(), "skipped": set(), "not there": set()}
    for case in _cases():
        asked = {"stand": stand_of, "name": lambda: "stamp_pay", "ok": lambda: True}
        try:
            given: dict[str, Any] = {name: asked[name]() for name in inspect.signature(case).parameters}
            case(**given)
            ended["passed"].add(case.__name__)
        except NotImplementedError:
            ended["not there"].add(case.__name__)
        except pytest.skip.Exception:
            ended["skipped"].add(case.__name__)
    assert "test_what_is_offered_is_told_without_a_call" in ended["passed"]
    assert "test_an_amount_that_is_not_offered_is_refused_and_nothing_begins" in ended["passed"]
    assert "test_a_person_pays_in_every_currency_and_it_is_told_to_the_minor_unit" in ended["not there"]
    for module in [name for name in sys.modules if "stamp_pay" in name]:
        del sys.modules[module]


def test_it_is_clean_however_it_is_called(checkout: Path) -> None:
    for place in PLACES.values():
        _fill(checkout, place)
    (checkout / "pyproject.toml").write_bytes((HOUSE / "pyproject.toml").read_bytes())
    names = ("stamp_pay", "zeta_wallet_of_tokyo", "b1")
    files = [str(path) for name in names for path in scaffold.provider(name, checkout) if path.suffix == ".py"]
    told = {"include": files, "extraPaths": [str(checkout / "src"), str(checkout)]}
    (checkout / "pyrightconfig.json").write_text(json.dumps(told))
    for command in (
        ["ruff", "check", "--output-format", "concise", *files],
        ["ruff", "format", "--diff", *files],
        ["pyright", "--pythonpath", sys.executable, "-p", str(checkout)],
    ):
        done = subprocess.run([sys.executable, "-m", *command], cwd=checkout, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def _fill(checkout: Path, place: str) -> None:
    """Everything beside this folder and in it, up to the top, as in the house."""
    at = Path(place)
    while at != Path():
        for there in (HOUSE / at).iterdir():
            if not (checkout / at / there.name).exists():
                (checkout / at / there.name).symlink_to(there)
        at = at.parent


def test_nothing_is_written_over_and_no_name_leads_elsewhere(checkout: Path) -> None:
    written = scaffold.provider("stamp_pay", checkout)
    assert [str(path) for path in written] == [path.format(name="stamp_pay") for path in scaffold.FILES]
    (checkout / written[-1]).write_text("mine")
    for name in ("stamp_pay", "Stamp", "../x", "stamp-pay", "class", "x" * 21, ""):
        with pytest.raises(scaffold.CannotWrite):
            scaffold.provider(name, checkout)
    assert (checkout / written[-1]).read_text() == "mine"
    with pytest.raises(SystemExit, match="is no checkout of Xuka"):
        main.main(["new", "provider", "stamp_pay", "--into", str(checkout / "src")])
