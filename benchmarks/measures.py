"""Each measure: ours and its limit in turn, a ratio for each pair, and the median of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median, quantiles
from uuid import UUID

from django.conf import settings
from django.db import connection
from tqdm import tqdm

from benchmarks import clients, notices, pgbench, statements, web
from benchmarks.clients import CLIENTS, Clients
from benchmarks.shop import Card, Shop, Wish
from benchmarks.table import Row
from xuka.interfaces import clock
from xuka.kernel import ids
from xuka.ledger.rules import Leg, house_id, wallet_id
from xuka.payments.models import Event
from xuka.project import postgres
from xuka.renewals import operations as renewing

CARD_PAGES = 200
# What a fresh connection of pgbench does unmeasured; those of our clients are long open.
WARM = 3
EVENTS_TO_A_RENEWAL = 6
LEGS_TO_A_RENEWAL = 10  # a transfer is short: more of them, for runs of a like length


@dataclass
class Times:
    """Rates per second of one thing and of the limit beside it, pair by pair."""

    ours: list[float] = field(default_factory=list)
    limit: list[float] = field(default_factory=list)

    def row(self, what: str, limit: str, target: float | None = None) -> Row:
        """The medians, and the median of the pairs' ratios."""
        ratios = [ours / theirs for ours, theirs in zip(self.ours, self.limit, strict=True)]
        ratio = median(ratios)
        return Row(
            what,
            f"{median(self.ours):,.0f} /s",
            f"{limit} {median(self.limit):,.0f} /s",
            f"{ratio:.1%} ({min(ratios):.0%}–{max(ratios):.0%})",
            f">= {target:.0%}" if target else "",
            ratio >= target if target else None,
        )


def all_of(url: str, *, rounds: int, each: int) -> list[Row]:
    """Everything, one after the other: nothing of ours runs beside what is measured.

    Args:
        rounds: how many pairs.
        each: how many renewals a client makes in a run.
    """
    shop = Shop()
    rows = at_rest(shop)
    with connection.cursor() as cursor:
        cursor.execute(
            "create unlogged table benchmark_mark (at timestamptz); create table benchmark_commit (client int)"
        )
    with clients.started() as two:
        webhooks_beside = webhooks(url, shop, two, rounds, each)
        return [
            *renewals(url, shop, two, rounds, each), *transfers(url, shop, two, rounds, each), *webhooks_beside, *rows
        ]  # fmt: skip


def at_rest(shop: Shop) -> list[Row]:
    """One web process, one worker, as they come: the card's page, its weight, and the memory of all."""
    card = shop.card()
    session = web.session_of(card.customer)
    quote = renewing.quote(line_id=card.line, plan_version_id=shop.plan.id, customer=card.customer, now=clock.now())
    others = {
        "front page": ("/", ""),
        "plans": ("/plans/", ""),
        "compare": ("/plans/compare/?plan=be-week-3gb-day&plan=be-month-60gb&plan=jp-month-50gb", ""),
        "choosing": (f"/cards/{card.line}/renew/?until=2027-01-15", session),
        "check and pay": (f"/quotes/{quote.id}/", session),
    }
    with web.running("work") as worker, web.serving(workers=1) as (port, web_pid), web.connection(port) as to:
        served = web.family(web_pid)
        page = _cpu_of(to, served, "/", session)
        beside = {name: _cpu_of(to, served, path, who) for name, (path, who) in others.items()}
        floor = _cpu_of(to, served, "/static/xuka/icon.svg", session)
        heaviest = max(web.weight(to, path, session) for path, session in (("/", ""), ("/", session)))
        database = postgres.pid(settings.POSTGRES_DATA)
        assert database, "the server runs"
        memory = {
            name: web.pss_bytes(web.family(pid)) / 1e6
            for name, pid in {"web": web_pid, "worker": worker.pid, "database": database}.items()
        }
    total = sum(memory.values())
    return [
        Row("card page, CPU of the web process, median", f"{page * 1000:.1f} ms", f"static file {floor * 1000:.1f} ms",
            f"{page / floor:.0f} x", "<= 15 ms", page <= 0.015),
        *(Row(f"{name}, the same", f"{taken * 1000:.1f} ms", f"static file {floor * 1000:.1f} ms",
              f"{taken / floor:.0f} x", "<= 15 ms", taken <= 0.015) for name, taken in beside.items()),
        Row("first page with all it loads", f"{heaviest[0] / 1000:.0f} kB", f"{heaviest[1]} requests", "", "< 150 kB",
            heaviest[0] < 150_000),
        Row("memory at rest (PSS)", f"{total:.0f} MB", ", ".join(f"{name} {mb:.0f}" for name, mb in memory.items()), "",
            "< 600 MB", total < 600),
    ]  # fmt: skip


