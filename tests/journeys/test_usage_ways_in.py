"""Usage records are pushed and dropped into folders; whatever goes wrong on the way, what is counted is exact."""

from __future__ import annotations

import csv
import gzip
import hashlib
import hmac
import io
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.journeys import web_world
from tests.journeys.web_world import Shop
from xuka.interfaces import clock
from xuka.interfaces.jobs import deliveries as jobs
from xuka.interfaces.webhooks import usage as push
from xuka.metering import counting, deliveries, intake, sources
from xuka.metering.mapping import Csv
from xuka.metering.models import Counter, Delivery, Rejected, Source

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)
SECRET = "a secret of the network"
COLUMNS = {"record_id": "id", "iccid": "card", "started_at": "from", "seconds": "s", "total": "v"}
MAPPING = Csv.model_validate({"columns": COLUMNS, "zone": "UTC", "delimiter": ";"})
HEADER = "id;card;from;s;v\n"
UNKNOWN = "8932042000009999993"


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.fixture
def shop() -> Shop:
    return web_world.open_shop(now=NOW, seed_card=lambda **card: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (path := tmp_path / "in").mkdir()
    return path


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path) -> Path:
    """The table of sources: one that pushes, one that drops files."""
    path = tmp_path / "sources.toml"
    path.write_text(
        f'[network-one]\nsecret = "{SECRET}"\n[network-two]\nfolder = "{folder}"\n[network-two.csv]\ndelimiter = ";"\n'
        'zone = "UTC"\n[network-two.csv.columns]\n' + "".join(f'{name} = "{of}"\n' for name, of in COLUMNS.items())
    )
    monkeypatch.setattr(django_settings, "USAGE_SOURCES", str(path))
    return path


def told(shop: Shop, id: str, volume: int = 100, **more: Any) -> dict[str, Any]:
    at = NOW - timedelta(hours=1)
    said = {"record_id": id, "iccid": shop.cards["xiaoyu"].iccid, "down_bytes": volume}
    return said | {"started_at": at.isoformat(), "ended_at": (at + timedelta(minutes=1)).isoformat()} | more


def lines(*records: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def used() -> int:
    """All bytes that any card used, by its counters."""
    return sum(Counter.objects.values_list("bytes", flat=True))


# -- pushed ------------------------------------------------------------------------------------------------------------


def signed(body: bytes, *, at: datetime = NOW, secret: str = SECRET) -> str:
    seconds = int(at.timestamp())
    mac = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256)
    return f"t={seconds},v1={mac.hexdigest()}"


def post(body: bytes, *, to: str = "network-one", signature: str | None = None, **headers: str) -> Any:
    sent = {"Xuka-Signature": signed(body) if signature is None else signature} | headers
    kind = sent.pop("Content-Type", "application/x-ndjson")
    return Client(raise_request_exception=True).post(f"/usage/{to}/", body, content_type=kind, headers=sent)


def test_a_pushed_batch_is_counted_once_and_told_by_line(shop: Shop, table: Path) -> None:
    body = lines(told(shop, "a"), told(shop, "b", iccid=UNKNOWN)) + b"\n{\n" + lines(told(shop, "c"), told(shop, "a"))
    for counted, repeated in ((2, 1), (0, 3)):
        answer = post(body)
        assert answer.status_code == 200
        assert answer.json() == {
            "counted": counted,
            "repeated": repeated,
            "corrected": 0,
            "rejected": [{"place": 2, "reason": "unknown_line"}, {"place": 4, "reason": "not_json"}],
        }
    assert used() == 200
    kept = Rejected.objects.order_by("place").values_list("place", "reason", "content")
    assert list(kept) == [(2, "unknown_line", body.split(b"\n")[1].decode()), (4, "not_json", "{")]
    source = Source.objects.get()
    assert (source.name, source.counted, source.repeated, source.rejected) == ("network-one", 2, 4, 2)


