"""Every setting of the system, read once from the environment (see README, "Settings")."""

import logging
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import django_stubs_ext

from callcenter import embedded, logs
from callcenter.environment import (
    BadSetting,
    address,
    bucket,
    flag,
    hosts,
    number,
    one_of,
    origins,
    postgres,
    read,
    secret,
    span,
    token,
    tracing,
    whole,
)
from calls.durations import duration

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = read("DATA_DIR", str(BASE_DIR / "var"), lambda raw: Path(raw).expanduser().resolve())

# Addresses of this process -------------------------------------------------------------------

HOST = read("HOST", "127.0.0.1", str)
PORT = read("PORT", "8000", whole(1, 65535))
WEB_PROCESSES = read("WEB_PROCESSES", "1", whole(1, 64))
# Seconds that a web process which is asked to stop waits for what is under way.
DRAIN_TIMEOUT = read("DRAIN_TIMEOUT", "10", whole(1, 86_400))
SPEECH_PORT = read("SPEECH_PORT", "8001", whole(1, 65535))

# Database and Redis: the given ones, else the embedded ones below DATA_DIR -------------------

DATABASE_URL = secret("DATABASE_URL", address("postgres", "postgresql"))
REDIS_URL = secret("REDIS_URL", address("redis", "rediss", "unix"))
DATABASES = {"default": postgres(DATABASE_URL or embedded.database_url(DATA_DIR))}
REDIS = REDIS_URL or embedded.redis_url(DATA_DIR)
# Nothing outlives its transaction in a session, so that PgBouncer may lend one to many.
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
# Workers and commands keep their connections; the pool of the web processes keeps theirs.
DATABASES["default"]["CONN_MAX_AGE"] = None
if os.environ.get("CALLCENTER_ROLE") == "web":
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    # Web processes only: forked workers would share the sockets of a pool.
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 2,
        "max_size": 20,
        "max_waiting": 200,
        "timeout": 1.0,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Security ------------------------------------------------------------------------------------

DEBUG = read("DEBUG", "off", flag)
PRODUCTION = bool(DATABASE_URL) and not DEBUG
SECRET_KEY = secret("SECRET_KEY", str)
if PRODUCTION and not SECRET_KEY:
    raise BadSetting("SECRET_KEY", "a production start (DATABASE_URL given, DEBUG off) needs one")
SECRET_KEY = SECRET_KEY or embedded.secret_key(DATA_DIR)
ALLOWED_HOSTS = read("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]", hosts)
# How many proxies in front are trusted to say from where and how a request came.
TRUSTED_PROXIES = read("TRUSTED_PROXIES", "0", whole(0, 10))
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
CSRF_TRUSTED_ORIGINS = read("CSRF_TRUSTED_ORIGINS", "", origins)
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_AGE = 12 * 3600  # seconds; a shift
SECURE_HSTS_SECONDS = read("HSTS_SECONDS", "31536000", whole(0, 63_072_000)) if PRODUCTION else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS = [
    # HSTS for subdomains and in the browsers' list: what else lives under the name of this host
    # is for the owner of the domain to say.
    "security.W005",
    "security.W021",
    # `callcenter.https` sends to HTTPS what the setting asked for here would, and keeps plain
    # HTTP for this machine itself, its probes among them.
    "security.W008",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator")
]
# Five wrong passwords for a name from one address: that pair waits for a quarter of an hour, so
# that nobody can lock others out. `manage.py axes_reset_username NAME` ends the wait.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "callcenter.logins.address"
AXES_USERNAME_CALLABLE = "callcenter.logins.name"
AXES_LOCKOUT_CALLABLE = "callcenter.logins.locked"
# What is typed as a name may be a password.
AXES_SENSITIVE_PARAMETERS = ["username"]
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False
AXES_DISABLE_ACCESS_LOG = True
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "board"
LOGOUT_REDIRECT_URL = "login"

# Django --------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "channels",
    "django_q",
    "ninja",
    "pgtrigger",
    "callcenter",
    "calls",
    "dashboard",
]
MIDDLEWARE = [
    "calls.api.errors.JsonErrors",
    "callcenter.https.HttpsOnly",
    "django.middleware.security.SecurityMiddleware",
    "callcenter.csp.ContentSecurityPolicy",
    "callcenter.health.AtTheDoor",
    "callcenter.static_files.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
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
            ]
        },
    }
]
ROOT_URLCONF = "callcenter.urls"
ASGI_APPLICATION = "callcenter.asgi.application"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "callcenter.formats"
USE_I18N = False
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
WHITENOISE_USE_FINDERS = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024

