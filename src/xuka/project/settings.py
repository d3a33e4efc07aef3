"""Everything that differs between installations, read from the environment once."""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from xuka.project import postgres

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = Path(__file__).resolve().parents[1]
VAR = Path(os.environ.get("XUKA_VAR", ROOT / "var"))


def _flag(name: str) -> bool:
    return os.environ.get(name, "") in {"1", "true", "yes"}


# DEMO shows the show: one-click sign-in, fault switches, a clock to push. Never on where money moves.
DEMO = _flag("XUKA_DEMO")
DEMO_CARRIER_URL = os.environ.get("XUKA_DEMO_CARRIER_URL", "http://127.0.0.1:8101")
DEMO_PAYMENTS_URL = os.environ.get("XUKA_DEMO_PAYMENTS_URL", "http://127.0.0.1:8103")
DEMO_PHONES_URL = os.environ.get("XUKA_DEMO_PHONES_URL", "http://127.0.0.1:8106")
DEMO_INBOX_URL = os.environ.get("XUKA_DEMO_INBOX_URL", "")
DEBUG = False
TESTING = _flag("XUKA_TESTING")


def _secret_key() -> str:
    """The signing key of this installation: from the environment, else made once and kept in ``var/``."""
    if key := os.environ.get("XUKA_SECRET_KEY"):
        return key
    path = VAR / "secret-key"
    if not path.exists():
        VAR.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text()


SECRET_KEY = _secret_key()
# Keys that were replaced: what they signed and hashed, unused vouchers above all, stays good while they stand here.
SECRET_KEY_FALLBACKS = os.environ.get("XUKA_OLD_SECRET_KEYS", "").split()
ALLOWED_HOSTS = os.environ.get("XUKA_HOSTS", "localhost 127.0.0.1 [::1] testserver").split()
CSRF_TRUSTED_ORIGINS = os.environ.get("XUKA_ORIGINS", "").split()
SITE_URL = os.environ.get("XUKA_SITE_URL", "http://127.0.0.1:8000")

# The seller whose shop this is.
SELLER_NAME = os.environ.get("XUKA_SELLER_NAME", "Xuka Demo")
# At the top of every page; a shop without a name of its own shows ours.
SHOP_NAME = os.environ.get("XUKA_SELLER_NAME", "Xuka 续卡")
SELLER_LOGO = os.environ.get("XUKA_SELLER_LOGO", "")
SELLER_COLOUR = os.environ.get("XUKA_SELLER_COLOUR", "")
SELLER_MAIL = os.environ.get("XUKA_SELLER_MAIL", "seller@xuka.example")
# What contract summaries tell end-users with disabilities.
SELLER_ACCESSIBILITY = os.environ.get("XUKA_SELLER_ACCESSIBILITY", "").strip()
# What receipts say of the seller. The demo's numbers are well-formed and nobody's; a real shop sets its own, or none.
_SHOWN = DEMO or TESTING
SELLER_ADDRESS = os.environ.get("XUKA_SELLER_ADDRESS", "Demo street 1 | 1000 Brussels | Belgium" if _SHOWN else "")
SELLER_VAT_NUMBER = os.environ.get("XUKA_SELLER_VAT_NUMBER", "BE0000000097" if _SHOWN else "")
SELLER_JP_NUMBER = os.environ.get("XUKA_SELLER_JP_NUMBER", "T9000000000000" if _SHOWN else "")

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "django_htmx",
    "procrastinate.contrib.django",
    "xuka.journal.apps.Config",
    "xuka.ledger.apps.Config",
    "xuka.accounts.apps.Config",
    "xuka.catalogue.apps.Config",
    "xuka.lines.apps.Config",
    "xuka.metering.apps.Config",
    "xuka.activation.apps.Config",
    "xuka.messaging.apps.Config",
    "xuka.payments.apps.Config",
    "xuka.receipts.apps.Config",
    "xuka.renewals.apps.Config",
    "xuka.support.apps.Config",
    "xuka.reminders.apps.Config",
    "xuka.interfaces.apps.Config",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "xuka.interfaces.web.middleware.Edge",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
]

ROOT_URLCONF = "xuka.project.urls"
WSGI_APPLICATION = "xuka.project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [PACKAGE / "interfaces" / name / "templates" for name in ("web", "backoffice")],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# PostgreSQL only. Without DATABASE_URL the embedded server of this folder is used (see project/postgres.py).
POSTGRES_DATA = VAR / "postgres"


