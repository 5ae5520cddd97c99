# ruff: noqa: E501  lines of HTML, not of Python
"""The gate page as a Jinja template. It is Python, so that every kind of installation includes it."""

STYLE = """
  :root { color-scheme: light dark; --ink: light-dark(#1d2733, #e6eaee); --page: light-dark(#f4f6f8, #14181d); --card: light-dark(#fff, #1d232a);
    --line: light-dark(#dde3e9, #333c46); --quiet: light-dark(#5b6876, #9aa7b4); --good: light-dark(#1f7a4d, #63c792); --bad: light-dark(#b3261e, #f08a7d);
    --champion: light-dark(#eef5fb, #1b2d3d); --challenger: light-dark(#eaf6ef, #1a3327); --hit: light-dark(#d9f0e2, #1f4a33); }
  svg { background: #fff; border-radius: 6px; } /* figures are drawn for a light page */
  body { font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink); background: var(--page); margin: 0; }
  main { max-width: 1180px; margin: 0 auto; padding: 28px 24px 48px; }
  h1 { font-size: 30px; margin: 0; } h2 { font-size: 21px; margin: 36px 0 10px; } h3 { font-size: 16px; margin: 22px 0 6px; }
  .verdict { border-radius: 10px; padding: 20px 26px; color: #fff; }
  .verdict p, .verdict ul { margin: 8px 0 0; }
  .facts { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0 0; padding: 0; }
  .facts div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 8px 14px; }
  .facts dt { font-size: 12.5px; color: var(--quiet); } .facts dd { margin: 0; font-weight: 600; }
  .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 18px; margin: 12px 0; overflow-x: auto; }
  .pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); gap: 12px; }
  .pair .card { margin: 0; } svg { width: 100%; height: auto; }
  table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 15px; }
  th, td { padding: 6px 10px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
  th { font-weight: 600; color: var(--quiet); font-size: 13.5px; } th:first-child, td:first-child { text-align: left; }
  td.words, th.words { white-space: normal; text-align: left; min-width: 11em; } tr.champion td { font-weight: 600; background: var(--champion); } tr.challenger td { font-weight: 600; background: var(--challenger); }
  .ok { color: var(--good); font-weight: 600; } .no { color: var(--bad); font-weight: 600; } .quiet { color: var(--quiet); }
  .tight td { padding: 6px 5px; font-size: 14px; } .tight th { padding: 6px 5px; } code { font-size: 14px; }
  @media (max-width: 600px) { main { padding: 16px 12px 32px; } h1 { font-size: 24px; } .card { padding: 10px 12px; } .card > svg { min-width: 420px; }
    th, td { padding: 6px 4px; font-size: 14px; } td.words, th.words { min-width: 6.5em; } }
"""
"""Rules of CSS that the pages for people share: no page needs anything from outside."""

TEMPLATE = (
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gate: {{ "open" if decision.open else "closed" }}</title>
<style>"""
    + STYLE
    + """  .verdict { background: {{ "#1f7a4d" if decision.open else "#b3261e" }}; }
  .lists { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); gap: 22px; } .lists h4 { margin: 0 0 4px; font-size: 14px; }
  .lists ol { margin: 0; padding-left: 26px; font-size: 14px; line-height: 1.42; } .lists li { padding: 1px 4px; } li.hit { background: var(--hit); font-weight: 600; border-radius: 4px; }
  .history { margin: 4px 0 12px; font-size: 14px; }
</style>
</head>
<body><main>
<section class="verdict">
  <h1>The gate is {{ "open" if decision.open else "closed" }}</h1>
  {% if not decision.open %}<ul>{% for reason in decision.reasons %}<li>{{ reason }}</li>{% endfor %}</ul>
  {% elif challenger %}<p>The challenger is clearly better than the champion on {{ won }}{% if seeds %}, in the mean of its {{ seeds.rows | length }} seeds too{% endif %}, loses nowhere more than tolerated, and clearly beats every floor; no leak was found.</p>
  {% else %}<p>The champion clearly beats every floor on cold items, and no leak was found.</p>{% endif %}
