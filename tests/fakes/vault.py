"""tests/fakes/vault.py: a Vault that misbehaves on cue.

A small server with just enough of Vault's API to feed an agent (login, tokens, leases, database, KV, PKI), and a script
that says for any path how it shall fail. Python's standard library and the openssl command alone.

    with FakeVault() as vault:                    # TLS, a port of its own; vault.address, vault.ca_cert
        vault.script("database/creds/notes", [{"status": 500}, {"reset": "body"}, {"usual": True}])
        ...
        vault.requests("sys/leases/renew")        # what was asked, oldest first

Paths stand without "/v1/" and may hold shell wildcards. The replies of a script are used one after the other; when all
are used, the usual behaviour is back, unless the last one says "forever": true. A script may be for those requests alone whose
body fits a pattern (of a lease id, say). A reply may say:

    usual: true            what the model would have answered; with "edit": a function that gets that and returns another
    status, headers, body  body: text, or an object that is sent as JSON; status 429 and headers {"Retry-After": "5"}
    delay                  seconds before anything is answered
    reset                  "request" (RST instead of an answer), "head" (after a part of the head), "body" (after a part of the body)
    cut                    "body": the connection ends in good order in the middle of the body
    half_open: true        the request is read and nothing ever comes back
    huge                   bytes of body that are sent in pieces (Content-Length says so; with "chunked": true it does not)
    huge_head              bytes of header fields before the answer
    drip                   seconds between the single bytes of the body
    raw                    text that is sent as it stands, then the connection is closed
    close: true            "Connection: close" and closed after the answer
    times                  this reply is used so many times

Whole connections: vault.on_connect = "close" | "silent" | "plain" (an HTTP answer on the TLS port) | None; vault.down() and
vault.up() end and restart it on the same port; vault.seal() and vault.unseal().

As a program it serves until its standard input ends or it is told to stop; a second, plain port takes orders:

    vault.py [--plain] [--script FILE.json]   prints one line of JSON: address, control, ca_cert, pid
    POST /script {"path": ..., "replies": [...], "method": null}    POST /call {"name": "seal", "args": []}
    GET /requests[?path=PATTERN]    DELETE /requests    POST /stop
"""

import argparse
import collections
import datetime
import fnmatch
import http.server
import itertools
import json
import os
import secrets
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import warnings

