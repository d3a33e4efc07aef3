"""A voucher card, from the printer's file to the wallet: once, in time, in words, and with nothing left lying about."""

from __future__ import annotations

import csv
import logging
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.journeys import backoffice_world
from tests.journeys.test_fuzzed_forms import HOSTILE, LANG_OF, LANGUAGES
from tests.journeys.test_no_secrets_kept import every_row
from tests.journeys.web_world import Shop, open_shop
from xuka.accounts.models import User
from xuka.activation.contract import Activation
from xuka.interfaces import clock
from xuka.interfaces.jobs import tasks
from xuka.journal.queries import facts_about
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done
from xuka.ledger import operations as ledger_operations
from xuka.ledger import queries as ledger
from xuka.payments import queries as payments
from xuka.payments import rules, vouchers
from xuka.payments.models import Voucher, VoucherBatch
from xuka.payments.vouchers import CannotRedeem
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order

NOW = datetime(2026, 11, 22, 13, 5, tzinfo=UTC)
DEADLINE = NOW + timedelta(days=30)
TWENTY = Money(20_00, "EUR")
committed = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    settings.CARRIERS = {"airalo": {"connector": "tests.journeys.backoffice_world.carrier"}}
    backoffice_world.forget()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    marker = request.node.get_closest_marker("django_db")
    request.getfixturevalue("transactional_db" if marker and marker.kwargs.get("transaction") else "db")
    cache.clear()
    yield open_shop(now=NOW, seed_card=lambda **_: None)
    assert payments.check_books() == ledger.check_books() == []
    assert {total.sum for _, total in ledger.totals()} == {0}


def batch(shop: Shop, *, number: int = 3, value: Money = TWENTY, sold: bool = True) -> tuple[UUID, list[str]]:
    """Its id, and the codes of its vouchers in the order of their serials."""
    id, rest = uuid4(), {"staff": shop.staff.id, "now": NOW}
    printed = vouchers.make(id=id, value=value, number=number, redeem_by=DEADLINE, why="for a kiosk", **rest)
    if sold:
        vouchers.sell(batch_id=id, to="a kiosk", why="paid in cash", **rest)
    return id, [one.code for one in printed]


def redeem(user: User, code: str, *, now: datetime = NOW, currencies: set[str] | None = None) -> str:
    """What became of it: "redeemed", or why not."""
    try:
        vouchers.redeem(typed=code, customer=user.id, currencies=currencies or {"EUR"}, now=now)
    except CannotRedeem as error:
        return error.code
    return "redeemed"


def held(user: User, currency: str = "EUR") -> int:
    return ledger.wallet_balance(customer=user.id, currency=currency).minor


def owed(currency: str = "EUR") -> int:
    return ledger.balance(ledger_operations.house("voucher_liability", currency))


def signed_in(user: User, language: str = "en") -> Client:
    User.objects.filter(id=user.id).update(language=language)
    user.refresh_from_db()
    client = Client(headers={"accept-language": language})
    client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[0])
    return client


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def wrong_code() -> str:
    import secrets

    return rules.new_code(secrets.choice)


# -- redeeming -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_code_brings_its_value_into_the_wallet_once(shop: Shop) -> None:
    emma, (id, codes) = shop.people["emma"], batch(shop)
    assert (held(emma), owed()) == (40_00, 60_00)
    voucher = vouchers.redeem(typed=codes[0], customer=emma.id, currencies={"EUR"}, now=NOW)
    assert (held(emma), owed()) == (60_00, 40_00)
    (transfer,) = ledger.transfers_of(voucher.id)
    assert (transfer.id, transfer.amount, transfer.leg) == (voucher.transfer_id, 20_00, "voucher_redeemed")
    with pytest.raises(CannotRedeem) as again:
        vouchers.redeem(typed=codes[0], customer=emma.id, currencies={"EUR"}, now=NOW + timedelta(days=3))
    assert (again.value.code, again.value.at) == ("already_used", NOW)
    assert redeem(shop.people["xiaoyu"], codes[0]) == "not_valid", "to others it is as if there were none"
    assert (held(emma), owed(), held(shop.people["xiaoyu"])) == (60_00, 40_00, 60_00)
    told = [fact for fact in facts_about(emma.id) if fact.what == "wallet.credited"][-1]
    assert (told.who, told.after) == (f"customer:{emma.id}", {"amount_minor": 20_00, "currency": "EUR"})
    assert [fact.what for fact in facts_about(id)] == ["voucher.made", "voucher.sold", "voucher.redeemed"]


