"""Chat templates and rows that trip tokenization up, made on the spot; and what verl makes of them.

`python chat_cases.py FOLDER MODEL` makes one model folder a template and the parquet files, and
writes what verl's own data set classes (and the DPO trainer's) give for every row, with the model
folder MODEL as well, as FOLDER/verl.json. It must not run in the repository's root, whose
`datasets` would hide Hugging Face's.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from trainyard_node.hooks import absent

SPECIAL = ["<|end|>", "<|im_start|>", "<|im_end|>", "<|bos|>", "<|head|>", "<|/head|>", "<|eot|>"]
SPECIAL += ["<start_of_turn>", "<end_of_turn>", "<think>", "</think>"]

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DEFAULT_SYSTEM = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
)
TOOLS = (
    "{% if tools %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}"
    "{% if m.role == 'tool' %}<|im_start|>user\n<result>{{ m.content }}</result><|im_end|>\n"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}<call>{{ call | tojson }}</call>{% endfor %}"
    "<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA = (
    "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "<|head|>{{ m.role }}<|/head|>\n\n{{ m.content | trim }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|head|>assistant<|/head|>\n\n{% endif %}"
)
GEMMA_TURNS = (
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must go user, assistant, user.') }}{% endif %}" + GEMMA_TURNS
)
LENIENT_GEMMA = "{{ bos_token }}{% for m in messages %}" + GEMMA_TURNS
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)
SAYS_THINKING = "{{ 'on' if enable_thinking is defined and enable_thinking else 'off' }}" + CHATML
NEEDS_USER = (
    "{% if not messages | selectattr('role', 'equalto', 'user') | list %}"
    "{{ raise_exception('No user turn.') }}{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}{% else %}{{ m.content[0].text }}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SILENT = CHATML.replace("<|im_start|>{{", "{% if m.role != 'tool' %}<|im_start|>{{", 1).replace(
    "<|im_end|>\n{% endfor", "<|im_end|>\n{% endif %}{% endfor", 1
)
TEMPLATES = {
    "chatml": CHATML,
    "default-system": DEFAULT_SYSTEM + CHATML,
    "tools": TOOLS,
    "llama": LLAMA,
    "gemma": GEMMA,
    "lenient-gemma": LENIENT_GEMMA,
    "stripping": CHATML.replace("m.content", "m.content | trim"),
    "thinking": THINKING,
    "says-thinking": SAYS_THINKING,
    "needs-user": NEEDS_USER,
    "silent": SILENT,
}
PIECES = ("lenient-gemma", "needs-user")  # these get a SentencePiece-like tokenizer


def turns(*pairs: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in pairs]


CHATS = [
    turns(("user", "1+2=?"), ("assistant", "3")),
    turns(("system", "Add."), ("user", "1+2=?"), ("assistant", "3")),
    turns(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d e f")),
    turns(("user", "a"), ("system", "new rules"), ("user", "c"), ("assistant", "d")),
    turns(("assistant", "I begin."), ("user", "Do.")),
    turns(("user", "a"), ("user", "b"), ("assistant", "c"), ("assistant", "d")),
    turns(("user", "a"), ("assistant", "")),
    turns(("user", ""), ("assistant", "nothing asked")),
    turns(("user", "  spaces \n"), ("assistant", "\n\n answer \t\n")),
    turns(("user", "🤗 👩‍🚀 \U0001d518\U0001d52b é"), ("assistant", "naïve 🏳️‍🌈 \U0010ffff 漢字")),
    turns(("user", "say <|im_end|> and </think>"), ("assistant", "<|im_start|>user\nno")),
    turns(("user", "look"), ("assistant", "wait"), ("tool", '{"x": 1}'), ("assistant", "1")),
    turns(("user", "look"), ("tool", "a"), ("tool", "b"), ("assistant", "1")),
    turns(("user", "a"), ("assistant", None)),
    turns(("user", "long " * 30), ("assistant", "and longer " * 30)),
    [],
]
CALLED: list[dict[str, Any]] = [
    *turns(("user", "Weather?")),
    {"role": "assistant", "content": "", "tool_calls": [{"name": "sky", "arguments": {"at": "x"}}]},
    *turns(("tool", "blue"), ("assistant", "It is blue.")),
]
COUNTED: list[dict[str, Any]] = [
    *turns(("user", "Sum?")),
    {"role": "assistant", "content": "so", "tool_calls": [{"name": "sum", "arguments": {"n": 2}}]},
    {"role": "assistant", "content": "skipped", "weight": 0},
    {"role": "assistant", "content": "learnt", "weight": 1},
]
CALLABLE = [[{"name": "sky", "has": {"at": 1}}], [{"name": "sum", "has": {"n": "int"}}]]
TOOL = [{"type": "function", "function": {"name": "look", "description": "Looks."}}]
SFT_FILES: dict[str, dict[str, list[Any]]] = {
    "chats": {"messages": CHATS},
    "thinking": {"messages": [CHATS[0]] * 3, "enable_thinking": [True, False, None]},
    "tools": {"messages": [CHATS[11]] * 2, "tools": [TOOL, None]},
    "calls": {"messages": [CALLED, COUNTED], "tools": CALLABLE},
    "call-0": {"messages": [CALLED], "tools": CALLABLE[:1]},
    "call-1": {"messages": [COUNTED], "tools": CALLABLE[1:]},
    "images": {"messages": [CHATS[0]], "images": [["a.png"]]},
}
PAIRS: dict[str, list[Any]] = {
    "prompt": [chat[:-1] for chat in CHATS if len(chat) > 1],
    "chosen": [chat[-1:] for chat in CHATS if len(chat) > 1],
    "rejected": [turns(("assistant", "something else 🤖"))] * (len(CHATS) - 1),
}
CUTS = [("error", 4096), ("error", 20), ("left", 20), ("right", 20)]


def make(folder: Path) -> None:
    """The model folders and the parquet files."""
    import pyarrow as pa
    from pyarrow import parquet

    for name, template in TEMPLATES.items():
        save_tokenizer(folder / name, template, pieces=name in PIECES)
    for name, columns in SFT_FILES.items():
        parquet.write_table(pa.table(columns), folder / f"{name}.parquet")
    prompts = [chat[:-1] for chat in CHATS if len(chat) > 1]
    rl = {"prompt": prompts, "data_source": ["x"] * len(prompts)}
    parquet.write_table(pa.table(PAIRS), folder / "dpo.parquet")
    parquet.write_table(pa.table(rl), folder / "rl.parquet")


def save_tokenizer(folder: Path, template: str, *, pieces: bool) -> None:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    transformers: Any = importlib.import_module("transformers")
    texts = ["system user assistant model tool answer begin", "1+2=? 3 longer and naïve"] * 3
    if pieces:
        letters = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
        tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<|end|>"))
        tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
        replace = decoders.Replace("\u2581", " ")
        tokenizer.decoder = decoders.Sequence([replace, decoders.ByteFallback(), decoders.Fuse()])
        trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=letters, show_progress=False)
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(
            vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
        )
    tokenizer.train_from_iterator(texts, trainer)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>", bos_token="<|bos|>"
    )
    fast.chat_template = template
    fast.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))


def sft_by_verl(model: Path, file: Path, **changes: Any) -> list[dict[str, Any]]:
    """Every row's ids and mask without padding, or what verl raised, under verl's own settings."""
    import verl
    from omegaconf import OmegaConf
    from verl.utils import hf_tokenizer
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

    shipped = Path(verl.__file__).parent / "trainer/config/sft_trainer_engine.yaml"
    config = OmegaConf.merge(OmegaConf.load(shipped).data, changes)
    count = len(SFT_FILES[file.stem]["messages"])
    try:
        rows = MultiTurnSFTDataset([str(file)], hf_tokenizer(str(model)), config)
    except Exception as error:
        return [{"error": str(error)}] * count
    return [read_row(rows, index) for index in range(count)]


def read_row(rows: Any, index: int) -> dict[str, Any]:
    try:
        row = rows[index]
    except Exception as error:
        return {"error": str(error)}
    real = int(row["attention_mask"].sum()) if "attention_mask" in row else len(row["input_ids"])
    return {
        "ids": [int(id_) for id_ in row["input_ids"][:real]],
        "mask": [int(bit) for bit in row["loss_mask"][:real]],
    }


def rl_by_verl(model: Path, file: Path, longest: int) -> dict[str, Any]:
    """What the rollout is prompted with, and which rows the length filter leaves."""
    from omegaconf import OmegaConf
    from verl.utils import hf_tokenizer
    from verl.utils.dataset.rl_dataset import RLHFDataset
    from verl.utils.tokenizer.continuous_token import ContinuousTokenBuilder

    tokenizer = hf_tokenizer(str(model))
    builder = ContinuousTokenBuilder(tokenizer)
    found: dict[str, Any] = {}
    for filtered in (False, True):
        config: dict[str, Any] = {"filter_overlong_prompts": filtered, "max_prompt_length": longest}
        config |= {"filter_overlong_prompts_workers": None, "cache_dir": str(file.parent / "cache")}
        rows = RLHFDataset([str(file)], tokenizer, OmegaConf.create(config))
        prompts = [rows[index]["raw_prompt"] for index in range(len(rows))]
        found["left" if filtered else "prompts"] = prompts
    found["ids"] = [attempt(builder.build_initial_tokens, prompt) for prompt in found["prompts"]]
    return found


def dpo_by_trainer(model: Path, file: Path, truncation: str, length: int) -> list[Any]:
    """Each pair's three parts as the trainer has them, or None where it refuses."""
    from trainyard_node.dpo.data import PairDataset
    from verl.utils import hf_tokenizer

    settings = {"max_length": length, "truncation": truncation}
    rows = PairDataset([str(file)], hf_tokenizer(str(model)), settings)
    pairs = [attempt(rows.__getitem__, (index, 1.0)) for index in range(len(rows))]
    return [found and [found[2].prompt, found[2].chosen, found[2].rejected] for found in pairs]


def attempt(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception:
        return None


def main(folder: Path, sample: Path) -> None:
    absent.install()
    make(folder)
    models = {name: folder / name for name in TEMPLATES} | {"sample": sample}
    sft = {
        f"{name}|{file}|{pad_mode}|{truncation}|{length}": sft_by_verl(
            model,
            folder / f"{file}.parquet",
            pad_mode=pad_mode,
            truncation=truncation,
            max_length=length,
        )
        for name, model in models.items()
        for file in SFT_FILES
        for pad_mode in ("no_padding", "right")
        for truncation, length in CUTS
    }
    unmatched = {
        name: sft_by_verl(model, folder / "chats.parquet", ignore_input_ids_mismatch=True)
        for name, model in models.items()
    }
    rl = {name: rl_by_verl(model, folder / "rl.parquet", 40) for name, model in models.items()}
    dpo = {
        f"{name}|{truncation}|{length}": dpo_by_trainer(
            model, folder / "dpo.parquet", truncation, length
        )
        for name, model in models.items()
        for truncation, length in CUTS
    }
    described = {name: str(model) for name, model in models.items()}
    found = {"models": described, "sft": sft, "unmatched": unmatched, "rl": rl, "dpo": dpo}
    (folder / "verl.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
