"""What a plan may say: the policy document, and what follows from it. Pure.

The rules are named as in the reference of renewal rules: R-01 rolling hours, R-02 rounding, R-03 calendar days, R-04
whose midnight, R-05 the same day next month, R-06 and R-07 month ends, R-09 calendar months, R-11 what starts the
clock, R-12 to R-20 buying again before the end, R-34 a daily quota, R-36 steps of speed.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
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
    GetJsonSchemaHandler,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from xuka.catalogue.prices import MOST_PERIODS, PeriodPrice, misfits
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


class Means:
    """What each word that a field can be means, told beside its type: pages and forms read it there."""

    def __init__(self, **sentences: str) -> None:
        self.sentences = sentences

    def __get_pydantic_json_schema__(self, core: Any, schema_of: GetJsonSchemaHandler) -> dict[str, Any]:
        """The field's JSON schema, and these sentences as its ``x-means``."""
        return {**schema_of(core), "x-means": self.sentences}


class _Part(BaseModel):
    """A part of the document: nothing unknown, nothing converted, never changed."""

    # Frozen, a part can be the key of a cache; pyright does not see that.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Period(_Part):
    """How long a bought period lasts: R-01 to R-11. It is half open, ``[start, end)``."""

    length: Annotated[
        int,
        Field(
            ge=1,
            le=8784,
            description="How many units: of hours as many as a year has, of days up to 366, of months up to 12.",
            examples=[7],
        ),
    ]
    unit: Annotated[
        Literal["hour", "rolling_day", "calendar_day", "month", "calendar_month"],
        Field(description="What is counted.", examples=["calendar_day"]),
        Means(
            hour="60 minutes, to the second; when clocks change, the end moves on the clock, not in time (R-08)",
            rolling_day="24 hours, to the second: 7 days from Saturday 16:00 in Brussels before summer time end on "
            "Saturday 17:00 (R-01)",
            calendar_day="the day of the start in `zone` is day 1, however late it is, and the end is the midnight "
            "after the last day; a day that the calendar leaves out is none (R-03)",
            month="the end is the same day and time on the clock in `zone`, so many months on, also over a change of "
            "clocks (R-05)",
            calendar_month="the month of the start in `zone` is the first, however late it is, and the end is the "
            "midnight after the last day of the last: bought on 30 June at 23:00 it lasts an hour, and the page says "
            "so (R-09)",
        ),
    ]
    zone: Annotated[
        Zone,
        Field(
            description="Whose clock and midnight count, by its IANA name; times of the period are shown there.",
            examples=["Asia/Tokyo"],
        ),
    ]
    starts: Annotated[
        Literal["activation", "first_use", "payment"],
        Field(description="What starts the clock (R-11).", examples=["activation"]),
        Means(
            activation="that the carrier has taken it",
            first_use="the first use of the card, where nothing else runs on it",
            payment="that it was paid",
        ),
    ]
    start_by_days: Annotated[
        Annotated[int, Field(ge=1, le=366)] | None,
        Field(
            description="How many days after the payment a period that starts with its first use has waited enough; "
            "told exactly for these.",
            examples=[180],
        ),
    ] = None
    unused: Annotated[
        Literal["starts", "lapses"],
        Field(description="What becomes then of a period that nobody used.", examples=["lapses"]),
        Means(starts="it starts by itself", lapses="it is void"),
    ] = "starts"
    ends: Annotated[
        Literal["exact", "end_of_hour", "end_of_day", "start_of_day"],
        Field(
            description="The carrier's rounding in `zone`, where what lies on a boundary stays there (R-02).",
            examples=["end_of_day"],
        ),
        Means(
            exact="the end as counted",
            end_of_hour="the end of the hour in which the end lies",
            end_of_day="the end of the day in which the end lies: 24 hours bought at 00:05 last to the midnight after "
            "the next",
            start_of_day="of months: the midnight before, so that 1 January goes to the end of 31 January (R-07)",
        ),
    ] = "exact"
    month_end: Annotated[
        Literal["clamp", "roll", "sticky"],
        Field(description="What a month does that lacks the day (R-06, R-07).", examples=["sticky"]),
        Means(
            clamp="its last day: 31 January, 28 February, 31 March",
            roll="what begins on the 29th, 30th or 31st is counted from the 1st after: 31 January, 1 March, 1 April",
            sticky="from a last day to last days: 28 February, 31 March, 30 April",
        ),
    ] = "clamp"

    def __hash__(self) -> int:
        """Little, for it is asked at every step of the calendar; pydantic's own would hash every field."""
        return hash((self.length, self.unit, self.zone))

    @model_validator(mode="after")
    def _a_year_at_most(self) -> Self:
        if self.unit in {"month", "calendar_month"} and self.length > 12:
            raise ValueError("a period is at most 12 months")
        if self.unit != "hour" and self.length > 366:
            raise ValueError("a period is at most 366 days")
        return self

    @model_validator(mode="after")
    def _starts_some_day(self) -> Self:
        if (self.starts == "first_use") != (self.start_by_days is not None):
            raise ValueError("start_by_days is told exactly for a period that starts with its first use")
        if self.unused == "lapses" and self.starts != "first_use":
            raise ValueError("only a period that waits for its first use lapses")
        return self

    @model_validator(mode="after")
    def _ends_once(self) -> Self:
        if self.month_end != "clamp" and self.unit != "month":
            raise ValueError("month_end is of months that are counted from a day")
        if self.ends != "exact" and self.unit in {"calendar_day", "calendar_month"}:
            raise ValueError("days and months of the calendar end at midnight, and are not rounded")
        if self.ends == "start_of_day" and self.unit != "month":
            raise ValueError("only months end at the midnight before: anything shorter could end before it starts")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _told(self, write(self), first="length unit zone starts")


def _told(part: BaseModel, document: dict[str, Any], first: str) -> dict[str, Any]:
    """The document without the fields that came after the ``first`` ones and say nothing: what was sold before these
    fields were there is written as it was."""
    silent = {name for name, field in type(part).model_fields.items() if getattr(part, name) == field.default}
    return {name: value for name, value in document.items() if name in first.split() or name not in silent}


