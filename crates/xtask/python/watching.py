"""Webhooks and mail of a real server, checked by others' programs: Standard Webhooks' own library for `v1`, libsodium for
`v1a`, Python's TLS, and aiosmtpd as the mail server. Nothing secret and no voter may be in what the server tells.

    watching.py PROGRAM
"""

import base64
import http.server
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import nacl.exceptions
import nacl.signing
import standardwebhooks
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

ADMIN_KEY = "canvass_canary-admin-key-canary-admin-key-canary"
MAIL_PASSWORD = "canary-mail-password"
TOKEN = "canary-token"
VOTERS = [f"canary-voter-{number}" for number in range(12)]
WAIT_SECONDS_MAX = 60


class Receiver:
    """An https server that keeps what it is sent, by path."""

    def __init__(self, certificate):
        self.received = received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                received.append((self.path, dict(self.headers), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # A client that does not trust the certificate hangs up.

        server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def of(self, path):
        return [(headers, body) for known, headers, body in self.received if known.startswith(path)]


class Mails:
    """Keeps mails, from whoever knows the password."""

    def __init__(self):
        self.mails = []
        # The controller calls the port that it is told, so it cannot be told to take a free one.
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.controller = Controller(
            self, hostname="127.0.0.1", port=self.port, authenticator=self.check, auth_required=True, auth_require_tls=False
        )
        self.controller.start()

    def check(self, _server, _session, _envelope, _mechanism, data):
        return AuthResult(success=(data.login, data.password) == (b"canvass", MAIL_PASSWORD.encode()))

    async def handle_DATA(self, _server, _session, envelope):
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content.decode()))
        return "250 OK"


def wait(what, done):
    until = time.monotonic() + WAIT_SECONDS_MAX
    while not done():
        assert time.monotonic() < until, f"{what} did not come"
        time.sleep(0.1)


def ask(url, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"x-api-key": ADMIN_KEY, "content-type": "application/json"}
    request = urllib.request.Request(url + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


def verify(hook, messages):
    for headers, body in messages:
        headers = {name.lower(): value for name, value in headers.items()}
        if "secret" in hook:
            standardwebhooks.Webhook(hook["secret"]).verify(body, headers)
            try:
                standardwebhooks.Webhook(hook["secret"]).verify(body + b" ", headers)
            except standardwebhooks.WebhookVerificationError:
                continue
            raise AssertionError("another body passes")
        scheme, signature = headers["webhook-signature"].split(",")
        assert scheme == "v1a", scheme
        public = base64.b64decode(hook["publicKey"].removeprefix("whpk_"))
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        nacl.signing.VerifyKey(public).verify(signed, base64.b64decode(signature))


def main(program, folder):
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    receiver, untrusted = (Receiver(by.issue_cert("localhost")) for by in (authority, stranger))
    mails = Mails()
    configuration = folder / "canvass.toml"
    configuration.write_text('[[alarm]]\nname = "vote-volume"\nthreshold = 1\nperiod-seconds = 1\nperiods = 1\n')
    log = open(folder / "log", "w")
    options = {
        "CANVASS_ADMIN_KEY": ADMIN_KEY,
        "CANVASS_MAIL_SERVER": f"smtp://canvass:{MAIL_PASSWORD}@127.0.0.1:{mails.port}",
        "SSL_CERT_FILE": str(folder / "authority.pem"),
    }
    command = [program, "serve", "--data", folder / "data", "--listen", "127.0.0.1:0", "--config", configuration]
    command += ["--webhook-private-addresses", "--log", "debug", "--log-format", "json"]
    command += ["--mail-from", "canvass@example.com", "--mail-to", "ops@example.com,more@example.com"]
    server = subprocess.Popen(command, env=os.environ | options, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        url = server.stdout.readline().split()[-1]
        told = check(url, receiver, untrusted, mails)
    finally:
        server.terminate()
        server.wait()
    log.close()
    canaries = [ADMIN_KEY, MAIL_PASSWORD, "whsec_", "whsk_", *VOTERS]
    told["log"] = (folder / "log").read_text()
    for where, text in told.items():
        # Whoever made a webhook sees its address; nobody else does.
        for canary in canaries + ([] if where == "webhooks" else [TOKEN]):
            assert canary not in text, f"{canary} in {where}"
    print(f"watching: {len(receiver.received)} webhooks and {len(mails.mails)} mails, checked by others' programs")


def check(url, receiver, untrusted, mails):
    def hook(port, path, **more):
        wanted = {"url": f"https://localhost:{port}{path}?token={TOKEN}", **more}
        return json.loads(ask(url, "POST", "/v1/webhooks", wanted))

    types = ["poll.opened", "poll.closed", "results.changed", "alarm.changed"]
    shared = hook(receiver.port, "/shared", types=types, resultsVotes=3)
    public = hook(receiver.port, "/public", types=types, resultsVotes=3, signature="v1a")
    hook(untrusted.port, "/untrusted")
    ask(url, "POST", "/v1/polls", {"id": "p", "title": "T", "options": [{"id": "a"}], "status": "open"})
    for voter in VOTERS:
        ask(url, "POST", "/v1/polls/p/votes", {"voterId": voter, "ballot": {"choice": "a"}})
    ask(url, "POST", "/v1/polls/p/close", {})
    is_closed = lambda path: any(b'"poll.closed"' in body for _, body in receiver.of(path))
    wait("the close", lambda: is_closed("/shared") and is_closed("/public"))
    has_alarm = lambda path: any(b'"alarm.changed"' in body for _, body in receiver.of(path))
    wait("the alarm", lambda: has_alarm("/shared") and has_alarm("/public"))
    wait("the mail", lambda: len(mails.mails) > 0)
    for known, path in ((shared, "/shared"), (public, "/public")):
        assert len(receiver.of(path)) >= 6, receiver.of(path)
        verify(known, receiver.of(path))
    sender, to, text = mails.mails[0]
    assert (sender, to) == ("canvass@example.com", ["ops@example.com", "more@example.com"]), (sender, to)
    assert "Subject: Canvass: the alarm vote-volume has begun" in text, text
    shown = ask(url, "GET", "/v1/webhooks")
    troubles = [hook["trouble"] for hook in json.loads(shown)["items"]]
    assert "TLS could not be agreed on" in troubles and not untrusted.received, troubles
    return {
        "webhooks": shown,
        "alarms": ask(url, "GET", "/v1/alarms"),
        "metrics": ask(url, "GET", "/metrics"),
        "mails": json.dumps(mails.mails),
        "messages": b"".join(body for _, _, body in receiver.received).decode(),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="canvass-watching-") as name:
        main(sys.argv[1], pathlib.Path(name))
