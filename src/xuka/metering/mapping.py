"""What a sender's lines mean: a declared mapping of CSV columns to records, and the records of NDJSON. Pure.

A line becomes a ``Record`` or a word for why it says none. Beside those of ``records.why_rejected`` they are:
``encoding``, ``quotes`` (one that does not close), ``missing_column`` (the line is shorter), ``nothing_told`` (no
volume, no second, no message), ``not_a_number``, ``not_a_time``, ``no_such_time`` (the clocks jumped over it),
``not_a_flag``, ``not_text`` (a control character in the id), ``not_json``, ``not_an_object``, ``unknown_field``,
``missing_field``, ``line_too_long``. A local time that happens twice is the first.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from xuka.catalogue.rules import Zone
from xuka.metering.records import AHEAD, Record

UNITS = {"B": 1, "kB": 1_000, "KiB": 1_024, "MB": 1_000_000, "MiB": 1_048_576}
# The end of every line; a line that is longer tells of no one use.
LINE_AT_MOST_BYTES = 65_536
_ID_AT_MOST = 120

Number = int  # of a column, from 1
Column = str | Number


class WrongLine(ValueError):
    """The line says no record; ``args[0]`` is the word for why."""


class HeaderLacks(ValueError):
    """The file's first line does not name what the mapping reads; the sentence says which column."""


def _delimiter(text: str) -> str:
    if text in {"\r", "\n", '"'}:
        raise ValueError("a delimiter is neither a quote nor the end of a line")
    return text


def _encoding(name: str) -> str:
    try:
        feeds_lines = "\n".encode(name) == b"\n"
    except LookupError:
        raise ValueError(f"there is no encoding called {name!r}") from None
    if not feeds_lines:
        raise ValueError(f"{name!r} does not end a line with one byte 0x0A: have the files converted to utf-8")
    return name


_SAMPLE = datetime(2026, 11, 23, 22, 41, tzinfo=UTC)


def _time_format(text: str) -> str:
    if text in {"iso", "unix", "unix_ms"}:
        return text
    try:
        tells_all = datetime.strptime(_SAMPLE.strftime(text), text).replace(tzinfo=UTC) == _SAMPLE
    except (ValueError, re.error):
        tells_all = False
    if not tells_all:
        raise ValueError(f"{text!r} is neither iso, unix, unix_ms nor a strptime format from the year to the minute")
    return text


def _words(listed: object) -> object:
    return tuple(listed) if isinstance(listed, list) else listed


def _one_or_more(column: object) -> object:
    return column if isinstance(column, tuple) else tuple(column) if isinstance(column, list) else (column,)


