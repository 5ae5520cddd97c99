"""Text as sources export it, through the real commands: a text and its marked-up, escaped or wide twin are one text."""

import html

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.features.text import feature_files

TEXTS = {
    "kettle": 'Tom & Jerry\'s soup kettle, "heavy" duty',
    "torch": "Café crème brûlée torch",
    "shoe": "Red running shoe for muddy trails",
    "office": "Office fine chair, size 8",
}
WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
TWINS = {
    "entities": html.escape,
    "escaped twice": lambda text: html.escape(html.escape(text)),
    "numeric": lambda text: "".join(f"&#{ord(c)};" if c != " " else "&nbsp;" for c in text),
    "markup": lambda text: f'<div class="rte"><p style="margin:0"><b>{html.escape(text)}</b></p><br></div>',
    "escaped markup": lambda text: html.escape(f"<p>{html.escape(text)}</p>"),
    "script": lambda text: f"{html.escape(text)}<script>var gtag = function () {{}}</script><!-- x -->",
    "full width": lambda text: text.translate(WIDE),
    "soft hyphens": lambda text: text.replace("r", "r\u00ad"),
    "zero width": lambda text: text.replace(" ", "\u200b"),
    "ligatures": lambda text: text.replace("ffi", "\ufb03").replace("fi", "\ufb01"),
    "letters": lambda text: text.replace("R", "\U0001d411"),
    "blanks": lambda text: "\ufeff " + text.replace(" ", "\u00a0 ") + "\u2060\r\n",
}


def features(intake):
    """Item -> its row of artifacts/features, made by the real stage."""
    intake.run("run", "features")
    tables = [pq.read_table(file.path) for file in feature_files(intake.at.features)]
    return {row["item_id"]: row for row in pa.concat_tables(tables).to_pylist()}


def test_twins_have_one_text_hash_and_so_one_vector(empty_intake):
    rows = [{"item_id": name, "title": text} for name, text in TEXTS.items()]
    rows += [
        {"item_id": f"{name}/{how}", "title": make(text)}
        for how, make in TWINS.items()
        for name, text in TEXTS.items()
    ]
    empty_intake.land("catalogue/twins.jsonl", rows)
    assert empty_intake.ingest()["catalogue/twins.jsonl"]["quarantined"] == {}
    made = features(empty_intake)
    assert {made[name]["text"] for name in TEXTS} == set(TEXTS.values())
    different = [
        item for item, row in made.items() if row["text_hash"] != made[item.partition("/")[0]]["text_hash"]
    ]
    assert different == []


def test_what_only_looks_like_markup_is_kept(empty_intake):
    prose = {
        "a": "Valves for a < b and c > d",
        "b": "Pillow, x <3 you",
        "c": "The <unknown> soldier",
        "d": "AT&T R&D kit",
    }
    empty_intake.land(
        "catalogue/p.jsonl", [{"item_id": item, "title": title} for item, title in prose.items()]
    )
    empty_intake.ingest()
    assert {item: row["text"] for item, row in features(empty_intake).items()} == prose


def test_an_item_whose_only_text_is_markup_has_no_text(intake):
    bare = ["<br>", "&nbsp;", "&lt;p&gt;&lt;/p&gt;", "\u200b\u00ad", "<script>track()</script>"]
    rows = [{"item_id": f"bare{n}", "title": text} for n, text in enumerate(bare)]
    intake.land(
        "catalogue/bare.jsonl", [*({"item_id": f"g{n}", "title": f"Oak table {n}"} for n in range(40)), *rows]
    )
    assert intake.ingest()["catalogue/bare.jsonl"]["quarantined"] == {"no_text": len(bare)}


def test_ids_with_markup_stay_as_they_are(intake):
    ids = ["lib:book:17", "[red]x", "[/b]", "-5", "a/b", "../up", "100%", "\uff21\uff22", "<b>1</b>", "&amp;"]
    intake.land("catalogue/ids.jsonl", [{"item_id": item, "title": f"Oak table {item}"} for item in ids])
    intake.ingest()
    assert set(ids) <= set(intake.items())
