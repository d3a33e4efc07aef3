"""A receipt on A4. The same receipt in the same language gives the same bytes, whenever it is asked for."""

from __future__ import annotations

import hashlib
from dataclasses import astuple
from datetime import UTC
from typing import Any

from django.utils import translation
from fpdf.enums import Align, XPos, YPos

from xuka.interfaces.web.paper import words
from xuka.interfaces.web.paper.sheet import CHINESE, JADE, JAPANESE, LINE, MARK, SOFT, Sheet, printable
from xuka.interfaces.web.paper.words import Paper, Row
from xuka.receipts.models import Receipt

LEFT, WIDTH = 20, 170  # mm


def pdf(receipt: Receipt, language: str) -> bytes:
    """The receipt as a PDF in this language ("zh-hans", "en", "ja"…), with the fonts that it needs inside."""
    with translation.override(language):
        said, name = words.paper(receipt), words.file_name(receipt)
    sheet = _Sheet(said)
    sheet.set_title(name.removesuffix(".pdf"))
    sheet.set_author(said.seller)
    sheet.set_lang(said.language)
    sheet.set_creation_date(receipt.issued_at.astimezone(UTC))
    sheet.id = hashlib.md5(f"{receipt.id} {language}".encode(), usedforsecurity=False).hexdigest()
    sheet.draw()
    return bytes(sheet.output())


def attachment(receipt: Receipt, language: str) -> tuple[str, str, bytes]:
    """The PDF as a file that goes with a letter: (name, type, bytes)."""
    with translation.override(language):
        name = words.file_name(receipt)
    return name, "application/pdf", pdf(receipt, language)


