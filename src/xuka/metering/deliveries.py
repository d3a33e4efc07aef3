"""Files of usage records, dropped into a source's folder: each read once, kept, and its bad lines written beside it.

A file is read when nobody has written to it for 10 seconds, or when its time of change lies ahead of our clock. Senders
who need longer write under another name (``.part`` behind it, or a dot before it) and rename when it is whole.

``<folder>/`` new files, ``<folder>/done/`` what was read, ``<folder>/rejected/`` the lines that were not counted
(``<name>.rejected.csv``) and files that could not be read at all.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import logging
import zlib
from codecs import BOM_UTF8
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from django.db import connection, transaction
from django.db.models import F

from xuka.metering import intake
from xuka.metering.mapping import LINE_AT_MOST_BYTES, Csv, HeaderLacks, Reader, Told, WrongLine, record_of_json, told_in
from xuka.metering.models import Delivery, Source

QUIET = timedelta(seconds=10)
ENDINGS = (".csv", ".csv.gz", ".ndjson", ".ndjson.gz")
_LOCK = 7_201_914  # the first of two keys; the other is the source's id
_BLOCK_BYTES = 1 << 20
# Lines and what they say are in memory until their batch is counted: however long they are, and the file, no more.
BATCH = 100_000
_TEXT_AT_ONCE = 32 << 20
log = logging.getLogger(__name__)
_State = Delivery.State


class Unreadable(Exception):
    """Nothing of the file can be read; the sentence says why."""


def read_folder(
    *, source: Source, folder: Path, csv_mapping: Csv | None, now: datetime, batch: int = BATCH
) -> list[Delivery]:
    """Read every file that waits in this folder, the one changed first first. Again: finds no more files.

    Whatever breaks it off, the next call reads the file again from its start and counts nothing twice. While another
    reads this folder, nothing is done.

    Args:
        csv_mapping: None where the source sends no CSV; such a file then cannot be read.
        batch: how many records are counted in one transaction, at most; of long lines fewer.
    """
    with _alone(source) as is_alone:
        if not is_alone or not folder.is_dir():
            return []
        for name in ("done", "rejected"):
            (folder / name).mkdir(exist_ok=True)
        read = (_read_if_there(source, path, csv_mapping, now, batch) for path in waiting(folder, now))
        return [delivery for delivery in read if delivery is not None]


def waiting(folder: Path, now: datetime) -> list[Path]:
    """The files that are ready to be read, by the time of their last change, then by name."""
    found: list[tuple[float, str, Path]] = []
    for path in folder.iterdir():
        if not is_named_as_usage(path.name) or path.is_symlink() or not path.is_file():
            continue
        size, changed = path.stat().st_size, path.stat().st_mtime
        if size and not 0 <= now.timestamp() - changed < QUIET.total_seconds():
            found.append((changed, path.name, path))
    return [path for _, _, path in sorted(found)]


def is_named_as_usage(name: str) -> bool:
    """Whether a file of this name is read: others are not whole yet, or not ours."""
    return name.endswith(ENDINGS) and not name.startswith(".") and "/" not in name and "\x00" not in name


@contextmanager
def _alone(source: Source) -> Iterator[bool]:
    """Whether nobody else reads this source's files. The lock is the connection's: it goes when the process dies."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s, %s)", [_LOCK, source.id])
        ((is_alone,),) = cursor.fetchall()
    try:
        yield is_alone
    finally:
        if is_alone and connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("select pg_advisory_unlock(%s, %s)", [_LOCK, source.id])


def _read_if_there(source: Source, path: Path, csv_mapping: Csv | None, now: datetime, batch: int) -> Delivery | None:
    """Read one file; one that is gone or that the disk does not give keeps no other waiting. None: not read."""
    try:
        return _read(source, path, csv_mapping, now, batch)
    except OSError:
        log.exception("%s could not be read; it will be tried again", path)
        return None


