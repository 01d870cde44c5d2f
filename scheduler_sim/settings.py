"""All settings, read from the environment; with nothing set a checkout runs on SQLite without Redis."""

import os
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from scheduler_sim import environment, logs
from scheduler_sim.engine.crew import cores

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR: Path = environment.folder("VAR_DIR", BASE_DIR / "var")
# What the files of tasks that are made for quick reading may take together; 0: none is made.
TASK_FILES_MB = environment.integer("TASK_FILES_MB", 4000)
# What files of schedules in VAR_DIR may take together; 0: none is made.
SCHEDULE_FILES_MB = environment.integer("SCHEDULE_FILES_MB", 2000)
# Where runs with `keep: parquet` have their placements; None: in VAR_DIR. Machines that play or show them share it.
PLACEMENTS_DIR: Path | None = environment.folder("PLACEMENTS_DIR", is_made=False)
# Where matplotlib remembers the fonts it found; it reads this as it is imported.
os.environ.setdefault("MPLCONFIGDIR", str(VAR_DIR / "matplotlib"))

DEBUG = environment.boolean("DEBUG", default=False)
SECRET_KEY = environment.secret("SECRET_KEY", VAR_DIR / "secret_key")
ALLOWED_HOSTS = environment.words("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))

INSTALLED_APPS = [
    "scheduler_sim.web.admin_config.LateAdmin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "csp",
    "django_prometheus",
    "scheduler_sim.web",
    "scheduler_sim.display",
    "scheduler_sim.accounts",
    "scheduler_sim.background",
    "apps.tasks",
    "apps.results",
    "apps.metrics",
    "apps.training",
    "apps.live",
    "apps.studies",
    "apps.dashboard",
]

# The Prometheus client reads the variable itself, and fails without the folder where it first counts something.
environment.folder("PROMETHEUS_MULTIPROC_DIR")
PROMETHEUS = environment.boolean("PROMETHEUS", default=True)
CORS_ALLOWED_ORIGINS = environment.origins("CORS_ALLOWED_ORIGINS")

MIDDLEWARE = [
    "scheduler_sim.web.middleware.trusted_proxies",
    "scheduler_sim.web.middleware.request_log",
    *(["django_prometheus.middleware.PrometheusBeforeMiddleware"] if PROMETHEUS else []),
    "django.middleware.security.SecurityMiddleware",
    "scheduler_sim.web.middleware.browser_policies",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    *(["corsheaders.middleware.CorsMiddleware"] if CORS_ALLOWED_ORIGINS else []),
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "scheduler_sim.accounts.middleware.audited",
    "scheduler_sim.web.limits.PageLimits",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    *(["scheduler_sim.web.middleware.RequestFigures"] if PROMETHEUS else []),
]

ROOT_URLCONF = "scheduler_sim.urls"
ASGI_APPLICATION = "scheduler_sim.asgi.application"

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
                "scheduler_sim.display.context.page",
            ],
            # What every page is made of.
            "builtins": [f"scheduler_sim.display.templatetags.{name}" for name in ("components", "pages", "policies")],
        },
    },
]

_SQLITE_OPTIONS = {
    # Take the write lock when a transaction starts: a later upgrade could fail at once instead of waiting.
    "transaction_mode": "IMMEDIATE",
    "timeout": 30,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536;",
}


DATABASE_POOL_SIZE = environment.integer("DATABASE_POOL_SIZE", 10, minimum=1)

# After about 25 s without an answer PostgreSQL and its clients give each other up: a machine that lost its power or its
# link then holds no lock and no transaction that others wait for.
DATABASE_SILENCE = {
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


def _database() -> dict[str, Any]:
    address = environment.text("DATABASE_URL") or f"sqlite:///{VAR_DIR / 'scheduler_sim.sqlite3'}"
    try:
        settings: dict[str, Any] = {**dj_database_url.parse(address, conn_max_age=0)}
    except (ValueError, KeyError):
        raise ImproperlyConfigured(
            "DATABASE_URL must look like postgres://user:password@host:port/name or sqlite:////absolute/path."
        ) from None
    engine = str(settings.get("ENGINE", "")).rpartition(".")[2]
    if engine == "sqlite3":
        settings["OPTIONS"] = dict(_SQLITE_OPTIONS)
    elif engine == "postgresql":
        options = settings.setdefault("OPTIONS", {})
        options.setdefault("connect_timeout", 5)
        for name, value in DATABASE_SILENCE.items():
            options.setdefault(name.removeprefix("tcp_") if "keepalives" in name else name, value)
        if environment.serving:
            # Commands keep the one connection they open; a pool would leave threads behind in each of them.
            options["pool"] = {"min_size": min(2, DATABASE_POOL_SIZE), "max_size": DATABASE_POOL_SIZE, "timeout": 5}
        else:
            # Whoever plays holds transactions for long, and asks the server for the same.
            told = " ".join(f"-c {name}={value}" for name, value in DATABASE_SILENCE.items())
            options["options"] = f"{told} {options.get('options', '')}".strip()
    else:
        raise ImproperlyConfigured("DATABASE_URL must start with postgres:// or sqlite://.")
    settings["ENGINE"] = f"django_prometheus.db.backends.{engine}"
    return settings


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = environment.url("REDIS_URL", ("redis", "rediss", "unix"))

if REDIS_URL:
    _REDIS_CACHE = {
        "LOCATION": REDIS_URL,
        # Without Redis the site is slower, not down: a read is a miss, a write is lost, and the log says so.
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1, "IGNORE_EXCEPTIONS": True},
    }
    CACHES = {
        "default": {"BACKEND": "django_prometheus.cache.backends.redis.RedisCache", **_REDIS_CACHE},
        "limits": {"BACKEND": "scheduler_sim.web.counters.CountersCache", **_REDIS_CACHE},
        # Answers that the process has sent lately, at most 64 of at most 256 KiB.
        "near": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "LOCATION": "near",
            "OPTIONS": {"MAX_ENTRIES": 64},
        },
    }
    DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        }
    }
