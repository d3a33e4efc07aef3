"""A contract summary on A4, in letters of 10 points. The same version in the same language gives the same bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import astuple
from datetime import UTC
from functools import lru_cache
from uuid import UUID

from django.utils import translation
from fpdf import ViewerPreferences
from fpdf.enums import Align, XPos, YPos

from xuka.catalogue.models import PlanVersion
from xuka.interfaces.web.paper import summary
from xuka.interfaces.web.paper.sheet import CHINESE, INK, JADE, JAPANESE, LATIN, LINE, MARK, SOFT, Sheet, printable
from xuka.interfaces.web.paper.summary import Summary

LEFT, WIDTH = 16, 178  # mm
# Implementing Regulation (EU) 2019/2243, annex: at least 10 points.
SIZE = 10  # pt
# How far lines are apart (mm): as much as lets everything stand on one page.
HEIGHTS = (4.35, 4.1, 3.9)

# A line may end after each of these; what a line must not begin with, and what it must not end with, holds on to it.
_OPENS, _CLOSES = "（「『《“", "。、，；：）」』》”！？ー・々ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
_BREAKABLE = re.compile(rf"[{_OPENS}]*(?:[⺀-鿿豈-﫿！-～]|[^ ⺀-鿿豈-﫿！-～]+)[{_CLOSES}]*| +")


def pdf(version: PlanVersion, language: str) -> bytes:
    """The summary as a PDF in this language ("zh-hans", "en", "ja"…), with the fonts that it needs inside."""
    with translation.override(language):
        return _pdf(version.id, summary.summary(version), summary.file_name(version))


# Anybody may ask for them, and making one takes longer than all else that is asked for on a plan's page.
@lru_cache(maxsize=256)
def _pdf(id: UUID, said: Summary, name: str) -> bytes:
    sheet = _fitting(said)
    sheet.set_title(name.removesuffix(".pdf"))
    sheet.set_subject(said.plan)
    sheet.set_author(said.seller[0])
    sheet.viewer_preferences = ViewerPreferences(display_doc_title=True)
    sheet.set_creation_date(said.made_at.astimezone(UTC))
    sheet.id = hashlib.md5(f"{id} {said.language}".encode(), usedforsecurity=False).hexdigest()
    return bytes(sheet.output())


def _fitting(said: Summary) -> Paper:
    """The summary with its lines as far apart as one page allows; as close as they may be where none does."""
    *wide, closest = HEIGHTS
    tried = (Paper([said], height) for height in wide)
    return next((paper for paper in tried if paper.pages_count == 1), None) or Paper([said], closest)


class Paper(Sheet):
    """Summaries of one language, each on a page of its own; its lines are ``height`` (mm) apart."""

    def __init__(self, summaries: Sequence[Summary], height: float) -> None:
        language = summaries[0].language
        fonts = {"zh-Hans": CHINESE, "ja": JAPANESE}.get(language, LATIN)
        super().__init__(fonts, "•" + "".join(repr(astuple(said)) for said in summaries))
        self.height = height
        self.set_lang(language)
        self.set_margins(LEFT, 12)
        self.c_margin = 0
        self.set_auto_page_break(True, 10)
        for said in summaries:
            self._draw(said)

    def _draw(self, said: Summary) -> None:
        """All of it, from top to bottom."""
        self.add_page()
        self._head(said)
        for section in said.sections:
            self._heading(section.heading)
            for says in section.says:
                self._point(says)

    def _head(self, said: Summary) -> None:
        self.image(MARK, x=LEFT - 1, y=11.5, h=9)
        self.set_y(12)
        self._pen(12, strong=True)
        self._row(said.seller[0], x=LEFT + 10, width=WIDTH - 10, height=5)
        self._pen(SIZE, SOFT)
        self._row(" · ".join(said.seller[1:]), x=LEFT + 10, width=WIDTH - 10)
        self.ln(1.5)
        self._pen(13, strong=True)
        self._row(said.plan, height=6)
        self._pen(17, JADE, strong=True)
        self.start_section(said.title)
        self._row(said.title, height=8)
        self._pen(SIZE, SOFT)
        self._row(said.version)
        self.ln(0.8)
        self._pen(SIZE)
        for says in said.introduction:
            self._point(says)

    def _heading(self, text: str) -> None:
        self.ln(1.1)
        self.set_draw_color(*LINE)
        self.set_line_width(0.2)
        self.line(LEFT, self.get_y(), LEFT + WIDTH, self.get_y())
        self.ln(0.8)
        self._pen(11, JADE, strong=True)
        self.start_section(text, level=1)
        self._row(text, height=5)
        self._pen(SIZE, INK)

    def _point(self, text: str) -> None:
        self.set_x(LEFT)
        self.cell(4, self.height, "•")
        self._row(text, x=LEFT + 4, width=WIDTH - 4)

    def _row(self, text: str, *, x: float = LEFT, width: float = WIDTH, height: float = 0) -> None:
        """The text from ``x`` (mm) on, in as many lines as it needs."""
        for line in self._lines(printable(text), width):
            self.set_x(x)
            self.cell(width, height or self.height, line, align=Align.L, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _lines(self, text: str, width: float) -> list[str]:
        """The text in lines of at most this width (mm), broken at spaces or between ideographs."""
        lines, line, used = [], "", 0.0
        for part in _BREAKABLE.findall(text):
            wide = self.get_string_width(part)
            if line and used + wide > width and part.strip():
                lines.append(line.rstrip())
                line, used = "", 0.0
            line += part
            used += wide
        return [*lines, line.rstrip()]