@pytest.mark.django_db
def test_after_its_deadline_a_code_is_refused_without_being_consumed(shop: Shop) -> None:
    emma, (_, codes) = shop.people["emma"], batch(shop)
    with pytest.raises(CannotRedeem) as late:
        vouchers.redeem(typed=codes[0], customer=emma.id, currencies={"EUR"}, now=DEADLINE + timedelta(microseconds=1))
    assert (late.value.code, late.value.at) == ("expired", DEADLINE)
    assert Voucher.objects.filter(redeemed_at__isnull=False).count() == 0
    assert (held(emma), owed()) == (40_00, 60_00)
    assert redeem(emma, codes[0], now=DEADLINE) == "redeemed", "the last moment counts"


@pytest.mark.django_db
def test_what_is_not_sold_revoked_or_of_another_market_is_refused_and_stays_as_it_was(shop: Shop) -> None:
    emma = shop.people["emma"]
    _, (unsold, *_rest) = batch(shop, sold=False)
    assert redeem(emma, unsold) == "not_sold"
    _, (yen, *_rest) = batch(shop, value=Money(3_000, "JPY"))
    with pytest.raises(CannotRedeem) as other:
        vouchers.redeem(typed=yen, customer=emma.id, currencies={"EUR"}, now=NOW)
    assert (other.value.code, other.value.value) == ("currency", Money(3_000, "JPY"))
    assert redeem(shop.people["sato"], yen, currencies={"JPY"}) == "redeemed"
    id, codes = batch(shop)
    first = Voucher.objects.filter(batch_id=id).order_by("serial")[0]
    vouchers.revoke(voucher_id=first.id, staff=shop.staff.id, why="lost in the post", now=NOW)
    assert [redeem(emma, code) for code in codes] == ["revoked", "redeemed", "redeemed"]
    assert redeem(emma, wrong_code()) == "not_valid"
    assert redeem(emma, codes[0][:-1] + ("0" if codes[0][-1] != "0" else "1")) == "mistyped"
    assert (held(emma), owed(), owed("JPY")) == (80_00, 0, 6_000)


@pytest.mark.django_db
def test_a_batch_made_or_sold_again_makes_and_books_nothing(shop: Shop) -> None:
    id, _ = batch(shop)
    terms: dict[str, Any] = {"value": TWENTY, "redeem_by": DEADLINE, "staff": shop.staff.id, "why": "again", "now": NOW}
    assert vouchers.make(id=id, number=3, **terms) == ()
    with pytest.raises(vouchers.DifferentBatch):
        vouchers.make(id=id, number=4, **terms)
    vouchers.sell(batch_id=id, to="somebody else", staff=shop.staff.id, why="again", now=NOW)
    assert (Voucher.objects.count(), owed(), VoucherBatch.objects.get().sold_to) == (3, 60_00, "a kiosk")
    for wrong in ({"number": 0}, {"number": 10_001}, {"why": " "}, {"redeem_by": NOW}, {"value": Money(0, "EUR")}):
        with pytest.raises(ValueError):
            vouchers.make(id=uuid4(), **{"number": 3, **terms, **wrong})


@pytest.mark.django_db
def test_revoking_gives_back_what_is_owed_for_the_unused_ones_only(shop: Shop) -> None:
    emma, (id, codes) = shop.people["emma"], batch(shop, number=5)
    assert redeem(emma, codes[0]) == "redeemed"
    used, single = Voucher.objects.filter(batch_id=id).order_by("serial")[:2]
    staff: dict[str, Any] = {"staff": shop.staff.id, "now": NOW}
    with pytest.raises(vouchers.CannotRevoke):
        vouchers.revoke(voucher_id=used.id, why="she wants cash", **staff)
    vouchers.revoke(voucher_id=single.id, why="torn", **staff)
    vouchers.revoke(voucher_id=single.id, why="torn", **staff)
    assert owed() == 60_00
    with pytest.raises(ValueError):
        vouchers.revoke_batch(batch_id=id, why=" ", **staff)
    assert vouchers.revoke_batch(batch_id=id, why="the kiosk closed", **staff) == 3
    assert vouchers.revoke_batch(batch_id=id, why="the kiosk closed", **staff) == 0
    assert (owed(), held(emma)) == (0, 60_00)
    assert ledger.balance(ledger_operations.house("voucher_clearing", "EUR")) == -20_00
    assert [redeem(emma, code) for code in codes] == ["already_used", *["revoked"] * 4]
    counts = payments.voucher_counts([id])[id]
    assert (counts.redeemed, counts.revoked, counts.left) == (1, 4, 0)


