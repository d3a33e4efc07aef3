"""Promotions and coupons: made and stopped by staff, taken by an order when it is placed, given back when it fails.

Whoever takes or gives back holds the lock on the discount's row, in the order of ids; a line or an order is locked
before it, ledger accounts after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count, F

from xuka.catalogue.models import PlanVersion
from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.renewals import price_rules
from xuka.renewals.models import Discount, Order, Quote, TakenDiscount


class CannotDiscount(Exception):
    """What was asked to be taken off cannot be; ``code`` says why. Nothing was changed.

    "unknown": no such coupon, or it was stopped. "early", "over": ``at`` tells from when, or until when. "elsewhere":
    not for this plan or market. "used_up": by everybody. "used": by this customer. "currency", "minimum" (``least`` is
    to be bought), "nothing_left": see ``price_rules.why_not``. "points": there are fewer. "no_rate", "old_rate":
    it is not sold in this currency now.
    """

    def __init__(self, code: str, *, at: datetime | None = None, least: Money | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.at = at
        self.least = least


class DifferentDiscount(Exception):
    """A discount of this id exists with other terms, or another has this code; nothing was made."""


# -- staff ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def make(
    *,
    id: UUID,
    name: str,
    code: str = "",
    basis_points: int = 0,
    off: Money | None = None,
    minimum: Money | None = None,
    starts_at: datetime,
    ends_at: datetime,
    markets: Collection[str] = (),
    plans: Collection[str] = (),
    most: int | None = None,
    most_each: int | None = None,
    staff: UUID,
    why: str,
    now: datetime,
) -> Discount:
    """Make a promotion, or with a code a coupon. The same id and terms again change nothing.

    Args:
        code: as people may type it: capitals and spaces do not matter.
        basis_points: 1 to 10,000 of what is to be paid, or ``off``, an amount: one of the two.
        starts_at, ends_at: aware; it counts from the one until before the other.
        most, most_each: how often in all, and for one customer; None: no limit.

    Raises:
        ValueError: terms that make no sense, or no reason.
        DifferentDiscount: the id or the code is taken.
    """
    money = [one for one in (off, minimum) if one is not None]
    if bool(basis_points) == bool(off) or not 0 <= basis_points <= 10_000 or any(one.minor <= 0 for one in money):
        raise ValueError("A discount is a share up to all, or an amount.")
    if len({one.currency for one in money}) > 1 or ends_at <= starts_at or not (name.strip() and why.strip()):
        raise ValueError("A discount has one currency, an end after its start, a name and a reason.")
    terms = {
        "name": name.strip(),
        "code": spelled(code),
        "markets": sorted(markets),
        "plans": sorted(plans),
        "basis_points": basis_points,
        "off_minor": off.minor if off else None,
        "minimum_minor": minimum.minor if minimum else None,
        "currency": money[0].currency if money else "",
        "starts_at": starts_at,
        "ends_at": ends_at,
        "most": most,
        "most_each": most_each,
    }
    try:
        with transaction.atomic():
            made = {"made_by": staff, "made_at": now}
            there, is_new = Discount.objects.get_or_create(id=id, defaults=terms | made)
    except IntegrityError as error:
        raise DifferentDiscount("This code is taken.") from error
    if any(getattr(there, field) != value for field, value in terms.items()):
        raise DifferentDiscount("This id is taken.")
    if is_new:
        told = {field: getattr(there, field) for field in ("name", "code", "basis_points", "off_minor", "currency")}
        journal.record(what="discount.made", subject=id, who=f"staff:{staff}", why=why.strip(), after=told, now=now)
    return there


@transaction.atomic
def stop(*, id: UUID, staff: UUID, why: str, now: datetime) -> None:
    """From now on nobody takes it any more, quotes that have it included; orders keep it. Again: changes nothing.

    Raises:
        ValueError: no reason.
    """
    if not why.strip():
        raise ValueError("A discount is stopped with a reason.")
    discount = Discount.objects.select_for_update().get(id=id)
    if discount.stopped_at is not None:
        return
    discount.stopped_at = now
    discount.save(update_fields=["stopped_at"])
    journal.record(what="discount.stopped", subject=id, who=f"staff:{staff}", why=why.strip(), now=now)


def spelled(code: str) -> str:
    """A code as it is kept: capitals, without spaces."""
    return "".join(code.split()).upper()


# -- in a quote ----------------------------------------------------------------------------------------------------


# Asked at every quote, so in SQL of its own.
_RUNNING = """
select * from renewals_discount where code = '' and stopped_at is null and starts_at <= %s and ends_at > %s order by id
"""


def promotions(*, version: PlanVersion, customer: UUID, now: datetime) -> list[price_rules.Discount]:
    """The promotions that count for this customer and plan now."""
    running = Discount.objects.raw(_RUNNING, [now, now])
    rows = [row for row in running if _is_for(row, version) and (row.most is None or row.taken < row.most)]
    limited = [row.id for row in rows if row.most_each is not None]
    had = _had(limited, customer) if limited else {}
    return [_terms(row) for row in rows if row.most_each is None or had.get(row.id, 0) < row.most_each]


def coupon(*, code: str, version: PlanVersion, customer: UUID, now: datetime) -> price_rules.Discount:
    """The coupon of this code, for this customer and plan. Raises CannotDiscount where none does."""
    row = Discount.objects.filter(code=spelled(code)).exclude(code="").first()
    if row is None or row.stopped_at is not None:
        raise CannotDiscount("unknown")
    if now < row.starts_at:
        raise CannotDiscount("early", at=row.starts_at)
    if now >= row.ends_at:
        raise CannotDiscount("over", at=row.ends_at)
    if not _is_for(row, version):
        raise CannotDiscount("elsewhere")
    _require_free(row, _had([row.id], customer).get(row.id, 0))
    return _terms(row)


def _is_for(row: Discount, version: PlanVersion) -> bool:
    """Whether it is of this plan and market; what names none is of all."""
    return (not row.plans or version.plan_id in row.plans) and (
        not row.markets or version.plan.market_id in row.markets
    )


def _had(discounts: Iterable[UUID], customer: UUID) -> dict[UUID, int]:
    """How many of each this customer has taken and not given back."""
    taken = TakenDiscount.objects.filter(discount__in=list(discounts), customer=customer, given_back_at=None)
    return dict(taken.values_list("discount").annotate(Count("id")))


def _require_free(row: Discount, had: int) -> None:
    if row.most_each is not None and had >= row.most_each:
        raise CannotDiscount("used")
    if row.most is not None and row.taken >= row.most:
        raise CannotDiscount("used_up")


def _terms(row: Discount) -> price_rules.Discount:
    return price_rules.Discount(
        id=row.id,
        kind="coupon" if row.code else "promotion",
        label=row.code or row.name,
        basis_points=row.basis_points,
        off=None if row.off_minor is None else Money(row.off_minor, row.currency),
        minimum=None if row.minimum_minor is None else Money(row.minimum_minor, row.currency),
    )


# -- with an order -------------------------------------------------------------------------------------------------


def lock(quote: Quote) -> Sequence[Discount]:
    """The discounts that this quote has, locked in the order of their ids; each can still be taken by its customer.

    Their dates are not looked at: the quote promised the price while it lives.

    Raises:
        CannotDiscount: "unknown" (stopped), "used_up" or "used".
    """
    wanted = sorted(line["id"] for line in quote.lines if "id" in line)
    if not wanted:
        return ()
    rows = list(Discount.objects.select_for_update().filter(id__in=wanted).order_by("id"))
    had = _had([row.id for row in rows], quote.customer_id)
    for row in rows:
        if row.stopped_at is not None:
            raise CannotDiscount("unknown")
        _require_free(row, had.get(row.id, 0))
    return rows


def take(rows: Sequence[Discount], *, order: Order, now: datetime) -> None:
    """These discounts, locked, are the order's, which is stored."""
    if not rows:
        return
    there = TakenDiscount.objects.filter(discount__in=rows, customer=order.customer_id, given_back_at=None)
    numbers = set(there.values_list("discount", "number"))
    taken = []
    for row in rows:
        number = next(n for n in range(1, len(numbers) + 2) if (row.id, n) not in numbers)
        taken.append(
            TakenDiscount(
                id=ids.derived(order.id, f"discount:{row.id}"),
                discount=row,
                order=order,
                customer_id=order.customer_id,
                number=number,
                most=row.most_each,
                taken_at=now,
            )
        )
    TakenDiscount.objects.bulk_create(taken)
    Discount.objects.filter(id__in=[row.id for row in rows]).update(taken=F("taken") + 1)


def give_back(order: Order, *, now: datetime) -> None:
    """The order came to nothing: what it had taken can be taken again. Again: changes nothing. The order is locked."""
    taken = list(TakenDiscount.objects.filter(order=order, given_back_at=None).values_list("discount", flat=True))
    if not taken:
        return
    rows = Discount.objects.select_for_update().filter(id__in=taken).order_by("id")
    found = [row.id for row in rows]
    TakenDiscount.objects.filter(order=order, given_back_at=None).update(given_back_at=now)
    Discount.objects.filter(id__in=found).update(taken=F("taken") - 1)