def _cpu_of(to: web.Browser, pids: list[int], path: str, session: str) -> float:
    """Seconds of processor time that one request costs the web process; the median of many."""
    taken = []
    for _ in range(CARD_PAGES):
        before = web.cpu_seconds(pids)
        to.get(path, session)
        taken.append(web.cpu_seconds(pids) - before)
    return median(taken)


def renewals(url: str, shop: Shop, two: Clients, rounds: int, each: int) -> list[Row]:
    """Renewals in process and over HTTP beside pgbench with the same statements; the disk beside all of them."""
    recording = statements.of_renewal(shop.wish(), shop.plan.id, lambda wish: clients.renew([wish]))
    inside, over_http, disk = Times(), Times(), Times()
    commits = statements.commits_in(recording.statements)
    with web.serving(workers=CLIENTS) as (port, _):
        _warm(shop, two, port)
        for _ in tqdm(range(rounds), desc="renewals", leave=False):
            ours, theirs, posted = ([shop.wishes(each) for _ in range(CLIENTS)] for _ in range(3))
            warm = [[*shop.wishes(WARM), *client] for client in theirs]
            signed = [[(wish, web.session_of(wish.card.customer)) for wish in client] for client in posted]
            number = CLIENTS * each
            a = number / two.run("renew", *((client,) for client in ours))
            b = number / _seconds(
                url, [[recording.for_other(statements.names_of(w)) for w in client] for client in warm]
            )
            c = number / two.run("renew_over_http", *((port, client) for client in signed))
            d = pgbench.rate(url, _COMMIT, clients=CLIENTS, seconds=1)
            for times, rate, limit in ((inside, a, b), (over_http, c, b), (disk, a * commits, d)):
                times.ours.append(rate)
                times.limit.append(limit)
            _require_active(w for client in (*ours, *theirs, *posted) for w in client)
    sent = len(recording.statements)
    return [
        inside.row("renewals, place + advance in process", "pgbench, same statements", 0.20),
        over_http.row("renewals, POST to granian + advance", "pgbench, same statements", 0.10),
        disk.row("commits of those in process", "pgbench, one row a commit"),
        Row("a renewal, place + advance", f"{sent} statements", f"of them {commits} commits", "", "<= 5 commits",
            commits <= 5),
    ]  # fmt: skip


def transfers(url: str, shop: Shop, two: Clients, rounds: int, each: int) -> list[Row]:
    """Ledger transfers, one a transaction, beside pgbench with the same statement; a bare question beside that."""
    wallets = [[shop.card() for _ in range(each)] for _ in range(CLIENTS)]
    recording = statements.of_transfer(_leg(shop.card()), lambda leg: clients.post([leg]))
    posted, asked = Times(), Times()
    two.run("post", *(([_leg(card) for card in client],) for client in wallets))
    for _ in tqdm(range(rounds), desc="transfers", leave=False):
        legs = [[_leg(card) for card in client * LEGS_TO_A_RENEWAL] for client in wallets]
        theirs = [
            [recording.for_other({"wallet": str(leg.credit)}) for leg in client[:WARM] + client] for client in legs
        ]
        number = CLIENTS * each * LEGS_TO_A_RENEWAL
        a = number / two.run("post", *((client,) for client in legs))
        b = number / _seconds(url, theirs)
        c = pgbench.rate(url, "select 1;\n", clients=CLIENTS, seconds=1)
        for times, rate, limit in ((posted, a, b), (asked, b, c)):
            times.ours.append(rate)
            times.limit.append(limit)
    return [
        posted.row("ledger transfers, one a transaction", "pgbench, same statement"),
        asked.row("that statement by pgbench", "pgbench, select 1"),
    ]