@pytest.mark.django_db
def test_a_batch_revoked_before_it_was_sold_never_owes_anything(shop: Shop) -> None:
    id, _ = batch(shop, sold=False)
    vouchers.revoke_batch(batch_id=id, staff=shop.staff.id, why="printed badly", now=NOW)
    with pytest.raises(vouchers.CannotSell):
        vouchers.sell(batch_id=id, to="a kiosk", staff=shop.staff.id, why="paid", now=NOW)
    assert owed() == 0


@pytest.mark.django_db
def test_the_books_find_a_voucher_that_was_redeemed_past_the_ledger(shop: Shop) -> None:
    batch(shop, number=1)
    with transaction.atomic():
        Voucher.objects.update(redeemed_at=NOW, redeemed_by=shop.people["emma"].id, transfer_id=uuid4())
        faults = payments.check_books()
        transaction.set_rollback(True)
    assert any("Vouchers owe 2000 EUR, those sold and not used make 0" in one for one in faults)
    assert any("brought 0 into a wallet" in one for one in faults)


@pytest.mark.django_db
def test_after_the_secret_key_was_changed_codes_open_while_the_old_one_is_named(shop: Shop, settings: Any) -> None:
    emma, (_, codes) = shop.people["emma"], batch(shop)
    settings.SECRET_KEY, old = "another key", settings.SECRET_KEY
    assert redeem(emma, codes[0]) == "not_valid"
    settings.SECRET_KEY_FALLBACKS = [old]
    assert redeem(emma, codes[0]) == "redeemed"


# -- at the same moment --------------------------------------------------------------------------------------------


def at_once(*doings: Callable[[], object]) -> list[object]:
    """What each gives, all begun at one moment on connections of their own."""
    together = threading.Barrier(len(doings))

    def run(doing: Callable[[], object]) -> object:
        try:
            together.wait(timeout=10)
            return doing()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(doings)) as crowd:
        return list(crowd.map(run, doings))


@committed
def test_two_at_once_are_one(shop: Shop) -> None:
    emma, xiaoyu, (_, codes) = shop.people["emma"], shop.people["xiaoyu"], batch(shop, number=4)
    for code in codes[:2]:
        results = at_once(*[partial(redeem, emma, code)] * 4)
        assert sorted(map(str, results)) == ["already_used"] * 3 + ["redeemed"]
    assert (held(emma), owed()) == (80_00, 40_00)
    for code in codes[2:]:
        results = at_once(*(partial(redeem, who, code) for who in (emma, xiaoyu)))
        assert sorted(map(str, results)) == ["not_valid", "redeemed"]
    assert (held(emma) + held(xiaoyu), owed()) == (180_00, 0)


@committed
def test_what_is_revoked_while_it_is_being_redeemed_is_either(shop: Shop) -> None:
    emma, staff = shop.people["emma"], {"staff": shop.staff.id, "why": "lost", "now": NOW}
    for _ in range(4):
        before = held(emma)
        id, codes = batch(shop, number=3)
        one = Voucher.objects.filter(batch_id=id).order_by("serial")[0].id

        def revoke(one: UUID = one) -> str:
            try:
                vouchers.revoke(voucher_id=one, **staff)
            except vouchers.CannotRevoke:
                return "too late"
            return "done"

        used = [partial(redeem, emma, code) for code in codes]
        *results, single, number = at_once(*used, revoke, partial(vouchers.revoke_batch, batch_id=id, **staff))
        redeemed = results.count("redeemed")
        assert set(results) <= {"redeemed", "revoked"}
        assert (single == "too late") == (results[0] == "redeemed")
        counts = payments.voucher_counts([id])[id]
        assert (counts.redeemed, counts.revoked, counts.left) == (redeemed, 3 - redeemed, 0)
        assert number in {3 - redeemed, 2 - redeemed}
        assert (held(emma) - before, owed()) == (redeemed * 20_00, 0)


