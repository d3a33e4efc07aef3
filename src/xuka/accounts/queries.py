"""Reading accounts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from django.db.models import F, QuerySet
from django.db.models.expressions import RawSQL

from xuka.accounts.models import Choices, Contact, Invitation, Membership, User
from xuka.accounts.rules import STANDARD, Told, secret_hash
from xuka.kernel import ids


def user(id: UUID) -> User | None:
    """The account of this id; None when there is none."""
    return User.objects.filter(id=id).first()


def user_by_phone(phone: str) -> User | None:
    """The account that has confirmed this number (E.164); None when there is none."""
    return User.objects.filter(phone=phone, phone_verified=True).first()


def user_by_email(email: str) -> User | None:
    """The account of this address, however it is capitalised; None when there is none."""
    return User.objects.filter(email__iexact=email.strip()).first()


def contacts_of(customer: UUID) -> list[Contact]:
    """The customer's further ways to be reached, the first added first."""
    return list(Contact.objects.filter(customer_id=customer).order_by("created_at", "id"))


def choices_of(customer: UUID) -> Told:
    """What the customer wants to hear; the standard where nothing was chosen."""
    return _choices(ids.listed([customer])).get(customer, STANDARD)


def _choices(customers: str) -> dict[UUID, Told]:
    return {
        row.customer_id: Told(
            ending=frozenset(row.ending),
            usage=frozenset(row.usage),
            renewal=frozenset(row.renewal),
            quiet_from=row.quiet_from,
            quiet_to=row.quiet_to,
            urgent_at_night=row.urgent_at_night,
        )
        for row in Choices.objects.filter(customer_id__in=RawSQL("select unnest(%s::uuid[])", [customers]))
    }


class Reach(NamedTuple):
    """Who a customer is to one who writes to them: language, clock, choices, and the addresses of each channel.

    ``time_zone`` is "" where none was chosen.
    """

    customer: UUID
    name: str
    language: str
    time_zone: str
    told: Told
    addresses: dict[str, tuple[str, ...]]


def reach_of(customers: Iterable[UUID]) -> dict[UUID, Reach]:
    """How to reach each of these customers, in three queries; who was shut out is left out.

    Addresses are those that were confirmed and work: e-mail and number of the account, and the further contacts.
    """
    wanted = ids.listed(customers)
    choices = _choices(wanted)
    further: dict[UUID, list[tuple[str, str]]] = defaultdict(list)
    listed = RawSQL("select unnest(%s::uuid[])", [wanted])
    contacts = Contact.objects.filter(customer_id__in=listed, confirmed=True, is_working=True)
    for customer, channel, address in contacts.values_list("customer_id", "channel", "address"):
        further[customer].append((channel, address))
    columns = ("id", "name", "language", "time_zone", "email", "phone", "phone_verified")
    rows = User.objects.filter(id__in=listed, is_active=True).values_list(*columns)
    found: dict[UUID, Reach] = {}
    for id, name, language, zone, email, phone, has_phone in rows:
        addresses: dict[str, tuple[str, ...]] = {"email": (email,)}
        if has_phone and phone:
            addresses["sms"] = (phone,)
        for channel, address in sorted(further.get(id, ())):
            if address not in addresses.get(channel, ()):
                addresses[channel] = (*addresses.get(channel, ()), address)
        found[id] = Reach(id, name, language, zone, choices.get(id, STANDARD), addresses)
    return found


# -- families ------------------------------------------------------------------------------------------------------


def membership_of(customer: UUID) -> Membership | None:
    """Where this customer is in a family now; None when they are in none."""
    return _current().select_related("family").filter(customer_id=customer).first()


def membership(id: UUID) -> Membership | None:
    """This membership, ended or not."""
    return Membership.objects.select_related("customer").filter(id=id).first()


def family_around(customer: UUID) -> list[Membership]:
    """Everybody in this customer's family now, themselves included, the organiser first; [] when they are in none."""
    families = _current().filter(customer_id=customer).values("family_id")
    rows = _current().select_related("customer").filter(family_id__in=families)
    return list(rows.order_by("place", "joined_at"))


def members_of(family: UUID) -> list[Membership]:
    """Who is in this family now, the organiser first, then who joined first."""
    return list(_current().select_related("customer").filter(family_id=family).order_by("place", "joined_at"))


def organiser_of(family: UUID) -> User:
    """Who sees and renews the cards of this family's members; of one that is closed, who did so last."""
    rows = Membership.objects.select_related("customer").filter(family_id=family, place=0)
    return rows.order_by(F("left_at").desc(nulls_first=True))[0].customer


def members_in_care_of(customer: UUID) -> QuerySet[Membership, UUID]:
    """Whose cards this customer sees and renews now, beside their own, by id: the members of the family they organise.

    It is not asked before it is used, so that another query can hold it.
    """
    families = _current().filter(customer_id=customer, place=0).values("family_id")
    return _current().filter(family_id__in=families, place__gt=0).values_list("customer_id", flat=True)


def invitations_of(family: UUID) -> list[Invitation]:
    """The invitations of this family that were not answered, the first made first; also those whose time is over."""
    return list(Invitation.objects.filter(family_id=family, ended_at__isnull=True).order_by("invited_at", "id"))


def invitation_by_secret(secret: str) -> Invitation | None:
    """The invitation that this secret belongs to, whatever became of it; None for one that is nobody's."""
    return Invitation.objects.filter(secret_hash=secret_hash(secret)).first()


def _current() -> QuerySet[Membership]:
    return Membership.objects.filter(left_at__isnull=True)