</section>
<dl class="facts">
  <div><dt>{{ "champion" if challenger else "model" }}</dt><dd><code>{{ report.model_hash[:12] }}</code></dd></div>
  {% if challenger %}<div><dt>challenger</dt><dd><code>{{ report.challenger_hash[:12] }}</code></dd></div>{% endif %}
  <div><dt>ridge λ</dt><dd>{{ "%g" % report.ridge_lambda }}{% if report.challenger_lambda %}, challenger {{ "%g" % report.challenger_lambda }}{% endif %}</dd></div>
  {% for role, weight in report.prior_weights.items() %}<div><dt>prior of the {{ role if challenger else "model" }}'s users</dt><dd>{{ "%g" % weight }}</dd></div>
  {% endfor %}
  {% for role, weights in report.view_weights.items() %}<div><dt>views of the {{ role if challenger else "model" }}</dt><dd>{% for name, weight in weights.items() %}{{ name }} {{ "%g" % weight }}{{ ", " if not loop.last }}{% endfor %}</dd></div>
  {% endfor %}
  <div><dt>split</dt><dd>by {{ report.split_by }}{% if report.cut %}, cut {{ report.cut.strftime("%Y-%m-%d %H:%M") }} UTC{% endif %}</dd></div>
  {% if report.holdout.trained_on %}<div><dt>holdout</dt><dd><code>{{ report.holdout.trained_on[:10] }}</code></dd></div>{% endif %}
  <div><dt>training pairs</dt><dd>{{ "{:,}".format(report.n_train_pairs) }}</dd></div>
  {% for role, one in report.trained.items() %}<div><dt>{{ role }} was trained on</dt><dd>{% if one.trained_on %}<code>{{ one.trained_on[:10] }}</code>{% if one.trained_on == report.holdout.trained_on %} (this holdout's training side){% elif one.trained_until %}, until {{ one.trained_until.strftime("%Y-%m-%d %H:%M") }} UTC{% endif %}{% else %}no interaction of this catalogue{% endif %}</dd></div>{% endfor %}
  {% for part in report.slices %}<div><dt>{{ part.name }} slice</dt><dd>{{ "{:,}".format(part.n_users) }} users, {{ "{:,}".format(part.n_candidates) }} candidates, {{ "{:,}".format(part.n_positives) }} positives</dd></div>{% endfor %}
</dl>

<h2>Rules</h2>
<div class="card"><table>
<tr><th>rule</th><th>result</th><th class="words">reason</th></tr>
{% for check in decision.checks %}<tr><td class="words">{{ check.requirement }}</td>
<td class="{{ "no" if check.reason else "ok" }}">{{ "refused" if check.reason else "passed" }}</td>
<td class="words">{{ check.reason or "" }}</td></tr>{% endfor %}
</table></div>

{% if challenger %}
<h2>Challenger beside champion <span class="quiet">(same users, same candidates; dashed: the bound that the gate sets)</span></h2>
<div class="pair">{% for figure in challenger.figures %}<div class="card">{{ figure }}</div>{% endfor %}</div>
<div class="card"><table class="tight">
<tr><th>challenger minus champion</th>{% for metric in challenger.metrics %}<th>{{ metric.replace("_", " ") }}</th>{% endfor %}</tr>
{% for name, by_metric in challenger.margins.items() %}<tr><td>{{ where[name] }}</td>{% for metric in challenger.metrics %}<td>{{ by_metric[metric] if metric in by_metric else "–" }}</td>{% endfor %}</tr>{% endfor %}
</table></div>
{% if seeds %}<h3>Trained with {{ seeds.rows | length }} seeds <span class="quiet">(cold items; all seeds: the mean, users and seeds both resampled)</span></h3>
<div class="card">{{ seeds.figure }}</div>
<div class="card"><table>
<tr><th>training</th><th>model</th><th>ridge λ</th><th>{{ seeds.metric.replace("_", " ") }}</th><th>minus champion</th></tr>
{% for name, one, scores in seeds.rows %}<tr{% if loop.first %} class="challenger"{% endif %}><td>{{ name }}</td><td><code>{{ one.model_hash[:10] }}</code></td><td>{{ "%g" % one.ridge_lambda }}</td><td>{{ "%.4f" % scores.metrics[seeds.metric] }}</td><td>{{ scores.over_champion[seeds.metric] }}</td></tr>
{% endfor %}<tr><td>all seeds</td><td></td><td></td><td>{{ "%.4f" % seeds.mean }}</td><td>{{ seeds.over }}</td></tr>
</table></div>{% endif %}
{% if challenger.exposure %}<div class="card"><table>
<tr><th>exposure of cold items</th>{% for metric in challenger.exposure %}<th>{{ metric.replace("_", " ") }}</th>{% endfor %}</tr>
<tr><td>challenger minus champion</td>{% for row in challenger.exposure.values() %}<td>{{ row.interval }}</td>{% endfor %}</tr>
</table></div>{% endif %}
{% if report.comparison %}
{% for title, moved in [("Cold items that won", report.comparison.won), ("Cold items that lost", report.comparison.lost)] %}
<h3>{{ title }} <span class="quiet">(how many of the test users who interacted with it find it in the first {{ report.k }} places)</span></h3>
<div class="card">{% if moved %}<table>
<tr><th class="words">item</th><th>test users</th><th>champion shows it to</th><th>challenger shows it to</th></tr>
{% for item in moved %}<tr><td class="words">{{ item.text }} <span class="quiet">({{ item.item_id }})</span></td><td>{{ item.n_relevant }}</td><td>{{ item.n_champion }}</td><td>{{ item.n_challenger }}</td></tr>{% endfor %}
</table>{% else %}<p style="margin:0">None.</p>{% endif %}</div>
{% endfor %}
<h3>Users who gained and lost most <span class="quiet">(cold items; shaded: the user interacted with it after the cut)</span></h3>
{% for user in report.comparison.examples %}
<div class="card"><b>User <code>{{ user.user }}…</code></b> <span class="{{ "ok" if user.change > 0 else "no" }}">ndcg@{{ report.k }} {{ "%+.3f" % user.change }}</span>
<p class="history"><span class="quiet">history, in part:</span> {{ user.history | join(" · ") }}</p>
<div class="lists">{% for name, listed in [("before: champion", user.champion), ("after: challenger", user.challenger)] %}
<div><h4 class="quiet">{{ name }}</h4><ol>{% for item in listed %}<li{% if item.is_hit %} class="hit"{% endif %}>{{ item.text }}</li>{% endfor %}</ol></div>{% endfor %}</div></div>
{% else %}<p class="card">No user's list became better or worse.</p>{% endfor %}
{% endif %}{% endif %}

{% for drawn in slices %}{% set part = drawn.part %}
<h2>{{ drawn.title.capitalize() }} <span class="quiet">({{ drawn.meaning }})</span></h2>
{% if part.models %}
{% if drawn.figures %}<div class="pair"><div class="card">{{ drawn.bars }}</div><div class="card">{{ drawn.curves }}</div></div>
<div class="card">{{ drawn.margins }}</div>{% endif %}
<div class="card"><table>
<tr><th>model</th>{% for metric in drawn.metrics %}<th>{{ metric.replace("_", " ") }}</th>{% endfor %}</tr>
{% for name, scores in part.models.items() %}<tr{% if name in ["champion", "challenger"] %} class="{{ name }}"{% endif %}><td>{{ label(name) }}</td>
{% for metric in drawn.metrics %}<td>{{ "–" if scores.metrics[metric] is none else "%.4f" % scores.metrics[metric] }}</td>{% endfor %}</tr>{% endfor %}
</table></div>
<h3>{{ drawn.model.capitalize() }} minus floor, paired over users, 95 % interval</h3>
<div class="card"><table class="tight">
<tr><th>floor</th>{% for metric in drawn.paired %}<th>{{ metric.replace("_", " ") }}</th>{% endfor %}</tr>
{% for floor, by_metric in drawn.over.items() %}<tr><td>{{ label(floor) }}</td>
{% for metric in drawn.paired %}<td>{{ by_metric[metric] if metric in by_metric else "–" }}</td>{% endfor %}</tr>{% endfor %}
</table></div>
{% if part.rival_margins %}<h3>{{ drawn.model.capitalize() }} minus rival <span class="quiet">(over the champion's profiles; no rule of the gate reads this)</span></h3>
<div class="card"><table class="tight">
<tr><th>rival</th>{% for metric in drawn.paired %}<th>{{ metric.replace("_", " ") }}</th>{% endfor %}</tr>
{% for rival, by_metric in part.rival_margins.items() %}<tr><td>{{ label(rival) }}</td>
{% for metric in drawn.paired %}<td>{{ by_metric[metric] if metric in by_metric else "–" }}</td>{% endfor %}</tr>{% endfor %}
</table></div>{% endif %}
{% else %}<p class="card">No test user interacted with such an item.</p>{% endif %}
{% endfor %}

{% if report.groups %}<h2>Groups of users <span class="quiet">(mixed lists; the difference is challenger minus champion, paired over users, 95 % interval)</span></h2>
<div class="card"><table>
<tr><th>group</th><th>users</th><th>champion {{ metric }}</th>{% if challenger %}<th>challenger {{ metric }}</th><th>difference</th>{% endif %}</tr>
{% for part in report.groups %}<tr><td>{{ part.name }}</td><td>{{ "{:,}".format(part.n_users) }}</td><td>{{ "%.4f" % part.models["champion"].metrics[metric] }}</td>{% if challenger %}<td>{{ "%.4f" % part.models["challenger"].metrics[metric] }}</td><td>{{ part.challenger_margins["champion"][metric] }}</td>{% endif %}</tr>
{% endfor %}</table></div>{% endif %}

{% if report.robustness %}<h2>Perturbed texts <span class="quiet">(cold items again; intervals are paired over users, 95 %; places: of a list, before and won by the perturbed items)</span></h2>
<div class="card"><table class="tight">
<tr><th>texts</th><th>model</th><th>{{ metric_of_perturbed }}</th><th>perturbed</th><th>change</th><th>challenger minus champion</th><th>places</th><th>won</th></tr>
{% for one in report.robustness %}{% for role, scores in one.models.items() %}<tr><td>{{ "%s, %s of %s" | format(one.kind, one.n_perturbed, one.n_candidates) if loop.first else "" }}</td><td>{{ role }}</td><td>{{ "%.4f" % scores.clean[metric_of_perturbed] }}</td><td>{{ "%.4f" % scores.perturbed[metric_of_perturbed] }}</td><td>{{ scores.change[metric_of_perturbed] }}</td><td>{{ one.over_champion[metric_of_perturbed] if role == "challenger" else "" }}</td><td>{{ "" if scores.places_before is none else "%.2f" % scores.places_before }}</td><td>{{ scores.places_won or "" }}</td></tr>
{% endfor %}{% endfor %}</table></div>{% endif %}

<h2>Leak report</h2>
<div class="card">
{% if report.leaks %}<table><tr><th>leak</th><th>found</th><th class="words">description</th></tr>
{% for leak in report.leaks %}<tr><td class="no">{{ leak.kind }}</td><td>{{ leak.n }}</td>
<td class="words">{{ leak.words }}, such as {{ leak.examples | join(", ") }}</td></tr>{% endfor %}</table>
{% else %}<p class="ok" style="margin:0">No leak was found.</p>
<p class="quiet" style="margin:6px 0 0">Checked: a cold item's interaction in training, near-duplicate text across the boundary, text newer than the cut, statistics learned after the cut.</p>{% endif %}
</div>

<h2>Coverage, and items that were not judged</h2>
<div class="card"><p style="margin:0">Coverage is the share of candidates that are in the first {{ report.k }} places of at least one list. Gini is the inequality of their exposure (0: all equal). Worst decile is the mean recall of the worst tenth of the items. Intervals are paired bootstraps over users; there are no significance tests.</p>
{% if report.left_out %}<table>{% for reason, n in report.left_out.items() %}<tr><td>items not judged: {{ reason }}</td><td>{{ n }}</td></tr>{% endfor %}</table>
{% else %}<p style="margin:6px 0 0">Every item was judged.</p>{% endif %}</div>
</main></body></html>
"""
)
