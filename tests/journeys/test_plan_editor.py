"""Staff make plans: a version that was sold stays as it is, and whatever is refused is told beside its field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from tests.journeys import backoffice_world as world
from tests.journeys.web_world import Shop
from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import Plan, PlanVersion
from xuka.catalogue.rules import policy_of
from xuka.interfaces import clock
from xuka.interfaces.backoffice import plans
from xuka.interfaces.backoffice.plan_forms import PlanForm
from xuka.interfaces.backoffice.plans import PreviewForm
from xuka.journal.models import Fact
from xuka.renewals import operations as renewals

pytestmark = pytest.mark.django_db

WEEK = "be-week-3gb-day"
EDIT = f"/staff/catalogue/plan/{WEEK}/version/"
NEW = "/staff/catalogue/plan/new/"
DOCUMENT = """
period: {length: 1, unit: month, zone: Europe/Brussels, starts: activation}
quota:
  data:
    tiers: [{after_bytes: 10_000_000_000, kbps: 0}]
    window: period
    peak: null
    hotspot: {allowed: true}
    abroad: {allowed: false}
renewal: {mode: queue, max_ahead_days: 90}
"""
PLAN = {
    "slug": "be-month-10gb", "market": "BE", "network": "be-orange", "names.en": "Belgium, a month, 10 GB",
    "names.zh-hans": "比利时 一个月 10 GB", "seller": "Xuka Demo", "price": "15.00", "prices": "3 40.00 EUR",
    "carrier": "airalo", "package": "belsim-month-10gb", "cost": "8.50", "cost_currency": "USD", "on_sale": "on",
    "way": "document", "document": DOCUMENT,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _carrier(settings) -> Iterator[None]:
    settings.CARRIERS = {"airalo": {"connector": "tests.journeys.backoffice_world.carrier"}}
    world.forget()
    yield
    world.forget()


@pytest.fixture
def shop() -> Shop:
    return world.open_shop(clock.now())


@pytest.fixture
def staff(shop: Shop) -> Client:
    client = Client()
    client.force_login(shop.staff)
    return client


def stored() -> list[tuple[Any, ...]]:
    """Everything that a plan is made of, and how many facts there are."""
    versions = PlanVersion.objects.order_by("plan", "number").values_list()
    return [*versions, *Plan.objects.order_by("slug").values_list(), (Fact.objects.count(),)]


def as_sent(version: PlanVersion) -> dict[str, str]:
    """The form of a version's next one, as the page has it."""
    form = PlanForm(version=version)
    return {name: str(form.initial.get(name) or "") for name in form.fields}


