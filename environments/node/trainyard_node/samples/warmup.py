"""A short supervised training in plain torch: RL needs answers that are sometimes right.

Two of three answers in it are hedged ("about 12"), which the reward does not accept. So the model
half knows the sums, but mostly gives them in the wrong form, which RL quickly corrects.
"""

import random
from typing import Any

from trainyard_node.samples.data import Problem

STEPS = 180
BATCH = 32
PEAK_RATE = 3e-3
HEDGE = "about "
HEDGED_SHARE = 0.65
IGNORED = -100


def warm_up(model: Any, tokenizer: Any, chosen: list[Problem], seed: int) -> float:
    """Train `model` in place for STEPS steps, on answers only. Return the last loss (nats)."""
    import torch

    draw = random.Random(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=STEPS)
    model.train()
    loss = torch.tensor(float("nan"))
    for _ in range(STEPS):
        batch = _batch(tokenizer, [_perhaps_hedged(p, draw) for p in draw.choices(chosen, k=BATCH)])
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()
    return float(loss.detach())


def _perhaps_hedged(problem: Problem, draw: random.Random) -> Problem:
    hedge = HEDGE if draw.random() < HEDGED_SHARE else ""
    return Problem(problem.question, hedge + problem.answer)


def _batch(tokenizer: Any, chosen: list[Problem]) -> dict[str, Any]:
    import torch

    rows = [_row(tokenizer, problem) for problem in chosen]
    width = max(len(ids) for ids, _ in rows)
    pad = tokenizer.pad_token_id
    return {
        "input_ids": torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows]),
        "attention_mask": torch.tensor([[1] * len(i) + [0] * (width - len(i)) for i, _ in rows]),
        "labels": torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in rows]),
    }


def _row(tokenizer: Any, problem: Problem) -> tuple[list[int], list[int]]:
    text = tokenizer.apply_chat_template(problem.prompt, add_generation_prompt=True, tokenize=False)
    prompt = tokenizer.encode(text, add_special_tokens=False)
    answer = tokenizer.encode(problem.answer, add_special_tokens=False) + [tokenizer.eos_token_id]
    return prompt + answer, [IGNORED] * len(prompt) + answer
