"""Receipts: exact amounts, numbers without gaps whatever happens, and paper on which every name can be read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core import checks
from django.db import connection, transaction
from django.db.utils import DatabaseError

from tests.journeys.web_world import DATA
from tests.rules.pdf_reader import Read, read
from xuka.accounts import operations as accounts
from xuka.accounts.models import User
from xuka.catalogue import operations as catalogue
from xuka.interfaces.web.paper import pdf
from xuka.journal import queries as journal
from xuka.kernel.money import Money
from xuka.kernel.span import Span
from xuka.receipts import operations as receipts
from xuka.receipts import queries, rules
from xuka.receipts.models import Receipt, Series
from xuka.receipts.rules import Line, Paid

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
NAMES = {"en": "Belgium 7 days", "zh-hans": "比利时 7 天"}


@pytest.fixture
def buyer() -> User:
    catalogue.load(DATA, who="seller", now=NOW)
    return accounts.register_user(email="yu@shop.example", name="王小雨", language="zh-hans", now=NOW)


def issue(buyer: User, *, minor: int = 1290, **changes: Any) -> Receipt:
    told: dict[str, Any] = {
        "cause": uuid4(),
        "customer": buyer.id,
        "market": "BE",
        "currency": "EUR",
        "lines": [Line("plan", NAMES, minor)],
        "tax_basis_points": 2100,
        "paid_with": [Paid("wallet", minor)],
        "card_last": "0017",
        "period": Span(NOW, NOW + timedelta(days=7)),
        "now": NOW,
    }
    return receipts.issue(**(told | changes))


def japanese(buyer: User, minor: int = 4980, **changes: Any) -> Receipt:
    return issue(buyer, minor=minor, market="JP", currency="JPY", tax_basis_points=1000, **changes)


def numbers() -> list[str]:
    return [one.full_number for one in Receipt.objects.order_by("series", "number")]


# -- amounts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minor", "currency", "rate", "tax", "net"),
    [
        (1290, "EUR", 2100, 224, 1066),
        (1, "EUR", 2100, 0, 1),
        (3, "EUR", 2100, 1, 2),
        (12100, "EUR", 2100, 2100, 10000),
        (4980, "JPY", 1000, 453, 4527),
        (1980, "JPY", 1000, 180, 1800),
        (5, "JPY", 1000, 0, 5),
        (6, "JPY", 1000, 1, 5),
        (1290, "EUR", 0, 0, 1290),
    ],
)
def test_the_tax_inside_a_total_is_rounded_once(minor: int, currency: str, rate: int, tax: int, net: int) -> None:
    assert rules.receipt_rates(total=Money(minor, currency), tax_basis_points=rate) == [
        {"rate_basis_points": rate, "gross_minor": minor, "tax_minor": tax, "net_minor": net}
    ]


@pytest.mark.parametrize(
    ("parts", "taxes"),
    [
        ((1290,), (-224,)),
        ((645, 645), (-112, -112)),
        ((500, 500, 290), (-87, -87, -50)),
        ((430, 430, 430), (-75, -74, -75)),
        ((1,) * 4, (0, 0, -1, 0)),
    ],
)
def test_parts_given_back_hold_the_tax_of_what_they_sum_to(parts: tuple[int, ...], taxes: tuple[int, ...]) -> None:
    seen, credited = [], 0
    for part in parts:
        (rate,) = rules.credit_rates(amount_minor=part, credited_minor=credited, currency="EUR", tax_basis_points=2100)
        assert rate["gross_minor"] == -part == rate["net_minor"] + rate["tax_minor"]
        seen.append(rate["tax_minor"])
        credited += part
    assert tuple(seen) == taxes


def test_several_lines_have_their_tax_rounded_together(buyer: User) -> None:
    lines = [Line("plan", NAMES, 1290), Line("fee", {"en": "Fee"}, 35), Line("discount", {"en": "Welcome"}, -100)]
    receipt = issue(buyer, lines=lines, paid_with=[Paid("wallet", 225), Paid("card", 1000)])
    assert receipt.total_minor == 1225
    assert receipt.document["rates"] == [
        {"rate_basis_points": 2100, "gross_minor": 1225, "tax_minor": 213, "net_minor": 1012}
    ]


@pytest.mark.parametrize(
    "parts",
    [
        {"paid_with": [Paid("wallet", 1289)]},
        {"lines": [Line("plan", NAMES, 1289)]},
        {"lines": [], "paid_with": []},
        {"lines": [Line("plan", NAMES, -5)], "paid_with": [Paid("wallet", -5)]},
    ],
    ids=["paid less", "bought less", "nothing", "less than nothing"],
)
def test_what_does_not_add_up_is_not_issued(buyer: User, parts: dict[str, Any]) -> None:
    with pytest.raises(rules.DoesNotAddUp):
        issue(buyer, **parts)
    assert numbers() == []


# -- who sells ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("market", "number", "printed"),
    [
        ("BE", "BE0000000097", "BE 0000.000.097"),
        ("BE", "be 0403.170.701", "BE 0403.170.701"),
        ("BE", "BE0403170702", ""),
        ("BE", "FR12345678901", ""),
        ("JP", "T9000000000000", "T9000000000000"),
        ("JP", " t7000012050002 ", "T7000012050002"),
        ("JP", "T7000012050003", ""),
        ("JP", "7000012050002", ""),
        ("BE", "", ""),
        ("JP", "", ""),
    ],
)
def test_a_registration_number_is_printed_only_when_it_is_one(market: str, number: str, printed: str) -> None:
    assert rules.registration_of(market, number) == printed


def test_a_wrong_number_of_the_seller_is_found_before_the_shop_opens(settings: Any) -> None:
    assert [one.id for one in checks.run_checks() if str(one.id).startswith("receipts.")] == []
    settings.SELLER_VAT_NUMBER, settings.SELLER_JP_NUMBER = "BE0123456789", "T123"
    assert [one.id for one in checks.run_checks() if str(one.id).startswith("receipts.")] == [
        "receipts.E001",
        "receipts.E002",
    ]
    settings.SELLER_VAT_NUMBER = settings.SELLER_JP_NUMBER = ""
    assert [one.id for one in checks.run_checks() if str(one.id).startswith("receipts.")] == []


def test_a_receipt_says_who_sold_what_to_whom_and_stays_so(buyer: User, settings: Any) -> None:
    settings.SELLER_NAME, settings.SELLER_ADDRESS = "Data Shop BV", "Nieuwstraat 1 | 1000 Brussel"
    receipt = issue(buyer, cause=UUID(int=1))
    settings.SELLER_NAME = "Another name"
    accounts.set_name(customer=buyer.id, name="Somebody", now=NOW)
    told = Receipt.objects.get(id=receipt.id).document
    assert told == {
        "seller": {
            "name": "Data Shop BV",
            "address": ["Nieuwstraat 1", "1000 Brussel"],
            "registration": "BE 0000.000.097",
        },
        "customer": "王小雨",
        "order": "00000000-0000-0000-0000-000000000001",
        "card_last": "0017",
        "market": "BE",
        "zone": "Europe/Brussels",
        "lines": [{"kind": "plan", "labels": NAMES, "quantity": 1, "amount_minor": 1290}],
        "rates": [{"rate_basis_points": 2100, "gross_minor": 1290, "tax_minor": 224, "net_minor": 1066}],
        "paid_with": [{"method": "wallet", "amount_minor": 1290}],
        "period": {"starts_at": "2026-11-25T09:00:00+00:00", "ends_at": "2026-12-02T09:00:00+00:00"},
        "supplied_at": "2026-11-25T09:00:00+00:00",
    }


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("market", "zone", "at", "series"),
    [
        ("BE", "Europe/Brussels", datetime(2026, 12, 31, 22, 59, tzinfo=UTC), "BE-2026"),
        ("BE", "Europe/Brussels", datetime(2026, 12, 31, 23, 0, tzinfo=UTC), "BE-2027"),
        ("JP", "Asia/Tokyo", datetime(2026, 12, 31, 14, 59, tzinfo=UTC), "JP-2026"),
        ("JP", "Asia/Tokyo", datetime(2026, 12, 31, 15, 0, tzinfo=UTC), "JP-2027"),
    ],
)
def test_the_year_of_a_series_turns_with_the_markets_own_midnight(
    market: str, zone: str, at: datetime, series: str
) -> None:
    assert rules.series_of(market=market, zone=zone, now=at, kind="receipt") == series
    assert rules.series_of(market=market, zone=zone, now=at, kind="credit_note") == f"{series}-C"


def test_each_market_counts_for_itself_and_credit_notes_apart(buyer: User) -> None:
    first = issue(buyer)
    issue(buyer)
    japanese(buyer)
    receipts.credit(cause=first.cause, amount_minor=290, why="goodwill", now=NOW)
    assert numbers() == ["BE-2026-000001", "BE-2026-000002", "BE-2026-C-000001", "JP-2026-000001"]


def test_the_same_order_has_one_receipt_however_often_it_is_issued(buyer: User) -> None:
    first = issue(buyer, cause=UUID(int=1))
    again = issue(buyer, cause=UUID(int=1), now=NOW + timedelta(days=40), card_last="9999")
    assert (again.id, again.document) == (first.id, first.document)
    assert numbers() == ["BE-2026-000001"]
    assert [(fact.what, fact.after) for fact in journal.facts_about(first.cause)] == [
        ("receipt.issued", {"number": "BE-2026-000001", "total_minor": 1290, "currency": "EUR"})
    ]


def test_the_same_order_with_another_total_is_an_error(buyer: User) -> None:
    issue(buyer, cause=UUID(int=1))
    with pytest.raises(receipts.DifferentReceipt):
        issue(buyer, cause=UUID(int=1), minor=1291)
    assert numbers() == ["BE-2026-000001"]


def test_a_receipt_that_is_undone_leaves_no_gap(buyer: User) -> None:
    issue(buyer)
    with transaction.atomic():
        assert issue(buyer).number == 2
        transaction.set_rollback(True)
    assert issue(buyer).number == 2
    assert numbers() == ["BE-2026-000001", "BE-2026-000002"]


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """What each of them returned or raised, all begun at the same moment on connections of their own."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            gate.wait(timeout=30)
            return call()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as crowd:
        return list(crowd.map(run, calls))


