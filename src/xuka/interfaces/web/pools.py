"""Data that a family shares: what its organiser shares, what a member agrees to, and how either ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import get_language, gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from xuka.accounts.models import Membership, User
from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.catalogue.rules import Pool as Terms
from xuka.interfaces import clock
from xuka.interfaces.web import errors, formats, who
from xuka.kernel import ids
from xuka.lines import queries as lines
from xuka.lines.queries import Entry, Line
from xuka.metering import pools, sharing
from xuka.metering.models import Draw, Pool
from xuka.metering.sharing import CannotShare


@dataclass(frozen=True, slots=True)
class Shared:
    """A card of the organiser's whose data can be shared: by whom it is used, and the id of a pool to be."""

    line: Line
    plan: PlanVersion
    most: int
    pool: Pool | None
    draws: tuple[Draw, ...]
    new_id: UUID


@dataclass(frozen=True, slots=True)
class Offered:
    """What the organiser shares, and a card of the member's that can use of it; ``draw`` where it does."""

    pool: Pool
    plan: PlanVersion
    line: Line
    words: str
    draw: Draw | None
    new_id: UUID


def called(user: User) -> str:
    """A person in a sentence: their name, with the address that makes sure who it is."""
    return f"{user.name} ({user.email})" if user.name else user.email


def consent_words(host: User, line: Line, *, is_last: bool) -> str:
    """Exactly what a card's owner agrees to; with its meaning ``metering.sharing.POOL_CONSENT_VERSION`` changes.

    Args:
        is_last: it is used once the card's own data is used up, and not in one order with it.
    """
    turn = (
        gettext("My card ending in %(last)s uses the data that %(who)s shares once its own is used up.")
        if is_last
        else gettext("My card ending in %(last)s uses the data that %(who)s shares in one order with its own.")
    )
    rest = gettext(
        "I agree that %(who)s sees how much of it my card has used, and that every mark of it is told to all who share "
        "it. I see what is left for all of us together, and what my own card has used. %(who)s can stop sharing at any "
        "time, and so can I; when one of us leaves the family it ends too. From that moment my card has its own data "
        "only; what was used stays counted."
    )
    return f"{turn} {rest}" % {"who": called(host), "last": line.iccid[-4:]}


def of_organiser(
    own: Membership, cards: list[Line], entries: Mapping[UUID, list[Entry]], now: datetime
) -> list[Shared]:
    """Of the organiser's own cards those whose data can be shared, and those whose data is."""
    opened = {pool.line_id: pool for pool in pools.pools_of(own.id)}
    draws = pools.draws_now(pool.id for pool in opened.values()) if opened else []
    found = [(line, opened.get(line.id), pools.shared_plan(line, entries[line.id], now)) for line in cards]
    return [
        Shared(
            line, plan[0] if plan else line.plan_version, plan[1].cards if plan else 0, pool,
            tuple(one for one in draws if pool and one.pool_id == pool.id), ids.new(),
        )
        for line, pool, plan in found
        if pool or plan
    ]  # fmt: skip


def of_member(own: Membership, organiser: Membership, now: datetime) -> list[Offered]:
    """What the organiser shares, with each of the member's cards that can use of it, or does."""
    there = pools.pools_of(organiser.id)
    entries = lines.entries_of([pool.line for pool in there], now) if there else {}
    opened = [(pool, plan) for pool in there if (plan := pools.shared_plan(pool.line, entries[pool.line_id], now))]
    cards = lines.lines_of(own.customer_id) if opened else []
    drawn = {draw.line_id: draw for draw in pools.draws_now(pool.id for pool, _ in opened)}
    return [
        Offered(pool, plan, line, draw.consent_words if draw else _words(pool, terms, line), draw, ids.new())
        for pool, (plan, terms) in opened
        for line in cards
        for draw in [drawn.get(line.id)]
        if (draw and draw.pool_id == pool.id)
        or (not draw and (line.carrier, line.market_id) == (pool.line.carrier, pool.line.market_id))
    ]


