"""Everything that writes to payments: begin one, find out what became of it, book it.

A call is made between two transactions, never inside one: a lease is committed, the provider is asked, the answer is
stored. Whoever meets a live lease keeps away. Rows are locked before ledger accounts, payments before refunds.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import IntegrityError, transaction

from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.ledger import operations as ledger
from xuka.ledger.rules import SELLER, Leg
from xuka.payments import contract, providers, queries, rules
from xuka.payments.models import MethodFee, Payer, Payment, SavedMethod
from xuka.payments.providers import Call
from xuka.payments.rules import LIVE_STATES, PaymentState, Step, words_of

# A silence may be followed by one more ask under the same key; after that a new payment is begun.
ASKS_ALLOWED = 2


class NotOffered(Exception):
    """This cannot be paid in this way now; nothing was asked. ``code`` says why, ``until`` how long, if known."""

    def __init__(self, code: str, until: datetime | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.until = until


class DifferentPayment(Exception):
    """A payment of this id exists with other content; nothing was asked."""


class CannotDecide(Exception):
    """A person cannot do this to the payment or refund as it stands; ``code`` says why. Nothing was changed."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# -- begin ---------------------------------------------------------------------------------------------------------


def begin(
    *,
    id: UUID,
    cause: UUID,
    account: UUID,
    customer: UUID,
    market: str,
    money: Money,
    method: str,
    description: str,
    return_url: str,
    language: str,
    pay_by: datetime,
    now: datetime,
    save_method: bool = False,
    saved_method: UUID | None = None,
    device: str = "desk",
    client_ip: str = "",
    off_session: bool = False,
) -> Payment:
    """Ask a provider for a payment that fills ``account``, or return the live one that already does.

    A live payment of the same amount and method is returned as it is: the customer goes on where they were. One
    that differs is closed first; should it be paid all the same, the surplus goes back. The same id again asks nothing
    new. No transaction is open while the provider is asked.

    Args:
        id: made by the payer's browser, the idempotency key at the provider too.
        account: a ledger account that is open.
        money: all that is asked; a fee, if any, is in it.
        pay_by: when it is closed if nothing was paid, aware UTC.
        save_method: the customer consented to have what they pay with kept for their next payment.
        saved_method: one of ``queries.saved_methods``, to pay with it.
        device: "phone" or "desk".
        client_ip: the customer's address, kept while the payment lives; some providers ask for it.
        off_session: nobody is there; the saved method is charged by its mandate.

    Returns:
        The payment: "open" with ``url`` or ``qr``, "paid", "processing", "closed" with its ``reason``
        ("declined", "needs_customer", "method_gone"), or
        "starting" when the provider did not answer: nothing is charged, and it is safe to call again with the same id.

    Raises:
        NotOffered: "method", "amount", "per_day" or "down" (with ``until``); "saved" when the saved method is gone.
        DifferentPayment: this id was used for another payment.
    """
    offered = queries.method_offered(
        market=market, money=money, method=method, now=now, with_fee=False, customer=customer
    )
    if offered is None:
        raise NotOffered("method")
    if offered.why_not:
        raise NotOffered(offered.why_not, offered.until)
    saved = _own_saved(customer, saved_method, offered)
    payer = saved.payer if saved else _payer(customer, offered.provider, now) if save_method else ""
    wanted = Payment(
        id=id,
        cause=cause,
        account_id=account,
        customer_id=customer,
        provider=offered.provider,
        is_live=providers.provider(offered.provider).is_live,
        method=method,
        amount_minor=money.minor,
        currency=money.currency,
        description=description[:200],
        return_url=return_url,
        language=language,
        pay_by=pay_by,
        payer=payer,
        save_method=save_method and bool(payer) and saved is None,
        saved_method=saved.reference if saved else "",
        device=device,
        client_ip=client_ip,
        off_session=off_session and saved is not None,
        state=PaymentState.STARTING,
        asked_at=now,
    )
    payment, call = _take_to_begin(wanted, now)
    return _capture_now(_settle(payment.id, call, providers.send(call), now), now) if call else payment


def _capture_now(payment: Payment, now: datetime) -> Payment:
    """What was kept is approved as it begins: nobody comes back from a page to have it captured."""
    if payment.state != PaymentState.APPROVED:
        return payment
    advance(payment_id=payment.id, now=now)
    return Payment.objects.get(id=payment.id)


