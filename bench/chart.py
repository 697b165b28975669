"""Results as a picture (SVG): a panel for each workload, a bar for each server, as long as an answer is dear."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench.figures import ratio_text
from bench.rounds import Results
from bench.table import BASE
from bench.workloads import Workload

COLUMNS, WIDTH, PANEL, NAMES, ROW, HEAD, GAP = 2, 920, 440, 156, 18, 34, 16
MOST_TIMES = 6.0  # a longer bar is cut, and its end says so
_STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif; fill: #24292f; }
.title { font-weight: 600; font-size: 13px; } .figure, .note { fill: #57606a; } .paper { fill: #ffffff; }
.ours { fill: #1a7f4b; } .others { fill: #9aa4af; } .cut { fill: none; stroke: #ffffff; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .figure, .note { fill: #9198a1; } .paper { fill: #0d1117; }
.ours { fill: #3fb27f; } .others { fill: #656c76; } .cut { stroke: #0d1117; } }
"""


def chart(results: Results, workloads: Sequence[Workload]) -> str:
    """Processor time of an answer, one panel a workload; shorter is cheaper. Ours are marked by their colour.

    Several workers on one core and a share of the top rate cost what one and all of it do: tables have them.
    """
    servers = [key for key in results.starts if not results.names[key].endswith("workers")]
    shown = [each for each in workloads if each.paced is None and any(_cost(results, key, each) for key in servers)]
    panels, heights = [], [0.0] * COLUMNS
    top = 48
    for workload in shown:
        column = heights.index(min(heights))
        panel, height = _panel(results, servers, workload)
        left = GAP / 2 + column * (PANEL + GAP)
        panels.append(f'<g transform="translate({left},{top + heights[column]:.0f})">{panel}</g>')
        heights[column] += height + GAP
    height = top + max(heights, default=0)
    title = "Processor time of one answer, in µs, database included: shorter is cheaper"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" role="img" '
        f'aria-label="{title}"><style>{_STYLE}</style>'
        f'<rect class="paper" width="{WIDTH}" height="{height:.0f}" rx="6"/>'
        f'<text class="title" x="8" y="16">{title}</text>'
        f'<text class="note" x="8" y="34">Green is mcp-core. The number behind a bar is µs, and how many times mcp-core '
        f"on SQLite that is.</text>{''.join(panels)}</svg>\n"
    )


def _panel(results: Results, servers: Sequence[str], workload: Workload) -> tuple[str, float]:
    costs = {key: cost for key in servers if (cost := _cost(results, key, workload))}
    base = costs.get(BASE)
    longest = min(max(costs.values()), MOST_TIMES * (base or min(costs.values())))
    room = PANEL - NAMES - 110
    parts = [f'<text class="title" x="0" y="14">{escape(workload.name)}</text>']
    for number, (key, cost) in enumerate(costs.items()):
        y = HEAD - 10 + number * ROW
        length = max(1.0, min(cost, longest) / longest * room)
        kind = "ours" if results.names[key].startswith("mcp-core") else "others"
        figure = f"{cost:,.0f}" + (f" · {ratio_text(cost / base)}×" if base and key != BASE else "")
        parts.append(f'<text x="{NAMES - 8}" y="{y + 11}" text-anchor="end">{escape(results.names[key])}</text>')
        parts.append(f'<rect class="{kind}" x="{NAMES}" y="{y + 2}" width="{length:.1f}" height="12" rx="2"/>')
        if cost > longest:
            x = NAMES + length - 14
            parts.append(f'<path class="cut" d="M{x:.0f} {y + 16} l5 -16 M{x + 5:.0f} {y + 16} l5 -16"/>')
        parts.append(f'<text class="figure" x="{NAMES + length + 6:.1f}" y="{y + 11}">{figure}</text>')
    return "".join(parts), HEAD + len(costs) * ROW


def _cost(results: Results, server: str, workload: Workload) -> float | None:
    run = results.median(server, workload.key)
    return None if run is None else run.cpu