def test_a_correction_is_pushed_as_any_other(shop: Shop, table: Path) -> None:
    assert post(lines(told(shop, "a", 100))).json()["counted"] == 1
    assert post(lines(told(shop, "a", 40, revision=1))).json() == {
        "counted": 0, "repeated": 0, "corrected": 1, "rejected": [],
    }  # fmt: skip
    assert used() == 40


def test_a_packed_body_is_unpacked(shop: Shop, table: Path) -> None:
    packed = gzip.compress(lines(told(shop, "a")))
    assert post(packed, **{"Content-Encoding": "gzip"}).json()["counted"] == 1


def test_a_sender_tells_until_when_it_told_everything(shop: Shop, table: Path) -> None:
    until = NOW - timedelta(minutes=5)
    assert post(b"", **{"Xuka-Known-Until": until.isoformat()}).status_code == 200
    assert Source.objects.get().known_until == until
    for wrong in ("yesterday", "2026-03-02T10:00:00", (NOW + timedelta(hours=1)).isoformat(), "0001-01-01T00:00:00Z"):
        assert post(lines(told(shop, "a")), **{"Xuka-Known-Until": wrong}).status_code == 400
    assert (Source.objects.get().known_until, used()) == (until, 0)


@pytest.mark.parametrize(
    ("status", "title", "change"),
    [
        (401, "signature", {"signature": ""}),
        (401, "signature", {"signature": "t=1,v1=é"}),
        (401, "signature", {"signature": signed(b"{}", secret="another secret of some")}),
        (401, "signature", {"signature": signed(b"{} ")}),
        (401, "signature", {"signature": signed(b"{}", at=NOW - timedelta(minutes=5, seconds=1))}),
        (401, "signature", {"signature": signed(b"{}", at=NOW + timedelta(minutes=5, seconds=1))}),
        (401, "signature", {"signature": signed(b"{}").replace("t=", "t=0")}),
        (401, "signature", {"to": "network-three"}),
        (401, "signature", {"to": "network-two"}),
        (401, "signature", {"to": "network-two", "signature": signed(b"{}", secret="nobody's secret")}),
        (415, "ndjson", {"Content-Type": "text/csv"}),
        (415, "gzip", {"Content-Encoding": "br"}),
        (400, "not gzip", {"Content-Encoding": "gzip"}),
    ],
)
def test_what_is_not_to_be_counted_is_refused(table: Path, status: int, title: str, change: dict[str, str]) -> None:
    answer = post(b"{}", **change)
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert title in answer.json()["title"]
    assert not Source.objects.exists()


def test_only_posting_counts(table: Path) -> None:
    assert Client().get("/usage/network-one/").status_code == 405


def test_what_is_too_much_is_refused(shop: Shop, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "AT_MOST_BYTES", 50_000)
    monkeypatch.setattr(push, "AT_MOST_RECORDS", 3)
    record = lines(told(shop, "a"))
    packed = {"Content-Encoding": "gzip"}
    bomb = gzip.compress(b"\n" * 60_000_000)
    assert len(bomb) > 50_000
    small_bomb = gzip.compress(b"\n" * 10_000_000)
    assert len(small_bomb) < 50_000
    bodies: Sequence[tuple[bytes, dict[str, str]]] = [
        (b" " * 50_001, {}), (record * 4, {}), (b"\n" * 7, {}), (bomb, packed), (small_bomb, packed),
        (gzip.compress(record * 4), packed),
    ]  # fmt: skip
    assert [post(body, **headers).status_code for body, headers in bodies] == [413] * 6
    cut, two = gzip.compress(record)[:-9], gzip.compress(record) * 2
    assert [post(body, **packed).status_code for body in (cut, two)] == [400, 400]
    assert not Source.objects.exists()
    assert post(record * 3).json()["counted"] == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    ["record_id", "iccid", "started_at", "ended_at", "up_bytes", "network", "is_abroad", "sms", "revision", "x"]
)


