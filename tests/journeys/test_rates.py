"""A plan that is priced in euros is quoted, paid and given back in another currency, with a rate that is named."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from tests.journeys.renewal_world import BEGIN, Trade
from xuka.kernel.money import Money
from xuka.ledger import operations as ledger
from xuka.ledger import queries as ledger_queries
from xuka.renewals import operations as renewals
from xuka.renewals import pricing, rates
from xuka.renewals.discounts import CannotDiscount
from xuka.renewals.models import Quote, Rate
from xuka.renewals.pricing import PriceWish

FRIDAY = date(2026, 2, 27)


@pytest.fixture
def abroad(trade: Trade, settings: Any) -> Trade:
    settings.CONVERSION_CURRENCIES, settings.CONVERSION_MARGIN = ["JPY", "CNY"], 200
    rates.store(rates=[("JPY", FRIDAY, Decimal("163.45")), ("CNY", FRIDAY, Decimal("8.2"))], source="a test")
    return trade


def quote(trade: Trade, currency: str) -> Quote:
    line = trade.card("xiaoyu")
    return renewals.quote(
        line_id=line.id, plan_version_id=line.plan_version_id, customer=trade.customer("xiaoyu"),
        wish=PriceWish(currency=currency), now=trade.now,
    )  # fmt: skip


def test_the_quote_names_the_rate_its_day_and_the_margin(abroad: Trade) -> None:
    found = quote(abroad, "JPY")
    assert (found.total_minor, found.currency, found.tax_minor) == (2_151, "JPY", 373)
    assert found.conversion == {"from": "EUR", "rate": "163.450000", "on": "2026-02-27", "margin_basis_points": 200}
    assert quote(abroad, "").conversion is None
    assert pricing.currencies(found.plan_version, abroad.now) == ["EUR", "JPY", "CNY"]


def test_what_was_charged_comes_back_in_its_own_currency_whatever_the_rate_is_by_then(abroad: Trade) -> None:
    me = abroad.customer("xiaoyu")
    ledger.credit_wallet(
        customer=me, money=Money(3_000, "JPY"), staff=abroad.shop.staff.id, why="a gift", id=uuid4(), now=abroad.now
    )
    abroad.fail("topup_disabled")
    order = abroad.place(quote(abroad, "JPY"))
    assert (order.state, order.total_minor, order.currency) == ("funded", 2_151, "JPY")
    rates.store(rates=[("JPY", BEGIN.date(), Decimal("200"))], source="a test")
    abroad.work()
    assert abroad.order(order).state == "refunded"
    assert ledger_queries.wallet_balance(customer=me, currency="JPY") == Money(3_000, "JPY")
    assert abroad.wallet() == 60_00


def test_an_old_rate_or_none_converts_nothing(abroad: Trade) -> None:
    abroad.sleep(days=4)
    assert quote(abroad, "JPY").currency == "JPY"
    abroad.sleep(days=1)
    told = {}
    for currency in ("JPY", "TWD"):
        with pytest.raises(CannotDiscount) as error:
            quote(abroad, currency)
        told[currency] = error.value.code
    assert told == {"JPY": "old_rate", "TWD": "no_rate"}
    assert pricing.currencies(quote(abroad, "").plan_version, abroad.now) == ["EUR"]


def test_both_rates_are_of_one_day(abroad: Trade) -> None:
    rates.store(rates=[("CNY", FRIDAY + timedelta(days=3), Decimal("9"))], source="a test")
    found = rates.conversion(source="CNY", target="JPY", now=abroad.now)
    assert (found.on, found.rate) == (FRIDAY, Decimal("163.45") / Decimal("8.2"))


@pytest.mark.django_db
def test_rates_come_from_a_file_of_the_bank_and_a_day_that_is_there_stays(tmp_path: Path) -> None:
    file = tmp_path / "eurofxref.csv"
    file.write_text("Date,USD,JPY\n2026-11-27,1.1,163.45\n2026-11-26,1.2,N/A\n2020-01-02,1.1,120\n")
    call_command("rates", "load", str(file))
    assert set(Rate.objects.values_list("currency", "on", "per_euro")) == {
        ("USD", date(2026, 11, 27), Decimal("1.1")), ("USD", date(2026, 11, 26), Decimal("1.2")),
        ("JPY", date(2026, 11, 27), Decimal("163.45")),
    }  # fmt: skip
    file.write_text("Date,USD\n2026-11-27,9.9\n")
    call_command("rates", "load", str(file))
    assert Rate.objects.get(currency="USD", on=date(2026, 11, 27)).per_euro == Decimal("1.1")
    file.write_text("nothing of the kind")
    with pytest.raises(CommandError):
        call_command("rates", "load", str(file))
