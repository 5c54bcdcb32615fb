"""What a child gets of the site's environment: a list of names, and never the whole.

A run, and the trial of a reward function, may be anybody's code. What such code needs of the
machine's own set-up is named here; what an operator wants to let through besides is named in
``TRAINYARD_RUN_ENV``.
"""

import os
from collections.abc import Iterator, Mapping

MORE = "TRAINYARD_RUN_ENV"
NAMES = frozenset(
    {
        # where things are, and who asks
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "LD_LIBRARY_PATH", "LIBRARY_PATH",
        "CPATH", "CC", "CXX", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
        # how things are written
        "LANG", "LANGUAGE", "TZ",
        # how the net is reached
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy",
        "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    }
)  # fmt: skip
BEGINNINGS = (
    "LC_", "CUDA_", "NVIDIA_", "CUDNN_", "CUBLAS_", "NCCL_", "GLOO_", "UCX_", "FI_", "ROCM_",
    "HIP_", "HSA_", "HF_", "TRANSFORMERS_", "TOKENIZERS_", "TORCH_", "TORCHINDUCTOR_", "PYTORCH_",
    "TRITON_", "VLLM_", "SGLANG_", "SGL_", "RAY_", "OMP_", "MKL_", "KMP_", "OPENBLAS_", "GOMP_",
)  # fmt: skip
# The site's own: no setting lets them through.
SECRETS = frozenset(
    {
        "TRAINYARD_SECRET_KEY", "TRAINYARD_SECRET_KEYS", "DATABASE_URL", "CHANNEL_REDIS_URL",
        "QUEUE_REDIS_URL", "TRAINYARD_METRICS_TOKEN",
    }
)  # fmt: skip


def passed_on(*beginnings: str, source: Mapping[str, str] | None = None) -> dict[str, str]:
    """The part of the environment that a child gets; ``beginnings`` of names let more through."""
    given = os.environ if source is None else source
    more = tuple(_more(given.get(MORE, "")))
    exact = NAMES | {name for name in more if not name.endswith("*")}
    starts = (*BEGINNINGS, *beginnings, *(name[:-1] for name in more if name.endswith("*")))
    return {
        name: value
        for name, value in given.items()
        if (name in exact or name.startswith(starts)) and name not in SECRETS
    }


def _more(text: str) -> Iterator[str]:
    for word in text.split(","):
        if (name := word.strip()).rstrip("*"):
            yield name
