"""A training job in the words of the estimate, as verl 0.9.1 will lay it out."""

from compute.sizing.facts import ModelFacts
from compute.sizing.gpus import Gpu
from compute.sizing.question import Lengths, Question, Saving, Served
from jobs.verl.algorithms import is_rl
from jobs.verl.effective import Effective, QuestionError
from jobs.verl.engines import actor_of, critic_of, reference_of, rollout_of
from jobs.verl.keys import ACTOR, REWARD_MODEL, ROLLOUT
from jobs.verl.portions import critic_update_of, log_prob_of, update_of, values_of
from jobs.verl.spec import TrainSpec

__all__ = ["QuestionError", "question_of"]

MOST_GPUS = 1 << 16
LONGEST = 1 << 24  # tokens of a row
LONGEST_ANSWER = "data.max_response_length"
ASSUMED = 0.5  # of the longest, where nobody knows how long rows are


def question_of(
    spec: TrainSpec,
    model: ModelFacts,
    gpu: Gpu,
    *,
    gpus: int | None = None,
    per_node: int | None = None,
    host_memory: int | None = None,
    lengths: Lengths | None = None,
    critic: ModelFacts | None = None,
    reward_model: ModelFacts | None = None,
) -> Question:
    """What the estimate is asked about a job.

    ``gpus`` are all its cards, the spec's own number without; ``per_node`` those of one machine,
    8 without. ``lengths`` are the means of the data, half of the longest without. ``critic`` and
    ``reward_model`` are other models than the one that is trained. Raises ``QuestionError``.
    """
    values = Effective(spec)
    cards = _cards(spec, gpus)
    rows = values.whole("data.train_batch_size")
    sized = _lengths(values, lengths)
    actor = actor_of(values, model, cards)
    question = Question(
        algorithm=spec.kind,  # type: ignore[arg-type]  # one of the five
        gpu=gpu,
        gpus=cards,
        per_node=min(per_node or 8, cards),
        actor=actor,
        update=update_of(values, sized, actor, cards),
        lengths=sized,
        rows=rows,
        saving=_saving(spec, values),
        host_memory=host_memory,
    )
    if not is_rl(spec.kind):
        return question
    other = critic_of(values, critic or model, cards) if spec.kind == "ppo" else None
    return Question(
        **{
            **vars(question),
            "answers": values.whole(f"{ROLLOUT}.n"),
            "reference": reference_of(values, model, cards),
            "critic": other,
            "critic_update": other and critic_update_of(values, sized, other, cards),
            "reward_model": _served(values, reward_model),
            "rollout": rollout_of(values, model, cards),
            "log_prob_tokens": log_prob_of(values, sized, actor),
            "values_tokens": values_of(values, sized, other) if other else 0,
            "temperature": values.positive(f"{ROLLOUT}.temperature"),
        }
    )


def _cards(spec: TrainSpec, gpus: int | None) -> int:
    found = spec.values.get("gpus", 1) if gpus is None else gpus
    if type(found) is not int or not 1 <= found <= MOST_GPUS:
        raise QuestionError(f"{found!r} GPUs: write a number from 1 to {MOST_GPUS:,}.", "gpus")
    return found


def _lengths(values: Effective, known: Lengths | None) -> Lengths:
    """The limits of the job, and the means of the data as far as the limits let them."""
    if not is_rl(values.kind):
        longest = values.whole("data.max_length", most=LONGEST)
        mean = min(known.mean, longest) if known else ASSUMED * longest
        return Lengths(mean, longest, 0, 0, known.source if known else "assumed")
    prompt = values.whole("data.max_prompt_length", most=LONGEST)
    answer = values.whole(LONGEST_ANSWER, most=LONGEST)
    if known is None:
        return Lengths(ASSUMED * prompt, prompt, ASSUMED * answer, answer)
    if not known.answer:  # the data tell of prompts alone
        return Lengths(min(known.prompt, prompt), prompt, ASSUMED * answer, answer)
    return Lengths(
        min(known.prompt, prompt),
        prompt,
        min(known.answer, answer),
        answer,
        known.source,
        known.told,
    )


def max_answer_of(spec: TrainSpec) -> int:
    """The most tokens that an answer may have. Raises ``QuestionError``."""
    return Effective(spec).whole(LONGEST_ANSWER, most=LONGEST)


def _served(values: Effective, model: ModelFacts | None) -> Served | None:
    if model is None or not values.get(f"{REWARD_MODEL}.model_path"):
        return None
    return Served(
        model,
        values.whole(f"{REWARD_MODEL}.rollout.tensor_model_parallel_size"),
        values.share(f"{REWARD_MODEL}.rollout.gpu_memory_utilization"),
    )


def _saving(spec: TrainSpec, values: Effective) -> Saving:
    """RL saves never with -1, SFT and DPO at the end."""
    prefix = f"{ACTOR}.checkpoint" if is_rl(spec.kind) else "checkpoint"
    every = spec.values.get("save_freq", -1)
    at_end = -1 if is_rl(spec.kind) else 0
    kept, steps = spec.values.get("max_ckpt_to_keep"), spec.values.get("steps")
    return Saving(
        contents=values.words(f"{prefix}.save_contents"),
        kept=kept if type(kept) is int else None,
        every=every if type(every) is int and every > 0 else at_end,
        steps=steps if type(steps) is int else None,
    )
