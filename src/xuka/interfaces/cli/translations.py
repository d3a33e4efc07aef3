"""Translations without a system gettext: ``python -m xuka.interfaces.cli.translations update | compile | check``.

``update`` brings every catalogue up to date with the source and keeps what is translated; ``compile`` makes the ``.mo``
files that are older than their ``.po``; ``check`` says what is missing and exits with 1. Babel does the work; Django's
``templatize`` turns a template into something that Babel's reader of Python understands.

Traditional Chinese follows the Simplified: ``update`` writes each zh_Hant text anew from the zh_Hans one, by OpenCC and
``data/zh-hant.tsv``, but for those with the line ``# by hand`` above them. Without OpenCC it leaves them as they are.
French gets its no-break spaces.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_python
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

PACKAGE = Path(__file__).resolve().parents[2]
LOCALE = PACKAGE / "locale"
LANGUAGES = ("zh_Hans", "zh_Hant", "ja", "fr", "nl")
TAIWAN = PACKAGE.parents[1] / "data" / "zh-hant.tsv"
BY_HAND = "by hand"

# Which arguments hold the texts: (singular, plural), with "c" for the context.
_SPECIFICATION: dict[str, Any] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
_PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z]|\{[\w.!:,]*\}")
_Key = tuple[str | None, str | tuple[str, ...]]


def extracted(package: Path = PACKAGE) -> Catalog:
    """Every text of the package that is marked for translation, with the files it stands in."""
    found = Catalog(project="Xuka", charset="utf-8", fuzzy=False)
    for path in sorted(package.rglob("*")):
        if path.suffix not in {".py", ".html", ".txt"} or "migrations" in path.parts or "static" in path.parts:
            continue
        for line, function, texts, comments in _calls(path):
            context, message = _message(function, texts)
            if message:
                place = (path.relative_to(package).as_posix(), line)
                found.add(message, context=context, locations=[place], auto_comments=comments)
    return found


def _calls(path: Path) -> Iterator[tuple[Any, ...]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        # What is left of a template is text blanked out with X and calls; its indentation would be an error in Python.
        text = "\n".join(line.strip() for line in templatize(text, origin=str(path)).splitlines())
    yield from extract_python(BytesIO(text.encode()), _SPECIFICATION, ["Translators:"], {"encoding": "utf-8"})


def _message(function: str, texts: object) -> tuple[str | None, str | tuple[str, ...] | None]:
    """Context and text (or singular and plural) of a call; None where an argument is not a plain text."""
    given = texts if isinstance(texts, tuple) else (texts,)
    context: str | None = None
    parts: list[str] = []
    for place in _SPECIFICATION[function] or (1,):
        number = place if isinstance(place, int) else place[0]
        value = given[number - 1] if len(given) >= number else None
        if not isinstance(value, str) or not value:
            return None, None
        if isinstance(place, int):
            parts.append(value)
        else:
            context = value
    return context, parts[0] if len(parts) == 1 else tuple(parts)


def _po(locale: Path, language: str) -> Path:
    return locale / language / "LC_MESSAGES" / "django.po"


def _read(path: Path, language: str) -> Catalog:
    if not path.exists():
        return Catalog(locale=language, project="Xuka", charset="utf-8", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def update(package: Path = PACKAGE, locale: Path = LOCALE) -> None:
    """Bring every catalogue up to date; texts that are gone leave it. Calling it again changes nothing."""
    for language in LANGUAGES:
        path = _po(locale, language)
        source, catalogue = extracted(package), _read(path, language)
        source.creation_date = catalogue.creation_date
        catalogue.update(source, no_fuzzy_matching=True)
        catalogue.obsolete.clear()
        catalogue.header_comment = f"# Xuka, {catalogue.locale_identifier}"
        catalogue.msgid_bugs_address = catalogue.version = ""
        catalogue.last_translator = catalogue.language_team = "Xuka"
        if language == "zh_Hant":
            _follow(catalogue, _read(_po(locale, "zh_Hans"), "zh_Hans"))
        if language == "fr":
            _typeset(catalogue)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            write_po(file, catalogue, sort_by_file=True, include_lineno=False, width=100)


def _typeset(french: Catalog) -> None:
    """The space before : ; ! ? » and after « never breaks a line (Lexique des règles typographiques)."""
    for message in french:
        if message.id and all(_forms(message)):
            forms = tuple(re.sub(r" (?=[:;!?»])|(?<=«) ", "\N{NO-BREAK SPACE}", form) for form in _forms(message))
            message.string = forms if isinstance(message.id, tuple | list) else "".join(forms)


def _follow(traditional: Catalog, simplified: Catalog) -> None:
    """Write every traditional text from the simplified one of the same key, but for those by hand."""
    if (convert := _converter()) is None:
        return
    written = {_key(message): message for message in simplified if message.id}
    for message in traditional:
        if not message.id or (BY_HAND in message.user_comments and all(_forms(message))):
            continue
        there = written.get(_key(message))
        forms = tuple(convert(form) for form in _forms(there)) if there else ()
        if all(forms) and forms:
            message.string = forms if isinstance(message.id, tuple | list) else forms[0]


def _converter() -> Callable[[str], str] | None:
    """Simplified Chinese -> what is written in Taiwan; None where OpenCC, a tool of developers, is not installed."""
    try:
        from opencc import OpenCC  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    opencc = OpenCC("s2twp")
    lines = TAIWAN.read_text(encoding="utf-8").splitlines()
    words: dict[str, str] = dict(line.split("\t", 1) for line in lines if not line.startswith("#"))
    known = re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True))))
    return lambda text: known.sub(lambda found: words[found[0]], opencc.convert(text))


def compile_stale(locale: Path = LOCALE) -> None:
    """Make every ``.mo`` that is missing or older than its ``.po``. Safe when several processes do so at once."""
    for po in sorted(locale.glob("*/LC_MESSAGES/*.po")):
        mo = po.with_suffix(".mo")
        if mo.exists() and mo.stat().st_mtime_ns >= po.stat().st_mtime_ns:
            continue
        half = mo.with_suffix(f".{os.getpid()}")
        with half.open("wb") as file:
            write_mo(file, _read(po, po.parts[-3]))
        half.rename(mo)


def faults(package: Path = PACKAGE, locale: Path = LOCALE) -> list[str]:
    """What is wrong with the catalogues, one sentence each; empty when every text is translated and nothing is left."""
    source = {_key(message): message for message in extracted(package) if message.id}
    return [fault for language in LANGUAGES for fault in _faults_of(source, _read(_po(locale, language), language))]


def _faults_of(source: dict[_Key, Message], catalogue: Catalog) -> Iterator[str]:
    language = catalogue.locale_identifier
    there = {_key(message): message for message in catalogue if message.id}
    for key, wanted in source.items():
        message = there.get(key)
        if message is None:
            yield f"{language}: missing: {wanted.id!r} ({wanted.locations[0][0]})"
        elif message.fuzzy:
            yield f"{language}: fuzzy: {message.id!r}"
        elif not all(_forms(message)):
            yield f"{language}: empty: {message.id!r} ({wanted.locations[0][0]})"
        elif not all(_placeholders(form) in _allowed(message) for form in _forms(message)):
            yield f"{language}: placeholders differ: {message.id!r} -> {message.string!r}"
    for message in [*(there[key] for key in there.keys() - source.keys()), *catalogue.obsolete.values()]:
        yield f"{language}: obsolete: {message.id!r}"


def _key(message: Message) -> _Key:
    return message.context, message.id if isinstance(message.id, str) else tuple(message.id)


def _forms(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string or ())


def _placeholders(text: str) -> set[str]:
    return set(_PLACEHOLDER.findall(text.replace("%%", "")))


def _allowed(message: Message) -> list[set[str]]:
    """The placeholders of the text; of its singular or its plural where it has both ("one day", "%(n)s days")."""
    return [_placeholders(text) for text in ([message.id] if isinstance(message.id, str) else message.id)]


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("what", choices=["update", "compile", "check"])
    what = parser.parse_args().what
    if what == "update":
        update()
    elif what == "compile":
        compile_stale()
    elif found := faults():
        told = f"{len(found)} translations to mend: make messages, edit the .po files, make messages once more."
        sys.exit("\n".join([*found, told]))
    else:
        print(f"Every text is translated: {', '.join(LANGUAGES)}.")


if __name__ == "__main__":
    main()