class Tier(_Part):
    """A step of speed (R-36)."""

    after_bytes: Annotated[
        Bytes,
        Field(description="How much is used in the window when this speed begins, in bytes.", examples=[3 * 10**9]),
    ]
    kbps: Annotated[
        Kbps, Field(description="The most speed from then on, in kilobits a second; 0 is blocked.", examples=[1000])
    ]


class Peak(_Part):
    """Hours of every day with a lower speed; they may pass midnight (22:00 to 02:00)."""

    from_time: LocalTime = Field(alias="from", description="When the hours begin, HH:MM.", examples=["12:00"])
    to_time: LocalTime = Field(
        alias="to", description="When they end, HH:MM; before `from` it is on the next day.", examples=["13:00"]
    )
    zone: Annotated[Zone, Field(description="Whose clock, by its IANA name.", examples=["Asia/Tokyo"])]
    kbps: Annotated[Kbps, Field(description="The most speed in these hours, in kilobits a second.", examples=[3000])]

    @model_validator(mode="after")
    def _some_hours(self) -> Self:
        if self.from_time == self.to_time:
            raise ValueError("peak hours begin and end at different times")
        return self


class Hotspot(_Part):
    """Sharing the connection with other devices."""

    allowed: Annotated[bool, Field(description="Whether the connection can be shared.", examples=[True])]
    cap_bytes: Annotated[
        Bytes | None,
        Field(
            description="How much of a period's data can be shared, in bytes; null is no cap of its own.",
            examples=[10**9],
        ),
    ] = None

    @model_validator(mode="after")
    def _cap_of_something(self) -> Self:
        if not self.allowed and self.cap_bytes is not None:
            raise ValueError("a hotspot that is not allowed has no cap")
        return self


class Stay(_Part):
    """How many days in a row a card works abroad at full speed (R-39). They run from the first use there, whether it is
    used or not, until it is used in its own market."""

    days: Annotated[
        int, Field(ge=1, le=366, description="How many, the day of the first use being day 1.", examples=[15])
    ]
    kbps: Annotated[
        Kbps,
        Field(
            description="The most speed from the midnight after them, in kilobits a second; 0 is blocked.",
            examples=[128],
        ),
    ]
    zone: Annotated[Zone, Field(description="Whose midnight, by its IANA name.", examples=["Asia/Tokyo"])]


class Abroad(_Part):
    """Use in other countries than the market."""

    allowed: Annotated[bool, Field(description="Whether the card works abroad.", examples=[True])]
    countries: Annotated[
        tuple[Country, ...],
        Field(
            strict=False,
            description="Where it does, by ISO 3166-1 codes; named exactly when it does.",
            examples=[["KR", "TW"]],
        ),
    ] = ()
    cap_bytes: Annotated[
        Bytes | None,
        Field(
            description="How much of a period's data can be used abroad, in bytes; null is no cap of its own.",
            examples=[8 * 10**9],
        ),
    ] = None
    stay: Annotated[
        Stay | None,
        Field(
            description="How many days in a row abroad go at full speed; null is any number (R-39).",
            examples=[{"days": 15, "kbps": 128, "zone": "Asia/Tokyo"}],
        ),
    ] = None

    @model_validator(mode="after")
    def _where(self) -> Self:
        if self.allowed != bool(self.countries):
            raise ValueError("countries are named exactly when use abroad is allowed")
        if not self.allowed and self.cap_bytes is not None:
            raise ValueError("use abroad that is not allowed has no cap")
        if not self.allowed and self.stay is not None:
            raise ValueError("use abroad that is not allowed has no days in a row")
        if len(set(self.countries)) < len(self.countries):
            raise ValueError("a country is named once")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _told(self, write(self), first="allowed countries cap_bytes")


class Window(_Part):
    """The time over which use is counted; after it, counting begins anew.

    No window reaches out of its period: a new period is a new entitlement.
    """

    window: Annotated[
        Literal["local_day", "period", "day", "calendar_month", "sliding_days"],
        Field(description="The time over which use is counted.", examples=["local_day"]),
        Means(
            period="the whole period; no `resets_at`, no `zone`",
            local_day="days that begin at `resets_at` in `zone`; both must be there (R-04, R-34)",
            day="every 24 hours from the start of the period, or every `days` times 24 hours; no `resets_at`, no "
            "`zone` (R-01, R-54)",
            calendar_month="the months of the calendar in `zone`; no `resets_at`",
            sliding_days="the local day that runs and the `days - 1` before it, so that each day the oldest is "
            "forgotten; `resets_at`, `zone` and `days` must be there",
        ),
    ]
    resets_at: Annotated[
        LocalTime | None,
        Field(description="When a local day begins, HH:MM; of windows of local days.", examples=["00:00"]),
    ] = None
    zone: Annotated[
        Zone | None,
        Field(
            description="Whose day or month, by its IANA name; may be another than the customer's.",
            examples=["Asia/Shanghai"],
        ),
    ] = None
    days: Annotated[
        Annotated[int, Field(ge=2, le=31)] | None,
        Field(description="How many days a window has that slides, or that is of several days.", examples=[3]),
    ] = None
    tiers: Annotated[
        tuple[Tier, ...],
        Field(
            strict=False,
            description="The steps of speed, each after the one before and slower; the first tells the cap at full "
            "speed.",
            examples=[[{"after_bytes": 3 * 10**9, "kbps": 1000}, {"after_bytes": 5 * 10**9, "kbps": 0}]],
        ),
    ] = ()

    @model_validator(mode="after")
    def _slower_and_slower(self) -> Self:
        for before, after in zip(self.tiers, self.tiers[1:], strict=False):
            if after.after_bytes <= before.after_bytes or after.kbps >= before.kbps:
                raise ValueError("each tier begins after the one before it and is slower")
        return self

    @model_validator(mode="after")
    def _whose_day(self) -> Self:
        told = (self.resets_at is not None, self.zone is not None)
        if self.window in {"local_day", "sliding_days"} and told != (True, True):
            raise ValueError("a window of local days needs resets_at and zone")
        if self.window == "calendar_month" and told != (False, True):
            raise ValueError("a window of calendar months needs a zone, and has no resets_at")
        if self.window == "period" and told != (False, False):
            raise ValueError("a window of the whole period has no resets_at and no zone")
        if self.window == "day" and told != (False, False):
            raise ValueError("a window of 24 hours has no resets_at and no zone")
        if self.window == "sliding_days" and self.days is None:
            raise ValueError("a window that slides needs days")
        if self.window not in {"sliding_days", "day"} and self.days is not None:
            raise ValueError("days are of a window that slides, or of one of several days")
        return self