class Part(BaseModel):
    """A part of the document: nothing unknown, nothing converted, never changed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Columns(Part):
    """Which column of the file holds which field of a record: a header's words, or numbers from 1.

    ``record_id`` may be several, joined, where the sender has no id of its own: columns that tell this use from every
    other, the same each time it is sent. ``ended_at`` or ``seconds`` is given, ``total`` or ``up`` and ``down``.
    """

    record_id: Annotated[tuple[Column, ...], BeforeValidator(_one_or_more), Field(min_length=1)]
    iccid: Column
    started_at: Column
    ended_at: Column | None = None
    seconds: Column | None = None
    up: Column | None = None
    down: Column | None = None
    total: Column | None = None
    network: Column | None = None
    abroad: Column | None = None
    hotspot: Column | None = None
    voice_seconds: Column | None = None
    sms: Column | None = None
    revision: Column | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.ended_at is None) == (self.seconds is None):
            raise ValueError("a record ends at ended_at or lasts seconds: name one of the two")
        if self.total is not None and (self.up is not None or self.down is not None):
            raise ValueError("total is up and down together: name it or them")
        if all(column is None for column in (self.total, self.up, self.down, self.voice_seconds, self.sms)):
            raise ValueError("no column tells what was used: total, up, down, voice_seconds or sms")
        return self

    def listed(self) -> list[Column]:
        """Every column that is read."""
        rest = (getattr(self, name) for name in type(self).model_fields if name != "record_id")
        return [*self.record_id, *(column for column in rest if column is not None)]


class Csv(Part):
    """How one sender writes CSV: one record a line, fields quoted or not."""

    columns: Columns
    delimiter: Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_delimiter)] = ","
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    header: bool = True
    last_line_ends: bool = True
    unit: Literal["B", "kB", "KiB", "MB", "MiB"] = "B"
    decimal: Literal[".", ","] = "."
    time_format: Annotated[str, AfterValidator(_time_format)] = "iso"
    zone: Zone | None = None
    yes: Annotated[tuple[str, ...], BeforeValidator(_words)] = ("1", "true", "t", "yes", "y")
    no: Annotated[tuple[str, ...], BeforeValidator(_words)] = ("0", "false", "f", "no", "n")

    @model_validator(mode="after")
    def _columns_fit_the_header(self) -> Self:
        for column in self.columns.listed():
            if self.header and not isinstance(column, str):
                raise ValueError(f"with a header columns are named by its words, not {column!r}")
            if not self.header and not (isinstance(column, int) and 1 <= column <= 1_000):
                raise ValueError(f"without a header columns are numbers from 1, not {column!r}")
        if self.decimal == self.delimiter:
            raise ValueError("a decimal comma and commas between fields cannot be told apart")
        return self


# -- CSV ---------------------------------------------------------------------------------------------------------------


class Reader:
    """Reads the lines of one file by its mapping.

    Args:
        header: the file's first line, where the mapping has one.

    Raises:
        HeaderLacks: a column that the mapping reads is not in it.
    """

    def __init__(self, mapping: Csv, header: str | None = None) -> None:
        assert mapping.header == (header is not None), "a header is read where the mapping has one"
        self.mapping = mapping
        place = _places(_cells(header, mapping.delimiter)) if header is not None else (lambda number: number - 1)
        columns = mapping.columns
        self._id = tuple(place(column) for column in columns.record_id)
        names = ("iccid", "started_at", "ended_at", "seconds", "up", "down", "total", "network", "abroad", "hotspot",
                 "voice_seconds", "sms", "revision")  # fmt: skip
        at = {name: None if getattr(columns, name) is None else place(getattr(columns, name)) for name in names}
        self._iccid, self._start, self._end, self._seconds = (at[name] for name in names[:4])
        self._up, self._down, self._total = (at[name] for name in names[4:7])
        self._network, self._abroad, self._hotspot = (at[name] for name in names[7:10])
        self._voice, self._sms, self._revision = (at[name] for name in names[10:])
        self._factor = UNITS[mapping.unit]
        self._flags = {word.casefold(): True for word in mapping.yes} | {word.casefold(): False for word in mapping.no}
        self._time = _times(mapping.time_format, mapping.zone)

    def record_of(self, line: str) -> Record | str:
        """The record that this line tells; the word for why there is none."""
        try:
            return self._record(_cells(line, self.mapping.delimiter))
        except WrongLine as wrong:
            return wrong.args[0]
        except IndexError:
            return "missing_column"

    def _record(self, row: Sequence[str]) -> Record:
        started_at = self._time(row[self._start])  # type: ignore[index]
        ended_at = self._time(row[self._end]) if self._end is not None else self._ending(row, started_at)
        up, down = self._volume(row, self._up), self._volume(row, self._total if self._down is None else self._down)
        voice, sms = _whole(row, self._voice), _whole(row, self._sms)
        if up is down is voice is sms is None:
            raise WrongLine("nothing_told")
        return Record(
            self._record_id(row),
            row[self._iccid].strip(),  # type: ignore[index]
            started_at,
            ended_at,
            up or 0,
            down or 0,
            "" if self._network is None else _network(row[self._network]),
            None if self._abroad is None else self._flag(row[self._abroad]),
            None if self._hotspot is None else self._flag(row[self._hotspot]),
            voice or 0,
            sms or 0,
            _whole(row, self._revision) or 0,
        )

    def _record_id(self, row: Sequence[str]) -> str:
        """The sender's id; else what tells this use from every other, joined, and digested where that is long."""
        if len(self._id) == 1:
            return _text(row[self._id[0]].strip())
        parts = [row[at].strip() for at in self._id]
        if not all(parts):
            raise WrongLine("no_record_id")
        joined = _text("|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in parts))
        return joined if len(joined) <= _ID_AT_MOST else hashlib.sha256(joined.encode()).hexdigest()

    def _ending(self, row: Sequence[str], started_at: datetime) -> datetime:
        lasted = _decimal(row[self._seconds], self.mapping.decimal)  # type: ignore[index]
        if lasted is None or not -10_000_000 < lasted < 10_000_000:
            raise WrongLine("not_a_number")
        try:
            return started_at + timedelta(seconds=float(lasted))
        except OverflowError:
            raise WrongLine("not_a_time") from None

    def _volume(self, row: Sequence[str], at: int | None) -> int | None:
        if at is None:
            return None
        text = row[at]
        if text.isdigit() and text.isascii() and len(text) <= 18:
            return int(text) * self._factor
        told = _decimal(text, self.mapping.decimal)
        return None if told is None else int((told * self._factor).to_integral_value(ROUND_HALF_UP))

    def _flag(self, text: str) -> bool | None:
        word = text.strip().casefold()
        if not word:
            return None
        if word not in self._flags:
            raise WrongLine("not_a_flag")
        return self._flags[word]


def _places(header: Sequence[str]) -> Callable[[Any], int]:
    there = {name.strip().removeprefix("\ufeff"): at for at, name in reversed(list(enumerate(header)))}

    def place(column: str) -> int:
        if column not in there:
            raise HeaderLacks(f"The first line names no column {column!r}; it names {', '.join(there)[:200]}.")
        return there[column]

    return place


def _cells(line: str, delimiter: str) -> list[str]:
    """The fields of one line. A quote that does not close would swallow the lines behind it: it is refused."""
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader((line,), delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration):
        raise WrongLine("quotes") from None


_DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,12})?", re.ASCII)


