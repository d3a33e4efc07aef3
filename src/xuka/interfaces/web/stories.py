"""An order as its customer is told it: the steps, the sentences, what can be done. Facts in, words out."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.utils.translation import gettext

from xuka.interfaces.web import formats, texts, trail
from xuka.interfaces.web.trail import Trail
from xuka.kernel.money import Money
from xuka.payments import queries as payments
from xuka.payments.queries import Payment
from xuka.payments.rules import LIVE_STATES, PaymentState
from xuka.renewals.queries import Progress

# The words of a payment that the bank did not let through.
DECLINED = frozenset({"declined", "needs_customer"})
# Its customer has done their part: what they are told holds also while it is being closed.
_DECIDING = frozenset({PaymentState.APPROVED, PaymentState.PROCESSING})
# While there is something to choose, the page changes only with what can be chosen.
CHOOSING_POLL = 5


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an order; ``look`` is "done", "now", "held", "bad" or "" (still to come)."""

    says: str
    look: str = ""
    more: str = ""


@dataclass(frozen=True, slots=True)
class Paying:
    """How the payment of a waiting order stands.

    Args:
        state: "" (none was begun), "open", "starting", "processing", "declined", "gone", "ended", or "differs" (another
            amount came than was asked).
        payment_id: the payment to go on with, if there is one.
        is_kept: what was kept is charged; there is no page on which it could be seen.
        may_still_take: at least one of all payments has not ended yet, wanted or not.
    """

    state: str = ""
    payment_id: UUID | None = None
    was_declined: bool = False
    is_kept: bool = False
    may_still_take: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """An order as it is told: ``poll`` is how many seconds until the page asks again, 0 when it need not.

    ``pays`` is "" (nothing is to be paid), "go_on" (a payment is under way), "choose", or "wait" (the bank decides).
    """

    title: str
    steps: tuple[Step, ...]
    says: tuple[str, ...] = ()
    mood: str = ""
    poll: int = 0
    is_over: bool = False
    again: bool = False
    can_cancel: bool = False
    pays: str = ""

    def mark(self, *more: str) -> str:
        """Changes whenever what is told changes."""
        told = repr((self.title, self.steps, self.says, self.poll, self.pays, more))
        return f"{zlib.crc32(told.encode()):08x}"


def paying(order_id: UUID) -> Paying:
    """How the payment of this order stands, in one query, or two where another amount came than was asked."""
    told = payments.payments_about(order_id)
    if any(one.state == PaymentState.MISMATCHED for one in told) and not _is_decided(order_id):
        return Paying("differs")
    running = [one for one in told if one.state in LIVE_STATES]
    if deciding := next((one for one in running if one.state in _DECIDING), None):
        return _of(deciding, "processing", running)
    if live := next((one for one in running if not one.closing), None):
        return _of(live, live.state, running)
    last = told[-1] if told else None
    if last is None:
        return Paying()
    if last.reason == "method_gone":
        return _of(last, "gone", running)
    return _of(last, "declined" if last.reason in DECLINED else "ended", running)


def _of(payment: Payment, state: str, running: list[Payment]) -> Paying:
    return Paying(state, payment.id, payment.reason in DECLINED, bool(payment.saved_method), bool(running))


def _is_decided(order_id: UUID) -> bool:
    """Whether what differed goes back."""
    return any(one.leg == "mismatch" for one in payments.refunds_about(order_id))


def story(
    progress: Progress, money: Trail, paying: Paying, *, zone: str, now: datetime, until: datetime | None = None
) -> Story:
    """How an order is told, from ``renewals.queries.progress``, ``trail.of``, ``paying`` and the end of its time."""
    match progress.order.state:
        case "active":
            return _active(progress, money, zone, until)
        case "refunding" | "refunded":
            return _refunded(progress, money)
        case "expired" | "cancelled":
            return _called_off(progress, money, paying)
        case "awaiting_funds":
            return _unpaid(progress, money, paying, zone, now)
        case "needs_a_person":
            return _with_a_person(progress, money, zone, now)
        case _:
            return _under_way(progress, money, zone, now)


