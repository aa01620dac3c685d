"""SD-Turbo by the real libraries: loaded once, drawn in one step without guidance.

By hand, before the server is started: ``sd_turbo_model.py check`` proves that the libraries load and
that the GPU computes with them, ``sd_turbo_model.py fetch`` brings the model into the cache. Both exit
with the codes of the server (realtime_stream.py) and say why on the last line.

Facts of the libraries: the pages of diffusers on AutoPipelineForText2Image and SD-Turbo, torch.compile
and xformers, and the sources of diffusers 0.24.0 and 0.41.0, read 2026-11.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from sd_turbo_state import Failed, kind_of


def load(options: argparse.Namespace, say: Callable[[str], None]) -> Model:
    """Load the model, from the cache or from where it is published. May take minutes."""
    # A bar that is redrawn a hundred times a second has no place in a log.
    for switch in ("HF_HUB_DISABLE_PROGRESS_BARS", "TQDM_DISABLE"):
        os.environ.setdefault(switch, "1")
    torch = importlib.import_module("torch")
    device, dtype = chosen(torch, options)
    say(f"[init] torch {torch.__version__} on {device}, {options.dtype}: {dtype}")
    pipeline = _pipeline(options.model, torch, dtype, say)
    pipeline = pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    model = Model(torch, pipeline, options, device, say)
    model.speed_up()
    return model


def chosen(torch: Any, options: argparse.Namespace) -> tuple[str, Any]:
    """Choose where and how precisely to compute. Raises Failed when a GPU is wanted and absent."""
    has_gpu = torch.cuda.is_available()
    if options.device == "cuda" and not has_gpu:
        # Its own words say why: a driver that is too old, or no device. It raises, or would have worked.
        torch.cuda.init()
        raise Failed("gpu_lost", "torch finds no GPU on this host")
    device = "cuda" if has_gpu and options.device != "cpu" else "cpu"
    # Half precision is what the model is made for; a CPU has no arithmetic for it worth the name.
    by_default = "float16" if device == "cuda" else "float32"
    name = by_default if options.dtype == "auto" else options.dtype
    return device, getattr(torch, name)


def _pipeline(name: str, torch: Any, dtype: Any, say: Callable[[str], None]) -> Any:
    """Load it; in half precision by the smaller files, where the model has such."""
    pipelines = importlib.import_module("diffusers").AutoPipelineForText2Image
    if dtype is torch.float16:
        try:
            return pipelines.from_pretrained(name, torch_dtype=dtype, variant="fp16")
        except (OSError, ValueError) as error:
            if kind_of(error) in ("disk_full", "refused") or "variant" not in str(error).lower():
                raise
            say("[init] the model has no files in half precision; loading the full ones")
    return pipelines.from_pretrained(name, torch_dtype=dtype)


class Model:
    """The pipeline as a backend of the server."""

    is_silent = False

    def __init__(
        self, torch: Any, pipeline: Any, options: argparse.Namespace, device: str, say: Callable[[str], None]
    ) -> None:
        self._torch, self._pipeline, self._options, self._device = torch, pipeline, options, device
        self._say = say
        self._eager: Any = None  # the network as it was before it was compiled
        self.note = ""

    def speed_up(self) -> None:
        """Do what was asked for; without it pictures come more slowly and are the same."""
        if self._options.xformers:
            try:
                self._pipeline.enable_xformers_memory_efficient_attention()
            except Exception as error:
                self._slower("xformers cannot be used", error)
        if self._options.compile:
            self._eager = self._pipeline.unet
            self._pipeline.unet = self._torch.compile(self._eager, mode=self._options.compile)

    def draw(self, prompt: str) -> Any:
        """Draw one picture. The very first compiles the network, if it is to be compiled."""
        try:
            picture = self._draw(prompt)
        except Exception as error:
            if self._eager is None or not _is_of_compiler(error):
                raise
            self._pipeline.unet, self._eager = self._eager, None
            self._slower("compiling has failed, drawing in eager mode", error)
            picture = self._draw(prompt)
        return picture

    def _draw(self, prompt: str) -> Any:
        with self._torch.inference_mode():
            drawn = self._pipeline(
                prompt=prompt,
                num_inference_steps=1,
                guidance_scale=0.0,
                width=self._options.size,
                height=self._options.size,
            )
        return drawn.images[0]

    def check_prompt(self, prompt: str) -> None:
        """Take any."""

    def check_page(self) -> None:
        """Have no faults on purpose."""

    def recover(self) -> None:
        """Give back what a failed picture has left on the GPU."""
        if self._device == "cuda":
            try:
                self._torch.cuda.empty_cache()
            except RuntimeError as error:  # a GPU that is lost refuses this, too
                self._say(f"[gen] the GPU's memory could not be freed: {error}")

    def _slower(self, what: str, error: Exception) -> None:
        self.note = f"{what}: {type(error).__name__}"
        self._say(f"[init] {what}: {type(error).__name__}: {error}")


def _is_of_compiler(error: BaseException) -> bool:
    """Whether compiling has failed, and not the drawing itself: no C compiler, an unknown operator."""
    seen: BaseException | None = error
    while seen is not None:
        home = type(seen).__module__
        if home.startswith(("torch._dynamo", "torch._inductor", "triton")):
            return bool(kind_of(error) == "other")
        seen = seen.__cause__ or seen.__context__
    return False


# --- by hand, and by the set-up ---------------------------------------------------------------------


def check() -> None:
    """Prove that the libraries load together, and that the GPU computes with this build of torch."""
    numpy = importlib.import_module("numpy")
    torch = importlib.import_module("torch")
    diffusers = importlib.import_module("diffusers")
    # The attribute is what brings the whole chain in: the names above are lazy.
    print(f"pipeline: {diffusers.AutoPipelineForText2Image.__name__}")
    torch.from_numpy(numpy.zeros(1))  # says whether the two know each other
    if os.environ.get("DEVICE") != "cpu":
        if not torch.cuda.is_available():
            torch.cuda.init()
            raise Failed("gpu_lost", "torch finds no GPU on this host")
        kind = torch.cuda.get_device_name(0)
        ours = ".".join(str(part) for part in torch.cuda.get_device_capability(0))
        print(f"GPU: {kind}, compute capability {ours}; torch has {torch.cuda.get_arch_list()}")
        square = torch.ones((64, 64), device="cuda", dtype=torch.float16)
        if float((square @ square).sum()) != 64.0**3:
            raise Failed("gpu_lost", "the GPU computes wrongly")
    print(f"numpy {numpy.__version__}, torch {torch.__version__}, diffusers {diffusers.__version__}")


def fetch(name: str, dtype: str) -> None:
    """Bring the model into the cache; what is there already is not brought again."""
    if os.path.isdir(name):
        print(f"the model is a folder: {name}")
        return
    pipelines = importlib.import_module("diffusers").DiffusionPipeline
    half = dtype == "float16" or (dtype == "auto" and os.environ.get("DEVICE") != "cpu")
    try:
        folder = pipelines.download(name, variant="fp16" if half else None)
    except (OSError, ValueError) as error:
        if not half or "variant" not in str(error).lower():
            raise
        folder = pipelines.download(name)
    print(f"the model is in {folder}")


if __name__ == "__main__":
    try:
        if sys.argv[1:] == ["check"]:
            check()
        elif sys.argv[1:] == ["fetch"]:
            fetch(os.environ.get("MODEL_ID") or "stabilityai/sd-turbo", os.environ.get("DTYPE") or "auto")
        else:
            sys.exit("usage: sd_turbo_model.py check|fetch")
    except Exception as error:
        traceback.print_exc()
        print(f"[{kind_of(error)}] {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        sys.exit({"imports": 20, "numpy": 21, "no_kernel": 22, "driver": 23, "refused": 25}.get(kind_of(error), 31))