def _own_saved(customer: UUID, saved: UUID | None, offered: queries.Offered) -> SavedMethod | None:
    if saved is None:
        return None
    mine = queries.saved_methods(customer, provider=offered.provider)
    found = next((one for one in mine if one.id == saved and one.method == offered.method), None)
    if found is None:
        raise NotOffered("saved")
    return found


def _payer(customer: UUID, provider: str, now: datetime) -> str:
    """The provider's id of this customer; "" when it cannot be had now: then nothing is kept."""
    them = providers.provider(provider)
    id = ids.derived(customer, f"payer:{provider}:{them.is_live}")
    there = Payer.objects.filter(id=id).first()
    if there:
        return there.reference
    outcome = them.make_payer(key=words_of(id))
    if not isinstance(outcome, Done):
        return ""
    row = Payer(id=id, customer_id=customer, provider=provider, is_live=them.is_live, reference=outcome.value)
    Payer.objects.bulk_create([row], ignore_conflicts=True)
    return Payer.objects.get(id=id).reference


@transaction.atomic
def _take_to_begin(wanted: Payment, now: datetime) -> tuple[Payment, Call | None]:
    """Write the payment down with a lease; or give the one that is there, with a call if it is to be asked again."""
    there = _there(wanted)
    found = there or _live(wanted.account_id)
    if found and (there or _is_same(found, wanted)):
        if found.state != PaymentState.STARTING or _is_leased(found, now):
            return found, None
        if found.asks < ASKS_ALLOWED and not found.closing:
            call = _lease_to_ask(found, now)
            found.save()
            return found, call
        if there:
            return there, None
    if found:
        _close(found, now)
    call = _lease_to_ask(wanted, now)
    try:
        with transaction.atomic():
            wanted.save(force_insert=True)
    except IntegrityError:  # the same button pressed twice, or another tab, was faster by a hair: the lease is theirs
        live = Payment.objects.filter(account_id=wanted.account_id, state__in=LIVE_STATES, closing=False)
        return _there(wanted) or live.get(), None
    journal.record(
        what="payment.started",
        subject=wanted.cause,
        who=f"customer:{wanted.customer_id}",
        after={"payment": str(wanted.id), "method": wanted.method, "amount_minor": wanted.amount_minor},
        now=now,
    )
    return wanted, call


def _there(wanted: Payment) -> Payment | None:
    """The payment of this id, if there is one."""
    there = Payment.objects.select_for_update().filter(id=wanted.id).first()
    if there and (there.cause, there.customer_id) != (wanted.cause, wanted.customer_id):
        raise DifferentPayment
    return there


def _live(account: UUID) -> Payment | None:
    rows = Payment.objects.select_for_update()
    return rows.filter(account_id=account, state__in=LIVE_STATES, closing=False).first()


def _is_same(live: Payment, wanted: Payment) -> bool:
    """Whether going on with the live one does what is wanted. Once somebody has paid, on whichever device, it does."""

    def asks(one: Payment) -> tuple[object, ...]:
        how = (one.provider, one.is_live, one.method, one.save_method, one.saved_method)
        return (*how, one.amount_minor, one.currency)

    is_paid = live.state in {PaymentState.APPROVED, PaymentState.PROCESSING}
    return asks(live) == asks(wanted) and (is_paid or live.device == wanted.device)


def _is_leased(payment: Payment, now: datetime) -> bool:
    return payment.lease_until is not None and now < payment.lease_until


def _lease_to_ask(payment: Payment, now: datetime) -> Call:
    """Take the lease to ask under the payment's one key, with what was first asked. Must commit before the call."""
    payment.lease_until = payment.next_step_at = providers.lease_end(payment.provider, now)
    payment.absent_at = providers.absent_from(payment.provider, payment.lease_until)
    payment.asks += 1
    asked = contract.Ask(
        key=words_of(payment.id),
        method=payment.method,
        money=Money(payment.amount_minor, payment.currency),
        asked_at=payment.asked_at,
        pay_by=payment.pay_by,
        description=payment.description,
        return_url=payment.return_url,
        language=payment.language,
        payer=payment.payer,
        save_method=payment.save_method,
        saved_method=payment.saved_method,
        device=payment.device,
        client_ip=payment.client_ip,
        off_session=payment.off_session,
    )
    start = partial(providers.provider(payment.provider).start, asked)
    return providers.prepare(payment.provider, start, payment.lease_until)


# -- advance -------------------------------------------------------------------------------------------------------


