"""Look where usage records are delivered: fetch what lies on senders' servers, and read what lies in their folders."""

from __future__ import annotations

import logging
from datetime import datetime

from xuka.metering import counting, deliveries, sources
from xuka.metering.models import Delivery
from xuka.metering.sources import Way

log = logging.getLogger(__name__)


def read_all(*, now: datetime) -> list[Delivery]:
    """Fetch and read the files of every source; one in trouble keeps no other waiting. Again: counts nothing twice."""
    read: list[Delivery] = []
    for name, way in sources.installed().items():
        if way.folder is not None:
            _fetch(name, way, now)
            read += deliveries.read_folder(
                source=counting.source(name), folder=way.folder, csv_mapping=way.csv, now=now
            )
    for delivery in read:
        if delivery.error:
            log.error("%s of %s cannot be read: %s", delivery.name, delivery.source.name, delivery.error)
    return read


def _fetch(name: str, way: Way, now: datetime) -> None:
    assert way.folder is not None, "what is fetched is put into a folder"
    if way.sftp is None:
        return
    from xuka.interfaces.jobs import sftp  # SSH takes half a second to load, and few sources need it

    try:
        sftp.fetch(server=way.sftp, folder=way.folder, now=now)
    except sftp.Unfetched as why:
        log.warning("%s: nothing could be fetched: %s", name, why)
