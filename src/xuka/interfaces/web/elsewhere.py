"""What others sell, in the words of ``comparing``: for information, never to be bought here. Facts in, words out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from django.utils.translation import gettext, ngettext

from xuka.catalogue.models import MarketPlan
from xuka.interfaces.web import choosing, comparing, formats
from xuka.interfaces.web.comparing import Cell, Listed, Told, Traits, unknown
from xuka.kernel.money import Money

# Where "abroad: eu" means: the member states and those of the European Economic Area.
EU = frozenset(
    re.findall("..", "ATBEBGCYCZDEDKEEESFIFRGRHRHUIEISITLILTLULVMTNLNOPLPTROSESISK"),
)


def listed(plan: MarketPlan, networks: Mapping[str, str]) -> Listed:
    """A plan of the market, for the list; ``networks`` has their names by slug."""
    names = tuple((slug, networks[slug]) for slug in plan.networks if slug in networks)
    return Listed(f"market.{plan.slug}", _traits(plan, names), lambda: told(plan, names))


def told(plan: MarketPlan, names: tuple[tuple[str, str], ...]) -> Told:
    """A plan of the market in words; ``names`` are its networks by slug. What no source tells is "unknown"."""
    price = Money(plan.price_minor, plan.currency) if plan.price_minor is not None else None
    cells = {
        "cap": _cap(plan),
        "slow": _slow(plan),
        "voice": _talk(plan),
        "sms": _talk(plan),
        "hotspot": _hotspot(plan),
        "abroad": _abroad(plan),
        "length": _length(plan),
        "renewal": _renewal(plan),
        "price": Cell(formats.money(price), _dated(plan)) if price else unknown(),
        "per_day": Cell(choosing.per_day(price, days)) if price and (days := _days(plan)) else unknown(),
        "network": Cell(formats.listing([name for _, name in names])) if names else unknown(),
        "coverage": comparing.coverage(plan.networks[0]) if len(plan.networks) == 1 else unknown(),
    }
    name = f"{plan.brand}: {plan.name}"
    return Told(f"market.{plan.slug}", name, cells, source=_source(plan))


def _traits(plan: MarketPlan, names: tuple[tuple[str, str], ...]) -> Traits:
    return Traits(
        country=plan.market_id,
        networks=names,
        days=_days(plan),
        talks={"voice_sms": True, "data": False}.get(plan.service),
        hotspot={"allowed": True, "forbidden": False}.get(plan.hotspot),
        abroad=EU - {plan.market_id} if plan.abroad == "eu" else frozenset(),
    )


def _days(plan: MarketPlan) -> Fraction | None:
    if plan.length is None:
        return None
    if "month" in plan.unit:
        return Fraction(365 * plan.length, 12)
    return Fraction(plan.length, 24) if plan.unit == "hour" else Fraction(plan.length)


def _cap(plan: MarketPlan) -> Cell:
    if not plan.unlimited:
        return Cell(formats.volume(plan.data_bytes) if plan.data_bytes is not None else gettext("data: unknown"))
    if plan.cap_bytes is None:
        return Cell(gettext("Unlimited: its cap is unknown"))
    told = {"volume": formats.volume(plan.cap_bytes)}
    match plan.cap_window:
        case "day":
            return Cell(gettext("Unlimited: %(volume)s a day at full speed") % told)
        case "three_days":
            return Cell(gettext("Unlimited: %(volume)s in three days at full speed") % told)
        case "calendar_month":
            return Cell(gettext("Unlimited: %(volume)s in a calendar month at full speed") % told)
        case _:
            return Cell(gettext("Unlimited: %(volume)s at full speed") % told)


def _slow(plan: MarketPlan) -> Cell:
    if plan.kbps_after is None:
        return Cell(gettext("speed after that unknown"))
    if plan.kbps_after == 0:
        return Cell(gettext("then it stops"))
    return Cell(gettext("then up to %(speed)s") % {"speed": formats.speed(plan.kbps_after)})


def _talk(plan: MarketPlan) -> Cell:
    says = {"data": gettext("none"), "voice_sms": gettext("in it or from credit; how many is unknown")}
    return Cell(says[plan.service]) if plan.service in says else unknown()


def _hotspot(plan: MarketPlan) -> Cell:
    says = {"allowed": gettext("Hotspot allowed"), "forbidden": gettext("No hotspot: it works in this phone only")}
    return Cell(says[plan.hotspot]) if plan.hotspot in says else unknown()


def _abroad(plan: MarketPlan) -> Cell:
    says = {
        "none": gettext("Does not work in other countries"),
        "eu": gettext("Works also in the European Union"),
        "world": gettext("Works also in other countries; which is unknown here"),
    }
    return Cell(says[plan.abroad]) if plan.abroad in says else unknown()


def _length(plan: MarketPlan) -> Cell:
    count = plan.length
    if count is None:
        return unknown()
    if plan.unit == "hour":
        return Cell(ngettext("%(count)d hour", "%(count)d hours", count) % {"count": count})
    if "month" in plan.unit:
        return Cell(ngettext("%(count)d month", "%(count)d months", count) % {"count": count})
    return Cell(ngettext("%(count)d day", "%(count)d days", count) % {"count": count})


def _renewal(plan: MarketPlan) -> Cell:
    says = {
        "adds": gettext("The new time is added to what is left"),
        "queues": gettext("The new time waits until the old one ends"),
        "replaces": gettext("The new time replaces what is left"),
        "keeps_longest": gettext("The later of the two ends counts"),
        "independent": gettext("Each runs by itself"),
    }
    return Cell(says[plan.renewal_rule]) if plan.renewal_rule in says else unknown()


def _dated(plan: MarketPlan) -> str:
    if not plan.price_is_dated:
        return ""
    return gettext("price of %(date)s") % {"date": plan.as_of} if plan.as_of else gettext("price without a date")


def _source(plan: MarketPlan) -> Cell:
    """Where it is from, when that was so, and whether it is still sold."""
    first = next((one for one in plan.sources if one["url"]), plan.sources[0] if plan.sources else None)
    date = gettext("as of %(date)s") % {"date": plan.as_of} if plan.as_of else gettext("date unknown")
    sold = {"on_sale": gettext("was on sale then"), "ended": gettext("no longer sold")}
    unsure = gettext("whether it is sold is unknown")
    more = gettext("%(date)s, %(state)s") % {"date": date, "state": sold.get(plan.status, unsure)}
    if first is None:
        return Cell(gettext("source unknown"), more)
    return Cell(first["title"], more, first["url"] or "")