def _poll(progress: Progress, now: datetime) -> int:
    """Ask often at first, then less and less."""
    age = (now - progress.order.placed_at).total_seconds()
    return 2 if age < 120 else 5 if age < 900 else 15


def _while_moving(money: Trail) -> int:
    """What goes to a wallet is there in a moment; a card takes its time."""
    return 2 if money.to_come_minor else 15 if money.is_moving else 0


def _ordered() -> Step:
    return Step(gettext("Ordered"), "done")


def _paid(money: Trail) -> Step:
    return Step(gettext("Paid"), "done", trail.how_paid(money))


def _returned(progress: Progress, money: Trail) -> tuple[str, ...]:
    """Money that went back while the order goes on or stays: the share of a period, or what came on top."""
    told = trail.sentences(money)
    if in_part := texts.in_part(progress.order):
        return (*in_part, *told)
    return (gettext("More money came than this order needed:"), *told) if told else ()


# -- the ends ------------------------------------------------------------------------------------------------------


def _active(progress: Progress, money: Trail, zone: str, until: datetime | None) -> Story:
    steps = (_paid(money), Step(gettext("Activating"), "done", _how_many(progress)), _renewed(zone, until))
    says = (
        gettext(
            "Done: your card is renewed. You need not do anything on the phone; a confirmation is in your mailbox."
        ),
        *_returned(progress, money),
    )
    return Story(gettext("Your card is renewed"), steps, says, is_over=True, poll=_while_moving(money))


def _renewed(zone: str, until: datetime | None) -> Step:
    if until is None:
        return Step(gettext("Renewed"), "done")
    told = {"time": formats.valid_through(until, zone)}
    return Step(gettext("Renewed until %(time)s") % told, "done", formats.place(zone))


def _how_many(progress: Progress) -> str:
    """How many of several periods are there."""
    order = progress.order
    if order.count == 1:
        return ""
    told = {"there": len(order.delivered), "count": order.count}
    return gettext("%(there)d of %(count)d periods are there") % told


def _refunded(progress: Progress, money: Trail) -> Story:
    failed = any(one.state == "failed" for one in money.back)
    is_over = progress.order.state == "refunded" and not failed
    steps = (
        _ordered(),
        _paid(money),
        Step(gettext("Not renewed"), "bad", texts.refusal(progress.order.reason)),
        Step(_back(money), "done" if is_over else "held" if failed else "now"),
    )
    says = tuple(trail.sentences(money))
    if is_over:
        stays = gettext("Your card stays as it was before. You can try another plan, or write to us.")
        return Story(gettext("Not renewed, money back"), steps, (*says, stays), "warn", is_over=True, again=True)
    poll = max(2, _while_moving(money))
    if failed:
        return Story(gettext("A person sees to your refund"), steps, says, "warn", poll=max(15, poll))
    return Story(gettext("Your money is coming back"), steps, says, "warn", poll=poll)


def _back(money: Trail) -> str:
    if not money.card_minor:
        return gettext("Money back in your wallet")
    return gettext("Money back on your card") if money.method == "card" else gettext("Money back the way you paid")


def _called_off(progress: Progress, money: Trail, paying: Paying) -> Story:
    if progress.order.state == "expired":
        title, last = gettext("This order has ended"), Step(gettext("Not paid in time"), "bad")
        first = gettext("The money did not arrive in time, so the order has ended.")
    else:
        title, last = gettext("Order cancelled"), Step(gettext("Cancelled"), "bad")
        first = gettext("This order is cancelled.")
    paid = (_paid(money),) if money.paid_minor else ()
    then, poll = trail.sentences(money), _while_moving(money)
    if not then and paying.state not in {"differs", "processing"}:
        then = [gettext("Nothing was charged.")]
    if paying.state == "differs":
        then, poll = [*then, _differs()], poll or 15
    elif paying.may_still_take:
        late = gettext("Should a payment still arrive, all of it goes back to where it came from by itself.")
        then, poll = [*then, late], poll or 15
    return Story(title, (_ordered(), *paid, last), (first, *then), "warn", is_over=True, again=poll != 2, poll=poll)


