from __future__ import annotations

import sys
from pathlib import Path

import pytest

from xuka.interfaces.cli import translations

PAGE = """{% load i18n %}
  <p>{% translate "Renew" %}</p>
    {% blocktranslate trimmed count left=days %}
      {{ left }} day left
    {% plural %}
      {{ left }} days left
    {% endblocktranslate %}
{# nothing to see here #}
"""
CODE = """from django.utils.translation import gettext, pgettext
NAME = gettext("Hello %(name)s, "
               "welcome")
MONTH = pgettext("calendar", "May")
"""


@pytest.fixture(autouse=True)
def _only_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translations, "LANGUAGES", ("zh_Hans",))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "page.html").write_text(PAGE)
    (tmp_path / "package" / "code.py").write_text(CODE)
    return tmp_path / "package"


@pytest.fixture
def locale(tmp_path: Path, package: Path) -> Path:
    """A catalogue with every text translated."""
    folder = tmp_path / "locale"
    translations.update(package, folder)
    text = _po(folder).read_text()
    for msgid, msgstr in {
        'msgid "Renew"\nmsgstr ""': 'msgid "Renew"\nmsgstr "续卡"',
        'days left"\nmsgstr[0] ""': 'days left"\nmsgstr[0] "还剩 %(left)s 天"',
        'msgid "Hello %(name)s, welcome"\nmsgstr ""': 'msgid "Hello %(name)s, welcome"\nmsgstr "您好 %(name)s"',
        'msgid "May"\nmsgstr ""': 'msgid "May"\nmsgstr "五月"',
    }.items():
        assert msgid in text
        text = text.replace(msgid, msgstr)
    _po(folder).write_text(text)
    return folder


def _po(locale: Path) -> Path:
    return locale / "zh_Hans" / "LC_MESSAGES" / "django.po"


def test_a_translated_catalogue_has_no_fault_and_updating_it_changes_nothing(package: Path, locale: Path) -> None:
    before = _po(locale).read_bytes()
    translations.update(package, locale)
    assert _po(locale).read_bytes() == before
    assert translations.faults(package, locale) == []


@pytest.mark.parametrize(
    ("was", "becomes", "fault"),
    [
        ('"续卡"', '""', "zh_Hans: empty: 'Renew' (page.html)"),
        ('msgid "Renew"', '#, fuzzy\nmsgid "Renew"', "zh_Hans: fuzzy: 'Renew'"),
        (
            '"您好 %(name)s"',
            '"您好 %(nom)s"',
            "zh_Hans: placeholders differ: 'Hello %(name)s, welcome' -> '您好 %(nom)s'",
        ),
        (
            '"还剩 %(left)s 天"',
            '"还剩几天"',
            "zh_Hans: placeholders differ: ('%(left)s day left', '%(left)s days left') -> ('还剩几天',)",
        ),
    ],
)
def test_a_text_that_is_empty_fuzzy_or_loses_a_placeholder_is_named(
    package: Path, locale: Path, was: str, becomes: str, fault: str
) -> None:
    text = _po(locale).read_text()
    assert was in text
    _po(locale).write_text(text.replace(was, becomes))
    assert translations.faults(package, locale) == [fault]


def test_a_new_text_is_missing_and_a_text_that_is_gone_is_obsolete(package: Path, locale: Path) -> None:
    (package / "page.html").write_text(PAGE.replace('"Renew"', '"Renew now"'))
    assert translations.faults(package, locale) == [
        "zh_Hans: missing: 'Renew now' (page.html)",
        "zh_Hans: obsolete: 'Renew'",
    ]


def test_an_update_keeps_what_is_translated(package: Path, locale: Path) -> None:
    (package / "page.html").write_text(PAGE + '{% translate "Pay" %}')
    translations.update(package, locale)
    assert translations.faults(package, locale) == ["zh_Hans: empty: 'Pay' (page.html)"]


def test_a_changed_catalogue_is_compiled_again(locale: Path) -> None:
    translations.compile_stale(locale)
    mo = _po(locale).with_suffix(".mo")
    assert "续卡".encode() in mo.read_bytes()
    _po(locale).write_text(_po(locale).read_text().replace("续卡", "续费"))
    translations.compile_stale(locale)
    assert "续费".encode() in mo.read_bytes()


def test_traditional_chinese_follows_the_simplified_but_for_what_is_written_by_hand(
    package: Path, locale: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translations, "LANGUAGES", ("zh_Hans", "zh_Hant"))
    translations.update(package, locale)
    there = locale / "zh_Hant" / "LC_MESSAGES" / "django.po"
    assert 'msgid "Renew"\nmsgstr "續卡"' in there.read_text()
    assert 'msgstr[0] "還剩 %(left)s 天"' in there.read_text()
    assert translations.faults(package, locale) == []

    there.write_text(
        there.read_text().replace('#: code.py\nmsgctxt "calendar"', '# by hand\n#: code.py\nmsgctxt "calendar"')
    )
    there.write_text(there.read_text().replace('"五月"', '"5 月"'))
    simplified = _po(locale)
    simplified.write_text(
        simplified.read_text().replace('"续卡"', '"给卡充值，“限速”除外"').replace('"五月"', '"五月份"')
    )
    translations.update(package, locale)
    assert 'msgid "Renew"\nmsgstr "給卡儲值，「降速」除外"' in there.read_text()
    assert 'msgstr "5 月"' in there.read_text()

    monkeypatch.setitem(sys.modules, "opencc", None)  # not installed
    before = there.read_bytes()
    translations.update(package, locale)
    assert there.read_bytes() == before


def test_french_never_breaks_a_line_before_its_high_marks_or_inside_its_quotes(
    package: Path, locale: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translations, "LANGUAGES", ("fr",))
    translations.update(package, locale)
    there = locale / "fr" / "LC_MESSAGES" / "django.po"
    there.write_text(
        there.read_text().replace('msgid "Renew"\nmsgstr ""', 'msgid "Renew"\nmsgstr "« Recharger » : oui !"')
    )
    for _ in range(2):
        translations.update(package, locale)
        assert 'msgstr "«\N{NO-BREAK SPACE}Recharger\N{NO-BREAK SPACE}»\N{NO-BREAK SPACE}: oui\N{NO-BREAK SPACE}!"' in (
            there.read_text()
        )
