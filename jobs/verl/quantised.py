"""The packages without which transformers 5.10 does not load quantised weights."""

from collections.abc import Mapping
from typing import Any

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "aqlm": ("aqlm",),
    "auto-round": ("auto_round",),
    "awq": ("gptqmodel",),
    "bitnet": (),
    "bitsandbytes": ("bitsandbytes",),
    "compressed-tensors": ("compressed_tensors",),
    "eetq": ("kernels",),
    "fbgemm_fp8": ("fbgemm_gpu",),
    "fouroversix": ("fouroversix",),
    "fp8": (),
    "fp_quant": ("fp_quant",),
    "gptq": ("optimum", "gptqmodel"),
    "higgs": ("flute", "fast_hadamard_transform"),
    "hqq": ("hqq",),
    "metal": ("kernels",),
    "mxfp4": (),
    "quanto": ("optimum",),
    "quark": ("quark",),
    "sinq": ("sinq",),
    "spqr": ("spqr_quant",),
    "torchao": ("torchao",),
    "vptq": ("vptq",),
}


def method_of(config: Mapping[str, Any]) -> str:
    """The method of a ``config.json``; empty for weights that are not quantised."""
    told = config.get("quantization_config")
    if not isinstance(told, dict):
        return ""
    if told.get("load_in_4bit") or told.get("load_in_8bit"):
        return "bitsandbytes"
    return str(told.get("quant_method") or "unknown")