class Undone(Exception):
    """The transaction does not come to its end."""


@pytest.mark.django_db(transaction=True)
def test_many_at_once_leave_no_gap_and_no_number_twice_though_some_are_undone(buyer: User) -> None:
    def undone() -> None:
        with transaction.atomic():
            issue(buyer)
            raise Undone

    outcomes = at_once([lambda: issue(buyer), undone] * 6)
    assert sum(isinstance(one, Undone) for one in outcomes) == 6
    assert sorted(one.number for one in outcomes if isinstance(one, Receipt)) == [1, 2, 3, 4, 5, 6]
    assert numbers() == [f"BE-2026-{n:06d}" for n in range(1, 7)]
    assert Series.objects.get().last_number == 6


@pytest.mark.django_db(transaction=True)
def test_one_order_issued_by_many_at_once_has_one_receipt(buyer: User) -> None:
    cause = uuid4()
    outcomes = at_once([lambda: issue(buyer, cause=cause)] * 6)
    assert {one.full_number for one in outcomes} == {"BE-2026-000001"}
    assert numbers() == ["BE-2026-000001"]
    assert [fact.what for fact in journal.facts_about(cause)] == ["receipt.issued"]


@pytest.mark.django_db(transaction=True)
def test_credits_at_once_never_sum_to_more_than_the_receipt(buyer: User) -> None:
    cause = issue(buyer).cause
    legs = [f"part {n}" for n in range(6)]
    outcomes = at_once(
        [lambda leg=leg: receipts.credit(cause=cause, leg=leg, amount_minor=500, why="", now=NOW) for leg in legs]
    )
    assert sum(isinstance(one, Receipt) for one in outcomes) == 2
    assert sum(isinstance(one, receipts.CreditTooHigh) for one in outcomes) == 4
    assert numbers() == ["BE-2026-000001", "BE-2026-C-000001", "BE-2026-C-000002"]


