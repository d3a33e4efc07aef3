"""A card that renews itself: switched on with its owner's consent, looked at when it is due, charged once an end.

Every automatic order's id is made of the card and the end that it renews, never of the clock: whoever comes second
finds the first. Before anything is charged everything is looked at once more under the card's lock: a card that was
renewed otherwise, or has an order under way, is left alone.

From the wallet an order is paid as it is placed. A saved method (a bank card, a PayPal account) is charged afterwards,
with no transaction open, by a payment whose id is made of the order's: a process that dies in between goes on from
there, and one that heard nothing asks nothing new.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import transaction

from xuka.accounts import queries as accounts
from xuka.catalogue import queries as catalogue
from xuka.catalogue.rules import Policy
from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.span import Span
from xuka.ledger import queries as ledger
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.lines.queries import Ends, Line
from xuka.payments import queries as payments
from xuka.payments.queries import SavedMethod
from xuka.payments.rules import LIVE_STATES, PaymentState
from xuka.renewals import auto_rules, queries
from xuka.renewals import operations as renewals
from xuka.renewals.auto_rules import PayWith, Switch, Trigger
from xuka.renewals.models import AutomaticOrder, AutoRenewal, Order, Quote
from xuka.renewals.rules import OPEN_STATES, State, loses_what_is_paid

# Whoever switches it on shortly before the end has at least so long to think again.
TO_THINK = timedelta(hours=1)


class CannotAutomate(Exception):
    """It was not switched on; ``code`` says why.

    Codes: "unknown_line", "plan_gone", "price_changed" (it is not what was agreed to), "ceiling_too_low" (less than one
    renewal), "trigger" (not offered for this plan), "saved" (it cannot be charged), "no_consent".
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class UnknownAutoRenewal(Exception):
    """This card never renewed itself, or is someone else's."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What was agreed to: exactly these words, in this language, of this version."""

    words: str
    language: str
    version: str = auto_rules.CONSENT_VERSION


# -- on and off ----------------------------------------------------------------------------------------------------


@transaction.atomic
def switch_on(
    *,
    line_id: UUID,
    customer: UUID,
    plan_version_id: UUID,
    price: Money,
    trigger: Trigger,
    ceiling: Money,
    pay_with: PayWith,
    consent: Consent,
    now: datetime,
    saved_method: UUID | None = None,
) -> AutoRenewal:
    """From now on this card renews itself with its plan, for this price, as agreed. Again: the new terms hold.

    Args:
        price: what the customer saw and agreed to for one renewal.
        ceiling: the most that may be charged in a calendar month of the customer's zone.
        saved_method: for ``PayWith.SAVED``, one of ``payments.queries.methods_to_charge``.

    Raises:
        CannotAutomate: nothing was changed.
    """
    line = lines_queries.line_of(customer, line_id)
    if line is None:
        raise CannotAutomate("unknown_line")
    if not consent.words.strip():
        raise CannotAutomate("no_consent")
    lines.lock(line_id)
    version = queries.plan_to_repeat(line, now)
    if version is None or version.id != plan_version_id:
        raise CannotAutomate("plan_gone" if version is None else "price_changed")
    if Money(version.price_minor, version.currency) != price:
        raise CannotAutomate("price_changed")
    if ceiling.currency != price.currency or ceiling < price:
        raise CannotAutomate("ceiling_too_low")
    if trigger not in auto_rules.triggers(catalogue.policy(version)):
        raise CannotAutomate("trigger")
    saved = saved_method if pay_with == PayWith.SAVED else None
    if pay_with == PayWith.SAVED and saved not in methods_to_charge(line=line, customer=customer, price=price, now=now):
        raise CannotAutomate("saved")
    auto = _locked(line_id) or AutoRenewal(id=ids.derived(line_id, "auto"), line_id=line_id)
    auto.customer_id, auto.plan_version = customer, version
    auto.price_minor, auto.currency, auto.ceiling_minor = price.minor, price.currency, ceiling.minor
    auto.trigger, auto.number, auto.pay_with = trigger.when, trigger.number, pay_with
    auto.saved_method_id = saved
    auto.consented_at, auto.consent_words = now, consent.words
    auto.consent_version, auto.consent_language = consent.version, consent.language
    auto.state, auto.reason, auto.last_outcome, auto.last_end = Switch.ON, "", "", None
    _record(auto, "switched_on", who=f"customer:{customer}", now=now)
    if auto.order_id is None:
        _plan(auto, lines_queries.ends_of([line_id], now)[line_id].ends_at, now, is_new=True)
    auto.save()
    return auto