def _decimal(text: str, point: str) -> Decimal | None:
    """A number as people write it, without thousands; None for an empty field."""
    text = text.strip()
    if not text:
        return None
    if point != ".":
        text = "," if "." in text else text.replace(point, ".")
    if not _DECIMAL.fullmatch(text):
        raise WrongLine("not_a_number")
    return Decimal(text)


def _whole(row: Sequence[str], at: int | None) -> int | None:
    """A whole number; None for an empty field, or where there is no column."""
    if at is None or not (text := row[at].strip()):
        return None
    if not re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII):
        raise WrongLine("not_a_number")
    return int(text)


@lru_cache(maxsize=4_096)
def _network(text: str) -> str:
    """MCC-MNC; many write it without the dash."""
    text = text.strip()
    return f"{text[:3]}-{text[3:]}" if re.fullmatch(r"[0-9]{5,6}", text, re.ASCII) else text


def _text(id: str) -> str:
    """An id that a database can keep and a person can read."""
    if not id.isprintable():
        raise WrongLine("not_text")
    return id


# -- times -------------------------------------------------------------------------------------------------------------


def _times(time_format: str, zone: str | None) -> Callable[[str], datetime]:
    """How this sender's times are read: text to an aware time."""
    local = _local(zone)
    if time_format in {"unix", "unix_ms"}:
        per_second = 1 if time_format == "unix" else 1_000
        return lambda text: _since_1970(text, per_second)
    parse = datetime.fromisoformat if time_format == "iso" else _strptime(time_format)

    def read(text: str) -> datetime:
        try:
            told = parse(text)
        except ValueError:
            try:
                told = parse(text.strip())
            except ValueError:
                raise WrongLine("not_a_time") from None
        return told if told.tzinfo is not None else local(told)

    return read


def _since_1970(text: str, per_second: int) -> datetime:
    told = _decimal(text, ".")
    if told is None or not 0 <= told < 10**10 * per_second:
        raise WrongLine("not_a_time")
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(told * 1_000_000 / per_second))


def _local(zone: str | None) -> Callable[[datetime], datetime]:
    """How a time on the clock in this zone becomes an aware one.

    Most hours have one distance from UTC: it is found once an hour, not once a record.
    """
    if zone is None:

        def refuse(told: datetime) -> datetime:
            raise WrongLine("no_zone")

        return refuse
    where = ZoneInfo(zone)
    hours: dict[tuple[int, int, int, int], timezone | None] = {}

    def read(told: datetime) -> datetime:
        hour = (told.year, told.month, told.day, told.hour)
        if hour not in hours:
            if len(hours) > 10_000:  # 45 days are 1,080 hours; more is somebody's mistake
                hours.clear()
            hours[hour] = _offset_of(told, where)
        offset = hours[hour]
        return told.replace(tzinfo=offset) if offset is not None else _in_a_changing_hour(told, where)

    return read


def _offset_of(told: datetime, where: ZoneInfo) -> timezone | None:
    """The one distance from UTC of the hour of this local time; None where it has two, or is jumped over."""
    begin = told.replace(minute=0, second=0, microsecond=0, tzinfo=where)
    end = begin.replace(minute=59, second=59, microsecond=999_999)
    offsets = {moment.replace(fold=fold).utcoffset() for moment in (begin, end) for fold in (0, 1)}
    only = offsets.pop()
    return timezone(only) if not offsets and only is not None else None


def _in_a_changing_hour(told: datetime, where: ZoneInfo) -> datetime:
    aware = told.replace(tzinfo=where, fold=0)
    if aware.astimezone(UTC).astimezone(where).replace(tzinfo=None, fold=0) != told:
        raise WrongLine("no_such_time")
    return aware.astimezone(UTC)


# What a pattern does as well as strptime, and ten times as fast.
_DIRECTIVES = {"%Y": r"([0-9]{4})", "%m": r"([0-9]{2})", "%d": r"([0-9]{2})", "%H": r"([0-9]{2})", "%M": r"([0-9]{2})",
               "%S": r"([0-9]{2})"}  # fmt: skip


