"""What must never be kept or logged: card numbers, keys and signing secrets. Looked for in every log and every row."""

from __future__ import annotations

import logging
import re

import pytest
from django.db import connection

from tests.journeys.payment_world import KEY, SECRET, Till

# Thirteen to nineteen digits in groups or not, as cards have them; ICCIDs begin with 89 and are no cards.
DIGITS = re.compile(r"(?<![\dA-Fa-f-])(?!89)\d(?:[ -]?\d){12,18}(?![\dA-Fa-f-])")
DATE = re.compile(r"20\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])([01]\d|2[0-3])[0-5]\d[0-5]\d")


def cards_in(text: str) -> set[str]:
    """What looks like a card's number and has its check digit (ISO/IEC 7812)."""
    from stdnum import luhn

    found = {re.sub(r"[ -]", "", match) for match in DIGITS.findall(text)}
    # A PDF's date has fourteen digits too, and one in ten of them a valid check digit.
    return {digits for digits in found if luhn.is_valid(digits) and not DATE.fullmatch(digits)}


def every_row() -> str:
    """All tables of this database, as text."""
    with connection.cursor() as cursor:
        cursor.execute("select tablename from pg_tables where schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        rows = []
        for table in tables:
            cursor.execute(f'select t::text from "{table}" t')
            rows += [row for (row,) in cursor.fetchall()]
    return "\n".join(rows)


def test_a_card_number_is_found_where_there_is_one() -> None:
    assert cards_in("paid with 4242 4242 4242 4242.") == {"4242424242424242"}
    assert cards_in("iccid 8932042000000000019, id 4242424242424241") == set()


@pytest.fixture
def story(till: Till, caplog: pytest.LogCaptureFixture) -> str:
    """Everything logged and stored while cards are saved, declined, paid, refunded, and the provider fails."""
    caplog.set_level(logging.DEBUG)
    till.trade.fail("topup_disabled")
    order = till.buy("emma")
    payment = till.pay(order, save_method=True)
    till.world.decline(payment.reference)
    till.world.pay_with_3ds(payment.reference)
    till.deliver()
    for fault in ("timeout_after", "error_after", "garbage_after", "rate_limited"):
        till.fail(fault, "session_create")
        till.pay(till.buy("xiaoyu"))
        till.trade.wait(hours=2)
    till.post(b'{"card": "nonsense"}', "t=1,v1=forged")
    till.deliver()
    assert till.trade.order(order).state == "refunded"
    return caplog.text + every_row()


def test_no_card_number_is_kept_or_logged(story: str) -> None:
    assert "visa" in story  # what may be shown of a card is there
    assert cards_in(story) == set()


def test_no_key_or_secret_is_kept_or_logged(story: str) -> None:
    assert KEY not in story
    assert SECRET not in story
    assert "Bearer" not in story
    assert "client_secret=" not in story


def test_no_address_of_a_customer_is_logged(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    order, payment = till.checkout("emma")
    till.world.pay(payment.reference)
    till.deliver()
    assert till.trade.order(order).state == "active"
    written = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("xuka"))
    assert "emma@demo" not in written
    assert "Emma" not in written
