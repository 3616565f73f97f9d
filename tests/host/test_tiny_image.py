"""The tiny guest image boots under emulation and does what its README promises (real QEMU, no libvirt, no root)."""

import base64
import http.client
import io
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from images.tiny.build import build

pycdlib = pytest.importorskip("pycdlib")
for program in ("qemu-system-x86_64", "qemu-img"):
    if not shutil.which(program):
        pytest.skip(f"{program} is missing: apt-get install qemu-system-x86", allow_module_level=True)

BOOT_TIMEOUT = 180.0  # seconds; 5 on a quiet machine
TIMEOUT = 30.0
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO8Yl7pqQ0gkTE3rkMzZ0Q3tG4d5w0v2m1n3b5c7d9eF first@example"
OTHER_KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 second@example"
MIB = 1 << 20


class Channel:
    """A connection that speaks one JSON object per line: QMP or the guest agent."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(TIMEOUT)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("r")

    def close(self) -> None:
        """Hang up, so that another client can connect."""
        self._lines.close()
        self._socket.close()

    def call(self, command: str, **arguments: object) -> Any:
        """Execute one command and return what it returned; skip events."""
        request = {"execute": command, "arguments": {key.replace("_", "-"): value for key, value in arguments.items()}}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        return self._answer("return")

    def event(self, name: str) -> None:
        """Wait for an event."""
        while self._answer("event") != name:
            pass

    def _answer(self, key: str) -> Any:
        while line := self._lines.readline():
            answer = json.loads(line)
            assert "error" not in answer, answer
            if key in answer:
                return answer[key]
        raise EOFError("the connection was closed")


class Guest:
    """A running QEMU; its serial console is read by a thread, so that waiting means being woken by what it prints."""

    def __init__(self, folder: Path, disk: Path, network: str, seed: Path | None) -> None:
        command = [
            *("qemu-system-x86_64", "-machine", "pc", "-accel", "tcg,tb-size=32", "-cpu", "max", "-m", "128"),
            *("-nodefaults", "-no-user-config", "-display", "none"),
            *("-drive", f"file={disk},if=virtio,format=qcow2,cache=unsafe"),
            *("-netdev", f"user,id=net0{network}", "-device", "virtio-net-pci,netdev=net0,romfile="),
            *("-chardev", f"stdio,id=console,signal=off,logfile={folder}/serial", "-serial", "chardev:console"),
            *("-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,path={folder}/agent,server=on,wait=off"),
            *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
            *("-qmp", f"unix:{folder}/qmp,server=on,wait=off"),
        ]
        if seed:
            command += ["-device", "virtio-scsi-pci", "-device", "scsi-cd,drive=seed"]
            command += ["-drive", f"file={seed},if=none,id=seed,format=raw,readonly=on"]
        self.folder = folder
        self._channels: list[Channel] = []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._printed = ""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        while part := self.process.stdout.read1():  # type: ignore[attr-defined]  # it is a BufferedReader
            with self._news:
                self._printed += part.decode(errors="replace")
                self._news.notify_all()
        with self._news:
            self._printed += "\n(the console was closed)\n"
            self._news.notify_all()

    def printed(self, pattern: str, timeout: float = TIMEOUT) -> re.Match[str]:
        """Wait until a line of the serial console matches."""
        expression = re.compile(pattern, re.MULTILINE)
        found: Callable[[], re.Match[str] | None] = lambda: expression.search(self._printed)  # noqa: E731
        with self._news:
            self._news.wait_for(lambda: found() or "(the console was closed)" in self._printed, timeout)
            match = found()
        assert match, f"the console never showed {pattern!r}:\n{self._printed}"
        return match

    def type(self, line: str) -> None:
        """Type a line on the serial console."""
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    @cached_property
    def agent(self) -> Channel:
        """The guest agent."""
        return self._channel("agent")

    @cached_property
    def qmp(self) -> Channel:
        """QEMU itself."""
        channel = self._channel("qmp")
        channel.call("qmp_capabilities")
        return channel

    def _channel(self, name: str) -> Channel:
        channel = Channel(self.folder / name)
        self._channels.append(channel)
        return channel

    def end(self) -> None:
        """End the process, as a power failure would, and hang up."""
        self.process.kill()
        self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        for channel in (*self._channels, self.process.stdin, self.process.stdout):
            if channel:
                channel.close()

    def run(self, script: str) -> str:
        """Run a shell script inside through the agent; return what it printed; fail when it failed."""
        pid = self.agent.call("guest-exec", path="/bin/sh", arg=["-c", script], capture_output=True)["pid"]
        deadline = time.monotonic() + TIMEOUT
        while not (status := self.agent.call("guest-exec-status", pid=pid))["exited"]:  # the call paces this loop
            assert time.monotonic() < deadline, f"still running: {script}"
        output = base64.b64decode(status.get("out-data", "")).decode()
        errors = base64.b64decode(status.get("err-data", "")).decode()
        assert status["exitcode"] == 0, f"{script}\n{output}{errors}"
        return output.strip()


@contextmanager
def booted(
    folder: Path, disk: Path, *, seed: Mapping[str, str] | None = None, network: str = "", ready: bool = True
) -> Iterator[Guest]:
    """Boot a guest, by default to READY; end its process whatever happens."""
    folder.mkdir()
    iso = write_seed(folder / "seed.iso", seed) if seed else None
    guest = Guest(folder, disk, network, iso)
    try:
        if ready:
            guest.printed(r"^TINY READY .*\n", BOOT_TIMEOUT)
        yield guest
    finally:
        guest.end()


def write_seed(path: Path, files: Mapping[str, str]) -> Path:
    """Write a NoCloud seed: an ISO 9660 image labelled cidata, with Joliet and Rock Ridge names."""
    iso = pycdlib.PyCdlib()
    iso.new(vol_ident="cidata", joliet=3, rock_ridge="1.09")
    for number, (name, text) in enumerate(files.items()):
        content = text.encode()
        iso.add_fp(io.BytesIO(content), len(content), f"/FILE{number}.;1", rr_name=name, joliet_path=f"/{name}")
    iso.write(str(path))
    iso.close()
    return path


def overlay(folder: Path, size: int) -> Path:
    """Make a disk of `size` bytes on top of the image."""
    disk = folder / "root.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(build()), str(disk), str(size)]
    subprocess.run(command, check=True, timeout=TIMEOUT)
    return disk


def free_port() -> int:
    """Return a TCP port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


