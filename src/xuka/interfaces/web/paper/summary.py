"""What the contract summary of a plan version says, in the language that is active: one telling for page and PDF.

In the European Union every customer gets it before the contract (Directive (EU) 2018/1972, art. 102 (3)); its headings,
their order, its length and its size of letters are those of the template of Implementing Regulation (EU) 2019/2243: one
page of A4, three where services are bundled, letters of at least 10 points. Elsewhere the same page is a plan summary
and claims nothing of the kind.

The three sentences of the introduction are prescribed. In English they are worded as the template's; in French, Dutch,
Chinese and Japanese they, and the headings, are our translations and not the official wording: have counsel compare
them with the Official Journal (OJ L 336, 30.12.2019, p. 274) before a shop opens.

Every figure is the policy's or the version's; what neither holds is "not told".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.translation import get_language, gettext

from xuka.catalogue import queries as catalogue
from xuka.catalogue import roaming, rules
from xuka.catalogue.models import PlanVersion
from xuka.catalogue.rules import Period, Policy, Quota
from xuka.interfaces import clock
from xuka.interfaces.web import choosing, formats, texts
from xuka.interfaces.web.paper import words
from xuka.kernel.money import Money

# Member states: the law of the contract summary is theirs.
# fmt: off
EU = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT",
    "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the template, and what stands under it in sentences."""

    heading: str
    says: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """A contract summary as it is read.

    Attributes:
        language: BCP 47 tag of the words ("zh-Hans", "en", "ja").
        seller: name, then the lines of the address, then how to reach the seller.
        version: which version of the plan it tells of.
    """

    language: str
    title: str
    plan: str
    seller: tuple[str, ...]
    version: str
    made_at: datetime
    introduction: tuple[str, ...]
    sections: tuple[Section, ...]


def is_eu(market: str) -> bool:
    """Whether the market is in the European Union."""
    return market in EU


def title(market: str) -> str:
    """ "Contract summary", or "Plan summary" outside the European Union."""
    return gettext("Contract summary") if is_eu(market) else gettext("Plan summary")


def summary(version: PlanVersion) -> Summary:
    """The summary of this version in the active language."""
    market, policy = version.plan.market_id, catalogue.policy(version)
    language = get_language() or "en"
    told = {"number": version.number, "day": formats.day(version.made_at, version.plan.market.zone)}
    return Summary(
        language={"zh-hans": "zh-Hans", "zh-hant": "zh-Hant"}.get(language, language),
        title=title(market),
        plan=texts.plan_name(version),
        seller=_seller(),
        version=gettext("Version %(number)s, of %(day)s") % told,
        made_at=version.made_at,
        introduction=_introduction(market),
        sections=(
            Section(gettext("Services and equipment"), tuple(_services(version, policy))),
            Section(gettext("Speeds of the internet service and remedies"), tuple(_speeds(version, policy))),
            Section(gettext("Price"), tuple(_price(version, policy))),
            Section(gettext("Duration, renewal and termination"), tuple(_duration(version, policy))),
            Section(gettext("Features for end-users with disabilities"), (_accessibility(),)),
            Section(gettext("Other relevant information"), tuple(_other(version, policy))),
        ),
    )


def file_name(version: PlanVersion) -> str:
    """ "Contract summary be-week-5gb v2.pdf" in the active language."""
    return f"{title(version.plan.market_id)} {version.plan_id} v{version.number}.pdf"


# -- the parts -------------------------------------------------------------------------------------------------------


def _seller() -> tuple[str, ...]:
    address = [line.strip() for line in settings.SELLER_ADDRESS.split("|") if line.strip()]
    lines = address or [gettext("Address: not told")]
    return (settings.SELLER_NAME, *lines, settings.SELLER_MAIL)


def _introduction(market: str) -> tuple[str, ...]:
    """Art. 1 of the Implementing Regulation and its annex; elsewhere words of our own."""
    if not is_eu(market):
        return (gettext("The main points of this plan, so that it can be compared with others."),)
    return (
        gettext("This contract summary provides the main elements of this service offer as required by EU law."),
        gettext("It helps to make a comparison between service offers."),
        gettext("Complete information about the service is provided in other documents."),
    )


