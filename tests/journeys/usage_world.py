"""Cards that are used: plans with caps of every kind, and a month of use, for tests of what the pages tell of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from tests.journeys.web_world import Shop
from xuka.catalogue import operations as catalogue
from xuka.lines import operations as lines
from xuka.lines.models import Line
from xuka.metering import counting
from xuka.metering.records import Record

GB = 10**9
PLANS = """\
plans:
  - slug: jp-two-caps
    market: JP
    network: jp-docomo
    names: {en: "Japan, 2 GB a day and 20 GB a month", zh-hans: 日本 每天 2 GB 每月 20 GB, ja: 日本 1日2GB・1か月20GB}
    seller: Xuka Demo
    price: {amount: 3980, currency: JPY}
    carrier: airalo
    package: nihonsim-30days-unlimited-topup
    cost: {amount: "14.00", currency: USD}
    policy:
      period: {length: 30, unit: rolling_day, zone: Asia/Tokyo, starts: activation}
      quota:
        data:
          tiers: [{after_bytes: 2_000_000_000, kbps: 512}]
          window: local_day
          resets_at: 00:00
          zone: Asia/Tokyo
          also:
            - window: calendar_month
              zone: Asia/Tokyo
              tiers: [{after_bytes: 20_000_000_000, kbps: 128}]
          peak: {from: "12:00", to: "13:00", zone: Asia/Tokyo, kbps: 3000}
          hotspot: {allowed: true, cap_bytes: 5_000_000_000}
          abroad: {allowed: false}
        voice: {minutes: 100, to: market}
      renewal: {mode: add, max_ahead_days: 365}
  - slug: be-three-days
    market: BE
    network: be-base
    names: {en: "Belgium, 4 GB in 3 days", zh-hans: 比利时 3 天 4 GB}
    seller: Xuka Demo
    price: {amount: "9.90", currency: EUR}
    carrier: airalo
    package: belsim-7days-unlimited-topup
    cost: {amount: "5.00", currency: USD}
    policy:
      period: {length: 15, unit: rolling_day, zone: Europe/Brussels, starts: activation}
      quota:
        data:
          tiers: [{after_bytes: 4_000_000_000, kbps: 256}]
          window: sliding_days
          days: 3
          resets_at: 00:00
          zone: Europe/Brussels
          peak: null
          hotspot: {allowed: true, cap_bytes: null}
          abroad: {allowed: false}
      renewal: {mode: add, max_ahead_days: 365}
  - slug: be-no-cap
    market: BE
    network: be-base
    names: {en: "Belgium, no cap", zh-hans: 比利时 全程高速}
    seller: Xuka Demo
    price: {amount: "49.00", currency: EUR}
    carrier: airalo
    package: belsim-30days-unlimited-topup
    cost: {amount: "30.00", currency: USD}
    policy:
      period: {length: 30, unit: rolling_day, zone: Europe/Brussels, starts: activation}
      quota:
        data:
          cap: none
          window: period
          peak: null
          hotspot: {allowed: true, cap_bytes: null}
          abroad: {allowed: false}
      renewal: {mode: add, max_ahead_days: 365}
"""


def sell_every_kind(folder: Path, *, now: datetime) -> None:
    """Plans with a day's cap and a month's, with a cap of days that slide, and with none."""
    file = folder / "caps.yaml"
    file.write_text(PLANS)
    catalogue.load(file, who="seller", now=now)


def use(line: Line, *uses: tuple[datetime, int], now: datetime, **more: object) -> None:
    """At each of these times, for a minute, so many bytes; all is known until now."""
    records = [
        Record(uuid4().hex, line.iccid, at, at + timedelta(minutes=1), down_bytes=volume, **more)  # type: ignore[arg-type]
        for at, volume in uses
    ]
    counted = counting.count(source=counting.source("network-one"), records=records, now=now, known_until=now)
    assert not counted.rejected


def month(shop: Shop, key: str, *, now: datetime) -> Line:
    """This person's second card: four weeks of it, bought one by one, used daily, abroad on a weekend; today's cap is
    used up. The first five of thirty days are not known."""
    began = now - timedelta(days=24)
    line = shop.card(key, 40, "be-week-3gb-day", started_at=began)
    for week in range(1, 4):
        lines.open_period(
            line_id=line.id, order_id=uuid4(), ordinal=0, plan_version=line.plan_version,
            activated_at=began + timedelta(weeks=week), funded_at=began + timedelta(weeks=week), carrier_ends_at=None,
            who="seller", now=began + timedelta(weeks=week),
        )  # fmt: skip
    volumes = (12, 7, 21, 30, 4, 9, 14, 0, 25, 18, 6, 11, 29, 31, 8, 3, 15, 22, 10, 5, 17, 26, 13, 9)
    use(line, *((now - timedelta(days=24 - day), volume * GB // 10) for day, volume in enumerate(volumes)), now=now)
    weekend = ((now - timedelta(days=10, hours=-1), GB), (now - timedelta(days=9, hours=-1), GB // 2))
    use(line, *weekend, now=now, network="208-01")
    use(line, (now - timedelta(minutes=30), 31 * GB // 10), now=now)
    return line