def advance(*, payment_id: UUID, now: datetime) -> bool:
    """Find out what became of a payment, if that is due. Returns True when it should be called again at once.

    May be called at any time, any number of times, from anywhere. One that does not exist is left alone.
    """
    with transaction.atomic():
        payment = Payment.objects.select_for_update().filter(id=payment_id).first()
        if payment is None or not providers.is_installed(payment.provider, live=payment.is_live):
            return False
        step = rules.next_payment_step(now, _facts(payment))
        if step.step in {Step.WAIT, Step.FINISH}:
            return False
        call = _begin_look(payment, step.step, now)
    after = _settle(payment_id, call, providers.send(call), now)
    return after.next_step_at is not None and after.next_step_at <= now


def _facts(payment: Payment) -> rules.PaymentFacts:
    return rules.PaymentFacts(
        state=PaymentState(payment.state),
        has_reference=bool(payment.reference),
        closing=payment.closing,
        pay_by=payment.pay_by,
        lease_until=payment.lease_until,
        next_step_at=payment.next_step_at,
        absent_at=payment.absent_at,
    )


def _begin_look(payment: Payment, step: Step, now: datetime) -> Call:
    them = providers.provider(payment.provider)
    payment.lease_until = payment.next_step_at = providers.lease_end(payment.provider, now)
    payment.save(update_fields=["lease_until", "next_step_at"])
    match step:
        case Step.CLOSE:
            ask = partial(them.close, reference=payment.reference)
        case Step.LOOK:
            ask = partial(them.look, reference=payment.reference)
        case Step.CAPTURE:
            # Whatever is heard, it is looked at before it is captured again.
            payment.state = PaymentState.PROCESSING
            payment.absent_at = providers.absent_from(payment.provider, payment.lease_until)
            payment.save(update_fields=["state", "absent_at"])
            money = Money(payment.amount_minor, payment.currency)
            ask = partial(them.capture, key=words_of(payment.id), reference=payment.reference, money=money)
        case _:
            hosted = not payment.saved_method
            ask = partial(them.find, key=words_of(payment.id), asked_at=payment.asked_at, is_hosted=hosted)
    return providers.prepare(payment.provider, ask, payment.lease_until)


@transaction.atomic
def _settle(payment_id: UUID, call: Call, outcome: Outcome, now: datetime) -> Payment:
    """Store what the provider said. What has ended stays ended, except that money that came is always booked.

    Whoever slept through the lease may have been followed by another: then only news of the payment itself counts.
    """
    providers.heard(call.provider, outcome, now)
    payment = Payment.objects.select_for_update().get(id=payment_id)
    is_news = isinstance(outcome, Done) and outcome.value is not None
    if payment.lease_until != call.lease_until and not is_news:
        return payment
    if payment.lease_until == call.lease_until:
        payment.lease_until = None
    match outcome:
        case Done(contract.Payment() as seen):
            _take_in(payment, seen, now)
        case Done():
            _not_there(payment, now)
        case Refused(reason, None, detail):
            _refused(payment, reason, detail, now)
        case Refused(reason, retry_after, detail):
            payment.detail = detail or reason
            _look_later(payment, now + (retry_after or rules.FIRST_LOOK), now)
        case Unknown(why):
            payment.detail = why
            _look_later(payment, now + rules.look_again_after(payment.looks), now)
    payment.save()
    return payment


def _take_in(payment: Payment, seen: contract.Payment, now: datetime) -> None:
    """The payment as the provider has it now."""
    if payment.state in {PaymentState.PAID, PaymentState.MISMATCHED}:
        return
    assert not seen.key or seen.key == words_of(payment.id), "a connector compares our key exactly"
    payment.reference = seen.reference
    if payment.state == PaymentState.CLOSED and seen.state != contract.PaymentState.CLOSED:
        payment.closing = True  # thought never begun, and there after all: nobody shall pay it any more
    if seen.declined and not payment.reason:
        payment.reason, payment.detail = _why(seen), seen.declined
    match seen.state:
        case contract.PaymentState.PAID:
            _book(payment, seen, now)
        case contract.PaymentState.CLOSED:
            _close_for_good(payment, now)
        case contract.PaymentState.PROCESSING:
            payment.state, payment.url, payment.qr = PaymentState.PROCESSING, "", ""
            _look_later(payment, now + rules.look_again_after(payment.looks), now)
        case contract.PaymentState.APPROVED:
            payment.state, payment.next_step_at = PaymentState.APPROVED, now
        case contract.PaymentState.OPEN:
            payment.state = PaymentState.OPEN
            payment.url, payment.qr = seen.url or payment.url, seen.qr or payment.qr
            _look_later(payment, now + rules.look_again_after(payment.looks), now)


