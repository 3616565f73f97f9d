"""The event bus through pods: what happens is sent to its endpoint, signed, and again while that does not take it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from dev.target import SYSTEM, Target
from tests.support.cluster import Cloud, volume
from tests.support.programs import program

pytestmark = pytest.mark.slow  # the Data service starts twice
KEY, PORT = "a key of the tests", 8080
RECEIVER = """
import base64, hashlib, hmac, json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

key, refused = sys.argv[1].encode(), set()

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        digest = hmac.new(key, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
        good = self.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
        event = json.loads(body)
        first = not refused
        refused.add(name)
        self.send_response(500 if first else 204)
        self.end_headers()
        told = {"type": event["type"], "name": event["data"]["name"], "source": event["source"]}
        print(json.dumps({**told, "id": name, "signed": good, "refused": first}), flush=True)

    def log_message(self, *args):
        pass

HTTPServer(("", 8080), Handler).serve_forever()
"""


@pytest.fixture
def bus(where: Target, cloud: Cloud) -> Iterator[None]:
    """The Data service sends to the receiver, and nowhere again afterwards."""
    url = f"http://receiver.{cloud.namespace}:{PORT}/"
    words = ("-n", SYSTEM, "set", "env", "deployment/cloudstack-data")
    where.kubectl(*words, f"EVENT_BUS_URL={url}", f"EVENT_BUS_KEY={KEY}")
    try:
        where.kubectl("-n", SYSTEM, "rollout", "status", "deployment/cloudstack-data", "--timeout=180s")
        yield
    finally:
        where.kubectl(*words, "EVENT_BUS_URL-", "EVENT_BUS_KEY-")
        where.kubectl("-n", SYSTEM, "rollout", "status", "deployment/cloudstack-data", "--timeout=180s")


def test_what_happens_is_sent(cloud: Cloud, bus: None) -> None:
    with program(cloud, "receiver", RECEIVER, KEY, port=PORT) as receiver:
        cloud.apply(volume())
        line = json.loads(receiver.line('"name": "ledger"'))
        told = [json.loads(each) for each in receiver.said()]
        first = next(each for each in told if each["refused"])
        receiver.line(f'"id": "{first["id"]}", "signed": true, "refused": false')
    assert line["type"] == "dev.cloudstack.volume.create"
    assert line["source"] == f"/cloudstack/{cloud.namespace}"
    assert all(each["signed"] for each in told)