class Limit(Window):
    """A further limit that holds at the same time; the strictest counts."""

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if not self.tiers:
            raise ValueError("name at least one tier")
        return self


class Pool(_Part):
    """That other cards of the family may use the data of this one too, where its owner shares it and theirs agree."""

    cards: Annotated[
        int, Field(ge=1, le=10, description="How many other cards may use it at a time, at most.", examples=[3])
    ]
    turn: Annotated[
        Literal["own_first", "by_priority"],
        Field(description="When a card that has data of its own uses what is shared.", examples=["own_first"]),
        Means(
            own_first="once its own is used up, as far as that goes at full speed",
            by_priority="in one order with its own: of the lowest `priority`, then of the earliest end, then the "
            "oldest first",
        ),
    ] = "own_first"


class Data(Window):
    """How much data, how fast. "Unlimited" is never said without its cap."""

    cap: Annotated[
        Literal["none"] | None,
        Field(
            description="Said instead of tiers, and only where there is really no cap: one of the two must be there.",
            examples=["none"],
        ),
        Means(none="there is really no cap"),
    ] = None
    also: Annotated[
        tuple[Limit, ...],
        Field(
            strict=False,
            max_length=4,
            description="Caps that hold besides, such as one a day and one a month, each with the fields of a window; "
            "the slowest speed of all counts.",
            examples=[[{"window": "period", "tiers": [{"after_bytes": 50 * 10**9, "kbps": 128}]}]],
        ),
    ] = ()
    priority: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description="Where several buckets of a card are open, that of the lowest number is used up first.",
            examples=[50],
        ),
    ] = 100
    peak: Annotated[
        Peak | None,
        Field(
            description="Hours of every day with a lower speed; must be written, if only as null.",
            examples=[{"from": "12:00", "to": "13:00", "zone": "Asia/Tokyo", "kbps": 3000}],
        ),
    ]
    hotspot: Annotated[
        Hotspot,
        Field(description="Whether the connection can be shared.", examples=[{"allowed": True, "cap_bytes": 10**9}]),
    ]
    abroad: Annotated[
        Abroad,
        Field(
            description="Whether it can be used in other countries than the market.",
            examples=[{"allowed": True, "countries": ["KR", "TW"]}],
        ),
    ]
    review_bytes: Annotated[
        Annotated[int, Field(ge=1, le=10**18)] | None,
        Field(
            description="Once so much is used in a period, staff are told to look at it, and nothing is slowed for it; "
            "null is never (R-38).",
            examples=[100 * 10**9],
        ),
    ] = None
    pool: Annotated[
        Pool | None,
        Field(
            description="That a family can share it: the bytes that all its cards use of it are counted together; null "
            "is for one card alone.",
            examples=[{"cards": 3}],
        ),
    ] = None

    @model_validator(mode="after")
    def _cap_is_told(self) -> Self:
        if bool(self.tiers) == (self.cap is not None):
            raise ValueError("name at least one tier, or say 'cap: none'")
        if self.also and not self.tiers:
            raise ValueError("a plan without a cap has no further limits")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _told(self, write(self), first=" ".join({*type(self).model_fields} - {"review_bytes", "pool"}))

    @property
    def limits(self) -> tuple[Window, ...]:
        """Every limit on the data, the one that the plan is named after first; () where there is none."""
        return (self, *self.also) if self.tiers else ()


Reach = Literal["market", "everywhere"]
_REACHES = Means(market="numbers of the market", everywhere="numbers of every country")


class Voice(_Part):
    """Calls."""

    minutes: Annotated[
        Annotated[int, Field(ge=1, le=10**6)] | None,
        Field(description="How many minutes a period; null is unlimited.", examples=[60]),
    ]
    to: Annotated[Reach, Field(description="Which numbers can be called.", examples=["market"]), _REACHES]
    incoming_free: Annotated[bool, Field(description="Whether being called costs nothing.", examples=[True])] = True


class Sms(_Part):
    """Texts."""

    messages: Annotated[
        Annotated[int, Field(ge=1, le=10**6)] | None,
        Field(description="How many texts a period; null is unlimited.", examples=[100]),
    ]
    to: Annotated[Reach, Field(description="Which numbers can be written to.", examples=["market"]), _REACHES]


class Quota(_Part):
    """What a period contains."""

    data: Annotated[
        Data,
        Field(
            description="How much data, how fast.",
            examples=[
                {
                    "tiers": [{"after_bytes": 3 * 10**9, "kbps": 0}],
                    "window": "period",
                    "peak": None,
                    "hotspot": {"allowed": True},
                    "abroad": {"allowed": False},
                }
            ],
        ),
    ]
    voice: Annotated[
        Voice | None,
        Field(description="Calls; null has none.", examples=[{"minutes": 60, "to": "market", "incoming_free": True}]),
    ] = None
    sms: Annotated[
        Sms | None, Field(description="Texts; null has none.", examples=[{"messages": None, "to": "market"}])
    ] = None


Kind = Literal["data", "voice", "sms"]
KINDS: tuple[Kind, ...] = ("data", "voice", "sms")
Fate = Literal["keep", "replace", "add", "carry"]
_FATES = Means(
    keep="it lasts as long as it would have",
    replace="it ends, and the new begins",
    add="it lasts as long as the new, and the new can be used at once",
    carry="what is left of the period before goes over to the new one, once",
)