def methods_to_charge(*, line: Line, customer: UUID, price: Money, now: datetime) -> list[UUID]:
    """The customer's saved methods that this card can renew itself with."""
    found = payments.methods_to_charge(customer=customer, market=line.market_id, money=price, now=now)
    return [one.id for one in found]


@transaction.atomic
def switch_off(*, line_id: UUID, customer: UUID, now: datetime) -> AutoRenewal:
    """Nothing is charged by itself any more, until it is switched on again. Again: changes nothing.

    It counts until the moment at which the order is placed; an order that is there goes on. Where the plan's terms set
    an earlier moment for an end (R-25) and that has passed, this end is renewed once more (``last_end``), and then it
    is off.

    Raises:
        UnknownAutoRenewal: there is none of this customer.
    """
    auto = _locked(line_id)
    if auto is None or auto.customer_id != customer:
        raise UnknownAutoRenewal
    if auto.state == Switch.ON and _is_too_late_to_stop(auto, now):
        auto.last_end = auto.renews_end
        _record(auto, "ends_after", who=f"customer:{customer}", now=now)
        auto.save()
    elif auto.state != Switch.OFF:
        _stop(auto, Switch.OFF, "customer", who=f"customer:{customer}", now=now)
        auto.save()
    return auto


def _is_too_late_to_stop(auto: AutoRenewal, now: datetime) -> bool:
    if auto.renews_end is None or auto.next_due_at is None or auto.order_id is not None:
        return False
    until = auto_rules.off_until(_policy(auto), auto.renews_end)
    return until is not None and until <= now < auto.renews_end and auto.last_end != auto.renews_end


@transaction.atomic
def try_again_with_money(*, customer: UUID, now: datetime) -> list[UUID]:
    """Money came into the wallet: what was refused for the lack of it is due now. Returns the cards."""
    waiting = AutoRenewal.objects.select_for_update().filter(
        customer_id=customer, state=Switch.ON, last_outcome="wallet_too_low", order=None, next_due_at__isnull=False
    )
    found = list(waiting.order_by("id").values_list("line_id", flat=True))
    AutoRenewal.objects.filter(line_id__in=found).update(next_due_at=now)
    return found


# -- the next step -------------------------------------------------------------------------------------------------


def advance(*, line_id: UUID, now: datetime) -> UUID | None:
    """Look at a card: what became of its order, whether its end has moved, and whether it is due; then order.

    A job, the sweeper or a hand may call it at any time, any number of times, several at once: one end is ordered
    once. The carrier is asked with no transaction open. A card without automatic renewal is left alone.

    Returns:
        The order whose saved method is to be charged now, with ``charge``; None where there is none.
    """
    auto, is_due = _look(line_id, now)
    if auto is None:
        return None
    try:
        if is_due:
            auto = _go_on(auto, now)
        return auto.order_id if _waits_for_charge(auto, now) else None
    except Exception:
        # A mistake of ours is not made again every few seconds.
        overdue = AutoRenewal.objects.filter(id=auto.id, state=Switch.ON, next_due_at__lte=now)
        overdue.update(next_due_at=now + auto_rules.LOOK_AGAIN)
        raise


@transaction.atomic
def _look(line_id: UUID, now: datetime) -> tuple[AutoRenewal | None, bool]:
    """Note what is booked and what became of the order; returns whether it is to be ordered now."""
    auto = _locked(line_id)
    if auto is None:
        return None, False
    is_due = _is_due(auto, now)
    auto.save()
    return auto, is_due


def _go_on(seen: AutoRenewal, now: datetime) -> AutoRenewal:
    """Ask what it costs, look at everything once more under the card's lock, and order it or note why not."""
    offered = _quote(seen, now)
    with transaction.atomic():
        lines.lock(seen.line_id)
        auto = _locked(seen.line_id)
        assert auto is not None, "they are never deleted"
        if _is_due(auto, now):
            refused = offered if isinstance(offered, _Refused) else _order(auto, offered, now)
            if refused:
                _refuse(auto, refused.reason, now, possible_at=refused.possible_at)
        auto.save()
    return auto