else:
    CACHES = {
        "default": {"BACKEND": "django_prometheus.cache.backends.locmem.LocMemCache"},
        "limits": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "LOCATION": "limits",
            # As many clients as may be counted before one could push another's counter out.
            "OPTIONS": {"MAX_ENTRIES": 100_000},
        },
        # Nothing is nearer than the memory that "default" is.
        "near": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    }
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# Workers that play the runs of studies; without a broker `runstudy` uses this machine's cores.
CELERY_BROKER_URL = environment.url("CELERY_BROKER_URL", ("redis", "rediss"))
# How long a run may take before Redis offers it to another worker, which then finds it claimed.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": environment.integer("CELERY_VISIBILITY_TIMEOUT", 12 * 3600, minimum=1)
}

# Runs, studies, imports and trainings asked for over HTTP that this machine works on at once; the others queue.
JOB_PROCESSES = environment.integer("JOB_PROCESSES", cores(), minimum=1)
# What-ifs are played at once: how many placements, and what their process may take.
WHAT_IF_PLACEMENTS = environment.integer("WHAT_IF_PLACEMENTS", 1_000_000, minimum=0)
WHAT_IF_SECONDS = environment.integer("WHAT_IF_SECONDS", 180, minimum=1)
WHAT_IF_MEMORY_BYTES = environment.integer("WHAT_IF_MEMORY_MB", 4000, minimum=100) * 2**20
# Time and memory that a forecast which is asked for over HTTP may take.
FORECAST_SECONDS = environment.integer("FORECAST_SECONDS", 900, minimum=1)
FORECAST_MEMORY_BYTES = environment.integer("FORECAST_MEMORY_MB", 4000, minimum=100) * 2**20

# By whom `recheck --mail` sends; nothing else sends mail.
EMAIL_HOST = environment.text("EMAIL_HOST", "localhost")
EMAIL_PORT = environment.integer("EMAIL_PORT", 25, minimum=1)
EMAIL_HOST_USER = environment.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = environment.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = environment.boolean("EMAIL_USE_TLS", default=False)
EMAIL_TIMEOUT = 30
DEFAULT_FROM_EMAIL = environment.text("MAIL_FROM", "scheduler-sim@localhost")

LANGUAGE_CODE = "en-gb"
TIME_ZONE = environment.time_zone("TIME_ZONE", "UTC")
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
STATICFILES_DIRS: list[Path | tuple[str, Path]] = [BASE_DIR / "static"]
# The charts' library, once `npm ci` has fetched it; without it the pages show their tables alone.
_ECHARTS = BASE_DIR / "node_modules" / "echarts" / "dist"
CHARTS_INSTALLED = (_ECHARTS / "echarts.esm.min.mjs").is_file()
if CHARTS_INSTALLED:
    STATICFILES_DIRS.append(("echarts", _ECHARTS))
# Serve straight from the apps' folders, so that a checkout needs no collectstatic.
WHITENOISE_USE_FINDERS = True

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "sign-in"

# What a browser is told. Everything a page needs comes from this host, and nothing stands inline.
HTTPS_ONLY = environment.boolean("HTTPS_ONLY", default=False)
TRUSTED_PROXIES = environment.networks("TRUSTED_PROXIES")
SECURE_SSL_REDIRECT = HTTPS_ONLY
# Probes come from inside, over plain http.
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^ready$", r"^metrics$"]
# The middleware forgets this header unless one of TRUSTED_PROXIES sent it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = environment.integer("HSTS_SECONDS", 31_536_000) if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS_ONLY
SECURE_HSTS_PRELOAD = HTTPS_ONLY
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = environment.origins("CSRF_TRUSTED_ORIGINS")
CSRF_FAILURE_VIEW = "scheduler_sim.web.errors.csrf_failure"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        # Pictures inside style sheets of the admin and of Swagger UI.
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