def shown(answer: Any) -> str:
    """The page in words."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_a_new_plan_on_sale_is_quoted(shop: Shop, staff: Client) -> None:
    line = shop.card("emma", 90, WEEK, started_at=clock.now())
    assert staff.get(NEW).status_code == 200
    answer = staff.post(NEW, PLAN)
    version = catalogue.plan_by_slug("be-month-10gb")
    assert version is not None
    assert answer["Location"] == f"/staff/catalogue/planversion/{version.id}/change/"
    assert (version.number, version.price_minor, version.currency, version.cost_minor) == (1, 15_00, "EUR", 8_50)
    assert version.prices == [{"periods": 3, "minor": 40_00, "currency": "EUR"}]
    assert version.policy["period"]["unit"] == "month"
    assert version.plan.names == {"en": "Belgium, a month, 10 GB", "zh-hans": "比利时 一个月 10 GB"}
    fact = Fact.objects.get(what="plan.version_made", subject=version.id)
    assert fact.who == f"staff:{shop.staff.id}"
    quote = renewals.quote(
        line_id=line.id, plan_version_id=version.id, customer=shop.people["emma"].id, now=clock.now()
    )
    assert quote.total_minor == 15_00
    # The same form again makes nothing.
    before = stored()
    assert staff.post(NEW, PLAN).status_code == 302
    assert stored() == before


def test_a_new_version_leaves_the_sold_one_as_it_was(shop: Shop, staff: Client) -> None:
    sold = shop.plan(WEEK)
    before = PlanVersion.objects.values().get(id=sold.id)
    page = staff.get(EDIT)
    assert page.status_code == 200
    assert "What was sold under version 1 stays as it is." in shown(page)
    sent = as_sent(sold)
    # The fields say what the document says: sent back untouched they make no version.
    unchanged = stored()
    assert staff.post(EDIT, sent).status_code == 302
    assert stored() == unchanged
    sent |= {"price": "13.90", "policy.period.length": "8", "policy.quota.data.tiers.1.after_bytes": "5_000_000_000"}
    sent |= {
        "policy.quota.data.tiers.1.kbps": "0",
        "policy.quota.voice.minutes": "60",
        "policy.quota.voice.to": "market",
    }
    assert staff.post(EDIT, sent).status_code == 302
    assert PlanVersion.objects.values().get(id=sold.id) == before
    made = shop.plan(WEEK)
    assert (made.number, made.price_minor, made.policy["period"]["length"]) == (2, 13_90, 8)
    assert made.policy["quota"]["data"]["tiers"][1] == {"after_bytes": 5_000_000_000, "kbps": 0}
    assert made.policy["quota"]["voice"] == {"minutes": 60, "to": "market", "incoming_free": True}
    assert made.policy["quota"]["data"]["abroad"] == sold.policy["quota"]["data"]["abroad"]


def test_the_fields_say_what_every_policy_says(shop: Shop) -> None:
    versions = list(PlanVersion.objects.select_related("plan"))
    for version in versions:
        version.policy["auto"] = {"percent_left": [], "hours_before": [5, 3]}
        entry = PlanForm(as_sent(version), version=version).entry()
        assert entry is not None, version
        assert entry.policy == policy_of(version.policy), version
    assert len(versions) > 5


def test_two_who_write_at_once_are_told(shop: Shop, staff: Client) -> None:
    sold = shop.plan(WEEK)
    sent = as_sent(sold)
    staff.post(EDIT, sent | {"price": "13.90"})
    before = stored()
    answer = staff.post(EDIT, sent | {"price": "14.90"})
    assert answer.status_code == 400
    assert "slug: version 2 was made meanwhile: look at it first" in shown(answer)
    assert stored() == before


REFUSED = {
    "nothing of it": ({"document": "{}"}, "document", "line 1: period: this field is missing"),
    # All traffic is treated alike: no field names an app.
    "slower for an app": ({"document": DOCUMENT + "apps: [tv]"}, "document", "line 11: apps: there is no such field"),
    "no YAML": ({"document": "period: [1"}, "document", "line 1: "),
    "never bought": (
        {"document": DOCUMENT.replace("90", "20")},
        "document",
        "line 10: renewal.max_ahead_days: less than one period: it could never be bought",
    ),
    "no amount": ({"price": "free"}, "price", "Input should be an instance of Decimal"),
    "a price of nothing": ({"price": "0"}, None, "a price is more than nothing"),
    "half a cent": ({"price": "1.005"}, "price", "EUR has 2 decimals, not as many as 1.005"),
    "several cost more": ({"prices": "3 50.00 EUR"}, None, "3 periods in EUR cost more than 3 times one"),
    "no such prices": ({"prices": "three for forty"}, "prices", "Input should be a valid dictionary"),
    "another's name": ({"slug": WEEK}, "slug", f"there is a plan {WEEK}: make a new version of it"),
    "a bad name": ({"slug": "A month!"}, "slug", "String should match pattern"),
    "another market's network": ({"network": "jp-kddi"}, "network", "there is no network jp-kddi in BE"),
    "no such market": ({"market": "FR"}, "market", "Select a valid choice"),
    "no name": ({"names.en": ""}, "names.en", "This field is required"),
}


def refused(staff: Client, url: str, told: dict[str, str], version: PlanVersion | None = None) -> Any:
    """The form's reasons; the page is asked where the form alone finds none."""
    form = PlanForm(told, version=version)
    if form.entry() is not None:
        answer = staff.post(url, told)
        assert answer.status_code == 400
        form = answer.context["form"]
    return form.errors


def test_what_cannot_be_sold_is_refused_beside_its_field_and_nothing_is_stored(shop: Shop, staff: Client) -> None:
    before = stored()
    for case, (change, field, reason) in REFUSED.items():
        errors = refused(staff, NEW, PLAN | change)
        assert any(reason in text for text in errors.get(field or "__all__", [])), (case, errors)
    answer = staff.post(NEW, PLAN | {"document": "{}"})
    assert answer.status_code == 400
    assert "Nothing was stored. Each reason stands beside its field." in shown(answer)
    assert "line 1: period: this field is missing" in shown(answer)
    assert stored() == before


BY_FIELD = [
    ("policy.period.length", "400 years", "valid integer"),
    ("policy.period.length", "9" * 29, "less than or equal to 8784"),
    ("policy.period.zone", "Mars/Base", "there is no time zone called"),
    ("policy.period.unit", "decade", "Select a valid choice"),
    ("policy.quota.data.tiers.0.kbps", "-1", "greater than or equal to 0"),
    ("policy.quota.data.abroad.countries", "DE, XX", "not a country's code"),
    ("policy.quota.data.resets_at", "25:00", "HH:MM"),
    ("policy.renewal.max_ahead_days", "3", "less than one period: it could never be bought"),
]


