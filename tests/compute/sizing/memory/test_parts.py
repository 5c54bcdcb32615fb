"""Parts of the ledger against figures counted by hand."""

from dataclasses import replace

from compute.sizing import answer
from compute.sizing.memory import overhead
from compute.sizing.memory.ledger import kept, memory_of
from compute.sizing.question import Lora, Saving
from tests.compute.sizing.memory.test_ledger import PPO, SFT

LLAMA_8B = 8_030_261_248  # parameters, by its authors' own files


def test_an_optimizer_step_takes_20_bytes_of_each_parameter_on_each_shard() -> None:
    """Weights, gradients, two moments and their squares' roots, in fp32, with few tokens."""
    one_card = replace(
        SFT, actor=replace(SFT.actor, shards=1), update=replace(SFT.update, tokens=1)
    )
    parts = memory_of(one_card).phases[answer.UPDATE]
    assert parts["weights"] == 4 * LLAMA_8B
    assert parts["gradients"] == 4 * LLAMA_8B
    assert parts["optimizer"] == 12 * LLAMA_8B


def test_an_actor_keeps_weights_and_moments_unless_it_offloads_them() -> None:
    assert kept(SFT.actor) == 12 * LLAMA_8B // 8
    assert kept(replace(SFT.actor, param_offload=True)) == 8 * LLAMA_8B // 8
    assert kept(replace(SFT.actor, param_offload=True, optimizer_offload=True)) == 0


def test_an_adapter_has_moments_of_its_own_parameters_alone() -> None:
    rank, hidden, keys = 16, 4096, 1024
    adapted = replace(SFT.actor, lora=Lora(rank, ("q_proj", "v_proj")))
    added = 32 * rank * ((hidden + hidden) + (hidden + keys))
    assert kept(adapted) == round((4 * (LLAMA_8B + added) + 8 * added) / 8)


def test_gradients_that_wait_stay_whole_on_each_gpu() -> None:
    synced = replace(SFT, update=replace(SFT.update, micro_batches=4, synced=True))
    waiting = replace(SFT, update=replace(SFT.update, micro_batches=4, synced=False))
    more = memory_of(waiting).peak - memory_of(synced).peak
    assert more > 3 * LLAMA_8B


def test_a_reference_lies_in_the_hosts_memory() -> None:
    parts = memory_of(PPO).phases[answer.REF]
    assert parts["weights"] < 4 * LLAMA_8B // 8
    assert parts["optimizer"] == 0


def test_a_checkpoint_holds_fp32_weights_and_two_moments_of_each_parameter() -> None:
    assert memory_of(SFT).checkpoint == 12 * LLAMA_8B
    slim = replace(SFT, saving=Saving(("model", "hf_model")))
    assert memory_of(slim).checkpoint == 8 * LLAMA_8B


def test_adapters_on_the_hosts_memory_have_moments_of_their_own_alone() -> None:
    idle = replace(SFT.actor, optimizer_offload=True, lora=Lora(16, ("q_proj", "v_proj")))
    added = 32 * 16 * ((4096 + 4096) + (4096 + 1024))
    more = memory_of(replace(SFT, actor=idle)).host - memory_of(SFT).host
    assert more == 8 * added


def test_exchanges_of_sequence_parallelism_add_overhead_for_each_peer() -> None:
    parallel = replace(SFT.actor, sequence_parallel=8)
    assert overhead.training(parallel) - overhead.training(SFT.actor) == 7 * overhead.PEER


def test_a_temperature_costs_a_copy_of_the_logits() -> None:
    many = replace(SFT, update=replace(SFT.update, tokens=32768))
    once = memory_of(many).phases[answer.UPDATE]["logits"]
    twice = memory_of(replace(many, temperature=0.7)).phases[answer.UPDATE]["logits"]
    assert (once, twice) == (2 * 128256 * 32768, 4 * 128256 * 32768)
