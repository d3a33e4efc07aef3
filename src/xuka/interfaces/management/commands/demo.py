"""Everything on this machine: the shop, its worker, and the outside world in a box."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from xuka.interfaces import clock
from xuka.interfaces.cli import demo_people
from xuka.payments import keys
from xuka.project import postgres

DATA = settings.ROOT / "data"
STARTS_WITHIN_SECONDS = 60
# The show is quicker than life: whoever is asked has six seconds to answer.
DEADLINE_SECONDS = "6"
# A test key: no money moves with it, at the stand-in or anywhere else.
PAYMENTS_KEY, PAYMENTS_SECRET = "sk_test_sandbox", "whsec_sandbox"
IN_JAPAN_KEY, IN_JAPAN_SECRET = "sk_test_sandbox_japan", "whsec_sandbox_japan"
# The other providers, with the keys that their stand-ins know: nothing real opens with them.
WALLETS: dict[str, dict[str, object]] = {
    "paypay": {
        "api_key": "a_Sandbox0Key",
        "api_secret": "sandboxSecretOfPayPay0123456789=",
        "merchant_id": "580000000000000001",
    },
    "line_pay": {"channel_id": "1656789012", "channel_secret": "0f6e3c1b5d9a4e7788aa11bb22cc33dd"},
}
IN_JAPAN = "stripe_japan"
# What the phones sign their usage records with; it opens nothing but this demo.
USAGE_SOURCE, USAGE_SECRET = "demo", "phones-of-the-demo"
USAGE_SOURCES = settings.VAR / "usage-sources.toml"


class Command(BaseCommand):
    help = "Bring up the whole show and print one link. Ctrl-C ends it; calling it again finds everything as it was."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="Of the shop; the next free one is taken.")

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        began = time.monotonic()
        if "_live_" in settings.STRIPE_KEY:
            raise CommandError("A live key is set (XUKA_STRIPE_KEY): with it the demo does not start.")
        self._say("Preparing the database …")
        call_command("setup")
        self._say("Loading markets, networks and plans …")
        call_command("catalogue", "load", str(DATA), stdout=open(os.devnull, "w"))  # noqa: SIM115
        ports = _free_ports(options["port"])
        settings.VAR.mkdir(parents=True, exist_ok=True)
        USAGE_SOURCES.write_text(f'[{USAGE_SOURCE}]\nsecret = "{USAGE_SECRET}"\n')
        _tell_everybody(ports)
        with _Troupe() as troupe:
            self._say("Starting the stand-in carrier, the payment pages, the inbox and the phones …")
            _start_the_world(troupe, ports)
            _keep_keys(ports)
            self._say("Giving 王小雨, 佐藤 and Emma their cards …")
            demo_people.settle_in(
                carrier_url=f"http://127.0.0.1:{ports['carrier']}", phones_url=f"http://127.0.0.1:{ports['phones']}"
            )
            self._say("Starting the shop and its worker …")
            troupe.start("worker", sys.executable, "-m", "xuka.interfaces.cli.main", "work")
            troupe.start("web", sys.executable, "-m", "xuka.interfaces.cli.main", "serve", "--port", str(ports["web"]))
            link = f"http://127.0.0.1:{ports['web']}/demo"
            _wait_for(link, troupe)
            self._say(f"Ready after {time.monotonic() - began:.1f} s. No money moves here.\n\n  {link}\n")
            self._say("Ctrl-C ends it.")
            with suppress(KeyboardInterrupt):
                troupe.keep_playing(self._say)
        self._say("Good-bye.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _free_ports(first: int) -> dict[str, int]:
    """A port for each face, the usual one where it is free."""
    wanted = {"web": first, "carrier": 8101, "inbox": 8102, "payments": 8103, "sms": 8104, "phones": 8106, "smtp": 8125}
    wanted |= {name: 8107 + place for place, name in enumerate([*WALLETS, IN_JAPAN])}
    taken: set[int] = set()
    for name, port in wanted.items():
        while port in taken or not _is_free(port):
            port += 1
            if port > 65000:
                raise CommandError("No free port is left on this machine.")
        taken.add(port)
        wanted[name] = port
    return wanted


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _tell_everybody(ports: dict[str, int]) -> None:
    """The settings of the processes that are started next."""
    os.environ |= {
        "XUKA_DEMO": "1",
        "XUKA_SITE_URL": f"http://127.0.0.1:{ports['web']}",
        "XUKA_AIRALO_URL": f"http://127.0.0.1:{ports['carrier']}",
        "XUKA_AIRALO_CLIENT_ID": "sandbox",
        "XUKA_AIRALO_CLIENT_SECRET": "sandbox-secret",
        "XUKA_AIRALO_DEADLINE_SECONDS": DEADLINE_SECONDS,
        "XUKA_STRIPE_URL": f"http://127.0.0.1:{ports['payments']}",
        "XUKA_STRIPE_KEY": PAYMENTS_KEY,
        "XUKA_STRIPE_WEBHOOK_SECRET": PAYMENTS_SECRET,
        "XUKA_STRIPE_DEADLINE_SECONDS": DEADLINE_SECONDS,
        "XUKA_STRIPE_METHODS": "card alipay wechat_pay paypal bancontact",
        "XUKA_STRIPE_KEEPS": "card paypal",
        "XUKA_SMTP_HOST": "127.0.0.1",
        "XUKA_SMTP_PORT": str(ports["smtp"]),
        "XUKA_SMS": "http",
        "XUKA_SMS_HTTP_URL": f"http://127.0.0.1:{ports['sms']}",
        "XUKA_SMS_HTTP_SID": "sandbox",
        "XUKA_SMS_HTTP_TOKEN": "sandbox-token",
        "XUKA_DEMO_CARRIER_URL": f"http://127.0.0.1:{ports['carrier']}",
        "XUKA_DEMO_PAYMENTS_URL": f"http://127.0.0.1:{ports['payments']}",
        "XUKA_DEMO_INBOX_URL": f"http://127.0.0.1:{ports['inbox']}",
        "XUKA_DEMO_PHONES_URL": f"http://127.0.0.1:{ports['phones']}",
        "XUKA_USAGE_SOURCES": str(USAGE_SOURCES),
    }


def _start_the_world(troupe: _Troupe, ports: dict[str, int]) -> None:
    offset = ["--clock-offset-file", str(settings.VAR / "clock-offset")]
    state = ["--state", str(settings.VAR / "carrier.json"), "--no-limits"]
    troupe.start("carrier", sys.executable, "-m", "sandbox.carrier", "--port", str(ports["carrier"]), *state, *offset)
    told = ["--webhook-url", f"http://127.0.0.1:{ports['web']}/webhooks/stripe/", "--webhook-secret", PAYMENTS_SECRET]
    kept = ["--key", PAYMENTS_KEY, "--state", str(settings.VAR / "payments.json"), *told, *offset]
    troupe.start("payments", sys.executable, "-m", "sandbox.payments", "--port", str(ports["payments"]), *kept)
    told = ["--webhook-url", f"http://127.0.0.1:{ports['web']}/webhooks/{IN_JAPAN}/"]
    kept = ["--key", IN_JAPAN_KEY, "--webhook-secret", IN_JAPAN_SECRET, "--state", str(settings.VAR / "japan.json")]
    troupe.start(
        IN_JAPAN, sys.executable, "-m", "sandbox.payments", "--port", str(ports[IN_JAPAN]), *kept, *told, *offset
    )
    for name in WALLETS:
        troupe.start(name, sys.executable, "-m", "sandbox.wallets", name, "--port", str(ports[name]), *offset)
    mail = ["--smtp-port", str(ports["smtp"]), "--http-port", str(ports["inbox"])]
    troupe.start("inbox", sys.executable, "-m", "sandbox.mail", *mail, *offset)
    phone = ["--inbox", f"http://127.0.0.1:{ports['inbox']}"]
    troupe.start("sms", sys.executable, "-m", "sandbox.sms", "--port", str(ports["sms"]), *phone)
    told = ["--to", f"http://127.0.0.1:{ports['web']}", "--source", USAGE_SOURCE, "--secret", USAGE_SECRET]
    kept = ["--state", str(settings.VAR / "phones.json"), "--carrier", f"http://127.0.0.1:{ports['carrier']}"]
    troupe.start(
        "phones", sys.executable, "-m", "sandbox.phones", "--port", str(ports["phones"]), *told, *kept, *offset
    )
    _wait_for(f"http://127.0.0.1:{ports['carrier']}/control/health", troupe)
    _wait_for(f"http://127.0.0.1:{ports['payments']}/control/health", troupe)
    _wait_for(f"http://127.0.0.1:{ports[IN_JAPAN]}/control/health", troupe)
    for name in WALLETS:
        _wait_for(f"http://127.0.0.1:{ports[name]}/control/faults", troupe)
    _wait_for(f"http://127.0.0.1:{ports['inbox']}/messages.json", troupe)
    _wait_for(f"http://127.0.0.1:{ports['sms']}/control/health", troupe)
    _wait_for(f"http://127.0.0.1:{ports['phones']}/control/health", troupe)


def _keep_keys(ports: dict[str, int]) -> None:
    """The shop's accounts at the providers besides Stripe in Belgium; their addresses may be others each time."""
    deadline = float(DEADLINE_SECONDS)
    for name, options in WALLETS.items():
        told = options | {"base_url": f"http://127.0.0.1:{ports[name]}", "call_deadline": deadline}
        keys.keep(name=name, connector=name, options=told, who="demo", now=clock.now())
    told = {
        "base_url": f"http://127.0.0.1:{ports[IN_JAPAN]}",
        "key": IN_JAPAN_KEY,
        "webhook_secret": IN_JAPAN_SECRET,
        "country": "JP",
        "methods": ["konbini"],
        "markets": ["JP"],
        "call_deadline": deadline,
    }
    keys.keep(name=IN_JAPAN, connector="stripe", options=told, who="demo", now=clock.now())


def _wait_for(url: str, troupe: _Troupe) -> None:
    until = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < until:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own loopback
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise CommandError(f"{url} did not answer within {STARTS_WITHIN_SECONDS} s. Its log is in {troupe.logs}.")


class _Troupe:
    """The demo's processes: started together, started again when they die, ended together."""

    def __init__(self) -> None:
        self.logs = settings.VAR / "logs"
        self._commands: dict[str, tuple[str, ...]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> _Troupe:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running.values()):
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()

    def start(self, name: str, *command: str) -> None:
        """Start a process under this name; its output goes to a log of the same name."""
        self._commands[name] = command
        with _log(self.logs / f"{name}.log") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603
                command,
                stdout=log,
                stderr=log,
                preexec_fn=postgres.dies_with(os.getpid(), signal.SIGTERM),
            )

    def keep_playing(self, say: Any) -> None:
        """Start again whoever dies, until this process is stopped."""
        while True:
            time.sleep(0.3)
            for name, process in list(self._running.items()):
                if process.poll() is not None:
                    say(f"The {name} died (status {process.returncode}); starting another.")
                    self.start(name, *self._commands[name])


@contextmanager
def _log(path: Path) -> Iterator[Any]:
    with path.open("ab") as log:
        yield log