# -- the page ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_whoever_types_the_code_sees_the_new_balance(shop: Shop) -> None:
    emma, (_, codes) = shop.people["emma"], batch(shop)
    client = signed_in(emma)
    assert "Redeem a voucher" in text_of(client.get("/account/settings/"))
    full_width = "".join(chr(ord(sign) + 0xFEE0) if sign != "-" else "\u3000" for sign in codes[0].lower())
    answer = client.post("/voucher/", {"voucher": full_width}, follow=True)
    assert answer.redirect_chain[0][1] == 302
    says = text_of(answer)
    assert "€20.00 came into your wallet." in says
    assert "€60.00" in says
    again = client.post("/voucher/", {"voucher": codes[0]})
    assert again.status_code == 422
    assert "You have used this voucher already, on 22 November 2026" in text_of(again)
    assert held(emma) == 60_00
    other = signed_in(shop.people["xiaoyu"])
    used = answer.redirect_chain[0][0]
    assert "came into" not in text_of(other.get(used)), "another's voucher is as if there were none"


@pytest.mark.django_db
def test_the_page_needs_somebody_signed_in_and_leads_back_to_it(shop: Shop) -> None:
    assert Client().get("/voucher/")["Location"] == "/account/login/code/?next=/voucher/"
    assert Client().post("/voucher/", {"voucher": wrong_code()}).status_code == 302


@committed
def test_an_order_that_waited_for_money_goes_on(shop: Shop) -> None:
    poor = shop.person("poor", language="en", money=5_00)
    line = shop.card("poor", 70, "be-week-3gb-day")
    quote = renewals.quote(line_id=line.id, plan_version_id=line.plan_version_id, customer=poor.id, now=NOW)
    order = renewals.place(order_id=uuid4(), quote_id=quote.id, customer=poor.id, now=NOW)
    _, codes = batch(shop)
    client = signed_in(poor)
    page = client.get(f"/orders/{order.id}/").content.decode()
    assert f"/voucher/?order={order.id}" in page
    answer = client.post("/voucher/", {"voucher": codes[0], "order": str(order.id)}, follow=True)
    assert f'href="/orders/{order.id}/"' in answer.content.decode()
    assert "Back to your order" in text_of(answer)
    assert Order.objects.get(id=order.id).state == "awaiting_funds"
    with connection.cursor() as cursor:
        cursor.execute("select args ->> 'subject' from procrastinate_jobs where task_name = 'advance_waiting_orders'")
        ((subject,), *_others) = cursor.fetchall()[-1:]
    backoffice_world.MUTE.answers = lambda key, iccid, package: Done(Activation("R-1", key, iccid, package, NOW))
    tasks.advance_waiting_orders(subject)
    assert Order.objects.get(id=order.id).state == "active"
    assert held(poor) == 5_00 + 20_00 - order.total_minor


@pytest.mark.django_db
def test_every_refusal_is_told_in_words(shop: Shop) -> None:
    client = signed_in(shop.people["emma"])

    def says(code: str) -> str:
        answer = client.post("/voucher/", {"voucher": code})
        assert answer.status_code == 422
        return text_of(answer)

    _, (unsold, *_rest) = batch(shop, sold=False)
    assert "This voucher is not switched on yet." in says(unsold)
    _, (yen, *_rest) = batch(shop, value=Money(3_000, "JPY"))
    assert "you have nothing that is paid in this currency" in says(yen)
    id, (gone, *_rest) = batch(shop)
    vouchers.revoke_batch(batch_id=id, staff=shop.staff.id, why="lost", now=NOW)
    assert "taken out of use" in says(gone)
    assert "This code is not valid." in says(wrong_code())
    assert "typing mistake" in says(wrong_code()[:-1])
    assert says("").count("This field is required") == 1


