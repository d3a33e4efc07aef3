"""Airalo's published answers, read by ``wire.py``: exact values, and whatever is unlisted is unknown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xuka.activation.contract import Activation, Esim, Offer, Reason, Usage
from xuka.connectors.carriers.airalo import wire
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Refused, Unknown

FIXTURES = Path(wire.__file__).parent / "fixtures"


def published(name: str, *, status: int | None = None) -> wire.Answer:
    """A published answer; ``status`` replaces its own."""
    kept = json.loads((FIXTURES / f"{name}.json").read_text())
    content = json.dumps(kept["body"]).encode()
    return wire.answer_of(status=status or kept["status"], content=content, headers=kept["headers"])


def made_up(body: Any, status: int = 200, **headers: str) -> wire.Answer:
    return wire.answer_of(status=status, content=json.dumps(body).encode(), headers=headers)


def test_every_fixture_says_where_it_comes_from() -> None:
    found = sorted(FIXTURES.glob("*.json"))
    assert len(found) > 20
    for path in found:
        kept = json.loads(path.read_text())
        assert kept["source"].startswith("developers.partners.airalo.com/"), path.name
        assert kept["note"], path.name


def test_the_signature_is_that_of_the_carriers_own_sdk() -> None:
    payload = {
        "package_id": "bonbon-mobile-30days-3gb-topup",
        "iccid": "89340000000000872",
        "description": "order 42/7",
    }
    assert wire.signature("test-secret", payload).startswith("a38ea9161fd7d2f7bdab22545ddefbcf")
    assert len(wire.signature("test-secret", payload)) == 128


def test_text_outside_ascii_is_never_signed() -> None:
    with pytest.raises(AssertionError):
        wire.signature("test-secret", {"description": "续卡"})


def test_a_token_is_read() -> None:
    assert wire.token_of(published("token")) == Done("<access token>")


@pytest.mark.parametrize("name", ["token_wrong_secret", "token_wrong_client"])
def test_wrong_credentials_are_not_authorised(name: str) -> None:
    outcome = wire.token_of(published(name))
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.retry_after) == (Reason.NOT_AUTHORISED, None)


def test_offers_carry_the_net_price() -> None:
    assert wire.offers_of(published("topups")) == Done(
        (
            Offer("bonbon-mobile-30days-3gb-topup", Money(800, "USD")),
            Offer("bonbon-mobile-30days-5gb-topup", Money(1120, "USD")),
            Offer("bonbon-mobile-30days-10gb-topup", Money(1840, "USD")),
        )
    )


def test_offers_under_discount_pricing_cost_the_price_less_the_discount() -> None:
    assert wire.offers_of(published("topups_discount_pricing")) == Done(
        (
            Offer("bonbon-mobile-30days-3gb-topup", Money(800, "USD")),
            Offer("bonbon-mobile-30days-5gb-topup", Money(1120, "USD")),
            Offer("bonbon-mobile-30days-10gb-topup", Money(1840, "USD")),
        )
    )


def test_no_offers_is_an_answer() -> None:
    assert wire.offers_of(published("topups_none")) == Done(())


@pytest.mark.parametrize("status", [404, 200])
def test_an_unknown_card_is_refused_under_either_status(status: int) -> None:
    for read in (wire.offers_of, wire.usage_of):
        outcome = read(published("not_found", status=status))
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.retry_after) == (Reason.CARD_UNKNOWN, None)


@pytest.mark.parametrize("status", [422, 200])
def test_a_recycled_card_is_refused_under_either_status_and_its_number_is_masked(status: int) -> None:
    outcome = wire.offers_of(published("recycled", status=status))
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.retry_after) == (Reason.CARD_RECYCLED, None)
    assert "8910300000005271146" not in outcome.detail
    assert "…1146" in outcome.detail


def test_a_top_up_is_read() -> None:
    outcome = wire.activation_of(
        published("topup"),
        key="Topup (873000000000042542)",
        iccid="873000000000042542",
        package="change-7days-1gb-topup",
    )
    assert outcome == Done(
        Activation(
            reference="111",
            key="Topup (873000000000042542)",
            iccid="873000000000042542",
            package="change-7days-1gb-topup",
            activated_at=datetime(2025, 11, 18, 13, 37, 7, tzinfo=UTC),
            ends_at=None,
        )
    )


@pytest.mark.parametrize(
    ("key", "package"), [("another key", "change-7days-1gb-topup"), ("Topup (873000000000042542)", "other-topup")]
)
def test_a_top_up_of_something_else_is_unknown(key: str, package: str) -> None:
    outcome = wire.activation_of(published("topup"), key=key, iccid="873000000000042542", package=package)
    assert outcome == Unknown("status 200: an order for something else")


EVERY_CODE = [
    ("error_11", Reason.SELLER_OUT_OF_CREDIT, timedelta(minutes=5)),
    ("error_13", Reason.MAINTENANCE, timedelta(minutes=1)),
    ("error_14", Reason.BAD_REQUEST, None),
    ("error_23", Reason.TOP_UP_DISABLED, None),
    ("error_33", Reason.OUT_OF_STOCK, timedelta(minutes=1)),
    ("error_34", Reason.OUT_OF_STOCK, None),
    ("error_43", Reason.BAD_REQUEST, None),
    ("recycled", Reason.CARD_RECYCLED, None),
    ("not_allowed", Reason.NOT_AUTHORISED, None),
    ("topup_invalid_package", Reason.PACKAGE_UNKNOWN, None),
    ("topup_fields_missing", Reason.BAD_REQUEST, None),
    ("topup_limit", Reason.BAD_REQUEST, None),
    ("not_found", Reason.CARD_UNKNOWN, None),
    ("too_many", Reason.RATE_LIMITED, timedelta(seconds=42)),
]


@pytest.mark.parametrize(("name", "reason", "retry_after"), EVERY_CODE, ids=[name for name, *_ in EVERY_CODE])
def test_every_documented_refusal_has_its_reason(name: str, reason: Reason, retry_after: timedelta | None) -> None:
    outcome = wire.activation_of(published(name), key="k", iccid="8", package="p")
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.retry_after) == (reason, retry_after)


def test_something_unexpected_is_unknown_because_it_may_have_acted() -> None:
    outcome = wire.activation_of(published("error_53"), key="k", iccid="8", package="p")
    assert outcome == Unknown("status 422 code 53")


@pytest.mark.parametrize(
    "answer",
    [
        made_up({"code": 99, "reason": "new"}, 422),
        made_up({"message": "Server Error"}, 500),
        made_up({"code": 13, "reason": "in a 5xx even a known code proves nothing"}, 502),
        made_up({"data": {}}, 202),
        made_up({"data": {"id": 1}}),
        made_up([1, 2]),
        made_up("text"),
        made_up(None),
        made_up({}, 302),
        made_up({}, 404),
        made_up({}, 403),
        wire.answer_of(status=200, content=b"<html>", headers={}),
        wire.answer_of(status=200, content=b"\xff\xfe", headers={}),
        wire.answer_of(status=200, content=b"[" * 200_000, headers={}),
    ],
)
def test_an_unlisted_answer_to_a_purchase_is_unknown(answer: wire.Answer) -> None:
    assert isinstance(wire.activation_of(answer, key="k", iccid="8", package="p"), Unknown)


def test_too_many_without_a_time_waits_half_a_minute_and_never_longer_than_a_day() -> None:
    for headers, wait in (
        ({}, timedelta(seconds=30)),
        ({"retry-after": "soon"}, timedelta(seconds=30)),
        ({"retry-after": "99999999999"}, timedelta(days=1)),
    ):
        answer = wire.answer_of(status=429, content=b"Too Many Attempts", headers=headers)
        assert wire.refusal_of(answer) == Refused(Reason.RATE_LIMITED, wait, "429 Too Many Attempts")


def test_usage_is_read_with_its_date() -> None:
    assert wire.usage_of(published("usage")) == Done(
        Usage(
            as_of=datetime(2021, 12, 31, 12, tzinfo=UTC),
            unlimited=False,
            remaining_bytes=749_023_437,
            total_bytes=2_000_000_000,
            expires_at=datetime(2022, 1, 1, tzinfo=UTC),
            status="ACTIVE",
        )
    )


def test_usage_of_an_unlimited_plan_has_no_volumes() -> None:
    outcome = wire.usage_of(published("usage_unlimited"))
    assert isinstance(outcome, Done)
    assert (outcome.value.unlimited, outcome.value.remaining_bytes, outcome.value.total_bytes) == (True, None, None)


def test_usage_of_a_recycled_card_is_refused() -> None:
    outcome = wire.usage_of(published("usage_recycled"))
    assert isinstance(outcome, Refused)
    assert outcome.reason == Reason.CARD_RECYCLED


def test_usage_without_a_date_is_unknown() -> None:
    kept = json.loads((FIXTURES / "usage.json").read_text())
    assert isinstance(wire.usage_of(made_up(kept["body"])), Unknown)


def test_the_balance_is_read() -> None:
    assert wire.balance_of(published("balance")) == Done(Money(10_050, "USD"))


@pytest.mark.parametrize("amount", [True, None, "NaN", "1e999", "lots", [], 10**13])
def test_a_balance_that_is_no_number_is_unknown(amount: object) -> None:
    body = {"data": {"balances": {"availableBalance": {"amount": amount, "currency": "USD"}}}}
    assert isinstance(wire.balance_of(made_up(body)), Unknown)


def test_no_account_is_unknown_not_zero() -> None:
    assert isinstance(wire.balance_of(made_up({"data": {"balances": []}, "meta": {"message": "success"}})), Unknown)


def test_a_listed_order_is_adopted_only_when_key_package_and_card_are_the_same() -> None:
    exact = {
        "key": "Example description to identify the order",
        "iccid": "891000000000009125",
        "package": "kallur-digital-7days-1gb",
    }
    listed = wire.listed_of(published("orders"), **exact)
    assert isinstance(listed, wire.Listed)
    assert [one.reference for one in listed.confirmed] == ["9666"]
    assert (listed.unconfirmed, listed.last_page) == ((), 1)
    for part, other in (("key", "Example"), ("iccid", "891000000000009106"), ("package", "kallur-digital")):
        nothing = wire.listed_of(published("orders"), **(exact | {part: other}))
        assert nothing == wire.Listed((), (), 1)


def test_a_listed_order_of_an_unlisted_status_is_unknown() -> None:
    kept = json.loads((FIXTURES / "orders.json").read_text())["body"]
    key, iccid, package = kept["data"][0]["description"], "891000000000009125", "kallur-digital-7days-1gb"
    for slug, expected in (("failed", ()), ("refunded", ()), ("partially_refunded", None), ("new", None)):
        kept["data"][0]["status"] = {"name": "", "slug": slug}
        listed = wire.listed_of(made_up(kept), key=key, iccid=iccid, package=package)
        if expected is None:
            assert isinstance(listed, Unknown)
        else:
            assert isinstance(listed, wire.Listed)
            assert listed.confirmed == expected


def test_a_list_without_its_last_page_is_unknown_not_empty() -> None:
    assert isinstance(wire.listed_of(made_up({"data": []}), key="k", iccid="8", package="p"), Unknown)


def test_a_cards_history_counts_the_package() -> None:
    package = "bonbon-mobile-30days-3gb-topup"
    assert wire.carries(published("history"), package=package, count=2) is True
    assert wire.carries(published("history"), package=package, count=3) is False
    assert wire.carries(published("history"), package="other", count=1) is False
    assert isinstance(wire.carries(made_up({}), package=package, count=1), Unknown)


NEW = {"key": "Example description to identify the order", "package": "uki-mobile-15days-2gb"}


def test_a_new_esim_is_read_with_its_profile() -> None:
    code = "YVTGM-5LZC6-PIC56-KFEZJ"
    esim = Esim(
        smdp_address="RSP-3088.IDEMIA.IO",
        matching_id=code,
        confirmation_code="",
        msisdn="883190601604295",
        apn="globaldata",
        apple_url=f"https://esimsetup.apple.com/esim_qrcode_provisioning?carddata=LPA:1$RSP-3088.IDEMIA.IO${code}",
    )
    assert esim.lpa == f"LPA:1$RSP-3088.IDEMIA.IO${code}"
    assert wire.issued_of(published("order"), **NEW) == Done(
        Activation(
            reference="583747",
            key=NEW["key"],
            iccid="8944465400003573253",
            package=NEW["package"],
            activated_at=datetime(2025, 4, 15, 14, 2, 38, tzinfo=UTC),
            esim=esim,
        )
    )


def test_a_one_tap_link_of_another_esim_is_not_passed_on() -> None:
    issued = wire.issued_of(published("order_discount_pricing"), key=NEW["key"], package="kallur-digital-7days-1gb")
    assert isinstance(issued, Done)
    assert issued.value.esim == Esim("lpa.airalo.com", "TEST")


def test_the_profile_is_in_no_repr() -> None:
    issued = wire.issued_of(published("order"), **NEW)
    assert "RSP-3088" in repr(issued)
    for secret in ("YVTGM", "883190601604295", "carddata"):
        assert secret not in repr(issued)


def test_a_confirmation_code_is_asked_for_by_the_qr_code() -> None:
    assert Esim("a.example", "CODE", "1234").lpa == "LPA:1$a.example$CODE$$1"


@pytest.mark.parametrize(
    ("name", "reason", "retry_after"),
    [
        ("order_invalid_package", Reason.PACKAGE_UNKNOWN, None),
        ("order_no_stock", Reason.OUT_OF_STOCK, timedelta(minutes=1)),
        ("error_11", Reason.SELLER_OUT_OF_CREDIT, timedelta(minutes=5)),
        ("error_33", Reason.OUT_OF_STOCK, timedelta(minutes=1)),
    ],
)
def test_a_refused_purchase_tells_why(name: str, reason: Reason, retry_after: timedelta | None) -> None:
    refused = wire.issued_of(published(name), **NEW)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.retry_after) == (reason, retry_after)


@pytest.mark.parametrize(
    "change",
    [
        {"description": "another"},
        {"package_id": "another"},
        {"type": "topup"},
        {"sims": []},
        {"sims": None},
        {"sims": [{}, {}]},
        {"sims": [{"iccid": "8944465400003573253"}]},
        {"sims": [{"iccid": "1234", "lpa": "a.example", "matching_id": "CODE"}]},
        {"sims": [{"iccid": "8944465400003573253", "lpa": "a.example", "matching_id": "<script>"}]},
        {"sims": [{"iccid": "8944465400003573253", "lpa": "a", "matching_id": "B", "qrcode": "LPA:1$a$C"}]},
    ],
)
def test_an_order_that_does_not_tell_one_esim_that_can_be_installed_is_unknown(change: dict[str, Any]) -> None:
    body = json.loads((FIXTURES / "order.json").read_text())["body"]
    body["data"] |= change
    assert isinstance(wire.issued_of(made_up(body), **NEW), Unknown)


def test_a_profile_told_by_its_qr_code_alone_is_read() -> None:
    body = json.loads((FIXTURES / "order.json").read_text())["body"]
    del body["data"]["sims"][0]["lpa"], body["data"]["sims"][0]["matching_id"]
    issued = wire.issued_of(made_up(body), **NEW)
    assert isinstance(issued, Done)
    assert issued.value.esim is not None
    assert issued.value.esim.lpa == "LPA:1$RSP-3088.IDEMIA.IO$YVTGM-5LZC6-PIC56-KFEZJ"


def test_new_esims_are_found_in_the_list_by_key_and_package_exactly() -> None:
    exact = {"key": NEW["key"], "package": "kallur-digital-7days-1gb"}
    listed = wire.listed_issued_of(published("orders"), **exact)
    assert isinstance(listed, wire.Listed)
    (found,) = listed.confirmed
    assert (found.reference, found.iccid, found.esim) == ("9666", "891000000000009125", Esim("lpa.airalo.com", "TEST"))
    assert (listed.unconfirmed, listed.last_page) == ((), 1)
    for part in ("key", "package"):
        nothing = wire.listed_issued_of(published("orders"), **(exact | {part: exact[part][:-1]}))
        assert nothing == wire.Listed((), (), 1)


def test_a_listed_purchase_that_does_not_tell_its_esim_is_unconfirmed() -> None:
    body = json.loads((FIXTURES / "orders.json").read_text())["body"]
    del body["data"][0]["sims"]
    listed = wire.listed_issued_of(made_up(body), key=NEW["key"], package="kallur-digital-7days-1gb")
    assert isinstance(listed, wire.Listed)
    assert (listed.confirmed, [id for id, _ in listed.unconfirmed]) == ((), [9666])
    assert isinstance(wire.listed_issued_of(made_up({"data": []}), **NEW), Unknown)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["data", "meta", "code", "reason", "id", "message", "balances", "status", "package", "last_page"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100)
@given(body=_json, status=st.sampled_from([200, 201, 401, 403, 404, 422, 429, 500]))
def test_no_answer_makes_a_reader_fall_over_or_believe(body: Any, status: int) -> None:
    answer = made_up(body, status)
    for outcome in (
        wire.activation_of(answer, key="k", iccid="8", package="p"),
        wire.usage_of(answer),
        wire.balance_of(answer),
        wire.token_of(answer),
    ):
        assert isinstance(outcome, Refused | Unknown)
    wire.offers_of(answer)
    wire.listed_of(answer, key="k", iccid="8", package="p")
    assert not isinstance(wire.issued_of(answer, key="k", package="p"), Done)
    wire.listed_issued_of(answer, key="k", package="p")
    assert isinstance(wire.issued_order_of(answer), Unknown)
    wire.carries(answer, package="p", count=1)
