"""The letters about families: who joined, who left, who organises it now, and who renewed a member's card."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext

from xuka.accounts import queries as accounts
from xuka.accounts.models import Membership, User
from xuka.catalogue import queries as catalogue
from xuka.interfaces.web import formats
from xuka.interfaces.web.families import called
from xuka.kernel import ids
from xuka.lines import queries as lines
from xuka.messaging import operations as messaging
from xuka.metering import pools
from xuka.renewals import queries as renewals

RENEWED = "renewed_by_family"


def tell_renewed(*, order_id: UUID, now: datetime) -> None:
    """Tell a card's owner that somebody else renewed it, and who. Nothing where they did it. Once an order."""
    order = renewals.order(order_id)
    if order is not None and order.is_gift:  # who gives is told by the gift's own letter, if they wish
        return
    owner = accounts.user(order.line.owner_id) if order and order.line and order.line.owner_id else None
    if order is None or order.line is None or owner is None or owner.id == order.customer_id:
        return
    line, until = order.line, lines.timeline(order.line, now).valid_until
    with translation.override(owner.language):
        told = {
            "who": called(order.customer),
            "last": line.iccid[-4:],
            "plan": catalogue.name(order.plan_version.plan, owner.language),
            "until": formats.valid_through(until, line.zone) if until else "",
            "here": formats.place(line.zone),
        }
        says = [gettext("%(who)s has renewed your card ending in %(last)s with %(plan)s and paid for it.") % told]
        if until:
            says.append(gettext("It is now valid through %(until)s (%(here)s).") % told)
        says.append(gettext("You need not do anything on the phone."))
        _write(order.id, RENEWED, owner, gettext("%(who)s has renewed your card") % told, says, now)


def tell_joined(*, membership_id: UUID, now: datetime) -> None:
    """Tell the organiser that somebody joined. Once a membership."""
    member = _membership(membership_id)
    organiser = accounts.organiser_of(member.family_id)
    with translation.override(organiser.language):
        told = {"who": called(member.customer)}
        subject = gettext("%(who)s is in your family") % told
        says = [gettext("%(who)s has agreed: you see their cards on the family page, and can renew them.") % told]
        _write(member.id, "family_joined", organiser, subject, says, now)


def tell_left(*, membership_id: UUID, now: datetime) -> None:
    """Tell the organiser that a member left, or the member that they are out. Once a membership."""
    member = _membership(membership_id)
    organiser = accounts.organiser_of(member.family_id)
    if member.is_organiser:
        return
    by_member = member.why_left == Membership.WhyLeft.LEFT
    reader = organiser if by_member else member.customer
    with translation.override(reader.language):
        told = {"who": called(member.customer if by_member else organiser)}
        if by_member:
            subject = gettext("%(who)s has left your family") % told
            says = [gettext("You do not see their cards any more. What you renewed for them stays theirs.")]
        else:
            subject = gettext("You are not in the family of %(who)s any more") % told
            says = [
                gettext("%(who)s has closed the family.") % told
                if member.why_left == Membership.WhyLeft.CLOSED
                else gettext("%(who)s has ended your membership.") % told,
                gettext("Nobody else sees your cards from now on. What was renewed for you stays yours."),
            ]
        _write(member.id, "family_left", reader, subject, says, now)


def tell_handed_over(*, membership_id: UUID, now: datetime) -> None:
    """Tell somebody of a family who organises it now. Once for each organiser."""
    member = _membership(membership_id)
    organiser = accounts.organiser_of(member.family_id)
    if member.left_at is not None:
        return
    with translation.override(member.customer.language):
        told = {"who": called(organiser)}
        if member.customer_id == organiser.id:
            subject = gettext("You organise the family now")
            says = [gettext("It was handed over to you: you see the members' cards, and can renew them.")]
        else:
            subject = gettext("%(who)s organises the family now") % told
            says = [
                gettext("%(who)s sees of your cards what you agreed to, and can renew them.") % told,
                gettext("If you do not want that, leave the family; from that moment nothing is seen."),
            ]
        cause = ids.derived(member.id, f"organiser:{organiser.id}")
        _write(cause, "family_handed_over", member.customer, subject, says, now)


def tell_pool_ended(*, line_id: UUID, now: datetime) -> None:
    """Tell the owners of cards that used this card's data, or of this card that used another's, that it is over.

    Only where that was ended by hand; who left the family is told so. Once each.
    """
    for draw in pools.draws_ended(line_id, since=now - timedelta(days=1)):
        owner = draw.membership.customer
        with translation.override(owner.language):
            told = {"who": called(draw.pool.membership.customer), "last": draw.line.iccid[-4:]}
            subject = gettext("The data of %(who)s is not shared with your card any more") % told
            says = [
                gettext("Your card ending in %(last)s has only its own data from now on.") % told,
                gettext("What was used until then stays counted. You need not do anything on the phone."),
            ]
            _write(draw.id, "pool_ended", owner, subject, says, now)


def _membership(id: UUID) -> Membership:
    there = accounts.membership(id)
    assert there is not None, "memberships are never deleted"
    return there


def _write(cause: UUID, kind: str, to: User, subject: str, says: list[str], now: datetime) -> None:
    hello = gettext("Hello %(name)s,") % {"name": to.name} if to.name else gettext("Hello,")
    page = gettext("The family") + f": {settings.SITE_URL}/family/"
    messaging.queue(
        cause=cause,
        kind=kind,
        to=to.email,
        language=to.language,
        subject=subject,
        text="\n\n".join([hello, " ".join(says), page, settings.SELLER_NAME]) + "\n",
        customer=to.id,
        now=now,
    )