def webhooks(url: str, shop: Shop, two: Clients, rounds: int, each: int) -> list[Row]:
    """Webhooks stored and answered while renewals run in the other client's process; none may be lost."""
    times, waits = Times(), []
    sent = 0
    with notices.paypal_answering(), web.serving(workers=CLIENTS) as (port, _):
        first = shop.notices(40)
        two.run("tell_or_renew", (port, first, []), (port, [], shop.wishes(2)))  # nobody's first webhook is measured
        sent += len(first)
        for _ in tqdm(range(rounds), desc="webhooks", leave=False):
            told = shop.notices(each * EVENTS_TO_A_RENEWAL)
            (seconds, heard), _ = two.run_and_hear("tell_or_renew", (port, told, []), (port, [], shop.wishes(each)))
            times.ours.append(len(told) / seconds)
            times.limit.append(pgbench.rate(url, _COMMIT, clients=1, seconds=1))
            waits += heard
            sent += len(told)
    stored = Event.objects.filter(state="stored").count()
    rate, p95 = min(times.ours), quantiles(waits, n=20)[-1]
    return [
        times.row(f"webhooks of {len(notices.POSTING)} providers stored and answered, beside renewals",
                  "pgbench, one row a commit"),
        Row("the slowest round of webhooks, beside renewals", f"{rate:.0f} /s", f"{sent} sent, {stored} stored",
            f"{sent - stored} lost", ">= 100 /s", rate >= 100 and sent == stored),
        Row("until a webhook was answered, four at once", f"p95 {p95 * 1000:.0f} ms",
            f"median {median(waits) * 1000:.0f} ms"),
    ]  # fmt: skip


_COMMIT = "insert into benchmark_commit values (:client_id);\n"


def _warm(shop: Shop, two: Clients, port: int) -> None:
    """Nobody's first renewal is measured."""
    two.run("renew", *(([shop.wish(), shop.wish()],) for _ in range(CLIENTS)))
    wishes = [[(wish, web.session_of(wish.card.customer)) for wish in shop.wishes(5)] for _ in range(CLIENTS)]
    two.run("renew_over_http", *((port, client) for client in wishes))


def _seconds(url: str, of_client: list[list[list[str]]]) -> float:
    """How long pgbench's clients take for all but the first of these, from the first start to the last end."""
    with connection.cursor() as cursor:
        cursor.execute("truncate benchmark_mark")
        pgbench.once(url, statements.script(of_client, warm=WARM), clients=CLIENTS)
        cursor.execute("select extract(epoch from max(at) - min(at))::float from benchmark_mark")
        (taken,) = cursor.fetchone()
        return taken


def _require_active(wishes: Iterable[Wish]) -> None:
    """What was measured really happened, by pgbench too: each order is active and its card has a second period."""
    orders: list[UUID] = [wish.order for wish in wishes]
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from renewals_order o join lines_period p on p.order_id = o.id and p.line_id = o.line_id "
            "join ledger_account a on a.id = o.hold_id and a.balance = 0 where o.state = 'active' and o.id = any(%s)",
            [orders],
        )
        (active,) = cursor.fetchone()
    assert active == len(orders), f"{active} of {len(orders)} renewals were done"


def _leg(card: Card) -> Leg:
    """A cent from the seller to this customer's wallet."""
    wallet = wallet_id(customer=card.customer, currency="EUR")
    return Leg(ids.new(), "credit", house_id("staff_credit", "EUR"), wallet, "EUR", 1)
