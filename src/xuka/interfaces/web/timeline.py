"""Periods of service as a drawing that the server makes: what is active when, and the same in words.

Across, places are shares of the width, so that the drawing fits every screen; down, they are pixels, so that its words
keep the size of other words. Numbers of the drawing are written here, never by a template that would put decimal commas
into them. ``xuka/timeline.css`` is its look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.template.loader import render_to_string
from django.utils import translation
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from xuka.interfaces.web import formats

# The height of a period's row: its words, its bar, and the line of its data under the bar.
ROW, BAR, BAR_Y, DATA_Y = 56, 14, 24, 42
TOP, FOOT = 6, 26
# A period of an hour among years is still seen.
_LEAST = 0.6


@dataclass(frozen=True, slots=True)
class Lasting:
    """From when until when something can be used; half open, aware UTC."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Shown:
    """A period on the drawing; times aware UTC, half open.

    Attributes:
        says: what it is, in the language of the page: "This renewal".
        look: ``booked``: it is there already; ``new``: what is bought now; ``waits``: booked, dated as things stand.
        data: when its data can be used, where that is not its own time.
        would_have_ended_at: where a renewal cuts it: what is lost.
        bought_at: the moment is marked on its row; None is not told.
    """

    says: str
    starts_at: datetime
    ends_at: datetime
    look: Literal["booked", "new", "waits"] = "booked"
    data: Lasting | None = None
    would_have_ended_at: datetime | None = None
    bought_at: datetime | None = None

    @property
    def moments(self) -> list[datetime]:
        """Every moment of it that has a place on the drawing."""
        more = [self.would_have_ended_at, self.bought_at]
        data = [self.data.starts_at, self.data.ends_at] if self.data else []
        return [self.starts_at, self.ends_at, *data, *(moment for moment in more if moment)]


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where a moment lies, in per cent of the width."""

    first: datetime
    last: datetime

    def at(self, moment: datetime) -> float:
        whole = (self.last - self.first).total_seconds() or 1.0
        return 100 * (moment - self.first).total_seconds() / whole


@dataclass(frozen=True, slots=True)
class _Row:
    """A period in words, for whoever does not see the drawing."""

    says: str
    starts: str
    through: str
    data: str = ""
    lost: str = ""


def timeline(periods: Sequence[Shown], now: datetime, zone: str, language: str, name: str = "timeline") -> SafeString:
    """The drawing of these periods with its words and a table, as HTML; "" where there are none.

    Args:
        periods: one row each, the first on top.
        now: marked by a line where it lies on the drawing; aware UTC.
        zone: whose clock the words tell ("Asia/Tokyo").
        language: of the words ("zh-hans").
        name: of the drawing's parts on the page, unique on it.
    """
    if not periods:
        return SafeString("")
    with translation.override(language):
        moments = [moment for period in periods for moment in period.moments]
        scale = _Scale(min([now, *moments]), max(moments))
        return SafeString(
            render_to_string(
                "components/timeline.html",
                {
                    "name": name,
                    "zone": zone,
                    "drawing": _drawing(periods, now, zone, scale, name),
                    "rows": [_told(period, zone) for period in periods],
                    "has_lost": any(period.would_have_ended_at for period in periods),
                    "has_data": any(period.data for period in periods),
                    "looks": {period.look for period in periods},
                },
            )
        )


def _drawing(periods: Sequence[Shown], now: datetime, zone: str, scale: _Scale, name: str) -> SafeString:
    ground = TOP + ROW * len(periods)
    return format_html(
        '<svg class="tl-drawing" width="100%" height="{}" role="img" aria-labelledby="{}-title" '
        'aria-describedby="{}-words">'
        '<title id="{}-title">{}</title>{}{}<line class="tl-ground" x1="0" x2="100%" y1="{}" y2="{}"/>{}</svg>',
        *(ground + FOOT, name, name, name, gettext("What is active when")),
        _now(now, scale, ground),
        format_html_join("", "{}", ((_row(n, period, zone, scale),) for n, period in enumerate(periods))),
        *(ground, ground),
        _edges(scale, zone, ground),
    )


def _row(number: int, period: Shown, zone: str, scale: _Scale) -> SafeString:
    top = TOP + ROW * number
    days = f"{_day(period.starts_at, zone)} – {_last_day(period.ends_at, zone)}"
    parts = [
        # Words of HTML, for those of a drawing cannot be cut where it ends.
        format_html(
            '<foreignObject x="0" y="{}" width="100%" height="{}">'
            '<div class="tl-line"><span>{}</span><span>{}</span></div></foreignObject>',
            *(top, BAR_Y - 2, period.says, days),
        ),
        _bar(f"tl-{period.look}", scale, period.starts_at, period.ends_at, top + BAR_Y, BAR),
    ]
    if period.would_have_ended_at and period.would_have_ended_at > period.ends_at:
        parts.append(_bar("tl-lost", scale, period.ends_at, period.would_have_ended_at, top + BAR_Y, BAR))
    if period.data:
        parts.append(_bar("tl-data", scale, period.data.starts_at, period.data.ends_at, top + DATA_Y, 5))
    if period.bought_at:
        x = f"{scale.at(period.bought_at):.2f}%"
        parts.append(format_html('<circle class="tl-bought" cx="{}" cy="{}" r="4"/>', x, top + BAR_Y + BAR // 2))
    return format_html_join("", "{}", ((part,) for part in parts))


def _bar(look: str, scale: _Scale, start: datetime, end: datetime, y: int, height: int) -> SafeString:
    x, width = scale.at(start), max(_LEAST, scale.at(end) - scale.at(start))
    told = (look, f"{min(x, 100 - width):.2f}%", y, f"{width:.2f}%", height)
    return format_html('<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="3"/>', *told)


def _now(now: datetime, scale: _Scale, ground: int) -> SafeString:
    if not scale.first <= now <= scale.last:
        return SafeString("")
    x = f"{scale.at(now):.2f}%"
    return format_html('<line class="tl-now" x1="{}" x2="{}" y1="{}" y2="{}"/>', x, x, TOP, ground)


def _edges(scale: _Scale, zone: str, ground: int) -> SafeString:
    """The first and the last day, under the drawing."""
    said = [("0", "start", _day(scale.first, zone)), ("100%", "end", _last_day(scale.last, zone))]
    text = '<text class="tl-words" x="{}" y="{}" text-anchor="{}">{}</text>'
    return format_html_join("", text, ((x, ground + 18, anchor, says) for x, anchor, says in said))


def _day(moment: datetime, zone: str) -> str:
    return formats.month_day(formats.local(moment, zone).date())


def _last_day(ends_at: datetime, zone: str) -> str:
    """The day that a half-open end belongs to."""
    return formats.month_day(formats.last_day(ends_at, zone))


def _told(period: Shown, zone: str) -> _Row:
    data = lost = ""
    if period.data:
        data = gettext("%(start)s to %(end)s") % {
            "start": formats.moment(period.data.starts_at, zone),
            "end": formats.valid_through(period.data.ends_at, zone),
        }
    if period.would_have_ended_at:
        lost = formats.valid_through(period.would_have_ended_at, zone)
    return _Row(
        says=period.says,
        starts=formats.moment(period.starts_at, zone),
        through=formats.valid_through(period.ends_at, zone),
        data=data,
        lost=lost,
    )
