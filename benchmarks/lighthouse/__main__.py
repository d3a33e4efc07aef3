"""``make lighthouse``: Lighthouse's four grades of the five main pages, on its own simulated phone, without a network.

Needs node 18 or newer, npm and Chromium; what npm installs goes into ``var/``. Read it with docs/reference/figures.md.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks import house

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
TARGET = 95
RUNS = 3


def main() -> None:
    """Grade each page three times and print the medians; misses are told and do not fail."""
    chromium = shutil.which("chromium")
    if not (shutil.which("npm") and chromium):
        sys.exit("Lighthouse needs node, npm and Chromium.")
    program = _installed()
    with house.built():
        from benchmarks import web
        from benchmarks.shop import Shop
        from xuka.interfaces import clock
        from xuka.renewals import operations as renewals

        shop = Shop()
        card = shop.card()
        quote = renewals.quote(line_id=card.line, plan_version_id=shop.plan.id, customer=card.customer, now=clock.now())
        session = web.session_of(card.customer)
        pages = {
            "front page": ("/", ""),
            "plans": ("/plans/", ""),
            "compare": ("/plans/compare/?plan=be-week-3gb-day&plan=be-month-60gb&plan=jp-month-50gb", ""),
            "card": ("/", session),
            "check and pay": (f"/quotes/{quote.id}/", session),
        }
        print(f"{'page':<16}" + "".join(f"{name:>16}" for name in CATEGORIES))
        with web.serving(workers=1) as (port, _):
            for name, (path, signed_in) in pages.items():
                grades = [_grades(program, chromium, f"http://127.0.0.1:{port}{path}", signed_in) for _ in range(RUNS)]
                medians = [round(statistics.median(run[category] for run in grades)) for category in CATEGORIES]
                verdict = "met" if min(medians) >= TARGET else f"under {TARGET}"
                print(f"{name:<16}" + "".join(f"{grade:>16}" for grade in medians) + f"   {verdict}")


def _installed() -> Path:
    """Lighthouse, as the lock file beside this module has it."""
    folder = ROOT / "var" / "lighthouse"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, folder / name)
    program = folder / "node_modules" / "lighthouse" / "cli" / "index.js"
    if not program.exists():
        subprocess.run(["npm", "install", "--no-save", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
    return program


def _grades(program: Path, chromium: str, url: str, session: str) -> dict[str, float]:
    """The grades of one run, 0 to 100, by category."""
    flags = "--headless=new --no-sandbox --disable-gpu --disable-background-networking --disable-component-update"
    told = ["--output=json", "--quiet", f"--only-categories={','.join(CATEGORIES)}", f"--chrome-flags={flags}"]
    cookie = json.dumps({"Cookie": f"sessionid={session}"}) if session else "{}"
    command = ["node", str(program), url, *told, "--extra-headers", cookie]
    environment = os.environ | {"CHROME_PATH": chromium}
    for tries_left in (2, 1, 0):  # Chromium now and then records no trace; a page is graded by the runs that did
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
        if not ran.returncode:
            break
        if not tries_left:
            sys.exit(ran.stderr[-2000:])
    report = json.loads(ran.stdout)
    if folder := os.environ.get("XUKA_REPORTS"):
        name = report["finalDisplayedUrl"].split("/", 3)[3].replace("/", "_")[:40] + ("own" if session else "")
        (Path(folder) / f"{name}.json").write_text(ran.stdout)
    return {name: (report["categories"][name]["score"] or 0) * 100 for name in CATEGORIES}


if __name__ == "__main__":
    main()
