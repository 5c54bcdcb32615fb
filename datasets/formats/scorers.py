"""verl's own reward scorers, by data source.

Read from ``verl.utils.reward_score.default_compute_score`` of verl 0.9.1, which compares the whole
data source name; any other name raises NotImplementedError in the middle of a run.
"""

from collections.abc import Mapping

SCORERS: Mapping[str, tuple[str, ...]] = {
    "gsm8k": ("openai/gsm8k",),
    "math_reward": (
        "lighteval/MATH",
        "DigitalLearningGmbH/MATH-lighteval",
        "HuggingFaceH4/MATH-500",
    ),
    "math_dapo": ("math_dapo", "math", "math_dapo_reasoning"),
    "prime_math": (
        "numina_aops_forum",
        "numina_synthetic_math",
        "numina_amc_aime",
        "numina_synthetic_amc",
        "numina_cn_k12",
        "numina_olympiads",
    ),
    "prime_code": ("codecontests", "apps", "codeforces", "taco"),
    "geo3k": ("hiyouga/geometry3k",),
    "search_r1_like_qa_em": (
        "searchR1_nq",
        "searchR1_triviaqa",
        "searchR1_popqa",
        "searchR1_hotpotqa",
        "searchR1_2wikimultihopqa",
        "searchR1_musique",
        "searchR1_bamboogle",
    ),
}
PREFIXES: Mapping[str, str] = {"aime": "math_dapo"}


class DataSources(tuple[str, ...]):
    """The data source names to offer; ``in`` also accepts names that begin with a prefix."""

    def __contains__(self, source: object) -> bool:
        return isinstance(source, str) and scorer_of(source) is not None


def scorer_of(data_source: str) -> str | None:
    """The scorer's module in verl, or None when verl has no scorer for this data source."""
    for scorer, sources in SCORERS.items():
        if data_source in sources:
            return scorer
    return next((s for prefix, s in PREFIXES.items() if data_source.startswith(prefix)), None)


DATA_SOURCES = DataSources(source for sources in SCORERS.values() for source in sources)