def _why(seen: contract.Payment) -> contract.Reason:
    """Why the last try took nothing."""
    if seen.method_gone:
        return contract.Reason.METHOD_GONE
    return contract.Reason.NEEDS_CUSTOMER if seen.needs_customer else contract.Reason.DECLINED


def _book(payment: Payment, seen: contract.Payment, now: datetime) -> None:
    """Money was taken: booked once, to whom it was for if it is what was asked, else aside until a person decides."""
    assert seen.paid is not None
    assert seen.charge
    as_asked = seen.paid == Money(payment.amount_minor, payment.currency)
    payment.charge = seen.charge
    payment.paid_minor, payment.paid_currency = seen.paid.minor, seen.paid.currency
    unit = seen.paid.currency
    clearing, suspense = ledger.houses("clearing", "suspense", unit=unit)
    to = payment.account_id if as_asked else suspense
    ledger.post(Leg(payment.id, "captured", clearing, to, unit, seen.paid.minor), now=now)
    _end(payment, PaymentState.PAID if as_asked else PaymentState.MISMATCHED, now)
    if as_asked:
        payment.reason = ""
        _keep_method(payment, seen.saved_method)
    told = {"payment": str(payment.id), "amount_minor": seen.paid.minor, "currency": unit}
    what, subject = ("payment.confirmed", payment.cause) if as_asked else ("payment.mismatched", payment.id)
    journal.record(what=what, subject=subject, who=_who(payment), after=told, now=now)


def _close_for_good(payment: Payment, now: datetime) -> None:
    is_new = payment.state != PaymentState.CLOSED
    _end(payment, PaymentState.CLOSED, now)
    if is_new:
        told = {"payment": str(payment.id)}
        journal.record(
            what="payment.closed", subject=payment.cause, who=_who(payment), why=payment.reason, after=told, now=now
        )
        if payment.reason == contract.Reason.METHOD_GONE:
            _offer_no_more(payment, now)


def _offer_no_more(payment: Payment, now: datetime) -> None:
    """The provider keeps no more what this was to be paid with: called off there, or deleted. So do we."""
    gone = SavedMethod.objects.filter(
        customer_id=payment.customer_id, provider=payment.provider, is_live=payment.is_live,
        reference=payment.saved_method, forgotten_at__isnull=True,
    )  # fmt: skip
    for saved in gone.select_for_update():
        saved.forgotten_at = now
        saved.save(update_fields=["forgotten_at"])
        journal.record(what="saved_method.gone", subject=saved.id, who=_who(payment), now=now)


def _end(payment: Payment, state: PaymentState, now: datetime) -> None:
    payment.state, payment.url, payment.qr, payment.client_ip = state, "", "", ""
    payment.next_step_at, payment.ended_at = None, now


def _not_there(payment: Payment, now: datetime) -> None:
    if now >= payment.absent_at:
        payment.reason = payment.reason or "never_begun"
        _close_for_good(payment, now)
    else:
        _look_later(payment, min(now + rules.look_again_after(payment.looks), payment.absent_at), now)


def _refused(payment: Payment, reason: str, detail: str, now: datetime) -> None:
    """An only ask that was refused for good ends the payment. After a silence a refusal tells nothing of the ask before
    it, and one of a look tells nothing at all: then it is looked for."""
    payment.detail = detail or reason
    if payment.reference or payment.asks > 1:
        _look_later(payment, now + rules.look_again_after(payment.looks), now)
        return
    payment.reason = reason
    _close_for_good(payment, now)


def _look_later(payment: Payment, at: datetime, now: datetime) -> None:
    """The next look: not later than the moment when the payment is to be closed, if that is still to come."""
    payment.looks += 1
    payment.next_step_at = min(at, payment.pay_by) if now < payment.pay_by else at


def _who(payment: Payment) -> str:
    return f"provider:{payment.provider}"


def look_now(*, cause: UUID, now: datetime) -> None:
    """The customer came back from the provider's page: see at once how it went. No transaction may be open."""
    due = Payment.objects.filter(cause=cause, state__in=LIVE_STATES).exclude(reference="")
    due.filter(lease_until__isnull=True).update(next_step_at=now)
    for id in due.values_list("id", flat=True):
        if advance(payment_id=id, now=now):  # approved there: captured at once
            advance(payment_id=id, now=now)


