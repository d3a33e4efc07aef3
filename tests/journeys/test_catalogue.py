"""The catalogue is loaded from files: whole, or not at all and with a reason."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from xuka.catalogue import operations as catalogue
from xuka.catalogue import queries
from xuka.catalogue.models import Market, MarketPlan, Network, Plan, PlanVersion
from xuka.catalogue.operations import BadFile, Loaded
from xuka.catalogue.prices import PeriodPrice
from xuka.catalogue.rules import InvalidPolicy
from xuka.journal.models import Fact
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
DATA = settings.ROOT / "data"
# Markets, networks, plans, plans of others.
ENTRIES = 3 + 11 + 24 + 99


def load(path: Path, now: datetime = NOW) -> Loaded:
    return catalogue.load(path, who="seller", now=now)


def the_project_s_own(folder: Path, **changes: list[tuple[str, str]]) -> Path:
    """A copy of data/ in this folder; by file, each change is (old, new), and old must be there."""
    for file in DATA.glob("*.yaml"):
        text = file.read_text()
        for old, new in changes.get(file.stem.replace("-", "_"), []):
            assert old in text
            text = text.replace(old, new, 1)
        (folder / file.name).write_text(text)
    return folder


def rows() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Market, Network, Plan, PlanVersion, Fact))


# ---- the project's own data ---------------------------------------------------------------------------------------


def test_the_project_s_own_data_are_three_markets_eleven_networks_and_twenty_four_plans() -> None:
    assert load(DATA) == Loaded(files=4, markets=3, networks=11, plans=24, versions=24, market_plans=99, unchanged=0)
    belgium, japan, taiwan = queries.markets()
    assert (belgium.code, belgium.currency, belgium.zone, belgium.tax_basis_points) == (
        "BE",
        "EUR",
        "Europe/Brussels",
        2100,
    )
    assert (japan.code, japan.currency, japan.zone, japan.tax_basis_points) == ("JP", "JPY", "Asia/Tokyo", 1000)
    assert (taiwan.code, taiwan.currency, taiwan.zone, taiwan.tax_basis_points) == ("TW", "TWD", "Asia/Taipei", 500)
    assert [network.slug for network in queries.networks_of("BE")] == ["be-base", "be-digi", "be-orange", "be-proximus"]
    docomo = Network.objects.get(slug="jp-docomo")
    assert docomo.mcc_mnc == ["440-10"]
    assert "B19" in docomo.bands
    assert docomo.apns[0]["apn"] == "spmode.ne.jp"


PLANS = [
    ("be-week-3gb-day", "Proximus", 1290, "EUR", "belsim-7days-unlimited-topup", 700, "add"),
    ("be-month-60gb", "Orange Belgium", 2900, "EUR", "belsim-30days-unlimited-topup", 1700, "queue"),
    ("jp-week-3gb-day", "KDDI (au)", 1980, "JPY", "nihonsim-7days-unlimited-topup", 850, "queue"),
    ("jp-month-50gb", "NTT docomo", 4980, "JPY", "nihonsim-30days-unlimited-topup", 2100, "add"),
    ("tw-week-3gb-day", "Chunghwa Telecom 中華電信", 39_900, "TWD", "formosim-7days-unlimited-topup", 740, "add"),
    ("tw-1month-30gb", "FarEasTone 遠傳", 77_700, "TWD", "formosim-31days-unlimited-topup", 1420, "queue"),
]


@pytest.mark.parametrize(("slug", "network", "price", "currency", "package", "cost", "mode"), PLANS)
def test_each_demo_plan_is_sold_at_its_price_on_its_network(
    slug: str, network: str, price: int, currency: str, package: str, cost: int, mode: str
) -> None:
    load(DATA)
    (version,) = (v for v in queries.offers() if v.plan.slug == slug)
    assert (version.number, version.price_minor, version.currency) == (1, price, currency)
    assert (version.carrier, version.package, version.cost_minor, version.cost_currency) == (
        "airalo",
        package,
        cost,
        "USD",
    )
    assert version.plan.network.name == network
    assert queries.policy(version).renewal.mode == mode
    assert version.made_at == NOW


def test_every_fact_has_a_source_and_a_date() -> None:
    load(DATA)
    for row in (*Market.objects.all(), *Network.objects.all()):
        for fact in (*row.evidence.values(), *getattr(row, "apns", [])):
            assert fact["sources"]
            assert all(source["title"] for source in fact["sources"])
            assert date(2016, 1, 1) <= date.fromisoformat(fact["as_of"]) <= date(2026, 11, 29)
        assert row.source
        assert row.as_of == min(date.fromisoformat(fact["as_of"]) for fact in (*row.evidence.values(), *_apns(row)))


def _apns(row: Market | Network) -> list[dict[str, Any]]:
    return row.apns if isinstance(row, Network) else []


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("zh-hans", "日本 7 天不限量 · 每天 3 GB 高速"),
        ("zh-CN", "日本 7 天不限量 · 每天 3 GB 高速"),
        ("en", "Japan 7 days, unlimited: 3 GB a day at full speed"),
        ("fr", "Japon 7 jours, illimité : 3 GB par jour à pleine vitesse"),
        ("de", "Japan 7 days, unlimited: 3 GB a day at full speed"),
    ],
)
def test_a_plan_is_called_by_its_name_in_the_reader_s_language(language: str, name: str) -> None:
    load(DATA)
    assert queries.name(Plan.objects.get(slug="jp-week-3gb-day"), language) == name


# ---- again, and with new terms ------------------------------------------------------------------------------------


def test_loading_unchanged_files_again_changes_nothing() -> None:
    load(DATA)
    before, versions = rows(), set(PlanVersion.objects.values_list("id", flat=True))
    assert load(DATA, NOW + timedelta(days=1)) == Loaded(files=4, unchanged=ENTRIES)
    assert rows() == before
    assert set(PlanVersion.objects.values_list("id", flat=True)) == versions


THREE = '{periods: 3, price: {amount: "35.00", currency: EUR}}'
YEN = "{periods: 1, price: {amount: 2_100, currency: JPY}}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('amount: "12.90"', 'amount: "13.90"'),
        ('amount: "12.90", currency: EUR}', f'amount: "12.90", currency: EUR}}\n    prices: [{THREE}]'),
        ('amount: "7.00"', 'amount: "7.10"'),
        ("belsim-7days-unlimited-topup", "belsim-7days-unlimited-v2-topup"),
        ("belsim-7days-unlimited-topup", "belsim-7days-unlimited-topup\n    first_package: belsim-7days-unlimited"),
        ("length: 7, unit: rolling_day", "length: 8, unit: rolling_day"),
        ("mode: add, max_ahead_days: 365", "mode: add, max_ahead_days: 364"),
    ],
)
def test_new_terms_make_the_next_version_and_leave_the_old_one_as_it_was(tmp_path: Path, old: str, new: str) -> None:
    load(DATA)
    first = PlanVersion.objects.get(plan="be-week-3gb-day")
    folder = the_project_s_own(tmp_path, demo_plans=[(old, new)])
    assert load(folder, NOW + timedelta(days=1)) == Loaded(files=4, plans=1, versions=1, unchanged=ENTRIES - 1)
    plan = Plan.objects.select_related("current").get(slug="be-week-3gb-day")
    assert plan.current is not None
    assert (plan.current.number, plan.current.made_at) == (2, NOW + timedelta(days=1))
    assert (
        PlanVersion.objects.get(id=first.id).__dict__.items()
        >= {k: v for k, v in first.__dict__.items() if k != "_state"}.items()
    )
    assert queries.plan_version(first.id) == first, "a version no longer sold is still found"
    assert first not in queries.plans_on_sale("BE")
    facts = list(Fact.objects.filter(what="plan.version_made", subject=plan.current.id))
    assert [(fact.before, fact.after) for fact in facts] == [
        ({"number": 1, "version": str(first.id)}, {"plan": "be-week-3gb-day", "number": 2})
    ]


def test_a_plan_tells_what_several_periods_cost_and_what_one_costs_in_another_currency(tmp_path: Path) -> None:
    one = '12.90", currency: EUR}'
    load(the_project_s_own(tmp_path, demo_plans=[(one, f"{one}\n    prices: [{YEN}, {THREE}]")]))
    version = queries.plan_by_slug("be-week-3gb-day")
    assert version is not None
    assert queries.prices(version) == (
        PeriodPrice(1, Money(12_90, "EUR")), PeriodPrice(3, Money(35_00, "EUR")), PeriodPrice(1, Money(2_100, "JPY"))
    )  # fmt: skip


def test_terms_that_come_back_are_a_third_version(tmp_path: Path) -> None:
    load(DATA)
    load(the_project_s_own(tmp_path, demo_plans=[('"12.90"', '"13.90"')]))
    load(DATA)
    numbers = PlanVersion.objects.filter(plan="be-week-3gb-day").order_by("number")
    assert [(v.number, v.price_minor) for v in numbers] == [(1, 1290), (2, 1390), (3, 1290)]


def test_a_new_name_is_no_new_version(tmp_path: Path) -> None:
    load(DATA)
    load(the_project_s_own(tmp_path, demo_plans=[("Belgium 7 days", "Belgium, a week")]))
    assert PlanVersion.objects.filter(plan="be-week-3gb-day").count() == 1
    assert queries.name(Plan.objects.get(slug="be-week-3gb-day"), "en").startswith("Belgium, a week")


def test_a_plan_taken_off_sale_is_not_offered_and_keeps_its_version(tmp_path: Path) -> None:
    load(DATA)
    change = ("    price: {amount: 4980", "    on_sale: false\n    price: {amount: 4980")
    load(the_project_s_own(tmp_path, demo_plans=[change]))
    on_sale = [v.plan.slug for v in queries.plans_on_sale("JP")]
    assert ("jp-week-3gb-day" in on_sale, "jp-month-50gb" in on_sale, len(on_sale)) == (True, False, 9)
    assert PlanVersion.objects.filter(plan="jp-month-50gb").count() == 1


def test_one_file_is_enough_and_what_it_does_not_name_stays() -> None:
    load(DATA / "markets.yaml")
    load(DATA / "networks.yaml")
    assert load(DATA / "demo-plans.yaml") == Loaded(files=1, plans=24, versions=24)
    assert rows()[:4] == (3, 11, 24, 24)


def test_progress_is_told_entry_by_entry() -> None:
    told: list[tuple[int, int]] = []
    catalogue.load(DATA, who="seller", now=NOW, progress=lambda done, total: told.append((done, total)))
    assert told == [(n, ENTRIES) for n in range(1, ENTRIES + 1)]


def test_plans_on_sale_are_one_query_with_all_that_a_page_shows(django_assert_num_queries: Any) -> None:
    load(DATA)
    with django_assert_num_queries(1):
        shown = [(v.plan.network.name, v.plan.market.zone, v.plan.slug) for v in queries.plans_on_sale("BE")]
    assert shown[:3] == [
        ("BASE / Telenet", "Europe/Brussels", "be-day-1gb"),
        ("BASE / Telenet", "Europe/Brussels", "be-week-5gb"),
        ("Orange Belgium", "Europe/Brussels", "be-week-1gb-day"),
    ]
    assert len(shown) == 12


def test_what_is_offered_is_every_plan_on_sale_of_one_market_or_of_all() -> None:
    load(DATA)
    assert queries.offers("BE") == queries.plans_on_sale("BE")
    assert [v.plan.market_id for v in queries.offers()] == ["BE"] * 12 + ["JP"] * 10 + ["TW"] * 2
    assert queries.offers("FR") == []


def test_a_plan_is_found_by_its_name_in_addresses() -> None:
    load(DATA)
    found = queries.plan_by_slug("jp-week-3gb-day")
    assert found is not None
    assert (found.plan_id, found.number, found.price_minor) == ("jp-week-3gb-day", 1, 1980)
    assert queries.plan_by_slug("jp-week") is None


def test_a_plan_taken_off_sale_is_not_found_by_its_name(tmp_path: Path) -> None:
    load(
        the_project_s_own(
            tmp_path, demo_plans=[("    price: {amount: 4980", "    on_sale: false\n    price: {amount: 4980")]
        )
    )
    assert queries.plan_by_slug("jp-month-50gb") is None


def test_the_demo_has_every_length_calls_and_first_esims_in_both_markets() -> None:
    load(DATA)
    for market, networks in (("BE", 3), ("JP", 4)):
        new = [v for v in queries.offers(market) if v.first_package]
        policies = [queries.policy(v) for v in new]
        lengths = {(p.period.length, "month" if p.period.unit == "month" else "day") for p in policies}
        assert lengths >= {(1, "day"), (7, "day"), (15, "day"), (30, "day"), (1, "month"), (12, "month")}
        assert len({v.plan.network_id for v in new}) == networks
        assert {p.quota.voice is None for p in policies} == {True, False}
        assert {p.quota.data.window for p in policies} == {"local_day", "period"}
        assert all(p.ending.renewable_days for p in policies)
        assert all(v.package == f"{v.first_package}-topup" for v in new)


@pytest.mark.parametrize(
    ("language", "word"),
    [
        ("en", "unlimited"),
        ("zh-hans", "不限量"),
        ("zh-hant", "吃到飽"),
        ("ja", "無制限"),
        ("fr", "illimité"),
        ("nl", "onbeperkt"),
    ],
)
def test_no_plan_is_called_unlimited_without_its_cap(language: str, word: str) -> None:
    load(DATA)
    for version in queries.offers():
        name, data = queries.name(version.plan, language), queries.policy(version).quota.data
        cap = f"{data.tiers[0].after_bytes // 10**9}GB"
        assert cap in name.replace(" ", "")
        assert (word in name) == (data.tiers[0].kbps >= 384), name


# ---- months on a card ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", ["be-1month-100gb-talk", "jp-1month-30gb-talk"])
def test_months_on_a_card_keep_the_day_of_the_first_whether_they_wait_or_are_added(slug: str) -> None:
    load(DATA)
    version = queries.plan_by_slug(slug)
    assert version is not None
    where = ZoneInfo(version.plan.market.zone)
    start = datetime(2027, 1, 31, 10, 0, tzinfo=where).astimezone(UTC)
    line = lines.add_to_stock(
        iccid="8932020000000000127", carrier="airalo", claim_code="CODE", plan_version=version, who="seller", now=start
    )
    bought = {
        "line_id": line.id, "plan_version": version, "activated_at": start, "funded_at": start,
        "carrier_ends_at": None, "who": "seller", "now": start,
    }  # fmt: skip
    for _ in range(3):
        lines.open_period(order_id=ids.new(), ordinal=0, **bought)
    lines.start_due_periods(now=start + timedelta(days=80))
    entries = lines_queries.timeline(line, start + timedelta(days=80)).entries
    ends = [entry.span.ends_at.astimezone(where).replace(tzinfo=None).isoformat() for entry in entries]
    assert ends == ["2027-02-28T10:00:00", "2027-03-31T10:00:00", "2027-04-30T10:00:00"]
    assert {entry.period.anchored_at for entry in entries} == {"2027-01-31T10:00:00"}
    assert not any(entry.projected for entry in entries)


# ---- what others sell ----------------------------------------------------------------------------------------------


def test_what_others_sell_is_known_for_both_markets() -> None:
    load(DATA)
    assert [len(queries.market_plans(market)) for market in ("BE", "JP", "FR")] == [34, 65, 0]


def test_a_plan_of_others_is_told_as_its_sources_tell_it() -> None:
    load(DATA)
    viking = MarketPlan.objects.get(slug="be-mv-29")
    assert (viking.brand, viking.networks, viking.forms) == ("Mobile Vikings", ["be-proximus"], ["sim"])
    assert (viking.price_minor, viking.currency, viking.price_is_dated) == (2900, "EUR", True)
    assert (viking.length, viking.unit, viking.data_bytes) == (1, "month", 170_000_000_000)
    assert (viking.cap_bytes, viking.cap_window, viking.kbps_after) == (170_000_000_000, "period", 512)
    assert (viking.service, viking.as_of) == ("voice_sms", "2025 (inferred)")
    day = MarketPlan.objects.get(slug="jp-povo-24h")
    assert (day.price_minor, day.currency, day.price_is_dated, day.as_of) == (330, "JPY", False, "2026-05")
    assert (day.length, day.unit, day.unlimited, day.data_bytes, day.kbps_after) == (24, "hour", True, None, 128)


def test_what_no_source_tells_about_a_plan_of_others_stays_untold() -> None:
    load(DATA)
    silent = MarketPlan.objects.get(slug="jp-iij-travel-unlimited-10d")
    assert (silent.price_minor, silent.currency, silent.price_is_dated) == (None, "", False)
    assert (silent.unlimited, silent.data_bytes, silent.cap_bytes, silent.kbps_after) == (True, None, None, None)
    assert (silent.hotspot, silent.abroad, silent.renewal_rule, silent.as_of) == ("unknown", "unknown", "unknown", "")
    assert MarketPlan.objects.get(slug="jp-tabiesim").unlimited is None


def test_every_plan_of_others_names_its_sources_and_old_prices_are_marked() -> None:
    load(DATA)
    for plan in MarketPlan.objects.all():
        assert plan.sources
        assert all(set(source) == {"title", "url", "date"} and source["title"] for source in plan.sources)
        if plan.price_minor is not None and not plan.as_of.startswith(("2025", "2026")):
            assert plan.price_is_dated, plan.slug


def test_a_plan_of_others_cannot_be_bought() -> None:
    load(DATA)
    slugs = set(MarketPlan.objects.values_list("slug", flat=True))
    assert not slugs & {version.plan_id for version in PlanVersion.objects.all()}
    assert {version.plan.seller for version in queries.offers()} == {"Xuka Demo"}
    assert queries.plan_by_slug("jp-povo-24h") is None


def test_a_plan_of_others_that_changed_is_one_change(tmp_path: Path) -> None:
    load(DATA)
    folder = the_project_s_own(tmp_path, market_plans=[("price: {amount: 10, currency: EUR}", "price: null")])
    assert load(folder, NOW + timedelta(days=1)) == Loaded(files=4, market_plans=1, unchanged=ENTRIES - 1)
    assert MarketPlan.objects.get(slug="be-base-prepaid-10plus").price_minor is None
    facts = Fact.objects.filter(what="market_plans.set")
    assert sorted(len(fact.after["slugs"]) for fact in facts if fact.after) == [1, 99]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("networks: [be-base]", "networks: [jp-kddi]"), "market_plans.0.networks: there is no network jp-kddi in BE"),
        (("length: 30, unit: day", "length: 30, unit: null"), "market_plans.0: a length has a unit"),
        (("     sources: [base", "     sources: [nobody, base"), "there is no source called 'nobody'"),
        (("slug: be-base-prepaid-5,", "slug: be-base-prepaid-10plus,"), "be-base-prepaid-10plus is told twice"),
        (("renewal_rule: keeps_longest", "renewal_rule: whatever"), "market_plans.0.renewal_rule: Input should be"),
    ],
)
def test_a_plan_of_others_that_cannot_be_is_refused(tmp_path: Path, change: tuple[str, str], why: str) -> None:
    with pytest.raises(BadFile) as refused:
        load(the_project_s_own(tmp_path, market_plans=[change]))
    assert why in str(refused.value)
    assert rows() == (0, 0, 0, 0, 0)


# ---- files that are refused ---------------------------------------------------------------------------------------

# Where the first plan begins; the lines below are counted from here.
PLAN_LINE = (DATA / "demo-plans.yaml").read_text().splitlines().index("  - slug: be-week-3gb-day") + 1

BAD_PLANS = [
    (("market: BE", "market: XX"), 1, "plans.0.market: 'XX' is not a country's code (ISO 3166-1 alpha-2)"),
    (("market: BE", "market: FR"), 1, "plans.0.market: there is no market FR"),
    (("network: be-proximus", "network: be-none"), 2, "plans.0.network: there is no network be-none in BE"),
    (("network: be-proximus", "network: jp-kddi"), 2, "plans.0.network: there is no network jp-kddi in BE"),
    (("seller: Xuka Demo", "Seller: Xuka Demo"), 0, "plans.0.seller: this field is missing"),
    (('amount: "12.90"', 'amount: "12.905"'), 5, "plans.0.price: EUR has 2 decimals, not as many as 12.905"),
    (('amount: "12.90"', "amount: 0"), 0, "plans.0: a price is more than nothing"),
    (
        ("    carrier: airalo", "    prices: [{periods: 2, price: {amount: 26, currency: EUR}}]\n    carrier: airalo"),
        0, "plans.0: 2 periods in EUR cost more than 2 times one",
    ),
    (('amount: "12.90"', 'amount: "-1"'), 5, "plans.0.price.amount: Input should be an instance of Decimal"),
    (("currency: EUR", "currency: EURO"), 5, "plans.0.price.currency: 'EURO' is not a currency (ISO 4217)"),
    (("currency: EUR", "currency: JPY"), 5, "plans.0.price: JPY has 0 decimals, not as many as 12.90"),
    (('amount: "12.90", currency: EUR', "amount: 12, currency: USD"), 5, "plans.0.price: prices in BE are in EUR"),
    (("carrier: airalo", "carrier: airalos"), 6, "plans.0.carrier: there is no carrier airalos"),
    (("length: 7", "length: 7.0"), 10, "plans.0.policy.period.length: Input should be a valid integer"),
    (("resets_at: 00:00", "resets_at: 0:00"), 15, "quota.data.resets_at: a time of day is written HH:MM"),
    (("countries: [DE", "countries: [NO, D"), 19, "quota.data.abroad.countries.1: 'D' is not a country's code"),
    (("mode: add", "mode: add, mode: queue"), 20, "mode is told twice"),
    (("slug: be-month-60gb", "slug: be-week-3gb-day"), None, "plans.1.slug: plan be-week-3gb-day is told twice"),
    (("peak: null", "peak: *later"), 17, "aliases are not used here"),
    (("peak: null", "peak: !!python/object:os.system {}"), 17, "python/object:os.system is not used here"),
    (("peak: null", "peak: {"), None, "expected ',' or '}'"),
    (("    seller: Xuka Demo", "\tseller: Xuka Demo"), 4, "found character '\\t' that cannot start any token"),
    (("seller: Xuka Demo", 'seller: "Xuka\\0Demo"'), 4, "a character that is not allowed"),
    (("seller: Xuka Demo", "seller: Xuka\u0000Demo"), 4, "a character that is not allowed"),
    (("seller: Xuka Demo", "seller: ''"), 4, "plans.0.seller: String should have at least 1 character"),
    (("slug: be-week-3gb-day", "slug: Be Week"), 0, "plans.0.slug: String should match pattern"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "lines_down", "why"), BAD_PLANS)
def test_a_bad_plan_is_refused_with_file_line_and_reason(
    tmp_path: Path, change: tuple[str, str], lines_down: int | None, why: str
) -> None:
    folder = the_project_s_own(tmp_path, demo_plans=[change])
    with pytest.raises(BadFile) as refused:
        load(folder)
    problem = refused.value.problems[0]
    assert problem.file == folder / "demo-plans.yaml"
    assert why in problem.reason
    if lines_down is not None:
        assert problem.line == PLAN_LINE + lines_down
    assert str(refused.value).startswith(f"{folder}/demo-plans.yaml:{problem.line}: ")
    assert rows() == (0, 0, 0, 0, 0), "not even the good files beside it"


@pytest.mark.parametrize(
    ("file", "change", "why"),
    [
        ("markets", ("value: 2100\n      sources: [vat-be]", "value: 2100\n      sources: []"), "at least 1 item"),
        ("markets", ("sources: [vat-be]", "sources: [nobody]"), "there is no source called 'nobody'"),
        ("markets", ("as_of: 2017-01-01", "as_of: 2017-02-30"), "day is out of range for month"),
        ("markets", ("as_of: 2017-01-01", "as_of: 2017"), "a date is written YYYY-MM-DD"),
        ("markets", ("value: Europe/Brussels", "value: Europe/Bruxelles"), "no time zone called 'Europe/Bruxelles'"),
        ("networks", ('value: ["206-01"]', "value: [206.01]"), "Input should be a valid string"),
        ("networks", ('value: ["206-01"]', 'value: ["20601"]'), "String should match pattern"),
        ("networks", ("sources: [lineage, mbpi]", "sources: [lineage, mbpj]"), "there is no source called 'mbpj'"),
        ("networks", ("slug: be-orange", "slug: be-proximus"), "network be-proximus is told twice"),
    ],
)
def test_a_fact_without_a_good_value_source_or_date_is_refused(
    tmp_path: Path, file: str, change: tuple[str, str], why: str
) -> None:
    folder = the_project_s_own(tmp_path, **{file: [change]})
    with pytest.raises(BadFile) as refused:
        load(folder)
    assert why in str(refused.value)
    assert str(refused.value).startswith(f"{folder}/{file}.yaml:")
    assert rows() == (0, 0, 0, 0, 0)


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    changes = [("network: be-proximus", "network: be-none"), ("carrier: airalo", "carrier: nobody")]
    with pytest.raises(BadFile) as refused:
        load(the_project_s_own(tmp_path, demo_plans=changes))
    assert [p.line - PLAN_LINE for p in refused.value.problems] == [2, 6]


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        (b"plans:\n  - caf\xe9\n", 2, "the file is not UTF-8"),
        (b"plans: []\n---\nplans: []\n", 2, "but found another document"),
        (b"plans: [" + b"[" * 5000, 1, "nested too deeply"),
        (b"plans:\n" + b"- - " * 3000, 2, "nested too deeply"),
        (b"- 1\n", 1, "Input should be a valid dictionary"),
        (b"hello", 1, "Input should be a valid dictionary"),
        (b"? [1, 2]\n: 3\n", 1, "a field's name is a text"),
        (b"sources: {}\nshops: []\n", 2, "shops: there is no such field"),
        (b"plans: " + b"9" * 5000, 1, "Input should be a valid tuple"),
    ],
)
def test_what_is_no_catalogue_file_is_refused_with_its_line(
    tmp_path: Path, content: bytes, line: int, why: str
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    with pytest.raises(BadFile) as refused:
        load(file)
    assert (refused.value.problems[0].line, why in refused.value.problems[0].reason) == (line, True), str(refused.value)
    assert rows() == (0, 0, 0, 0, 0)


def test_a_file_that_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="the file cannot be read: No such file or directory"):
        load(tmp_path / "none.yaml")
    with pytest.raises(BadFile, match=r"there is no \.yaml file in this folder"):
        load(tmp_path)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert load(tmp_path) == Loaded(files=1)


def test_a_market_keeps_its_currency_and_a_plan_its_market(tmp_path: Path) -> None:
    load(DATA)
    before = rows()
    with pytest.raises(BadFile, match="a market keeps its currency, here EUR"):
        load(the_project_s_own(tmp_path, markets=[("value: EUR", "value: USD")]))
    (tmp_path / "markets.yaml").unlink()
    (tmp_path / "networks.yaml").unlink()
    (tmp_path / "market-plans.yaml").unlink()
    moved = (tmp_path / "demo-plans.yaml").read_text()
    moved = moved.replace("market: BE\n    network: be-proximus", "market: JP\n    network: jp-kddi")
    (tmp_path / "demo-plans.yaml").write_text(moved.replace('"12.90", currency: EUR', "1290, currency: JPY"))
    with pytest.raises(BadFile, match="a plan stays in its market, here BE"):
        load(tmp_path)
    assert rows() == before


# ---- versions never change ----------------------------------------------------------------------------------------


def test_a_plan_version_cannot_be_changed_or_deleted_by_anybody() -> None:
    load(DATA)
    version = PlanVersion.objects.get(plan="be-week-3gb-day")
    Plan.objects.update(current=None)
    version.price_minor = 1
    for attempt in (
        version.save,
        version.delete,
        lambda: PlanVersion.objects.update(package="another"),
        PlanVersion.objects.all().delete,
    ):
        with pytest.raises(IntegrityError, match="A plan version never changes"), transaction.atomic():
            attempt()
    version.refresh_from_db()
    assert (version.price_minor, version.package) == (1290, "belsim-7days-unlimited-topup")
    assert PlanVersion.objects.count() == 24


def test_a_version_whose_policy_is_none_cannot_be_stored() -> None:
    load(DATA)
    good = PlanVersion.objects.get(plan="be-week-3gb-day")
    terms = {"plan": good.plan, "number": 2, "price_minor": 1, "currency": "EUR", "carrier": "airalo", "package": "p"}
    bad = PlanVersion(id=ids.new(), policy={"period": {}}, cost_minor=0, cost_currency="USD", made_at=NOW, **terms)
    with pytest.raises(InvalidPolicy, match=r"period\.length: this field is missing"), transaction.atomic():
        bad.save()
    with pytest.raises(InvalidPolicy), transaction.atomic():
        PlanVersion.objects.bulk_create([bad])
    assert PlanVersion.objects.filter(plan="be-week-3gb-day").count() == 1


def test_a_plan_has_one_version_of_each_number() -> None:
    load(DATA)
    twin = PlanVersion.objects.get(plan="be-week-3gb-day")
    twin.id = ids.new()
    twin._state.adding = True
    with pytest.raises(IntegrityError, match="plan_version_number"), transaction.atomic():
        twin.save(force_insert=True)
