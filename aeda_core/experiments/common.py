"""What several experiments ask."""

from __future__ import annotations

import torch


def precision(asked: str) -> str:
    """`asked`, or for `auto` what the hardware is fast at."""
    if asked != "auto":
        return asked
    fast = torch.cuda.is_available() or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bf16" if fast else "fp32"
