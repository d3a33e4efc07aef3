"""What a renewal, or starting what waits, does to a card's time: a drawing and its words. Facts in, pages out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext

from xuka.interfaces.web import texts
from xuka.interfaces.web.timeline import Lasting, Shown, timeline
from xuka.lines.queries import Timeline
from xuka.lines.rules import Placed, Track, lay_out
from xuka.renewals import operations as renewals
from xuka.renewals.models import Quote

# More than this many periods that wait, or lie ahead, are drawn as one.
SINGLE = 1


def of_quote(quote: Quote, booked: Timeline, now: datetime) -> SafeString:
    """The drawing of what this quote would do to what is booked; several periods of it are one row.

    "" where it would not do any more what it says; the order is then not taken either.
    """
    try:
        does = renewals.as_quoted(quote, quote.line, now, booked)
    except renewals.QuoteChanged:
        return SafeString("")
    assert does.booking is not None, "it was just stacked"
    there = {period.id for period in booked.booked}
    stays = booked.booked if does.booking.is_beside else does.booking.track
    placed = lay_out((period for period in stays if period.id in there), now)
    new = does.booking.period
    renewal = Placed(new.id, does.span, False, new.policy, does.span.starts_at.replace(tzinfo=None))
    return _drawn([*placed, renewal], booked, new.id, gettext("This renewal"), quote.zone, now)


def of_start(after: Track, starts: UUID, booked: Timeline, zone: str, now: datetime) -> SafeString:
    """The drawing of what starting this period now would do to what is booked."""
    return _drawn(lay_out(after, now), booked, starts, "", zone, now)


def _drawn(
    placed: Iterable[Placed], booked: Timeline, new: UUID, new_says: str, zone: str, now: datetime
) -> SafeString:
    plans = {entry.period.id: texts.plan_name(entry.period.plan_version) for entry in booked.entries}
    ended = {entry.period.id: entry.span.ends_at for entry in booked.entries}
    data = {period.id: bucket for period in booked.booked if (bucket := period.buckets.get("data"))}
    shown: list[Shown] = []
    for one in sorted(placed, key=lambda one: (one.span.starts_at, one.span.ends_at)):
        was = ended.get(one.id, one.span.ends_at)
        if max(one.span.ends_at, was) <= now:
            continue
        is_cut = one.span.starts_at < now and one.span.ends_at < was
        bucket = data.get(one.id)
        shown.append(
            Shown(
                says=new_says if one.id == new and new_says else plans.get(one.id, new_says),
                starts_at=one.span.starts_at,
                ends_at=one.span.ends_at,
                look="new" if one.id == new else "waits" if one.projected else "booked",
                data=Lasting(bucket.starts_at, bucket.ends_at) if bucket and not is_cut else None,
                would_have_ended_at=was if is_cut else None,
            )
        )
    return timeline(_folded(shown, now), now, zone, get_language() or "en", name="effect")


def _folded(shown: list[Shown], now: datetime) -> list[Shown]:
    """Periods that follow each other and lie ahead are one row, so that ten of them fit a phone."""
    found: list[Shown] = []
    counts: dict[int, int] = {}
    for one in shown:
        last = found[-1] if found else None
        ahead = one.look != "new" and one.starts_at > now and one.data is None
        if last and ahead and last.look == one.look and last.starts_at > now and last.ends_at == one.starts_at:
            counts[len(found) - 1] = counts.get(len(found) - 1, SINGLE) + 1
            found[-1] = Shown(last.says, last.starts_at, one.ends_at, last.look)
        else:
            found.append(one)
    return [_counted(one, counts.get(number, SINGLE)) for number, one in enumerate(found)]


def _counted(one: Shown, count: int) -> Shown:
    if count == SINGLE:
        return one
    says = ngettext("%(count)d period that is booked ahead", "%(count)d periods that are booked ahead", count)
    return Shown(says % {"count": count}, one.starts_at, one.ends_at, one.look)
