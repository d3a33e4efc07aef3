"""What a plan may say: the policy document, and what follows from it. Pure.

The rules are named as in the reference of renewal rules: R-01 rolling hours, R-03 calendar days, R-04 whose midnight,
R-05 the same day next month, R-06 month ends, R-34 a daily quota, R-36 steps of speed.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Annotated, Any, Generic, Literal, Self, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from babel.core import get_global
from babel.numbers import is_currency
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from xuka.kernel.money import Money, decimals, from_major
from xuka.kernel.span import Span


class InvalidPolicy(ValueError):
    """The document is not a policy; the sentence says where and why."""


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@cache
def _countries() -> frozenset[str]:
    """ISO 3166-1 alpha-2, as CLDR lists the territories in which people speak a language."""
    listed = get_global("territory_languages")
    return frozenset(code for code in listed if re.fullmatch("[A-Z]{2}", code)) - {"ZZ"}


def _zone(name: str) -> str:
    if name not in _zones():
        raise ValueError(f"there is no time zone called {name!r}")
    return name


def _country(code: str) -> str:
    if code not in _countries():
        raise ValueError(f"{code!r} is not a country's code (ISO 3166-1 alpha-2)")
    return code


def _local_time(text: object) -> object:
    if isinstance(text, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text, flags=re.ASCII):
        return time(int(text[:2]), int(text[3:]))
    raise ValueError("a time of day is written HH:MM, from 00:00 to 23:59")


Zone = Annotated[str, AfterValidator(_zone)]
Country = Annotated[str, AfterValidator(_country)]
LocalTime = Annotated[time, BeforeValidator(_local_time), PlainSerializer(lambda at: f"{at:%H:%M}", return_type=str)]
Bytes = Annotated[int, Field(ge=0, le=10**18)]
Kbps = Annotated[int, Field(ge=0, le=10**9)]


class _Part(BaseModel):
    """A part of the document: nothing unknown, nothing converted, never changed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Period(_Part):
    """How long a bought period lasts.

    ``rolling_day``: ``length`` times 24 h, to the second (R-01). ``calendar_day``: the day of the start in ``zone``
    counts as day 1, the end is the midnight after the last day (R-03). ``month``: the end is the same date and time on
    the clock in ``zone``, ``length`` months on (R-05); where that month is too short, its last day (R-06). ``zone`` is
    also where its times are shown.
    """

    length: Annotated[int, Field(ge=1, le=366)]
    unit: Literal["rolling_day", "calendar_day", "month"]
    zone: Zone
    starts: Literal["activation"]

    @model_validator(mode="after")
    def _a_year_of_months(self) -> Self:
        if self.unit == "month" and self.length > 12:
            raise ValueError("a period is at most 12 months")
        return self


class Tier(_Part):
    """A step of speed: once ``after_bytes`` were used in the window, ``kbps`` is the most; 0 is blocked."""

    after_bytes: Bytes
    kbps: Kbps


class Peak(_Part):
    """Hours of every day in which ``kbps`` is the most; they may pass midnight (22:00 to 02:00)."""

    from_time: LocalTime = Field(alias="from")
    to_time: LocalTime = Field(alias="to")
    zone: Zone
    kbps: Kbps

    @model_validator(mode="after")
    def _some_hours(self) -> Self:
        if self.from_time == self.to_time:
            raise ValueError("peak hours begin and end at different times")
        return self


class Hotspot(_Part):
    """Sharing the connection; ``cap_bytes`` None is no cap of its own."""

    allowed: bool
    cap_bytes: Bytes | None = None

    @model_validator(mode="after")
    def _cap_of_something(self) -> Self:
        if not self.allowed and self.cap_bytes is not None:
            raise ValueError("a hotspot that is not allowed has no cap")
        return self


