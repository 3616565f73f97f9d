"""What the tool reads back: its own files, processes, archives, and what the cluster says of itself."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from dev.archive import image_id, write_archive
from dev.cluster import ready_nodes
from dev.image import archive_name
from dev.paths import finished_folder, write
from dev.process import Daemon
from dev.status import Line


def node(name: str, status: str, heartbeat: str) -> dict[str, object]:
    condition = {"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat}
    return {"metadata": {"name": name}, "status": {"conditions": [condition]}}


def test_ready_nodes_are_those_that_say_so_and_when() -> None:
    items = [
        node("node1", "True", "2026-01-01T00:00:10Z"),
        node("node2", "Unknown", "2026-01-01T00:00:10Z"),
        {"metadata": {"name": "node3"}, "status": {}},
    ]
    assert ready_nodes(json.dumps({"items": items})) == {"node1": 1767225610.0}


def test_a_folder_appears_only_when_it_is_finished(tmp_path: Path) -> None:
    target = tmp_path / "built"
    with pytest.raises(KeyError), finished_folder(target) as scratch:
        (scratch / "half").touch()
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with finished_folder(target) as scratch:
        (scratch / "whole").touch()
    assert (target / "whole").exists()


def test_a_file_is_written_whole_and_with_its_mode(tmp_path: Path) -> None:
    path = write(tmp_path / "a/b", "text", mode=0o600)
    assert path.read_text() == "text"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_daemon_is_found_again_and_ended(tmp_path: Path) -> None:
    Daemon("sleeper", tmp_path / "pid").start([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log")
    again = Daemon("sleeper", tmp_path / "pid")
    pid = again.pid
    assert pid is not None
    again.stop()
    assert again.pid is None
    assert not Path(f"/proc/{pid}").exists()


def test_a_reused_process_number_is_not_mistaken_for_the_daemon(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(f"{os.getpid()} 1\n")
    assert Daemon("other", tmp_path / "pid").pid is None


def test_the_same_program_makes_the_same_image(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"program")
    for name in ("one.tar", "two.tar"):
        write_archive(tmp_path / name, "localhost/pause:1", program, command="/pause")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        config = tar.extractfile(f"{image_id(tmp_path / 'one.tar')}.json")
        assert config is not None
        assert json.load(config)["config"]["Entrypoint"] == ["/pause"]


def test_an_archive_is_named_by_image_and_reference() -> None:
    assert archive_name("localhost/cloudstack:dev", "ab" * 32) == "localhost-cloudstack-dev@abababababababab.tar"


def test_a_status_line_says_what_is_down() -> None:
    assert str(Line("node1", False, "off")).split() == ["node1", "DOWN", "off"]


def test_the_tool_needs_nothing_but_python() -> None:
    """`python3 -m dev` has to run before anything is installed: -S and -I hide everything that is not Python's own."""
    root = Path(__file__).resolve().parents[3]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import dev.cli, dev.status, dev.image, dev.doctor"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=30)
