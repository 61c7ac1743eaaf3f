from django.db import models
from django.urls import reverse


class Person(models.Model):
    """One entry of the directory. Who signs in as `username` may edit it, and so may administrators."""

    username = models.CharField(max_length=150, unique=True)
    name = models.CharField(max_length=100)
    title = models.CharField(max_length=100, blank=True)
    department = models.CharField(max_length=100, blank=True)
    room = models.CharField(max_length=20, blank=True)
    phone = models.CharField(max_length=30, blank=True)
    about = models.TextField("about me", blank=True)
    changed = models.DateTimeField(auto_now=True, db_index=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "people"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("person", args=[self.username])


class GuardedSession(models.Model):
    """A session of Django's, and the session of Curfew's that it belongs to."""

    key = models.CharField(max_length=40, primary_key=True)
    ref = models.CharField(max_length=40, db_index=True)


class Event(models.Model):
    """A line of Curfew's trail that was taken. Each has an id, by which one that comes again is known."""

    END = "session-end"

    id = models.CharField(max_length=100, primary_key=True)
    kind = models.CharField(max_length=40)
    session = models.CharField(max_length=40, db_index=True)
    done = models.BooleanField(default=False)
