"""Getting an account back when mailbox and number are both lost. A person approves; a day passes; then it is done.

Whoever asks shows a card of the account and its claim code. That alone changes nothing: staff approve, the old address
and the old number are told and can stop it with one click, and only a day later the address is replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from xuka.accounts import operations as accounts
from xuka.accounts import queries as accounts_queries
from xuka.accounts.models import User
from xuka.accounts.rules import email_of
from xuka.journal import operations as journal
from xuka.lines import queries as lines
from xuka.messaging import operations as messaging
from xuka.support.models import Recovery

WAIT = timedelta(hours=24)
"""From the approval until the address is replaced: time for whoever still reads the old mailbox to stop it."""

State = Recovery.State
OPEN = (State.ASKED, State.APPROVED)


class CannotRecover(Exception):
    """Number and code open no account, or the address is none; nothing was stored. It never tells which."""


class AlreadyDecided(Exception):
    """It has ended, or another one of the same account was approved; nothing was changed."""


class AddressTaken(Exception):
    """Another account has the new address; nothing was changed."""


@transaction.atomic
def ask(*, id: UUID, iccid: str, code: str, email: str, language: str, now: datetime) -> Recovery:
    """Store that somebody who holds a card of an account asks for that account, at a new address.

    The same id again, or the same account and address while one is open, changes nothing.

    Args:
        id: made by the page.
        code: the card's claim code.
        email: the new address.
        now: aware UTC.

    Raises:
        CannotRecover: always the same, whatever was wrong.
    """
    email = email_of(email)
    line = lines.line_by_claim_code(iccid=iccid, code=code)
    owner = accounts_queries.user(line.owner_id) if line and line.owner_id else None
    if line is None or owner is None or not owner.is_active or owner.is_staff or not _is_email(email):
        raise CannotRecover("This number and code open no account.")
    there = Recovery.objects.filter(id=id).first() or _open_one(owner, email)
    if there:
        return there
    recovery = Recovery.objects.create(
        id=id, customer=owner, line_id=line.id, new_email=email, language=language, asked_at=now
    )
    journal.record(what="recovery.asked", subject=id, who="visitor", after={"customer": str(owner.id)}, now=now)
    return recovery


def _open_one(owner: User, email: str) -> Recovery | None:
    return Recovery.objects.filter(customer=owner, new_email=email, state__in=OPEN).first()


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return len(text) <= 254


@transaction.atomic
def approve(*, id: UUID, staff: UUID, why: str, stop_url: str, now: datetime) -> None:
    """Let it begin: the old address and number are told, and in a day the address is replaced.

    Args:
        why: how staff made sure who asks; kept in the journal.
        stop_url: where one click stops it.
        now: aware UTC.

    Raises:
        ValueError: the reason is empty.
        AlreadyDecided: it is not waiting for this any more, or another one of the account is on its way.
        AddressTaken: another account has the new address.
    """
    recovery = _locked(id, why)
    if recovery.state != State.ASKED:
        raise AlreadyDecided("This recovery was decided already.")
    if Recovery.objects.filter(customer_id=recovery.customer_id, state=State.APPROVED).exists():
        raise AlreadyDecided("Another recovery of this account is on its way.")
    if accounts_queries.user_by_email(recovery.new_email):
        raise AddressTaken("Another account has the new address.")
    recovery.state, recovery.ready_at, recovery.stop_url = State.APPROVED, now + WAIT, stop_url
    recovery.save(update_fields=["state", "ready_at", "stop_url"])
    after = {"ready_at": recovery.ready_at.isoformat()}
    journal.record(what="recovery.approved", subject=id, who=f"staff:{staff}", why=why, after=after, now=now)
    _warn(recovery, now)


@transaction.atomic
def refuse(*, id: UUID, staff: UUID, why: str, now: datetime) -> None:
    """End it by hand; who asked is told at the new address. An account is not changed.

    Raises:
        ValueError: the reason is empty.
        AlreadyDecided: it has ended already.
    """
    recovery = _locked(id, why)
    if recovery.state not in OPEN:
        raise AlreadyDecided("This recovery has ended.")
    _end(recovery, State.REFUSED, who=f"staff:{staff}", why=why, now=now)


@transaction.atomic
def stop(*, id: UUID, now: datetime) -> bool:
    """End it for whoever reads the old mailbox or number. False when there is nothing to stop any more."""
    recovery = Recovery.objects.select_for_update().filter(id=id).first()
    if recovery is None or recovery.state not in OPEN:
        return False
    _end(recovery, State.STOPPED, who=f"customer:{recovery.customer_id}", why="", now=now)
    return True


def due(now: datetime) -> list[UUID]:
    """Those whose day has passed."""
    found = Recovery.objects.filter(state=State.APPROVED, ready_at__lte=now).order_by("ready_at", "id")
    return list(found.values_list("id", flat=True))


@transaction.atomic
def complete(*, id: UUID, forget_sign_ins: Callable[[UUID], None], now: datetime) -> bool:
    """Replace the address once the day has passed. Earlier, or again, changes nothing.

    The password ends with it, and so do the number, passkeys and every session: all that the loser may have.

    Args:
        forget_sign_ins: ends the account's sessions, confirmed addresses and passkeys, in this transaction.
        now: aware UTC.

    Returns:
        Whether the address was replaced just now.
    """
    recovery = Recovery.objects.select_for_update().get(id=id)
    if recovery.state != State.APPROVED or recovery.ready_at is None or recovery.ready_at > now:
        return False
    customer = recovery.customer_id
    try:
        accounts.replace_email(customer=customer, email=recovery.new_email, who="clock", why=f"recovery {id}", now=now)
    except accounts.EmailTaken:
        _end(recovery, State.REFUSED, who="clock", why="Another account has the new address.", now=now)
        return False
    forget_sign_ins(customer)
    recovery.state = State.DONE
    recovery.save(update_fields=["state"])
    journal.record(what="recovery.done", subject=id, who="clock", now=now)
    with translation.override(recovery.language):
        _mail(recovery, "recovery_done", recovery.new_email, _("Your account has this address now"), _done(), now)
    return True


def _locked(id: UUID, why: str) -> Recovery:
    if not why.strip():
        raise ValueError("Deciding about an account needs a reason.")
    return Recovery.objects.select_for_update().get(id=id)


def _end(recovery: Recovery, state: str, *, who: str, why: str, now: datetime) -> None:
    recovery.state = state
    recovery.save(update_fields=["state"])
    journal.record(what=f"recovery.{state}", subject=recovery.id, who=who, why=why, now=now)
    with translation.override(recovery.language):
        _mail(recovery, "recovery_ended", recovery.new_email, _("Your account was not changed"), _ended(), now)


def _warn(recovery: Recovery, now: datetime) -> None:
    """Tell the old mailbox, and the old number where texts are sent."""
    owner = accounts_queries.user(recovery.customer_id)
    assert owner is not None
    with translation.override(owner.language):
        told = {"seller": settings.SELLER_NAME, "url": recovery.stop_url}
        _mail(recovery, "recovery_notice", owner.email, _("Is this you? Your address will change"), _notice(), now)
        if owner.phone and "sms" in settings.CHANNELS:
            messaging.queue(
                cause=recovery.id,
                kind="recovery_notice",
                to=owner.phone,
                language=owner.language,
                subject="",
                text=_("%(seller)s: your account gets another e-mail address in 24 hours. Not you? Stop it: %(url)s")
                % told,
                customer=owner.id,
                channel="sms",
                secret=True,
                now=now,
            )


def _mail(recovery: Recovery, kind: str, to: str, subject: str, text: str, now: datetime) -> None:
    told = {"seller": settings.SELLER_NAME, "site": settings.SITE_URL, "url": recovery.stop_url}
    messaging.queue(
        cause=recovery.id,
        kind=kind,
        to=to,
        language=translation.get_language() or "en",
        subject=subject,
        text=text % told,
        # To somebody else than the customer, as far as we know: the address is not theirs before it is done.
        customer=recovery.customer_id if kind != "recovery_ended" else None,
        secret=True,
        now=now,
    )


def _notice() -> str:
    return _(
        "Hello,\n\n"
        "somebody with a card of your account and its claim code asked us to give the account another e-mail "
        "address, because this mailbox and the mobile number were lost. In 24 hours that will be done.\n\n"
        "If this was not you, stop it here:\n\n%(url)s\n\n"
        "If it was you, you need not do anything.\n\n%(seller)s\n"
    )


def _done() -> str:
    return _(
        "Hello,\n\n"
        "your account has this e-mail address from now on. Sign in with a code, without a password:\n\n%(site)s\n\n"
        "You are signed out everywhere, and the old password, number and passkeys no longer work.\n\n%(seller)s\n"
    )


def _ended() -> str:
    return _(
        "Hello,\n\n"
        "you asked us for an account at this e-mail address. That was stopped, and nothing was changed. "
        "If you have a question, answer this mail.\n\n%(seller)s\n"
    )
