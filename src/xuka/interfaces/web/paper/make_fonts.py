"""Makes the fonts that receipts are printed with: ``python -m xuka.interfaces.web.paper.make_fonts FOLDER``.

FOLDER is where ``npm pack`` left the three archives that ``fonts/README.md`` names; what is kept of them and why is
said there too. The same archives make the same bytes.
"""

from __future__ import annotations

import argparse
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

FONTS = Path(__file__).with_name("fonts")
# Latin, Greek and Cyrillic; Vietnamese; punctuation; currencies; letterlike signs, arrows; CJK punctuation; full width.
EVERYWHERE = (
    (0x20, 0x52F),
    (0x1E00, 0x1EFF),
    (0x2000, 0x206F),
    (0x20A0, 0x20CF),
    (0x2100, 0x21FF),
    (0x3000, 0x303F),
    (0xFF00, 0xFFEF),
)
# Given names of today that GB 2312 (1980) does not know.
NAMES = (
    "喆玥堃珺珅彧祎翀昇镕啟瑀玹璟玙頔赟昺垚犇骉曌昉旻炘瑄玚玭珧珮瑢甯皛禛禤竑芃蒨鋆锴韡鹍龑翯翃妘姮宬峣弢忞慜玘珝琎琲璠"
)
# What is made: (npm package, file in it, characters besides those).
SOURCES = {
    "NotoSansSC.ttf": ("noto-sans-sc-", "NotoSansSC_400Regular.ttf", ("gb2312", "big5")),
    "NotoSansJP.ttf": ("noto-sans-jp-", "NotoSansJP_400Regular.ttf", ("euc_jp",)),
    "NotoSans.ttf": ("noto-sans-0", "NotoSans_400Regular.ttf", ()),
}
# Where the characters of daily use lie in each: all of GB 2312 and of JIS X 0208, the first level of Big5.
LEADS = {"gb2312": range(0xA1, 0xF8), "euc_jp": range(0xA1, 0xF5), "big5": range(0xA4, 0xC7)}


def characters(codec: str) -> Iterator[int]:
    """Every character of daily use that the codec writes in two bytes."""
    for lead in LEADS[codec]:
        for trail in range(0x40, 0xFF):
            pair = bytes((lead, trail)).decode(codec, "ignore")
            yield from map(ord, pair if len(pair) == 1 else "")


def subset(font: TTFont, wanted: set[int]) -> bytes:
    """The font with these characters only, without hinting and without tables that print nothing."""
    options = Options()
    options.hinting = False
    options.layout_features = []
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    options.notdef_outline = True
    options.drop_tables += ["BASE", "DSIG", "GDEF", "GPOS", "GSUB", "STAT", "VORG", "meta", "vhea", "vmtx"]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=wanted)
    subsetter.subset(font)
    made = BytesIO()
    font.save(made)
    return made.getvalue()


def make(folder: Path) -> None:
    """Write the fonts and their licence beside this file."""
    for name, (package, member, codecs) in SOURCES.items():
        (archive,) = folder.glob(f"expo-google-fonts-{package}*.tgz")
        with tarfile.open(archive) as packed:
            files = {Path(one.name).name: one for one in packed.getmembers()}
            licence, ttf = (packed.extractfile(files[file]) for file in ("LICENSE_FONT", member))
            assert licence is not None
            assert ttf is not None
            font = TTFont(BytesIO(ttf.read()), recalcTimestamp=False)
            (FONTS / f"OFL-{name.removesuffix('.ttf')}.txt").write_bytes(licence.read())
        wanted = {one for first, last in EVERYWHERE for one in range(first, last + 1)}
        wanted.update(map(ord, NAMES))
        wanted.update(one for codec in codecs for one in characters(codec))
        (FONTS / name).write_bytes(subset(font, wanted))


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description="Makes the fonts of receipts from the npm archives.")
    asked.add_argument("folder", type=Path)
    make(asked.parse_args().folder)
