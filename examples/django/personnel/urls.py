from django.conf import settings
from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import path
from django.views.generic import RedirectView

from . import events, views

urlpatterns = [
    path("", views.people, name="people"),
    path("people/<str:username>/", views.person, name="person"),
    path("changes/", views.changes, name="changes"),
    path("changes/stream", views.stream, name="stream"),
    path("token", views.token, name="token"),
    path(settings.EVENTS_PATH.lstrip("/"), events.take, name="events"),
    # Django's admin signs nobody in or out: who lacks the group is refused, and its 'Log out' leads to Curfew's.
    path("admin/login/", views.refuse),
    path("admin/logout/", RedirectView.as_view(url=settings.GUARD + "/logout")),
    path("admin/", admin.site.urls),
    # Enough for an example; elsewhere a web server or WhiteNoise serves these files.
    path("static/<path:path>", serve, {"insecure": True}),
]
