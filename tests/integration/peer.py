"""Runs as another user id: asks the agent's socket, follows a watch, tries to open files. Passed to python3 -c."""

import http.client
import json
import os
import socket
import sys


class UnixConnection(http.client.HTTPConnection):
    """http.client over a UNIX socket; not daemons.py's, which this user may not be able to read."""

    def __init__(self, path):
        super().__init__("localhost", timeout=70)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def request(path, method, target, body=None):
    connection = UnixConnection(path)
    headers = {"Content-Type": "application/json"} if body else {}
    connection.request(method, target, body, headers)
    answer = connection.getresponse()
    result = {"status": answer.status, "headers": {k.lower(): v for k, v in answer.getheaders()},
              "text": answer.read().decode()}
    connection.close()
    return result


def ask(path, *requests):
    """Each request is a JSON list [method, target, body or null, headers or null]."""
    for text in requests:
        method, target, body, headers = json.loads(text)
        connection = UnixConnection(path)
        all_headers = dict(headers or {})
        if body is not None:
            all_headers.setdefault("Content-Type", "application/json")
            body = json.dumps(body)
        connection.request(method, target, body, all_headers)
        answer = connection.getresponse()
        print(json.dumps({"status": answer.status, "headers": {k.lower(): v for k, v in answer.getheaders()},
                          "text": answer.read().decode()}), flush=True)
        connection.close()


def watch(path, consumer, *names):
    """Prints each event as a JSON line; acknowledges each version as the well-behaved consumer that it is."""
    target = "/agent/v1/watch?" + "&".join("name=" + n for n in names) + "&consumer=" + consumer
    connection = UnixConnection(path)
    connection.request("GET", target)
    answer = connection.getresponse()
    if answer.status != 200:
        print(json.dumps({"event": "refused", "status": answer.status}), flush=True)
        return
    event = {}
    while True:
        line = answer.readline().decode()
        if not line:
            print(json.dumps({"event": "end"}), flush=True)
            return
        line = line.rstrip("\r\n")
        if line.startswith(":"):
            continue
        if line:
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            event[key] = event[key] + "\n" + value if key in event else value
            continue
        if event:
            event["data"] = json.loads(event.get("data", "null"))
            print(json.dumps(event), flush=True)
            if event.get("event") == "secret":
                request(path, "POST", f"/agent/v1/secrets/{event['data']['name']}/ack",
                        json.dumps({"version": event["data"]["version"], "consumer": consumer}))
        event = {}


def touch(*paths):
    """Prints, for each path, what opening and listing it gives."""
    for path in paths:
        try:
            if os.path.isdir(path):
                os.listdir(path)
            else:
                with open(path, "rb") as f:
                    f.read(1)
            print(json.dumps({"path": path, "error": None}))
        except OSError as e:
            print(json.dumps({"path": path, "error": type(e).__name__}))


if __name__ == "__main__":
    {"ask": ask, "watch": watch, "touch": touch}[sys.argv[1]](*sys.argv[2:])
