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
        "item_prefix": "",
        "query_prefix": "",
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
    """Save a two-layer model, encoder or decoder (qwen2, llama, gpt2), with a tokenizer that does not pad."""
    import torch
    import transformers

    torch.manual_seed(7)
    size = len(WORDS) + 4
    common = {"vocab_size": size, "pad_token_id": 1}
    wide = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    decoder = {"num_key_value_heads": 1, "max_position_embeddings": 64}
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
        "qwen2": lambda: transformers.Qwen2Config(**common, **wide, **decoder),
        "llama": lambda: transformers.LlamaConfig(**common, **wide, **decoder),
        "gpt2": lambda: transformers.GPT2Config(
            vocab_size=size, n_embd=32, n_layer=2, n_head=2, n_inner=64, n_positions=64
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


def save_static(folder: Path, **tensors: object) -> Path:
    """Save a static table as model2vec does; without tensors one with random vectors of width 32."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(folder)
    random = np.random.default_rng(7).normal(size=(len(WORDS) + 4, 32)).astype(np.float32)
    save_file(tensors or {"embeddings": random}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": True}))
    return folder


def save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: number for number, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 2)])
    tokenizer.save(str(folder / "tokenizer.json"))


def reference_vectors(
    folder: Path, wanted: list[str], pooling: str = "mean", prefix: str = "", side: str = "right"
) -> object:
    """What transformers itself gives: padded batch, mask, pooling under the mask. Slow and plain."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModel

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding(pad_id=1, pad_token="<pad>", direction=side)
    encoded = tokenizer.encode_batch([prefix + text for text in wanted])
    ids = torch.tensor([one.ids for one in encoded])
    mask = torch.tensor([one.attention_mask for one in encoded])
    with torch.inference_mode():
        model = AutoModel.from_pretrained(folder).eval()
        is_decoder = bool(getattr(model.config, "use_cache", False)) and side == "left"
        places = {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)} if is_decoder else {}
        hidden = model(input_ids=ids, attention_mask=mask, **places).last_hidden_state
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        rows, places = torch.arange(len(ids)), torch.arange(ids.shape[1])
        pooled = {
            "mean": (hidden * weights).sum(1) / weights.sum(1),
            "cls": hidden[rows, mask.argmax(1)],
            "last": hidden[rows, (mask * places).argmax(1)],
        }[pooling]
        return torch.nn.functional.normalize(pooled, dim=1).numpy()


def config_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())
