"""The contract summary: the template's headings in their order, every figure the policy's, one page, ten points."""

from __future__ import annotations

import re
import zlib
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from django.utils import translation

from tests.journeys.web_world import DATA, OURS
from tests.rules.pdf_reader import read
from xuka.catalogue import operations as catalogue
from xuka.catalogue import queries
from xuka.catalogue.models import PlanVersion
from xuka.catalogue.rules import document_of
from xuka.interfaces.web.paper import summary, summary_pdf
from xuka.interfaces.web.paper.summary import Summary

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
LANGUAGES = ("zh-hans", "zh-hant", "ja", "en", "fr", "nl")
WEEK, TALK, JAPAN = "be-week-3gb-day", "be-1month-100gb-talk", "jp-week-3gb-day"


@pytest.fixture
def shop() -> None:
    for name in OURS:
        catalogue.load(DATA / name, who="seller", now=NOW)


def plan(slug: str) -> PlanVersion:
    found = queries.plan_by_slug(slug)
    assert found
    return found


def told(slug: str, language: str) -> Summary:
    with translation.override(language):
        return summary.summary(plan(slug))


def plain(text: str) -> str:
    return re.sub(r"[\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}]", " ", text)


def words(said: Summary) -> str:
    return plain("\n".join(says for section in said.sections for says in section.says))


# -- what it says ------------------------------------------------------------------------------------------------------

HEADINGS = {
    "en": (
        "Services and equipment",
        "Speeds of the internet service and remedies",
        "Price",
        "Duration, renewal and termination",
        "Features for end-users with disabilities",
        "Other relevant information",
    ),
    "zh-hans": ("服务与设备", "上网速度与补救办法", "价格", "期限、续费与终止", "为残障用户提供的功能", "其他相关信息"),
    "zh-hant": (
        "服務與裝置",
        "上網速度與補救辦法",
        "價格",
        "期限、續費與終止",
        "為身心障礙使用者提供的功能",
        "其他相關資訊",
    ),
    "ja": (
        "サービスと機器",
        "インターネットの通信速度と救済手段",
        "料金",
        "契約期間・更新・解約",
        "障害のある利用者のための機能",
        "その他の重要な情報",
    ),
    "fr": (
        "Services et équipements",
        "Débits du service internet et voies de recours",
        "Prix",
        "Durée, renouvellement et résiliation",
        "Fonctionnalités pour les utilisateurs finals handicapés",
        "Autres informations utiles",
    ),
    "nl": (
        "Diensten en apparatuur",
        "Snelheden van de internetdienst en rechtsmiddelen",
        "Prijs",
        "Looptijd, verlenging en beëindiging",
        "Voorzieningen voor eindgebruikers met een handicap",
        "Andere relevante informatie",
    ),
}


def test_the_headings_are_the_templates_in_its_order(shop: None) -> None:
    for slug, language in product((WEEK, TALK, JAPAN), LANGUAGES):
        said = told(slug, language)
        assert tuple(section.heading for section in said.sections) == HEADINGS[language]
        assert all(section.says and all(section.says) for section in said.sections)


def test_the_introduction_is_the_prescribed_one_and_comes_first(shop: None) -> None:
    assert told(WEEK, "en").introduction == (
        "This contract summary provides the main elements of this service offer as required by EU law.",
        "It helps to make a comparison between service offers.",
        "Complete information about the service is provided in other documents.",
    )


TITLES = {
    "en": ("Contract summary", "Plan summary"),
    "zh-hans": ("合同摘要", "套餐概要"),
    "zh-hant": ("合約摘要", "方案概要"),
    "ja": ("契約概要", "プラン概要"),
    "fr": ("Récapitulatif contractuel", "Résumé de la formule"),
    "nl": ("Samenvatting van het contract", "Overzicht van de bundel"),
}


LAW = r"EU|UE\b|2015/2120|2018/1972|2011/83|欧盟|歐盟|Union|Unie"