# -- credit notes ------------------------------------------------------------------------------------------------------


def test_a_credit_note_names_its_receipt_and_gives_back_all_of_it(buyer: User) -> None:
    receipt = japanese(buyer)
    note = receipts.credit(cause=receipt.cause, amount_minor=4980, why="not_delivered", now=NOW)
    assert (note.corrects_id, note.total_minor, note.currency) == (receipt.id, -4980, "JPY")
    assert note.document["rates"] == [
        {"rate_basis_points": 1000, "gross_minor": -4980, "tax_minor": -453, "net_minor": -4527}
    ]
    assert [(fact.what, fact.why) for fact in journal.facts_about(receipt.cause)] == [
        ("receipt.issued", ""),
        ("receipt.credited", "not_delivered"),
    ]
    assert [one.id for one in queries.receipts_about(receipt.cause)] == [receipt.id, note.id]


def test_the_same_leg_is_credited_once_and_other_legs_besides(buyer: User) -> None:
    cause = issue(buyer).cause
    first = receipts.credit(cause=cause, amount_minor=500, why="", now=NOW, leg="one")
    assert receipts.credit(cause=cause, amount_minor=500, why="other words", now=NOW, leg="one").id == first.id
    receipts.credit(cause=cause, amount_minor=790, why="", now=NOW, leg="two")
    with pytest.raises(receipts.DifferentReceipt):
        receipts.credit(cause=cause, amount_minor=501, why="", now=NOW, leg="one")
    with pytest.raises(receipts.CreditTooHigh):
        receipts.credit(cause=cause, amount_minor=1, why="", now=NOW, leg="three")
    assert numbers() == ["BE-2026-000001", "BE-2026-C-000001", "BE-2026-C-000002"]
    assert sum(one.document["rates"][0]["tax_minor"] for one in queries.receipts_about(cause)) == 0


