"""A web worker with a cache: each request makes a page of many small objects, and remembers whose session it was."""

import http.server
import sys
import time


class Session:
    def __init__(self, ident, page):
        self.ident = ident
        self.visits = [page]


SESSIONS = {}


def page_of(name):
    rows = [{"id": str(number), "price": number * 0.01, "tags": [name, str(number)]} for number in range(4000)]
    # Remembered while the page is made, so it lies among the page's own objects.
    SESSIONS[name] = Session("session-" + name, "page-" + name)
    # The database is asked for the rest; other requests run meanwhile.
    time.sleep(0.5)
    rows += [{"id": str(number), "price": number * 0.02, "tags": [name]} for number in range(4000)]
    return "".join("<li>%s %.2f" % (row["id"], row["price"]) for row in rows).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = page_of(self.path.strip("/"))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Worker(http.server.ThreadingHTTPServer):
    request_queue_size = 256


if __name__ == "__main__":
    server = Worker(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8000), Handler)
    server.serve_forever()
