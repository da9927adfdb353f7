#!/usr/bin/env python3
"""A consumer in Python's standard library: watches a secret, swaps to each new version, acknowledges it, rejects a bad one.

    consumer.py /run/leasekeeper/agent.sock db my-app-1

The consumer's name must be its own and stay the same after a reconnect: what it was given and did not acknowledge is kept
alive for it. docs/PROTOCOL.md has the whole protocol.
"""

import http.client
import json
import socket
import sys
import time


class Agent(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def post(path, url, body):
    agent = Agent(path)
    agent.request("POST", url, json.dumps(body), {"Content-Type": "application/json"})
    status = agent.getresponse().status
    agent.close()
    return status


def events(path, secret, consumer):
    """Yields (event, data) for as long as the stream lasts; a comment line every 15 s shows that the agent lives."""
    agent = Agent(path)
    agent.request("GET", f"/agent/v1/watch?name={secret}&consumer={consumer}")
    agent.sock.settimeout(60)
    answer = agent.getresponse()
    if answer.status != 200:
        raise ConnectionError(f"{answer.status}: {answer.read().decode()}")
    event = data = ""
    for line in answer:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        event, data = (value if field == "event" else event), (value if field == "data" else data)
        if not field and data:
            yield event, json.loads(data)
            event = data = ""


def swap(secret):
    """Your part: dial with the new credentials, use them, close the old sessions. False: the server refuses them."""
    print(f"using version {secret['version']} until {secret['expires_at']}", flush=True)
    return True


def main(path, name, consumer):
    while True:
        try:
            for event, data in events(path, name, consumer):
                if event == "secret":
                    good = swap(data)
                    body = {"version": data["version"], "consumer": consumer}
                    post(path, f"/agent/v1/secrets/{name}/" + ("ack" if good else "reject"),
                         body if good else {**body, "reason": "denied"})
                elif event == "lost":
                    print(f"no valid version: {data['reason']}", flush=True)  # keep what works; the next one will come
        except (OSError, http.client.HTTPException) as error:
            print(f"the agent is away: {error}", file=sys.stderr, flush=True)  # keep what works
        time.sleep(0.5)


if __name__ == "__main__":
    main(*sys.argv[1:])