class Renewal(_Part):
    """What buying again before the end does, and when that can be done."""

    mode: Annotated[
        Literal["add", "queue", "replace", "longest", "independent"],
        Field(description="What becomes of the time.", examples=["queue"]),
        Means(
            add="the new period is booked at once, behind all that is booked on the card (R-12)",
            queue="it waits without dates and starts, by itself, at exactly the end of the one before (R-17)",
            replace="it starts at once; what is left of the running one is lost, and the quote names it, and what was "
            "booked further ahead waits behind it (R-15)",
            longest="of the end that is booked and the new one the later counts; only what is missing is added (R-14)",
            independent="it runs beside what runs, with an end of its own; of several the earliest end is used up "
            "first (R-16)",
        ),
    ]
    max_ahead_days: Annotated[
        int,
        Field(
            ge=1,
            le=3660,
            description="How many days from now the new end may lie; beyond that there is no quote, and the page says "
            "from when there is (R-13).",
            examples=[90],
        ),
    ] = 365
    beyond: Annotated[
        Literal["refuse", "cut"],
        Field(description="What becomes of a renewal that would pass it (R-13).", examples=["cut"]),
        Means(
            refuse="it is refused",
            cut="with `add`: it ends there, and the quote says that the rest is lost",
        ),
    ] = "refuse"
    max_stacked: Annotated[
        Annotated[int, Field(ge=1, le=366)] | None,
        Field(
            description="How many periods may be booked that are not over, the new one included, where one whose data "
            "is used up does not count; null is no limit (R-23).",
            examples=[3],
        ),
    ] = None
    only_new: Annotated[
        bool,
        Field(
            description="It is sold as a new eSIM, or on a card on which nothing was ever booked, and renews none "
            "(R-23).",
            examples=[True],
        ),
    ] = False
    max_left_bytes: Annotated[
        Bytes | None,
        Field(
            description="How much data may be left afterwards at full speed, in bytes; null is no limit (R-13).",
            examples=[100 * 10**9],
        ),
    ] = None
    opens_days: Annotated[
        Annotated[int, Field(ge=0, le=3660)] | None,
        Field(description="Only in so many days before the end; null is at any time (R-27).", examples=[7]),
    ] = None
    opens_percent_left: Annotated[
        Annotated[int, Field(ge=0, le=99)] | None,
        Field(
            description="Or earlier, once at most so much of the data is left, in per cent; null is not for that "
            "(R-29).",
            examples=[20],
        ),
    ] = None
    closes_percent_left: Annotated[
        Annotated[int, Field(ge=0, le=99)] | None,
        Field(
            description="Not once at most so much of the data that runs is left, in per cent, 0 being nothing; null is "
            "whatever is left (R-27).",
            examples=[0],
        ),
    ] = None
    closes_hours: Annotated[
        int,
        Field(
            ge=0,
            le=8784,
            description="Not in so many hours before the end; after the end, `ending` decides (R-27).",
            examples=[24],
        ),
    ] = 0
    cooldown_hours: Annotated[
        int, Field(ge=0, le=8784, description="Not so soon after the renewal before (R-20).", examples=[12])
    ] = 0
    grace_days: Annotated[
        int,
        Field(
            ge=0,
            le=366,
            description="Bought so long after the end, the time is counted from that end, and the quote says what is "
            "lost (R-30).",
            examples=[3],
        ),
    ] = 0
    data: Annotated[
        Fate | None,
        Field(
            description="What becomes of the data that is left (R-19, R-20); null: it goes with the time, so that it "
            "ends with a period that is replaced, and stays with any other.",
            examples=["carry"],
        ),
        _FATES,
    ] = None
    voice: Annotated[
        Fate | None,
        Field(description="What becomes of the minutes that are left, as of data.", examples=["keep"]),
        _FATES,
    ] = None
    sms: Annotated[
        Fate | None,
        Field(description="What becomes of the texts that are left, as of data.", examples=["keep"]),
        _FATES,
    ] = None
    carry_most_bytes: Annotated[
        Bytes | None,
        Field(
            description="How much of the data that is left is carried over at most, the rest being lost; null is all "
            "of it (R-20).",
            examples=[10 * 10**9],
        ),
    ] = None
    carry_after_hours: Annotated[
        int,
        Field(
            ge=0,
            le=8784,
            description="A renewal so soon after the one before carries nothing over (R-20).",
            examples=[24],
        ),
    ] = 0
    next_by_hand: Annotated[
        bool,
        Field(
            description="With `queue`: what waits can be started before the end of what runs, the oldest first, and "
            "the rest of what runs is lost (R-17).",
            examples=[True],
        ),
    ] = False
    next_when_used_up: Annotated[
        bool,
        Field(
            description="With `queue`: it starts by itself when the data is used up, where that is counted over the "
            "whole period (R-17).",
            examples=[True],
        ),
    ] = False

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if self.mode != "queue" and (self.next_by_hand or self.next_when_used_up):
            raise ValueError("only what waits (mode: queue) can be started early")
        if self.beyond == "cut" and self.mode != "add":
            raise ValueError("only time that is added to what is booked (mode: add) can be cut")
        if self.mode == "queue" and "replace" in (self.data, self.voice, self.sms):
            raise ValueError("what waits finds nothing to replace when it starts")
        fates = {self.data, self.voice, self.sms} - {None, "keep"}
        if self.mode in {"longest", "independent"} and fates:
            raise ValueError("what runs beside another joins and replaces nothing of it")
        if self.carry_after_hours and "carry" not in (self.data, self.voice, self.sms):
            raise ValueError("carry_after_hours is told where something is carried over")
        if self.carry_most_bytes is not None and self.data != "carry":
            raise ValueError("carry_most_bytes is told where data is carried over")
        if self.opens_percent_left is not None and self.opens_days is None:
            raise ValueError("opens_percent_left opens earlier than opens_days, which is not told")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _told(self, write(self), first="mode max_ahead_days")

    def fate(self, kind: Kind) -> Fate:
        """What a renewal makes of what is left of this."""
        return getattr(self, kind) or ("replace" if self.mode == "replace" else "keep")


State = Literal["incoming_only", "suspended", "gone"]


class Stage(_Part):
    """A step towards the end of a card that nobody keeps alive (R-40 to R-42)."""

    after_days: Annotated[
        int,
        Field(
            ge=1,
            le=3660,
            description="After so many days, to the second, counted as `counts_from` says.",
            examples=[180],
        ),
    ]
    becomes: Annotated[
        State,
        Field(description="What the card is from then on.", examples=["suspended"]),
        Means(
            incoming_only="it can be called and gets texts, and nothing else works",
            suspended="nothing works, and a renewal brings it back",
            gone="the card and its number are lost, and nothing brings them back",
        ),
    ]