@settings(max_examples=25)
@given(
    changes=st.lists(st.dictionaries(FIELDS, JSON | st.integers(-(10**40), 10**40), max_size=3), max_size=3),
    tail=st.binary(max_size=40),
    is_packed=st.booleans(),
)
def test_no_body_breaks_it(
    shop: Shop, table: Path, changes: list[dict[str, Any]], tail: bytes, is_packed: bool
) -> None:
    body = b"".join(json.dumps(told(shop, "a") | change).encode() + b"\n" for change in changes) + tail
    assert post(body).status_code == 200
    assert post(body, **{"Content-Encoding": "gzip"}).status_code == 400
    if is_packed:
        assert post(gzip.compress(body), **{"Content-Encoding": "gzip"}).status_code == 200


# -- files -------------------------------------------------------------------------------------------------------------


def rows(shop: Shop, *ids: str, card: str = "", volume: int = 100) -> str:
    card = card or shop.cards["xiaoyu"].iccid
    return "".join(f"{id};{card};2026-03-02T10:00:00;60;{volume}\n" for id in ids)


def drop(folder: Path, name: str, content: str | bytes, *, age: float = 60) -> Path:
    """Put a file there that was last changed so many seconds ago."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, (NOW.timestamp() - age,) * 2)
    return path


def read(folder: Path, *, batch: int = 2, now: datetime = NOW) -> list[Delivery]:
    source = counting.source("network-two")
    return deliveries.read_folder(source=source, folder=folder, csv_mapping=MAPPING, now=now, batch=batch)


def figures(delivery: Delivery) -> tuple[str, int, int, int]:
    delivery.refresh_from_db()
    return delivery.state, delivery.counted, delivery.repeated, delivery.rejected


def rejects(folder: Path, name: str) -> list[list[str]]:
    with (folder / "rejected" / f"{name}.rejected.csv").open(newline="") as file:
        return list(csv.reader(file))


def names(folder: Path) -> list[str]:
    """Every file there and below."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_is_counted_once_and_kept(shop: Shop, folder: Path) -> None:
    path = drop(folder, "a.csv", HEADER + rows(shop, "a", "b", "c"))
    size = path.stat().st_size
    (delivery,) = read(folder)
    assert figures(delivery) == ("done", 3, 0, 0)
    assert (delivery.read_bytes, delivery.size_bytes, delivery.ended_at) == (size, size, NOW)
    assert (used(), names(folder)) == (300, ["done/a.csv"])
    assert read(folder) == []


def test_every_kind_of_file_is_read_by_its_name(shop: Shop, folder: Path) -> None:
    as_csv, as_json = (HEADER + rows(shop, "a", "b")).encode(), lines(told(shop, "c"), told(shop, "d"))
    contents = {"a.csv": as_csv, "b.ndjson": as_json}
    contents["c.csv.gz"] = gzip.compress((HEADER + rows(shop, "e")).encode())
    contents["d.ndjson.gz"] = gzip.compress(lines(told(shop, "f")))
    for name, content in contents.items():
        drop(folder, name, content)
    read_files = [(delivery.name, delivery.counted, delivery.rejected) for delivery in read(folder)]
    assert read_files == [("a.csv", 2, 0), ("b.ndjson", 2, 0), ("c.csv.gz", 1, 0), ("d.ndjson.gz", 1, 0)]
    assert used() == 600


def test_a_file_that_is_still_written_to_and_one_that_is_not_whole_yet_wait(shop: Shop, folder: Path) -> None:
    content = HEADER + rows(shop, "a")
    drop(folder, "young.csv", content, age=9)
    for name in ("a.csv.part", ".a.csv", "a.txt"):
        drop(folder, name, content)
    drop(folder, "empty.csv", "")
    (folder / "folder.csv").mkdir()
    (folder / "link.csv").symlink_to(folder / "a.txt")
    assert read(folder) == []
    (delivery,) = read(folder, now=NOW + timedelta(seconds=1))
    assert delivery.name == "young.csv"
    assert not Delivery.objects.exclude(id=delivery.id).exists()


