"""Versions that go together, and what they ask of a host: the driver, and which GPUs they know.

Where it is from: each preset was resolved as a whole by pip against the public package index, for
Linux on x86-64, with wheels only, on 2026-11-22; the current one for Python 3.10, 3.12 and 3.13, and it is
what the tests load and draw with (tests/integration/workloads/diffusion.lock, a test compares). Which
CUDA a torch is built for is in its wheel's own list of requirements (13.0.3 for 2.13.0, 12.8.90 for
2.10.0, 11.7.99 for 2.0.1), read the same day. That a driver must do at least that CUDA, and that there
are no kernels for a compute capability newer than its CUDA knows, is from NVIDIA's compatibility pages
(read 2026-11) and was not tried: no GPU was lent for it. The seed's preset was installed, loaded a tiny
model and drew with it on a processor the same day; with NumPy 2.2.6 in it the server's check ended with
"Numpy is not available", with huggingface_hub 0.30.0 with "cannot import name 'cached_download'".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class PinsName(StrEnum):
    """The presets, and the operator's own."""

    CURRENT = "current"
    CUDA_12 = "cuda-12"
    SEED_2023 = "seed-2023"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What pip is to install, the largest first, and what that asks of a host."""

    requirements: tuple[str, ...]
    cuda_min: float = 0.0  # what the host's driver must be able to do
    gpu_names_excluded: tuple[str, ...] = ()  # as the marketplace spells them


# diffusers 0.42 and transformers 5.22 want Python 3.11, and images with 3.10 are common; NumPy 2.2 is
# the last for 3.10.
_AROUND_TORCH = (
    "diffusers==0.41.0",
    "transformers==5.20.2",
    "accelerate==1.15.0",
    "huggingface_hub==1.33.0",
    "safetensors==0.8.0",
    "numpy==2.2.6",
    "pillow==12.3.0",
)

# Compute capability 9.0 and above, which CUDA 11.7 has never heard of: Hopper and Blackwell.
_BLACKWELL = (
    "RTX 5050", "RTX 5060", "RTX 5060 Ti", "RTX 5070", "RTX 5070 Ti", "RTX 5080", "RTX 5090",
    "RTX 5090 D", "RTX PRO 4000", "RTX PRO 4500", "RTX PRO 5000", "RTX PRO 6000 S",
    "RTX PRO 6000 WS", "RTX PRO 6000 MAX-Q", "B200", "B300", "GB200", "GB300",
)  # fmt: skip
_HOPPER = ("H100 NVL", "H100 PCIE", "H100 SXM", "H200", "H200 NVL", "GH200 SXM")

PRESETS: Mapping[PinsName, Pins] = MappingProxyType(
    {
        PinsName.CURRENT: Pins(requirements=("torch==2.13.0", *_AROUND_TORCH), cuda_min=13.0),
        PinsName.CUDA_12: Pins(requirements=("torch==2.10.0", *_AROUND_TORCH), cuda_min=12.8),
        # As first published, with the fix of its authors (a newer huggingface_hub breaks diffusers
        # 0.24.0). The published build for CUDA 11.8 is in an index of its own, for pip_args to name.
        PinsName.SEED_2023: Pins(
            requirements=(
                "torch==2.0.1",
                "torchvision==0.15.2",
                "numpy==1.26.4",
                "diffusers==0.24.0",
                "transformers==4.32.0",
                "accelerate==0.23.0",
                "huggingface_hub==0.19.4",
                "xformers==0.0.22",
                "pillow==12.3.0",
            ),
            cuda_min=11.7,
            gpu_names_excluded=(*_BLACKWELL, *_HOPPER),
        ),
    }
)
# The test card: any Pillow of the last years.
NO_PINS = Pins(requirements=("pillow>=9.1",))