class Abroad(_Part):
    """Use in other countries than the market; ``cap_bytes`` a period, None is no cap of its own."""

    allowed: bool
    countries: Annotated[tuple[Country, ...], Field(strict=False)] = ()
    cap_bytes: Bytes | None = None

    @model_validator(mode="after")
    def _where(self) -> Self:
        if self.allowed != bool(self.countries):
            raise ValueError("countries are named exactly when use abroad is allowed")
        if not self.allowed and self.cap_bytes is not None:
            raise ValueError("use abroad that is not allowed has no cap")
        if len(set(self.countries)) < len(self.countries):
            raise ValueError("a country is named once")
        return self


class Data(_Part):
    """How much data, how fast.

    ``unlimited`` is never said without its cap: there is a tier, or the explicit ``cap: none``. ``window`` is the time
    over which use is counted: the whole period, or days that begin at ``resets_at`` in ``zone`` (R-04, R-34).
    """

    tiers: Annotated[tuple[Tier, ...], Field(strict=False)] = ()
    cap: Literal["none"] | None = None
    window: Literal["local_day", "period"]
    resets_at: LocalTime | None = None
    zone: Zone | None = None
    peak: Peak | None
    hotspot: Hotspot
    abroad: Abroad

    @model_validator(mode="after")
    def _cap_is_told(self) -> Self:
        if bool(self.tiers) == (self.cap is not None):
            raise ValueError("name at least one tier, or say 'cap: none'")
        return self

    @model_validator(mode="after")
    def _slower_and_slower(self) -> Self:
        for before, after in zip(self.tiers, self.tiers[1:], strict=False):
            if after.after_bytes <= before.after_bytes or after.kbps >= before.kbps:
                raise ValueError("each tier begins after the one before it and is slower")
        return self

    @model_validator(mode="after")
    def _whose_day(self) -> Self:
        told = (self.resets_at is not None, self.zone is not None)
        if self.window == "local_day" and told != (True, True):
            raise ValueError("a window of local days needs resets_at and zone")
        if self.window == "period" and told != (False, False):
            raise ValueError("a window of the whole period has no resets_at and no zone")
        return self


Reach = Literal["market", "everywhere"]


class Voice(_Part):
    """Calls: ``minutes`` a period (None is unlimited) to numbers of the market, or of every country."""

    minutes: Annotated[int, Field(ge=1, le=10**6)] | None
    to: Reach
    incoming_free: bool = True


class Sms(_Part):
    """Texts: ``messages`` a period (None is unlimited) to numbers of the market, or of every country."""

    messages: Annotated[int, Field(ge=1, le=10**6)] | None
    to: Reach


class Quota(_Part):
    """What a period contains; ``voice`` and ``sms`` None are not in it."""

    data: Data
    voice: Voice | None = None
    sms: Sms | None = None


class Renewal(_Part):
    """What buying again before the end does.

    ``add``: the new period is booked at once, after all that is booked. ``queue``: it waits and starts when the one
    before it ends. ``max_ahead_days``: how far from now the end may then lie.
    """

    mode: Literal["add", "queue"]
    max_ahead_days: Annotated[int, Field(ge=1, le=3660)] = 365


class Ending(_Part):
    """What becomes of a card after its last period; None is not told.

    ``renewable_days``: for how many days after the end it can still be renewed. ``number_kept``: whether it has its
    number until then.
    """

    renewable_days: Annotated[int, Field(ge=0, le=3660)] | None = None
    number_kept: bool | None = None


class Policy(_Part):
    """The terms of a plan version, typed."""

    period: Period
    quota: Quota
    renewal: Renewal
    ending: Ending = Ending()


def policy_of(document: Mapping[str, Any]) -> Policy:
    """The policy that a document says.

    Raises:
        InvalidPolicy: a field is missing, unknown or wrong; the sentence names each and says why.
    """
    try:
        return Policy.model_validate(document)
    except ValidationError as wrong:
        raise InvalidPolicy("; ".join(f"{'.'.join(map(str, path))}: {why}" for path, why in reasons(wrong))) from wrong


def document_of(policy: Policy) -> dict[str, Any]:
    """The policy as a document of plain JSON values: ``policy_of(document_of(p)) == p``."""
    return policy.model_dump(mode="json", by_alias=True)