def test_a_file_of_the_same_content_counts_nothing_under_whatever_name(shop: Shop, folder: Path) -> None:
    content = HEADER + rows(shop, "a")
    drop(folder, "a.csv", content)
    read(folder)
    for name in ("a.csv", "b.csv"):
        drop(folder, name, content)
        (again,) = read(folder)
        assert figures(again) == ("seen_before", 0, 0, 0)
    source = Source.objects.get()
    assert (used(), source.counted, source.repeated) == (100, 1, 0)
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    assert names(folder) == ["done/a.csv", f"done/a.csv.{digest}", "done/b.csv"]


def test_what_is_wrong_with_a_line_is_written_beside_the_file_and_stops_no_other(shop: Shop, folder: Path) -> None:
    wrong = (
        "x;y\n" + rows(shop, "b", volume=-1) + rows(shop, "c", card=UNKNOWN) + rows(shop, "d").replace(";60;", ";?;")
    )
    drop(folder, "a.csv", (HEADER + rows(shop, "a") + wrong).encode() + b"\xe9\xff\n" + rows(shop, "e").encode())
    (delivery,) = read(folder)
    assert figures(delivery) == ("done", 2, 0, 5)
    assert delivery.reasons == {
        "missing_column": 1, "negative": 1, "unknown_line": 1, "not_a_number": 1, "encoding": 1,
    }  # fmt: skip
    written = rejects(folder, "a.csv")
    assert [(line, reason) for line, reason, _ in written] == [
        ("line", "reason"), ("3", "missing_column"), ("4", "negative"), ("5", "unknown_line"), ("6", "not_a_number"),
        ("7", "encoding"),
    ]  # fmt: skip
    assert (written[1][2], written[5][2]) == ("x;y", "\ufffd\ufffd")
    assert (used(), Rejected.objects.count(), Source.objects.get().rejected) == (200, 0, 5)


def test_of_half_a_file_the_good_part_is_counted_and_of_the_whole_one_the_rest(shop: Shop, folder: Path) -> None:
    whole = HEADER + rows(shop, "a", "b", "c")
    drop(folder, "a.csv", whole[:-2])  # "…;10": a volume that could be taken for one
    (half,) = read(folder)
    assert (figures(half), half.reasons, used()) == (("done", 2, 0, 1), {"cut_off": 1}, 200)
    assert rejects(folder, "a.csv")[1][:2] == ["4", "cut_off"]
    drop(folder, "a.csv", whole)
    (delivery,) = read(folder)
    assert (figures(delivery), used()) == (("done", 1, 2, 0), 300)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.ndjson.gz", "a.ndjson"])
def test_half_a_packed_file_is_read_as_far_as_it_goes(shop: Shop, folder: Path, name: str) -> None:
    ids = [f"{n}-{hashlib.sha256(b'%d' % n).hexdigest()}" for n in range(200)]
    is_csv = name.startswith("a.csv")
    content = (HEADER + rows(shop, *ids)).encode() if is_csv else lines(*(told(shop, id) for id in ids))
    sent = gzip.compress(content) if name.endswith(".gz") else content
    drop(folder, name, sent[: len(sent) // 2])
    (half,) = read(folder, batch=1_000)
    assert half.reasons == {"cut_off": 1}
    assert 50 < half.counted < 150
    assert used() == 100 * half.counted
    drop(folder, name, sent)
    (delivery,) = read(folder, batch=1_000)
    assert figures(delivery) == ("done", 200 - half.counted, half.counted, 0)
    assert used() == 20_000


def test_a_sender_whose_last_line_does_not_end_says_so(shop: Shop, folder: Path) -> None:
    drop(folder, "a.csv", (HEADER + rows(shop, "a", "b"))[:-1])
    mapping = MAPPING.model_copy(update={"last_line_ends": False})
    source = counting.source("network-two")
    (delivery,) = deliveries.read_folder(source=source, folder=folder, csv_mapping=mapping, now=NOW)
    assert figures(delivery) == ("done", 2, 0, 0)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.csv", "one;two\n1;2\n", "The first line names no column 'id'"),
        ("a.csv", b"\xff\xfe\n1;2\n", "can't decode byte 0xff"),
        ("a.csv.gz", "no gzip", "Not a gzipped file"),
    ],
)
def test_a_file_that_cannot_be_read_is_put_aside_and_keeps_no_other_waiting(
    shop: Shop, folder: Path, name: str, content: str | bytes, error: str
) -> None:
    drop(folder, name, content, age=120)
    drop(folder, "good.csv", HEADER + rows(shop, "a"))
    wrong, good = read(folder)
    assert (figures(wrong), figures(good)) == (("unreadable", 0, 0, 0), ("done", 1, 0, 0))
    assert error in wrong.error
    assert names(folder) == ["done/good.csv", f"rejected/{name}"]