@dataclass(frozen=True, slots=True)
class _Refused:
    reason: str
    possible_at: datetime | None = None


def _locked(line_id: UUID) -> AutoRenewal | None:
    rows = AutoRenewal.objects.select_for_update(of=("self",)).select_related("plan_version", "line", "customer")
    return rows.filter(line_id=line_id).first()


def _is_due(auto: AutoRenewal, now: datetime) -> bool:
    """Whether it is to be ordered now; else what follows from what is booked is planned. The row is locked."""
    if auto.order_id is not None and not _settled(auto, now):
        return False
    if auto.state != Switch.ON:
        return False
    ends = lines_queries.ends_of([auto.line_id], now)[auto.line_id]
    if ends.owner != auto.customer_id:
        _stop(auto, Switch.OFF, "owner", who="clock", now=now)
        return False
    if ends.ends_at != auto.renews_end:
        if auto.last_end is not None:  # it was renewed otherwise
            _stop(auto, Switch.OFF, "customer", who="clock", now=now)
            return False
        _plan(auto, ends.ends_at, now)
    if auto.next_due_at is None or not _is_time(auto, ends, now):
        return False
    if queries.open_order(auto.line_id):
        auto.next_due_at = now + auto_rules.LOOK_AGAIN
        return False
    return True


def _is_time(auto: AutoRenewal, ends: Ends, now: datetime) -> bool:
    assert auto.next_due_at is not None
    if auto.last_outcome in auto_rules.LINKED:
        if now >= auto.next_due_at:
            auto.next_due_at, auto.last_outcome = None, "link_not_used"
        return False
    if not auto.when.is_by_use or auto.tries:
        return now >= auto.next_due_at
    assert auto.renews_end is not None
    if now >= auto.renews_end and _policy(auto).auto.at_end_too:
        return True
    if now >= auto.renews_end:  # its time ended before its data did: nothing is bought, as was said
        _stop(auto, Switch.OFF, "ended", who="clock", now=now)
        return False
    used = queries.used_percent(auto.line, now) if len(ends.all) == 1 else 0
    if auto_rules.is_due(auto.when, ends_at=auto.renews_end, packs=len(ends.all), used_percent=used, now=now):
        return True
    auto.next_due_at = auto.renews_end
    return False


def _plan(auto: AutoRenewal, ends_at: datetime | None, now: datetime, *, is_new: bool = False) -> None:
    """What is booked ends then: the next date follows from it. For whom it is new, an end that is over is none."""
    if auto.last_outcome in auto_rules.LINKED:
        auto.last_outcome = "renewed"
    auto.renews_end, auto.tries, auto.next_due_at = ends_at, 0, None
    if ends_at is not None and (ends_at > now or not is_new):
        due = auto_rules.due_at(auto.when, ends_at)
        auto.next_due_at = max(due, now + TO_THINK) if is_new and not auto.when.is_by_use else due
    _record(auto, "planned", who="clock", now=now)


def _settled(auto: AutoRenewal, now: datetime) -> bool:
    """Whether the order that was under way has ended, and what follows from that is noted."""
    order = Order.objects.get(id=auto.order_id)
    if order.state == State.AWAITING_FUNDS and (why := _why_not_paid(auto, order, now)):
        order = renewals.call_off(order_id=order.id, why=why, now=now)
    if order.state in OPEN_STATES or (order.funded_at is None and payments.standing(order.hold_id).live):
        again = auto_rules.CHARGE_AGAIN if _waits_for_charge(auto, now) else auto_rules.LOOK_AGAIN
        auto.next_due_at = now + again
        return False
    auto.order = None
    auto.next_due_at = None
    if order.state == State.ACTIVE:
        auto.last_outcome, auto.last_at = "charged", now
        _record(auto, "charged", who="clock", now=now, order=order.id)
        _end_if_last(auto, now)
    elif (reason := _reason_of(order)) == "needs_customer" and auto.state == Switch.ON:
        _send_link(auto, now, reason)
    else:
        _refuse(auto, reason, now)
    return True


