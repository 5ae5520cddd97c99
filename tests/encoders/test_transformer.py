import html
import shutil
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.encoders.transformer import equal_batches, open_encoder
from recsys.errors import EncoderError
from recsys.features.text import join_fields
from tests.encoders.models import texts


@given(st.lists(st.integers(1, 30), max_size=60), st.integers(1, 80))
def test_batches_hold_each_text_once_and_only_one_length(lengths, budget):
    batches = list(equal_batches(lengths, budget))
    assert sorted(one for batch in batches for one in batch) == list(range(len(lengths)))
    for batch in batches:
        sizes = {lengths[one] for one in batch}
        assert len(sizes) == 1
        assert len(batch) == 1 or len(batch) * sizes.pop() <= budget


@pytest.mark.whole
@settings(max_examples=25)
@given(st.data())
def test_a_minilm_vector_has_the_same_bits_in_any_batch(minilm, data):
    pool = texts(60) + ["Deep learning for cats", "猫 und Hunde", "a " * 300]
    alone = data.draw(st.sampled_from(pool))
    others = data.draw(st.lists(st.sampled_from(pool), max_size=40))
    at = data.draw(st.integers(0, len(others)))
    batch = [*others[:at], alone, *others[at:]]
    np.testing.assert_array_equal(minilm.encode(batch)[at], minilm.encode([alone])[0])


def test_threads_that_share_an_encoder_get_the_vectors_of_their_own_texts(tiny_encoder):
    texts = [f"number {n} of many " + "and more " * (n % 5) for n in range(16)]
    alone = [tiny_encoder.encode([text])[0] for text in texts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda text: tiny_encoder.encode([text])[0], texts * 30))
    np.testing.assert_array_equal(together, alone * 30)


def test_minilm_knows_what_belongs_together(minilm):
    cat, kitten, engine = minilm.encode(
        ["A cat sleeps", "The kitten is napping", "Diesel engine repair manual"]
    )
    assert cat @ kitten > 0.5 > cat @ engine
    assert minilm.dim == 384


def test_progress_counts_every_text_and_repeats_get_the_same_vector(tiny_encoder):
    some = [*texts(30), *texts(10)]
    steps = []
    vectors = tiny_encoder.encode(some, steps.append)
    assert sum(steps) == 40
    np.testing.assert_array_equal(vectors[:10], vectors[30:])


def test_tokens_are_counted_with_the_special_ones_and_cut(tiny_encoder):
    assert tiny_encoder.count_tokens(["aa", "aa ab ac", "aa " * 50]).tolist() == [3, 5, 24]


@pytest.mark.parametrize("empty", ["", "  \n "])
def test_an_empty_text_is_refused_with_its_place(tiny_encoder, empty):
    with pytest.raises(EncoderError, match="text 1 is empty"):
        tiny_encoder.encode(["aa", empty])


BOILERPLATE = (
    '<div class="product-description rte" itemprop="description"><p style="margin:0;padding:0"><span>{}</span></p>'
    "<ul><li><strong>Material:</strong>&nbsp;see label</li></ul><script>dataLayer.push(arguments)</script></div>"
)
PRODUCTS = (
    "Waterproof hiking boots with ankle support for muddy trails",
    "Hand-thrown ceramic teapot glazed in blue",
    "Acoustic guitar strings, phosphor bronze, light gauge",
    "Cordless hedge trimmer with 50 cm blade",
)


def test_markup_that_every_text_shares_rules_no_neighbours(minilm):
    texts = [join_fields([text], 4000) for text in PRODUCTS]
    texts += [join_fields([BOILERPLATE.format(text)], 4000) for text in PRODUCTS]
    vectors = minilm.encode(texts)
    similarities = vectors @ vectors.T - 2 * np.eye(len(texts))
    twins = [(place + len(PRODUCTS)) % len(texts) for place in range(len(texts))]
    assert similarities.argmax(axis=1).tolist() == twins


@pytest.mark.parametrize("text", ["Café crème brûlée torch", "Tom & Jerry's soup kettle, heavy duty"])
def test_a_text_and_its_twin_in_another_writing_have_one_vector(minilm, text):
    twins = [
        f"<p>{html.escape(text)}</p>",
        html.escape(html.escape(text)),
        unicodedata.normalize("NFD", text),
    ]
    plain, *others = minilm.encode([join_fields([written], 4000) for written in (text, *twins)])
    assert min(float(plain @ other) for other in others) > 0.9999


def test_a_model_whose_vectors_have_another_width_is_refused(tiny_reference, encoders):
    with pytest.raises(EncoderError, match=r"gives \[\?,\?\], \[\?,32\], not \[\?,\?\], \[\?,31\]"):
        open_encoder(tiny_reference.model_copy(update={"dim": 31}), encoders, 256)


@pytest.mark.parametrize("content", [b"<net", b"<net name='x' version='11'><layers/></net>", b"\0"])
def test_a_model_file_that_is_no_such_model_is_refused(tiny_reference, encoders, tmp_path, content):
    folder = shutil.copytree(encoders / tiny_reference.hash, tmp_path / tiny_reference.hash)
    size = (folder / "model.xml").stat().st_size
    (folder / "model.xml").write_bytes(content.ljust(size, b" "))
    with pytest.raises(EncoderError, match=r"model\.xml") as refused:
        open_encoder(tiny_reference, tmp_path, 256)
    assert refused.value.remedy
