"""The real program against a real mail server: STARTTLS, a login, and what the reader gets.

Usage: mail.py PATH_OF_SLUICE. Wants aiosmtpd and trustme. Uses the loopback only, prints the mails
as their reader sees them, and fails with a sentence.
"""

import email
import email.policy
import os
import queue
import ssl
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

PATIENCE = 90  # seconds; only a failure waits that long
PASSWORD = "correct-horse"
PERSON = "jo.private@example.net"


class Inbox:
    """Keeps what came, and over what it came."""

    def __init__(self):
        self.mails = queue.Queue()

    async def handle_DATA(self, server, session, envelope):
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.put((session.ssl is not None, session.authenticated, envelope, parsed))
        return "250 taken"


def login(server, session, envelope, mechanism, data):
    is_right = data.login == b"sluice" and data.password == PASSWORD.encode()
    return AuthResult(success=is_right, handled=False)


class Api(BaseHTTPRequestHandler):
    """Where documents go; refuses the key until it is told otherwise."""

    status = 401

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(Api.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def check(is_good, what):
    if not is_good:
        sys.exit(f"not so: {what}")


def next_mail(inbox, part):
    """The next mail; its subject must have `part` in it."""
    try:
        is_encrypted, is_authenticated, envelope, mail = inbox.mails.get(timeout=PATIENCE)
    except queue.Empty:
        sys.exit(f"no mail with `{part}` came")
    print(f"\n{'=' * 72}")
    for name in ("Date", "From", "To", "Subject"):
        print(f"{name}: {mail[name]}")
    body = mail.get_content()
    print(f"\n{body}")
    check(part in mail["Subject"], f"`{part}` in the subject")
    check(is_encrypted and is_authenticated, "encrypted and logged in")
    check(envelope.mail_from == "sluice@example.com", "the sender of the envelope")
    check(envelope.rcpt_tos == ["data-team@example.com"], "the receiver of the envelope")
    check(mail["From"].addresses[0].addr_spec == "sluice@example.com", "From")
    check(mail["To"].addresses[0].addr_spec == "data-team@example.com", "To")
    check(mail["Date"].datetime is not None and mail["Message-ID"], "Date and Message-ID")
    check(mail.get_content_type() == "text/plain", "plain text")
    for secret in (PASSWORD, PERSON):
        check(secret not in mail.as_string() + body, f"without `{secret}`")
    return body


def main():
    program = Path(sys.argv[1]).resolve()
    folder = Path(tempfile.mkdtemp())
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    inbox = Inbox()
    mail_server = Controller(
        inbox,
        hostname="localhost",
        port=0,
        tls_context=server_side,
        require_starttls=True,
        authenticator=login,
        auth_required=True,
    )
    # It cannot say which port it got, so it is given one that was free a moment ago.
    mail_server.port = free_port()
    mail_server.start()
    api = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=api.serve_forever, daemon=True).start()

    (folder / "password").write_text(PASSWORD)
    config = folder / "sluice.yaml"
    config.write_text(f"""version: 1
sources:
  made: {{ type: generate, catalogue: braze_webhook, rate: 20, batch: 10 }}
connectors:
  braze-to-api:
    contact: Data Team <data-team@example.com>
    source: made
    mappings: builtin:braze_to_segment
    sink: {{ type: http, url: "http://127.0.0.1:{api.server_port}/" }}
admin: {{ listen: "off" }}
alerts:
  smtp:
    host: localhost
    port: {mail_server.port}
    from: Sluice <sluice@example.com>
    username: sluice
    password: {{ file: {folder / "password"} }}
""")
    trusting = dict(os.environ, SSL_CERT_FILE=str(folder / "authority.pem"))

    def test(environment):
        command = [program, "alerts", "test", "--config", config]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
        return done.returncode, done.stdout + done.stderr

    code, said = test(trusting)
    check(code == 0, f"a test message goes: {said}")
    next_mail(inbox, "test message for braze-to-api")

    code, said = test(dict(os.environ))
    check(code == 1 and "certificate" in said, f"an unknown certificate is refused: {said}")

    (folder / "password").write_text("wrong-horse")
    code, said = test(trusting)
    check(code == 1 and "535" in said, f"a wrong password is told: {said}")
    check("wrong-horse" not in said, "the password is not shown")
    (folder / "password").write_text(PASSWORD)

    run = subprocess.Popen([program, "run", "--config", config], env=trusting, stderr=subprocess.DEVNULL)
    try:
        body = next_mail(inbox, "braze-to-api: held")
        for part in ("401", "safe on disk", "Lost?", f"sluice status --config {config}"):
            check(part in body, f"`{part}` in the body")
        Api.status = 200
        body = next_mail(inbox, "braze-to-api: delivering again")
        check("There is nothing to do." in body, "the end says that all is well")
    finally:
        run.terminate()
        run.wait(timeout=PATIENCE)
    mail_server.stop()
    check(run.returncode == 0, "a clean stop")
    print("\nall mails are as they should be")


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


main()