def _words(pool: Pool, terms: Terms, line: Line) -> str:
    return consent_words(pool.membership.customer, line, is_last=terms.turn == "own_first")


def for_whom(line: Line, plan: PlanVersion, entries: Iterable[Entry]) -> str:
    """For whom a renewal of this card with this plan is: who shares its data; "" where nobody does.

    Args:
        entries: what is booked on it.
    """
    can = any(catalogue.policy(one.period.plan_version).quota.data.pool for one in entries)
    pool = pools.pool_now(line.id) if can else None
    draws = pools.draws_now([pool.id]) if pool else []
    if not draws:
        return ""
    names = formats.listing(sorted({called(draw.membership.customer) for draw in draws}))
    if catalogue.policy(plan).quota.data.pool is None:
        return gettext("The data of this plan cannot be shared: %(who)s would have only their own.") % {"who": names}
    says = ngettext(
        "This is for %(count)d other card too, which shares its data: of %(who)s.",
        "This is for %(count)d other cards too, which share its data: of %(who)s.",
        len(draws),
    )
    return says % {"count": len(draws), "who": names}


# -- what is done ----------------------------------------------------------------------------------------------------


def _does(act: Callable[[HttpRequest, UUID, UUID, datetime], None], says: Any) -> Callable[..., HttpResponse]:
    """A button of the family page; ``id`` is what it acts on."""

    @login_required
    @require_POST
    def view(request: HttpRequest, id: UUID) -> HttpResponse:
        try:
            act(request, id, who.customer(request).id, clock.now())
        except (KeyError, ValueError):
            return errors.bad_request(request)
        except CannotShare as error:
            if error.code == "not_yours":
                raise Http404 from None
            messages.warning(request, _why_not(error.code))
        else:
            messages.success(request, says)
        return redirect("family")

    return view


def _open(request: HttpRequest, line_id: UUID, customer: UUID, now: datetime) -> None:
    sharing.open_pool(id=UUID(request.POST["pool"]), line_id=line_id, customer=customer, now=now)


def _draw(request: HttpRequest, pool_id: UUID, customer: UUID, now: datetime) -> None:
    line = who.line(request, UUID(request.POST["line"]))
    pool = pools.pool(pool_id)
    if pool is None:
        raise CannotShare("not_yours")
    plan = pools.shared_plan(pool.line, lines.entries_of([pool.line], now)[pool.line_id], now)
    words = _words(pool, plan[1], line) if plan and request.POST.get("agreed") else ""
    sharing.draw(
        id=UUID(request.POST["draw"]), pool_id=pool_id, line_id=line.id, customer=customer, words=words,
        language=get_language() or "en", now=now,
    )  # fmt: skip


open_pool = _does(_open, _("Shared. The members of your family are asked, each for their own card."))
close_pool = _does(
    lambda request, pool, customer, now: sharing.close_pool(pool_id=pool, customer=customer, now=now),
    _("Not shared any more. The cards that used it have their own data only, and their owners are told."),
)
draw = _does(_draw, _("Your card uses the shared data from now on. You can end it at any time, here."))
end_draw = _does(
    lambda request, draw, customer, now: sharing.end_draw(draw_id=draw, customer=customer, now=now),
    _("Ended. That card has its own data only from now on."),
)


def _why_not(code: str) -> str:
    match code:
        case "plan":
            return gettext("The plan of this card does not allow sharing. Nothing was changed.")
        case "not_counted":
            return gettext("Nothing is known of this card's use yet, so nobody could count what is shared. Try later.")
        case "draws" | "shares" | "taken":
            return gettext("A card shares its own data or uses that of one other card, not both. Nothing was changed.")
        case "other_network":
            return gettext("The two cards are not of the same network. Nothing was changed.")
        case "full":
            return gettext("As many cards use it as the plan allows. Nothing was changed.")
        case "ended":
            return gettext("It is not shared any more. Nothing was changed.")
    return gettext("Tick the box: without your consent your card uses nothing of it.")
