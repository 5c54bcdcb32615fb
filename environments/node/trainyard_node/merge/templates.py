"""Chat templates that a recipe names, in Jinja.

They are written as the families of models were trained: mergekit's alpaca, llama3 and exaone have
other white space between the turns.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trainyard_node.export.refused import Refused

AUTO = "auto"
FILE, CONFIG = "chat_template.jinja", "tokenizer_config.json"
NAMED: Mapping[str, str] = {
    "chatml": (
        '{%- for turn in messages -%}{{ "<|im_start|>" ~ turn.role ~ "\\n" ~ turn.content '
        '~ "<|im_end|>\\n" }}{%- endfor -%}'
        '{%- if add_generation_prompt -%}{{ "<|im_start|>assistant\\n" }}{%- endif -%}'
    ),
    "llama3": (
        "{{- bos_token }}{%- for turn in messages -%}"
        '{{ "<|start_header_id|>" ~ turn.role ~ "<|end_header_id|>\\n\\n" }}'
        '{{ turn.content | trim }}{{ "<|eot_id|>" }}{%- endfor -%}'
        "{%- if add_generation_prompt -%}"
        '{{ "<|start_header_id|>assistant<|end_header_id|>\\n\\n" }}{%- endif -%}'
    ),
    "exaone": (
        '{%- if messages[0].role != "system" -%}{{ "[|system|][|endofturn|]\\n" }}{%- endif -%}'
        '{%- for turn in messages -%}{{ "[|" ~ turn.role ~ "|]" ~ turn.content }}'
        '{{ "\\n" if turn.role == "user" else "[|endofturn|]\\n" }}{%- endfor -%}'
        '{%- if add_generation_prompt -%}{{ "[|assistant|]" }}{%- endif -%}'
    ),
    "mistral": (
        "{{- bos_token }}{%- set said = namespace(system='', expected='user') -%}"
        "{%- for turn in messages -%}"
        "{%- if loop.first and turn.role == 'system' -%}"
        '{%- set said.system = turn.content ~ "\\n\\n" -%}'
        "{%- elif turn.role != said.expected -%}"
        "{{ raise_exception('User and assistant speak in turn, after a system message at most.') }}"
        "{%- elif turn.role == 'user' -%}"
        '{{ " [INST] " ~ said.system ~ turn.content ~ " [/INST]" }}'
        "{%- set said.system = '' -%}{%- set said.expected = 'assistant' -%}"
        "{%- else -%}"
        "{{ \" \" ~ turn.content ~ eos_token }}{%- set said.expected = 'user' -%}"
        "{%- endif -%}{%- endfor -%}"
    ),
    "alpaca": (
        "{%- set said = namespace(system='') -%}{%- for turn in messages -%}"
        "{%- if turn.role == 'system' -%}{%- set said.system = turn.content | trim -%}{%- endif -%}"
        '{%- endfor -%}{{ said.system ~ "\\n\\n" }}'
        "{%- set heads = {'user': 'Instruction', 'assistant': 'Response', 'user_context': 'Input'}"
        " -%}{%- for turn in messages -%}{%- if turn.role in heads -%}"
        '{{ "### " ~ heads[turn.role] ~ ":\\n" ~ (turn.content | trim) }}'
        '{%- if not loop.last -%}{{ "\\n\\n" }}{%- endif -%}'
        "{%- endif -%}{%- endfor -%}"
        "{%- if add_generation_prompt and messages[-1].role != 'assistant' -%}"
        '{{ "\\n\\n### Response:\\n" }}{%- endif -%}'
    ),
}


def template_of(wanted: str, folders: Iterable[Path]) -> str:
    """The template that a recipe asks for; empty where the tokenizer's own is to stay. `folders`
    are the models', of whose templates AUTO takes the most frequent, or the first of several.
    Raises Refused for an unknown name."""
    if not wanted or "{" in wanted:
        return wanted
    if wanted == AUTO:
        found = [text.strip() for folder in folders if (text := _own(folder))]
        return Counter(found).most_common(1)[0][0] if found else ""
    if wanted not in NAMED:
        raise Refused(
            f"chat_template {wanted!r} is unknown. There are: {', '.join(sorted(NAMED))}, {AUTO}; "
            "or write the template itself (Jinja)."
        )
    return NAMED[wanted]


def _own(folder: Path) -> str:
    """The template of a model's folder; empty where it has none."""
    try:
        if (folder / FILE).is_file():
            return (folder / FILE).read_text()
        if not (folder / CONFIG).is_file():
            return ""
        said: Any = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise Refused(f"The chat template of {folder} cannot be read: {error}") from error
    found = said.get("chat_template") if isinstance(said, dict) else None
    if isinstance(found, list):  # several by name
        named = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
        found = named.get("default")
    return found if isinstance(found, str) else ""