META_DATA = f"""\
instance-id: i-1
local-hostname: web.example.org
public-keys:
  - {KEY}
"""

CLOUD_CONFIG = f"""\
#cloud-config
ssh_authorized_keys: ["{OTHER_KEY}"]
package_update: true
runcmd:
  - echo plain > /data/ran
  - [ sh, -c, "echo \\"$0\\" >> /data/ran", "a, b" ]
  - |
    if true; then
      echo block >> /data/ran
    fi
"""


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    """Ports of this machine that lead to the shared guest's ssh and http."""
    return free_port(), free_port()


@pytest.fixture(scope="module")
def login_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a private key whose public half the shared guest trusts."""
    if not shutil.which("ssh"):
        pytest.skip("ssh is missing: apt-get install openssh-client")
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=TIMEOUT)
    return path


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory, ports: tuple[int, int], login_key: Path) -> Iterator[Guest]:
    """Boot the guest that the tests which change nothing lasting share."""
    folder = tmp_path_factory.mktemp("shared")
    keys = META_DATA + f"  - {login_key.with_suffix('.pub').read_text()}"
    forward = f",hostfwd=tcp:127.0.0.1:{ports[0]}-:22,hostfwd=tcp:127.0.0.1:{ports[1]}-:80"
    seed = {"meta-data": keys, "user-data": CLOUD_CONFIG}
    with booted(folder / "run", overlay(folder, 256 * MIB), seed=seed, network=forward) as running:
        yield running


def test_ready_line_names_host_and_address(guest: Guest) -> None:
    ready = guest.printed(r"^TINY READY host=(\S+) ip=(\S+) source=(\S+)")
    assert ready.groups() == ("web", "10.0.2.15", "nocloud")


def test_keys_come_from_metadata_and_user_data(guest: Guest) -> None:
    keys = guest.run("cat /root/.ssh/authorized_keys").splitlines()
    assert KEY in keys
    assert OTHER_KEY in keys


def test_cloud_config_runs_commands_and_says_what_it_ignores(guest: Guest) -> None:
    guest.printed(r"^.*TINY USERDATA exit=0")
    assert guest.run("cat /data/ran").splitlines() == ["plain", "a, b", "block"]
    guest.printed(r"not supported, ignored: package_update")


def test_agent_answers(guest: Guest) -> None:
    assert guest.agent.call("guest-ping") == {}


def test_web_server_serves_the_host_name(guest: Guest, ports: tuple[int, int]) -> None:
    for path in ("/", "/hostname"):
        connection = http.client.HTTPConnection("127.0.0.1", ports[1], timeout=TIMEOUT)
        connection.request("GET", path)
        assert connection.getresponse().read() == b"web\n"
        connection.close()


def test_login_needs_the_key(guest: Guest, ports: tuple[int, int], login_key: Path) -> None:
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]
    options += ["-o", "IdentitiesOnly=yes", "-F", "none", "-p", str(ports[0])]

    def ssh(*more: str) -> subprocess.CompletedProcess[str]:
        command = ["ssh", *options, *more, "root@127.0.0.1", "hostname"]
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)

    trusted = ssh("-i", str(login_key))
    assert trusted.stdout == "web\n", trusted.stderr
    assert ssh("-i", "/dev/null").returncode != 0


def test_serial_console_is_a_root_shell(guest: Guest) -> None:
    guest.type("echo user=$(id -u) tools=$(which ping wget nc blkid mke2fs mount dd md5sum ip | wc -l)")
    guest.printed(r"^user=0 tools=9")


def test_a_disk_plugged_in_appears_and_goes(guest: Guest, tmp_path: Path) -> None:
    qmp = guest.qmp
    for name in ("vdb", "vdc"):
        file = tmp_path / name
        with file.open("wb") as disk:
            disk.truncate(16 * MIB)
        qmp.call("blockdev-add", driver="raw", node_name=name, file={"driver": "file", "filename": str(file)})
        qmp.call("device_add", driver="virtio-blk-pci", drive=name, id=name)
        # The kernel makes /sys/block's link last, after the device node.
        appeared = f"timeout 20 sh -c 'until cat /sys/block/{name}/size; do usleep 20000; done 2>/dev/null'"
        assert guest.run(appeared) == str(16 * MIB // 512)
        guest.run(f"/sbin/mke2fs -q -F -t ext4 /dev/{name} && mount -t ext4 /dev/{name} /mnt && umount /mnt")
    for name in ("vdb", "vdc"):
        qmp.call("device_del", id=name)
        qmp.event("DEVICE_DELETED")
        assert guest.run(f"[ -b /dev/{name} ] || echo gone") == "gone"


def test_a_nic_plugged_in_gets_an_address(guest: Guest) -> None:
    qmp = guest.qmp
    qmp.call("netdev_add", type="user", id="net1", net="10.9.0.0/24")
    qmp.call("device_add", driver="virtio-net-pci", netdev="net1", id="nic1", romfile="")
    guest.run("timeout 25 sh -c 'until addresses | grep -q 10.9.0.15; do usleep 50000; done'")
    assert guest.run("ip route get 192.0.2.1 | grep -o 'dev eth0'") == "dev eth0"  # the first NIC keeps the default


def test_power_button_then_a_larger_disk_keeps_its_data(tmp_path: Path) -> None:
    disk = overlay(tmp_path, 128 * MIB)
    with booted(tmp_path / "first", disk) as guest:
        before = int(guest.run("stat -f -c '%b' /data"))
        guest.run("echo kept >/data/note; sleep 300 >/data/open 2>&1 </dev/null & :")  # a file in use does not hinder
        guest.qmp.call("system_powerdown")
        guest.printed(r"TINY STOPPING how=poweroff")
        assert guest.process.wait(TIMEOUT) == 0
    subprocess.run(["qemu-img", "resize", "-q", str(disk), str(512 * MIB)], check=True, timeout=TIMEOUT)
    with booted(tmp_path / "second", disk) as guest:
        assert guest.run("cat /data/note") == "kept"
        assert int(guest.run("stat -f -c '%b' /data")) > 3 * before
        guest.type("reboot")
        guest.printed(r"READY[\s\S]*STOPPING how=reboot[\s\S]*READY", BOOT_TIMEOUT)
        assert guest.run("cat /data/note; dmesg | grep -c 'EXT4-fs.*recovery' || :").split() == ["kept", "0"]


METADATA_SERVICE = """\
import sys
path = sys.stdin.readline().split()[1]
head = ""
while line := sys.stdin.readline().strip():
    head += line + "\\n"
