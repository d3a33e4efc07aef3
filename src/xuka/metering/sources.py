"""Who may send usage records, and how each does: the file that ``XUKA_USAGE_SOURCES`` names."""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from django.conf import settings
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from xuka.metering.mapping import Csv, Part

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
_SECRET_AT_LEAST = 16


class InvalidSources(ValueError):
    """The file is not a table of sources; the sentence says where and why."""


def _path(text: object) -> object:
    return Path(text) if isinstance(text, str) else text


def _is_whole(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("write the whole path, from / on")
    return path


WholePath = Annotated[Path, BeforeValidator(_path), AfterValidator(_is_whole)]


def _host_key(text: str) -> str:
    if not re.fullmatch(r"(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]{40,}( .*)?", text):
        raise ValueError("a host key is a public key's kind and its base64, as ssh-keyscan prints them after the host")
    return text


def _subject(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_*-]+(\.[A-Za-z0-9_*-]+)*(\.>)?", text):
        raise ValueError("a subject is words with dots between; * stands for one of them, > at the end for the rest")
    return text


class Sftp(Part):
    """A folder on the sender's server. Its key is written down: a stranger who answers in its place gets nothing."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65_535)] = 22
    user: Annotated[str, Field(min_length=1)]
    host_key: Annotated[str, AfterValidator(_host_key)]
    password: str | None = None
    key_file: WholePath | None = None
    folder: str = "."


class Way(Part):
    """One source, and every way in it has: ``secret`` for HTTP, ``folder`` for files, ``subject`` for the stream."""

    secret: Annotated[str, Field(min_length=_SECRET_AT_LEAST)] | None = None
    folder: WholePath | None = None
    csv: Csv | None = None
    sftp: Sftp | None = None
    subject: Annotated[str, AfterValidator(_subject)] | None = None


_TABLE = TypeAdapter(dict[str, Way])


def installed() -> dict[str, Way]:
    """The sources of this shop by name, read once a process; {} where none are set. Raises ``InvalidSources``."""
    return read(Path(settings.USAGE_SOURCES)) if settings.USAGE_SOURCES else {}


@lru_cache
def read(path: Path) -> dict[str, Way]:
    """The sources in this file. Raises ``InvalidSources`` with the field and the reason."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidSources(f"{path}: {error}") from error
    wrong = next((name for name in table if not _NAME.fullmatch(name)), None)
    if wrong is not None:
        raise InvalidSources(f"{path}: a source is called by small letters, digits and dashes, not {wrong!r}.")
    try:
        found = _TABLE.validate_python(table)
    except ValidationError as error:
        raise InvalidSources(f"{path}: {_sentence(error)}") from None
    _refuse_what_cannot_work(path, found)
    return found


def _sentence(error: ValidationError) -> str:
    """The first mistake in one line. What was written there is not repeated: it may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg'].removeprefix('Value error, ')}."


def _refuse_what_cannot_work(path: Path, found: dict[str, Way]) -> None:
    folders: dict[Path, str] = {}
    for name, way in found.items():
        if way.sftp and way.folder is None:
            raise InvalidSources(f"{path}: {name}.folder: what comes by SFTP is put into a folder, and none is named.")
        if way.sftp and (way.sftp.password is None) == (way.sftp.key_file is None):
            raise InvalidSources(f"{path}: {name}.sftp: name a password or a key_file.")
        if way.folder is not None and folders.setdefault(way.folder, name) != name:
            raise InvalidSources(f"{path}: {name}.folder: it is the folder of {folders[way.folder]} already.")