# -- guessing ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_guessing_ends_after_five_codes_and_says_for_how_long(shop: Shop) -> None:
    emma, (_, codes) = shop.people["emma"], batch(shop)
    client = signed_in(emma)
    statuses = [client.post("/voucher/", {"voucher": wrong_code()}).status_code for _ in range(6)]
    assert statuses == [422] * 5 + [429]
    locked = client.post("/voucher/", {"voucher": codes[0]})
    assert locked.status_code == 429
    assert re.search(r"Too many wrong codes\. .* try again in 1[45] minutes\.", text_of(locked))
    assert 840 < int(locked["Retry-After"]) <= 900
    assert held(emma) == 40_00, "not even the right one, meanwhile"
    assert signed_in(shop.people["xiaoyu"]).post("/voucher/", {"voucher": codes[0]}).status_code == 302


@pytest.mark.django_db
def test_a_typing_mistake_is_no_try_at_a_code_but_is_limited_too(shop: Shop) -> None:
    emma, (_, codes) = shop.people["emma"], batch(shop)
    client = signed_in(emma)
    mistyped = codes[0][:-1] + ("2" if codes[0][-1] != "2" else "3")
    assert {client.post("/voucher/", {"voucher": mistyped}).status_code for _ in range(12)} == {422}
    assert client.post("/voucher/", {"voucher": codes[0]}).status_code == 302
    statuses = [client.post("/voucher/", {"voucher": mistyped}).status_code for _ in range(8)]
    assert statuses == [422] * 7 + [429]
    assert "Too many tries. Please try again in 1 minute." in text_of(client.post("/voucher/", {"voucher": "?"}))


@pytest.mark.django_db
def test_somebody_with_many_cards_is_not_taken_for_a_guesser(shop: Shop) -> None:
    client, (_, codes) = signed_in(shop.people["emma"]), batch(shop, number=8)
    assert {client.post("/voucher/", {"voucher": code}).status_code for code in codes} == {302}
    assert {client.post("/voucher/", {"voucher": code}).status_code for code in codes} == {422}
    assert held(shop.people["emma"]) == 200_00


