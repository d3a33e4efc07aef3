"""What a way of paying costs on top: nothing, unless somebody recorded what allows it; never in Belgium."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.utils import IntegrityError

from tests.journeys import backoffice_world, web_world
from xuka.kernel.money import Money, tax_inside
from xuka.payments import operations as payments
from xuka.payments import providers, queries, rules
from xuka.payments.models import MethodFee
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LAW = "a rule that allows it"


@pytest.fixture
def shop(settings: Any) -> Iterator[web_world.Shop]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.CARRIERS = {"airalo": {"connector": "tests.journeys.backoffice_world.carrier"}}
    settings.PROVIDERS = {
        "stripe": {
            "connector": "xuka.connectors.payments.stripe.connector.Stripe",
            "base_url": "http://provider.test",
            "key": "sk_test_a_key_for_tests",
            "webhook_secret": "whsec_a_secret_for_tests",
        }
    }
    backoffice_world.forget()
    providers.provider.cache_clear()
    yield backoffice_world.open_shop(NOW)
    backoffice_world.forget()
    providers.provider.cache_clear()


def set_fee(shop: web_world.Shop, market: str, basis_points: int, permission: str = LAW) -> None:
    payments.set_fee(
        market=market, method="card", basis_points=basis_points, permission=permission, staff=shop.staff.id, now=NOW
    )


def buy(shop: web_world.Shop, person: str, pays_with: str = "card") -> Order:
    """The person buys the plan that their card was sold with."""
    line = shop.cards[person]
    assert line.owner_id
    quote = renewals.quote(line_id=line.id, plan_version_id=line.plan_version_id, customer=line.owner_id, now=NOW)
    return renewals.place(order_id=uuid4(), quote_id=quote.id, customer=line.owner_id, now=NOW, pays_with=pays_with)


@pytest.mark.parametrize(
    ("price", "basis_points", "fee"),
    [
        (1290, 0, 0),
        (4980, 0, 0),
        (4980, 300, 149),  # 149.4
        (4980, 350, 174),  # 174.3
        (3350, 300, 101),  # 100.5 goes up
        (3349, 300, 100),  # 100.47
        (16, 300, 0),
        (17, 300, 1),  # 0.51
        (1, 1000, 0),
        (5, 1000, 1),  # 0.5
        (99_999_999, 1000, 10_000_000),
    ],
)
def test_a_fee_is_rounded_once_to_the_minor_unit(price: int, basis_points: int, fee: int) -> None:
    assert rules.fee(Money(price, "JPY"), basis_points) == Money(fee, "JPY")


@pytest.mark.parametrize(
    ("price", "basis_points", "fee"),
    [
        (399_00, 150, 6_00),  # 5.985
        (399_00, 125, 5_00),  # 4.9875
        (100_00, 150, 2_00),  # 1.5 goes up
        (99_00, 150, 1_00),  # 1.485
        (10_00, 150, 0),
    ],
)
def test_a_fee_in_taiwan_is_whole_dollars(price: int, basis_points: int, fee: int) -> None:
    assert rules.fee(Money(price, "TWD"), basis_points) == Money(fee, "TWD")


@pytest.mark.parametrize(
    ("market", "basis_points", "permission", "code"),
    [
        ("BE", 1, LAW, "law"),
        ("BE", 1000, LAW, "law"),
        ("BE", 1, "", "law"),
        ("JP", 1, "", "no_permission"),
        ("JP", 1000, " \n", "no_permission"),
    ],
)
def test_a_fee_is_refused_where_the_law_forbids_it_and_without_a_permission(
    shop: web_world.Shop, market: str, basis_points: int, permission: str, code: str
) -> None:
    with pytest.raises(payments.FeeNotAllowed) as refused:
        set_fee(shop, market, basis_points, permission)
    assert refused.value.code == code
    assert not MethodFee.objects.exists()


@pytest.mark.parametrize("basis_points", [-1, 1001])
def test_a_fee_lies_between_nothing_and_ten_percent(shop: web_world.Shop, basis_points: int) -> None:
    with pytest.raises(ValueError):
        set_fee(shop, "JP", basis_points)
    assert not MethodFee.objects.exists()


@pytest.mark.parametrize(
    ("market", "permission", "wall"), [("BE", LAW, "fee_not_in_belgium"), ("JP", "", "fee_has_permission")]
)
def test_the_database_refuses_such_a_fee_too(market: str, permission: str, wall: str) -> None:
    sql = (
        "insert into payments_methodfee (id, market, method, basis_points, permission, recorded_by, recorded_at)"
        " values (%s, %s, 'card', 100, %s, %s, %s)"
    )
    with pytest.raises(IntegrityError, match=wall), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, [uuid4(), market, permission, uuid4(), NOW])


def test_a_method_has_one_fee_in_a_market(shop: web_world.Shop) -> None:
    set_fee(shop, "JP", 300)
    set_fee(shop, "JP", 150, "another rule")
    assert [(one.basis_points, one.permission) for one in MethodFee.objects.all()] == [(150, "another rule")]


@pytest.mark.parametrize(("person", "price", "tax"), [("xiaoyu", 12_90, 2_24), ("sato", 4_980, 453)])
@pytest.mark.parametrize("pays_with", ["card", "wallet"])
def test_no_fee_is_asked_by_default(shop: web_world.Shop, person: str, price: int, tax: int, pays_with: str) -> None:
    order = buy(shop, person, pays_with)
    assert (order.total_minor, order.tax_minor, order.fee_minor) == (price, tax, 0)


def test_with_a_fee_total_and_tax_follow_and_the_fee_is_kept(shop: web_world.Shop) -> None:
    set_fee(shop, "JP", 300)
    (offered,) = queries.methods_offered(market="JP", money=Money(4_980, "JPY"), now=NOW)
    assert offered.fee == Money(149, "JPY")
    order = buy(shop, "sato")
    # 5,129 yen with 10 % inside: 466.27; not 453 of the plan and 13.55 of the fee, each rounded by itself.
    assert (order.total_minor, order.tax_minor, order.fee_minor) == (5_129, 466, 149)
    assert tax_inside(Money(5_129, "JPY"), 1000) == Money(466, "JPY")


def test_a_fee_in_one_market_is_none_in_another_and_never_on_the_wallet(shop: web_world.Shop) -> None:
    set_fee(shop, "JP", 300)
    assert buy(shop, "xiaoyu").total_minor == 12_90
    assert buy(shop, "sato", "wallet").total_minor == 4_980


def test_a_fee_that_was_taken_back_is_not_asked_any_more(shop: web_world.Shop) -> None:
    set_fee(shop, "JP", 300)
    set_fee(shop, "JP", 0, "")
    order = buy(shop, "sato")
    assert (order.total_minor, order.fee_minor) == (4_980, 0)


# 100,000,000 yen less one is the most that a card takes; 3 % of 97,087,378 is 2,912,621.34.
@pytest.mark.parametrize(
    ("price", "fee", "why_not"),
    [
        (48, 1, "amount"),  # 49
        (49, 1, ""),  # 50: the least
        (97_087_378, 2_912_621, ""),  # 99,999,999: the most
        (97_087_379, 2_912_621, "amount"),  # 100,000,000
    ],
)
def test_a_methods_limit_counts_the_fee_once(shop: web_world.Shop, price: int, fee: int, why_not: str) -> None:
    set_fee(shop, "JP", 300)
    (offered,) = queries.methods_offered(market="JP", money=Money(price, "JPY"), now=NOW)
    assert (offered.fee, offered.why_not) == (Money(fee, "JPY"), why_not)
    whole = Money(price + fee, "JPY")
    (asked,) = queries.methods_offered(market="JP", money=whole, now=NOW, with_fee=False)
    assert (asked.fee, asked.why_not) == (Money(0, "JPY"), why_not)
