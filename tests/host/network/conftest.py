"""Host tests need root and the host's tools."""

import os
import shutil

import pytest

if os.geteuid() or not all(map(shutil.which, ("ip", "bridge", "nft", "dnsmasq", "tini"))):
    pytest.skip("needs root, iproute2, nftables, dnsmasq and tini", allow_module_level=True)