# Who may ask how much.
API_READ_PUBLIC = environment.boolean("API_READ_PUBLIC", default=True)
RATE_LIMIT_ANONYMOUS = environment.rate("RATE_LIMIT_ANONYMOUS", "600/m")
RATE_LIMIT_USER = environment.rate("RATE_LIMIT_USER", "3000/m")
RATE_LIMIT_CONTROL = environment.rate("RATE_LIMIT_CONTROL", "60/m")
# What-ifs that have to be played, asked for on pages and over the API alike.
RATE_LIMIT_WHAT_IF = environment.rate("RATE_LIMIT_WHAT_IF", "30/m")
# Pages, and apart from them what reads or computes much: downloads, charts, windows of Gantt charts, comparisons.
RATE_LIMIT_PAGES = environment.rate("RATE_LIMIT_PAGES", "9000/m")
RATE_LIMIT_COSTLY = environment.rate("RATE_LIMIT_COSTLY", "3000/m")
RATE_LIMIT_LOGIN = environment.rate("RATE_LIMIT_LOGIN", "10/m")
# The longer somebody guesses at one account, the longer the wait: within a minute, a quarter of an hour, an hour.
RATE_LIMIT_ACCOUNT = environment.rates("RATE_LIMIT_ACCOUNT", "10/m,30/15m,60/h")
RATELIMIT_USE_CACHE = "limits"
# What daphne takes before a request is one (scheduler_sim/web/edge.py), and how many are answered at once.
CONNECTIONS_PER_ADDRESS = environment.integer("CONNECTIONS_PER_ADDRESS", 500, minimum=1)
REQUEST_HEADER_SECONDS = environment.integer("REQUEST_HEADER_SECONDS", 20, minimum=1)
REQUEST_BODY_SECONDS = environment.integer("REQUEST_BODY_SECONDS", 30, minimum=1)
REQUEST_ANSWER_SECONDS = environment.integer("REQUEST_ANSWER_SECONDS", 30, minimum=1)
REQUESTS_AT_ONCE = environment.integer("REQUESTS_AT_ONCE", 200, minimum=1)
# Live WebSockets of one server process. One address may be a whole institute behind its router.
LIVE_MAX_CONNECTIONS = environment.integer("LIVE_MAX_CONNECTIONS", 5000, minimum=1)
LIVE_MAX_CONNECTIONS_PER_ADDRESS = environment.integer("LIVE_MAX_CONNECTIONS_PER_ADDRESS", 1200, minimum=1)
METRICS_ALLOWED = environment.networks("METRICS_ALLOWED", ("127.0.0.0/8", "::1/128"))
METRICS_TOKEN = environment.text("METRICS_TOKEN")
UPLOAD_MAX_BYTES = environment.integer("UPLOAD_MAX_MB", 100, minimum=1) * 2**20
UPLOAD_MAX_UNPACKED_BYTES = environment.integer("UPLOAD_MAX_UNPACKED_MB", 2000, minimum=1) * 2**20
# What the process that reads an upload may take.
UPLOAD_MAX_ROWS = environment.integer("UPLOAD_MAX_ROWS", 5_000_000, minimum=1)
UPLOAD_MEMORY_BYTES = environment.integer("UPLOAD_MEMORY_MB", 4000, minimum=100) * 2**20
UPLOAD_SECONDS = environment.integer("UPLOAD_SECONDS", 1800, minimum=1)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        # The first one decides between 401 and 403 for somebody unknown.
        "scheduler_sim.accounts.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["scheduler_sim.web.access.ReadOrControl"],
    "DEFAULT_THROTTLE_CLASSES": ["scheduler_sim.web.access.RateLimit"],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "scheduler_sim.web.renderers.ApiPageRenderer",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "scheduler_sim.web.errors.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "COERCE_DECIMAL_TO_STRING": False,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Scheduler Sim",
    "DESCRIPTION": "Workloads, runs and results of simulated scheduling policies. Times are simulated seconds.",
    "VERSION": "1",
    "SERVE_PERMISSIONS": ["scheduler_sim.web.access.ReadOrControl"],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "RunStatusEnum": "apps.results.models.Run.Status",
        "ImportStatusEnum": "apps.tasks.models.WorkloadImport.Status",
        "JobStatusEnum": "scheduler_sim.background.models.Job.Status",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "scheduler_sim.web.schema.complete",
    ],
}

LOGGING = logs.configuration(
    style=environment.one_of("LOG_FORMAT", "json" if HTTPS_ONLY else "text", ("json", "text")),
    level=environment.one_of("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
)