def test_outside_the_european_union_it_is_a_plan_summary_and_claims_nothing_of_its_law(shop: None) -> None:
    for language in LANGUAGES:
        european, japanese = told(WEEK, language), told(JAPAN, language)
        assert (european.title, japanese.title) == TITLES[language]
        assert (len(european.introduction), len(japanese.introduction)) == (3, 1)
        assert re.search(LAW, words(european))
        assert not re.search(LAW, words(japanese) + " ".join(japanese.introduction) + japanese.title)


SAID = {
    (WEEK, "en"): (
        "Prepaid mobile service in Belgium, on the network of Proximus.",
        "Estimated maximum speed, download and upload: not told.",
        "3 GB a day at full speed. After 3 GB you go on at up to 1 Mbps, at no extra charge.",
        "€12.90 for each period of 7 days (€1.84 a day). VAT 21% included.",
        "7 days of 24 hours each, counted to the second from activation.",
        "Latest renewal: Unknown: the carrier does not tell. Renew before the end and you are safe.",
        "Works also in France, Germany, Luxembourg and Netherlands, up to 8 GB there.",
    ),
    (WEEK, "zh-hans"): (
        "预付费移动服务，使用地：比利时，网络：Proximus。",
        "预计最高下载和上传速度：未说明。",
        "每天 3 GB 高速流量。用满 3 GB 后降至 1 Mbps，不另收费。",
        "每期 7 天，价格 €12.90（€1.84/天）。已含增值税 21%。",
        "共 7 天，每天按 24 小时计，从激活那一刻起精确到秒。",
        "公平使用：每天 3 GB 高速流量。用满 3 GB 后降至 1 Mbps，不另收费。每天 00:00（布鲁塞尔时间）重置。",
    ),
    (WEEK, "ja"): (
        "推定最大通信速度（下り・上り）：記載なし。",
        "1回（7日）につき€12.90（1日あたり€1.84）。VAT（21%）込み。",
        "7日（1日は24時間、開通した時刻から秒単位で計算）。",
        "本人確認：ベルギーで販売されるプリペイドSIMは、利用者の本人確認が済むまで使えません",
    ),
    (WEEK, "fr"): (
        "Débit maximal estimé, descendant et montant : non communiqué.",
        "12,90 € par période de 7 jours (1,84 € par jour). TVA de 21 % comprise.",
        "Compteur remis à zéro chaque jour à 00:00 (heure locale à Bruxelles).",
        "(loi du 13 juin 2005, art. 127 ; arrêté royal du 27 novembre 2016).",
    ),
    (WEEK, "nl"): (
        "Geschatte maximumsnelheid, download en upload: niet vermeld.",
        "€ 12,90 per periode van 7 dagen (€ 1,84 per dag). Btw 21% inbegrepen.",
        "Herroeping: binnen 14 dagen na de aankoop, zonder opgave van redenen.",
    ),
    (TALK, "en"): (
        "1000 minutes of calls to numbers in Belgium. Being called costs nothing. 1000 texts (SMS) to numbers in",
        "After 100 GB you go on at up to 512 kbps, at no extra charge. Starts afresh with the next period only.",
        "1 month: it ends on the same day of the month and at the same time as it began (Brussels time); where",
        "Latest renewal: Up to 90 days after the end.",
        "It comes as a new eSIM, or renews a card that you have.",
    ),
    (TALK, "zh-hans"): ("共 1 个月：在期满月份与开始时相同的日期和时刻结束（布鲁塞尔时间）",),
    (TALK, "ja"): ("1か月。開始と同じ日付・時刻に終了します（ブリュッセル時間）。",),
    (TALK, "fr"): ("1000 SMS vers les numéros nationaux (Belgique).", "1 mois : fin le même jour du mois"),
    (TALK, "nl"): ("€ 39,00 per periode van 1 maand (€ 1,28 per dag).",),
    (JAPAN, "en"): (
        "JP¥1,980 for each period of 7 days (JP¥283 a day). Consumption tax 10% included.",
        "Up to 3 Mbps at peak hours, 12:00 to 13:00 (Tokyo time).",
        "7 days on the calendar: the day of activation is the first, the last ends at midnight (Tokyo time).",
        "Starts afresh every day at 00:00, Shanghai time. That is 01:00, Tokyo time.",
        "Does not work in other countries.",
        "Identification: not told.",
    ),
    (JAPAN, "zh-hans"): ("高峰时段 12:00–13:00（东京时间）最高 3 Mbps。", "实名登记：未说明。"),
    (JAPAN, "ja"): (
        "7日（暦日）。開通した日を1日目とし、最終日の24時に終了します（東京時間）。",
        "消費税（10%）込み。",
    ),
    (JAPAN, "fr"): ("1 980 JPY par période de 7 jours (283 JPY par jour).", "Identification : non communiqué."),
    (JAPAN, "nl"): ("Japanse btw 10% inbegrepen.",),
}