def _reason_of(order: Order) -> str:
    """Why an automatic order did not come to its end. What nobody could know is not asked for again."""
    if order.funded_at is None and any(one.state in _MONEY_CAME for one in payments.payments_about(order.id)):
        return "payment_late"
    if order.state == State.CANCELLED and order.reason in auto_rules.CALLED_OFF:
        return order.reason
    if order.state == State.CANCELLED or order.reason == "carrier_silent":
        return "cancelled"
    return order.reason or str(order.state)


# -- ordering ------------------------------------------------------------------------------------------------------


def _quote(auto: AutoRenewal, now: datetime) -> Quote | _Refused:
    """What the renewal costs now; asks the carrier, so that no transaction may be open."""
    version = catalogue.plan_by_slug(auto.plan_version.plan_id)
    if version is None:
        return _Refused("plan_gone")
    if (version.price_minor, version.currency) != (auto.price_minor, auto.currency):
        return _Refused("price_changed")
    try:
        quote = renewals.quote(line_id=auto.line_id, plan_version_id=version.id, customer=auto.customer_id, now=now)
    except renewals.CannotRenew as error:
        return _Refused("plan_gone" if error.code == "unknown_plan" else error.code, error.possible_at)
    return quote if quote.payment_offered else _Refused(quote.why_not)


def _order(auto: AutoRenewal, quote: Quote, now: datetime) -> _Refused | None:
    """Place the order, or send the link; the line and the row are locked, and both were looked at."""
    if quote.currency != auto.currency or quote.total_minor > auto.price_minor:  # a promotion makes it cheaper
        return _Refused("price_changed")
    if loses_what_is_paid(quote.lost):
        return _Refused("would_lose")
    if auto.pay_with == PayWith.LINK:
        _send_link(auto, now, "link_sent")
        return None
    if queries.charged_in(auto, _month(auto, now)) + quote.total_minor > auto.ceiling_minor:
        return _Refused("ceiling_reached")
    if len(_ordered_lately(auto, now)) >= auto_rules.BURST:
        return _Refused("burst")
    return _charge(auto, quote, now)


def _charge(auto: AutoRenewal, quote: Quote, now: datetime) -> _Refused | None:
    """All from the wallet, or else all with the saved method, or nothing is ordered."""
    assert auto.renews_end is not None
    number = AutomaticOrder.objects.filter(auto=auto, renews_end=auto.renews_end).count()
    order_id = ids.derived(auto.id, f"{auto.renews_end.astimezone(UTC).isoformat()}:{number}")
    wallet = ledger.wallet_balance(customer=auto.customer_id, currency=quote.currency)
    way = PayWith.WALLET if wallet.minor >= quote.total_minor else PayWith(auto.pay_with)
    if way == PayWith.SAVED and (why := _saved_gone(auto, now)):
        return _Refused(why)
    pays_with = _saved(auto).method if way == PayWith.SAVED else str(way)
    try:
        with transaction.atomic():
            order = renewals.place(
                order_id=order_id, quote_id=quote.id, customer=auto.customer_id, pays_with=pays_with, now=now
            )
            if way == PayWith.SAVED and order.total_minor > auto.price_minor:  # a fee that nobody agreed to
                raise renewals.CannotPay("price_changed")
            if way == PayWith.WALLET and order.state != State.FUNDED:  # it paid something else at this moment
                raise renewals.CannotPay("wallet_too_low")
            AutomaticOrder.objects.create(
                order=order, auto=auto, renews_end=auto.renews_end, number=number, placed_at=now
            )
    except renewals.CannotPay as error:
        return _Refused(error.code if error.code in {"wallet_too_low", "price_changed"} else "payment_failed")
    except (
        renewals.QuoteChanged, renewals.QuoteExpired, renewals.PaymentNotOffered, renewals.OrderedByAnother,
    ):  # fmt: skip
        return _Refused("changed")
    again = auto_rules.CHARGE_AGAIN if way == PayWith.SAVED else auto_rules.LOOK_AGAIN
    auto.order, auto.next_due_at = order, now + again
    auto.last_outcome, auto.last_at = "ordered", now
    _record(auto, "ordered", who="clock", now=now, order=order.id)
    return None


