"""Every setting of the system, read once from the environment (see README, "Settings")."""

import logging
import os
from pathlib import Path
from typing import Any

import django_stubs_ext

from callcenter import embedded
from callcenter.environment import (
    BadSetting,
    address,
    bucket,
    flag,
    number,
    one_of,
    postgres,
    read,
    span,
    token,
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
SPEECH_PORT = read("SPEECH_PORT", "8001", whole(1, 65535))

# Database and Redis: the given ones, else the embedded ones below DATA_DIR -------------------

DATABASE_URL = read("DATABASE_URL", "", address("postgres", "postgresql"))
REDIS_URL = read("REDIS_URL", "", address("redis", "rediss", "unix"))
DATABASES = {"default": postgres(DATABASE_URL or embedded.database_url(DATA_DIR))}
REDIS = REDIS_URL or embedded.redis_url(DATA_DIR)
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
SECRET_KEY = os.environ.get("SECRET_KEY", "")
if not SECRET_KEY and DATABASE_URL and not DEBUG:
    raise BadSetting("SECRET_KEY", "a production start (DATABASE_URL given, DEBUG off) needs one")
SECRET_KEY = SECRET_KEY or embedded.secret_key(DATA_DIR)
ALLOWED_HOSTS = [
    host.strip()
    for host in read("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]", str).split(",")
    if host.strip()
]
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator")
]
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
    "django.middleware.security.SecurityMiddleware",
    "callcenter.csp.ContentSecurityPolicy",
    "callcenter.static_files.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
AI_API_KEY = os.environ.get("AI_API_KEY", "")
AI_MODEL = read("AI_MODEL", "whisper-1", str)
AI_TIMEOUT = read("AI_TIMEOUT", "30", number(1, 3600))
AI_CONCURRENCY = read("AI_CONCURRENCY", "8", whole(1, 10_000))
MAX_AI_RETRIES = read("MAX_AI_RETRIES", "5", whole(0, 20))
RETRY_FAILED_EVERY = read("RETRY_FAILED_EVERY", "300", number(1, 86_400))
AI_FAILURE_RATE = read("AI_FAILURE_RATE", "0.25", number(0, 1))
AI_LATENCY = read("AI_LATENCY", "1-3", span)
SPEECH_ENGINE = read("SPEECH_ENGINE", "pocketsphinx", one_of("pocketsphinx", "canned"))

# PBXs that stream over WebSocket ---------------------------------------------------------------

TWILIO_AUTH_TOKEN = read("TWILIO_AUTH_TOKEN", "", token)

# Calls ---------------------------------------------------------------------------------------

CALL_IDLE_TIMEOUT = read("CALL_IDLE_TIMEOUT", "30", number(1, 86_400))
ARCHIVE_AFTER = read("ARCHIVE_AFTER", "", duration)
DELETE_AFTER = read("DELETE_AFTER", "", duration)
STORAGE_URL = read("STORAGE_URL", "", bucket)
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

# Logs ----------------------------------------------------------------------------------------

LOG_LEVEL = read("LOG_LEVEL", "INFO", one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "tidy": {
            "format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s",
            "datefmt": "%H:%M:%S",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "tidy"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # What these libraries say at INFO is their own housekeeping.
        name: {"level": max(logging.WARNING, getattr(logging, LOG_LEVEL))}
        for name in ("httpx", "httpcore", "django_q", "django-q", "asyncio", "daphne")
    },
}
