"""What Curfew tells the application: that a session has ended. It posts each line of its audit trail.

Every request is judged by Curfew before it comes here, so nobody gets in with a session that has ended.
What remains is what Django knows of it: the session in its database, with what was looked up last. It goes
as well, within a second.
"""

import hashlib
import hmac
import json
import time

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from .models import Event, GuardedSession


def is_from_curfew(secret: bytes, signature: str, body: bytes) -> bool:
    """Whether Curfew has signed this body within the last five minutes."""
    parts = dict(part.partition("=")[::2] for part in signature.split(","))
    t, v1 = parts.get("t", ""), parts.get("v1", "")
    if not (t.isascii() and t.isdecimal()) or len(t) > 12 or abs(time.time() - int(t)) > 300:
        return False
    want = hmac.new(secret, t.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(want.encode(), v1.encode())


def may_go_on(event: dict) -> bool:
    """Whether pages of a session that has ended wait for their person, who then goes on in Django's session."""
    reason, by = event.get("reason"), event.get("data", {}).get("by")
    return reason in ("idle", "lifetime") or reason == "replaced" and by == "browser"


@csrf_exempt  # no browser sends this
@require_POST
def take(request: HttpRequest) -> HttpResponse:
    """Takes one line of the trail. Any other answer than 204 has it come again, and it may come again after that."""
    secret = settings.WEBHOOK_SECRET.read_bytes().rstrip(b"\r\n")
    if not is_from_curfew(secret, request.headers.get("Curfew-Signature", ""), request.body):
        raise PermissionDenied("not signed by Curfew")
    line = json.loads(request.body)
    event, _ = Event.objects.get_or_create(
        id=line["id"], defaults={"kind": line["event"], "session": line.get("session", "")}
    )
    if not event.done:
        if event.kind == Event.END and not may_go_on(line):
            of_this = GuardedSession.objects.filter(ref=event.session)
            Session.objects.filter(session_key__in=of_this.values("key")).delete()
            of_this.delete()
        event.done = True  # last, so that a crash before has it come again
        event.save(update_fields=["done"])
    return HttpResponse(status=204)


def remember(request: HttpRequest) -> None:
    """Notes which session of Curfew's a session of Django's belongs to, at its first request."""
    ref = request.META.get("HTTP_REMOTE_SESSION", "")
    if not ref or request.session.get("curfew") == ref:
        return
    request.session["curfew"] = ref
    GuardedSession.objects.update_or_create(key=request.session.session_key, defaults={"ref": ref})
    if Event.objects.filter(kind=Event.END, session=ref).exists():  # the end has overtaken this request
        request.session.flush()
        raise PermissionDenied("the session has ended")
