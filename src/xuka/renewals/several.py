"""Several periods bought at once: how many are possible, what they would do, and what each of them is worth. Pure.

What is here asks ``rules.stack`` and ``lines.rules.book`` once for each period, as if each were bought by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from xuka.catalogue.rules import KINDS, Policy, period_of
from xuka.kernel.money import Money, step
from xuka.kernel.span import Span
from xuka.lines.rules import Booked, Lived, Track, book
from xuka.renewals.rules import ASKED_FOR, Left, NotNow, Stacked, stack

MOST_AT_ONCE = 12
# The carrier takes one after the other: at least this lies between two of them.
BETWEEN = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Possible:
    """What each period would do, one after the other, as many as can be bought at once.

    ``why_no_more``: "" at the limit of one order; "takes_away" where a further one would take paid time or data from
    those before it; else a code of ``NotNow``.
    """

    periods: tuple[Stacked, ...]
    why_no_more: str = ""


def possible(
    *,
    track: Track,
    policy: Policy,
    now: datetime,
    most: int = MOST_AT_ONCE,
    last: Policy | None = None,
    left: Left | None = None,
    beside: Track = (),
    lived: Lived | None = None,
) -> Possible:
    """What up to ``most`` periods of this plan would do if they were bought at once; the arguments are ``stack``'s.

    Raises:
        NotNow: not even one can be bought.
    """
    found = [stack(track=track, policy=policy, now=now, last=last, left=left, beside=beside, lived=lived, id=_id(0))]
    harmless = _how_many_keep_each_other(track, policy, now, most)
    while len(found) < most:
        if len(found) >= harmless:
            return Possible(tuple(found), "takes_away")
        try:
            found.append(_one_more(found, track, beside, policy, now, left))
        except NotNow as error:
            return Possible(tuple(found), error.code)
    return Possible(tuple(found))


def _id(ordinal: int) -> UUID:
    """Of all that are paid at one moment they come last, in their order."""
    return UUID(int=ASKED_FOR.int - MOST_AT_ONCE + ordinal)


def _one_more(
    found: Sequence[Stacked], track: Track, beside: Track, policy: Policy, now: datetime, left: Left | None
) -> Stacked:
    bookings = [one.booking for one in found if one.booking]
    after = next((one.track for one in reversed(bookings) if not one.is_beside), track)
    number = len(found)
    mine = tuple(one.period for one in bookings if one.is_beside)
    left = _with_bought(left, policy, number)
    one = stack(track=after, policy=policy, now=now, left=left, beside=(*beside, *mine), id=_id(number))
    if any(fact["kind"] == "beyond_cap" for fact in one.lost):
        raise NotNow("too_far_ahead")
    if policy.renewal.max_stacked is not None:
        ahead = sum(period.span is None or period.span.ends_at > now for period in after)
        if mine and ahead + len(mine) >= policy.renewal.max_stacked:
            raise NotNow("too_many")
    if policy.period.starts == "first_use" and found[0].span.starts_at <= now:
        # Told as if each were used as soon as it can be, as ``stack`` tells it of one.
        return replace(one, span=period_of(policy.period, found[-1].span.ends_at))
    return one


def _with_bought(left: Left | None, policy: Policy, number: int) -> Left | None:
    """What will be left with the data of so many periods more; data that is used up stays used up."""
    limits = policy.quota.data.limits
    if not left or not left.bytes or not limits:
        return left
    bought = number * limits[0].tiers[0].after_bytes
    return Left(left.bytes + bought, left.of_bytes + bought)


def _how_many_keep_each_other(track: Track, policy: Policy, now: datetime, most: int) -> int:
    """How many can be booked, each a moment after the other, before one takes time or data from one before it."""
    if policy.renewal.mode != "replace" and all(policy.renewal.fate(kind) != "replace" for kind in KINDS):
        return most
    mine: list[Booked] = []
    for ordinal in range(most):
        at = now if policy.period.starts == "payment" else now + ordinal * BETWEEN
        new = Booked(_id(ordinal), None, now, policy.period, renewal=policy.renewal)
        booking = book(track, new, at)
        if not booking.is_beside:
            after = {period.id: period for period in booking.track}
            if any(_is_less(one, after[one.id]) for one in mine):
                return ordinal
            mine = [after[one.id] for one in mine]
            track = booking.track
            mine.append(after[new.id])
    return most


def _is_less(before: Booked, after: Booked) -> bool:
    if before.span and not after.span:
        return True
    pairs = [(before.span, after.span), *((before.bucket(kind), after.bucket(kind)) for kind in KINDS)]
    return any(was and then and then.ends_at < was.ends_at for was, then in pairs)


def together(periods: Sequence[Stacked], *, policy: Policy) -> Stacked:
    """What these periods do as one renewal: from the first start to the last end, what is kept, and every loss once."""
    first, last = periods[0], periods[-1]
    if len(periods) == 1:
        return replace(first, spans=(first.span,))
    spans = tuple(one.span for one in periods)
    lost: list[dict[str, Any]] = []
    for fact in (fact for one in periods for fact in one.lost):
        if all(fact["kind"] != there["kind"] for there in lost):
            lost.append(fact)
    if all(span.starts_at == spans[0].starts_at for span in spans):
        lost.append({"kind": "side_by_side", "count": len(spans)})
    ends_at = max(span.ends_at for span in spans)
    longer = {f"{kind}_longer" for kind in KINDS if policy.renewal.fate(kind) == "add"}
    kept = tuple(fact | {"until": ends_at.isoformat()} if fact["kind"] in longer else fact for fact in first.kept)
    return Stacked(
        Span(first.span.starts_at, ends_at),
        first.starts_on_activation,
        kept,
        tuple(lost),
        last.booking,
        last.until,
        spans,
    )


def shares(total: Money, count: int) -> tuple[int, ...]:
    """What each of the periods of an order is worth, minor units, in whole ``money.step``s: less cannot be given back.

    What cannot be divided goes to the first.
    """
    unit = step(total.currency)
    each = total.minor // (count * unit) * unit
    return (total.minor - each * (count - 1), *(each,) * (count - 1))
