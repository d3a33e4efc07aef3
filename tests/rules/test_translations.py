from __future__ import annotations

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