# Live updates --------------------------------------------------------------------------------

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS], "prefix": "callcenter"},
    }
}

# Queue: a carrier of wake-ups; what is due stands in the job table ---------------------------

Q_WORKERS = 3
Q_CLUSTER: dict[str, Any] = {
    "name": "callcenter",
    "orm": "default",
    "workers": Q_WORKERS,
    "queue_limit": Q_WORKERS,
    "bulk": 1,
    "poll": 0.1,
    # A task may last as long as an AI request (30 s plus twice four hours). Leases, the sweep and
    # the worker's heartbeat find what died long before; a wake-up lost or doubled does no harm.
    "timeout": 9 * 3600,
    "retry": 19 * 3600,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": -1,
    "scheduler": False,
    # The `worker` command takes a process that vanishes for a death and starts the group again.
    "recycle": 1_000_000_000,
    "catch_up": False,
    "log_level": "WARNING",
}

# AI service ----------------------------------------------------------------------------------

AI_BASE_URL = read("AI_BASE_URL", "", address("http", "https")).rstrip("/")
OWN_SPEECH_SERVICE = not AI_BASE_URL
AI_BASE_URL = AI_BASE_URL or f"http://{HOST}:{SPEECH_PORT}/v1"
AI_API_KEY = secret("AI_API_KEY", str, empty_file=True)
AI_MODEL = read("AI_MODEL", "whisper-1", str)
AI_TIMEOUT = read("AI_TIMEOUT", "30", number(1, 3600))
AI_CONCURRENCY = read("AI_CONCURRENCY", "8", whole(1, 10_000))
MAX_AI_RETRIES = read("MAX_AI_RETRIES", "5", whole(0, 20))
RETRY_FAILED_EVERY = read("RETRY_FAILED_EVERY", "300", number(1, 86_400))
AI_FAILURE_RATE = read("AI_FAILURE_RATE", "0.25", number(0, 1))
AI_LATENCY = read("AI_LATENCY", "1-3", span)
SPEECH_ENGINE = read("SPEECH_ENGINE", "pocketsphinx", one_of("pocketsphinx", "canned"))

# PBXs that stream over WebSocket ---------------------------------------------------------------

TWILIO_AUTH_TOKEN = secret("TWILIO_AUTH_TOKEN", token, empty_file=True)

# Calls ---------------------------------------------------------------------------------------

CALL_IDLE_TIMEOUT = read("CALL_IDLE_TIMEOUT", "30", number(1, 86_400))
ARCHIVE_AFTER = read("ARCHIVE_AFTER", "", duration)
DELETE_AFTER = read("DELETE_AFTER", "", duration)
STORAGE_URL = secret("STORAGE_URL", bucket, empty_file=True)
RECORDINGS = DATA_DIR / "recordings"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "recordings": {"BACKEND": "calls.records.bucket.Bucket", "OPTIONS": STORAGE_URL}
    if STORAGE_URL
    else {
        "BACKEND": "calls.records.storage.Folder",
        "OPTIONS": {
            "location": RECORDINGS,
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
}

# Traces --------------------------------------------------------------------------------------

TRACING = tracing()

# Logs ----------------------------------------------------------------------------------------

LOG_LEVEL = read("LOG_LEVEL", "INFO", one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
# A production start writes for machines, a terminal reads text.
LOG_FORMAT = read(
    "LOG_FORMAT", "json" if DATABASE_URL and not DEBUG else "text", one_of("json", "text")
)
# What libraries say below WARNING is their own housekeeping, and may hold what no log should.
QUIETLY = max(logging.WARNING, getattr(logging, LOG_LEVEL))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "callcenter.logs.Json" if LOG_FORMAT == "json" else "callcenter.logs.Text",
            "secrets": [
                *(SECRET_KEY, AI_API_KEY, TWILIO_AUTH_TOKEN),
                DATABASES["default"]["PASSWORD"],
            ],
        }
    },
    "filters": {"one_line_a_request": {"()": "callcenter.logs.OneLineARequest"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["one_line_a_request"],
        }
    },
    "root": {"handlers": ["console"], "level": QUIETLY},
    "loggers": {
        **{name: {"level": LOG_LEVEL} for name in ("callcenter", "calls", "dashboard")},
        # Django's own handlers would write each line once more, in a shape of their own.
        **{
            name: {"level": QUIETLY, "handlers": [], "propagate": True}
            for name in ("django", "django.server", "django.request", "django-q")
        },
        # A terminal hears of failures; machines count the rest, too.
        "callcenter.requests": {"level": LOG_LEVEL if LOG_FORMAT == "json" else QUIETLY},
    },
}
if LOG_FORMAT == "json":
    logs.take_over()
