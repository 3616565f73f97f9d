"""What guests read over HTTP about themselves, wherever their router is, and what others get of it: nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.instances import INSTANCE, GuestPassword
from operators.contract.meta import Key
from operators.contract.networking import NETWORK
from tests.host.network.harness import NS, cloud

SECRET = "#!/bin/sh\necho of a alone\n"


async def test_a_guest_reads_its_own_metadata_and_nobody_elses(tmp_path: Path) -> None:
    async with cloud(tmp_path, 2) as here:
        await here.network()
        await here.network("theirs", "10.1.9.0/24")
        # One on the router's host, one on the other: each host answers its own guests.
        a = await here.guest("a", "n1", user_data=SECRET)
        b = await here.guest("b", "n2")
        theirs = await here.guest("theirs", "n1", "theirs", user_data="theirs")
        for guest in (a, b, theirs):
            guest.dhcp()
        assert here.must(NETWORK, "net").status.router_host in here.hosts
        for address in ("169.254.169.254", "10.1.1.1"):
            for guest in (a, b):
                assert guest.reads("latest/meta-data/local-hostname", address) == guest.name
                assert guest.reads("latest/meta-data/local-ipv4", address) == guest.ip
                assert guest.reads("latest/meta-data/vm-id", address) == f"uid-{guest.name}"
                assert guest.reads("latest/meta-data/service-offering", address) == "Small Instance"
            assert a.reads("latest/user-data", address) == SECRET
            assert b.reads("latest/user-data", address) == ""
        assert theirs.reads("latest/user-data") == "theirs"
        assert theirs.reads("latest/meta-data/local-hostname", "10.1.9.1") == "theirs"
        # Not by a header, not by another's address, not by another network's router.
        assert theirs.reads("latest/user-data", **{"X-Forwarded-For": a.ip, "Host": a.ip}) == "theirs"
        b.run("ip", "addr", "add", f"{a.ip}/32", "dev", "eth0")
        b.run("ip", "route", "replace", "169.254.169.254/32", "dev", "eth0", "src", a.ip)
        assert "refused" in b.reads("latest/user-data")
        b.run("ip", "route", "del", "169.254.169.254/32")
        assert "refused" in theirs.reads("latest/user-data", "10.1.1.1")
        # Nor is anything else to be had there.
        assert "refused" in a.reads("latest/user-data", "169.254.169.254:22")

        # CloudStack's password server: to the guest that it is for, until it has it.
        key = Key(NS, names.instance("a"))
        instance = here.must(INSTANCE, key.name)
        spec = to_wire(replace(instance.spec, password=GuestPassword(1, "s3cret")))
        await here.user.apply(INSTANCE, INSTANCE.body(key, spec=spec))
        await here.until(lambda: a.reads("", "10.1.1.1:8080", DomU_Request="send_my_password") == "s3cret")
        assert b.reads("", "10.1.1.1:8080", DomU_Request="send_my_password") == "saved_password"
        assert a.reads("", "169.254.169.254:8080", DomU_Request="send_my_password") == "s3cret"
        assert a.reads("", "10.1.1.1:8080") == "bad_request"
        assert a.reads("", "10.1.1.1:8080", DomU_Request="saved_password") == "saved_password"
        assert a.reads("", "10.1.1.1:8080", DomU_Request="send_my_password") == "saved_password"
        await here.until(lambda: here.must(INSTANCE, key.name).status.password_observed == 1)
        assert "s3cret" not in here.logs()

        await here.agents["n1"].kill()
        assert "refused" in a.reads("latest/user-data")
        assert b.reads("latest/meta-data/local-hostname") == "b"
        await here.agents["n1"].start()
        await here.until(lambda: a.reads("latest/user-data") == SECRET)

        # What somebody broke is mended, and what ends is cleared away.
        host, segment = here.hosts["n1"], a.binding.bridge.removeprefix("csbr")
        host.exec(["ip", "link", "del", f"csmi{segment}"])
        await here.until(lambda: a.reads("latest/user-data") == SECRET)
        await here.remove(a)
        assert b.reads("latest/meta-data/local-hostname") == "b"
