"""Replicas of the API die under a tenant's feet: what was cut off is asked again, and nothing fails or is done twice."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from dev.target import SYSTEM, Target
from operators.contract.identity import ACCOUNT
from operators.contract.meta import Key
from tests.support import cloudstack
from tests.support.cluster import Cloud
from tests.support.programs import program

pytestmark = pytest.mark.alone  # the API is the other tests' too

LOAD = """
import http.client, json, os, sys, time, urllib.error, urllib.request
from urllib.parse import urlencode
from operators.api.signing import sign

url, key, secret, account, domain = sys.argv[1:]
mine = {"account": account, "domainid": domain}
asked = retried = 0

def ask(command, heard="", **params):
    '''The answer; of a call that was cut off and heard nonetheless, the refusal to do it again is one.'''
    global asked, retried
    asked += 1
    query = {"command": command, "apiKey": key, "response": "json", **params}
    query["signature"] = sign(query, secret)
    deadline, again = time.monotonic() + 120, False
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}?{urlencode(query)}", timeout=10) as answer:
                (content,) = json.load(answer).values()
                return content
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            if again and heard and heard in text:
                return {}
            if error.code != 503:
                sys.exit(f"{command} failed: {error.code} {text[:300]}")
        except (OSError, http.client.HTTPException):
            pass
        again = True
        retried += 1
        time.sleep(0.1)
    sys.exit(f"{command} was never answered")

lives = 0
print("begun", flush=True)
while not os.path.exists("/tmp/stop"):
    name = f"g{lives}"
    ask("createInstanceGroup", heard="already exists", name=name, **mine)
    listed = []
    while not listed:
        listed = ask("listInstanceGroups", name=name, **mine).get("instancegroup", [])
    if len(listed) != 1:
        sys.exit(f"{name} is there {len(listed)} times")
    ask("listVirtualMachines", **mine)
    ask("listZones")
    ask("deleteInstanceGroup", heard=listed[0]["id"], id=listed[0]["id"])
    lives += 1
    print("life", lives, flush=True)
print(json.dumps({"lives": lives, "asked": asked, "retried": retried}), flush=True)
"""


def _replicas(cloud: Cloud) -> dict[str, bool]:
    """The API's pods, and whether they are ready."""
    selector = "app.kubernetes.io/component=api"
    items = json.loads(cloud.kubectl("-n", SYSTEM, "get", "pods", "-l", selector, "-o", "json"))["items"]
    return {each["metadata"]["name"]: _ready(each) for each in items if not each["metadata"].get("deletionTimestamp")}


def _ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _all_ready(cloud: Cloud, count: int, without: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        now = _replicas(cloud)
        if without not in now and sum(now.values()) >= count:
            return
        time.sleep(0.5)
    raise AssertionError(f"not {count} replicas are ready: {now}")


def test_replicas_killed_under_load(where: Target, cloud: Cloud) -> None:
    cloud.create(ACCOUNT.body(Key("", cloud.namespace), spec={"domain": "root"}))
    with cloudstack.reached(where) as url, cloudstack.client(url, *cloudstack.keys(where)) as cs:
        root = cloudstack.found(cs.listDomains(name="ROOT"), "domain")["id"]
    first = sorted(_replicas(cloud))
    address = f"http://cloudstack-api.{SYSTEM}:8080/client/api"
    with program(cloud, "load", LOAD, address, *cloudstack.keys(where), cloud.namespace, root) as load:
        load.line("life 1")
        for name in first:
            cloud.kubectl("-n", SYSTEM, "delete", "pod", name, "--force", "--grace-period=0")
            _all_ready(cloud, len(first), name)
        so_far = load.said()[-1]
        assert so_far.startswith("life"), so_far
        load.line(f"life {int(so_far.split()[1]) + 2}")
        load.stop()
        told = json.loads(load.line('"lives"'))
    assert told["lives"] > 2
    assert cloud.list("InstanceGroup") == []
