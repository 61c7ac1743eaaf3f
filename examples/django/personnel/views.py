import json
import time
from collections.abc import Iterator
from typing import NoReturn

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from .models import Person

STREAM_SECONDS = 60  # the browser then opens the stream anew, and the guard looks at the session again


class EntryForm(forms.ModelForm):
    class Meta:
        model = Person
        fields = ["room", "phone", "about"]
        widgets = {"about": forms.Textarea(attrs={"rows": 4})}


@require_safe
def people(request: HttpRequest) -> HttpResponse:
    """The directory, as far as it matches ?q=, and whom this person looked up last."""
    words = request.GET.get("q", "").strip()
    found = Person.objects.filter(
        Q(name__icontains=words) | Q(department__icontains=words) | Q(room__icontains=words)
    )
    recent = Person.objects.filter(username__in=request.session.get("recent", []))
    return render(request, "people.html", {"people": found, "words": words, "recent": recent})


@require_http_methods(["GET", "HEAD", "POST"])
def person(request: HttpRequest, username: str) -> HttpResponse:
    """One entry, and the form with which its owner or an administrator edits it."""
    entry = get_object_or_404(Person, username=username)
    may_edit = request.user.is_staff or request.user.get_username() == entry.username
    if request.method == "POST":
        if not may_edit:
            raise PermissionDenied
        form = EntryForm(request.POST, instance=entry)
        if form.is_valid():
            form.save()
            messages.success(request, "Saved.")
            return redirect(entry)
        entry = Person.objects.get(pk=entry.pk)  # the form has written on the first one
    else:
        form = EntryForm(instance=entry)
        recent = [name for name in request.session.get("recent", []) if name != username]
        request.session["recent"] = [username, *recent][:5]
    return render(request, "person.html", {"entry": entry, "form": form if may_edit else None})


@require_safe
def changes(request: HttpRequest) -> HttpResponse:
    return render(request, "changes.html")


@require_safe
def stream(request: HttpRequest) -> StreamingHttpResponse:
    """An event stream of the entries that are changed while somebody looks."""

    def events() -> Iterator[str]:
        seen = timezone.now()
        end = time.monotonic() + STREAM_SECONDS
        yield "retry: 1000\n\n"
        while time.monotonic() < end:
            news = list(Person.objects.filter(changed__gt=seen).order_by("changed"))
            for entry in news:
                seen = entry.changed
                yield f"data: {json.dumps({'name': entry.name, 'url': entry.get_absolute_url()})}\n\n"
            if not news:
                yield ":\n\n"  # a comment: where nobody listens any more, writing it ends this
            time.sleep(0.5)

    response = StreamingHttpResponse(events(), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # nginx, pass on each event as it comes
    return response


@never_cache
@require_safe
def token(request: HttpRequest) -> JsonResponse:
    """The token for the forms of a page that has come back; see resume.js."""
    return JsonResponse({"token": get_token(request)})


def refuse(request: HttpRequest) -> NoReturn:
    raise PermissionDenied