def test_what_it_says_word_for_word(shop: None) -> None:
    for (slug, language), sentences in SAID.items():
        text = words(told(slug, language))
        assert [sentence for sentence in sentences if sentence not in text] == [], (slug, language)


def test_every_cap_and_every_step_is_told(shop: None) -> None:
    version = plan(WEEK)
    document = document_of(queries.policy(version))
    document["quota"]["data"] |= {
        "tiers": [{"after_bytes": 3_000_000_000, "kbps": 1000}, {"after_bytes": 5_000_000_000, "kbps": 0}],
        "also": [
            {
                "window": "calendar_month",
                "zone": "Europe/Brussels",
                "tiers": [{"after_bytes": 40_000_000_000, "kbps": 128}],
            }
        ],
        "hotspot": {"allowed": True, "cap_bytes": 1_000_000_000},
    }
    version = PlanVersion(id=version.id, plan=version.plan, number=2, policy=document, price_minor=1290, currency="EUR",
                          made_at=NOW)  # fmt: skip
    queries.policy.cache_clear()
    with translation.override("en"):
        text = words(summary.summary(version))
    queries.policy.cache_clear()
    speeds, other = text.split("Estimated maximum")[1].split("Fair use: ")
    for part in (speeds, other):
        assert "3 GB a day at full speed." in part
        assert "After 3 GB you go on at up to 1 Mbps, at no extra charge. After 5 GB the connection stops." in part
        assert "And besides: 40 GB a calendar month at full speed. After 40 GB you go on at up to 128 kbps" in part
    assert "Starts afresh on the 1st of every month, Brussels time." in other
    assert "Hotspot allowed, up to 1 GB." in other


def test_the_seller_tells_of_what_there_is_for_people_with_disabilities(shop: None, settings: Any) -> None:
    assert told(WEEK, "en").sections[4].says == ("Nothing particular is offered.",)
    settings.SELLER_ACCESSIBILITY = "Help by text and by video in sign language, Mondays to Fridays."
    assert told(WEEK, "en").sections[4].says == ("Help by text and by video in sign language, Mondays to Fridays.",)


def test_a_seller_without_an_address_says_so(shop: None, settings: Any) -> None:
    assert told(WEEK, "en").seller == (
        "Xuka Demo", "Demo street 1", "1000 Brussels", "Belgium", "seller@xuka.example",
    )  # fmt: skip
    settings.SELLER_ADDRESS = ""
    assert told(WEEK, "en").seller == ("Xuka Demo", "Address: not told", "seller@xuka.example")


IDENTIFIED = {
    ("BE", False): "Identification: a prepaid card that is sold in Belgium gives no service until",
    ("BE", True): "Identification: a prepaid card that is sold in Belgium gives no service until",
    ("JP", True): "Identification: for a card with calls your identity is checked when the contract is made",
    ("JP", False): "Identification: not told.",
    ("DE", True): "Identification: not told.",
}


