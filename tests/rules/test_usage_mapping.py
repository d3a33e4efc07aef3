"""What a sender's lines mean: tables of mappings, lines and what they say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from xuka.metering import mapping, sources
from xuka.metering.mapping import Csv, HeaderLacks, Reader
from xuka.metering.records import Record

COLUMNS = {"record_id": "id", "iccid": "card", "started_at": "from", "ended_at": "to", "up": "up", "down": "down"}
HEADER = "id,card,from,to,up,down"
ICCID = "8932042000000000015"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LINE = f"cdr-1,{ICCID},2026-03-02T10:00:00,2026-03-02T10:01:00,10,90"


def reader(header: str = HEADER, columns: dict[str, Any] | None = None, **more: Any) -> Reader:
    told = {"columns": COLUMNS | (columns or {}), "zone": "Europe/Brussels"} | more
    return Reader(Csv.model_validate(told), header)


def record(line: str, read: Reader | None = None) -> Record:
    said = (read or reader()).record_of(line)
    assert isinstance(said, Record), said
    return said


def test_a_line_says_a_record() -> None:
    assert record(LINE) == Record("cdr-1", ICCID, START, START + timedelta(minutes=1), 10, 90)


def test_columns_may_have_numbers_where_there_is_no_header() -> None:
    numbered = {"record_id": 1, "iccid": 2, "started_at": 3, "seconds": 4, "total": 5}
    mapped = Csv.model_validate({"columns": numbered, "header": False, "delimiter": ";", "zone": "UTC", "unit": "kB"})
    said = Reader(mapped).record_of(f"x;{ICCID};2026-03-02T09:00:00;90;7")
    assert said == Record("x", ICCID, START, START + timedelta(seconds=90), 0, 7_000)


def test_every_field_has_a_column() -> None:
    more = {"network": "plmn", "abroad": "roam", "hotspot": "tether", "voice_seconds": "v", "sms": "s", "revision": "r"}
    read = reader(HEADER + ",plmn,roam,tether,v,s,r", more)
    said = record(LINE + ",20601,Y,,3,2,1", read)
    assert said[6:] == ("206-01", True, None, 3, 2, 1)


@pytest.mark.parametrize(
    ("unit", "told", "volume"),
    [("B", "1", 1), ("kB", "1", 1_000), ("KiB", "1.5", 1_536), ("MB", "0.0000005", 1), ("MiB", "2", 2_097_152)],
)
def test_volumes_have_a_unit(unit: str, told: str, volume: int) -> None:
    line = f"a,{ICCID},2026-03-02T10:00:00,2026-03-02T10:01:00,{told},0"
    assert record(line, reader(unit=unit)).up_bytes == volume


def test_a_decimal_comma_is_read_where_it_is_declared() -> None:
    read = reader(HEADER.replace(",", ";"), delimiter=";", decimal=",", unit="kB")
    line = f"a;{ICCID};2026-03-02T10:00:00;2026-03-02T10:01:00;1,5;"
    assert record(line, read).up_bytes == 1_500
    assert read.record_of(line.replace("1,5", "1.5")) == "not_a_number"


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("iso", "2026-03-02 10:00:00"),
        ("iso", "2026-03-02T09:00:00Z"),
        ("iso", "2026-03-02T18:00:00.000+09:00"),
        ("iso", " 20260302T100000 "),
        ("unix", "1772442000"),
        ("unix_ms", "1772442000000"),
        ("%d/%m/%Y %H:%M:%S", "02/03/2026 10:00:00"),
        ("%Y%m%d%H%M%S", "20260302100000"),
        ("%d %b %y %I:%M %p", "02 Mar 26 10:00 AM"),
        ("%Y-%m-%d %H:%M:%S%z", "2026-03-02 09:00:00+0000"),
    ],
)
def test_times_have_a_form(form: str, told: str) -> None:
    ends = {"iso": "2026-03-02T10:01:00"}.get(form, told)
    assert record(f"a,{ICCID},{told},{ends},1,1", reader(time_format=form)).started_at == START


@pytest.mark.parametrize(
    ("zone", "told", "in_utc"),
    [
        ("Europe/Brussels", "2026-03-29T01:59:59", "2026-03-29T00:59:59"),
        ("Europe/Brussels", "2026-03-29T02:30:00", "no_such_time"),
        ("Europe/Brussels", "2026-03-29T03:00:00", "2026-03-29T01:00:00"),
        ("Europe/Brussels", "2026-10-25T02:30:00", "2026-10-25T00:30:00"),  # twice: the first
        ("Europe/Brussels", "2026-10-25T03:00:00", "2026-10-25T02:00:00"),
        ("Australia/Lord_Howe", "2026-10-04T02:15:00", "no_such_time"),  # half an hour is jumped over
        ("Australia/Lord_Howe", "2026-10-04T02:30:00", "2026-10-03T15:30:00"),
        ("Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-04T14:45:00"),
        ("Asia/Kathmandu", "2026-03-02T05:45:00", "2026-03-02T00:00:00"),
    ],
)
def test_clocks_that_jump(zone: str, told: str, in_utc: str) -> None:
    line = f"a,{ICCID},{told},2026-12-01T00:00:00,1,1"
    for read in (reader(zone=zone), reader(zone=zone, time_format="%Y-%m-%dT%H:%M:%S")):
        said = read.record_of(line)
        assert (said.started_at.astimezone(UTC).isoformat()[:19] if isinstance(said, Record) else said) == in_utc


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (LINE.rsplit(",", 1)[0], "missing_column"),
        ("", "missing_column"),
        (LINE.replace("90", "9O"), "not_a_number"),
        (LINE.replace("90", "1_0"), "not_a_number"),
        (LINE.replace("90", "٩"), "not_a_number"),
        (LINE.replace("90", "NaN"), "not_a_number"),
        (LINE.replace("90", "1e9"), "not_a_number"),
        (LINE.replace("90", "9" * 19), "not_a_number"),
        (LINE.replace("10,90", ","), "nothing_told"),
        (LINE.replace("2026-03-02T10:01:00", "soon"), "not_a_time"),
        (LINE.replace("2026-03-02T10:01:00", ""), "not_a_time"),
        (LINE.replace("cdr-1", '"cdr-1'), "quotes"),
        (LINE.replace("cdr-1", "a\x00b"), "not_text"),
    ],
)
def test_what_can_be_wrong_with_a_line_has_a_word(line: str, reason: str) -> None:
    assert reader().record_of(line) == reason


def test_fields_may_be_quoted_and_more_columns_are_no_matter() -> None:
    quoted = ",".join(f'"{cell}"' for cell in LINE.split(","))
    assert record(quoted + ',"a ""word"", or two"') == record(LINE)


def test_the_header_tells_where_columns_are() -> None:
    turned = ",".join(reversed(HEADER.split(",")))
    assert record(",".join(reversed(LINE.split(","))), reader(turned)) == record(LINE)
    with pytest.raises(HeaderLacks, match="names no column 'card'"):
        reader(HEADER.replace("card", "sim"))


def test_an_id_of_several_columns_is_the_same_each_time_and_never_another_ones() -> None:
    read = reader(columns={"record_id": ["card", "from"]})
    said = record(LINE.replace("cdr-1", "x"), read)
    assert said == record(LINE, read)
    assert said.record_id == f"{ICCID}|2026-03-02T10:00:00"
    two = reader("a,b,card,from,to,up,down", {"record_id": ["a", "b"]})
    rest = LINE.split(",", 1)[1]
    ids = {record(f"{a},{b},{rest}", two).record_id for a, b in [("x|", "y"), ("x", "|y"), ("x\\", "y"), ("x", "y")]}
    assert len(ids) == 4
    assert two.record_of(f"x,,{rest}") == "no_record_id"
    assert len(record(f"{'x' * 100},{'y' * 100},{rest}", two).record_id) == 64


@pytest.mark.parametrize(
    ("change", "where", "why"),
    [
        ({"zone": "Europe/Bruxelles"}, "zone", "there is no time zone called 'Europe/Bruxelles'"),
        ({"encoding": "utf8x"}, "encoding", "no encoding called"),
        ({"encoding": "utf-16"}, "encoding", "have the files converted"),
        ({"time_format": "%d/%m"}, "time_format", "neither iso, unix, unix_ms"),
        ({"unit": "GB"}, "unit", "Input should be"),
        ({"delimiter": "\n"}, "delimiter", "neither a quote"),
        ({"delimiter": ",", "decimal": ","}, "", "cannot be told apart"),
        ({"columns": COLUMNS | {"seconds": "s"}}, "columns", "name one of the two"),
        ({"columns": COLUMNS | {"total": "t"}}, "columns", "name it or them"),
        ({"columns": COLUMNS | {"iccid": 2}}, "", "with a header columns are named"),
        ({"header": False}, "", "without a header columns are numbers"),
        ({"colour": "red"}, "colour", "Extra inputs"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused_with_the_field_and_the_reason(change: Any, where: str, why: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Csv.model_validate({"columns": COLUMNS} | change)
    error = refused.value.errors()[0]
    assert ".".join(map(str, error["loc"])) == where
    assert why in error["msg"]


GOOD = {"record_id": "a", "iccid": ICCID, "started_at": "2026-03-02T09:00:00Z", "ended_at": "2026-03-02T10:01:00+01:00"}


def test_a_line_of_json_says_a_record() -> None:
    told = GOOD | {"down_bytes": 5, "network": "206-01", "is_abroad": False, "is_hotspot": None, "revision": 2}
    said = mapping.record_of_json(json.dumps(told))
    assert said == Record("a", ICCID, START, START + timedelta(minutes=1), 0, 5, "206-01", False, None, 0, 0, 2)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not_json"),
        ("[" * 50_000, "not_json"),
        ("9" * 5_000, "not_json"),
        ("[]", "not_an_object"),
        ({"down": 5}, "unknown_field"),
        ({"down_bytes": 5, "iccid": None}, "missing_field"),
        ({}, "nothing_told"),
        ({"down_bytes": 1.5}, "not_a_number"),
        ({"down_bytes": True}, "not_a_number"),
        ({"down_bytes": "5"}, "not_a_number"),
        ({"down_bytes": 5, "is_abroad": 1}, "not_a_flag"),
        ({"down_bytes": 5, "record_id": 7}, "not_text"),
        ({"down_bytes": 5, "record_id": "a\x00"}, "not_text"),
        ({"down_bytes": 5, "record_id": "\ud800"}, "not_text"),
        ({"down_bytes": 5, "ended_at": 0}, "not_a_time"),
        ({"down_bytes": 5, "ended_at": "noon"}, "not_a_time"),
        ({"down_bytes": 5, "ended_at": "2026-03-02T10:00:00"}, "no_zone"),
    ],
)
def test_what_can_be_wrong_with_a_line_of_json_has_a_word(line: Any, reason: str) -> None:
    assert mapping.record_of_json(line if isinstance(line, str) else json.dumps(GOOD | line)) == reason


@given(st.text())
def test_no_text_breaks_a_reader(line: str) -> None:
    assert isinstance(reader().record_of(line), str | Record)
    assert isinstance(mapping.record_of_json(line), str | Record)


def test_lines_keep_their_places_and_empty_ones_say_nothing() -> None:
    body = b"\xef\xbb\xbf{}\n\r\n\xff\n" + b"x" * 70_000 + b"\n"
    told = mapping.told_in_ndjson("m", body)
    assert [(one.place, one.said) for one in told] == [(1, "missing_field"), (3, "encoding"), (4, "line_too_long")]


# -- the table of sources ----------------------------------------------------------------------------------------------

TABLE = """
[network-one]
secret = "a secret of sixteen"
folder = "/srv/usage/one"
subject = "usage.one.>"
[network-one.csv]
zone = "Europe/Brussels"
columns = {record_id = ["card", "from"], iccid = "card", started_at = "from", seconds = "s", total = "v"}
[network-one.sftp]
host = "sftp.one.example"
user = "xuka"
host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxoEgyk6RTzYDxVhTvcLO0bLSFmU9sUbmYJ8EeZ5sAV"
password = "p"
"""


def test_the_table_of_sources_is_read(tmp_path: Path) -> None:
    (path := tmp_path / "sources.toml").write_text(TABLE)
    way = sources.read(path)["network-one"]
    assert way.csv is not None
    assert way.sftp is not None
    assert (way.folder, way.csv.columns.record_id, way.sftp.port) == (Path("/srv/usage/one"), ("card", "from"), 22)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("Europe/Brussels", "Europe/Bruxelles"), "network-one.csv.zone: there is no time zone called"),
        (("a secret of sixteen", "short"), "network-one.secret: String should have at least 16"),
        (('"/srv/usage/one"', '"usage"'), "network-one.folder: write the whole path"),
        (("usage.one.>", "usage one"), "network-one.subject: a subject is words"),
        (("ssh-ed25519", "ed25519"), "network-one.sftp.host_key: a host key is"),
        (('password = "p"', ""), "network-one.sftp: name a password or a key_file"),
        (('folder = "/srv/usage/one"', ""), "network-one.folder: what comes by SFTP"),
        (("[network-one]", "[Network_One]\n[network-one]"), "not 'Network_One'"),
        (("[network-one]", '[two]\nfolder = "/srv/usage/one"\n[network-one]'), "it is the folder of two already"),
        (("secret =", "secret"), "sources.toml: "),
    ],
)
def test_a_table_that_cannot_be_is_refused_with_a_sentence(tmp_path: Path, change: tuple[str, str], why: str) -> None:
    (path := tmp_path / "sources.toml").write_text(TABLE.replace(*change))
    with pytest.raises(sources.InvalidSources) as refused:
        sources.read(path)
    assert why in str(refused.value)
    assert "short" not in str(refused.value).split("have")[0]
