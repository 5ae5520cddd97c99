"""Addresses as people write them, through the real commands."""

import json
from pathlib import Path

import pytest


@pytest.mark.parametrize("address", ["gs://shop/landing", "s3:/shop", "az://shop"])
def test_an_address_of_no_known_kind_is_refused_and_makes_no_folder(empty_intake, monkeypatch, address):
    monkeypatch.chdir(empty_intake.at.root)
    before = set(Path.cwd().rglob("*"))
    monkeypatch.setenv("RECSYS_LANDING", address)
    output = empty_intake.run("ingest", code=1).output
    assert address in output and "remedy" in output
    for command in (("releases",), ("publish",), ("collect",), ("rollback", "previous", "--why", "x")):
        output = empty_intake.run(*command, "--store", address, code=1).output
        assert address in output or "s3://" in output
    assert set(Path.cwd().rglob("*")) - before <= {Path.cwd() / "var"} | set((Path.cwd() / "var").rglob("*"))


def test_a_landing_zone_given_as_a_file_address_with_a_line_break_is_the_folder(intake, monkeypatch):
    monkeypatch.setenv("RECSYS_LANDING", f"{(intake.at.root / 'landing').as_uri()}\n")
    intake.land("catalogue/more.jsonl", [{"item_id": "new", "title": "A new desk lamp"}])
    assert {outcome["status"] for outcome in intake.ingest().values()} == {"accepted"}
    assert "new" in intake.items()


def test_doctor_and_ingest_name_a_folder_that_nobody_reads(empty_intake):
    empty_intake.land("catalog/shop.jsonl", "{}\n")
    empty_intake.land("Interactions/events.csv", "x\n")
    empty_intake.land("loose.csv", "x\n")
    empty_intake.land("processed/000001-0123456789/old.csv", "x\n")
    findings = json.loads(empty_intake.run("doctor", "--json", code=1).stdout)
    found = {finding["check"]: finding for finding in findings}["landing zone"]
    assert found["verdict"] == "warn"
    empty_intake.ingest()
    for output in (found["found"], empty_intake.output):
        assert "'catalog/' is not read: files belong into catalogue/" in output
        assert "'Interactions/' is not read: files belong into interactions/" in output
        every = "catalogue/, interactions/, relations/, vectors/ or impressions/"
        assert f"'loose.csv' is not read: files belong into {every}" in output
        assert "processed" not in output.replace("processed by", "")


def test_the_doctor_names_a_key_with_a_line_break_and_shows_no_value(empty_intake, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush\n")
    output = empty_intake.run("doctor", code=1).output
    assert "AWS_SECRET_ACCESS_KEY ends with a line break" in output and "hush" not in output