REASONS = {200: "OK", 202: "Accepted", 204: "No Content", 307: "Temporary Redirect", 400: "Bad Request", 403: "Forbidden",
           404: "Not Found", 405: "Method Not Allowed", 412: "Precondition Failed", 429: "Too Many Requests",
           500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable"}

Request = collections.namedtuple("Request", "time method path query headers body connection client_cert status")


class Authority:
    """A CA and what it signs, made with the openssl command, in a scratch folder."""

    def __init__(self, folder):
        self.folder = folder
        self.ca_cert = os.path.join(folder, "ca.pem")
        self.ca_key = os.path.join(folder, "ca.key")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-subj", "/CN=Fake Vault CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                      "-keyout", self.ca_key, "-out", self.ca_cert)

    def _openssl(self, *args, stdin=None):
        done = subprocess.run(["openssl", *args], input=stdin, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError("openssl %s: %s" % (args[0], done.stderr.decode(errors="replace")))
        return done.stdout.decode()

    def _sign_for(self, csr, cert, start, end, extensions=None):
        """Signs for the time between two of the form YYYYMMDDHHMMSSZ: the x509 command of Debian 12 counts in days from now."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            index, serial, config = (os.path.join(folder, f) for f in ("i", "s", "c"))
            with open(index, "w", encoding="ascii"), open(serial, "w", encoding="ascii") as f:
                f.write(secrets.token_hex(15))
            with open(config, "w", encoding="ascii") as f:
                f.write("[ca]\ndefault_ca = d\n[d]\ndatabase = %s\nserial = %s\nnew_certs_dir = %s\ndefault_md = sha256\n"
                        "policy = p\n[p]\ncommonName = supplied\n" % (index, serial, folder))
            self._openssl("ca", "-batch", "-notext", "-config", config, "-cert", self.ca_cert, "-keyfile", self.ca_key,
                          "-startdate", start, "-enddate", end, "-in", csr, "-out", cert,
                          *(["-extfile", extensions] if extensions else []))

    def make(self, name, sans="DNS:localhost,IP:127.0.0.1,IP:::1", days=2):
        """Returns (certificate, key), as files. days: may be negative."""
        key, csr, cert, ext = (os.path.join(self.folder, name + end) for end in (".key", ".csr", ".pem", ".ext"))
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
                      "-keyout", key, "-out", csr)
        with open(ext, "w", encoding="ascii") as f:
            f.write("subjectAltName=%s\nauthorityKeyIdentifier=keyid\n" % sans)
        start, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + d * 86400)) for d in (min(0, days - 1), days))
        self._sign_for(csr, cert, start, end, ext)
        return cert, key

    @staticmethod
    def _serial():
        # No file of serial numbers: several may be signed at once.
        return ["-set_serial", "0x" + secrets.token_hex(15)]

    def make_for(self, name, start, end):
        """Returns (certificate, key), both PEM, for the time between two of the form YYYYMMDDHHMMSSZ."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            key, csr, cert = (os.path.join(folder, f) for f in ("key", "csr", "cert"))
            self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
                          "-keyout", key, "-out", csr)
            self._sign_for(csr, cert, start, end)
            with open(cert, encoding="ascii") as c, open(key, encoding="ascii") as k:
                return c.read().strip(), k.read().strip()

    def sign(self, csr_pem, seconds):
        """Signs a CSR with its own SANs. Returns PEM."""
        del seconds  # the openssl command of Debian 12 counts in days; what the agent goes by stands in "expiration"
        with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=".csr") as f:
            f.write(csr_pem)
            f.flush()
            return self._openssl("x509", "-req", "-in", f.name, "-CA", self.ca_cert, "-CAkey", self.ca_key,
                                 *self._serial(), "-days", "1", "-copy_extensions", "copy")

    def key_and_csr(self, common_name):
        """Returns (key, CSR), both PEM."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            key, csr = os.path.join(folder, "key"), os.path.join(folder, "csr")
            self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                          "/CN=" + common_name, "-addext", "subjectAltName=DNS:" + common_name, "-keyout", key, "-out", csr)
            with open(key, encoding="ascii") as k, open(csr, encoding="ascii") as c:
                return k.read(), c.read()

    def serial_and_end(self, pem):
        text = self._openssl("x509", "-noout", "-serial", "-enddate", stdin=pem.encode())
        fields = dict(line.split("=", 1) for line in text.splitlines())
        serial = fields["serial"].lower()
        end = datetime.datetime.strptime(fields["notAfter"], "%b %d %H:%M:%S %Y GMT").replace(tzinfo=datetime.timezone.utc)
        return ":".join(serial[i:i + 2] for i in range(0, len(serial), 2)), int(end.timestamp())


class Refusal(Exception):
    def __init__(self, status, *errors):
        super().__init__(status, *errors)
        self.status, self.errors = status, list(errors)


class Model:
    """What a Vault in good health would answer. All times are of the monotonic clock; tests may turn its knobs."""

    def __init__(self, authority):
        self.authority = authority
        self.sealed = False
        self.role_ids, self.secret_ids = {"role"}, {"secret"}
        self.wrapped = {}          # wrapping token -> secret-id
        self.wrap_path = "auth/approle/role/notes/secret-id"
        self.tokens, self.leases = {}, {}
        self.token_ttl, self.token_max_ttl, self.token_type, self.token_period = 3600, 86400, "service", 0
        self.lease_ttl, self.lease_max_ttl, self.renewable = 3600, 86400, True
        self.given = set()         # every token, password and key that ever left this place
        self.certificate_ttl = 86400
        self.kv = {"kv/notes/dbinfo": {"host": "127.0.0.1", "port": 3306, "database": "notes"}}
        self.kv2 = {}              # "kv2/data/x" -> {...}; None: deleted
        self.static_creds = {}     # "database/static-creds/x" -> (user name, password, ttl)
        self.ready = {}            # path -> what is answered without any work
        self.forbidden = set()     # patterns of paths that the policy forbids
        self.hide_lookup_self = False
        self.counts = collections.Counter()
        self._number = itertools.count(1)

    # --- what tests do to it
    def add_token(self, ttl=None, root=False):
        token = "hvs." + secrets.token_urlsafe(24)
        self.given.add(token)
        now, ttl = time.monotonic(), self.token_ttl if ttl is None else ttl
        self.tokens[token] = {"accessor": secrets.token_urlsafe(12), "born": now, "end": None if root else now + ttl,
                              "ttl": ttl, "type": self.token_type, "root": root, "period": self.token_period,
                              "max_end": None if root else now + max(ttl, self.token_max_ttl)}
        return token

    def wrap(self, secret_id):
        token = "hvs.wrap" + secrets.token_urlsafe(16)
        self.wrapped[token] = secret_id
        return token

    def revoke_token(self, token):
        self.tokens.pop(token, None)
        for lease in [k for k, v in self.leases.items() if v["token"] == token]:
            del self.leases[lease]

    def revoke_all_tokens(self):
        for token in list(self.tokens):
            self.revoke_token(token)

    def revoke_all_leases(self):
        self.leases.clear()

    # --- requests
    def answer(self, request):
        """Returns (status, object or None)."""
        try:
            return self._answer(request)
        except Refusal as refusal:
            return refusal.status, {"errors": refusal.errors}

    def _answer(self, request):
        path = request.path
        try:
            body = json.loads(request.body) if request.body else {}
        except ValueError:
            raise Refusal(400, "failed to parse JSON input") from None
        if path == "sys/health":
            return (503 if self.sealed else 200), {"initialized": True, "sealed": self.sealed, "standby": False,
                                                   "server_time_utc": int(time.time()), "version": "2.7.2"}
        if self.sealed:
            raise Refusal(503, "Vault is sealed")
        self._expire()
        if path.startswith("auth/") and path.endswith("/login"):
            return 200, self._login(body)
        if path == "sys/wrapping/lookup":
            token = body.get("token") or request.headers.get("x-vault-token")
            if token not in self.wrapped:
                raise Refusal(400, "wrapping token is not valid or does not exist")
            return 200, self._shape(data={"creation_path": self.wrap_path, "creation_ttl": 60,
                                          "creation_time": "2026-01-01T00:00:00Z"})
        token = request.headers.get("x-vault-token", "")
        if path == "sys/wrapping/unwrap":
            if token not in self.wrapped:
                raise Refusal(400, "wrapping token is not valid or does not exist")
            return 200, self._shape(data={"secret_id": self.wrapped.pop(token), "secret_id_accessor": "a", "secret_id_ttl": 0,
                                          "secret_id_num_uses": 0})
        if token not in self.tokens:
            raise Refusal(403, "permission denied")
        if any(fnmatch.fnmatchcase(path, pattern) for pattern in self.forbidden):
            raise Refusal(403, "1 error occurred:\n\t* permission denied\n\n")
        if path.startswith("auth/token/"):
            return self._token(path[len("auth/token/"):], token)
        if path.startswith("sys/leases/"):
            return self._lease(path[len("sys/leases/"):], body)
        return self._engine(request, path, body, token)

    def _shape(self, **fields):
        shape = {"request_id": secrets.token_hex(16), "lease_id": "", "renewable": False, "lease_duration": 0, "data": None,
                 "wrap_info": None, "warnings": None, "auth": None, "mount_type": ""}
        shape.update(fields)
        return shape

    def _expire(self):
        now = time.monotonic()
        for token in [k for k, v in self.tokens.items() if v["end"] is not None and v["end"] <= now]:
            self.revoke_token(token)
        for lease in [k for k, v in self.leases.items() if v["end"] <= now]:
            del self.leases[lease]

    def _auth(self, token):
        t = self.tokens[token]
        left = 0 if t["end"] is None else int(t["end"] - time.monotonic() + 0.5)
        return {"client_token": token, "accessor": t["accessor"], "policies": ["default"], "token_policies": ["default"],
                "metadata": {"role_name": "notes"}, "lease_duration": left, "renewable": t["type"] == "service" and not t["root"],
                "entity_id": "", "token_type": t["type"], "orphan": True, "num_uses": 0}

    def _login(self, body):
        self.counts["login"] += 1
        if not body.get("role_id"):
            raise Refusal(500, "missing role_id")
        if body["role_id"] not in self.role_ids or body.get("secret_id") not in self.secret_ids:
            raise Refusal(400, "invalid role or secret ID")
        return self._shape(auth=self._auth(self.add_token()))

    def _token(self, what, token):
        t = self.tokens[token]
        now = time.monotonic()
        if what == "lookup-self":
            if self.hide_lookup_self:
                raise Refusal(403, "1 error occurred:\n\t* permission denied\n\n")
            left = 0 if t["end"] is None else int(t["end"] - now + 0.5)
            data = {"id": token, "accessor": t["accessor"], "ttl": left, "creation_ttl": t["ttl"], "explicit_max_ttl": 0,
                    "renewable": t["type"] == "service", "num_uses": 0, "type": t["type"], "path": "auth/approle/login",
                    "policies": ["root"] if t["root"] else ["default"], "orphan": True, "expire_time": None}
            if t["period"]:
                data["period"] = t["period"]
            return 200, self._shape(data=data)
        if what == "renew-self":
            self.counts["token_renew"] += 1
            if t["type"] != "service" or t["end"] is None:
                raise Refusal(400, "lease is not renewable")
            t["end"] = min(now + t["ttl"], t["max_end"])
            return 200, self._shape(auth=self._auth(token))
        if what == "revoke-self":
            self.counts["token_revoke"] += 1
            self.revoke_token(token)
            return 204, None
        raise Refusal(404)

    def _lease(self, what, body):
        lease = self.leases.get(body.get("lease_id"))
        now = time.monotonic()
        if what == "lookup":
            if not lease:
                raise Refusal(400, "invalid lease")
            return 200, self._shape(data={"id": body["lease_id"], "ttl": int(lease["end"] - now + 0.5), "last_renewal": None,
                                          "renewable": lease["renewable"]})
        if what == "renew":
            self.counts["lease_renew"] += 1
            if not lease:
                raise Refusal(400, "lease not found")
            if not lease["renewable"]:
                raise Refusal(400, "lease is not renewable")
            if now >= lease["max_end"]:
                raise Refusal(400, "failed to renew entry: resp: (*logical.Response)(nil) err: past the max TTL, cannot renew")
            lease["end"] = min(now + lease["ttl"], lease["max_end"])
            return 200, self._shape(lease_id=body["lease_id"], renewable=True, lease_duration=int(lease["end"] - now + 0.5))
        if what == "revoke":
            self.counts["lease_revoke"] += 1
            self.leases.pop(body.get("lease_id"), None)
            return 204, None
        raise Refusal(404)

    def _engine(self, request, path, body, token):
        parts = path.split("/")
        if path in self.ready:
            self.counts["ready"] += 1
            return 200, self.ready[path]
        if path.startswith("database/creds/"):
            self.counts["mint"] += 1
            lease_id = path + "/" + secrets.token_urlsafe(18)
            password = "-" + secrets.token_urlsafe(14)
            self.given.add(password)
            now = time.monotonic()
            self.leases[lease_id] = {"token": token, "end": now + self.lease_ttl, "max_end": now + self.lease_max_ttl,
                                     "ttl": self.lease_ttl, "renewable": self.renewable}
            return 200, self._shape(lease_id=lease_id, renewable=self.renewable, lease_duration=self.lease_ttl,
                                    mount_type="database",
                                    data={"username": "v-approle-notes-%d" % next(self._number),
                                          "password": password})
        if path in self.static_creds:
            user, password, ttl = self.static_creds[path]
            return 200, self._shape(data={"username": user, "password": password, "ttl": ttl, "rotation_period": ttl})
        if len(parts) >= 3 and parts[-2] in ("issue", "sign") and request.method in ("POST", "PUT"):
            self.counts["mint"] += 1
            return 200, self._shape(data=self._certificate(body), mount_type="pki")
        if path in self.kv2:
            content = self.kv2[path]
            metadata = {"version": 1, "created_time": "2026-01-01T00:00:00Z", "destroyed": False, "custom_metadata": None,
                        "deletion_time": "" if content is not None else "2026-01-02T00:00:00Z"}
            return (200 if content is not None else 404), self._shape(data={"data": content, "metadata": metadata},
                                                                      mount_type="kv")
        if path in self.kv:
            return 200, self._shape(data=self.kv[path], lease_duration=2764800, mount_type="kv")
        raise Refusal(404)

    def _certificate(self, body):
        key = None
        csr = body.get("csr")
        if not csr:
            key, csr = self.authority.key_and_csr(body.get("common_name", "localhost"))
        pem = self.authority.sign(csr, self.certificate_ttl)
        serial, end = self.authority.serial_and_end(pem)
        with open(self.authority.ca_cert, encoding="ascii") as f:
            ca = f.read().strip()
        data = {"certificate": pem.strip(), "issuing_ca": ca, "ca_chain": [ca], "serial_number": serial, "expiration": end}
        if key:
            self.given.add(key.split("\n")[1])
            data.update(private_key=key.strip(), private_key_type="ec")
        return data


class Hangup(Exception):
    """The connection is over."""


class Wire:
    """One connection, read and written by hand: a server that must be able to break every rule cannot use http.server."""

    def __init__(self, vault, sock, number):
        self.vault, self.sock, self.number = vault, sock, number
        self.buffer = b""

    def run(self):
        try:
            if self.vault.on_connect == "close":
                return
            if self.vault.on_connect == "silent":
                self._sleep(3600)
                return
            if self.vault.on_connect == "plain":
                self.sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                return
            if self.vault.tls:
                self.sock.settimeout(30)
                self.sock = self.vault.tls.wrap_socket(self.sock, server_side=True)
            self.sock.settimeout(300)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while self._serve_one():
                pass
        except (OSError, Hangup, ValueError):
            pass
        finally:
            self.vault.gone(self)
            self.sock.close()

    def abort(self):
        """Ends it from another thread."""
        try:
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # not the TLS one's: it belongs to its own thread
        except OSError:
            pass

    def _sleep(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.vault.stopping:
            time.sleep(min(0.05, max(0.001, end - time.monotonic())))
        if self.vault.stopping:
            raise Hangup

    def _fill(self):
        more = self.sock.recv(65536)
        if not more:
            raise Hangup
        self.buffer += more

    def _read(self):
        while b"\r\n\r\n" not in self.buffer:
            self._fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers[name.strip().lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        while len(self.buffer) < length:
            self._fill()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        path, _, query = target.partition("?")
        path = urllib.parse.unquote(path)
        path = path[4:] if path.startswith("/v1/") else path
        cert = self.sock.getpeercert() if isinstance(self.sock, ssl.SSLSocket) else None
        return Request(time.monotonic(), method, path, query, headers, body.decode("utf-8", "replace"), self.number,
                       (cert or {}).get("serialNumber"), None)

    def _serve_one(self):
        request = self._read()
        reply = self.vault.next_reply(request)
        status, content, headers = self._compose(request, reply)
        self.vault.note(request._replace(status=status if not reply.get("half_open") else 0))
        if reply.get("delay"):
            self._sleep(reply["delay"])
        if reply.get("half_open"):
            self._sleep(3600)
        if reply.get("reset") == "request":
            self._reset()
        if "raw" in reply:
            self.sock.sendall(reply["raw"].encode("latin-1"))
            return False
        close = reply.get("close") or request.headers.get("connection", "").lower() == "close"
        if close:
            headers["Connection"] = "close"
        self._send(request, reply, status, headers, content)
        return not close

    def _compose(self, request, reply):
        headers = dict(reply.get("headers", {}))
        if reply.get("usual"):
            status, content = self.vault.usual(request)
            content = reply["edit"](content) if "edit" in reply else content
        else:
            status, content = reply.get("status", 200), reply.get("body")
        if reply.get("huge"):
            content = b""
        elif content is None:
            content = b"" if status == 204 or not reply.get("usual", False) and "body" not in reply and status < 400 else b"{}"
            if status >= 400 and "body" not in reply:
                content = b'{"errors":[]}'
        elif not isinstance(content, (str, bytes)):
            content = json.dumps(content).encode()
        if isinstance(content, str):
            content = content.encode()
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
        headers.setdefault("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()))
        headers.setdefault("Cache-Control", "no-store")
        if status != 204:
            if reply.get("chunked"):
                headers["Transfer-Encoding"] = "chunked"
            else:
                headers.setdefault("Content-Length", str(int(reply.get("huge", 0)) or len(content)))
        return status, content, headers

    def _send(self, request, reply, status, headers, content):
        head = "HTTP/1.1 %d %s\r\n" % (status, REASONS.get(status, "Whatever"))
        for i in range(int(reply.get("huge_head", 0)) // 1000):
            head += "X-Padding-%d: %s\r\n" % (i, "p" * 980)
        head += "".join("%s: %s\r\n" % item for item in headers.items()) + "\r\n"
        head = head.encode("latin-1")
        if reply.get("reset") == "head":
            self.sock.sendall(head[:len(head) // 2])
            self._reset()
        if reply.get("huge"):
            self.sock.sendall(head)
            self._flood(int(reply["huge"]), reply.get("chunked"))
            return
        if status == 204 or request.method == "HEAD":
            content = b""
        elif reply.get("chunked"):
            pieces = [content[i:i + 8192] for i in range(0, len(content), 8192)]
            content = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
        if reply.get("reset") == "body" or reply.get("cut") == "body":
            self.sock.sendall(head + content[:max(1, len(content) // 2)])
            if reply.get("reset"):
                time.sleep(0.05)
                self._reset()
            raise Hangup
        if reply.get("drip"):
            self.sock.sendall(head)
            for i in range(len(content)):
                self._sleep(reply["drip"])
                self.sock.sendall(content[i:i + 1])
            return
        self.sock.sendall(head + content)

    def _flood(self, size, chunked):
        piece = b"x" * 65536
        for at in range(0, size, len(piece)):
            if self.vault.stopping:
                raise Hangup
            part = piece[:size - at]
            self.sock.sendall(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
        self.sock.sendall(b"0\r\n\r\n" if chunked else b"")

    def _reset(self):
        # SO_LINGER of 0 makes close() send RST.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Hangup


class FakeVault:
    def __init__(self, tls=True, authority=None, want_client_cert=False, tls_max=None, port=0, host="127.0.0.1"):
        self._own_folder = authority is None
        self.authority = authority or Authority(tempfile.mkdtemp(prefix="fake-vault-"))
        self.folder = self.authority.folder
        self.ca_cert = self.authority.ca_cert
        self.model = Model(self.authority)
        self.on_connect = None
        self.stopping = False
        self.tls = self._context(want_client_cert, tls_max) if tls else None
        self.host, self.port = host, port
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._scripts, self._log, self._wires = [], [], set()
        self.connects = 0
        self._listener = None
        self.up()

    def _context(self, want_client_cert, tls_max):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.cert, self.key = self.authority.make("server-" + secrets.token_hex(4))
        context.load_cert_chain(self.cert, self.key)
        context.num_tickets = 0  # a session that goes on is not looked at again: new connections are to be new
        if want_client_cert:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca_cert)
        if tls_max:
            warnings.simplefilter("ignore", DeprecationWarning)  # an old version is what is wanted
            context.minimum_version = context.maximum_version = tls_max
            context.set_ciphers("ALL:@SECLEVEL=0")
        return context

    def use_certificate(self, cert, key):
        """What new connections see."""
        self.tls.load_cert_chain(cert, key)

    @property
    def address(self):
        return "%s://%s:%d" % ("https" if self.tls else "http", self.host, self.port)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # --- life
    def up(self):
        self.stopping = False
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        listener.listen(128)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self.connects += 1
                wire = Wire(self, sock, self.connects)
                self._wires.add(wire)
            threading.Thread(target=wire.run, daemon=True).start()

    def down(self):
        """As if the server had been killed: refused from now on, what is open ends. What the model knows stays."""
        self.stopping = True
        if self._listener:
            try:
                self._listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._listener.close()
            self._listener = None
        self.drop_connections()

    def drop_connections(self):
        with self._lock:
            wires = list(self._wires)
        for wire in wires:
            wire.abort()

    def connections(self):
        with self._lock:
            return len(self._wires)

    def gone(self, wire):
        with self._lock:
            self._wires.discard(wire)

    def close(self):
        self.down()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def seal(self):
        self.model.sealed = True

    def unseal(self):
        self.model.sealed = False

    # --- the script
    def script(self, path, replies, method=None, body=None):
        """Takes the place of an earlier script for the same path, method and body; [] takes it away."""
        key = path, method, body
        with self._lock:
            self._scripts = [s for s in self._scripts if s["key"] != key]
            if replies:
                queue = collections.deque()
                for reply in replies:
                    queue.extend([reply] * int(reply.get("times", 1)))
                self._scripts.insert(0, {"key": key, "queue": queue})

    def next_reply(self, request):
        with self._lock:
            for script in self._scripts:
                path, method, body = script["key"]
                if method not in (None, request.method) or not fnmatch.fnmatchcase(request.path, path):
                    continue
                if body and not fnmatch.fnmatchcase(request.body, body):
                    continue
                if not script["queue"]:
                    continue
                if script["queue"][0].get("forever"):
                    return script["queue"][0]
                return script["queue"].popleft()
        return {"usual": True}

    def usual(self, request):
        with self._lock:
            return self.model.answer(request)

    # --- the log
    def note(self, request):
        with self._lock:
            self._log.append(request)
            self._changed.notify_all()

    def requests(self, path="*", since=0):
        """What was asked, oldest first; since: the number of requests (of all paths) to leave out."""
        with self._lock:
            return [r for r in self._log[since:] if fnmatch.fnmatchcase(r.path, path)]

    def forget_requests(self):
        with self._lock:
            self._log.clear()

    def wait_for(self, path, count=1, timeout=10.0):
        """Waits until that many requests for a path were made; returns them, or raises."""
        end = time.monotonic() + timeout
        with self._lock:
            while True:
                found = [r for r in self._log if fnmatch.fnmatchcase(r.path, path)]
                if len(found) >= count:
                    return found
                if not self._changed.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                    raise TimeoutError("%d requests for %s after %.0f s, not %d" % (len(found), path, timeout, count))


class Control(http.server.BaseHTTPRequestHandler):
    vault = None
    server_version = "control"

    def log_message(self, *args):
        pass

    def _reply(self, status, value=None):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path != "/requests":
            return self._reply(404)
        pattern = urllib.parse.parse_qs(url.query).get("path", ["*"])[0]
        return self._reply(200, [r._asdict() for r in self.vault.requests(pattern)])

    def do_DELETE(self):
        self.vault.forget_requests()
        self._reply(200)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")
        if self.path == "/script":
            self.vault.script(body["path"], body["replies"], body.get("method"))
            return self._reply(200)
        if self.path == "/call":
            if "set" in body:
                owner = self.vault.model if hasattr(self.vault.model, body["set"]) else self.vault
                setattr(owner, body["set"], body["value"])
                return self._reply(200)
            owner = self.vault if hasattr(self.vault, body["name"]) else self.vault.model
            result = getattr(owner, body["name"])(*body.get("args", []))
            return self._reply(200, result if isinstance(result, (str, int, float, list, dict, type(None))) else str(result))
        if self.path == "/stop":
            self._reply(200)
            threading.Thread(target=self.server.shutdown, daemon=True).start()
            return None
        return self._reply(404)


def stop_with(stream, server):
    while stream.read(4096):
        pass
    server.shutdown()


def main():
    parser = argparse.ArgumentParser(description="A Vault that misbehaves on cue.")
    parser.add_argument("--plain", action="store_true", help="HTTP instead of HTTPS")
    parser.add_argument("--want-client-cert", action="store_true")
    parser.add_argument("--tls1", action="store_true", help="offer nothing above TLS 1.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", help="JSON: [{path, replies, method}, ...]")
    args = parser.parse_args()
    vault = FakeVault(tls=not args.plain, want_client_cert=args.want_client_cert, port=args.port,
                      tls_max=ssl.TLSVersion.TLSv1_1 if args.tls1 else None)
    if args.script:
        with open(args.script, encoding="utf-8") as f:
            for entry in json.load(f):
                vault.script(entry["path"], entry["replies"], entry.get("method"))
    Control.vault = vault
    control = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Control)
    control.daemon_threads = True
    client_cert, client_key = vault.authority.make("client")
    print(json.dumps({"address": vault.address, "control": "http://127.0.0.1:%d" % control.server_address[1],
                      "ca_cert": vault.ca_cert, "client_cert": client_cert, "client_key": client_key, "pid": os.getpid()}),
          flush=True)
    threading.Thread(target=stop_with, args=(sys.stdin.buffer, control), daemon=True).start()
    try:
        control.serve_forever()
    except KeyboardInterrupt:
        pass
    vault.close()


if __name__ == "__main__":
    main()
