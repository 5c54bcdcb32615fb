"""Settings from the environment. docs/settings.md lists them; a bad value is refused by name."""

import re
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import django_stubs_ext
from environs import Env, ValidationError, validate

from platform_site.home import instance_name, open_home, secret_key

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env()
REDIS = validate.Regexp(r"((rediss?|unix)://.+)?$", error="Not a Redis URL (redis://host:port/0).")


def known_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError) as error:
        raise ValidationError("Not a time zone, such as Europe/Berlin.") from error


def may_be_home(path: Path) -> None:
    try:
        open_home(path)
    except OSError as error:
        raise ValidationError(f"Not a folder that can be used: {error}.") from error


def with_scheme(origins: list[str]) -> None:
    for origin in origins:
        if not re.fullmatch(r"https?://[^/]+", origin):
            raise ValidationError(f"{origin} is not an origin, such as https://host.example.")


def are_names(words: list[str]) -> None:
    for word in words:
        if not re.fullmatch(r"\s*[A-Za-z_]\w*\*?\s*", word):
            raise ValidationError(
                f"{word} is no name of a variable, nor a beginning such as AWS_*."
            )


def is_token(text: str) -> None:
    if text and not re.fullmatch(r"[A-Za-z0-9._~+/-]{16,}=*", text):
        raise ValidationError("A token has 16 or more of A-Z, a-z, 0-9 and ._~+/-")


TRAINYARD_HOME = env.path("TRAINYARD_HOME", BASE_DIR / "var", validate=may_be_home)
TRAINYARD_HOME = open_home(TRAINYARD_HOME)
TRAINYARD_TRAIN_PYTHON = env.path(
    "TRAINYARD_TRAIN_PYTHON", BASE_DIR / "environments/verl-0.9/.venv/bin/python"
)
TRAINYARD_VERL_SCHEMA = BASE_DIR / "environments"  # the configuration keys of each verl release
# Models and data sets are read from these folders only.
TRAINYARD_PATHS = [
    Path(path).expanduser().resolve()
    for path in env.list("TRAINYARD_PATHS", [str(TRAINYARD_HOME), str(Path.home())], delimiter=":")
]
TRAINYARD_STOP_GRACE = env.int("TRAINYARD_STOP_GRACE", 20, validate=validate.Range(min=0))
# What runs get of the environment besides; platform_site/bounded/environment.py reads it.
TRAINYARD_RUN_ENV: list[str] = env.list("TRAINYARD_RUN_ENV", [], validate=are_names)
# How many imports, compilations and checks of data go on at once, and bytes of memory for each.
TRAINYARD_DATA_AT_ONCE = env.int("TRAINYARD_DATA_AT_ONCE", 2, validate=validate.Range(min=1))
TRAINYARD_DATA_MEMORY = env.int(
    "TRAINYARD_DATA_MEMORY", 4 * 1024**3, validate=validate.Range(min=256 * 1024**2)
)
TRAINYARD_HTTPS = env.bool("TRAINYARD_HTTPS", False)
# In which the price table is written and costs are told.
TRAINYARD_CURRENCY = env.str(
    "TRAINYARD_CURRENCY",
    "USD",
    validate=validate.Regexp(r"[A-Z]{3}\Z", error="Not a currency, such as USD or EUR."),
)

# With which a Prometheus asks for /metrics; without one only who is logged in may.
TRAINYARD_METRICS_TOKEN = env.str("TRAINYARD_METRICS_TOKEN", "", validate=is_token)

