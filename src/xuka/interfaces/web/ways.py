"""The ways to pay, as the pages offer them: what can be chosen, what cannot and why, and what each costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext

from xuka.interfaces.web import formats, methods
from xuka.kernel.money import Money, tax_inside
from xuka.ledger import queries as ledger
from xuka.payments import choosing
from xuka.payments import queries as payments
from xuka.payments.queries import Offered, SavedMethod


@dataclass(frozen=True, slots=True)
class Way:
    """One way to pay.

    Args:
        value: what the form sends: "wallet", a method, or a method and one that was kept ("card:<id>").
        kind: "wallet" or the method: what the page says depends on it.
        why_not: a sentence when it cannot be chosen now, else "".
        is_down: it comes back by itself.
        total, tax: what is paid this way, the fee inside; the tax inside that.
        can_be_saved: what is new may be kept with the person's consent; what was kept is charged right after the order.
    """

    value: str
    kind: str
    says: str
    more: str
    total: Money
    tax: Money
    fee: Money
    why_not: str = ""
    is_down: bool = False
    can_be_saved: bool = False
    is_chosen: bool = False

    @property
    def offers_to_keep(self) -> bool:
        """A new one, which may be kept."""
        return self.can_be_saved and self.value == self.kind

    @property
    def when(self) -> str:
        """When and how the money is taken."""
        return methods.when(self.kind, can_be_saved=self.can_be_saved)

    @property
    def if_it_fails(self) -> str:
        """What becomes of the money when nothing can be delivered."""
        return methods.if_it_fails(self.kind)


@dataclass(frozen=True, slots=True)
class Ways:
    """All ways to pay one amount."""

    all: tuple[Way, ...]

    @property
    def open(self) -> list[Way]:
        """Those that can be chosen."""
        return [way for way in self.all if not way.why_not]

    @property
    def kinds(self) -> list[Way]:
        """The first open way of each kind: what is said and paid depends on the kind alone."""
        return list({way.kind: way for way in reversed(self.open)}.values())[::-1]

    @property
    def is_down(self) -> bool:
        return any(way.is_down for way in self.all)

    @property
    def has_methods(self) -> bool:
        return any(way.kind != "wallet" for way in self.all)

    @property
    def mark(self) -> str:
        """Changes when what can be chosen changes."""
        return repr([(way.value, way.why_not, way.total.minor) for way in self.all])


def to_pay(
    *,
    customer: UUID,
    market: str,
    money: Money,
    tax_basis_points: int,
    zone: str,
    now: datetime,
    with_fee: bool = True,
    language: str = "",
    inside: str = "",
) -> Ways:
    """The wallet, what was kept, and every method of the market, the likeliest first; that is chosen.

    Args:
        language: of the page, and ``inside`` which app's browser it is open: see ``payments.choosing``.
        with_fee: False for an order that was placed: what it costs is settled.
    """
    plain = Way("", "", "", "", money, tax_inside(money, tax_basis_points), Money(0, money.currency))
    found = [_wallet(plain, ledger.wallet_balance(customer=customer, currency=money.currency))]
    offers = {
        one.method: one
        for one in payments.methods_offered(market=market, money=money, now=now, with_fee=with_fee, customer=customer)
    }
    kept = payments.saved_methods(customer) if any(one.has_kept for one in offers.values()) else []
    last = next((one.method for one in offers.values() if one.was_last), "")
    for name in choosing.ranked(list(offers), language=language, inside=inside, last_used=last):
        offered = offers[name]
        fee = offered.fee if with_fee else plain.fee
        total = money + fee
        way = replace(
            plain,
            kind=offered.method,
            value=offered.method,
            total=total,
            tax=tax_inside(total, tax_basis_points),
            fee=fee,
            why_not=_not_offered(offered, zone),
            is_down=offered.why_not == "down",
            can_be_saved=offered.can_be_saved,
        )
        if offered.can_be_saved:
            found += [_kept(way, one, now) for one in kept if (one.provider, one.method) == (offered.provider, name)]
        found.append(_new(way, offered))
    first = next((way for way in found if not way.why_not), None)
    return Ways(tuple(replace(way, is_chosen=way is first) for way in found))


def _wallet(plain: Way, balance: Money) -> Way:
    told = {"balance": formats.money(balance)}
    way = replace(plain, value="wallet", kind="wallet", says=gettext("My wallet"))
    if balance < plain.total:
        return replace(way, why_not=gettext("%(balance)s is in it: too little for this order.") % told)
    told["left"] = formats.money(balance - plain.total)
    return replace(way, more=gettext("%(balance)s is in it, %(left)s is left afterwards.") % told)


def _new(way: Way, offered: Offered) -> Way:
    more = methods.says(offered.method, pays_within=offered.pays_within)
    return replace(way, says=methods.name(offered.method), more=more)


def _kept(way: Way, saved: SavedMethod, now: datetime) -> Way:
    why_not = way.why_not
    if payments.is_expired(saved, now):
        why_not = gettext("This card has expired. Pay with another one; you can forget it in your account.")
    if saved.method == "card":
        more = gettext("Your saved card. Your bank may ask you to confirm.")
    else:
        told = {"name": methods.name(saved.method)}
        more = gettext("Your saved %(name)s account: paid at once, without signing in there again.") % told
    return replace(way, value=f"{way.value}:{saved.id}", says=saved_name(saved), more=more, why_not=why_not)


_BRANDS = {
    "visa": "Visa",
    "mastercard": "Mastercard",
    "amex": "American Express",
    "unionpay": "UnionPay",
    "jcb": "JCB",
    "diners": "Diners Club",
    "discover": "Discover",
    "maestro": "Maestro",
}


def saved_name(saved: SavedMethod) -> str:
    """ "Visa ending 4242, 12/2030", "PayPal x***@example.com"."""
    if saved.method != "card":
        return f"{methods.name(saved.method)} {saved.known_by}".strip()
    return gettext("%(brand)s ending %(last)s, %(expires)s") % {
        "brand": _BRANDS.get(saved.brand, saved.brand.capitalize()),
        "last": saved.known_by,
        "expires": f"{saved.expires_month:02}/{saved.expires_year}",
    }


def _not_offered(offered: Offered, zone: str) -> str:
    return cannot_pay(offered.why_not, offered.until, zone, offered.method) if offered.why_not else ""


def cannot_pay(code: str, until: datetime | None, zone: str, method: str) -> str:
    """The sentence for ``renewals.CannotPay`` and for a method that is not offered now."""
    told = {"name": methods.name(method)}
    match code:
        case "down" if until:
            told |= {"time": formats.clock_time(until, zone), "place": formats.place(zone)}
            return (
                gettext(
                    "%(name)s does not answer at the moment. Look again at %(time)s (%(place)s), or pay in another way."
                )
                % told
            )
        case "down":
            return gettext("%(name)s does not answer at the moment. Look again in a few minutes.") % told
        case "amount":
            return gettext("This amount cannot be paid with %(name)s.") % told
        case "per_day":
            return gettext("With this you would pay more with %(name)s than it allows within a day.") % told
        case "saved":
            return gettext("It is not kept here any more. Nothing was charged; choose another way to pay.")
        case "wallet_too_low":
            return gettext("There is not enough in your wallet for this plan.")
        case "not_waiting":
            return gettext("This order does not wait for money any more. Nothing more was charged.")
        case _:
            return gettext("This way to pay is not offered here. Nothing was charged.")
