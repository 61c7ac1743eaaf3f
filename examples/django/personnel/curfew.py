"""All that the application knows of Curfew: who makes a request stands in its headers.

This holds because nobody but Curfew, or the proxy that asks it, can reach the application: it listens on
a Unix socket, and the guard removes such headers from what a browser sends before it sets its own.
"""

from django.conf import settings
from django.contrib.auth.backends import RemoteUserBackend
from django.contrib.auth.middleware import RemoteUserMiddleware
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from . import events


class CurfewMiddleware(RemoteUserMiddleware):
    """Makes request.user the person of the headers, with the rights that their groups give.

    The base class signs in whom the header names and flushes Django's session when it names somebody
    else, or nobody. PersistentRemoteUserMiddleware must not be used: it would keep a user whom the
    guard no longer vouches for.
    """

    header = "HTTP_REMOTE_USER"

    def process_request(self, request: HttpRequest) -> None:
        if request.path == settings.EVENTS_PATH:
            return  # nobody's: Curfew itself, which signs it
        for name in ("HTTP_REMOTE_USER", "HTTP_REMOTE_NAME", "HTTP_REMOTE_EMAIL", "HTTP_REMOTE_GROUPS"):
            if name in request.META:  # UTF-8, which WSGI hands on as Latin-1 (PEP 3333)
                request.META[name] = request.META[name].encode("latin-1").decode("utf-8", "replace")
        super().process_request(request)
        user = request.user
        if not user.is_authenticated:
            # Nobody who came through the guard gets here, but those whom Django itself has locked
            # (is_active). A redirect to the sign-in page would send these to and fro for ever.
            raise PermissionDenied("no user that Curfew vouches for")
        # Names of groups are compared as LDAP compares them. The rights are those of this request and
        # never stored: who leaves the group has lost them, with nothing to take back.
        groups = request.META.get("HTTP_REMOTE_GROUPS", "").casefold().split(",")
        user.is_staff = user.is_superuser = settings.ADMIN_GROUP.casefold() in groups
        person = {
            "first_name": request.META.get("HTTP_REMOTE_NAME", "")[:150],
            "email": request.META.get("HTTP_REMOTE_EMAIL", "")[:254],
        }
        if any(getattr(user, field) != value for field, value in person.items()):
            for field, value in person.items():
                setattr(user, field, value)
            user.save(update_fields=list(person))
        events.remember(request)


class CurfewBackend(RemoteUserBackend):
    """Finds Django's user by the name in the header, and makes one for a person who is new."""

    def clean_username(self, username: str) -> str:
        return username.lower()  # as django-auth-ldap has it: the directory may write a name in another case one day

    def configure_user(self, request, user):
        user.set_unusable_password()
        user.save(update_fields=["password"])
        return user


def guard(request: HttpRequest) -> dict[str, str]:
    """Lets templates link to Curfew's own pages: {{ guard }}/logout."""
    return {"guard": settings.GUARD}