class Ending(_Part):
    """What becomes of a card after its last period; None is not told."""

    renewable_days: Annotated[
        Annotated[int, Field(ge=0, le=3660)] | None,
        Field(
            description="For how many days after its end a card can still be renewed, to the second, by the plan of "
            "its last period; null is not told.",
            examples=[30],
        ),
    ] = None
    number_kept: Annotated[
        bool | None,
        Field(description="Whether the card has its number until then; null is not told.", examples=[True]),
    ] = None
    stages: Annotated[
        tuple[Stage, ...],
        Field(
            strict=False,
            max_length=4,
            description="What becomes of the card, step by step, each later than the one before (R-40); no step comes "
            "while a period runs or is booked ahead.",
            examples=[[{"after_days": 180, "becomes": "suspended"}, {"after_days": 210, "becomes": "gone"}]],
        ),
    ] = ()
    counts_from: Annotated[
        Literal["end", "purchase", "use"],
        Field(description="From when the days of `stages` are counted.", examples=["purchase"]),
        Means(
            end="the end of all that is booked (R-42)",
            purchase="the last purchase (R-40)",
            use="the last use of the card, or the last purchase (R-41)",
        ),
    ] = "end"
    least_minor: Annotated[
        Annotated[int, Field(ge=1, le=10**9)] | None,
        Field(
            description="Only what comes to so much in all begins the count anew, in minor units of the plan's "
            "currency; null is any amount (R-42).",
            examples=[661],
        ),
    ] = None
    warn_days: Annotated[
        tuple[Annotated[int, Field(ge=1, le=366)], ...],
        Field(
            strict=False,
            max_length=4,
            description="So many days before each step its owner is warned, and before the number is lost (R-41).",
            examples=[[30, 7]],
        ),
    ] = (7,)

    @model_validator(mode="after")
    def _step_by_step(self) -> Self:
        order = ("incoming_only", "suspended", "gone")
        for before, after in zip(self.stages, self.stages[1:], strict=False):
            if after.after_days <= before.after_days or order.index(after.becomes) <= order.index(before.becomes):
                raise ValueError("each stage is later than the one before it, and worse")
        if not self.stages and (self.counts_from != "end" or self.least_minor is not None):
            raise ValueError("counts_from and least_minor are of stages, and there are none")
        if len(set(self.warn_days)) < len(self.warn_days):
            raise ValueError("each warning is named once")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _told(self, write(self), first="renewable_days number_kept")


class Auto(_Part):
    """How a card with this plan can renew itself: R-25, R-29, R-30. No policy switches it on (R-33)."""

    hours_before: Annotated[
        tuple[Annotated[int, Field(ge=0, le=720)], ...],
        Field(
            strict=False,
            max_length=6,
            description="It can be renewed so many hours before the end of all that is booked (R-29); the first is "
            "proposed.",
            examples=[[24, 3]],
        ),
    ] = (24, 72, 3)
    percent_left: Annotated[
        tuple[Annotated[int, Field(ge=0, le=50)], ...],
        Field(
            strict=False,
            max_length=6,
            description="Or when so much of the data of all that runs is left (R-29); 0 is used up; offered where data "
            "is counted over the whole period; with both lists empty it cannot renew itself.",
            examples=[[10, 0]],
        ),
    ] = (20, 5, 0)
    at_end_too: Annotated[
        bool,
        Field(
            description="What goes by use is renewed at the end of the time also, if that comes first (R-29); else "
            "nothing is bought then, and it switches itself off.",
            examples=[True],
        ),
    ] = False
    off_days: Annotated[
        Annotated[int, Field(ge=0, le=31)] | None,
        Field(
            description="Until when it can be switched off for the end that comes: so many days before it, at "
            "`off_at` (R-25); later, this end is renewed once more, and then it is off; null: until it is ordered.",
            examples=[1],
        ),
    ] = None
    off_at: Annotated[
        LocalTime | None, Field(description="On the clock of the period's `zone`.", examples=["23:30"])
    ] = None
    retry_hours: Annotated[
        tuple[Annotated[int, Field(ge=1, le=720)], ...],
        Field(
            strict=False,
            max_length=10,
            description="How long after each refusal for one end it is tried again; after the last it is given up "
            "(R-30).",
            examples=[[1, 24]],
        ),
    ] = (1, 6, 24)

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        if (self.off_days is None) != (self.off_at is None):
            raise ValueError("off_days and off_at are told together")
        for told in (self.hours_before, self.percent_left):
            if len(set(told)) < len(told):
                raise ValueError("each moment is named once")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _told(self, write(self), first="")


class Policy(_Part):
    """The terms of a plan version, typed."""

    period: Annotated[
        Period,
        Field(
            description="How long a bought period lasts.",
            examples=[{"length": 7, "unit": "calendar_day", "zone": "Asia/Tokyo", "starts": "activation"}],
        ),
    ]
    quota: Annotated[
        Quota,
        Field(
            description="How much data, and how many calls and texts, a period contains.",
            examples=[
                {
                    "data": {
                        "tiers": [{"after_bytes": 3 * 10**9, "kbps": 0}],
                        "window": "period",
                        "peak": None,
                        "hotspot": {"allowed": True},
                        "abroad": {"allowed": False},
                    }
                }
            ],
        ),
    ]
    renewal: Annotated[
        Renewal,
        Field(
            description="What buying again before the end does, and when it can be done.",
            examples=[{"mode": "queue", "max_ahead_days": 365}],
        ),
    ]
    ending: Annotated[
        Ending,
        Field(
            description="What becomes of a card after its last period.",
            examples=[{"renewable_days": 30, "number_kept": True}],
        ),
    ] = Ending()
    auto: Annotated[
        Auto,
        Field(
            description="How a card with this plan can renew itself.",
            examples=[{"hours_before": [24], "percent_left": [10]}],
        ),
    ] = Auto()

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _told(self, write(self), first="period quota renewal ending")

    @property
    def can_go_by_use(self) -> bool:
        """Whether its data can be used up for good: a day's share comes back tomorrow."""
        return any(limit.window == "period" for limit in self.quota.data.limits)