def _services(version: PlanVersion, policy: Policy) -> Iterable[str]:
    told = {"country": formats.country(version.plan.market_id), "network": version.plan.network.name}
    yield gettext("Prepaid mobile service in %(country)s, on the network of %(network)s.") % told
    yield _sentences(texts.cap_of(policy.quota.data))
    yield _sentences(*_words(version, "voice", "sms"))
    if version.first_package:
        yield gettext("It comes as a new eSIM, or renews a card that you have. No phone or other device is part of it.")
    else:
        yield gettext("It renews a card that you have. No phone or other device is part of it.")


def _speeds(version: PlanVersion, policy: Policy) -> Iterable[str]:
    """Regulation (EU) 2015/2120, art. 4 (1) (d) and (e): for mobile networks the estimated maximum."""
    yield gettext("Estimated maximum speed, download and upload: not told.")
    first, *further = (term for term in _terms(version) if term.icon == "cap")
    yield _sentences(first.says, *_words(version, "slow"))
    for term in further:
        yield _sentences(*_whole(term))
    yield _sentences(*_words(version, "peak"))
    if is_eu(version.plan.market_id):
        yield gettext(
            "If what you get differs from this continuously or regularly, write to us. The law then gives you "
            "remedies, up to ending the contract free of charge (Regulation (EU) 2015/2120, art. 4 (4); Directive (EU) "
            "2018/1972, art. 105 (5))."
        )
    else:
        yield gettext("If what you get differs from this, write to us. Your rights by law stay as they are.")


def _price(version: PlanVersion, policy: Policy) -> Iterable[str]:
    price = Money(version.price_minor, version.currency)
    told = {
        "price": formats.money(price),
        "length": choosing.length(policy.period),
        "tax": words.tax_name(version.plan.market_id),
        "rate": formats.percent(version.plan.market.tax_basis_points),
        "per_day": choosing.per_day(price, rules.days_of(policy.period)),
    }
    yield gettext("%(price)s for each period of %(length)s (%(per_day)s). %(tax)s %(rate)s included.") % told
    yield from texts.several_prices(version)
    yield gettext(
        "No other charge by us: none for activating, none each month, none afterwards. A fee for the way to pay, where "
        "there is one, is shown before you pay."
    )


def _duration(version: PlanVersion, policy: Policy) -> Iterable[str]:
    yield _period(policy.period)
    yield gettext("It ends by itself, without notice. It does not renew by itself, and nothing is charged later.")
    price = Money(version.price_minor, version.currency)
    for one in choosing.before_you_renew(policy, price)[1:]:
        yield _labelled(one.asks, _sentences(*one.says))
    if is_eu(version.plan.market_id):
        yield gettext(
            "Withdrawal: within 14 days of buying, without giving a reason. If the service began at your wish, you pay "
            "for the part that you had until then; the right ends when all of it was provided (Directive 2011/83/EU, "
            "art. 9, 14 (3), 16 (a))."
        )


def _period(period: Period) -> str:
    """How long it lasts, and whose clock counts."""
    told = {"length": choosing.length(period), "count": period.length, "place": formats.place(period.zone)}
    match period.unit:
        case "rolling_day":
            says = gettext("%(length)s of 24 hours each, counted to the second from activation.")
        case "calendar_day":
            says = gettext(
                "%(length)s on the calendar: the day of activation is the first, the last ends at midnight (%(place)s)."
            )
        case _:
            says = gettext(
                "%(length)s: it ends on the same day of the month and at the same time as it began (%(place)s); where "
                "that month is too short, on its last day."
            )
    return says % told


def _accessibility() -> str:
    return settings.SELLER_ACCESSIBILITY or gettext("Nothing particular is offered.")