def _differs() -> str:
    return gettext(
        "Another amount arrived than was asked for. Nothing of it is lost: a person looks into it and writes to you."
    )


# -- waiting for money ---------------------------------------------------------------------------------------------


def _unpaid(progress: Progress, money: Trail, paying: Paying, zone: str, now: datetime) -> Story:
    order = progress.order
    if money.paid_minor >= order.total_minor:
        return _arrived(money)
    is_soon = order.pay_by - now < timedelta(hours=12)
    until = formats.clock_time(order.pay_by, zone) if is_soon else formats.moment(order.pay_by, zone)
    told = {"time": until, "place": formats.place(zone)}
    ends = gettext("If nothing arrives by %(time)s (%(place)s), the order ends and nothing is charged.") % told
    steps = (_ordered(), _waits(progress, paying), Step(gettext("Activating")), Step(gettext("Renewed")))
    plain = Story("", steps, mood="warn", poll=CHOOSING_POLL, can_cancel=True)
    if paying.state not in {"differs", "processing"} and now >= order.pay_by:
        return _last_look(plain)
    match paying.state:
        case "differs":
            says = (_differs(), gettext("Please do not pay again."))
            return replace(plain, title=gettext("A person is checking the payment"), says=says, poll=15)
        case "processing":
            return _processing(plain)
        case "open":
            return _open(plain, paying, ends)
        case "starting":
            return _starting(plain, paying, ends)
        case "declined":
            first = gettext("Your bank or the payment service declined the payment. Nothing was charged.")
            then = gettext("Try another card or another way to pay; the bank knows why it declined.")
            title, says = gettext("The payment was declined"), (first, then, ends)
        case "gone":
            first = gettext("What you had saved is no longer valid at the payment service. Nothing was charged.")
            then = gettext("Choose how to pay below; what you pay with can be saved again.")
            title, says = gettext("Your order is not paid yet"), (first, then, ends)
        case "ended":
            first = gettext("The payment was not finished. Nothing was charged.")
            title, says = gettext("Your order is not paid yet"), (first, ends)
        case _:
            title, says = gettext("Your order waits for money"), (ends,)
    return replace(plain, title=title, says=says, pays="choose")


def _arrived(money: Trail) -> Story:
    """All of it is there, and the next step is a moment away."""
    steps = (_ordered(), _paid(money), Step(gettext("Activating")), Step(gettext("Renewed")))
    says = (gettext("Your money is here, and the order goes on by itself in a moment. You need not do anything."),)
    return Story(gettext("Your payment has arrived"), steps, says, poll=2, can_cancel=True)


def _last_look(plain: Story) -> Story:
    says = gettext(
        "The time to pay is over. We look once more whether your money came: if it did, the order goes on, and if not, "
        "it ends and nothing is charged."
    )
    return replace(plain, title=gettext("The time to pay is over"), says=(says,))


def _waits(progress: Progress, paying: Paying) -> Step:
    order = progress.order
    if paying.state == "processing":
        return Step(gettext("The bank is deciding"), "now")
    if paying.state == "declined":
        return Step(gettext("Payment declined"), "bad")
    if order.pays_with != "wallet" or not progress.short_minor:
        total = formats.money(Money(order.total_minor, order.currency))
        return Step(gettext("Waiting for your payment"), "held", gettext("%(amount)s to pay.") % {"amount": total})
    missing = formats.money(Money(progress.short_minor, order.currency))
    says = gettext("%(amount)s is missing in your wallet.") % {"amount": missing}
    return Step(gettext("Waiting for money"), "held", says)


def _processing(plain: Story) -> Story:
    says = (
        gettext("You have paid, but the bank has not decided yet. We wait for it; that can take a while."),
        gettext("Please do not pay again. The order goes on by itself as soon as the money is certain."),
    )
    return replace(plain, title=gettext("The bank is deciding"), says=says, pays="wait")