def _database() -> dict[str, object]:
    parts = conninfo_to_dict(os.environ.get("DATABASE_URL") or postgres.url(POSTGRES_DATA))
    known = {"dbname", "user", "password", "host", "port"}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.get("dbname", "xuka"),
        "USER": parts.get("user", ""),
        "PASSWORD": parts.get("password", ""),
        "HOST": parts.get("host", ""),
        "PORT": parts.get("port", ""),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {key: value for key, value in parts.items() if key not in known},
    }


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# One cache for every process, or rate limits could be dodged by luck.
# Room enough that nobody pushes a limit out by filling it.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache",
        "OPTIONS": {"MAX_ENTRIES": 1_000_000},
    }
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
if TESTING:  # a password worth keeping takes a quarter of a second to hash, for each of a thousand small shops
    PASSWORD_HASHERS = [f"django.contrib.auth.hashers.{name}PasswordHasher" for name in ("MD5", "PBKDF2")]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
# E-mail is unique whatever its capitals: a functional constraint, which this check does not see.
SILENCED_SYSTEM_CHECKS = ["auth.W004"]
LOGIN_URL = "account_request_login_code"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "xuka.interfaces.web.adapter.AccountAdapter"
# Text messages, where a gateway is named: over SMPP or over HTTP. Without one nothing about phones is offered.
SMS = os.environ.get("XUKA_SMS", "")
ACCOUNT_LOGIN_METHODS = {"email", "phone"} if SMS else {"email"}
ACCOUNT_FORMS = {
    "login": "xuka.interfaces.web.phones.PasswordForm",
    "request_login_code": "xuka.interfaces.web.phones.CodeForm",
}
ACCOUNT_PHONE_VERIFICATION_TIMEOUT = 600
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
ACCOUNT_LOGIN_BY_CODE_SUPPORTS_RESEND = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
# A code travels by mail: ten minutes, three tries, eight digits.
ACCOUNT_LOGIN_BY_CODE_TIMEOUT = ACCOUNT_PASSWORD_RESET_BY_CODE_TIMEOUT = 600
ALLAUTH_USER_CODE_FORMAT = {"numeric": True, "length": 8, "dashed": True}
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = True
ALLAUTH_TRUSTED_PROXY_COUNT = int(_flag("XUKA_BEHIND_PROXY"))
# Passkeys are another way to sign in; the device itself makes sure who holds it.
MFA_ADAPTER = "xuka.interfaces.web.passkeys.PasskeyAdapter"
MFA_SUPPORTED_TYPES = ["webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_USER_VERIFICATION = "required"
MFA_FORMS = {
    "add_webauthn": "xuka.interfaces.web.passkeys.AddForm",
    "edit_webauthn": "xuka.interfaces.web.passkeys.NameForm",
}
CSRF_FAILURE_VIEW = "xuka.interfaces.web.errors.csrf"
USERSESSIONS_TRACK_ACTIVITY = False

LANGUAGE_CODE = "en"
LANGUAGES = [
    ("zh-hans", "简体中文"),
    ("zh-hant", "繁體中文"),
    ("ja", "日本語"),
    ("en", "English"),
    ("fr", "Français"),
    ("nl", "Nederlands"),
]
LOCALE_PATHS = [PACKAGE / "locale"]
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STATICFILES_DIRS = [PACKAGE / "interfaces" / name / "static" for name in ("web", "backoffice")]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True

# No form here is larger than a few kilobytes.
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 100
FILE_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
# Where staff bring files, and how large a request may be there: a statement and the form around it.
FILE_PAGES = ("/staff/payments/settlementreport/statement/",)
FILE_UPLOAD_MAX_BYTES = 9 * 1024 * 1024

SECURE = SITE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SESSION_COOKIE_HTTPONLY = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _flag("XUKA_BEHIND_PROXY") else None
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "EXCLUDE_URL_PREFIXES": ["/staff/"],
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "manifest-src": ["'self'"],
        "worker-src": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    },
}

# The back office's looks; its pages are in interfaces/backoffice.
UNFOLD = {
    "SITE_TITLE": SELLER_NAME,
    "SITE_HEADER": SELLER_NAME,
    "SITE_SUBHEADER": "Back office",
    "SITE_SYMBOL": "sim_card",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": f"{STATIC_URL}xuka/icon.svg"}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": ["xuka.interfaces.backoffice.desk.style"],
    "SIDEBAR": {"navigation": "xuka.interfaces.backoffice.desk.navigation"},
    "COLORS": {
        "primary": {
            "50": "#f0faf8",
            "100": "#dff0ec",
            "200": "#b5dfd7",
            "300": "#7fc7bb",
            "400": "#46a899",
            "500": "#1f8a7c",
            "600": "#0b665c",
            "700": "#0a574f",
            "800": "#084f47",
            "900": "#073c36",
            "950": "#042622",
        },
    },
}

# What follows from what, by name: read by journal.record.
REACTIONS = "xuka.interfaces.jobs.reactions.REACTIONS"
# What makes a letter's HTML from its text when it is sent, by how its kind begins ("reminder_…").
DRESS = {"reminder": "xuka.interfaces.jobs.reminder_words.dressed"}