def contradictions(policy: Policy) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Where and why these terms cannot be meant, each a field and a reason: nothing can be bought or renewed under
    them, or time or data is given away. Such a plan is not taken into the catalogue; what was sold is still read.
    """
    return (*_never(policy), *_given_away(policy), *_against_itself(policy), *_shared_amiss(policy.quota.data))


def _never(policy: Policy) -> Iterator[tuple[tuple[str, ...], str]]:
    renewal, days = policy.renewal, days_of(policy.period)
    after = policy.ending.renewable_days
    if days > renewal.max_ahead_days and renewal.beyond == "refuse":
        yield ("renewal", "max_ahead_days"), "less than one period: it could never be bought"
    opens, closes = renewal.opens_percent_left, renewal.closes_percent_left
    if opens is not None and closes is not None and closes >= opens:
        yield ("renewal", "closes_percent_left"), "it closes before it opens"
    yield from _dies_early(policy.ending, days)
    if after is None:
        return
    if renewal.cooldown_hours >= (days + after) * 24:
        yield ("renewal", "cooldown_hours"), "longer than the card can be renewed: it could never be"
    if after == 0 and renewal.closes_hours >= min(days, renewal.opens_days or days) * 24:
        yield ("renewal", "closes_hours"), "it closes before it opens: the card could never be renewed"
    if after == 0 and renewal.opens_days == 0 and renewal.opens_percent_left is None:
        yield ("renewal", "opens_days"), "it opens at the end, when it is too late: the card could never be renewed"
    if after == 0 and renewal.max_stacked == 1 and renewal.mode != "replace":
        yield ("renewal", "max_stacked"), "one at a time, and none after it: the card could never be renewed"


def _dies_early(ending: Ending, days: Fraction) -> Iterator[tuple[tuple[str, ...], str]]:
    gone = next((stage.after_days for stage in ending.stages if stage.becomes == "gone"), None)
    if gone is None:
        return
    after_the_end = gone if ending.counts_from == "end" else gone - days
    if ending.renewable_days is not None and ending.renewable_days > max(after_the_end, 0):
        yield ("ending", "renewable_days"), "the card is gone before: it could not be renewed so long"
    if ending.number_kept is False:
        yield ("ending", "number_kept"), "the number goes with the card, in the last of the stages"


def _given_away(policy: Policy) -> Iterator[tuple[tuple[str, ...], str]]:
    period, renewal = policy.period, policy.renewal
    if (
        period.unit == "hour"
        and period.ends == "end_of_day"
        and period.length % 24
        and renewal.mode in {"add", "queue"}
    ):
        yield ("period", "ends"), "behind a period that ends at midnight, each of these would give away part of a day"
    if renewal.fate("data") in {"add", "carry"} and any(limit.window != "period" for limit in policy.quota.data.limits):
        yield ("renewal", "data"), "only data that is counted over the whole period goes over to another"


def _against_itself(policy: Policy) -> Iterator[tuple[tuple[str, ...], str]]:
    renewal, capped = policy.renewal, bool(policy.quota.data.limits)
    if policy.period.starts == "first_use" and renewal.mode in {"replace", "longest"}:
        yield ("renewal", "mode"), "the clock restarts at once, or with the first use: one of the two"
    if policy.auto.at_end_too and not (policy.auto.percent_left and policy.can_go_by_use):
        yield ("auto", "at_end_too"), "nothing goes by use here, so everything is renewed by its end"
    for name in ("opens_percent_left", "closes_percent_left", "max_left_bytes"):
        if getattr(renewal, name) is not None and not capped:
            yield ("renewal", name), "a plan without a cap has nothing left to count"


def _shared_amiss(data: Data) -> Iterator[tuple[tuple[str, ...], str]]:
    if data.pool is None:
        return
    if not data.limits:
        yield ("quota", "data", "pool"), "there is no cap, so there is nothing to share"
    if not data.hotspot.allowed:
        yield ("quota", "data", "hotspot", "allowed"), "the data is for one device only, so no other card can use it"
    for path, told in (
        (("hotspot", "cap_bytes"), data.hotspot.cap_bytes),
        (("abroad", "cap_bytes"), data.abroad.cap_bytes),
        (("abroad", "stay"), data.abroad.stay),
    ):
        if told is not None:
            yield ("quota", "data", *path), "it is counted of one card, and the data is used by several"


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

    Periods that start where the one before ends tile: no gap and no overlap, in every zone (R-01, R-03, R-05).

    Args:
        anchor: the date-time on the clock in the period's zone, without offset, at which the first period of its run
            started. Ends of months are counted from it, so that 31 January, 28 February, 31 March follow each other.
    """
    return period_in_run(period, start, anchor)[0]


@lru_cache(maxsize=8192)
def period_in_run(period: Period, start: datetime, run: datetime | None) -> tuple[Span, datetime]:
    """``period_of`` and ``anchor_of`` in one; ``run`` is the anchor of the run that it may go on with.

    Kept, for a queue is laid out many times while it waits.
    """
    assert start.tzinfo is not None, "times are aware"
    start = start.astimezone(UTC)
    anchor, months = _anchored(period, start, run)
    return Span(start, _end_of(period, start, anchor, months)), anchor


def _end_of(period: Period, start: datetime, anchor: datetime, months: int) -> datetime:
    match period.unit:
        case "hour":
            return _rounded(period, start + timedelta(hours=period.length))
        case "rolling_day":
            return _rounded(period, start + timedelta(days=period.length))
        case "calendar_day":
            return _days_on(start.astimezone(ZoneInfo(period.zone)).date(), period.length, period.zone)
        case "calendar_month":
            first = start.astimezone(ZoneInfo(period.zone)).date().replace(day=1)
            return day_start(_next_month(first, period.length), period.zone)
        case "month":
            return _months_on(period, anchor, months + period.length)


def _rounded(period: Period, end: datetime) -> datetime:
    """The end as the carrier rounds it up; what lies on the boundary stays there (R-02)."""
    if period.ends not in {"end_of_hour", "end_of_day"}:
        return end
    there = end.astimezone(ZoneInfo(period.zone))
    if period.ends == "end_of_hour":
        passed = there.replace(tzinfo=None) - there.replace(tzinfo=None, minute=0, second=0, microsecond=0)
        return end + (timedelta(hours=1) - passed if passed else timedelta())
    # Where a midnight happens twice, the end can lie before the day has begun for good.
    today = day_start(there.date(), period.zone)
    return today if end <= today else day_start(there.date() + timedelta(days=1), period.zone)


