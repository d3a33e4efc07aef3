"""Exchange rates: kept by day, as the European Central Bank tells them, and used only while fresh."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from currency_converter import CurrencyConverter, RateNotFoundError
from django.conf import settings

from xuka.renewals.models import Rate
from xuka.renewals.price_rules import Conversion

# Older days than this are of no use to a shop that never had them.
KEPT = timedelta(days=400)


class NoRate(Exception):
    """There is no rate between these currencies ("no_rate"), or only one that is too old ("old_rate"): see ``code``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def store(*, rates: Iterable[tuple[str, date, Decimal]], source: str) -> int:
    """Keep rates per euro: (currency, day, rate). A day that is there stays as it is. Returns how many are kept now."""
    rows = [Rate(currency=currency, on=on, per_euro=rate, source=source) for currency, on, rate in rates]
    Rate.objects.bulk_create(rows, ignore_conflicts=True, batch_size=2_000)
    return Rate.objects.count()


def load(*, now: datetime, file: Path | None = None) -> int:
    """Keep the past year of a file of the bank (``eurofxref.csv``, or the zipped history); none: that of the package.

    Files are at https://www.ecb.europa.eu/stats/eurofxref/. Again: changes nothing. Returns how many rates are kept.

    Raises:
        OSError, ValueError: the file cannot be read, or is not one of those.
    """
    read = CurrencyConverter(str(file), decimal=True) if file else CurrencyConverter(decimal=True)
    days = [now.date() - timedelta(days=age) for age in range(KEPT.days + 1)]
    found = ((currency, on, rate) for currency in read.currencies or () for on, rate in _told(read, currency, days))
    return store(rates=found, source=file.name if file else "CurrencyConverter")


def _told(read: CurrencyConverter, currency: str, days: Iterable[date]) -> Iterator[tuple[date, Decimal]]:
    """The days that the file has a rate of this currency for; it has none of the euro itself, of weekends, of gaps."""
    for on in days:
        with suppress(RateNotFoundError):
            if currency != "EUR":
                yield on, Decimal(read.convert(1, "EUR", currency, date=on))


def conversion(*, source: str, target: str, now: datetime) -> Conversion:
    """How a price is converted now, with the newest rates of one day and the seller's margin.

    Raises:
        NoRate: nothing is converted.
    """
    wanted = {source, target} - {"EUR"}
    days = Rate.objects.filter(currency__in=wanted, on__lte=now.date()).order_by("-on").values_list("on", "currency")
    seen: dict[date, set[str]] = {}
    for on, currency in days[:60]:
        seen.setdefault(on, set()).add(currency)
    on = next((on for on, found in seen.items() if found == wanted), None)
    if on is None:
        raise NoRate("no_rate")
    if now.date() - on > timedelta(days=settings.RATES_LIVE_DAYS):
        raise NoRate("old_rate")
    rates = dict(Rate.objects.filter(currency__in=wanted, on=on).values_list("currency", "per_euro"))
    one = Decimal(1)
    return Conversion(
        source=source,
        target=target,
        rate=rates.get(target, one) / rates.get(source, one),
        on=on,
        margin_basis_points=settings.CONVERSION_MARGIN,
    )