class _Sheet(Sheet):
    """One document; what it says is drawn from top to bottom."""

    def __init__(self, said: Paper) -> None:
        japanese = said.language == "ja" or (said.market == "JP" and not said.language.startswith("zh"))
        super().__init__(JAPANESE if japanese else CHINESE, repr(astuple(said)))
        self.said = said
        self.set_margins(LEFT, 18)
        self.c_margin = 0
        self.set_auto_page_break(True, 20)

    # -- small tools ------------------------------------------------------------------------------------------------

    def _write(self, text: str, width: float, *, x: float, align: Align = Align.L, height: float = 5) -> None:
        """The text from ``x`` (mm) on, wrapped; the next line begins below it."""
        self.set_x(x)
        below: dict[str, Any] = {"new_x": XPos.LMARGIN, "new_y": YPos.NEXT}
        self.multi_cell(width, height, printable(text), align=align, **below)

    def _rule(self, colour: tuple[int, int, int] = LINE, width: float = 0.2) -> None:
        self.set_draw_color(*colour)
        self.set_line_width(width)
        self.line(LEFT, self.get_y(), LEFT + WIDTH, self.get_y())

    def _beside(self, *columns: tuple[str, float, float, Align]) -> None:
        """Texts side by side, each (text, x, width, align); goes on below the longest."""
        top, bottom = self.get_y(), self.get_y()
        for text, x, width, align in columns:
            self.set_y(top)
            self._write(text, width, x=x, align=align)
            bottom = max(bottom, self.get_y())
        self.set_y(bottom)

    # -- the parts --------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Everything, from top to bottom."""
        self.add_page()
        self._head()
        self._parties()
        self._facts()
        self._items()
        self._rates()
        self._paid()
        self._pen(9.5, SOFT)
        for sentence in self.said.said:
            self._write(sentence, WIDTH, x=LEFT)

    def footer(self) -> None:
        """The number on every page, and which page it is where there are more."""
        self.set_y(-15)
        self._pen(8.5, SOFT)
        pages = f"{self.page_no()} / {{nb}}" if self.page_no() > 1 else ""
        self._beside((f"{self.said.title} {self.said.number}", LEFT, 120, Align.L), (pages, LEFT + 120, 50, Align.R))

    def _head(self) -> None:
        said = self.said
        self.image(MARK, x=LEFT - 2, y=17, h=11)
        self.set_y(19)
        self._pen(13, strong=True)
        self._write(said.seller, 78, x=LEFT + 12, height=7)
        bottom = self.get_y()
        self.set_y(17.5)
        self._pen(22, JADE, strong=True)
        self._write(said.title, 90, x=LEFT + 80, align=Align.R, height=10)
        if said.legal_name and said.legal_name != said.title:
            self._pen(10, SOFT)
            self._write(said.legal_name, 90, x=LEFT + 80, align=Align.R)
        self._pen(11)
        self._write(said.number, 90, x=LEFT + 80, align=Align.R, height=6)
        self.set_y(max(bottom, self.get_y()) + 5)
        self._rule(JADE, 0.5)
        self.ln(6)

    def _parties(self) -> None:
        said = self.said
        half = WIDTH / 2
        self._pen(9, SOFT)
        self._beside((said.heads.sold_by, LEFT, half - 5, Align.L), (said.heads.sold_to, LEFT + half, half, Align.L))
        self._pen(10)
        address = "\n".join((said.seller, *said.address, said.registration))
        self._blocks((address, LEFT, half - 5), (said.customer, LEFT + half, half))
        self.ln(6)

    def _blocks(self, *blocks: tuple[str, float, float]) -> None:
        top, bottom = self.get_y(), self.get_y()
        for text, x, width in blocks:
            self.set_y(top)
            for line in text.split("\n"):
                self._write(line, width, x=x, height=5.5)
            bottom = max(bottom, self.get_y())
        self.set_y(bottom)

    def _facts(self) -> None:
        for row in self.said.facts:
            value = f"{row.value} ({row.more})" if row.more else row.value
            self._pen(9.5, SOFT)
            top = self.get_y()
            self._write(row.label, 50, x=LEFT, height=5.5)
            bottom = self.get_y()
            self.set_y(top)
            self._pen(10)
            self._write(value, WIDTH - 52, x=LEFT + 52, height=5.5)
            self.set_y(max(bottom, self.get_y()))
        self.ln(6)

    def _items(self) -> None:
        said = self.said
        at = ((LEFT, 72, Align.L), (LEFT + 74, 20, Align.R), (LEFT + 96, 30, Align.R), (LEFT + 128, 42, Align.R))
        heads = (said.heads.what, said.heads.quantity, said.tax, said.heads.amount)
        self._table(at, heads, [(one.what, one.quantity, one.rate, one.amount) for one in said.items])
        self.ln(4)

    def _rates(self) -> None:
        said = self.said
        at = ((LEFT, 50, Align.L), (LEFT + 52, 36, Align.R), (LEFT + 90, 36, Align.R), (LEFT + 128, 42, Align.R))
        heads = (said.heads.rates, said.heads.net, said.tax, said.heads.gross)
        self._table(at, heads, [(f"{said.tax} {one.rate}", one.net, one.tax, one.gross) for one in said.rates])
        self.ln(4)
        self._pen(14, JADE, strong=True)
        self._beside((said.total.label, LEFT, 100, Align.L), (said.total.value, LEFT + 100, 70, Align.R))
        self.ln(2)
        self._pen(9, SOFT)
        self._beside((said.total.more, LEFT, WIDTH, Align.L))
        self.ln(5)

    def _table(
        self,
        at: tuple[tuple[float, float, Align], ...],
        heads: tuple[str, ...],
        rows: list[tuple[str, ...]],
    ) -> None:
        self._pen(9, SOFT)
        self._row(at, heads)
        self.ln(1.5)
        self._rule()
        self.ln(2)
        for row in rows:
            self._pen(10.5)
            self._row(at, row)
            self.ln(1.5)
        self._rule()

    def _row(self, at: tuple[tuple[float, float, Align], ...], texts: tuple[str, ...]) -> None:
        self._beside(*((text, x, width, align) for text, (x, width, align) in zip(texts, at, strict=True)))

    def _paid(self) -> None:
        if not self.said.paid:
            return
        self._pen(9, SOFT)
        self._write(self.said.heads.paid, WIDTH, x=LEFT)
        self._pen(10.5)
        for row in self.said.paid:
            self._pair(row)
        self.ln(4)

    def _pair(self, row: Row) -> None:
        self._beside((row.label, LEFT, 100, Align.L), (row.value, LEFT + 100, 70, Align.R))