@pytest.mark.parametrize("amount", [0, -1])
def test_a_credit_note_gives_something_back(buyer: User, amount: int) -> None:
    with pytest.raises(ValueError, match="gives something back"):
        receipts.credit(cause=issue(buyer).cause, amount_minor=amount, why="", now=NOW)


def test_without_a_receipt_nothing_is_corrected(buyer: User) -> None:
    with pytest.raises(receipts.NoReceipt):
        receipts.credit(cause=uuid4(), amount_minor=1, why="", now=NOW)
    assert numbers() == []


# -- walls -------------------------------------------------------------------------------------------------------------


def write(sql: str) -> None:
    """The statement, with every constraint looked at as if it were committed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
        cursor.execute("set constraints all immediate")


@pytest.mark.parametrize(
    ("sql", "wall"),
    [
        ("update receipts_receipt set total_minor = 1", "never changed or deleted"),
        ("delete from receipts_receipt", "never changed or deleted"),
        ("delete from receipts_series", "never changed or deleted"),
        ("update receipts_series set last_number = 0", "follow each other"),
        ("update receipts_series set last_number = last_number + 2", "follow each other"),
        ("update receipts_series set last_number = last_number + 1", "has a receipt"),
        ("insert into receipts_series values ('XX-2026', 7)", "follow each other"),
        (
            """insert into receipts_receipt (id, cause, kind, series, number, customer_id, issued_at, currency,
            total_minor, document) select gen_random_uuid(), gen_random_uuid(), kind, series, 3, customer_id,
            issued_at, currency, total_minor, document from receipts_receipt""",
            "the next number",
        ),
    ],
)
def test_the_database_itself_keeps_what_was_issued(buyer: User, sql: str, wall: str) -> None:
    issue(buyer)
    with pytest.raises(DatabaseError, match=wall):
        write(sql)
    assert numbers() == ["BE-2026-000001"]


def test_the_database_itself_refuses_credit_beyond_the_receipt(buyer: User) -> None:
    receipt = issue(buyer)
    receipts.credit(cause=receipt.cause, amount_minor=1000, why="", now=NOW)
    note = Receipt.objects.get(kind="credit_note")
    note.id, note.number, note.total_minor = uuid4(), 2, -291
    Series.objects.filter(code="BE-2026-C").update(last_number=2)
    with pytest.raises(DatabaseError, match="never exceed"), transaction.atomic():
        note.save(force_insert=True)
    assert Receipt.objects.count() == 2
    transaction.set_rollback(True)  # a number was taken for what was refused


# -- paper -------------------------------------------------------------------------------------------------------------


def printed(receipt: Receipt, language: str) -> Read:
    return read(pdf.pdf(receipt, language))


@pytest.mark.parametrize("language", ["zh-hans", "zh-hant", "en", "ja", "fr", "nl"])
def test_a_receipt_is_printed_with_everything_the_law_asks_for_and_no_empty_box(buyer: User, language: str) -> None:
    paper = printed(issue(buyer, cause=UUID(int=1), lines=[Line("plan", {"en": "续卡 日本語 çéñ"}, 1290)]), language)
    for words in ("BE-2026-000001", "BE 0000.000.097", "王小雨", "续卡 日本語 çéñ", "0017", str(UUID(int=1))):
        assert words in paper.text.replace("\n", ""), words
    for amount in ("12.90", "10.66", "2.24"):
        assert amount in paper.text.replace(",", "."), amount
    assert "21" in paper.text
    assert paper.empty_boxes == 0


def test_a_japanese_receipt_has_the_name_and_the_number_that_japan_asks_for(buyer: User) -> None:
    paper = printed(japanese(buyer), "en")
    for words in ("領収書（適格簡易請求書）", "T9000000000000", "JP¥4,980", "JP¥453", "JP¥4,527", "10%", "王小雨"):
        assert words in paper.text, words


def test_a_seller_without_a_number_has_none_on_the_receipt(buyer: User, settings: Any) -> None:
    settings.SELLER_VAT_NUMBER = settings.SELLER_JP_NUMBER = ""
    assert "VAT number: none" in printed(issue(buyer), "en").text
    paper = printed(japanese(buyer), "en").text
    assert "領収書" in paper
    assert "適格" not in paper


def test_a_credit_note_says_so_names_its_receipt_and_is_negative(buyer: User) -> None:
    cause = issue(buyer).cause
    note = receipts.credit(cause=cause, amount_minor=500, why="not_delivered", now=NOW)
    paper = printed(note, "en").text.replace("\n", " ")
    for words in ("Credit note", "BE-2026-C-000001", "corrects the receipt BE-2026-000001", "-€5.00", "-€0.87"):
        assert words in paper, words
    assert "was not delivered" in paper
    assert "€12.90" not in paper


def test_chinese_is_printed_in_chinese_forms_and_japanese_in_japanese_ones(buyer: User) -> None:
    receipt = issue(buyer, lines=[Line("plan", {"en": "直 骨 语 戻"}, 1290)])
    assert printed(receipt, "zh-hans").fonts_of("直") == {"NotoSansSC"}
    assert printed(receipt, "ja").fonts_of("直") == {"NotoSansJP"}
    assert printed(receipt, "ja").fonts_of("语") == {"NotoSansSC"}  # Japanese has no such character
    assert printed(receipt, "zh-hans").fonts_of("戻") == {"NotoSansJP"}
    assert printed(japanese(buyer, lines=[Line("plan", {"en": "直"}, 4980)]), "en").fonts_of("直") == {"NotoSansJP"}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Łukasz Kőrösi", "Łukasz Kőrösi"),
        ("Nguyễn Thị Hà", "Nguyễn Thị Hà"),
        ("Jose\u0301", "José"),
        ("陳怡君", "陳怡君"),
        ("李喆", "李喆"),
        ("𠮷野家", "〓野家"),
        ("สมชาย 🎉", "〓〓〓〓〓 〓"),
        ("a\u200b\u202eb\tc\x00", "abc"),
    ],
)
def test_any_name_is_printed_or_stands_visibly_for_itself(buyer: User, name: str, shown: str) -> None:
    receipt = issue(buyer)
    receipt.document["customer"] = name
    paper = printed(receipt, "en")
    assert shown in paper.text.replace("\n", "")
    assert paper.empty_boxes == 0
    assert "Belgium 7 days" in paper.text


def test_the_longest_name_and_many_lines_run_over_to_a_second_page(buyer: User) -> None:
    lines = [Line("plan", {"en": f"Plan {n} " + "very " * 20 + "long"}, 1) for n in range(40)]
    receipt = issue(buyer, lines=lines, paid_with=[Paid("wallet", 40)])
    receipt.document["customer"] = "佐" * 120
    data = pdf.pdf(receipt, "zh-hans")
    assert data.count(b"/Type /Page\n") > 1
    assert read(data).text.count("佐") == 120
    assert all(f"Plan {n} very" in read(data).text for n in range(40))


def test_the_same_receipt_is_the_same_bytes_every_time(buyer: User) -> None:
    receipt = issue(buyer)
    chinese = pdf.pdf(receipt, "zh-hans")
    assert pdf.pdf(receipt, "zh-hans") == chinese == pdf.pdf(Receipt.objects.get(), "zh-hans")
    assert pdf.pdf(receipt, "en") != chinese
    assert b"/CreationDate (D:20261125090000Z)" in chinese
    assert b"/Lang (zh-Hans)" in chinese
    assert b"/FontFile2" in chinese
    assert len(chinese) < 60_000