@pytest.mark.django_db
def test_many_accounts_at_one_address_guess_no_more_than_one(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from xuka.interfaces.web import vouchers as page

    monkeypatch.setitem(page.LIMITS, "voucher", "5/15m/user,3/d/ip,4/h/key")
    statuses = []
    for name in ("emma", "xiaoyu"):
        client = signed_in(shop.people[name])
        statuses += [client.post("/voucher/", {"voucher": wrong_code()}).status_code for _ in range(2)]
    assert statuses == [422, 422, 422, 429]
    elsewhere = signed_in(shop.people["sato"])
    statuses = [
        elsewhere.post("/voucher/", {"voucher": wrong_code()}, REMOTE_ADDR="192.0.2.7").status_code for _ in range(2)
    ]
    assert statuses == [422, 429], "and all together no more than the shop allows"


@pytest.mark.django_db
def test_whatever_is_typed_in_whatever_language_is_answered_in_words_and_moves_nothing(shop: Shop) -> None:
    before = ledger.totals()
    for language in LANGUAGES:
        client = signed_in(shop.people["emma"], language)
        for value in HOSTILE:
            cache.clear()
            answer = client.post("/voucher/", {"voucher": value, "order": value, "quote": value, "used": value})
            assert answer.status_code == 422, value[:20]
            assert f'<html lang="{LANG_OF.get(language, language)}"' in answer.content.decode()
            assert client.get("/voucher/", {"used": value, "order": value, "quote": value}).status_code == 200
    assert ledger.totals() == before


# -- what is kept --------------------------------------------------------------------------------------------------


@committed
def test_no_log_and_no_row_holds_a_code(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    staff, client = Client(), signed_in(shop.people["emma"])
    staff.force_login(shop.staff, backend=settings.AUTHENTICATION_BACKENDS[0])
    wrong = rules.grouped(wrong_code())
    with CaptureQueriesContext(connection) as asked:
        _, codes = made_by_staff(staff)
        for code in (codes[0], codes[0], codes[1], wrong, wrong[:-1]):
            client.post("/voucher/", {"voucher": code})
    seen = caplog.text + every_row() + "\n".join(one["sql"] for one in asked.captured_queries)
    assert 'INSERT INTO "payments_voucher"' in seen
    for code in (*codes, wrong):
        plain = code.replace("-", "")
        assert plain not in seen.replace("-", "").upper()
        assert plain[:8] not in seen.upper()


# -- the back office -----------------------------------------------------------------------------------------------

MAKE = "admin:payments_voucherbatch_make_view"
FORM = {"amount": "20", "currency": "EUR", "number": "3", "redeem_by": "2026-12-31", "why": "for the kiosk"}


def made_by_staff(staff: Client, **other: str) -> tuple[UUID, list[str]]:
    id = uuid4()
    answer = staff.post(reverse(MAKE), FORM | {"id": str(id)} | other)
    assert answer.status_code == 200, text_of(answer)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "no-store" in answer["Cache-Control"]
    rows = list(csv.DictReader(answer.content.decode().splitlines()))
    assert {(row["value"], row["currency"], row["redeem_by"]) for row in rows} == {("20.00", "EUR", "2026-12-31")}
    assert [row["serial"] for row in rows] == [f"{id.hex[:8].upper()}-{n:05}" for n in range(1, len(rows) + 1)]
    return id, [row["code"] for row in rows]


@pytest.fixture
def staff(shop: Shop) -> Client:
    client = Client()
    client.force_login(shop.staff, backend=settings.AUTHENTICATION_BACKENDS[0])
    return client


@pytest.mark.django_db
def test_staff_make_print_sell_and_revoke_a_batch(shop: Shop, staff: Client) -> None:
    emma = shop.people["emma"]
    id, codes = made_by_staff(staff)
    assert VoucherBatch.objects.get().redeem_by == datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    again = staff.post(reverse(MAKE), FORM | {"id": str(id)})
    assert (again.status_code, Voucher.objects.count()) == (302, 3), "the same form gives no codes again"
    assert redeem(emma, codes[0]) == "not_sold"
    step = reverse("admin:payments_voucherbatch_step", args=[id, "sell"])
    assert staff.post(step, {"why": "cash"}).status_code == 400, "sold to nobody"
    assert staff.post(step, {"to": "the kiosk", "why": "cash"}).status_code == 302
    assert redeem(emma, codes[0]) == "redeemed"
    one = Voucher.objects.get(serial__endswith="-00002")
    single = reverse("admin:payments_voucher_revoke", args=[one.id])
    assert staff.post(single, {"why": ""}).status_code == 400
    assert staff.post(single, {"why": "torn"}).status_code == 302
    assert staff.post(single, {"why": "torn"}).status_code == 400, "it says that it was done before"
    revoke = reverse("admin:payments_voucherbatch_step", args=[id, "revoke"])
    assert staff.post(revoke, {"why": "the kiosk closed"}).status_code == 302
    assert [redeem(emma, code) for code in codes] == ["already_used", "revoked", "revoked"]
    listed = text_of(staff.get(reverse("admin:payments_voucherbatch_changelist")))
    assert re.search(r"revoked €20\.00 3 1 0 2 2026-12-31", listed)
    page = text_of(staff.get(reverse("admin:payments_voucherbatch_change", args=[id])))
    assert "“the kiosk closed”" in page
    assert "the kiosk" in page
    serials = text_of(
        staff.get(reverse("admin:payments_voucher_changelist"), {"state": "redeemed", "q": one.serial[:9]})
    )
    assert emma.email in serials
    assert one.serial not in serials
    assert staff.get(reverse("admin:payments_voucher_change", args=[one.id])).status_code == 200
    assert {staff.get(url).status_code for url in (single, revoke, step)} == {400}, "nothing is left to decide"


@pytest.mark.django_db
def test_a_batch_that_makes_no_sense_is_refused_in_words(staff: Client) -> None:
    wrongs = [
        {"amount": "0"}, {"amount": "12.345"}, {"currency": "XXX"}, {"number": "10001"}, {"number": "0"}, {"why": " "},
        {"redeem_by": "2026-11-01"}, {"redeem_by": "soon"}, {"id": "no"}, {"number": "x" * 500},
    ]  # fmt: skip
    told = [staff.post(reverse(MAKE), FORM | {"id": str(uuid4())} | wrong).status_code for wrong in wrongs]
    assert told == [400] * len(wrongs)
    assert VoucherBatch.objects.count() == 0


@pytest.mark.django_db
def test_ten_thousand_are_made_at_once(staff: Client) -> None:
    _, codes = made_by_staff(staff, number="10000")
    assert len(set(codes)) == Voucher.objects.count() == 10_000
