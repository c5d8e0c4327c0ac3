"""The look of a report's page, and the pieces that it is put together from."""

from __future__ import annotations

from html import escape

_LIGHT = """--paper:#ffffff;--ink:#1f2328;--muted:#59636e;--grid:#e6e9ec;--one:#2a78d6;--two:#c2570c;--soft:#f6f8fa;
--line:#d1d9e0;--warn:#9a3412;--warned:#fff1e6"""
_DARK = """--paper:#15181c;--ink:#e6e9ec;--muted:#9aa4ae;--grid:#2b3138;--one:#5aa2f0;--two:#f0883e;--soft:#1d2126;
--line:#363d45;--warn:#ffb077;--warned:#33200f"""

STYLE = f"""
:root{{{_LIGHT};color-scheme:light dark}}
@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}}}}}
body{{font:15px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;color:var(--ink);background:var(--paper);margin:0}}
main{{max-width:66rem;margin:2rem auto;padding:0 1.25rem}}
h1{{font-size:1.6rem;line-height:1.25;margin:0}}h2{{font-size:1.15rem;margin:2.4rem 0 .6rem}}
h3{{font-size:1rem;margin:1.4rem 0 .4rem}}
p{{max-width:52rem;margin:.6rem 0}}.of,.mute{{color:var(--muted)}}p.of{{margin:.2rem 0 1rem}}p.lead{{font-size:1.05rem}}
p.warning{{background:var(--warned);color:var(--warn);border-left:4px solid var(--warn);padding:.6rem .9rem}}
.figures{{display:flex;flex-wrap:wrap;gap:1.25rem;align-items:flex-start}}
figure{{margin:0;flex:0 1 auto;max-width:100%;break-inside:avoid}}figure svg{{max-width:100%;height:auto;display:block}}
figure svg text{{font-family:system-ui,-apple-system,"Segoe UI",sans-serif!important}}
div.wide{{overflow-x:auto;margin:.6rem 0}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}}
th,td{{padding:.32rem .7rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top;white-space:nowrap}}
th{{font-weight:600;color:var(--muted)}}th:first-child,td:first-child,.words{{text-align:left}}
td.words,th.words{{text-align:left;white-space:normal;min-width:12rem;overflow-wrap:anywhere}}
table.matrix td,table.matrix th{{border:1px solid var(--paper);text-align:center;min-width:1.6rem;padding:.25rem .4rem}}
table.matrix th.side{{text-align:right;max-width:14rem;overflow:hidden;text-overflow:ellipsis}}
table.matrix td.right{{outline:1.5px solid var(--one);outline-offset:-1.5px}}
.mistake{{border:1px solid var(--line);border-radius:6px;padding:.7rem .9rem;margin:.7rem 0;break-inside:avoid}}
.mistake p{{margin:0 0 .4rem}}.mistake dl{{display:flex;flex-wrap:wrap;gap:.15rem 1.1rem;margin:0;font-size:.9rem}}
.mistake dt{{color:var(--muted);display:inline}}.mistake dd{{display:inline;margin:0 0 0 .35rem;overflow-wrap:anywhere}}
.mistake img{{display:block;image-rendering:pixelated;min-width:64px;max-width:128px;background:var(--soft)}}
.gallery{{display:flex;flex-wrap:wrap;gap:.7rem}}.gallery .mistake{{margin:0;max-width:15rem}}
pre{{background:var(--soft);padding:.8rem 1rem;overflow-x:auto;font-size:.82rem;line-height:1.4;white-space:pre-wrap;
overflow-wrap:anywhere}}
ul{{padding-left:1.2rem;max-width:52rem}}
@media print{{body{{font-size:11px}}main{{max-width:none;margin:0;padding:0}}h2{{break-after:avoid}}
div.wide{{overflow:visible}}tr{{break-inside:avoid}}}}
"""


def number(value: float | None) -> str:
    """With four significant digits; whole numbers as they are, small ones not as a power of ten."""
    if value is None:
        return "-"
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{value:,.0f}"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}" if size < 1e9 else f"{value:.4g}"
    return f"{value:.4f}" if 1e-3 <= size < 1 else f"{value:.4g}"


def table(head: list[str], rows: list[list[str]], words: frozenset[int] = frozenset()) -> str:
    """A table of cells that are HTML already; the columns of the numbers in `words` have sentences."""

    def cell(tag: str, position: int, content: str) -> str:
        of = ' class="words"' if position in words else ""
        return f"<{tag}{of}>{content}</{tag}>"

    heads = "".join(cell("th", i, escape(name)) for i, name in enumerate(head))
    lines = "".join(f"<tr>{''.join(cell('td', i, content) for i, content in enumerate(row))}</tr>\n" for row in rows)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>\n{lines}</tbody></table></div>'


def figure(svg: str, says: str) -> str:
    """A plot, and what it shows for those who can't see it."""
    return f'<figure role="img" aria-label="{escape(says, quote=True)}">{svg}</figure>'
