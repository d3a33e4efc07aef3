"""Everything that writes to accounts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from xuka.accounts import queries
from xuka.accounts.models import Choices, Contact, User
from xuka.accounts.rules import CHANNELS, GROUPS, Group, Told, UnknownChannel, email_of, language_of, time_zone_of
from xuka.journal import operations as journal
from xuka.kernel import ids


class EmailTaken(Exception):
    """Somebody else's account has this e-mail address; nothing was stored."""


class PhoneTaken(Exception):
    """Somebody else's account has this number; nothing was stored."""


def register_user(
    *,
    email: str,
    language: str,
    now: datetime,
    id: UUID | None = None,
    name: str = "",
    time_zone: str = "",
    password: str | None = None,
    is_staff: bool = False,
    is_superuser: bool = False,
    who: str = "",
) -> User:
    """Store a new account.

    Args:
        language: one of ``rules.LANGUAGES``.
        now: aware UTC.
        id: makes the call repeatable: the same id and address again changes nothing and returns the account.
        time_zone: an IANA name, or "" for none.
        password: None for an account that signs in by a code in the mail.
        who: who did it, as in the journal; the person themselves when empty.

    Raises:
        EmailTaken: another account has the address, however it is capitalised.
        InvalidLanguage, InvalidTimeZone: see ``accounts.rules``.
    """
    there = User.objects.filter(id=id).first() if id else None
    if there and there.email == email_of(email):
        return there
    user = User(id=id or ids.new(), email=email, name=name, is_staff=is_staff, is_superuser=is_superuser)
    user.set_password(password)
    return register(user=user, language=language, time_zone=time_zone, who=who, now=now)


def register(*, user: User, language: str, now: datetime, time_zone: str = "", who: str = "") -> User:
    """Store a user that a sign-up form has filled (address and password), and the fact.

    Raises:
        EmailTaken: another account has the address, however it is capitalised.
        InvalidLanguage, InvalidTimeZone: see ``accounts.rules``.
    """
    user.email = email_of(user.email)
    user.language = language_of(language)
    user.time_zone = time_zone_of(time_zone)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            journal.record(
                what="user.registered",
                subject=user.id,
                who=who or f"customer:{user.id}",
                after={"language": user.language, "time_zone": user.time_zone},
                now=now,
            )
    except IntegrityError as wrong:
        raise EmailTaken("This e-mail address is already in use.") from wrong
    return user


def set_name(*, customer: UUID, name: str, now: datetime) -> None:
    """Store what the customer wants to be called; "" for nothing. The same name again changes nothing."""
    _set(customer, "name", name.strip()[:120], now)


def set_language(*, customer: UUID, language: str, now: datetime) -> None:
    """Store the language the customer reads, one of ``rules.LANGUAGES``. The same language again changes nothing.

    Raises:
        InvalidLanguage: Xuka does not speak it.
    """
    _set(customer, "language", language_of(language), now)


def set_time_zone(*, customer: UUID, time_zone: str, now: datetime) -> None:
    """Store the customer's own time zone, an IANA name or "" for none. The same zone again changes nothing.

    Raises:
        InvalidTimeZone: there is no zone of this name.
    """
    _set(customer, "time_zone", time_zone_of(time_zone), now)


def replace_email(*, customer: UUID, email: str, who: str, why: str, now: datetime) -> None:
    """Give the account another address, and with it nothing of the old ways in: no password, no number.

    That the password changes also ends every session. The journal tells that it happened, not the addresses.

    Raises:
        EmailTaken: another account has the address, however it is capitalised.
    """
    try:
        with transaction.atomic():
            user = User.objects.select_for_update().get(id=customer)
            user.email, user.phone, user.phone_verified = email_of(email), None, False
            user.set_unusable_password()
            user.save(update_fields=["email", "phone", "phone_verified", "password"])
            journal.record(what="user.email_replaced", subject=customer, who=who, why=why, now=now)
    except IntegrityError as wrong:
        raise EmailTaken("This e-mail address is already in use.") from wrong


def set_phone(*, customer: UUID, phone: str | None, now: datetime, who: str = "") -> None:
    """Store the number that the customer has just proved to hold; None takes it away.

    The same number again changes nothing. The journal tells that it changed, and its last four digits.

    Args:
        phone: in E.164.
        who: who did it, as in the journal; the customer when empty.

    Raises:
        PhoneTaken: another account has confirmed it.
    """
    try:
        with transaction.atomic():
            user = User.objects.select_for_update().get(id=customer)
            before = user.phone
            if (before, user.phone_verified) == (phone, phone is not None):
                return
            user.phone, user.phone_verified = phone, phone is not None
            user.save(update_fields=["phone", "phone_verified"])
            journal.record(
                what="user.phone_set" if phone else "user.phone_removed",
                subject=customer,
                who=who or f"customer:{customer}",
                before={"phone": ids.masked(before)} if before else None,
                after={"phone": ids.masked(phone)} if phone else None,
                now=now,
            )
    except IntegrityError as wrong:
        raise PhoneTaken("This number is already in use.") from wrong