def reasons(wrong: ValidationError) -> list[tuple[tuple[int | str, ...], str]]:
    """Where in the document, and why, for each thing that is wrong."""
    return [(error["loc"], _sentence(error["type"], error["msg"])) for error in wrong.errors(include_url=False)]


def _sentence(kind: str, message: str) -> str:
    plain = {"extra_forbidden": "there is no such field", "missing": "this field is missing"}
    return plain.get(kind, message.removeprefix("Value error, "))


def period_of(period: Period, start: datetime, *, anchor: datetime | None = None) -> Span:
    """The span of a period that starts at ``start`` (aware UTC); aware UTC, half open, never empty.

    Periods that start where the one before ends tile: no gap and no overlap, in every zone (R-01, R-03).

    Args:
        anchor: the date-time on the clock in the period's zone, without offset, at which the first period of its run
            started. Ends of months are counted from it, so that 31 January, 28 February, 31 March follow each other.
    """
    assert start.tzinfo is not None, "times are aware"
    start = start.astimezone(UTC)
    if period.unit == "rolling_day":
        return Span(start, start + timedelta(days=period.length))
    if period.unit == "month":
        anchor = anchor_of(period, start, anchor)
        months = _months_since(anchor, start, period.zone) or 0
        return Span(start, instant_of(_months_on(anchor, months + period.length), period.zone))
    first_day = start.astimezone(ZoneInfo(period.zone)).date()
    return Span(start, day_start(first_day + timedelta(days=period.length), period.zone))


def anchor_of(period: Period, start: datetime, anchor: datetime | None = None) -> datetime:
    """The anchor (on the clock in the period's zone, without offset) of a period that starts at ``start``.

    It is the run's, where that is given and ``start`` lies whole months after it; else the period begins a run.
    """
    if anchor is not None and _months_since(anchor, start, period.zone) is not None:
        return anchor
    return start.astimezone(ZoneInfo(period.zone)).replace(tzinfo=None)


def _months_since(anchor: datetime, start: datetime, zone: str) -> int | None:
    """How many months after the anchor ``start`` is, from 0; None where it is not a whole number of them."""
    local = start.astimezone(ZoneInfo(zone))
    near = (local.year - anchor.year) * 12 + local.month - anchor.month
    # A jump of the clocks over a month's last midnight puts the start into the next month.
    return next((n for n in (near, near - 1) if n >= 0 and instant_of(_months_on(anchor, n), zone) == start), None)


def _months_on(anchor: datetime, months: int) -> datetime:
    years, month = divmod(anchor.month - 1 + months, 12)
    last = monthrange(anchor.year + years, month + 1)[1]
    return anchor.replace(year=anchor.year + years, month=month + 1, day=min(anchor.day, last))


def day_start(day: date, zone: str) -> datetime:
    """The instant (aware UTC) at which the calendar in ``zone`` turns to ``day`` for good.

    Where clocks jump over midnight it is the jump. Where they go back over midnight it is the second midnight, since
    the hour before it is the day before once more; where they go back to midnight it is the first.
    """
    midnight = datetime.combine(day, time())
    first = instant_of(midnight, zone)
    second = midnight.replace(tzinfo=ZoneInfo(zone), fold=1).astimezone(UTC)
    moment_before = (second - timedelta(seconds=1)).astimezone(ZoneInfo(zone))
    return second if second > first and moment_before.date() < day else first


def instant_of(local: datetime, zone: str) -> datetime:
    """The instant (aware UTC) of a local date-time without offset.

    One that happens twice means the first time; one that a jump of the clocks leaves out means the jump.
    """
    where = ZoneInfo(zone)
    early, late = (local.replace(tzinfo=where, fold=fold).astimezone(UTC) for fold in (1, 0))
    if early >= late:
        return late
    # In a jump: fold=1 reads the clock after it and lies before it, fold=0 the other way round.
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        if middle.astimezone(where).replace(tzinfo=None) < local:
            early = middle
        else:
            late = middle
    return late


