"""The ways records leave a network: a signed push over HTTP, and files in a folder."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import httpx

from sandbox.phones.use import Used

_COLUMNS = Used._fields


def ndjson(records: Iterable[Used]) -> bytes:
    """One object a line."""
    return "".join(
        f'{{"record_id":"{r.record_id}","iccid":"{r.iccid}","started_at":"{r.started_at.isoformat()}",'
        f'"ended_at":"{r.ended_at.isoformat()}","up_bytes":{r.up_bytes},"down_bytes":{r.down_bytes},'
        f'"network":"{r.network}","is_abroad":{_true(r.is_abroad)},"is_hotspot":{_true(r.is_hotspot)},'
        f'"voice_seconds":{r.voice_seconds},"sms":{r.sms},"revision":{r.revision}}}\n'
        for r in records
    ).encode()


def _true(flag: bool) -> str:
    return "true" if flag else "false"


def signature(secret: str, body: bytes, at: datetime) -> str:
    """What the header ``Xuka-Signature`` holds: the second, and HMAC-SHA256 over "<second>." and the body."""
    second = int(at.timestamp())
    made = hmac.new(secret.encode(), f"{second}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={second},v1={made}"


class Push:
    """Posts batches to ``{base}/usage/<source>/``, signed by the second of the clock.

    Args:
        client: its base address is the shop's.
    """

    def __init__(self, client: httpx.Client, *, source: str, secret: str) -> None:
        self.client, self.source, self.secret = client, source, secret

    def send(self, records: Iterable[Used], *, now: datetime, known_until: datetime | None) -> None:
        """Returns once the batch was taken; raises ``httpx.HTTPError`` when it was not, or nobody knows.

        Args:
            known_until: every record that ended before has been sent; None claims nothing.
        """
        body = ndjson(records)
        headers = {"Content-Type": "application/x-ndjson", "Xuka-Signature": signature(self.secret, body, now)}
        if known_until:
            headers["Xuka-Known-Until"] = known_until.isoformat()
        self.client.post(f"/usage/{self.source}/", content=body, headers=headers).raise_for_status()


def csv(records: Iterable[Used]) -> bytes:
    """A header line and one line a record; times in ISO 8601, flags as true and false."""
    lines = [",".join(_COLUMNS)]
    for r in records:
        times = r.started_at.isoformat(), r.ended_at.isoformat()
        flags = _true(r.is_abroad), _true(r.is_hotspot)
        told = (r.record_id, r.iccid, *times, r.up_bytes, r.down_bytes, r.network, *flags)
        lines.append(",".join(map(str, (*told, r.voice_seconds, r.sms, r.revision))))
    return ("\n".join(lines) + "\n").encode()


def write_file(folder: Path, name: str, records: Iterable[Used]) -> Path:
    """A CSV file in this folder, gzipped when the name ends so; whoever watches the folder sees it whole or not at all.

    The same records under another name are the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = csv(records)
    half = folder / f".{name}.part"
    half.write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    return half.replace(folder / name)


def send_again(file: Path, name: str) -> Path:
    """The whole file once more, under another name."""
    again = file.with_name(name)
    half = file.with_name(f".{name}.part")
    half.write_bytes(file.read_bytes())
    os.replace(half, again)
    return again
