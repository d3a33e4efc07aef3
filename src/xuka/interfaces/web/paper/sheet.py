"""What every sheet that is printed begins with: fonts in which each name can be read, and the same bytes each time."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from fontTools.ttLib import TTFont
from fpdf import FPDF
from fpdf.enums import TextMode

FONTS = Path(__file__).with_name("fonts")
MARK = Path(__file__).parents[1] / "static" / "xuka" / "icon.svg"

# A character that no font here has is printed as 〓, the "geta" that typesetters put in for a missing type.
GETA = "〓"
# Which glyph forms come first; whoever lacks a character is helped by the next.
CHINESE, JAPANESE = ("NotoSansSC", "NotoSansJP", "NotoSans"), ("NotoSansJP", "NotoSansSC", "NotoSans")
LATIN = ("NotoSans", "NotoSansSC", "NotoSansJP")

JADE, INK, SOFT, LINE = (11, 102, 92), (27, 36, 48), (77, 88, 102), (220, 216, 204)


@lru_cache
def known(font: str) -> frozenset[int]:
    """The characters that this font of ours can print."""
    with TTFont(FONTS / f"{font}.ttf", lazy=True) as opened:
        return frozenset(opened["cmap"].getBestCmap() or ())


def printable(text: str) -> str:
    """The text with every character that can be printed; what no font has becomes 〓, what has no shape is left out."""
    shaped = (one for one in unicodedata.normalize("NFC", text) if not unicodedata.category(one).startswith("C"))
    return "".join(one if any(ord(one) in known(font) for font in CHINESE) else GETA for one in shaped)


class Sheet(FPDF):
    """A document whose ``id`` stands in for the time at which it is made."""

    id = ""

    def __init__(self, fonts: tuple[str, ...], characters: Iterable[str]) -> None:
        super().__init__()
        self._use(fonts, set(characters))

    def file_id(self) -> str:
        """Fixed, where fpdf2 would take the time."""
        return f"<{self.id}><{self.id}>".upper()

    def _use(self, fonts: tuple[str, ...], characters: set[str]) -> None:
        """Take the first font, and of the others those that have what it lacks."""
        lacking = {ord(one) for one in printable("".join(sorted(characters)))} - known(fonts[0])
        used = [fonts[0]]
        for font in fonts[1:]:
            if lacking & known(font):
                used.append(font)
                lacking -= known(font)
        for font in used:
            self.add_font(font, fname=FONTS / f"{font}.ttf")
        self.set_fallback_fonts(used[1:], exact_match=False)
        self.main_font = used[0]

    def _pen(self, size: float, colour: tuple[int, int, int] = INK, *, strong: bool = False) -> None:
        """Letters of this size (pt) from here on; strong ones have an outline, for one weight is carried along."""
        self.set_font(self.main_font, size=size)
        self.set_text_color(*colour)
        self.set_draw_color(*colour)
        self.set_line_width(size * 0.009)
        self.text_mode = TextMode.FILL_STROKE if strong else TextMode.FILL