def test_each_reason_stands_by_the_field_it_is_about(shop: Shop, staff: Client) -> None:
    before, sold = stored(), shop.plan(WEEK)
    sent = as_sent(sold)
    for field, value, reason in BY_FIELD:
        errors = refused(staff, EDIT, sent | {field: value}, sold)
        assert any(reason in text for text in errors[field]), (field, errors)
    answer = staff.post(EDIT, sent | {"policy.period.ends": "start_of_day"})
    assert answer.status_code == 400
    group = next(group for group in answer.context["form"].groups if group.name == "policy.period")
    assert group.errors == ["only months end at the midnight before: anything shorter could end before it starts"]
    assert stored() == before


def test_the_preview_draws_what_the_terms_would_do_and_stores_nothing(shop: Shop, staff: Client) -> None:
    before = stored()
    told = {
        "way": "document", "document": DOCUMENT, "do": "preview", "preview-start": "2026-01-31 10:00",
        "preview-renewed": "2026-02-01 10:00\n2026-03-30 09:00", "preview-used_up": "2026-02-02T10:00",
    }  # fmt: skip
    answer = staff.post(NEW, told)
    assert answer.status_code == 200
    words = shown(answer)
    # Month ends are counted from the 31st, and the clock stays at ten though summer time has begun.
    assert "31 January 2026, 10:00, valid through 28 February 2026, 10:00" in words
    assert "28 February 2026, 10:00, valid through 31 March 2026, 10:00" in words
    assert "Data used up: not possible (not when used up)" in words
    assert "Kept: All the time you have already paid for, through 28 February 2026, 10:00." in words
    assert answer.content.count(b'class="tl-drawing"') == 1
    assert stored() == before


WRONG_PREVIEWS = [
    ({"preview-start": ""}, "start", "Say when the card is bought."),
    ({"preview-start": "2026-03-29 02:30"}, "start", "never shows this time"),
    ({"preview-renewed": "2025-01-01 10:00"}, "start", "Something happens before the card is bought."),
    ({"preview-renewed": "soon"}, "renewed", "soon: write a moment as 2026-01-31T10:00"),
    ({"preview-renewed": "2026-02-01 10:00\n" * 50}, "renewed", "At most 50 moments."),
    ({"preview-zone": "Mars/Base"}, "zone", "there is no time zone called 'Mars/Base'"),
    ({"preview-zone": "../etc"}, "zone", "there is no time zone called '../etc'"),
]


def test_a_preview_that_cannot_be_made_says_why(shop: Shop, staff: Client) -> None:
    told = {"way": "document", "document": DOCUMENT, "do": "preview", "preview-start": "2026-01-31 10:00"}
    for change, field, reason in WRONG_PREVIEWS:
        form = PreviewForm(told | change, prefix="preview")
        assert plans.previewed(PlanForm(told | change), form) is None
        assert any(reason in text for text in form.errors[field]), change
    answer = staff.post(NEW, told | {"document": DOCUMENT.replace("90", "20")})
    assert answer.status_code == 400
    assert "it could never be bought" in shown(answer)


def test_a_plan_goes_off_sale_and_on_again_with_a_reason(shop: Shop, staff: Client) -> None:
    url = f"/staff/catalogue/plan/{WEEK}/sale/"
    assert "From now on nobody can buy this plan." in shown(staff.get(url))
    assert staff.post(url, {"on_sale": "no", "why": ""}).status_code == 400
    assert catalogue.plan_by_slug(WEEK) is not None
    for _ in range(2):
        assert staff.post(url, {"on_sale": "no", "why": "The carrier stops it."}).status_code == 302
    assert catalogue.plan_by_slug(WEEK) is None
    (fact,) = Fact.objects.filter(what="plan.set", why="The carrier stops it.")
    assert (fact.who, fact.before, fact.after) == (f"staff:{shop.staff.id}", {"on_sale": True}, {"on_sale": False})
    assert staff.post(url, {"on_sale": "yes", "why": "It is back."}).status_code == 302
    assert catalogue.plan_by_slug(WEEK) is not None


@pytest.mark.parametrize("url", [NEW, EDIT, f"/staff/catalogue/plan/{WEEK}/sale/"])
def test_only_staff_writes_plans(shop: Shop, url: str) -> None:
    customer, before = Client(), stored()
    customer.force_login(shop.people["emma"])
    for client, status in ((customer, 404), (Client(), 302)):
        assert client.get(url).status_code == status
        assert client.post(url, PLAN | {"why": "I want to"}).status_code == status
    assert stored() == before
