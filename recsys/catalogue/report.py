"""The page about a batch: what came, what was accepted or not and why. It shows no value of a person."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, StrictUndefined

from recsys.catalogue.arrival import AcceptedBy, Arrival
from recsys.catalogue.judging import Judged
from recsys.catalogue.landing import Landed
from recsys.catalogue.refusals import Problem
from recsys.catalogue.verdict_words import found_value

_STYLE = """
:root { color-scheme: light dark; --line: #8884;
  --good: light-dark(#1f7a4d, #63c792); --bad: light-dark(#b3261e, #f08a7d); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 1.5rem; }
th, td { text-align: left; padding: 0.3rem 0.6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: anywhere; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
figure { margin: 0; } svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
.verdict { font-size: 1.2rem; }
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{{ style|safe }}</style></head><body>
<h1>{{ title }}</h1>
<p class="verdict"><span class="{{ 'bad' if problems else 'good' }}">{{ verdict }}</span></p>
{% if problems %}<h2>Why it was refused</h2>
<table><tr><th>reason</th><th>what to do</th></tr>
{% for one in problems %}<tr><td>{{ one.message }}</td><td>{{ one.remedy }}</td></tr>
{% endfor %}</table>{% endif %}
<table>
{% for name, value in facts %}<tr><th>{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}</table>
{% if notes %}<h2>Notes</h2>
<ul>{% for note in notes %}<li>{{ note }}</li>
{% endfor %}</ul>{% endif %}
{% if reasons %}<h2>Quarantined rows</h2>
<table><tr><th>reason</th><th>meaning</th><th class="n">rows</th><th>first lines of the file</th>
<th>example</th><th>what to do</th></tr>
{% for one in reasons %}<tr><td>{{ one.reason }}</td>
<td>{{ one.meaning }}</td><td class="n">{{ "{:,}".format(one.n_rows) }}</td>
<td>{{ one.shown_lines }}</td><td>{{ one.detail }}</td><td>{{ one.remedy }}</td></tr>
{% endfor %}</table>{% endif %}
<h2>Checks of the batch</h2>
<table><tr><th>expectation</th><th class="n">found</th><th></th></tr>
{% for requirement, found, holds in batch_checks %}<tr><td>{{ requirement }}</td><td class="n">{{ found }}</td>
<td class="{{ 'good' if holds else 'bad' }}">{{ "holds" if holds else "fails" }}</td></tr>
{% endfor %}</table>
{% if bars %}<h2>Length of texts</h2>
<figure><svg viewBox="0 0 640 {{ 24 * bars|length }}" role="img" aria-label="histogram of text lengths">
{% for label, width, count in bars %}<text x="150" y="{{ 24 * loop.index0 + 16 }}" text-anchor="end">{{ label }}</text>
<rect x="160" y="{{ 24 * loop.index0 + 4 }}" width="{{ width }}" height="16" fill="#4c78a8"/>
<text x="{{ 168 + width }}" y="{{ 24 * loop.index0 + 16 }}">{{ "{:,}".format(count) }}</text>
{% endfor %}</svg>
<figcaption>characters in title, description and tags; number of texts</figcaption></figure>{% endif %}
<h2>Checks of rows</h2>
<table><tr><th>expectation (Great Expectations)</th><th>reason</th><th class="n">rows that fail</th></tr>
{% for requirement, reason, count in row_checks %}<tr><td>{{ requirement }}</td><td>{{ reason }}</td>
<td class="n {{ 'bad' if count else 'good' }}">{{ "{:,}".format(count) }}</td></tr>
{% endfor %}</table>
<p>A row may fail several expectations; it is quarantined for the first.
About interactions this page shows only counts and line numbers.</p>
</body></html>
"""

_JOINT_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{{ style|safe }}</style></head><body>
<h1>{{ title }}</h1>
<p class="verdict"><span class="good">Accepted: {{ "{:,}".format(n_rows) }} of {{ "{:,}".format(n_landed) }} rows
in {{ "{:,}".format(n_files) }} small files that waited together</span></p>
{% for record, reasons, notes in noteworthy %}<h2>{{ record.source }} ({{ record.part }})</h2>
<ul>{% for one in reasons %}<li>{{ one.reason }}: {{ "{:,}".format(one.n_rows) }} rows quarantined,
lines {{ one.shown_lines }}: {{ one.detail }}; {{ one.remedy }}</li>
{% endfor %}{% for note in notes %}<li>{{ note }}</li>
{% endfor %}</ul>
{% endfor %}{% if n_more %}<p>{{ "{:,}".format(n_more) }} more files have quarantined rows or notes.</p>{% endif %}
<p>About interactions this page shows only counts and line numbers.</p>
</body></html>
"""

BAR_PIXELS = 380
MAX_FILES_SHOWN = 100


@dataclass(frozen=True)
class Title:
    """What the page is about."""

    name: str
    """Part id, or `refused <batch>`."""
    problems: Sequence[Problem] = ()
    """Why it was refused; empty where it was accepted."""
    accepted_by: AcceptedBy | None = None


def batch_page(title: Title, landed: Landed, judged: Judged) -> bytes:
    """The HTML page of a judged batch; the same batch gives the same bytes.

    Args:
        title: name of the part or refusal.
        landed: the file that it came in.
        judged: its verdicts.

    Returns:
        UTF-8 HTML without scripts or outside references.
    """
    return _rendered(
        _PAGE,
        title=f"{landed.kind}: {title.name}",
        problems=title.problems,
        verdict=_verdict(title, judged),
        facts=_facts(title, landed, judged),
        notes=judged.notes,
        reasons=judged.reasons(),
        batch_checks=[
            (v.expected.requirement, found_value(judged.batch, judged.measured.metrics, v.expected), v.holds)
            for v in judged.of_batch
        ],
        row_checks=[(v.expected.requirement, v.expected.reason, len(v.lines)) for v in judged.of_rows],
        bars=_bars(judged.measured.length_histogram),
    )


def joint_page(arrival: Arrival, judged: Sequence[Judged]) -> bytes:
    """The HTML page of a part of several landed files; the same files give the same bytes.

    Args:
        arrival: the part's record.
        judged: the verdicts of each file, in the order of the records.

    Returns:
        UTF-8 HTML without scripts or outside references.
    """
    pairs = list(zip(arrival.landed(), judged, strict=True))
    noteworthy = [(record, one) for record, one in pairs if one.bad.lines or one.notes]
    return _rendered(
        _JOINT_PAGE,
        title=f"{arrival.kind}: {arrival.part}",
        n_files=len(pairs),
        n_rows=sum(record.n_rows for record, _ in pairs),
        n_landed=sum(one.batch.n_landed for _, one in pairs),
        noteworthy=[(record, one.reasons(), one.notes) for record, one in noteworthy[:MAX_FILES_SHOWN]],
        n_more=max(0, len(noteworthy) - MAX_FILES_SHOWN),
    )


def _rendered(template: str, **values: object) -> bytes:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    return environment.from_string(template).render(style=_STYLE, **values).encode()


def _verdict(title: Title, judged: Judged) -> str:
    if title.problems:
        return "Refused: nothing was taken in, the file stays where it landed"
    if title.accepted_by:
        return f"Let in by {title.accepted_by.who}: {title.accepted_by.why}"
    return f"Accepted: {judged.good.num_rows:,} of {judged.batch.n_landed:,} rows"


def _facts(title: Title, landed: Landed, judged: Judged) -> list[tuple[str, str]]:
    facts = [
        ("file", landed.name),
        ("arrived", landed.modified.isoformat(timespec="seconds")),
        ("size", f"{landed.size:,} bytes"),
        ("rows", f"{judged.batch.n_landed:,}"),
        ("good", f"{judged.good.num_rows:,}"),
        ("quarantined", f"{len(judged.bad.lines):,}"),
        ("superseded", f"{judged.change.n_superseded + judged.change.n_outdated:,}"),
        ("pending", f"{judged.change.n_pending:,}"),
    ]
    statistics = judged.measured.statistics
    for name, chars in sorted(statistics.median_chars.items()):
        facts.append((f"median length of {name}", f"{chars:,.0f} characters"))
    if statistics.languages:
        shown = ", ".join(f"{language} {n}" for language, n in statistics.languages.items())
        facts.append((f"languages, of {statistics.n_language_sample} texts sampled", shown))
    return facts


def _bars(histogram: Sequence[tuple[int, int, int]]) -> list[tuple[str, int, int]]:
    largest = max((count for _, _, count in histogram), default=0)
    return [
        (f"{lo:,} to {hi - 1:,}", BAR_PIXELS * count // max(1, largest), count) for lo, hi, count in histogram
    ]