def _strptime(time_format: str) -> Callable[[str], datetime]:
    found = re.findall(r"%.", time_format)
    if not set(_DIRECTIVES) - {"%S"} <= set(found) <= set(_DIRECTIVES) or len(set(found)) < len(found):
        return lambda text: datetime.strptime(text, time_format)  # noqa: DTZ007 - the zone is told apart
    pieces = re.split(r"(%.)", time_format)
    pattern = re.compile("".join(_DIRECTIVES.get(piece) or re.escape(piece) for piece in pieces), re.ASCII)
    y, mo, d, h, mi = (found.index(directive) for directive in ("%Y", "%m", "%d", "%H", "%M"))
    s = found.index("%S") if "%S" in found else None

    def parse(text: str) -> datetime:
        match = pattern.fullmatch(text)
        if match is None:
            raise ValueError("not of this form")
        n = [int(group) for group in match.groups()]
        return datetime(n[y], n[mo], n[d], n[h], n[mi], 0 if s is None else n[s])  # noqa: DTZ001 - local

    return parse


# -- NDJSON ------------------------------------------------------------------------------------------------------------

_FIELDS = frozenset(Record._fields)
_REQUIRED = ("record_id", "iccid", "started_at", "ended_at")
_NUMBERS = ("up_bytes", "down_bytes", "voice_seconds", "sms", "revision")
_USED = _NUMBERS[:4]
_parse = json.JSONDecoder().decode


def record_of_json(line: str) -> Record | str:
    """The record in this line: an object with a record's own fields; times as ISO 8601 with their distance from UTC.

    Returns the word for why there is none. ``null`` is as if the field were not there.
    """
    try:
        told = _parse(line)
    except (ValueError, RecursionError):
        return "not_json"
    if not isinstance(told, dict):
        return "not_an_object"
    try:
        return _record_of_fields(told)
    except WrongLine as wrong:
        return wrong.args[0]


def _record_of_fields(told: Mapping[str, Any]) -> Record:
    if not told.keys() <= _FIELDS:
        raise WrongLine("unknown_field")
    told = {name: value for name, value in told.items() if value is not None}
    if not all(name in told for name in _REQUIRED):
        raise WrongLine("missing_field")
    if not any(name in told for name in _USED):
        raise WrongLine("nothing_told")
    for name in _NUMBERS:
        if type(told.get(name, 0)) is not int:
            raise WrongLine("not_a_number")
    for name in ("is_abroad", "is_hotspot"):
        if type(told.get(name, False)) is not bool:
            raise WrongLine("not_a_flag")
    for name in ("record_id", "iccid", "network"):
        if not isinstance(told.get(name, ""), str):
            raise WrongLine("not_text")
    return Record(**told | {
        "record_id": _text(told["record_id"]),
        "started_at": _moment(told["started_at"]),
        "ended_at": _moment(told["ended_at"]),
    })  # fmt: skip


def _moment(told: object) -> datetime:
    if not isinstance(told, str):
        raise WrongLine("not_a_time")
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        raise WrongLine("not_a_time") from None
    if moment.tzinfo is None:
        raise WrongLine("no_zone")
    return moment


def known_until(told: str, now: datetime) -> datetime:
    """The time until which a sender says that it has told everything. Raises ``ValueError`` when it is none, or later.

    One that lies ahead would make the pages tell as known what nobody knows yet.
    """
    moment = _moment(told)
    if not datetime(2000, 1, 1, tzinfo=UTC) < moment <= now + AHEAD:
        raise WrongLine("in_the_future")
    return moment


# -- lines -------------------------------------------------------------------------------------------------------------


class Told(NamedTuple):
    """A line as it came, and the record in it or the word for why there is none.

    Args:
        batch: the file, the message or the request it came in.
        place: its line there, from 1.
    """

    batch: str
    place: int
    line: str
    said: Record | str


def told_in(batch: str, place: int, line: bytes, *, encoding: str, read: Callable[[str], Record | str]) -> Told | None:
    """What this line tells; None where it is empty."""
    if len(line) > LINE_AT_MOST_BYTES:
        return Told(batch, place, line[:200].decode(encoding, "replace"), "line_too_long")
    try:
        text = line.decode(encoding).rstrip("\r\n")
    except UnicodeDecodeError:
        return Told(batch, place, line.decode(encoding, "replace").rstrip("\r\n"), "encoding")
    return Told(batch, place, text, read(text)) if text and not text.isspace() else None


def told_in_ndjson(batch: str, body: bytes) -> list[Told]:
    """What the lines of this body tell; empty lines tell nothing."""
    lines = enumerate(body.removeprefix(BOM_UTF8).split(b"\n"), start=1)
    found = (told_in(batch, place, line, encoding="utf-8", read=record_of_json) for place, line in lines)
    return [told for told in found if told is not None]