def next_reset(data: Data, now: datetime) -> datetime | None:
    """When the data window next begins anew after ``now``, aware UTC; None when it does only with the period (R-04)."""
    if data.resets_at is None or data.zone is None:
        return None
    today = now.astimezone(ZoneInfo(data.zone)).date()
    days = (today + timedelta(days=n) for n in (-1, 0, 1, 2))
    resets = (instant_of(datetime.combine(day, data.resets_at), data.zone) for day in days)
    return min(reset for reset in resets if reset > now)


@dataclass(frozen=True, slots=True)
class Cap:
    """Full-speed data: ``bytes`` in each ``window``; None only where the plan explicitly has no cap."""

    bytes: int | None
    window: Literal["local_day", "period"]


@dataclass(frozen=True, slots=True)
class Reset:
    """The time of day, in ``zone``, at which the cap begins anew."""

    at: time
    zone: str


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The six facts that a customer is told before paying, as values.

    Attributes:
        cap: how much at full speed.
        speed_after: the steps after the cap, the first first; () where there is no cap. 0 kbps is blocked.
        reset: when the cap begins anew; None where it does only with the next period.
        peak: hours with a lower speed; None where there are none.
        hotspot, abroad: as the policy has them.
    """

    cap: Cap
    speed_after: tuple[Tier, ...]
    reset: Reset | None
    peak: Peak | None
    hotspot: Hotspot
    abroad: Abroad


def disclosure(policy: Policy) -> Disclosure:
    """The six facts of this policy: cap, speed after it, reset, peak, hotspot, abroad."""
    data = policy.quota.data
    return Disclosure(
        cap=Cap(data.tiers[0].after_bytes if data.tiers else None, data.window),
        speed_after=data.tiers,
        reset=Reset(data.resets_at, data.zone) if data.resets_at is not None and data.zone is not None else None,
        peak=data.peak,
        hotspot=data.hotspot,
        abroad=data.abroad,
    )


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a customer is told about renewing before paying, as values.

    Attributes:
        max_ahead_days: a card can be renewed now already, as long as the new end is at most so many days ahead.
        renewable_days: for how many days after the end it can still be renewed; None is not told.
        number_kept: whether the card has its number until then; None is not told.
        mode: whether an early renewal is booked at once (add) or waits for its turn (queue).
        kept, lost: what an early renewal leaves and takes, in the kinds of ``renewals.rules.Stacked``.
        history_kept: whether what was bought and used stays to be seen.
        refunds: when the money goes back: until the carrier was asked, and when the carrier refuses.
    """

    max_ahead_days: int
    renewable_days: int | None
    number_kept: bool | None
    mode: Literal["add", "queue"]
    kept: tuple[Literal["number", "time", "data", "queued"], ...]
    lost: tuple[Literal["part_of_first_day"], ...]
    history_kept: bool
    refunds: tuple[Literal["until_asked", "refused"], ...]


