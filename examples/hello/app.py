"""An application that knows nothing of Curfew but the names of its headers: python3 app.py PORT."""

import html
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Notes</title></head>
<body>
<h1>Hello, {name}</h1>
<p>You are {user}, in the groups {groups}.</p>
<p><textarea aria-label="Note" rows="8" cols="60"></textarea></p>
<p><a href="/.curfew/account">Your sessions</a> <a href="/.curfew/logout">Sign out</a></p>
</body>
</html>
"""


class Notes(BaseHTTPRequestHandler):
    def do_GET(self):
        told = {
            word: html.escape(self.headers.get("Remote-" + word.title(), "").encode("latin-1").decode("utf-8", "replace"))
            for word in ("name", "user", "groups")
        }
        page = PAGE.format(**told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


port = int(sys.argv[1])
print(f"The notes are at http://127.0.0.1:{port}/, for everybody on this machine.", flush=True)
ThreadingHTTPServer(("127.0.0.1", port), Notes).serve_forever()
