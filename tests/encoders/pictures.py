"""Pictures drawn by code, and a small real CLIP with random weights."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32


def picture(seed: int, size: tuple[int, int] = (60, 90)) -> Image.Image:
    """Random blocks of colour, in mode RGB."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 4, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR)


def save_clip(folder: Path, **changes: object) -> Path:
    """Save a two-layer CLIP for pictures of 32 pixels, with what says how pixels become numbers."""
    import torch
    import transformers

    torch.manual_seed(5)
    wide = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.CLIPConfig(
        text_config={**wide, "vocab_size": 50, "max_position_embeddings": 8},
        vision_config={**wide, "image_size": SIDE, "patch_size": 8},
        projection_dim=24,
    )
    transformers.utils.logging.disable_progress_bar()
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    pixels = {
        "image_mean": [0.48, 0.45, 0.4],
        "image_std": [0.26, 0.27, 0.28],
        "size": {"shortest_edge": SIDE},
        "crop_size": {"height": SIDE, "width": SIDE},
        "do_center_crop": True,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels | changes))
    return folder