@transaction.atomic
def note_passkey(*, customer: UUID, added: bool, now: datetime) -> None:
    """Keep the fact that the customer added a passkey, or removed one; the sign-in library keeps the key itself."""
    what = "user.passkey_added" if added else "user.passkey_removed"
    journal.record(what=what, subject=customer, who=f"customer:{customer}", now=now)


@transaction.atomic
def add_contact(*, customer: UUID, channel: str, address: str, label: str, now: datetime) -> Contact:
    """Keep a way to reach the customer who has just proved to hold it; the same again changes nothing but its label.

    It is then confirmed and working. One that was somebody else's is theirs no more: only one person can hold it.
    Neither address nor label is in the fact.

    Args:
        channel: a value of ``Contact.Channel``.
    """
    there = Contact.objects.select_for_update().filter(channel=channel, address=address).first()
    if there is not None and there.customer_id != customer:
        there.delete()
        _told(there.customer_id, "user.contact_lost", channel, now)
        there = None
    if there is None:
        there = Contact(id=ids.new(), customer_id=customer, channel=channel, address=address, created_at=now)
        _told(customer, "user.contact_added", channel, now)
    there.label, there.confirmed, there.is_working = label.strip()[:80], True, True
    there.save()
    return there


@transaction.atomic
def remove_contact(*, customer: UUID, contact_id: UUID, now: datetime) -> None:
    """Forget a way to reach the customer. One that is gone, or somebody else's, is left alone."""
    for contact in Contact.objects.filter(id=contact_id, customer_id=customer):
        contact.delete()
        _told(customer, "user.contact_removed", contact.channel, now)


@transaction.atomic
def switch_off_contact(*, channel: str, address: str, now: datetime) -> None:
    """Nobody is there any more, says the channel: nothing more goes there until it is added again. Again: no change."""
    for contact in Contact.objects.select_for_update().filter(channel=channel, address=address, is_working=True):
        contact.is_working = False
        contact.save(update_fields=["is_working"])
        _told(contact.customer_id, "user.contact_gone", channel, now)


def _told(customer: UUID, what: str, channel: str, now: datetime) -> None:
    journal.record(what=what, subject=customer, who=f"customer:{customer}", after={"channel": channel}, now=now)


@transaction.atomic
def choose(*, customer: UUID, told: Told, now: datetime) -> None:
    """Store what the customer wants to hear, and when not. The same again changes nothing.

    Raises:
        UnknownChannel: one of the channels is none.
    """
    if unknown := set().union(*(told.channels(group) for group in GROUPS)) - set(CHANNELS):
        raise UnknownChannel(f"There is no channel called {min(unknown)!r}.")
    User.objects.select_for_update().get(id=customer)
    before = queries.choices_of(customer)
    if before == told:
        return
    fields = {
        **{group: sorted(told.channels(group)) for group in GROUPS},
        "quiet_from": told.quiet_from,
        "quiet_to": told.quiet_to,
        "urgent_at_night": told.urgent_at_night,
    }
    Choices.objects.update_or_create(customer_id=customer, defaults=fields)
    journal.record(
        what="user.choices_set",
        subject=customer,
        who=f"customer:{customer}",
        before=_document(before),
        after=_document(told),
        now=now,
    )


def silence(*, customer: UUID, group: Group, now: datetime) -> None:
    """Tell the customer nothing more of this group, over no channel. Again: changes nothing."""
    told = queries.choices_of(customer)
    choose(customer=customer, told=replace(told, **{group: frozenset()}), now=now)


def _document(told: Told) -> dict[str, object]:
    return {
        **{group: sorted(told.channels(group)) for group in GROUPS},
        "quiet": [f"{told.quiet_from:%H:%M}", f"{told.quiet_to:%H:%M}"],
        "urgent_at_night": told.urgent_at_night,
    }


@transaction.atomic
def set_active(*, user: UUID, active: bool, who: str, why: str, now: datetime) -> None:
    """Shut an account out, or let it in again, by hand. Its rows stay, its sessions end at once.

    Calling it again changes nothing.

    Raises:
        ValueError: the reason is empty.
    """
    if not why.strip():
        raise ValueError("Shutting an account out, or letting it in, needs a reason.")
    if User.objects.filter(id=user, is_active=not active).update(is_active=active):
        what = "user.reactivated" if active else "user.deactivated"
        after = {"is_active": active}
        journal.record(
            what=what, subject=user, who=who, why=why, before={"is_active": not active}, after=after, now=now
        )


@transaction.atomic
def _set(customer: UUID, field: str, value: str, now: datetime) -> None:
    user = User.objects.select_for_update().get(id=customer)
    before = getattr(user, field)
    if before == value:
        return
    setattr(user, field, value)
    user.save(update_fields=[field])
    # A name is personal: the fact tells that it changed, not what it was.
    told = field != "name"
    journal.record(
        what=f"user.{field}_set",
        subject=customer,
        who=f"customer:{customer}",
        before={field: before} if told else None,
        after={field: value} if told else None,
        now=now,
    )