# Connectors by dotted path; each is called once per process with its settings.
CARRIERS: dict[str, dict[str, object]] = {
    "airalo": {
        "connector": "xuka.connectors.carriers.airalo.connector.Airalo",
        "base_url": os.environ.get("XUKA_AIRALO_URL", "https://partners-api.airalo.com"),
        "client_id": os.environ.get("XUKA_AIRALO_CLIENT_ID", ""),
        "client_secret": os.environ.get("XUKA_AIRALO_CLIENT_SECRET", ""),
        "call_deadline": timedelta(seconds=float(os.environ.get("XUKA_AIRALO_DEADLINE_SECONDS", "20"))),
    },
}
# A network of one's own: docs/reference/own-network.md.
if OWN_NETWORK_URL := os.environ.get("XUKA_OWN_NETWORK_URL", ""):
    if not os.environ.get("XUKA_OWN_NETWORK_SECRET"):
        raise ImproperlyConfigured("XUKA_OWN_NETWORK_URL needs XUKA_OWN_NETWORK_SECRET: requests are signed with it.")
    CARRIERS["own_network"] = {
        "connector": "xuka.connectors.carriers.own_network.connector.OwnNetwork",
        "base_url": OWN_NETWORK_URL,
        "secret": os.environ["XUKA_OWN_NETWORK_SECRET"],
        "call_deadline": timedelta(seconds=float(os.environ.get("XUKA_OWN_NETWORK_DEADLINE_SECONDS", "10"))),
    }
# Cards are offered once a key is set.
STRIPE_KEY = os.environ.get("XUKA_STRIPE_KEY", "")
PROVIDER_CONNECTORS = {
    "stripe": "xuka.connectors.payments.stripe.connector.Stripe",
    "alipay": "xuka.connectors.payments.alipay.connector.Alipay",
    "line_pay": "xuka.connectors.payments.line_pay.connector.LinePay",
    "paypal": "xuka.connectors.payments.paypal.connector.PayPal",
    "paypay": "xuka.connectors.payments.paypay.connector.PayPay",
    "wechat_pay": "xuka.connectors.payments.wechat_pay.connector.WechatPay",
}
# From the environment; those whose keys are kept in the database come besides (``payments.keys``).
PROVIDERS: dict[str, dict[str, object]] = {}
if STRIPE_KEY:
    PROVIDERS["stripe"] = {
        "connector": "xuka.connectors.payments.stripe.connector.Stripe",
        "base_url": os.environ.get("XUKA_STRIPE_URL", "https://api.stripe.com"),
        "key": STRIPE_KEY,
        "webhook_secret": os.environ.get("XUKA_STRIPE_WEBHOOK_SECRET", ""),
        "country": os.environ.get("XUKA_STRIPE_COUNTRY", "BE"),
        "methods": os.environ.get("XUKA_STRIPE_METHODS", "card").split(),
        "keeps": os.environ.get("XUKA_STRIPE_KEEPS", "card").split(),
        "markets": os.environ.get("XUKA_STRIPE_MARKETS", "BE JP TW").split(),
        "call_deadline": timedelta(seconds=float(os.environ.get("XUKA_STRIPE_DEADLINE_SECONDS", "15"))),
    }
CHANNELS: dict[str, dict[str, object]] = {
    "email": {
        "connector": "xuka.connectors.channels.smtp.connector.Smtp",
        "host": os.environ.get("XUKA_SMTP_HOST", "127.0.0.1"),
        "port": int(os.environ.get("XUKA_SMTP_PORT", "25")),
        "user": os.environ.get("XUKA_SMTP_USER", ""),
        "password": os.environ.get("XUKA_SMTP_PASSWORD", ""),
        "tls": os.environ.get("XUKA_SMTP_TLS", "none"),
        "sender": os.environ.get("XUKA_MAIL_FROM", f"{SELLER_NAME} <{SELLER_MAIL}>"),
    },
}
match SMS:
    case "":
        pass
    case "smpp":
        CHANNELS["sms"] = {
            "connector": "xuka.connectors.channels.smpp.connector.Smpp",
            "host": os.environ.get("XUKA_SMPP_HOST", "127.0.0.1"),
            "port": int(os.environ.get("XUKA_SMPP_PORT", "2775")),
            "user": os.environ.get("XUKA_SMPP_USER", ""),
            "password": os.environ.get("XUKA_SMPP_PASSWORD", ""),
            "tls": _flag("XUKA_SMPP_TLS"),
            "sender": os.environ.get("XUKA_SMS_FROM", "Xuka"),
        }
    case "http":
        CHANNELS["sms"] = {
            "connector": "xuka.connectors.channels.sms_http.connector.SmsHttp",
            "base_url": os.environ.get("XUKA_SMS_HTTP_URL", "https://api.twilio.com"),
            "sid": os.environ.get("XUKA_SMS_HTTP_SID", ""),
            "token": os.environ.get("XUKA_SMS_HTTP_TOKEN", ""),
            "sender": os.environ.get("XUKA_SMS_FROM", "Xuka"),
        }
    case _:
        raise ImproperlyConfigured(f"XUKA_SMS is smpp, http or empty, not {SMS!r}.")

