"""Settings of the personnel directory, a Django application that leaves sign-in to Curfew."""

import os
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent
STATE = Path(os.environ["STATE"])  # the folder of the database and the secret key
PUBLIC_URL = urlsplit(os.environ.get("PUBLIC_URL", "http://localhost:8080"))  # what browsers see

# Where people sign in and out, and whose members may use Django's admin.
GUARD = "/.curfew"
ADMIN_GROUP = "admins"

# Where Curfew posts what has happened, and the file with the secret by which it signs that.
EVENTS_PATH = "/curfew/events"
WEBHOOK_SECRET = STATE / "webhook-secret"

INSTALLED_APPS = [
    "personnel",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "personnel.curfew.CurfewMiddleware",  # takes the place of SessionSecurityMiddleware and of the login view
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
# No ModelBackend beside it: a password that Django still has opens nothing.
AUTHENTICATION_BACKENDS = ["personnel.curfew.CurfewBackend"]

# The guard sends the public host as Host and sets X-Forwarded-Proto anew, so that no browser can forge
# either. With them Django knows its own origin, and its CSRF check, which compares the Referer with that
# (Django 4 and later: the Origin), needs no CSRF_TRUSTED_ORIGINS.
ALLOWED_HOSTS = [PUBLIC_URL.hostname]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.scheme == "https"

SECRET_KEY = (STATE / "secret-key").read_text()
ROOT_URLCONF = "personnel.urls"
WSGI_APPLICATION = "personnel.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": STATE / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
TIME_ZONE = "UTC"
USE_TZ = True
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.request",
                "personnel.curfew.guard",
            ]
        },
    }
]