def _send_link(auto: AutoRenewal, now: datetime, outcome: str) -> None:
    """Nothing is charged any more for this end; ``outcome``: one of ``auto_rules.LINKED``."""
    assert auto.renews_end is not None
    auto.last_outcome, auto.last_at = outcome, now
    auto.next_due_at = auto.renews_end if auto.renews_end > now else None
    _record(auto, "link_sent", who="clock", now=now)


# -- a saved method ------------------------------------------------------------------------------------------------

_MONEY_CAME = frozenset({PaymentState.PAID, PaymentState.MISMATCHED})


def charge(*, order_id: UUID, description: str, return_url: str, language: str, now: datetime) -> None:
    """Charge the saved method for an order that ``advance`` returned, and note what came of it.

    No transaction may be open. Again, by several at once, or for an order that needs no money any more: nothing is
    asked anew.

    Args:
        description, return_url, language: as ``payments.operations.begin`` has them.
    """
    placed = queries.automatic(order_id)
    assert placed is not None, "a person pays their own orders"
    line_id = placed.auto.line_id
    saved = _to_charge(line_id, order_id, now)
    if saved is not None:
        try:
            renewals.pay(
                order_id=order_id, payment_id=_charge_of(order_id), customer=placed.auto.customer_id,
                method=saved.method, saved_method=saved.id, off_session=True,
                description=description, return_url=return_url, language=language, now=now,
            )  # fmt: skip
        except renewals.CannotPay as error:
            if error.code != "not_waiting":
                why = "saved_forgotten" if error.code == "saved" else "payment_failed"
                renewals.call_off(order_id=order_id, why=why, now=now)
    _look(line_id, now)


@transaction.atomic
def _to_charge(line_id: UUID, order_id: UUID, now: datetime) -> SavedMethod | None:
    """The last look: what is to be charged; None where it is paid, being paid, or the wallet can pay it now."""
    auto = _locked(line_id)
    if auto is None or auto.order_id != order_id or not _waits_for_charge(auto, now):
        return None
    try:
        renewals.pay_from_wallet(order_id=order_id, customer=auto.customer_id, now=now)
    except renewals.CannotPay:
        return _saved(auto)
    return None


def _charge_of(order_id: UUID) -> UUID:
    return ids.derived(order_id, "automatic")


def _waits_for_charge(auto: AutoRenewal, now: datetime) -> bool:
    """Whether the order under way waits for a saved method to be charged, and nothing was or is being paid for it."""
    if auto.order_id is None or auto.pay_with != PayWith.SAVED or auto.state != Switch.ON:
        return False
    waiting = Order.objects.filter(id=auto.order_id, state=State.AWAITING_FUNDS, pay_by__gt=now)
    tried = {one.id: one.state for one in payments.payments_about(auto.order_id)}
    busy = {*LIVE_STATES, *_MONEY_CAME}.intersection(tried.values())
    return _charge_of(auto.order_id) not in tried and not busy and waiting.exists()


def _why_not_paid(auto: AutoRenewal, order: Order, now: datetime) -> str:
    """Why an order that waits for a charge is called off, one of ``auto_rules.CALLED_OFF``; "" while it may be paid."""
    tried = payments.payments_about(order.id)
    mine = next((one for one in tried if one.id == _charge_of(order.id)), None)
    if any(one.state in _MONEY_CAME for one in tried):
        return ""
    if mine is not None and mine.state == PaymentState.OPEN and mine.url:  # a page that nobody is there to see
        return "needs_customer"
    if any(one.state in LIVE_STATES for one in tried):
        return ""
    if mine is None:
        return "" if auto.state == Switch.ON and auto.pay_with == PayWith.SAVED else _no_more(auto)
    return {
        "declined": "saved_declined", "needs_customer": "needs_customer", "method_gone": "saved_forgotten",
    }.get(mine.reason, "payment_failed")  # fmt: skip


def _no_more(auto: AutoRenewal) -> str:
    """The customer took the consent back, or gave another one, before anything was charged."""
    return "saved_forgotten" if auto.reason == "saved_forgotten" else "changed"


def _saved(auto: AutoRenewal) -> SavedMethod:
    assert auto.saved_method is not None, "the database holds that"
    return auto.saved_method


def _saved_gone(auto: AutoRenewal, now: datetime) -> str:
    saved = _saved(auto)
    if saved.forgotten_at is not None:
        return "saved_forgotten"
    return "saved_expired" if payments.is_expired(saved, now) else ""


