"""How fast the encoder is on this machine, in both precisions: measured on made-up texts, and kept in a file.

Which precision is worth it depends on the processor. Of MiniLM on titles, int8 is 2.7 times as fast as float32 with
AVX-512 VNNI, and no faster with AVX2 alone.
"""

import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recsys.encoders.encoder import Encoder
from recsys.encoders.pack import MIN_CALIBRATION_TEXTS, pack_encoder
from recsys.encoders.params import EncoderParams
from recsys.encoders.reference import EncoderReference
from recsys.encoders.source import TOKENIZER, find_source
from recsys.encoders.transformer import load_tokenizer, open_encoder
from recsys.errors import ConfigError
from recsys.processor import Processor, processor, usable_cores
from recsys.storage.atomic import write_document
from recsys.storage.checksums import key_of

PRECISIONS = ("float32", "int8")
LIKE_FLOAT32 = ("bfloat16", "float16")
"""Precisions that processors compute as float32, at its speed."""
WORTH = 1.25
"""int8 is recommended where it is so many times as fast as float32. It costs a little of every vector (MiniLM on
titles: lowest cosine .989), so that a small gain is not worth it."""
TITLE_TOKENS, LONG_TOKENS = 16, 128
"""Lengths of the texts that are measured."""
TOKENS = 8192
"""Tokens of a measurement: several batches."""
ROUNDS = 3
ON_DEVICE = 4096
"""Texts of a measurement on a GPU."""
SEED = 20260101
FIRST_WORD = 1000
"""Token ids below are special ones in the vocabularies of BERT; smaller vocabularies are used from their middle on."""


class Rate(BaseModel):
    """Speed in one precision on texts of about one length."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    precision: str
    tokens: float = Field(gt=0)
    """Mean tokens of a text, special ones included."""
    seconds: float = Field(gt=0)
    """Per text on all cores, tokenising included: processor time divided by the number of cores, the best of some
    rounds. So other work on the machine disturbs it little."""


class EncoderRates(BaseModel):
    """Speed of an encoder on one machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    """Of the encoder, as in params.yaml."""
    encoder_hash: str
    """Of the encoder in float32."""
    processor: Processor
    rates: tuple[Rate, ...]

    def seconds(self, precision: str, tokens: float) -> float:
        """Seconds for one text.

        Args:
            precision: of the encoder.
            tokens: of the text. Between the measured lengths, and beyond, seconds are linear in tokens; a text takes
                at least its share of the shortest measured one.

        Returns:
            Seconds on all cores.

        Raises:
            ConfigError: this precision was not measured.
        """
        if precision in LIKE_FLOAT32:
            precision = "float32"
        measured = sorted((one.tokens, one.seconds) for one in self.rates if one.precision == precision)
        if not measured:
            raise ConfigError(
                f"the rates of {self.source} hold none for {precision}",
                remedy="measure again: recsys plan --measure",
            )
        (short, least), (long, most) = measured[0], measured[-1]
        slope = (most - least) / (long - short) if long > short else least / short
        return max(least + slope * (tokens - short), least * min(1.0, tokens / short))

    def gain(self, tokens: float) -> float:
        """How many times as fast int8 is as float32, for texts of so many tokens."""
        return self.seconds("float32", tokens) / self.seconds("int8", tokens)

    def faster(self, tokens: float) -> str:
        """The precision that is worth it for texts of so many tokens."""
        return "int8" if self.gain(tokens) >= WORTH else "float32"

    def sentence(self) -> str:
        """What was measured and which precision is worth it, for people."""
        parts = []
        for tokens, name in ((TITLE_TOKENS, "titles"), (LONG_TOKENS, "long texts")):
            float32, int8 = (1 / self.seconds(precision, tokens) for precision in PRECISIONS)
            parts.append(
                f"{name} {float32:,.0f}/s in float32, {int8:,.0f}/s in int8 ({self.gain(tokens):.1f}x)"
            )
        worth = "worth it" if self.faster(TITLE_TOKENS) == "int8" else "not worth it"
        return f"{'; '.join(parts)}: int8 is {worth} on {self.processor}"


def encoder_rates(
    params: EncoderParams,
    encoders: Path,
    folder: Path,
    again: bool = False,
    report_progress: Callable[[str], None] = lambda _: None,
) -> EncoderRates:
    """Rates of the encoder of params.yaml on this machine: from a file, else measured, which takes half a minute.

    Args:
        params: section `encoder`; its precision does not matter.
        encoders: folder of packed encoders.
        folder: where rates are kept, a file per encoder and processor.
        again: measure although there is a file.
        report_progress: is told before something is measured.

    Returns:
        The rates.

    Raises:
        EncoderError: the encoder cannot be packed.
    """
    exact = pack_encoder(params.model_copy(update={"precision": "float32"}), encoders, ())
    machine = processor()
    path = folder / f"{_key(exact, machine)}.json"
    if not again and (kept := _kept(path)) is not None:
        return kept
    report_progress(f"measuring {params.source} in float32 and int8")
    found = EncoderRates(
        source=params.source,
        encoder_hash=exact.hash,
        processor=machine,
        rates=_measured(params, exact, encoders),
    )
    write_document(path, found)
    return found


