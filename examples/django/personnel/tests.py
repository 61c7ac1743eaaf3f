"""What the application makes of the guard's headers. How it works behind the guard is tested in a browser."""

import hashlib
import hmac
import json
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.test import Client, TestCase, override_settings

from . import views
from .models import Event, GuardedSession, Person


def headers(user: str, groups: str = "staff", name: str = "", ref: str = "") -> dict[str, str]:
    """What WSGI makes of Curfew's headers: UTF-8 as Latin-1."""
    return {
        "HTTP_HOST": "localhost",
        "HTTP_REMOTE_USER": user.encode().decode("latin-1"),
        "HTTP_REMOTE_NAME": name.encode().decode("latin-1"),
        "HTTP_REMOTE_EMAIL": "",
        "HTTP_REMOTE_GROUPS": groups.encode().decode("latin-1"),
        "HTTP_REMOTE_SESSION": ref,
    }


class IdentityTest(TestCase):
    def test_without_a_user_nothing_is_shown(self):
        for given in ({}, {"HTTP_REMOTE_USER": ""}, {"REMOTE_USER": "ada"}):
            with self.subTest(given=given):
                answer = self.client.get("/", HTTP_HOST="localhost", **given)
                self.assertEqual(answer.status_code, 403)
                self.assertNotContains(answer, "Hopper", status_code=403)

    def test_a_session_of_django_opens_nothing_without_the_header(self):
        self.assertEqual(self.client.get("/", **headers("ada")).status_code, 200)
        self.assertEqual(self.client.get("/", HTTP_HOST="localhost").status_code, 403)
        self.assertNotIn("_auth_user_id", self.client.session)

    def test_another_user_finds_nothing_of_the_last_one(self):
        self.client.get("/people/grace/", **headers("ada"))
        self.assertContains(self.client.get("/", **headers("ada")), "You looked up")
        before = self.client.session.session_key
        answer = self.client.get("/", **headers("linus"))
        self.assertEqual(answer.wsgi_request.user.get_username(), "linus")
        self.assertNotContains(answer, "You looked up")
        self.assertNotEqual(self.client.session.session_key, before)

    def test_names_are_utf_8_and_compared_without_case(self):
        answer = self.client.get("/", **headers("Zoë", name="Zoë Ångström"))
        self.assertEqual(answer.wsgi_request.user.get_username(), "zoë")
        self.assertContains(answer, "Zoë Ångström")
        self.client.get("/", **headers("ZOË", name="Zoë Ångström"))
        self.assertEqual(get_user_model().objects.count(), 1)

    def test_the_admin_is_open_to_the_group_and_only_as_long_as_it_is_told(self):
        rows = [
            ("staff,admins", 200),
            ("Admins", 200),
            ("staff", 302),
            ("", 302),
            ("staff,not-admins,admins2", 302),
        ]
        for groups, want in rows:
            with self.subTest(groups=groups):
                self.assertEqual(self.client.get("/admin/", **headers("ada", groups)).status_code, want)
        self.assertFalse(get_user_model().objects.filter(is_staff=True).exists())

    def test_rights_that_the_database_gives_count_for_nothing(self):
        get_user_model().objects.create_superuser("grace", password="open sesame")
        self.assertEqual(self.client.get("/admin/", **headers("grace")).status_code, 302)
        self.assertFalse(self.client.login(username="grace", password="open sesame"))

    def test_djangos_admin_has_no_sign_in_and_its_log_out_is_curfews(self):
        self.assertEqual(self.client.get("/admin/login/", **headers("linus")).status_code, 403)
        answer = self.client.get("/admin/logout/", **headers("ada", "admins"))
        self.assertRedirects(answer, "/.curfew/logout", fetch_redirect_response=False)
        self.assertNotContains(self.client.get("/admin/", **headers("ada", "admins")), "Change password")

    def test_a_user_whom_django_has_locked_is_refused(self):
        self.client.get("/", **headers("linus"))
        get_user_model().objects.filter(username="linus").update(is_active=False)
        self.assertEqual(self.client.get("/", **headers("linus")).status_code, 403)


