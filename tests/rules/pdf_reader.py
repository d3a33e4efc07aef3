"""Reads the PDFs of receipts back, from their bytes: what is printed, with which fonts. Knows what fpdf2 writes."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from io import BytesIO

from fontTools.ttLib import TTFont

_OBJECT = re.compile(rb"(?:^|\n)(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
_STREAM = re.compile(rb"^(.*?)stream\n(.*)\nendstream$", re.DOTALL)
_SHOWN = re.compile(rb"/F(\d+) [\d.]+ Tf|\(((?:[^()\\]|\\.)*)\) Tj|(\bq BT\b)|(\bET Q\b)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


@dataclass(frozen=True)
class Font:
    """One embedded font: its name, what each code prints, and the glyph that draws it."""

    name: str
    text_of: dict[int, str]
    glyph_of: dict[int, int]
    file: TTFont


@dataclass(frozen=True)
class Read:
    """What a PDF prints: each piece with its font and codes, in the order of the page."""

    pieces: list[tuple[Font, list[int]]]

    @property
    def text(self) -> str:
        return "\n".join("".join(font.text_of[code] for code in codes) for font, codes in self.pieces)

    def fonts_of(self, character: str) -> set[str]:
        """The fonts that this character is printed with."""
        return {font.name for font, codes in self.pieces for code in codes if font.text_of[code] == character}

    @property
    def empty_boxes(self) -> int:
        """How often the glyph for "there is none" is printed, or one without an outline in place of a character."""
        drawn = [(font, code) for font, codes in self.pieces for code in codes if font.text_of[code].strip()]
        return sum(not (glyph := font.glyph_of[code]) or not _outline(font.file, glyph) for font, code in drawn)


def read(data: bytes) -> Read:
    """Everything that is printed, from the first page to the last."""
    objects = {int(one[1]): one[2] for one in _OBJECT.finditer(data)}
    names = {int(n): int(id) for n, id in re.findall(rb"/F(\d+) (\d+) 0 R", b"".join(objects.values()))}
    fonts = {number: _font(objects, id) for number, id in names.items()}
    pages = [_content(objects[int(id)]) for id in re.findall(rb"/Contents (\d+) 0 R", data)]
    pieces: list[tuple[Font, list[int]]] = []
    font, outside = next(iter(fonts.values())), []
    for one in _SHOWN.finditer(b"\n".join(pages)):
        if one[1]:
            font = fonts[int(one[1])]
        elif one[3]:  # what was set in between is forgotten at the end
            outside.append(font)
        elif one[4]:
            font = outside.pop()
        else:
            raw = re.sub(rb"\\(.)", lambda found: _ESCAPED.get(found[1], found[1]), one[2], flags=re.DOTALL)
            pieces.append((font, [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]))
    return Read(pieces)


def _content(body: bytes) -> bytes:
    found = _STREAM.match(body)
    assert found
    return zlib.decompress(found[2]) if b"/FlateDecode" in found[1] else found[2]


def _at(objects: dict[int, bytes], body: bytes, key: bytes) -> bytes:
    found = re.search(rb"/" + key + rb" \[?(\d+) 0 R", body)
    assert found, key
    return objects[int(found[1])]


def _font(objects: dict[int, bytes], id: int) -> Font:
    descendant = _at(objects, objects[id], b"DescendantFonts")
    map_of = _content(_at(objects, objects[id], b"ToUnicode"))
    pairs = re.findall(rb"<([0-9A-Fa-f]{4})> <([0-9A-Fa-f]+)>", map_of.split(b"beginbfchar", 1)[1])
    glyphs = _content(_at(objects, descendant, b"CIDToGIDMap"))
    name = re.search(rb"/BaseFont /\w+\+(\w+)", objects[id])
    assert name
    return Font(
        name=name[1].decode(),
        text_of={int(code, 16): bytes.fromhex(text.decode()).decode("utf-16-be") for code, text in pairs},
        glyph_of={code: int.from_bytes(glyphs[2 * code : 2 * code + 2]) for code in (int(p[0], 16) for p in pairs)},
        file=TTFont(BytesIO(_content(_at(objects, _at(objects, descendant, b"FontDescriptor"), b"FontFile2")))),
    )


def _outline(font: TTFont, glyph: int) -> bool:
    return font["glyf"][font.getGlyphName(glyph)].numberOfContours != 0