def _open(plain: Story, paying: Paying, ends: str) -> Story:
    if paying.was_declined:
        title = gettext("The payment was declined")
        first = gettext("Nothing was charged. Go on and try another card, or pay in another way.")
    elif paying.is_kept:
        title = gettext("Please confirm the payment")
        first = gettext("Nothing has been charged yet. Go on to the page that follows and confirm the payment there.")
    else:
        title = gettext("Your order is not paid yet")
        first = gettext("Nothing has been charged yet. Go on with the payment, or pay in another way.")
    return replace(plain, title=title, says=(first, ends), pays="go_on")


def _starting(plain: Story, paying: Paying, ends: str) -> Story:
    if paying.is_kept:
        title = gettext("We are asking the payment service")
        first = gettext(
            "It has not told whether you were charged. We find out by ourselves; pressing again is safe, you are "
            "never charged twice."
        )
    else:
        title = gettext("The payment page did not open")
        first = gettext(
            "The payment service did not answer, and nothing has been charged. Please press again; it is safe, you "
            "are never charged twice."
        )
    return replace(plain, title=title, says=(first, ends), pays="go_on")


# -- under way -----------------------------------------------------------------------------------------------------


def _with_a_person(progress: Progress, money: Trail, zone: str, now: datetime) -> Story:
    steps = (
        _paid(money),
        Step(gettext("We are checking with the carrier"), "held", _how_many(progress)),
        Step(gettext("Renewed, or your money back")),
    )
    says = [
        gettext(
            "The carrier has not told whether your card was renewed, and from here nobody can know. So a "
            "person asks the carrier."
        ),
        gettext(
            "You need not do anything, and please do not buy again: you are never charged twice. Either the "
            "card is renewed or the whole amount comes back."
        ),
    ]
    if progress.decided_by:
        says.insert(
            1,
            gettext("It is decided by %(time)s (%(place)s) at the latest; we write to you then.")
            % {"time": formats.moment(progress.decided_by, zone), "place": formats.place(zone)},
        )
    poll = max(15, _poll(progress, now))
    return Story(gettext("A person is checking"), steps, (*says, *_returned(progress, money)), "warn", poll)


def _under_way(progress: Progress, money: Trail, zone: str, now: datetime) -> Story:
    order = progress.order
    waiting = _waiting(progress, zone)
    steps = (
        _paid(money),
        Step(gettext("Activating"), "held" if waiting else "now", waiting or _how_many(progress) or _at_the_carrier()),
        Step(gettext("Renewed")),
    )
    can_cancel = order.state == "funded"
    poll = _poll(progress, now)
    if progress.is_late:
        says = (
            gettext("This takes longer than we promised, and we are sorry."),
            waiting or gettext("The carrier has not finished yet."),
            gettext(
                "It goes on by itself: the card becomes active, or the whole amount comes back to where it came "
                "from. If nobody can tell, a person decides. You need not do anything."
            ),
        )
        title = gettext("It takes longer than promised")
        return Story(title, steps, (*says, *_returned(progress, money)), "warn", poll, can_cancel=can_cancel)
    says = ()
    if order.promised_by:
        says = (
            gettext("Active by %(time)s (%(place)s), or we tell you here why not.")
            % {"time": formats.clock_time(order.promised_by, zone), "place": formats.place(zone)},
            gettext("You may close this page; the confirmation comes by e-mail."),
        )
    return Story(gettext("Your card is being renewed"), steps, (*says, *_returned(progress, money)), "", poll)


def _at_the_carrier() -> str:
    return gettext("The carrier puts the plan on your card")


def _waiting(progress: Progress, zone: str) -> str:
    """What is being waited for at the carrier; "" when everything goes its usual way."""
    match progress.waits_for:
        case "carrier_later":
            said = gettext("The carrier cannot do it at this moment.")
            then = gettext("We ask again at %(time)s.")
        case "carrier_silent":
            said = gettext(
                "The carrier did not answer. Before we ask again we look whether it went through, so that "
                "nothing is bought twice."
            )
            then = gettext("We look again at %(time)s.")
        case _:
            return ""
    if not progress.next_try_at:
        return said
    return gettext("%(first)s %(second)s") % {
        "first": said,
        "second": then % {"time": formats.clock_seconds(progress.next_try_at, zone)},
    }