DEBUG = env.bool("TRAINYARD_DEBUG", False)
# Uploads are written straight to disk. The largest size of one, in bytes:
TRAINYARD_LARGEST_UPLOAD = env.int("TRAINYARD_LARGEST_UPLOAD", 64 * 1024**3)
# Bytes of logs that are kept here for one remote run, over all its attempts. Nothing is kept when
# less than TRAINYARD_KEEP_FREE bytes would stay free on the disk.
TRAINYARD_LARGEST_LOG = env.int(
    "TRAINYARD_LARGEST_LOG", 2 * 1024**3, validate=validate.Range(min=0)
)
TRAINYARD_KEEP_FREE = env.int("TRAINYARD_KEEP_FREE", 1024**3, validate=validate.Range(min=0))
FILE_UPLOAD_TEMP_DIR = open_home(TRAINYARD_HOME / "uploads")
FILE_UPLOAD_HANDLERS = [
    "datasets.uploads.SizeGuard",
    "platform_site.bodies.ArrivedFiles",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

SECRET_KEY = env.str("TRAINYARD_SECRET_KEY", "") or secret_key(TRAINYARD_HOME)
ALLOWED_HOSTS = env.list("TRAINYARD_ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("TRAINYARD_ORIGINS", [], validate=with_scheme)

INSTALLED_APPS = [
    # It replaces runserver, and is slow to import: no other command pays for it.
    *(["daphne"] if "runserver" in sys.argv else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "django_htmx",
    "platform_site.running",  # before django_q, whose command qcluster it replaces
    "django_q",  # before jobs, which removes some of its pages from the admin
    "template_partials",
    "monitoring",
    "monitoring.watch",
    "monitoring.page",
    "monitoring.store",
    "monitoring.glossary",
    "monitoring.compare",
    "monitoring.imports",
    "evaluations",
    "evaluations.automatic",
    "evaluations.board",
    "evaluations.chains",
    "evaluations.comparing",
    "evaluations.gates",
    "evaluations.ordering",
    "evaluations.results",
    "surgery",
    "surgery.adapters",
    "surgery.averages",
    "surgery.choosing",
    "surgery.comparisons",
    "surgery.compose",
    "surgery.conversions",
    "surgery.lineage",
    "surgery.making",
    "jobs",
    "jobs.order",
    "jobs.fit",
    "jobs.plan",
    "jobs.calculator",
    "jobs.accuracy",
    "jobs.provenance",
    "jobs.queue",
    "jobs.launch",
    "jobs.run",
    "jobs.compare",
    "jobs.listing",
    "jobs.exports",
    "jobs.rehearsal",
    "jobs.dryfire",
    "jobs.files",
    "jobs.archive",
    "jobs.artifacts",
    "jobs.recipebook",
    "jobs.rewards",
    "jobs.trackers",
    "datasets",
    "datasets.versions",
    "datasets.mapping",
    "compute",
    "compute.pages",
    "compute.machines",
    "compute.checks",
    "compute.setup",
    "compute.prices",
    "platform_site",
    "platform_site.work",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "platform_site.htmx.HeadMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "platform_site.htmx.LoginRedirectMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "platform_site.urls"
ASGI_APPLICATION = "platform_site.asgi.application"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "monitoring:dashboard"
LOGOUT_REDIRECT_URL = "login"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "monitoring.page.views.rail",
            ]
        },
    }
]

SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(TRAINYARD_HOME / "db.sqlite3")}
DATABASES: dict[str, dict[str, Any]] = {
    "default": env.dj_db_url("DATABASE_URL") if env.str("DATABASE_URL", "") else SQLITE
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Several processes write: each takes the write lock at once, so none fails half-way.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTANCE = instance_name(DATABASES["default"])
SESSION_COOKIE_NAME = f"{INSTANCE}-session"
CSRF_COOKIE_NAME = f"{INSTANCE}-csrf"

CHANNEL_REDIS_URL = env.str("CHANNEL_REDIS_URL", "", validate=REDIS)
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [CHANNEL_REDIS_URL], "prefix": INSTANCE},
    }
    if CHANNEL_REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}

# A launch is never tried twice: its outcome is read from the run directory instead.
Q_CLUSTER = {
    "name": INSTANCE,
    "workers": 2,
    "timeout": 120 + TRAINYARD_STOP_GRACE,  # stopping a run may wait this long
    "retry": 300 + TRAINYARD_STOP_GRACE,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "poll": 0.2,
    "save_limit": 200,
    "label": "Tasks",
}
QUEUE_REDIS_URL = env.str("QUEUE_REDIS_URL", "", validate=REDIS)
Q_CLUSTER |= {"redis": QUEUE_REDIS_URL} if QUEUE_REDIS_URL else {"orm": "default"}

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "font-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TRAINYARD_HTTPS
SECURE_SSL_REDIRECT = TRAINYARD_HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if TRAINYARD_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = TRAINYARD_HTTPS
if TRAINYARD_HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]

LANGUAGE_CODE = "en-gb"
TIME_ZONE = env.str("TRAINYARD_TIME_ZONE", "UTC", validate=known_zone)
USE_TZ = True
FORMAT_MODULE_PATH = "platform_site.formats"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

LOG_LEVEL = env.str(
    "TRAINYARD_LOG_LEVEL",
    "INFO",
    validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"]),
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "line"}
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    # At lower levels these loggers report every task and request.
    "loggers": {
        "django-q": {"level": "WARNING"},
        "django.channels": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
    },
}