def conditions(policy: Policy) -> Conditions:
    """The conditions under which a card with this policy is renewed."""
    return Conditions(
        max_ahead_days=policy.renewal.max_ahead_days,
        renewable_days=policy.ending.renewable_days,
        number_kept=policy.ending.number_kept,
        mode=policy.renewal.mode,
        kept=("number", "time", "data", "queued") if policy.renewal.mode == "queue" else ("number", "time", "data"),
        lost=("part_of_first_day",) if policy.period.unit == "calendar_day" else (),
        history_kept=True,
        refunds=("until_asked", "refused"),
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """An offer among those that are compared; prices of one comparison are in one currency.

    ``days``: see ``days_of``. ``span``: what it would book if bought now; None where that is not asked.
    """

    slug: str
    price_minor: int
    days: Fraction
    span: Span | None = None


def days_of(period: Period, span: Span | None = None) -> Fraction:
    """How many days a period has: its days, or those on the calendar from start to end of the span that is quoted.

    Without a span a month counts as the twelfth of 365 days.
    """
    if period.unit != "month":
        return Fraction(period.length)
    if span is None:
        return Fraction(365 * period.length, 12)
    first, last = (at.astimezone(ZoneInfo(period.zone)).date() for at in (span.starts_at, span.ends_at))
    return Fraction((last - first).days)


def price_per_day(price_minor: int, days: Fraction | int) -> Fraction:
    """What a day costs, in minor units, exactly; whoever shows it rounds it."""
    return Fraction(price_minor) / days


def saving_basis_points(choice: Choice, comparable: Iterable[Choice]) -> int:
    """How much less a day costs than with the shortest of these, in basis points, rounded down.

    2500 is a quarter less; 0 for the shortest itself; negative where a day costs more. The cheapest of several that
    are equally short counts.
    """
    shortest = min([choice, *comparable], key=lambda c: (c.days, c.price_minor))
    rest = price_per_day(choice.price_minor, choice.days) / price_per_day(shortest.price_minor, shortest.days)
    return int((1 - rest) * 10_000 // 1)


def cheapest_that_reaches(choices: Iterable[Choice], until: datetime) -> Choice | None:
    """The cheapest choice whose span lasts to ``until``; of equally cheap ones that which ends first, then by slug.

    None where none lasts so long.
    """
    reach = [(c.price_minor, c.span.ends_at, c.slug, c) for c in choices if c.span and c.span.ends_at >= until]
    return min(reach, key=lambda row: row[:3])[-1] if reach else None


def _currency(code: str) -> str:
    if not is_currency(code):
        raise ValueError(f"{code!r} is not a currency (ISO 4217)")
    return code


def _amount(given: object) -> object:
    if isinstance(given, str) and re.fullmatch(r"\d{1,9}(\.\d{1,4})?", given, flags=re.ASCII):
        return Decimal(given)
    return Decimal(given) if isinstance(given, int) and not isinstance(given, bool) else given


def _date(text: object) -> object:
    if isinstance(text, str):
        return date.fromisoformat(text)
    raise ValueError("a date is written YYYY-MM-DD")


Currency = Annotated[str, AfterValidator(_currency)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
Name = Annotated[str, Field(min_length=1, max_length=80)]
Day = Annotated[date, BeforeValidator(_date)]
Keys = Annotated[tuple[Slug, ...], Field(strict=False, min_length=1)]
T = TypeVar("T")


class Source(_Part):
    """Where a fact is from. ``as_of``: the day on which the source said so."""

    title: Name
    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=500)] | None = None
    licence: Name | None = None
    as_of: Day


class Fact(_Part, Generic[T]):
    """A value with its sources (keys of the file's ``sources``); ``as_of`` where it differs from theirs."""

    value: T
    sources: Keys
    as_of: Day | None = None
    note: Annotated[str, Field(max_length=1000)] = ""


class Apn(_Part):
    """An access point name, as phones ship with it."""

    brand: Name
    apn: Name
    user: Name | None = None
    password: Name | None = None
    auth: Literal["none", "PAP", "CHAP", "PAP or CHAP"] | None = None
    protocol: Literal["IPV4", "IPV6", "IPV4V6"] | None = None
    sources: Keys
    as_of: Day | None = None
    note: Annotated[str, Field(max_length=1000)] = ""


class MarketEntry(_Part):
    """A market, as a catalogue file tells it."""

    code: Country
    currency: Fact[Currency]
    zone: Fact[Zone]
    tax_basis_points: Fact[Annotated[int, Field(ge=0, le=10_000)]]
    identification: Fact[Annotated[str, Field(min_length=1, max_length=4000)]]


class NetworkEntry(_Part):
    """A network, as a catalogue file tells it."""

    slug: Slug
    market: Country
    name: Fact[Name]
    mcc_mnc: Fact[Annotated[tuple[Annotated[str, Field(pattern=r"^\d{3}-\d{2,3}$")], ...], Field(strict=False)]]
    bands: Fact[Annotated[tuple[Annotated[str, Field(pattern=r"^[Bn]\d{1,3}$")], ...], Field(strict=False)]]
    apns: Annotated[tuple[Apn, ...], Field(strict=False)] = ()


class Price(_Part):
    """An exact amount in major units; never more decimals than its currency has."""

    amount: Annotated[Decimal, BeforeValidator(_amount), Field(ge=0, le=10**9)]
    currency: Currency

    @model_validator(mode="after")
    def _exact(self) -> Self:
        if from_major(self.amount, self.currency).major != self.amount:
            raise ValueError(f"{self.currency} has {decimals(self.currency)} decimals, not as many as {self.amount}")
        return self

    @property
    def money(self) -> Money:
        return from_major(self.amount, self.currency)


class Names(_Part):
    """What a plan is called, by language; English stands in for those that are left out."""

    en: Name
    zh_hans: Name = Field(alias="zh-hans")
    ja: Name | None = None
    fr: Name | None = None
    nl: Name | None = None


class PlanEntry(_Part):
    """A plan with the terms it is sold under now, as a catalogue file tells it.

    ``package`` renews a card, ``first_package`` is a new eSIM; "" where only renewals are sold.
    """

    slug: Slug
    market: Country
    network: Slug
    names: Names
    seller: Name
    on_sale: bool = True
    price: Price
    carrier: Annotated[str, Field(min_length=1, max_length=40)]
    package: Annotated[str, Field(min_length=1, max_length=120)]
    first_package: Annotated[str, Field(max_length=120)] = ""
    cost: Price
    policy: Policy

    @model_validator(mode="after")
    def _not_free(self) -> Self:
        if not self.price.amount:
            raise ValueError("a price is more than nothing")
        return self


class Mention(_Part):
    """Where a market plan is described, dated in the source's own words; None is undated."""

    title: Annotated[str, Field(min_length=1, max_length=120)]
    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=500)] | None
    date: Name | None


