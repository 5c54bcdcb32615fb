"""Files ``generation_config.json``, and whether transformers saves them again.

The training environment compares the verdicts with transformers itself.
"""

from typing import Any

CASES: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"eos_token_id": [1, 2], "bos_token_id": 0, "pad_token_id": 3}, True),
    ({"do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 20}, True),
    ({"temperature": 0.6}, False),
    ({"temperature": 1.0, "top_p": 1.0, "top_k": 50}, True),
    ({"do_sample": False, "top_p": 0.9}, False),
    ({"do_sample": None, "top_k": 20}, False),
    ({"min_p": 0.1}, False),
    ({"top_h": 0.1}, False),
    ({"typical_p": 0.5}, False),
    ({"epsilon_cutoff": 0.1}, False),
    ({"eta_cutoff": 0.1}, False),
    ({"repetition_penalty": 1.1}, True),
    ({"early_stopping": True}, False),
    ({"early_stopping": True, "num_beams": 4}, True),
    ({"early_stopping": "soon", "num_beams": 4}, False),
    ({"length_penalty": 2.0}, False),
    ({"length_penalty": 2.0, "num_beams": 2}, True),
    ({"max_new_tokens": 0}, False),
    ({"max_new_tokens": 5}, True),
    ({"pad_token_id": -1}, False),
    ({"cache_implementation": "static"}, True),
    ({"cache_implementation": "none of these"}, False),
    ({"use_cache": False, "cache_implementation": "static"}, False),
    ({"use_cache": False}, True),
    ({"num_return_sequences": 2}, False),
    ({"num_return_sequences": 2, "do_sample": True}, True),
    ({"num_return_sequences": 2, "num_beams": 2}, True),
    ({"num_return_sequences": 3, "num_beams": 2}, False),
    ({"output_scores": True}, False),
    ({"output_scores": True, "return_dict_in_generate": True}, True),
    ({"logits_processor": []}, False),
]
