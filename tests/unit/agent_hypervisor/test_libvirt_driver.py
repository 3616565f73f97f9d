"""What the libvirt driver makes of answers that belong to different moments."""

from __future__ import annotations

import libvirt

from agents.hypervisor import domainxml, libvirt_driver
from agents.hypervisor.driver import Record
from operators.contract.compute import Power

RECORD = Record("uid", 1, 2, "boot", "2026-11-21T10:00:00Z", reset=4, paused=True)


class Ending:
    """A domain that ends after its state was read, and before its record is."""

    def __init__(self) -> None:
        self.states = [
            (libvirt.VIR_DOMAIN_RUNNING, 0),
            (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN),
        ]

    def state(self) -> tuple[int, int]:
        return self.states.pop(0)

    def metadata(self, _type: int, _uri: str, flags: int) -> str:
        if flags == libvirt.VIR_DOMAIN_AFFECT_LIVE:
            error = libvirt.libvirtError("domain is not running")
            error.err = (libvirt.VIR_ERR_OPERATION_INVALID, 10, "domain is not running", 2, None, None, None, -1, -1)
            raise error
        return domainxml.record_text(RECORD)

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's name
        return "u"

    def name(self) -> str:
        return "n"


def test_a_guest_that_ends_while_it_is_looked_at_is_seen_as_ended_with_its_record() -> None:
    seen = libvirt_driver._seen(Ending(), with_record=True)
    assert (seen.power, seen.stop_reason, seen.record) == (Power.STOPPED, "Shutdown", RECORD)