def close(*, account: UUID, now: datetime) -> None:
    """Nothing more shall be paid into this account, in the caller's transaction; the provider is told soon after.

    Money that comes all the same is booked to the account. Calling it again changes nothing.
    """
    for payment in Payment.objects.select_for_update().filter(account_id=account, state__in=LIVE_STATES, closing=False):
        _close(payment, now)


def _close(payment: Payment, now: datetime) -> None:
    payment.closing, payment.looks = True, 0
    if payment.lease_until is None or payment.lease_until <= now:
        payment.next_step_at = now
    payment.save(update_fields=["closing", "looks", "next_step_at"])
    journal.record(what="payment.closing", subject=payment.id, who="clock", now=now)


# -- saved methods -------------------------------------------------------------------------------------------------


def _keep_method(payment: Payment, kept: contract.SavedMethod | None) -> None:
    if kept is None or not payment.save_method:
        return
    year, month = kept.expires or (None, None)
    row = SavedMethod(
        id=ids.derived(payment.customer_id, f"saved:{kept.reference}"),
        customer_id=payment.customer_id,
        provider=payment.provider,
        is_live=payment.is_live,
        method=payment.method,
        reference=kept.reference,
        payer=payment.payer,
        brand=kept.brand,
        known_by=kept.known_by,
        expires_year=year,
        expires_month=month,
        consented_at=payment.asked_at,
    )
    SavedMethod.objects.bulk_create([row], ignore_conflicts=True)


@transaction.atomic
def forget_method(*, saved_id: UUID, customer: UUID, now: datetime) -> None:
    """The customer takes their consent back: what was kept is gone here at once, and soon at the provider.

    Calling it again changes nothing; another's is left alone.
    """
    mine = SavedMethod.objects.filter(id=saved_id, customer_id=customer, forgotten_at__isnull=True)
    if mine.update(forgotten_at=now):
        journal.record(what="saved_method.forgotten", subject=saved_id, who=f"customer:{customer}", now=now)


def forget_method_there(*, saved_id: UUID) -> None:
    """Tell the provider to forget what was given up here; what it does not know is forgotten. Again: changes nothing.

    Raises:
        RuntimeError: it did not say that it did; to be tried again.
    """
    saved = SavedMethod.objects.get(id=saved_id)
    assert saved.forgotten_at is not None
    outcome = providers.provider(saved.provider).forget_method(reference=saved.reference)
    is_gone = isinstance(outcome, Refused) and outcome.reason == contract.Reason.METHOD_GONE
    if not isinstance(outcome, Done) and not is_gone:
        raise RuntimeError(f"{saved.provider} did not confirm that it forgot a way to pay")


# -- fees ----------------------------------------------------------------------------------------------------------


class FeeNotAllowed(Exception):
    """A fee on this way of paying may not be asked here; ``code`` is "law" or "no_permission". Nothing was changed."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@transaction.atomic
def set_fee(*, market: str, method: str, basis_points: int, permission: str, staff: UUID, now: datetime) -> None:
    """Ask a fee for a way of paying, with the permission to do so; 0 takes it back. The same again changes nothing.

    Raises:
        FeeNotAllowed: "law": the market's law forbids it; "no_permission": nothing says that it may be asked.
        ValueError: more than 10 % or less than nothing.
    """
    if not 0 <= basis_points <= 1_000:
        raise ValueError("A fee lies between 0 and 10 %.")
    if basis_points and market in rules.NO_FEES_IN:
        raise FeeNotAllowed("law")
    if basis_points and not permission.strip():
        raise FeeNotAllowed("no_permission")
    id = ids.derived(SELLER, f"fee:{market}:{method}")
    there = MethodFee.objects.select_for_update().filter(id=id).first()
    before = {"basis_points": there.basis_points, "permission": there.permission} if there else {"basis_points": 0}
    after = {"basis_points": basis_points, "permission": permission.strip()} if basis_points else {"basis_points": 0}
    if before == after:
        return
    if basis_points:
        values = {"market": market, "method": method, "recorded_by": staff, "recorded_at": now, **after}
        MethodFee.objects.update_or_create(id=id, defaults=values)
    else:
        MethodFee.objects.filter(id=id).delete()
    told = {"market": market, "method": method, **after}
    journal.record(what="fee.set", subject=id, who=f"staff:{staff}", why=permission, before=before, after=told, now=now)
