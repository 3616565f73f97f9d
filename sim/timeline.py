"""A picture of a run: one line per process, its lives and faults as bars, what it did as marks, as one HTML file."""

from __future__ import annotations

import html
from collections.abc import Iterator

from sim.run import Run, Verdict
from sim.trace import Entry

WIDTH, ROW, LEFT = 1600, 22, 190
COLOURS = {
    "creates": "#2a7",
    "writes": "#36c",
    "deletes": "#c60",
    "ends": "#c33",
    "guest-on": "#080",
    "guest-off": "#a00",
}
STYLE = """
body { font: 13px system-ui, sans-serif; margin: 16px; color: #222; background: #fff }
svg text { font: 11px system-ui, sans-serif } .life { fill: #e8eef8 } .fault { fill: #f4b6b0; opacity: .7 }
.row:hover .life { fill: #d5e2f7 } pre { background: #f6f6f6; padding: 8px; max-height: 60vh; overflow: auto }
.bad { color: #a00; font-weight: bold }
"""


def page(run: Run, verdict: Verdict) -> str:
    """The whole page. The run must have kept its trace."""
    entries = [each for each in run.world.trace.entries if " Lease " not in f" {each.text}"]
    end = max([each.time for each in entries] + [1.0])
    # After the last fault little happens for long: the picture ends a little after it did.
    busy = [each.time for each in entries if each.actor != "chaos"]
    end = min(end, (busy[-1] if busy else end) + 5)
    state = "ok" if verdict.ok else "<span class=bad>FAILED</span>"
    problems = "".join(f"<li class=bad>{html.escape(each[:800])}</li>" for each in verdict.problems)
    lines = "\n".join(html.escape(str(each)) for each in entries)
    return (
        f"<!doctype html><meta charset=utf-8><title>seed {verdict.seed}</title><style>{STYLE}</style>"
        f"<h1>Seed {verdict.seed}: {state}</h1><p>{verdict.lives} guests started, {verdict.writes} writes, "
        f"{verdict.virtual:.0f} virtual seconds. Blue: a process is alive. Red: faults. Hover over a mark.</p>"
        f"<ul>{problems}</ul>{picture(entries, end)}<h2>Trace</h2><pre>{lines}</pre>"
    )


def picture(entries: list[Entry], end: float) -> str:
    """The time line, as SVG."""
    actors = list(dict.fromkeys(each.actor for each in entries if each.time <= end))
    rows = {actor: number for number, actor in enumerate(sorted(actors, key=_rank))}
    height = ROW * (len(rows) + 2)
    parts = [f'<svg width="{LEFT + WIDTH + 20}" height="{height}" xmlns="http://www.w3.org/2000/svg">']
    for second in range(0, int(end) + 1, max(1, int(end) // 20)):
        x = _x(second, end)
        parts.append(f'<line x1="{x}" x2="{x}" y1="0" y2="{height - ROW}" stroke="#eee"/>')
        parts.append(f'<text x="{x}" y="{height - 6}">{second} s</text>')
    for actor, row in rows.items():
        mine = [each for each in entries if each.actor == actor and each.time <= end]
        parts.append(f'<g class="row"><text x="4" y="{row * ROW + 15}">{html.escape(actor)}</text>')
        parts += _bars(mine, row, end)
        parts += (_mark(each, row, end) for each in mine)
        parts.append("</g>")
    return "".join([*parts, "</svg>"])


def _bars(mine: list[Entry], row: int, end: float) -> Iterator[str]:
    """Lives of a process, or for chaos how long each fault lasted."""
    since: dict[str, float] = {}
    for each in mine:
        if each.verb == "starts":
            since["life"] = each.time
        elif each.verb == "dies" and "life" in since:
            yield _bar("life", since.pop("life"), each.time, row, end)
        elif each.actor == "chaos" and each.verb == "ends":
            kind = each.text.split(" ")[0]
            if kind in since:
                yield _bar("fault", since.pop(kind), each.time, row, end)
        elif each.actor == "chaos":
            since[each.verb] = each.time
    if "life" in since:
        yield _bar("life", since["life"], end, row, end)


def _bar(kind: str, start: float, stop: float, row: int, end: float) -> str:
    width = max(1.0, _x(stop, end) - _x(start, end))
    return f'<rect class="{kind}" x="{_x(start, end)}" y="{row * ROW + 3}" width="{width:.1f}" height="{ROW - 6}"/>'


def _mark(entry: Entry, row: int, end: float) -> str:
    colour = COLOURS.get(entry.verb, "#888")
    said = html.escape(f"{entry.time:.3f} {entry.verb} {entry.text}"[:300])
    at = f'cx="{_x(entry.time, end)}" cy="{row * ROW + 11}"'
    return f'<circle {at} r="2.6" fill="{colour}"><title>{said}</title></circle>'


def _x(time: float, end: float) -> float:
    return round(LEFT + time / end * WIDTH, 1)


def _rank(actor: str) -> tuple[int, str]:
    """People and chaos first, then components, then hosts with their agents."""
    if actor in ("user", "chaos"):
        return 0, actor
    name, at, host = actor.partition("@")
    if at:
        return 2, f"{host}-{name}"
    return (2, actor) if actor.endswith("-host") else (1, actor)