def texts_per_s(params: EncoderParams, encoders: Path, device: str, tokens: int = TITLE_TOKENS) -> float:
    """Texts per second of a device of torch, by the clock, on made-up texts.

    Args:
        params: section `encoder`; int8, which is for processors, is measured as float32.
        encoders: folder of packed encoders.
        device: such as cuda.
        tokens: mean length of the texts; by default that of titles.

    Returns:
        The rate, the best of some rounds.

    Raises:
        EncoderError: the encoder cannot be packed, or torch cannot run it.
    """
    precision = "float32" if params.precision == "int8" else params.precision
    reference = pack_encoder(params.model_copy(update={"precision": precision}), encoders, ())
    encoder = open_encoder(reference, encoders, params.batch_tokens, device=device)
    texts, best = made_texts(params, tokens, ON_DEVICE, SEED), float("inf")
    for _ in range(ROUNDS):
        started = perf_counter()
        encoder.encode(texts)
        best = min(best, perf_counter() - started)
    return len(texts) / best


def _key(exact: EncoderReference, machine: Processor) -> str:
    return key_of([exact.hash, str(machine), version("openvino")])


def _kept(path: Path) -> EncoderRates | None:
    """What was measured before; None where there is nothing, or a damaged file, since it only saves time."""
    try:
        return EncoderRates.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _measured(params: EncoderParams, exact: EncoderReference, encoders: Path) -> tuple[Rate, ...]:
    """Both precisions in turns, on the same texts."""
    samples = [sample_texts(params, tokens) for tokens in (TITLE_TOKENS, LONG_TOKENS)]
    with (
        tempfile.TemporaryDirectory() as scratch
    ):  # scales do not change the speed, so the int8 one is not kept
        wanted = params.model_copy(update={"precision": "int8", "calibration_texts": MIN_CALIBRATION_TEXTS})
        quantised = pack_encoder(wanted, Path(scratch), samples[0])
        opened = {
            "float32": open_encoder(exact, encoders, params.batch_tokens),
            "int8": open_encoder(quantised, Path(scratch), params.batch_tokens),
        }
        return tuple(rate for texts in samples for rate in _in_turns(opened, texts))


def _in_turns(opened: dict[str, Encoder], texts: list[str]) -> list[Rate]:
    best, cores = dict.fromkeys(opened, float("inf")), usable_cores()
    for _ in range(ROUNDS):
        for precision, encoder in opened.items():
            started = process_time()
            encoder.encode(texts)
            best[precision] = min(best[precision], (process_time() - started) / cores)
    tokens = float(opened["float32"].count_tokens(texts).mean())
    return [
        Rate(precision=precision, tokens=tokens, seconds=seconds / len(texts))
        for precision, seconds in best.items()
    ]


def sample_texts(params: EncoderParams, tokens: int) -> list[str]:
    """Made-up texts to measure with: about `TOKENS` tokens in all, and enough texts for int8 to set its scales.

    Args:
        params: section `encoder`.
        tokens: about the mean length.

    Returns:
        Different texts.
    """
    n = max(MIN_CALIBRATION_TEXTS * 2, TOKENS // tokens)
    return sorted(set(made_texts(params, tokens, n, SEED + tokens)))


def made_texts(params: EncoderParams, tokens: int, n: int, seed: int) -> list[str]:
    """Texts of words that the encoder's tokenizer knows, some words often and most seldom. No catalogue is needed.

    Args:
        params: section `encoder`.
        tokens: about the mean length; lengths vary by half, as those of a catalogue do.
        n: how many.
        seed: of the words.

    Returns:
        The texts; a few may be equal where they are short.
    """
    tokenizer = load_tokenizer(find_source(params.source) / TOKENIZER, params.max_tokens)
    size = tokenizer.get_vocab_size()
    first = FIRST_WORD if size > 2 * FIRST_WORD else size // 2
    rng = np.random.default_rng(seed)
    lengths = rng.integers(max(1, tokens // 2), tokens + tokens // 2, n, endpoint=True)
    ids = first + ((size - first) * rng.random(int(lengths.sum())) ** 2).astype(np.int64)
    found = tokenizer.decode_batch([some.tolist() for some in np.split(ids, np.cumsum(lengths)[:-1])])
    return [text if text.strip() else f"text {place}" for place, text in enumerate(found)]
