"""The show in ten steps, as a visitor walks it: the real ``xuka demo``, in Chinese, on a phone, to the last row."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.town import CHROMIUM, PHONE, Watched

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not installed"),
]

# A folder for pictures of every step; README's strip is made of them.
PICTURES = os.environ.get("XUKA_PICTURES", "")


@pytest.fixture
def show(tmp_path: Path) -> Iterator[str]:
    """The address of a demo that runs in a folder of its own."""
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o755)  # the database's own account walks through
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "XUKA_TESTING"}}
    demo = subprocess.Popen(
        [sys.executable, "-m", "xuka.interfaces.cli.main", "demo", "--port", str(port)],
        env=environment | {"XUKA_VAR": str(tmp_path / "var"), "DJANGO_SETTINGS_MODULE": "xuka.project.settings"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert demo.stdout
    said = ""
    for line in demo.stdout:
        said += line
        if found := re.search(r"http://127\.0\.0\.1:\d+(?=/demo)", line):
            yield found[0]
            break
    else:
        raise AssertionError(f"the demo gave no link: {said}")
    demo.send_signal(signal.SIGTERM)
    demo.wait(20)


def picture(page: Page, step: int) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"step-{step:02}.png")


def switch(page: Page, name: str) -> None:
    """Press something in the demo's bar."""
    bar = page.locator(".demo details").first
    if not bar.get_attribute("open"):
        bar.locator("summary").click()
    page.locator(".demo").get_by_role("button", name=name).click()


def to_the_check_page(page: Page, show: str) -> None:
    page.goto(show)
    page.get_by_role("link", name="续费", exact=True).click()
    page.locator(".choices form button").first.click()
    page.wait_for_url("**/quotes/*/")


def wish(page: Page) -> None:
    """Tick that the service shall begin at once, where the law asks for that."""
    for box in page.locator("[name=begin_at_once]").all():
        box.check()


def test_the_ten_steps(show: str, chromium: Browser) -> None:
    context = chromium.new_context(locale="zh-CN", viewport=PHONE, reduced_motion="reduce")
    page = context.new_page()
    watched = Watched(page, "http://127.0.0.1:")

    # 1. One link; the page opens in the visitor's language.
    page.goto(show)
    expect(page.get_by_role("heading", level=1)).to_have_text("卡快到期？一分钟续上。")
    watched.check()
    picture(page, 1)

    # 2. Belgium, 30 days, with calls: three plans, each with its speed after the cap.
    page.get_by_role("link", name="比较套餐").first.click()
    page.get_by_label("国家").select_option("BE")
    page.get_by_label("时长").select_option("30")
    page.get_by_label("语音或短信").select_option("yes")
    page.get_by_role("button", name="筛选").click()
    offers = page.locator("section[aria-labelledby=ours] .plan-list > li")
    expect(offers).to_have_count(3)
    for each in offers.all():
        expect(each).to_contain_text(re.compile("用满 .* 后降至"))
    watched.check()
    picture(page, 2)

    # 3. Be 王小雨: two days left, as of a time, one button.
    page.goto(f"{show}/demo")
    page.get_by_role("button", name="王小雨").click()
    expect(page.locator(".ring").first).to_contain_text(re.compile(r"[12]\s*天"))
    for _ in range(120):  # the worker asks the carrier as soon as it is up
        if page.get_by_text("数据截至").count():
            break
        page.wait_for_timeout(500)
        page.reload()
    expect(page.get_by_text(re.compile(r"数据截至 ?\d\d:\d\d"))).to_be_visible()
    expect(page.get_by_role("link", name="续费", exact=True)).to_have_count(1)
    watched.check()
    picture(page, 3)

    # 4. "I need it until": one choice is marked, with price per day and saving.
    page.get_by_role("link", name="续费", exact=True).click()
    needed = (datetime.now(UTC) + timedelta(days=25)).date()
    page.get_by_label("我要用到").fill(needed.isoformat())
    page.get_by_label("我要用到").press("Enter")
    expect(page.get_by_text("最划算")).to_have_count(1)
    expect(page.locator(".choice").first).to_contain_text("/天")
    page.get_by_text("最划算").scroll_into_view_if_needed()
    watched.check()
    picture(page, 4)

    # 5. Old to new on a line; what is kept and lost; what to know before renewing.
    page.locator(".choice", has_text="最划算").get_by_role("button").click()
    page.wait_for_url("**/quotes/*/")
    for told in ("保留", "失去", "续费须知"):
        expect(page.get_by_text(told).first).to_be_visible()
    watched.check()
    picture(page, 5)

    # 6. Pay by card at the stand-in's page.
    page.get_by_role("radio", name=re.compile("银行卡")).first.check()
    wish(page)
    page.locator("form#pay button.full").click()
    page.wait_for_url("**/c/pay/*")
    picture(page, 6)
    page.locator("button[value=pay]").click()

    # 7. Paid, activating, renewed until: the ring refills without a reload.
    page.wait_for_url("**/orders/*/")
    expect(page.locator(".steps")).to_contain_text("已续到", timeout=30_000)
    expect(page.locator(".steps")).to_contain_text("布鲁塞尔时间")
    watched.check()
    picture(page, 7)
    order = page.url

    # 8. The mail with the Chinese receipt.
    inbox = page.locator(".demo a.chip", has_text="收件箱").get_attribute("href")
    assert inbox
    page.goto(inbox)
    page.get_by_role("link", name=re.compile("已收到订单")).first.click()
    expect(page.get_by_role("link", name=re.compile(r"\.pdf")).first).to_be_visible(timeout=30_000)
    picture(page, 8)

    # 9. The carrier times out after acting, and the worker is killed: charged once, activated once.
    to_the_check_page(page, show)
    switch(page, "运营商超时（已扣卡）")
    wish(page)
    page.locator("form#pay button.full").click()
    page.wait_for_url("**/orders/*/")
    switch(page, "强制结束")
    expect(page.locator(".steps")).to_contain_text("已续到", timeout=90_000)
    page.goto(page.url.replace("/orders/", "/demo/orders/").rstrip("/"))
    verdict = page.locator(".verdict .sheet")
    expect(verdict.nth(0)).to_contain_text("1 次")
    expect(verdict.nth(1)).to_contain_text("1 次")
    expect(verdict.nth(2)).to_contain_text("0 次")
    watched.check()
    picture(page, 9)
    to_the_check_page(page, show)
    switch(page, "运营商拒绝")
    wish(page)
    page.locator("form#pay button.full").click()
    page.wait_for_url("**/orders/*/")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("退款|退回"), timeout=60_000)

    # 10. Staff: the first order as a timeline, and books that sum to nothing.
    page.goto(f"{show}/demo")
    page.get_by_role("button", name="Staff").click()
    page.goto(f"{show}/staff/renewals/order/{order.rstrip('/').rsplit('/', 1)[1]}/change/")
    expect(page.get_by_text("order.active").or_(page.get_by_text("Active")).first).to_be_visible()
    picture(page, 10)
    page.goto(order.replace("/orders/", "/demo/orders/").rstrip("/"))
    expect(page.locator(".verdict .sheet").nth(3)).to_contain_text(re.compile(r"0\s*$"))
    assert not watched.wrong
    context.close()