def pause_of_method(*, saved_id: UUID, now: datetime) -> list[UUID]:
    """The customer had this saved method forgotten: what was to be paid with it is paused. Returns the cards that
    renewed themselves with it. Again: changes nothing."""
    found = AutoRenewal.objects.filter(
        saved_method_id=saved_id, state=Switch.ON, saved_method__forgotten_at__isnull=False
    )
    lines_of_it = list(found.order_by("line_id").values_list("line_id", flat=True))
    for line_id in lines_of_it:
        with transaction.atomic():
            auto = _locked(line_id)
            if auto is not None and auto.state == Switch.ON and auto.saved_method_id == saved_id:
                _refuse(auto, "saved_forgotten", now)
                auto.next_due_at = now if auto.order_id else None
                auto.save()
    return lines_of_it


# -- what is asked of others ---------------------------------------------------------------------------------------


def _month(auto: AutoRenewal, now: datetime) -> Span:
    return auto_rules.month_of(now, _zone(auto))


def _policy(auto: AutoRenewal) -> Policy:
    return catalogue.policy(auto.plan_version)


def _zone(auto: AutoRenewal) -> str:
    user = accounts.user(auto.customer_id)
    return (user.time_zone if user else "") or auto.line.zone


def _ordered_lately(auto: AutoRenewal, now: datetime) -> list[datetime]:
    lately = AutomaticOrder.objects.filter(auto=auto, placed_at__gt=now - auto_rules.BURST_WITHIN)
    return list(lately.order_by("placed_at").values_list("placed_at", flat=True))


# -- what became of it ---------------------------------------------------------------------------------------------


def _refuse(auto: AutoRenewal, reason: str, now: datetime, *, possible_at: datetime | None = None) -> None:
    """Note why nothing was renewed, and what follows: a next try, a pause, or the end of it."""
    auto.tries += 1
    auto.last_outcome, auto.last_at = reason, now
    if auto.state != Switch.ON:
        return
    verdict = auto_rules.after_refusal(
        reason, terms=_policy(auto).auto, tries=auto.tries, now=now, zone=_zone(auto), possible_at=possible_at,
        ordered_at=_ordered_lately(auto, now),
    )  # fmt: skip
    auto.next_due_at = verdict.next_at
    if verdict.switch != Switch.ON:
        _stop(auto, verdict.switch, reason, who="clock", now=now)
    _record(auto, "stopped" if reason == "burst" else "refused", who="clock", now=now)
    if auto.next_due_at is None:
        _end_if_last(auto, now)


def _end_if_last(auto: AutoRenewal, now: datetime) -> None:
    """What was switched off too late for this end is off once that is renewed, or given up."""
    if auto.state == Switch.ON and auto.last_end is not None:
        _stop(auto, Switch.OFF, "customer", who="clock", now=now)


def _stop(auto: AutoRenewal, switch: Switch, reason: str, *, who: str, now: datetime) -> None:
    auto.state, auto.reason = switch, reason
    if auto.order_id is None:
        auto.next_due_at = None
    _record(auto, "paused" if switch == Switch.PAUSED else "switched_off", who=who, now=now)


def _record(auto: AutoRenewal, what: str, *, who: str, now: datetime, order: UUID | None = None) -> None:
    due, end = auto.next_due_at, auto.renews_end
    after = {
        "state": str(auto.state),
        "due": due and due.isoformat(),
        "end": end and end.isoformat(),
        "outcome": auto.last_outcome,
        "tries": auto.tries,
    }
    if order:
        after["order"] = str(order)
    if what == "switched_on":
        after |= {
            "price_minor": auto.price_minor, "ceiling_minor": auto.ceiling_minor, "currency": auto.currency,
            "trigger": str(auto.trigger), "number": auto.number, "pay_with": str(auto.pay_with),
            "saved": str(auto.saved_method_id or ""),
            # The row has the words that hold now; the journal all that were ever agreed to.
            "consent": auto.consent_version, "language": auto.consent_language, "words": auto.consent_words,
        }  # fmt: skip
    journal.record(what=f"autorenewal.{what}", subject=auto.line_id, who=who, why=auto.reason, after=after, now=now)