# Loyalty points: how many for 100 minor units paid, how many are worth one minor unit, and after how many days that
# nobody touches them they lapse; 0: never.
POINTS_EARNED = int(os.environ.get("XUKA_POINTS_EARNED", "1"))
POINTS_PER_MINOR = int(os.environ.get("XUKA_POINTS_PER_MINOR", "1"))
POINTS_LIVE_DAYS = int(os.environ.get("XUKA_POINTS_LIVE_DAYS", "0"))

# Currencies besides a plan's own that prices are converted to, with the European Central Bank's rate and this margin
# (200 is 2 %); a rate that is older than so many days is not used.
CONVERSION_CURRENCIES = os.environ.get("XUKA_CONVERSION_CURRENCIES", "").split()
CONVERSION_MARGIN = int(os.environ.get("XUKA_CONVERSION_MARGIN", "0"))
RATES_LIVE_DAYS = int(os.environ.get("XUKA_RATES_LIVE_DAYS", "7"))

USAGE_SOURCES = os.environ.get("XUKA_USAGE_SOURCES", "")
# For how many days a usage record is kept once its day is over; less than 47 is taken as 47. Why 183: settings.md.
USAGE_RECORDS_DAYS = int(os.environ.get("XUKA_USAGE_RECORDS_DAYS", "183"))

# Each of these is offered to customers once it is configured.
if os.environ.get("XUKA_VAPID_PRIVATE_KEY"):
    CHANNELS["webpush"] = {
        "connector": "xuka.connectors.channels.webpush.connector.WebPush",
        "private_key": os.environ["XUKA_VAPID_PRIVATE_KEY"],
        "contact": os.environ.get("XUKA_VAPID_CONTACT", SELLER_MAIL),
        "ttl": timedelta(hours=float(os.environ.get("XUKA_WEBPUSH_TTL_HOURS", "24"))),
        "allow_local": DEMO and _flag("XUKA_WEBPUSH_ALLOW_LOCAL"),
    }
if os.environ.get("XUKA_TELEGRAM_TOKEN"):
    CHANNELS["telegram"] = {
        "connector": "xuka.connectors.channels.telegram.connector.Telegram",
        "base_url": os.environ.get("XUKA_TELEGRAM_URL", "https://api.telegram.org"),
        "token": os.environ["XUKA_TELEGRAM_TOKEN"],
    }
if os.environ.get("XUKA_LINE_TOKEN"):
    CHANNELS["line"] = {
        "connector": "xuka.connectors.channels.line.connector.Line",
        "base_url": os.environ.get("XUKA_LINE_URL", "https://api.line.me"),
        "token": os.environ["XUKA_LINE_TOKEN"],
    }
if os.environ.get("XUKA_WECHAT_APP_ID"):
    _fields = os.environ.get("XUKA_WECHAT_FIELDS", "first=subject,keyword1=text")
    CHANNELS["wechat"] = {
        "connector": "xuka.connectors.channels.wechat.connector.WeChat",
        "base_url": os.environ.get("XUKA_WECHAT_URL", "https://api.weixin.qq.com"),
        "app_id": os.environ["XUKA_WECHAT_APP_ID"],
        "secret": os.environ.get("XUKA_WECHAT_SECRET", ""),
        "template": os.environ.get("XUKA_WECHAT_TEMPLATE", ""),
        "fields": dict(one.split("=", 1) for one in _fields.split(",")),
    }

# Texts to the card itself, by the network that runs it.
if OWN_NETWORK_URL:
    CHANNELS["card"] = {"connector": "xuka.interfaces.jobs.reminding.CardTexts"}
# How a customer finds the shop in a chat, and what the chat's own messages to us are signed with.
CHATS = {
    name: {
        "account": os.environ.get(f"XUKA_{name.upper()}_ACCOUNT", ""),
        "secret": os.environ.get(f"XUKA_{name.upper()}_HOOK_SECRET", ""),
    }
    for name in ("telegram", "line", "wechat")
    if name in CHANNELS
}

PROCRASTINATE_IMPORT_PATHS = ["xuka.interfaces.jobs.tasks"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": os.environ.get("XUKA_LOG", "WARNING")},
    "loggers": {"httpx": {"level": "WARNING"}, "procrastinate": {"level": "WARNING"}},
}