class EntryTest(TestCase):
    def test_an_entry_is_edited_by_its_owner_and_by_administrators(self):
        rows = [
            ("grace", "staff", 302),
            ("ada", "staff,admins", 302),
            ("linus", "staff", 403),
        ]
        for user, groups, want in rows:
            with self.subTest(user=user):
                form = {"room": user, "phone": "1", "about": ""}
                answer = self.client.post("/people/grace/", form, **headers(user, groups))
                self.assertEqual(answer.status_code, want)
                self.assertEqual(Person.objects.get(username="grace").room == user, want == 302)

    @override_settings(ALLOWED_HOSTS=["people.example.org"])
    def test_django_knows_its_own_origin_behind_the_guard(self):
        client = Client(enforce_csrf_checks=True)
        guarded = {
            **headers("grace"),
            "HTTP_HOST": "people.example.org",
            "HTTP_X_FORWARDED_PROTO": "https",
        }
        token = client.get("/people/grace/", **guarded).cookies["csrftoken"].value
        form = {"room": "B 2", "csrfmiddlewaretoken": token}
        rows = [
            ("https://people.example.org/people/grace/", 302),
            ("http://people.example.org/people/grace/", 403),
            ("https://elsewhere.example.org/", 403),
        ]
        for referer, want in rows:
            with self.subTest(referer=referer):
                answer = client.post("/people/grace/", form, HTTP_REFERER=referer, **guarded)
                self.assertEqual(answer.status_code, want)
        self.assertEqual(client.get("/", **{**guarded, "HTTP_HOST": "elsewhere.example.org"}).status_code, 400)


    def test_the_token_that_a_page_asks_for_is_taken_and_kept_by_nobody(self):
        client = Client(enforce_csrf_checks=True)
        answer = client.get("/token", **headers("grace"))
        self.assertIn("no-store", answer["Cache-Control"])
        form = {"room": "B 3", "csrfmiddlewaretoken": answer.json()["token"]}
        self.assertEqual(client.post("/people/grace/", form, **headers("grace")).status_code, 302)
        self.assertEqual(client.get("/token", HTTP_HOST="localhost").status_code, 403)


class StreamTest(TestCase):
    def test_a_stream_ends_by_itself_so_that_the_guard_looks_again(self):
        with patch.object(views, "STREAM_SECONDS", 0):
            answer = self.client.get("/changes/stream", **headers("ada"))
            self.assertEqual(answer["Content-Type"], "text/event-stream")
            self.assertEqual(b"".join(answer.streaming_content), b"retry: 1000\n\n")


SECRET = "a secret of the tests"