def _days_on(first: date, days: int, zone: str) -> datetime:
    """The midnight after so many days that exist, ``first`` the first of them."""
    after = first + timedelta(days=days)
    end = day_start(after, zone)
    if end - day_start(first, zone) > timedelta(days=days, hours=-20):
        return end
    # The calendar left out a day (Samoa, 30 December 2011): it has no length, and nobody bought it.
    while days:
        first += timedelta(days=1)
        days -= day_start(first, zone) > day_start(first - timedelta(days=1), zone)
    return day_start(first, zone)


def anchor_of(period: Period, start: datetime, anchor: datetime | None = None) -> datetime:
    """The anchor (on the clock in the period's zone, without offset) of a period that starts at ``start``.

    It is the run's, where that is given and ``start`` lies whole months after it; else the period begins a run.
    """
    return _anchored(period, start, anchor)[0]


def _anchored(period: Period, start: datetime, run: datetime | None) -> tuple[datetime, int]:
    """The anchor of a period that starts at ``start``, and how many months after it that is."""
    months = None if run is None else _months_since(period, run, start)
    if run is not None and months is not None:
        return run, months
    return start.astimezone(ZoneInfo(period.zone)).replace(tzinfo=None), 0


def _months_since(period: Period, anchor: datetime, start: datetime) -> int | None:
    """How many months after the anchor ``start`` is, from 0; None where it is not a whole number of them."""
    local = start.astimezone(ZoneInfo(period.zone))
    near = (local.year - anchor.year) * 12 + local.month - anchor.month
    # Rounding, a roll to the 1st or a jump of the clocks over a month's last midnight puts the start a month on.
    for months in (near, near - 1, near - 2):
        if months >= 0 and _months_on(period, anchor, months) == start:
            return months
    return None


@lru_cache(maxsize=8192)
def _months_on(period: Period, anchor: datetime, months: int) -> datetime:
    """The instant (aware UTC) at which so many months from the anchor end; a run asks for each several times."""
    if not months:
        return instant_of(anchor, period.zone)
    first = anchor.date().replace(day=1)
    day = anchor.day
    if period.month_end == "roll" and day > 28:
        first, day = _next_month(first, 1), 1
    elif period.month_end == "sticky" and day == _last_day(first):
        day = 31
    month = _next_month(first, months)
    there = month.replace(day=min(day, _last_day(month)))
    if period.ends == "start_of_day":
        return day_start(there, period.zone)
    return _rounded(period, instant_of(datetime.combine(there, anchor.time()), period.zone))


def _last_day(month: date) -> int:
    return monthrange(month.year, month.month)[1]


@lru_cache(maxsize=8192)
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


def window_at(limit: Window, period: Span, moment: datetime) -> Span:
    """The window of this limit that ``moment`` lies in (a moment of the period), in aware UTC, cut to the period.

    Half open: what is used at the very instant of a reset counts after it.
    """
    starts_at, ends_at = _window(limit, period, moment)
    return Span(max(starts_at, period.starts_at), min(ends_at, period.ends_at))


def _window(limit: Window, period: Span, moment: datetime) -> tuple[datetime, datetime]:
    if limit.window == "period":
        return period.starts_at, period.ends_at
    if limit.window == "day":
        length = timedelta(days=limit.days or 1)
        starts_at = period.starts_at + (moment - period.starts_at) // length * length
        return starts_at, starts_at + length
    assert limit.zone is not None, "checked when the policy was made"
    if limit.window == "calendar_month":
        first = moment.astimezone(ZoneInfo(limit.zone)).date().replace(day=1)
        # A clock that goes back over midnight on the 1st can put the moment into the month before.
        months = (day_start(_next_month(first, n), limit.zone) for n in (-1, 0, 1, 2))
        return _around(list(months), moment)
    assert limit.resets_at is not None, "checked when the policy was made"
    starts_at, ends_at = _day_around(limit.resets_at, limit.zone, moment)
    if limit.window == "sliding_days" and limit.days:
        first = starts_at.astimezone(ZoneInfo(limit.zone)).date() - timedelta(days=limit.days - 1)
        starts_at = instant_of(datetime.combine(first, limit.resets_at), limit.zone)
    return starts_at, ends_at


def _next_month(first: date, months: int) -> date:
    years, month = divmod(first.month - 1 + months, 12)
    return date(first.year + years, month + 1, 1)


def _day_around(resets_at: time, zone: str, moment: datetime) -> tuple[datetime, datetime]:
    """The last reset that is not after the moment, and the first that is."""
    today = moment.astimezone(ZoneInfo(zone)).date()
    # Two days to each side: a day can be missing, and a jump of the clocks can move a reset over another.
    return _around([_reset_on(today + timedelta(days=n), resets_at, zone) for n in (-2, -1, 0, 1, 2)], moment)


@lru_cache(maxsize=8192)
def _reset_on(day: date, resets_at: time, zone: str) -> datetime:
    """The reset of this day; the same for all plans that reset then."""
    return day_start(day, zone) if resets_at == time() else instant_of(datetime.combine(day, resets_at), zone)


def _around(instants: list[datetime], moment: datetime) -> tuple[datetime, datetime]:
    """The last instant that is not after the moment, and the first that is."""
    return max(i for i in instants if i <= moment), min(i for i in instants if i > moment)


def boundaries(limit: Window, period: Span, since: datetime | None = None) -> list[datetime]:
    """Every instant within the period at which the limit's window changes, in order; not its start and its end.

    Args:
        since: only those after the window that contains this moment of the period began.
    """
    found: list[datetime] = []
    moment = _window(limit, period, since or period.starts_at)[1]
    while moment < period.ends_at:
        found.append(moment)
        moment = _window(limit, period, moment)[1]
    return found


def next_reset(data: Data, now: datetime) -> datetime | None:
    """When the data window next begins anew after ``now``, aware UTC; None when it does only with the period (R-04)."""
    if data.window != "local_day" or data.resets_at is None or data.zone is None:
        return None
    return _day_around(data.resets_at, data.zone, now)[1]