def test_who_must_be_identified_is_told_where_it_is_known() -> None:
    with translation.override("en"):
        for (market, talks), says in IDENTIFIED.items():
            assert summary.identification(market, talks=talks).startswith(says)


# -- the paper ---------------------------------------------------------------------------------------------------------


def pages(data: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", data))


def sizes(data: bytes) -> set[float]:
    """The sizes of letters, in points, on all pages."""
    streams = re.findall(rb"/FlateDecode[^>]*>>\nstream\n(.*?)\nendstream", data, re.DOTALL)
    text = b"\n".join(content for one in streams if b" Tf" in (content := _inflated(one)))
    return {float(size) for size in re.findall(rb"/F\d+ ([\d.]+) Tf", text)}


def _inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_offer_is_one_page_of_ten_points_in_every_language(shop: None, language: str) -> None:
    offers = queries.offers()
    assert len(offers) == 24
    with translation.override(language):
        summaries = [summary.summary(version) for version in offers]
    # In one document, for embedding the fonts takes longer than all else; each begins a page of its own.
    data = bytes(summary_pdf.Paper(summaries, summary_pdf.HEIGHTS[0]).output())
    assert pages(data) == 24
    assert min(sizes(data)) == 10
    assert b"/MediaBox [0 0 595.28 841.89]" in data


def test_the_longest_of_each_language_alone_is_one_page_too(shop: None) -> None:
    for language in LANGUAGES:
        with translation.override(language):
            longest = max(queries.offers(), key=lambda version: len(words(summary.summary(version))))
        data = summary_pdf.pdf(longest, language)
        assert pages(data) == 1
        assert sizes(data) == {10, 11, 12, 13, 17}


def test_all_that_is_said_can_be_read_on_the_paper(shop: None) -> None:
    for slug, language in ((WEEK, "zh-hans"), (JAPAN, "ja"), (TALK, "fr")):
        said, printed = told(slug, language), read(summary_pdf.pdf(plan(slug), language))
        on_paper = re.sub(r"\s", "", printed.text)
        heads = [said.title, said.plan, said.version, *said.seller, *said.introduction]
        for text in [*heads, *(one for part in said.sections for one in (part.heading, *part.says))]:
            assert re.sub(r"\s", "", text) in on_paper
        assert printed.empty_boxes == 0
        assert "〓" not in printed.text


def test_no_line_begins_with_a_mark_that_closes(shop: None) -> None:
    for slug, language in ((WEEK, "zh-hans"), (TALK, "ja")):
        lines = read(summary_pdf.pdf(plan(slug), language)).text.split("\n")
        assert [line for line in lines if line[:1] in set("。、，；：）」』ー")] == []


def test_the_paper_tells_its_title_and_its_language_and_is_the_same_each_time(shop: None) -> None:
    version = plan(WEEK)
    data = summary_pdf.pdf(version, "zh-hans")
    assert b"/Lang (zh-Hans)" in data
    assert b"/DisplayDocTitle true" in data
    assert b"/Title (Contract summary be-week-3gb-day v1)" in summary_pdf.pdf(version, "en")
    summary_pdf._pdf.cache_clear()
    assert summary_pdf.pdf(version, "zh-hans") == data
    assert summary_pdf.pdf(version, "fr") != data


def test_what_does_not_fit_stands_closer_before_it_takes_a_second_page(shop: None, settings: Any) -> None:
    settings.SELLER_ACCESSIBILITY = "Help by text and by video. " * 10
    assert pages(summary_pdf.pdf(plan(TALK), "nl")) == 1
    settings.SELLER_ACCESSIBILITY = "Help by text and by video. " * 100
    data = summary_pdf.pdf(plan(TALK), "nl")
    assert pages(data) == 2
    assert min(sizes(data)) >= 10