def _other(version: PlanVersion, policy: Policy) -> Iterable[str]:
    """Fair use in full; who must be identified; whom to write to."""
    first, *further = (term for term in _terms(version) if term.icon == "cap")
    besides = (part for term in further for part in _whole(term))
    says = _sentences(first.says, *_words(version, "slow", "reset"), *besides)
    yield _labelled(gettext("Fair use"), says)
    yield _sentences(*_words(version, "hotspot", "abroad"))
    for name in ("voice", "sms") if _talks(policy.quota) else ():
        yield _sentences(*_words(version, name))
    yield identification(version.plan.market_id, talks=_talks(policy.quota))
    told = {"mail": settings.SELLER_MAIL, "url": f"{settings.SITE_URL}/contact/"}
    yield gettext("Questions and complaints: %(mail)s or %(url)s") % told


def like_at_home(version: PlanVersion) -> Iterable[str]:
    """What the law gives at this price in other EU countries; nothing for a plan to which it does not apply.

    For the plan's page; the summary has one sheet of A4 and names the plan's own cap. For an open data bundle of an EU
    market that works abroad: Implementing Regulation (EU) 2016/2286, art. 4 (2).
    """
    policy, year = catalogue.policy(version), clock.now().year
    terms = {
        "price": Money(version.price_minor, version.currency),
        "tax_basis_points": version.plan.market.tax_basis_points,
        "year": year,
    }
    abroad = policy.quota.data.abroad
    volume = roaming.fair_use_bytes(**terms)
    works = is_eu(version.plan.market_id) and abroad.allowed and any(map(is_eu, abroad.countries))
    if works and volume is not None and roaming.is_open_bundle(volume_bytes=_volume(policy), **terms):
        told = {"volume": formats.volume(volume), "year": year}
        yield (
            gettext(
                "In other EU countries at least %(volume)s in each period are like at home in %(year)s (Regulation "
                "(EU) 2022/612)."
            )
            % told
        )


def _volume(policy: Policy) -> int | None:
    """The data of one period; None is unlimited, at whatever speed in the end."""
    days = max(1, int(rules.days_of(policy.period)))
    blocked = (
        tier.after_bytes * (1 if limit.window in {"period", "calendar_month"} else days)
        for limit in policy.quota.data.limits
        for tier in limit.tiers
        if tier.kbps == 0
    )
    return min(blocked, default=None)


def identification(market: str, *, talks: bool) -> str:
    """Whether the user must be identified, in words for a buyer; the sources are those of ``data/markets.yaml``."""
    match market:
        case "BE":
            return gettext(
                "Identification: a prepaid card that is sold in Belgium gives no service until its user is identified "
                "(Act of 13 June 2005, art. 127; Royal Decree of 27 November 2016)."
            )
        case "JP" if talks:
            return gettext(
                "Identification: for a card with calls your identity is checked when the contract is made (Japan’s act "
                "against the abuse of mobile phones, in force since 1 April 2006)."
            )
        case "TW":
            return gettext("Identification: operators in Taiwan sell a prepaid card against two identity documents.")
        case _:
            return gettext("Identification: not told.")


# -- small tools -----------------------------------------------------------------------------------------------------


def _talks(quota: Quota) -> bool:
    return quota.voice is not None or quota.sms is not None


def _terms(version: PlanVersion) -> list[texts.Term]:
    return texts.terms(version)


def _words(version: PlanVersion, *icons: str) -> list[str]:
    """What these of the terms say, each with its addition."""
    return [part for icon in icons for term in _terms(version) if term.icon == icon for part in (term.says, term.more)]


def _whole(term: texts.Term) -> list[str]:
    """A cap that holds besides: itself, its steps of speed and its reset."""
    return [term.says, *term.more.split(" · ")]


def _sentences(*parts: str) -> str:
    """The parts as sentences, one after the other; each has its full stop."""
    is_wide = _language() in {"zh", "ja"}
    stop, between = ("。", "") if is_wide else (".", " ")
    return between.join(part if part.endswith((".", "。", "!", "?")) else part + stop for part in parts if part)


def _labelled(label: str, says: str) -> str:
    colon = {"zh": "：", "ja": "：", "fr": "\N{NO-BREAK SPACE}: "}.get(_language(), ": ")
    return label + colon + says


def _language() -> str:
    return (get_language() or "en")[:2]
