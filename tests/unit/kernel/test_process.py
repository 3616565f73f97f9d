"""The parts around the controllers: health pages, logs, the launcher."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from operators import launch
from operators.kernel import health

REPO = Path(__file__).resolve().parents[3]


async def test_health_pages_say_what_is_wrong() -> None:
    trouble = {"alive": "", "ready": "the first full list is not complete"}
    app = health.application(lambda: trouble["alive"], lambda: trouble["ready"])
    async with health.served(app, 0, "127.0.0.1") as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def page(path: str) -> tuple[int, str]:
            async with session.get(path) as answer:
                return answer.status, await answer.text()

        assert await page("/healthz") == (200, "ok\n")
        assert await page("/readyz") == (503, "the first full list is not complete\n")
        trouble["ready"] = ""
        assert await page("/readyz") == (200, "ok\n")
        trouble["alive"] = "manager has ended"
        assert await page("/healthz") == (503, "manager has ended\n")
        assert (await page("/readyz"))[0] == 503
        code, text = await page("/metrics")
        assert code == 200
        assert "cloudstack_reconcile_seconds" in text


def run(code: str, **env: str) -> list[dict[str, object]]:
    """The log lines of a small program."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO)} | env,
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


LOGGING = """
import logging, os, structlog
from operators.kernel import logs
logs.configure("toy", os.environ)
log = structlog.get_logger()
with structlog.contextvars.bound_contextvars(controller="volumes", key="default/a", flow="a-deploy"):
    log.info("act", number=1)
log.debug("detail")
logging.getLogger("kopf.objects").info("chatter")
logging.getLogger("kopf.objects").warning("doubt of %s", "kopf")
try:
    raise ValueError("why")
except ValueError:
    log.exception("failed")
"""


def test_logs_are_one_json_object_a_line() -> None:
    act, doubt, failed = run(LOGGING)
    assert act.pop("time")
    expected = {"controller": "volumes", "key": "default/a", "flow": "a-deploy", "number": 1}
    assert act == {"event": "act", "level": "info", "component": "toy"} | expected
    assert (doubt["event"], doubt["level"], doubt["component"]) == ("doubt of kopf", "warning", "toy")
    assert "ValueError: why" in str(failed["exception"])
    assert "controller" not in failed


def test_the_log_level_is_the_environments() -> None:
    assert {"detail", "chatter"} <= {str(line["event"]) for line in run(LOGGING, LOG_LEVEL="debug")}
    assert {str(line["event"]) for line in run(LOGGING, LOG_LEVEL="error")} == {"failed"}


def test_the_launcher_knows_each_component_and_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main(["version"]) == 0
    assert capsys.readouterr().out.strip()
    with pytest.raises(SystemExit):
        launch.main(["run", "nobody"])
    assert "choose from" in capsys.readouterr().err
    for module in launch.COMPONENTS.values():
        assert module.endswith(".handlers")
        assert importlib.util.find_spec(module.partition(".")[0]) is not None
