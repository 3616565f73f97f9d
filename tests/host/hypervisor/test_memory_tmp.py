from tests.host.hypervisor.test_snapshots import *  # noqa
import subprocess
async def test_memory_probe(both: Both, tmp_path: Path) -> None:
    key = await both.guest("vm1", copy="tiny")
    await both.sh(key, "echo mem > /run/note; echo d1 > /data/note; sync")
    dom = both.world.read(key).spec.domain
    up1 = await both.sh(key, "cat /proc/uptime")
    mem = tmp_path / "mem.save"
    v = lambda *a: subprocess.run(["virsh","-q","-c",both.world.host.libvirt_uri,*a],capture_output=True,text=True,timeout=120)
    print("XML", [l for l in v("dumpxml", dom).stdout.splitlines() if "source file" in l or "target dev" in l])
    r = v("snapshot-create-as", dom, "m1", "--no-metadata", "--memspec", f"file={mem},snapshot=external", "--diskspec", "vda,snapshot=no", "--live")
    print("SNAP", r.returncode, r.stdout, r.stderr, mem.exists() and mem.stat().st_size)
    r2 = v("snapshot-create-as", dom, "m2", "--no-metadata", "--memspec", f"file={tmp_path}/mem2.save,snapshot=external", "--diskspec", "vda,snapshot=no")
    print("SNAP2", r2.returncode, r2.stdout, r2.stderr)
    r3 = v("save-image-dumpxml", str(mem)); print("IMG", r3.returncode, len(r3.stdout), r3.stderr)
    state = v("domstate", dom); print("STATE", state.stdout)
