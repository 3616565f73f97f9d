"""Webhooks by CloudStack's own commands on a cluster: with the rights that a tenant's namespace gives, and no more."""

from __future__ import annotations

from typing import Any

from cs import CloudStack, CloudStackApiException

from dev.target import SYSTEM, Target
from operators.contract import names
from operators.contract.identity import ACCOUNT
from operators.contract.meta import Key
from tests.support import cloudstack
from tests.support.cloudstack import found, until
from tests.support.cluster import Cloud

INSIDE = "http://10.255.255.1/hook"
"""Where nothing is ever sent: tenants may not have the cloud's own inside called, and are told so."""


def _bind(cloud: Cloud, role: str, account: str) -> None:
    subject = f"--serviceaccount={SYSTEM}:{account}"
    cloud.kubectl("-n", cloud.namespace, "create", "rolebinding", role, f"--clusterrole={role}", subject)


def _deliveries(cs: CloudStack, uid: str) -> list[dict[str, Any]]:
    return list(cs.listWebhookDeliveries(webhookid=uid).get("webhookdelivery", ()))


def test_webhooks(where: Target, cloud: Cloud) -> None:
    cloud.create(ACCOUNT.body(Key("", cloud.namespace), spec={"domain": "root"}))
    with cloudstack.reached(where) as url, cloudstack.client(url, *cloudstack.keys(where)) as cs:
        root = found(cs.listDomains(name="ROOT"), "domain")["id"]
        mine = {"account": cloud.namespace, "domainid": root}
        until(lambda: bool(cs.listAccounts(name=cloud.namespace, listall=True).get("account")))
        try:
            cs.createWebhook(name="early", payloadurl=INSIDE, **mine)
            raise AssertionError("the API keeps Secrets where nobody allowed it to")
        except CloudStackApiException as refused:
            assert "create rolebinding" in str(refused)
        assert cs.listWebhooks(**mine) == {}
        _bind(cloud, names.API_SECRETS_ROLE, "cloudstack-api")
        _bind(cloud, "cloudstack-data-secrets", "cloudstack-data")

        made = cs.createWebhook(name="hook", payloadurl=INSIDE, **mine)["webhook"]
        assert len(made["secretkey"]) > 30
        (hook,) = cloud.list("Webhook")
        assert (hook["metadata"]["uid"], hook["spec"]["url"]) == (made["id"], INSIDE)
        zone = found(cs.listZones(name="default"), "zone")["id"]
        offering = found(cs.listDiskOfferings(name="Standard"), "diskoffering")["id"]
        cs.createVolume(name="ledger", zoneid=zone, diskofferingid=offering, size=1, fetch_result=True, **mine)

        until(lambda: any(each["eventtype"] == "VOLUME.CREATE" for each in _deliveries(cs, made["id"])))
        one = next(each for each in _deliveries(cs, made["id"]) if each["eventtype"] == "VOLUME.CREATE")
        again = cs.executeWebhookDelivery(id=one["id"])["webhookdelivery"]
        assert (again["id"], again["success"]) == (one["id"], False)
        assert "10.255.255.1" in again["response"]
        assert cs.deleteWebhookDelivery(webhookid=made["id"])["success"] is True
        until(lambda: one["id"] not in [each["id"] for each in _deliveries(cs, made["id"])])
        assert cs.updateWebhook(id=made["id"], state="Disabled")["webhook"]["state"] == "Disabled"
        assert cs.deleteWebhook(id=made["id"])["success"] is True
        assert cs.listWebhooks(**mine) == {}
