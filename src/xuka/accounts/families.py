"""Families: one customer, the organiser, sees and renews the cards of others, from their consent until they leave.

Locks are taken in one order: the family, then its invitation. Who writes letters about it, and with which link, is not
decided here: an invitation's secret is handed out once, to whoever made it, and kept as a hash.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from xuka.accounts import queries
from xuka.accounts.models import Family, Invitation, Membership
from xuka.accounts.rules import FAMILY_CONSENT_VERSION, INVITATION_LASTS, MOST_MEMBERS, email_of, secret_hash
from xuka.journal import operations as journal
from xuka.kernel import ids

WhyLeft, Outcome = Membership.WhyLeft, Invitation.Outcome


class CannotJoin(Exception):
    """The invitation does not make this customer a member; ``code`` says why. Nothing was changed.

    Codes: "unknown" (there is none), "used" (it was answered, or withdrawn), "expired", "other_address" (it is for
    somebody else), "in_a_family" (they are in one already), "full", "organiser_changed" (the family was handed over
    since the words were read), "no_consent".
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class CannotInvite(Exception):
    """Nobody was invited; ``code`` says why: "address" (it is none), "member" (they are in the family), "full"."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class InAFamily(Exception):
    """The customer is in a family already; nothing was changed."""


class NotOrganiser(Exception):
    """Only the organiser may do this; nothing was changed."""


class OrganiserStays(Exception):
    """The organiser hands the family over or closes it, and does not just leave; nothing was changed."""


# -- founding and ending -------------------------------------------------------------------------------------------


def found(*, id: UUID, customer: UUID, now: datetime) -> Family:
    """Begin a family with this customer as its organiser. The same id again changes nothing.

    Raises:
        InAFamily: the customer is in another one.
    """
    there = Membership.objects.select_related("family").filter(family_id=id, customer_id=customer).first()
    if there:
        return there.family
    try:
        with transaction.atomic():
            family = Family.objects.create(id=id, founded_at=now)
            Membership.objects.create(id=ids.new(), family=family, customer_id=customer, place=0, joined_at=now)
            journal.record(what="family.founded", subject=id, who=f"customer:{customer}", now=now)
    except IntegrityError as wrong:
        raise InAFamily("You are in a family already.") from wrong
    return family


@transaction.atomic
def close(*, organiser: UUID, now: datetime) -> None:
    """End the family for everybody. From now on the organiser sees nothing of anybody, and no invitation is good.

    Raises:
        NotOrganiser: it is not theirs to close, or closed already.
    """
    own = _as_organiser(organiser)
    who = f"customer:{organiser}"
    for one in queries.members_of(own.family_id):
        _end(one, WhyLeft.CLOSED, who, now)
    for invitation in queries.invitations_of(own.family_id):
        _answer(invitation, Outcome.WITHDRAWN, who, now)
    Family.objects.filter(id=own.family_id).update(closed_at=now)
    journal.record(what="family.closed", subject=own.family_id, who=who, now=now)


@transaction.atomic
def hand_over(*, organiser: UUID, membership: UUID, now: datetime) -> None:
    """Make a member the organiser; the one who was it leaves, for the members did not agree to be seen by both.

    Raises:
        NotOrganiser: it is not theirs to hand over, or that one is no member of theirs.
    """
    own = _as_organiser(organiser)
    heir = _member(own.family_id, membership)
    who = f"customer:{organiser}"
    _end(own, WhyLeft.LEFT, who, now)
    heir.place = 0
    heir.save(update_fields=["place"])
    after = {"organiser": str(heir.customer_id)}
    for one in queries.members_of(own.family_id):
        journal.record(what="family.handed_over", subject=one.id, who=who, after=after, now=now)


# -- inviting and joining ------------------------------------------------------------------------------------------


@transaction.atomic
def invite(*, id: UUID, organiser: UUID, email: str, now: datetime) -> tuple[Invitation, str]:
    """Offer this address a place, for seven days; what it was offered before ends. The same id again changes nothing.

    It never tells whether the address has an account, or is in another family.

    Returns:
        The invitation, and its secret, which is told this once: "" when the id was there already.

    Raises:
        NotOrganiser: the customer organises no family.
        CannotInvite: see there. Invitations that are open count as members.
    """
    own = _as_organiser(organiser)
    there = Invitation.objects.filter(id=id, family_id=own.family_id).first()
    if there:
        return there, ""
    email = email_of(email)
    _require_address(email)
    members, waiting = queries.members_of(own.family_id), queries.invitations_of(own.family_id)
    if any(one.customer.email == email for one in members):
        raise CannotInvite("member")
    who = f"customer:{organiser}"
    for one in [one for one in waiting if one.email == email or now >= one.expires_at]:
        _answer(one, Outcome.WITHDRAWN, who, now)
        waiting.remove(one)
    if len(members) - 1 + len(waiting) >= MOST_MEMBERS:
        raise CannotInvite("full")
    secret = secrets.token_urlsafe(24)
    invitation = Invitation.objects.create(
        id=id, family_id=own.family_id, email=email, secret_hash=secret_hash(secret),
        invited_at=now, expires_at=now + INVITATION_LASTS,
    )  # fmt: skip
    journal.record(what="family.invited", subject=id, who=who, after={"family": str(own.family_id)}, now=now)
    return invitation, secret


@transaction.atomic
def withdraw(*, organiser: UUID, invitation: UUID, now: datetime) -> None:
    """Take an invitation back: its link is good for nothing. One that was answered is left alone.

    Raises:
        NotOrganiser: it is not theirs.
    """
    own = _as_organiser(organiser)
    there = Invitation.objects.filter(id=invitation, family_id=own.family_id).first()
    if there is None:
        raise NotOrganiser("There is no such invitation.")
    if there.ended_at is None:
        _answer(there, Outcome.WITHDRAWN, f"customer:{organiser}", now)


def accept(
    *, secret: str, customer: UUID, email: str, organiser: UUID, words: str, language: str, now: datetime
) -> Membership:
    """Make the invited customer a member, as they agreed. The same customer again changes nothing.

    Args:
        secret: of the invitation's link.
        email: the customer's own address; an invitation is for one address, whoever got hold of its link.
        organiser: whom the words name.
        words: exactly what was agreed to.
        language: of the words.

    Raises:
        CannotJoin: see there.
    """
    try:
        with transaction.atomic():
            invitation = _invited(secret, email)
            member = invitation.membership
            if member and member.customer_id == customer and member.left_at is None:
                return member
            _require_open(invitation, now)
            return _join(invitation, customer, organiser, words, language, now)
    except IntegrityError as wrong:  # in another family since this began
        raise CannotJoin("in_a_family") from wrong


def require_open(*, secret: str, customer: UUID, email: str, now: datetime) -> None:
    """Look whether this customer could join now. Nothing is changed.

    Raises:
        CannotJoin: as ``accept``.
    """
    invitation = queries.invitation_by_secret(secret)
    if invitation is None:
        raise CannotJoin("unknown")
    if invitation.email != email_of(email):
        raise CannotJoin("other_address")
    _require_open(invitation, now)
    if queries.membership_of(customer):
        raise CannotJoin("in_a_family")


@transaction.atomic
def decline(*, secret: str, email: str, now: datetime) -> None:
    """Answer the invitation with no.

    Raises:
        CannotJoin: "unknown", "other_address", "used" or "expired".
    """
    invitation = _invited(secret, email)
    if invitation.outcome != Outcome.DECLINED:
        _require_open(invitation, now)
        _answer(invitation, Outcome.DECLINED, "visitor", now)


def _invited(secret: str, email: str) -> Invitation:
    there = queries.invitation_by_secret(secret)
    if there is None:
        raise CannotJoin("unknown")
    Family.objects.select_for_update().get(id=there.family_id)
    there = Invitation.objects.select_for_update(of=("self",)).select_related("membership").get(id=there.id)
    if there.email != email_of(email):
        raise CannotJoin("other_address")
    return there


def _require_open(invitation: Invitation, now: datetime) -> None:
    if invitation.ended_at is not None:
        raise CannotJoin("used")
    if now >= invitation.expires_at:
        raise CannotJoin("expired")


def _join(
    invitation: Invitation, customer: UUID, organiser: UUID, words: str, language: str, now: datetime
) -> Membership:
    if not words.strip():
        raise CannotJoin("no_consent")
    if queries.membership_of(customer):
        raise CannotJoin("in_a_family")
    members = queries.members_of(invitation.family_id)
    if members[0].customer_id != organiser:
        raise CannotJoin("organiser_changed")
    free = sorted(set(range(1, MOST_MEMBERS + 1)) - {one.place for one in members})
    if not free:
        raise CannotJoin("full")
    member = Membership.objects.create(
        id=ids.derived(invitation.id, "membership"), family_id=invitation.family_id, customer_id=customer,
        place=free[0], joined_at=now, consent_words=words, consent_version=FAMILY_CONSENT_VERSION,
        consent_language=language,
    )  # fmt: skip
    who = f"customer:{customer}"
    _answer(invitation, Outcome.ACCEPTED, who, now, member)
    after = {"family": str(member.family_id), "consent": member.consent_version}
    journal.record(what="family.joined", subject=member.id, who=who, after=after, now=now)
    return member


# -- leaving -------------------------------------------------------------------------------------------------------


@transaction.atomic
def leave(*, customer: UUID, now: datetime) -> None:
    """Leave the family; from this moment its organiser sees nothing more. One who is in none is left alone.

    Raises:
        OrganiserStays: they are its organiser.
    """
    own = _locked(customer)
    if own is None:
        return
    if own.is_organiser:
        raise OrganiserStays("Hand the family over, or close it.")
    _end(own, WhyLeft.LEFT, f"customer:{customer}", now)


@transaction.atomic
def remove(*, organiser: UUID, membership: UUID, now: datetime) -> None:
    """End a member's membership; from this moment the organiser sees nothing more of them.

    Raises:
        NotOrganiser: that one is no member of a family that this customer organises.
    """
    own = _as_organiser(organiser)
    _end(_member(own.family_id, membership), WhyLeft.REMOVED, f"customer:{organiser}", now)


def _locked(customer: UUID) -> Membership | None:
    """Where this customer is a member; their family is locked until the transaction ends."""
    there = queries.membership_of(customer)
    if there is None:
        return None
    Family.objects.select_for_update().get(id=there.family_id)
    return queries.membership_of(customer)


def _as_organiser(customer: UUID) -> Membership:
    own = _locked(customer)
    if own is None or not own.is_organiser:
        raise NotOrganiser("Only the organiser of a family can do this.")
    return own


def _member(family: UUID, membership: UUID) -> Membership:
    there = Membership.objects.filter(id=membership, family_id=family, left_at__isnull=True, place__gt=0).first()
    if there is None:
        raise NotOrganiser("There is no such member.")
    return there


def _require_address(email: str) -> None:
    try:
        validate_email(email)
    except ValidationError as wrong:
        raise CannotInvite("address") from wrong
    if len(email) > 254:
        raise CannotInvite("address")


def _end(member: Membership, why: str, who: str, now: datetime) -> None:
    member.left_at, member.why_left = now, why
    member.save(update_fields=["left_at", "why_left"])
    after = {"family": str(member.family_id), "why": str(why), "place": member.place}
    journal.record(what="family.left", subject=member.id, who=who, after=after, now=now)


def _answer(
    invitation: Invitation, outcome: str, who: str, now: datetime, membership: Membership | None = None
) -> None:
    invitation.ended_at, invitation.outcome, invitation.membership = now, outcome, membership
    invitation.save(update_fields=["ended_at", "outcome", "membership"])
    if outcome != Outcome.ACCEPTED:
        journal.record(what=f"family.invitation_{outcome}", subject=invitation.id, who=who, now=now)