class MarketPlanEntry(_Part):
    """A plan that somebody else sells or sold, for information; None is not told by its sources."""

    slug: Slug
    market: Country
    brand: Name
    name: Name
    status: Literal["on_sale", "ended", "unknown"]
    networks: Annotated[tuple[Slug, ...], Field(strict=False)]
    forms: Annotated[tuple[Literal["sim", "esim"], ...], Field(strict=False)]
    service: Literal["data", "voice_sms", "unknown"]
    price: Price | None
    price_is_dated: bool
    length: Annotated[int, Field(ge=1, le=366)] | None
    unit: Literal["hour", "day", "rolling_day", "calendar_day", "month", "calendar_month"] | None
    data_bytes: Bytes | None
    unlimited: bool | None
    cap_bytes: Bytes | None
    cap_window: Literal["period", "day", "calendar_month", "three_days"] | None
    kbps_after: Kbps | None
    hotspot: Literal["allowed", "forbidden", "unknown"]
    abroad: Literal["none", "eu", "world", "unknown"]
    renewal_rule: Literal["adds", "queues", "replaces", "keeps_longest", "independent", "unknown"]
    sources: Keys
    as_of: Annotated[str, Field(min_length=1, max_length=60)] | None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.length is None) != (self.unit is None):
            raise ValueError("a length has a unit")
        if (self.cap_bytes is None) != (self.cap_window is None):
            raise ValueError("a cap has a window")
        if self.unlimited and self.data_bytes is not None:
            raise ValueError("what is unlimited has a cap, not a volume")
        return self


class CatalogueFile(_Part):
    """One file of the catalogue; each list may be left out."""

    sources: dict[Slug, Source] = {}
    market_plan_sources: dict[Slug, Mention] = {}
    markets: Annotated[tuple[MarketEntry, ...], Field(strict=False)] = ()
    networks: Annotated[tuple[NetworkEntry, ...], Field(strict=False)] = ()
    plans: Annotated[tuple[PlanEntry, ...], Field(strict=False)] = ()
    market_plans: Annotated[tuple[MarketPlanEntry, ...], Field(strict=False)] = ()
