"""Small real transformers with random weights, saved as save_pretrained does, and the parameters to pack them."""

import json
from pathlib import Path

from recsys.encoders.params import EncoderParams

WORDS = [chr(97 + i) + chr(97 + j) for i in range(26) for j in range(10)]
MAX_TOKENS = 24


def encoder_params(source: object, **changes: object) -> EncoderParams:
    values = {
        "source": str(source),
        "pooling": "mean",
        "max_tokens": MAX_TOKENS,
        "precision": "float32",
        "calibration_texts": 64,
        "batch_tokens": 256,
    }
    return EncoderParams(**(values | changes))


def texts(n: int, seed: int = 0) -> list[str]:
    """Texts of 1 to 30 known words, most of them different."""
    import random

    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 30))) for _ in range(n)]


def save_model(folder: Path, kind: str = "bert", safe: bool = True) -> Path:
    """Save a two-layer model (bert, roberta, xlm-roberta, distilbert) with a tokenizer that does not pad."""
    import torch
    import transformers

    torch.manual_seed(7)
    size = len(WORDS) + 4
    common = {"vocab_size": size, "pad_token_id": 1}
    wide = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    configs = {
        "bert": lambda: transformers.BertConfig(**common, **wide, max_position_embeddings=64),
        # RoBERTa's positions start behind the padding token's id: two fewer than the table has
        "roberta": lambda: transformers.RobertaConfig(
            **common, **wide, max_position_embeddings=66, type_vocab_size=1
        ),
        "xlm-roberta": lambda: transformers.XLMRobertaConfig(
            **common, **wide, max_position_embeddings=66, type_vocab_size=1
        ),
        "distilbert": lambda: transformers.DistilBertConfig(
            **common, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=64
        ),
    }
    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModel.from_config(configs[kind]())
    if safe:
        model.save_pretrained(folder)
    else:
        model.config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    save_tokenizer(folder)
    return folder


def save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: number for number, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 2)])
    tokenizer.save(str(folder / "tokenizer.json"))


def reference_vectors(folder: Path, wanted: list[str], pooling: str = "mean") -> object:
    """What transformers itself gives: padded batch, mask, pooling under the mask. Slow and plain."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModel

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding(pad_id=1, pad_token="<pad>")
    encoded = tokenizer.encode_batch(wanted)
    ids = torch.tensor([one.ids for one in encoded])
    mask = torch.tensor([one.attention_mask for one in encoded])
    with torch.inference_mode():
        hidden = (
            AutoModel.from_pretrained(folder).eval()(input_ids=ids, attention_mask=mask).last_hidden_state
        )
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weights).sum(1) / weights.sum(1) if pooling == "mean" else hidden[:, 0]
        return torch.nn.functional.normalize(pooled, dim=1).numpy()


def config_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())
