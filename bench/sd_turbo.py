"""How fast a GPU draws with SD-Turbo's architecture, full size, by the server's own code.

Run by a Python that has torch for the GPU and diffusers: the environment that a deploy has made on a host
(`.keeper/python` in its workdir), or one with the pins of `keeper/workloads/sd_turbo/pins.py` installed:

    PYTHON bench/sd_turbo.py [--seconds 20] [--out FILE]

The weights are random, so nothing is downloaded and the pictures are noise; what a picture costs does not
depend on them. The model is saved and loaded as a host would load it, in half precision, and each row
is one way to draw: eager, and compiled. Without a GPU it says that nothing was measured, and a number
for a CPU is no substitute (``--device cpu`` only shows that the script works). It is no part of `make
bench`: that runs where no GPU is. Not run on a GPU so far.

Sizes: the published configuration of stabilityai/sd-turbo (unet, vae, text_encoder), read 2026-11.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_PAYLOAD = Path(__file__).resolve().parent.parent / "keeper" / "workloads" / "payload"
_WARM_UP = 5
_SIZE = 512


def main(arguments: list[str]) -> int:
    """Measure, print a JSON object a line, and write them where they are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="for each row, after warming up"
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--compile", nargs="*", default=["", "default", "max-autotune"])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args(arguments)
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError as error:
        return _finish(chosen, [{"measured": False, "why": f"no torch here: {error}"}])
    if chosen.device == "cuda" and not torch.cuda.is_available():
        return _finish(chosen, [{"measured": False, "why": "no GPU here; nothing was measured"}])
    with tempfile.TemporaryDirectory() as folder:
        half = chosen.device == "cuda"
        make(torch, Path(folder), half=half)
        rows = [_row(torch, Path(folder), chosen, mode) for mode in chosen.compile]
    return _finish(chosen, rows)


def make(torch: Any, folder: Path, *, half: bool) -> None:
    """Save the architecture with random weights, as its owner publishes it."""
    diffusers: Any = importlib.import_module("diffusers")
    transformers: Any = importlib.import_module("transformers")
    torch.manual_seed(7)
    unet = diffusers.UNet2DConditionModel(
        sample_size=64,
        cross_attention_dim=1024,
        attention_head_dim=[5, 10, 20, 20],
        block_out_channels=[320, 640, 1280, 1280],
        use_linear_projection=True,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=[128, 256, 512, 512],
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        layers_per_block=2,
        sample_size=768,
    )
    words = folder / "words"
    tokenizer = _tokenizer(transformers, words)
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=49_408,
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=23,
            num_attention_heads=16,
            hidden_act="gelu",
            # The published ids are of the published words; the end is looked for by these.
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    scheduler = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="trailing",
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    if half:
        pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(folder, variant="fp16" if half else None)


def _tokenizer(transformers: Any, folder: Path) -> Any:
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(f"{each}</w>" for each in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer.from_pretrained(str(folder), model_max_length=77)


def _row(torch: Any, folder: Path, chosen: argparse.Namespace, mode: str) -> dict[str, Any]:
    """Draw for a while, one after another, each made a JPEG as the server does."""
    sys.path.insert(0, str(_PAYLOAD))
    backend: Any = importlib.import_module("sd_turbo_model")
    encoded: Any = importlib.import_module("realtime_stream").encoded
    options = argparse.Namespace(
        model=str(folder),
        device=chosen.device,
        dtype="auto",
        compile=mode,
        xformers=False,
        size=_SIZE,
    )
    began = time.perf_counter()
    model = backend.load(options, lambda text: print(text, file=sys.stderr))
    first = time.perf_counter()
    model.draw("a cat")
    first_s = time.perf_counter() - first
    for _ in range(_WARM_UP if chosen.device == "cuda" else 0):
        model.draw("a cat")
    took: list[float] = []
    size = 0
    until = time.perf_counter() + chosen.seconds
    while time.perf_counter() < until or not took:
        at = time.perf_counter()
        size = len(encoded(model.draw("a cat"), 80))
        took.append(time.perf_counter() - at)
    took.sort()
    return {
        "measured": True,
        "device": torch.cuda.get_device_name(0) if chosen.device == "cuda" else platform.machine(),
        "torch": str(torch.__version__),
        "compile": mode or "eager",
        "note": model.note,
        "load_s": round(first - began, 1),
        "first_picture_s": round(first_s, 2),
        "generations_per_s": round(len(took) / sum(took), 2),
        "median_ms": round(took[len(took) // 2] * 1e3, 2),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1e3, 2),
        "pictures": len(took),
        "jpeg_bytes": size,
    }


def _finish(chosen: argparse.Namespace, rows: list[dict[str, Any]]) -> int:
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    sys.stdout.write(text)
    if chosen.out is not None:
        chosen.out.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