def test_a_file_that_grows_while_it_is_read_is_read_again(
    shop: Shop, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drop(folder, "a.csv", HEADER + rows(shop, "a"))
    take = intake.take

    def take_while_somebody_writes(**told: Any) -> Any:
        with path.open("a") as file:
            file.write(rows(shop, "b"))
        os.utime(path, (NOW.timestamp() - 20,) * 2)
        return take(**told)

    with monkeypatch.context() as patch:
        patch.setattr(intake, "take", take_while_somebody_writes)
        assert figures(read(folder)[0]) == ("done", 1, 0, 0)
    assert names(folder) == ["a.csv"]
    assert [figures(delivery) for delivery in read(folder)] == [("done", 1, 1, 0)]
    assert (used(), names(folder)) == (200, ["done/a.csv"])


def test_a_line_without_end_costs_no_memory_and_is_one_reject(shop: Shop, folder: Path) -> None:
    drop(folder, "a.csv", HEADER + rows(shop, "a") + "x" * 3_000_000 + "\n" + rows(shop, "b") + "y" * 100_000)
    (delivery,) = read(folder)
    assert (figures(delivery), delivery.reasons) == (("done", 2, 0, 2), {"line_too_long": 2})


def broken_off(monkeypatch: pytest.MonkeyPatch, folder: Path, *, at_batch: int, committed: bool) -> None:
    """A reading that ends in this batch as when the database goes: before its commit, or right after."""
    count, calls = deliveries._count_batch, iter(range(1, 100))

    def failing(*args: Any) -> None:
        is_last = next(calls) == at_batch
        if is_last and not committed:
            raise OperationalError("the server is gone")
        count(*args)
        if is_last:
            raise OperationalError("the server is gone")

    with monkeypatch.context() as patch:
        patch.setattr(deliveries, "_count_batch", failing)
        with pytest.raises(OperationalError):
            read(folder)


@pytest.mark.parametrize("committed", [False, True])
def test_a_reading_that_was_broken_off_counts_nothing_twice_and_loses_nothing(
    shop: Shop, folder: Path, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    counting.count(source=counting.source("network-two"), records=[], now=NOW)
    content = HEADER + rows(shop, "a", "b", "a", "c") + "bad\n" + rows(shop, "d", card=UNKNOWN) + rows(shop, "e")
    drop(folder, "a.csv", content)
    broken_off(monkeypatch, folder, at_batch=3, committed=committed)
    half = Delivery.objects.get()
    assert figures(half) == ("reading", 3, 1, 2 if committed else 0)
    assert (folder / "a.csv").exists()
    assert not (folder / "rejected" / "a.csv.rejected.csv").exists()
    (delivery,) = read(folder)
    assert figures(delivery) == ("done", 4, 1, 2)
    assert delivery.id == half.id
    source = Source.objects.get()
    assert (source.counted, source.repeated, source.rejected) == (4, 1, 2)
    assert [row[:2] for row in rejects(folder, "a.csv")[1:]] == [["6", "missing_column"], ["7", "unknown_line"]]
    assert names(folder) == ["done/a.csv", "rejected/a.csv.rejected.csv"]
    assert used() == 400
    assert counting.recount() == 0


def test_a_reading_that_was_broken_off_before_the_move_only_moves(
    shop: Shop, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(folder, "a.csv", HEADER + rows(shop, "a"))

    def die(*args: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(deliveries, "_move", die)
        with pytest.raises(SystemExit):
            read(folder)
    assert names(folder) == ["a.csv"]
    (delivery,) = read(folder)
    assert (figures(delivery), names(folder)) == (("done", 1, 0, 0), ["done/a.csv"])
    assert Delivery.objects.count() == 1


def test_only_one_reads_a_sources_files_at_a_time(shop: Shop, folder: Path) -> None:
    drop(folder, "a.csv", HEADER + rows(shop, "a"))
    source = counting.source("network-two")
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s, %s)", [deliveries._LOCK, source.id])
        assert read(folder) == []
        assert names(folder) == ["a.csv"]
        other.execute("select pg_advisory_unlock(%s, %s)", [deliveries._LOCK, source.id])
    assert [figures(delivery) for delivery in read(folder)] == [("done", 1, 0, 0)]


def test_the_job_reads_every_source_and_the_command_tells(shop: Shop, table: Path, folder: Path) -> None:
    drop(folder, "a.csv", HEADER + rows(shop, "a") + "bad\n")
    assert [figures(delivery) for delivery in jobs.read_all(now=NOW)] == [("done", 1, 0, 1)]

    def said(*arguments: str) -> str:
        call_command("metering", *arguments, stdout=(out := io.StringIO()))
        return out.getvalue()

    assert said("sources") == (
        "network-one  push  never heard of\n"
        "network-two  files  1 counted, 0 repeated, 0 corrected, 1 rejected, last 2026-03-02 11:00:00\n"
    )
    assert said("deliveries", "--read") == (
        "2026-03-02 11:00:00  network-two  a.csv  done 100 %  1 counted, 0 repeated, 1 rejected  missing_column 1\n"
    )
    assert said("recount") == "Every counter is the sum of its records.\n"
    Counter.objects.update(bytes=7)
    with pytest.raises(SystemExit):
        said("recount")
    assert used() == 100


def test_a_wrong_table_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(django_settings, "USAGE_SOURCES", str(tmp_path / "none.toml"))
    with pytest.raises(sources.InvalidSources, match=r"none\.toml"):
        sources.installed()


# -- staff -------------------------------------------------------------------------------------------------------------


def test_staff_see_sources_files_and_what_was_rejected(shop: Shop, table: Path, folder: Path) -> None:
    post(lines(told(shop, "a", iccid=UNKNOWN)) + b"<b>{\n")
    drop(folder, "half.csv", (HEADER + rows(shop, "b", "c"))[:-3])
    read(folder)
    (staff := Client()).force_login(shop.staff)

    def seen(path: str) -> str:
        answer = staff.get(f"/staff/metering/{path}")
        assert answer.status_code == 200
        return answer.content.decode()

    assert "?source__name=network-one" in seen("source/")
    page = seen("delivery/?state=done&source__name=network-two")
    assert "half.csv" in page
    assert '<progress max="100" value="100"' in page
    assert "cut off: 1" in page
    assert "half.csv" not in seen("delivery/?state=unreadable")
    assert "1 result" in seen("rejected/?reason=unknown_line&source__name=network-one")
    assert "0 results" in seen("rejected/?reason=too_old&source__name=network-one")
    one = Rejected.objects.get(reason="not_json")
    page = seen(f"rejected/{one.id}/change/")
    assert "The line is not JSON." in page
    assert "&lt;b&gt;{" in page
    assert staff.post(f"/staff/metering/rejected/{one.id}/delete/", {"post": "yes"}).status_code == 403
