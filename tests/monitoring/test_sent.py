import json

from recsys.monitoring.sent import Answer, SentAlerts


def test_a_record_comes_back_and_without_one_nothing_was_checked(tmp_path):
    assert SentAlerts.load(tmp_path) == SentAlerts(checked={}, calls=(), answered=None)
    sent = SentAlerts(checked={"catalogue": "p3"}, calls=("a",), answered=Answer(by="run 1", calls=("b",)))
    sent.save(tmp_path)
    assert SentAlerts.load(tmp_path) == sent


def test_the_file_of_an_older_version_is_read_and_then_replaced(tmp_path):
    former = {
        "seen": {"catalogue": "p3"},
        "wake": ["catalogue p3 language"],
        "answered": {"by": "run 1", "calls": []},
    }
    (tmp_path / "told.json").write_text(json.dumps(former))
    sent = SentAlerts.load(tmp_path)
    assert (sent.checked, sent.calls) == ({"catalogue": "p3"}, ("catalogue p3 language",))
    sent.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["alerts.json"] and SentAlerts.load(tmp_path) == sent


def test_a_damaged_file_counts_as_none(tmp_path):
    (tmp_path / "alerts.json").write_text('{"checked": ')
    assert SentAlerts.load(tmp_path) == SentAlerts()