if path == "/":
    asked = head.partition("DomU_Request: ")[2].split("\\n")[0]
    body = "s3cret" if asked == "send_my_password" else asked
    print(f"HTTP/1.0 200 OK\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n{body}", end="", flush=True)
    sys.exit()
answers = {
    "/latest/meta-data/local-hostname": "from-http",
    "/latest/meta-data/public-keys": %r,
    "/latest/meta-data/instance-id": "i-2",
    "/latest/user-data": "#!/bin/sh\\necho $(hostname) >/data/script\\nexit 7\\n",
}
status = "200 OK" if path in answers else "404 Not Found"
body = answers.get(path, "")
print(f"HTTP/1.0 {status}\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n{body}", end="", flush=True)
"""


def test_metadata_over_http_and_a_script(tmp_path: Path) -> None:
    service = tmp_path / "service.py"
    service.write_text(METADATA_SERVICE % KEY)
    forward = f"guestfwd=tcp:169.254.169.254:{{}}-cmd:{sys.executable} {service}"
    address = f",net=169.254.0.0/16,{forward.format(80)},{forward.format(8080)}"
    with booted(tmp_path / "run", overlay(tmp_path, 128 * MIB), network=address) as guest:
        assert guest.printed(r"^TINY READY host=(\S+)")[1] == "from-http"
        guest.printed(r"TINY USERDATA exit=7")
        assert guest.run("cat /root/.ssh/authorized_keys /data/script").splitlines() == [KEY, "from-http"]
        guest.printed(r"TINY PASSWORD taken from 169.254.169.254")
        salt, hashed = guest.run("grep ^root: /data/ssh/shadow | cut -d: -f2").split("$")[2:]
        assert guest.run(f"mkpasswd -m sha512 -S {salt} s3cret") == f"$6${salt}${hashed}"
        assert "dropbear -R -p 22" in guest.run("ps")
        assert guest.agent.call("guest-fsfreeze-freeze") == 1
        assert guest.agent.call("guest-fsfreeze-thaw") == 1
