"""The weights of a mixture of experts, as verl sends them, are those of the rollout's model."""

import json
import subprocess
import sys

import pytest
import torch
from trainyard_node.rollout.experts import packed

# What verl makes of the weights of a small mixture, and what becomes of that.
LOOK = """
import json, sys, torch
from transformers import AutoConfig, AutoModelForCausalLM
from verl.workers.engine.fsdp.utils import unfuse_moe_params
from trainyard_node.rollout.experts import packed
config = AutoConfig.for_model(
    sys.argv[1], vocab_size=16, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, num_experts=3, num_experts_per_tok=2, moe_intermediate_size=4,
    intermediate_size=4, shared_expert_intermediate_size=4,
)
weights = AutoModelForCausalLM.from_config(config).state_dict()
sent = dict(unfuse_moe_params(weights.items(), sys.argv[1]))
found = packed(sent, weights)
print("LOOK" + json.dumps({
    "alone": sum("experts.2." in name for name in sent),
    "names": found.keys() == weights.keys(),
    "values": all(torch.equal(found[name], each) for name, each in weights.items()),
}))
"""


@pytest.mark.parametrize("model_type", ["qwen2_moe", "qwen3_moe"])
def test_what_verl_takes_apart_is_put_together_again(model_type: str) -> None:
    argv = [sys.executable, "-c", LOOK, model_type]  # elsewhere: the root has its own `datasets`
    said = subprocess.check_output(argv, cwd="/", text=True, timeout=300)
    told = json.loads(said.partition("LOOK")[2])
    assert told == {"alone": 2 * 3, "names": True, "values": True}


def test_the_experts_of_a_model_that_has_each_alone_stay_so() -> None:
    sent = {"model.layers.0.mlp.experts.0.gate_proj.weight": torch.ones(2)}
    assert packed(sent, sent).keys() == sent.keys()