def _read(source: Source, path: Path, csv_mapping: Csv | None, now: datetime, batch: int) -> Delivery:
    before = path.stat()
    digest = _sha256(path)
    known = Delivery.objects.filter(source=source, sha256=digest, state__in=[_State.READING, _State.DONE]).first()
    if known is not None and known.state == _State.DONE:
        return _set_aside(known, path, now)
    delivery = known or Delivery(source=source, sha256=digest, began_at=now)
    delivery.name, delivery.size_bytes = _name(path), before.st_size
    delivery.save()
    try:
        with _Rejects(path.parent / "rejected" / f"{path.name}.rejected.csv") as rejects:
            _count(delivery, path, csv_mapping, rejects, now, batch)
    except Unreadable as why:
        _end(delivery, _State.UNREADABLE, now, error=str(why))
        _move(path, path.parent / "rejected", digest)
        return delivery
    _end(delivery, _State.DONE, now)
    after = path.stat()
    # One that somebody still writes to stays, and is read again with what came behind: only that is counted.
    if (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
        _move(path, path.parent / "done", digest)
    return delivery


def _end(delivery: Delivery, state: Delivery.State, now: datetime, *, error: str = "") -> None:
    delivery.state, delivery.ended_at, delivery.error = state, now, error
    if state == _State.DONE:
        delivery.read_bytes = delivery.size_bytes
    delivery.save()


def _set_aside(done: Delivery, path: Path, now: datetime) -> Delivery:
    """A file that was read already, under whatever name."""
    folder = path.parent / "done"
    if done.name == _name(path) and not (folder / path.name).exists():
        _move(path, folder, done.sha256)  # we were broken off between the end of reading and the move
        return done
    seen = Delivery.objects.create(
        source_id=done.source_id, name=_name(path), sha256=done.sha256, size_bytes=done.size_bytes,
        state=_State.SEEN_BEFORE, began_at=now, ended_at=now,
    )  # fmt: skip
    _move(path, folder, done.sha256)
    return seen


def _move(path: Path, folder: Path, digest: str) -> None:
    """Keep the file; one of the same name that lies there already keeps its place."""
    there = folder / path.name
    number = 1
    while there.exists():
        there = folder / f"{path.name}.{digest[:12]}" if number == 1 else folder / f"{path.name}.{digest[:12]}.{number}"
        number += 1
    path.rename(there)


def _name(path: Path) -> str:
    """The file's name as the database can keep it."""
    return path.name.encode("utf-8", "replace").decode()[:255]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- counting ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _SoFar:
    """What this reading of the file has come to; an earlier one that was broken off has counted some of it."""

    good: int = 0
    reasons: Tally[str] = field(default_factory=Tally)


def _count(
    delivery: Delivery, path: Path, csv_mapping: Csv | None, rejects: _Rejects, now: datetime, batch: int
) -> None:
    """Count the file's lines, a batch at a time. Raises ``Unreadable``."""
    so_far = _SoFar()
    with path.open("rb") as raw:
        told: list[Told] = []
        text = 0
        for line in _told(raw, path.name, csv_mapping):
            told.append(line)
            text += len(line.line)
            if len(told) >= batch or text >= _TEXT_AT_ONCE:
                _count_batch(delivery, told, so_far, rejects, raw.tell(), now)
                told, text = [], 0
        _count_batch(delivery, told, so_far, rejects, raw.tell(), now)


@transaction.atomic
def _count_batch(
    delivery: Delivery, told: Sequence[Told], so_far: _SoFar, rejects: _Rejects, read_bytes: int, now: datetime
) -> None:
    """Count some lines; how far the reading has come is committed with them.

    What an earlier reading counted comes as repeated: the delivery and the source tell of each line once.
    """
    source = delivery.source
    taken = intake.take(source=source, lines=told, now=now, keep=False) if told else intake.Taken()
    so_far.good += taken.counted + taken.repeated + taken.corrected
    so_far.reasons += taken.reasons
    repeated, rejected = delivery.repeated, delivery.rejected
    delivery.counted += taken.counted + taken.corrected
    delivery.repeated = max(0, so_far.good - delivery.counted)
    delivery.rejected = so_far.reasons.total()
    delivery.reasons = dict(so_far.reasons)
    delivery.read_bytes = min(read_bytes, delivery.size_bytes)
    delivery.save()
    Source.objects.filter(id=source.id).update(
        repeated=F("repeated") + delivery.repeated - repeated - taken.repeated,
        rejected=F("rejected") + delivery.rejected - rejected - len(taken.refused),
    )
    rejects.write(taken.refused)


class _Rejects:
    """The file of the lines that were not counted: written anew by each reading, there under its name when it is whole.

    Without such lines there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.part")
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self._draft.unlink(missing_ok=True)
        return self

    def write(self, refused: Sequence[intake.Refused]) -> None:
        """Add these lines."""
        if not refused:
            return
        if self._file is None:
            self._file = self._draft.open("w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow(["line", "reason", "content"])
        csv.writer(self._file).writerows(
            [one.told.place, one.reason, intake.readable(one.told.line)] for one in refused
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is None:
            return
        self._file.close()
        if kind is None:
            self._draft.rename(self._path)


# -- lines -------------------------------------------------------------------------------------------------------------


def _told(raw: IO[bytes], name: str, csv_mapping: Csv | None) -> Iterator[Told]:
    """What each line of the file tells. Raises ``Unreadable``."""
    lines = _Lines(gzip.GzipFile(fileobj=raw) if name.endswith(".gz") else raw)
    if not name.removesuffix(".gz").endswith(".csv"):
        yield from _told_in_ndjson(lines, name)
    elif csv_mapping is None:
        raise Unreadable("The source has no csv mapping.")
    else:
        yield from _told_in_csv(lines, name, csv_mapping)
    if lines.is_no_gzip:
        raise Unreadable(lines.fault)
    if lines.fault:
        yield Told(name, lines.count + 1, lines.fault, "cut_off")


def _told_in_ndjson(lines: _Lines, name: str) -> Iterator[Told]:
    for place, line in enumerate(lines, start=1):
        told = told_in(name, place, line, encoding="utf-8", read=record_of_json)
        # An object shows by itself whether it is whole.
        if told is not None and told.said == "not_json" and lines.is_cut(line):
            lines.fault, told = "", told._replace(said="cut_off")
        if told is not None:
            yield told


def _told_in_csv(lines: _Lines, name: str, mapping: Csv) -> Iterator[Told]:
    numbered = enumerate(lines, start=1)
    header = next(numbered, (1, b""))[1] if mapping.header else None
    if header is not None and not header.endswith(b"\n"):
        if header:  # cut off within it
            lines.fault = lines.fault or header.decode(mapping.encoding, "replace")
        return
    read = _reader(mapping, header).record_of
    for place, line in numbered:
        if lines.is_cut(line) and (mapping.last_line_ends or lines.fault):
            lines.fault = ""
            yield Told(name, place, line.decode(mapping.encoding, "replace"), "cut_off")
        elif told := told_in(name, place, line, encoding=mapping.encoding, read=read):
            yield told


def _reader(mapping: Csv, header: bytes | None) -> Reader:
    if header is None:
        return Reader(mapping)
    try:
        return Reader(mapping, header.decode(mapping.encoding).rstrip("\r\n"))
    except (UnicodeDecodeError, HeaderLacks, WrongLine) as error:
        raise Unreadable(f"The header: {error}") from None


class _Lines:
    """The lines of a stream, with their ends; of one that is too long only its head. A fault of a gzip ends them.

    Attributes:
        fault: why there are no more, where the file is not whole; "" while nothing is wrong or it was told.
        count: how many there were.
        is_no_gzip: it is called one, and is none from its first byte on.
    """

    def __init__(self, stream: IO[bytes] | gzip.GzipFile) -> None:
        self._stream = stream
        self.fault = ""
        self.count = 0
        self.is_no_gzip = False
        self._has_begun = False

    def is_cut(self, line: bytes) -> bool:
        """Whether this line does not end: the file ends in the middle of it, or it was too long to keep."""
        return not line.endswith(b"\n") and len(line) <= LINE_AT_MOST_BYTES

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        for block in self._blocks():
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                yield self._counted(line[:LINE_AT_MOST_BYTES] + b"\n")
            # However long a line is, no more of it is kept than shows that it is too long.
            rest = rest[: LINE_AT_MOST_BYTES + 1]
        if rest:
            yield self._counted(rest)

    def _counted(self, line: bytes) -> bytes:
        self.count += 1
        return line.removeprefix(BOM_UTF8) if self.count == 1 else line

    def _blocks(self) -> Iterator[bytes]:
        read = self._stream.read1 if isinstance(self._stream, gzip.GzipFile) else self._stream.read
        try:
            while block := read(_BLOCK_BYTES):
                self._has_begun = True
                yield block
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.fault = str(error) or "The file ends before its gzip does."
            self.is_no_gzip = isinstance(error, gzip.BadGzipFile) and not self._has_begun
