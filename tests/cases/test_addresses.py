"""Addresses as people write them, through the real commands."""

import json
from pathlib import Path

import pytest


@pytest.mark.parametrize("address", ["gs://shop/landing", "s3:/shop", "az://shop"])
def test_an_address_of_no_known_kind_is_refused_and_makes_no_folder(empty_shop, monkeypatch, address):
    monkeypatch.chdir(empty_shop.at.root)
    before = set(Path.cwd().rglob("*"))
    monkeypatch.setenv("RECSYS_LANDING", address)
    said = empty_shop.run("ingest", code=1).output
    assert address in said and "remedy" in said
    for command in (("releases",), ("publish",), ("collect",), ("rollback", "previous", "--why", "x")):
        said = empty_shop.run(*command, "--store", address, code=1).output
        assert address in said or "s3://" in said
    assert set(Path.cwd().rglob("*")) - before <= {Path.cwd() / "var"} | set((Path.cwd() / "var").rglob("*"))


def test_a_landing_zone_given_as_a_file_address_with_a_line_break_is_the_folder(shop, monkeypatch):
    monkeypatch.setenv("RECSYS_LANDING", f"{(shop.at.root / 'landing').as_uri()}\n")
    shop.land("catalogue/more.jsonl", [{"item_id": "new", "title": "A new desk lamp"}])
    assert {outcome["status"] for outcome in shop.ingest().values()} == {"accepted"}
    assert "new" in shop.items()


def test_doctor_and_ingest_name_a_folder_that_nobody_reads(empty_shop):
    empty_shop.land("catalog/shop.jsonl", "{}\n")
    empty_shop.land("Interactions/events.csv", "x\n")
    empty_shop.land("loose.csv", "x\n")
    empty_shop.land("processed/000001-0123456789/old.csv", "x\n")
    findings = json.loads(empty_shop.run("doctor", "--json", code=1).stdout)
    found = {finding["check"]: finding for finding in findings}["landing zone"]
    assert found["verdict"] == "warn"
    empty_shop.ingest()
    for said in (found["found"], empty_shop.said):
        assert "'catalog/' is not read: files belong into catalogue/" in said
        assert "'Interactions/' is not read: files belong into interactions/" in said
        assert "'loose.csv' is not read: files belong into catalogue/ or interactions/" in said
        assert "processed" not in said.replace("processed by", "")


def test_the_doctor_names_a_key_with_a_line_break_and_shows_no_value(empty_shop, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush\n")
    said = empty_shop.run("doctor", code=1).output
    assert "AWS_SECRET_ACCESS_KEY ends with a line break" in said and "hush" not in said