class EventsTest(TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.secret = Path(folder.name) / "secret"
        self.secret.write_text(SECRET + "\n")
        self.enterContext(self.settings(WEBHOOK_SECRET=self.secret))

    def post(self, line: dict, secret: str = SECRET, age: int = 0, sent: bytes = b"", **given: str) -> int:
        """Posts a line as Curfew does, and returns the status."""
        body = json.dumps(line).encode()
        at = str(int(time.time()) - age)
        mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        given = {"HTTP_HOST": "localhost", "HTTP_CURFEW_SIGNATURE": f"t={at},v1={mac}", **given}
        client = Client(enforce_csrf_checks=True)
        return client.post("/curfew/events", sent or body, content_type="application/json", **given).status_code

    def end(self, ref: str, reason: str = "admin", **more) -> dict:
        return {"id": "end-" + ref, "event": "session-end", "session": ref, "reason": reason, **more}

    def sign_in(self, user: str, ref: str) -> Client:
        client = Client()
        client.get("/people/grace/", **headers(user, ref=ref))
        return client

    def recent(self, client: Client, user: str, ref: str) -> bool:
        """Whether Django's session still knows what was looked up."""
        return "You looked up" in client.get("/", **headers(user, ref=ref)).content.decode()

    def test_an_end_ends_djangos_session_and_no_other(self):
        ada, other = self.sign_in("ada", "one"), self.sign_in("ada", "two")
        self.assertEqual(self.post({"id": "in-one", "event": "sign-in", "session": "one"}), 204)
        self.assertTrue(self.recent(ada, "ada", "one"))
        self.assertEqual(self.post(self.end("one")), 204)
        self.assertFalse(Session.objects.filter(session_key=ada.cookies["sessionid"].value).exists())
        self.assertFalse(self.recent(ada, "ada", "three"))
        self.assertTrue(self.recent(other, "ada", "two"))

    def test_a_line_that_comes_again_does_nothing_more(self):
        self.sign_in("ada", "one")
        self.assertEqual(self.post(self.end("one")), 204)
        GuardedSession.objects.create(key="x", ref="one")  # what a second time would take away
        self.assertEqual(self.post(self.end("one")), 204)
        self.assertEqual((Event.objects.count(), GuardedSession.objects.count()), (1, 1))

    def test_a_line_whose_work_was_broken_off_does_it_when_it_comes_again(self):
        ada = self.sign_in("ada", "one")
        with patch.object(Session.objects, "filter", side_effect=RuntimeError("crash")):
            with self.assertRaises(RuntimeError):
                self.post(self.end("one"))
        self.assertTrue(self.recent(ada, "ada", "one"))
        self.assertEqual(self.post(self.end("one")), 204)
        self.assertFalse(self.recent(ada, "ada", "two"))

    def test_pages_that_wait_go_on_in_djangos_session(self):
        rows = [
            (self.end("a", "idle"), True),
            (self.end("b", "lifetime"), True),
            (self.end("c", "replaced", data={"by": "browser"}), True),
            (self.end("d", "replaced", data={"device": "Firefox"}), False),
            (self.end("e", "logout"), False),
            (self.end("f", "directory"), False),
        ]
        for line, goes_on in rows:
            with self.subTest(reason=line["reason"]):
                client = self.sign_in("ada", line["session"])
                self.assertEqual(self.post(line), 204)
                self.assertEqual(self.recent(client, "ada", "next-" + line["session"]), goes_on)

    def test_djangos_session_goes_with_the_session_that_it_has_gone_on_in(self):
        client = self.sign_in("ada", "one")
        self.assertEqual(self.post(self.end("one", "idle")), 204)
        self.assertTrue(self.recent(client, "ada", "two"))
        self.assertEqual(self.post(self.end("two")), 204)
        self.assertFalse(self.recent(client, "ada", "three"))

    def test_a_request_that_the_end_has_overtaken_is_refused(self):
        self.assertEqual(self.post(self.end("one")), 204)
        self.assertEqual(self.client.get("/", **headers("ada", ref="one")).status_code, 403)
        self.assertEqual(Session.objects.count(), 0)
        self.assertEqual(self.client.get("/", **headers("ada", ref="two")).status_code, 200)

    def test_what_curfew_has_not_signed_just_now_is_refused(self):
        ada = self.sign_in("ada", "one")
        rows = [
            {"secret": "another"},
            {"age": 301},
            {"age": -301},
            {"sent": b'{"id": "x", "event": "session-end", "session": "one"}'},
            {"HTTP_CURFEW_SIGNATURE": ""},
            {"HTTP_CURFEW_SIGNATURE": "t=1,v1="},
            {"HTTP_CURFEW_SIGNATURE": "v1=é,t=²"},
        ]
        for given in rows:
            with self.subTest(given=given):
                self.assertEqual(self.post(self.end("one"), **given), 403)
        self.assertEqual(self.client.get("/curfew/events", HTTP_HOST="localhost").status_code, 405)
        self.assertTrue(self.recent(ada, "ada", "one"))
        self.assertEqual(Event.objects.count(), 0)

    def test_the_secret_is_that_of_the_file_now(self):
        self.secret.write_text("another")
        self.assertEqual(self.post(self.end("one")), 403)
        self.assertEqual(self.post(self.end("one"), secret="another"), 204)
