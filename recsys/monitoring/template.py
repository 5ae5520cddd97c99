# ruff: noqa: E501  lines of HTML, not of Python
"""The page of monitoring, as a Jinja template."""

from recsys.gate.template import STYLE

TEMPLATE = (
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Watched: {{ "something changed" if alarms else "nothing unusual" }}</title>
<style>"""
    + STYLE
    + """  .verdict { background: {{ "#b3261e" if alarms else "#1f7a4d" }}; }
  .grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(330px, 100%), 1fr)); gap: 12px; }
  .grid .card { margin: 0; } .grid h4 { margin: 0 0 4px; font-size: 14.5px; } .grid p { margin: 2px 0 0; font-size: 13px; }
  .raised { border-color: var(--bad); } .two { display: grid; grid-template-columns: minmax(260px, 2fr) 3fr 3fr; gap: 22px; }
  .two h4 { margin: 0 0 4px; font-size: 14px; } .two ul { margin: 0; padding-left: 18px; font-size: 14px; overflow-wrap: anywhere; }
  .two table { font-size: 14px; } .two td, .two th { padding: 3px 6px; white-space: normal; overflow-wrap: anywhere; }
  @media (max-width: 800px) { .two { grid-template-columns: 1fr; } }
</style>
</head>
<body><main>
<section class="verdict">
  <h1>{{ "Something changed" if alarms else ("Learning" if learning else "Nothing unusual") }}</h1>
  <ul>{% for table in report.tables %}<li>{{ table.table }}: {{ table.sentence() }}{% if table.n_waiting %} ({{ "{:,}".format(table.n_waiting) }} rows wait until there are {{ params.min_rows }}){% endif %}</li>{% endfor %}</ul>
</section>
<dl class="facts">
  {% for table in report.tables %}<div><dt>{{ table.table }}</dt><dd>{{ "{:,}".format(table.n_arrivals) }} arrivals</dd></div>{% endfor %}
  <div><dt>false alarms</dt><dd>at most {{ "%g" % (100 * params.false_alarms) }} in 100 ordinary arrivals</dd></div>
  <div><dt>compared with</dt><dd>the {{ params.window_arrivals }} arrivals before, {{ params.sample_rows }} rows of each</dd></div>
</dl>
{% for table in report.tables %}{% for note in table.notes %}<p class="card no">{{ note }}</p>{% endfor %}{% endfor %}

{% for one in shown %}
<h2>{{ one.title }} <span class="quiet">({{ one.arrival.at.strftime("%Y-%m-%d %H:%M") }} UTC, {{ "{:,}".format(one.arrival.n_rows) }} rows)</span></h2>
<div class="card raised"><table>
<tr><th class="words">what is not ordinary</th><th>now</th><th>expected</th><th>ordinary</th><th>p</th><th>since</th></tr>
{% for alarm in one.arrival.alarms %}{% set reading = one.arrival.readings[alarm.signal] %}
<tr><td class="words"><b>{{ alarm.title }}</b></td><td class="no">{{ number(reading.value) }}</td><td>{{ number(reading.expected) }}</td><td>{% if reading.lower is not none %}{{ number(reading.lower) }} {% endif %}{% if reading.upper is not none %}to {{ number(reading.upper) }}{% else %}or more{% endif %}</td><td>{{ "%.1g" % reading.p }}</td><td>{{ "this arrival" if alarm.is_new else "earlier" }}</td></tr>
{% endfor %}</table></div>
{% for alarm in one.examples %}
<div class="card"><b>{{ alarm.title }}</b><div class="two">
<div>{% if alarm.moved %}<table><tr><th>what changed</th><th>before</th><th>now</th></tr>{% for row in alarm.moved %}<tr><td>{{ row.name }}</td><td>{{ "%.0f" % (100 * row.before) }}&nbsp;%</td><td>{{ "%.0f" % (100 * row.now) }}&nbsp;%</td></tr>{% endfor %}</table>{% endif %}</div>
<div>{% if alarm.rows %}<h4 class="quiet">most unlike earlier ones</h4><ul>{% for row in alarm.rows %}<li>{{ row.text or row.item_id }}{% if row.text %} <span class="quiet">({{ row.item_id }})</span>{% endif %}</li>{% endfor %}</ul>{% endif %}</div>
<div>{% if alarm.before %}<h4 class="quiet">earlier ones</h4><ul>{% for row in alarm.before %}<li>{{ row.text or row.item_id }}</li>{% endfor %}</ul>{% endif %}</div>
</div></div>
{% endfor %}{% endfor %}

{% for table, drawn in tables %}
<h2>{{ table.table.capitalize() }} <span class="quiet">(each point an arrival, the oldest left; shaded: what was ordinary; red: alarm)</span></h2>
{% if drawn %}<div class="grid">{% for one in drawn %}<div class="card{{ " raised" if one.raised }}"><h4>{{ one.title }}</h4>{{ one.figure }}
{% if one.reading %}<p class="quiet">now {{ number(one.reading.value) }}, expected {{ number(one.reading.expected) }}; a change of {{ number(one.reading.smallest) }} would be noticed with probability .95</p>{% endif %}</div>{% endfor %}</div>
{% else %}<p class="card">{{ table.sentence().capitalize() }}.</p>{% endif %}
{% endfor %}
<p class="quiet">How to read and tune this: docs/monitoring.md.</p>
</main></body></html>
"""
)