@dataclass(frozen=True, slots=True)
class Cap:
    """Full-speed data: ``bytes`` in each ``window``; None only where the plan explicitly has no cap.

    ``days``: of a window that slides, or of several days; else None.
    """

    bytes: int | None
    window: Literal["local_day", "period", "day", "calendar_month", "sliding_days"]
    days: int | None = None


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
        also: the caps that hold besides, each with its steps.
        hotspot, abroad: as the policy has them.
        pool: how a family can share it; None where it is for one card alone.
    """

    cap: Cap
    also: tuple[tuple[Cap, tuple[Tier, ...]], ...]
    speed_after: tuple[Tier, ...]
    reset: Reset | None
    peak: Peak | None
    hotspot: Hotspot
    abroad: Abroad
    pool: Pool | None


def _cap(limit: Window) -> Cap:
    return Cap(limit.tiers[0].after_bytes if limit.tiers else None, limit.window, limit.days)


def disclosure(policy: Policy) -> Disclosure:
    """The six facts of this policy: cap, speed after it, reset, peak, hotspot, abroad."""
    data = policy.quota.data
    return Disclosure(
        cap=_cap(data),
        also=tuple((_cap(limit), limit.tiers) for limit in data.also),
        speed_after=data.tiers,
        reset=Reset(data.resets_at, data.zone) if data.resets_at is not None and data.zone is not None else None,
        peak=data.peak,
        hotspot=data.hotspot,
        abroad=data.abroad,
        pool=data.pool,
    )


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a customer is told about renewing before paying, as values.

    Attributes:
        max_ahead_days: a card can be renewed now already, as long as the new end is at most so many days ahead.
        renewable_days: for how many days after the end it can still be renewed; None is not told.
        number_kept: whether the card has its number until then; None is not told.
        mode: what an early renewal does to the time, as the policy has it.
        kept, lost: what an early renewal leaves and takes, in the kinds of ``renewals.rules.Stacked``.
        terms: the windows and limits, as the policy has them.
        history_kept: whether what was bought and used stays to be seen.
        refunds: when the money goes back: until the carrier was asked, and when the carrier refuses.
    """

    max_ahead_days: int
    renewable_days: int | None
    number_kept: bool | None
    mode: Literal["add", "queue", "replace", "longest", "independent"]
    kept: tuple[str, ...]
    lost: tuple[str, ...]
    terms: Renewal
    history_kept: bool
    refunds: tuple[Literal["until_asked", "refused"], ...]


def conditions(policy: Policy) -> Conditions:
    """The conditions under which a card with this policy is renewed."""
    kept, lost = _kept_and_lost(policy)
    return Conditions(
        max_ahead_days=policy.renewal.max_ahead_days,
        renewable_days=policy.ending.renewable_days,
        number_kept=policy.ending.number_kept,
        mode=policy.renewal.mode,
        kept=kept,
        lost=lost,
        terms=policy.renewal,
        history_kept=True,
        refunds=("until_asked", "refused"),
    )


def _kept_and_lost(policy: Policy) -> tuple[tuple[str, ...], tuple[str, ...]]:
    terms = policy.renewal
    kept, lost = ["number"], []
    (lost if terms.mode == "replace" else kept).append("time")
    for kind in KINDS:
        fate = terms.fate(kind)
        if kind == "data" or getattr(terms, kind) is not None:
            (lost if fate == "replace" else kept).append(kind if fate in {"keep", "replace"} else f"{kind}_longer")
    if terms.mode in {"queue", "replace"}:
        kept.append("queued" if terms.mode == "queue" else "queued_behind")
    edges = {"calendar_day": ["part_of_first_day"], "calendar_month": ["part_of_month"]}
    lost += edges.get(policy.period.unit, [])
    lost += ["beyond_cap"] if terms.beyond == "cut" else []
    return tuple(kept), tuple(lost)


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

    Without a span a month counts as the twelfth of 365 days. Hours are parts of a day.
    """
    if period.unit == "hour":
        return Fraction(period.length, 24)
    if period.unit not in {"month", "calendar_month"}:
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


class SeveralPrice(_Part):
    """What so many periods cost when they are bought at once, or one in another currency."""

    periods: Annotated[int, Field(ge=1, le=MOST_PERIODS)]
    price: Price


class Names(_Part):
    """What a plan is called, by language; English stands in for those that are left out."""

    en: Name
    zh_hans: Name = Field(alias="zh-hans")
    zh_hant: Name | None = Field(default=None, alias="zh-hant")
    ja: Name | None = None
    fr: Name | None = None
    nl: Name | None = None


class PlanEntry(_Part):
    """A plan with the terms it is sold under now, as a catalogue file tells it.

    ``price`` is that of one period; ``prices`` those of several at once, or in other currencies. ``package`` renews a
    card, ``first_package`` is a new eSIM; "" where only renewals are sold.
    """

    slug: Slug
    market: Country
    network: Slug
    names: Names
    seller: Name
    on_sale: bool = True
    price: Price
    prices: Annotated[tuple[SeveralPrice, ...], Field(strict=False)] = ()
    carrier: Annotated[str, Field(min_length=1, max_length=40)]
    package: Annotated[str, Field(max_length=120)]
    first_package: Annotated[str, Field(max_length=120)] = ""
    cost: Price
    policy: Policy

    @model_validator(mode="after")
    def _is_sold_somehow(self) -> Self:
        if not self.package and not self.policy.renewal.only_new:
            raise ValueError("a plan that renews cards names its package")
        if self.policy.renewal.only_new and not self.first_package:
            raise ValueError("a plan that is sold as a new eSIM only names its first_package")
        return self

    @model_validator(mode="after")
    def _not_free(self) -> Self:
        if not all([self.price.amount, *(one.price.amount for one in self.prices)]):
            raise ValueError("a price is more than nothing")
        return self

    @model_validator(mode="after")
    def _prices_fit(self) -> Self:
        for reason in misfits([PeriodPrice(1, self.price.money), *self.period_prices]):
            raise ValueError(reason)
        return self

    @property
    def period_prices(self) -> list[PeriodPrice]:
        """The further prices, by currency and count."""
        found = [PeriodPrice(one.periods, one.price.money) for one in self.prices]
        return sorted(found, key=lambda price: (price.money.currency, price.periods))


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
