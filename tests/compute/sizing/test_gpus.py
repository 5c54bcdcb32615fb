"""The catalogue of GPUs against facts from the makers' data sheets, written by hand."""

import pytest

from compute.sizing.gpus import UnknownGpu, catalogue, find

MIB = 1 << 20
TERA, GIGA = 1e12, 1e9

# Slug: memory in MiB, dense TFLOPS in bf16 and fp8, TB/s of memory, GB/s of the link one way.
FACTS = {
    "a100-40g": (40960, 312, None, 1.555, 300),
    "a100-80g": (81920, 312, None, 2.039, 300),
    "a10": (23028, 125, None, 0.6, 32),
    "a30": (24576, 165, None, 0.933, 32),
    "a40": (46068, 149.7, None, 0.696, 32),
    "a6000": (49140, 154.8, None, 0.768, 32),
    "rtx-6000-ada": (49140, 364.2, 728.5, 0.96, 32),
    "l4": (23034, 121, 242.5, 0.3, 32),
    "l40s": (46068, 362.05, 733, 0.864, 32),
    "h100-80g": (81559, 989.4, 1978.9, 3.35, 450),
    "h100-pcie-80g": (81559, 756.5, 1513, 2.039, 64),
    "h100-nvl-94g": (95830, 835.5, 1671, 3.938, 64),
    "h200-141g": (143771, 989.4, 1978.9, 4.8, 450),
    "h20-96g": (97871, 148, 296, 4.0, 450),
    "h800-80g": (81559, 989.4, 1978.9, 3.35, 200),
    "b200-180g": (183359, 2250, 4500, 7.7, 900),
    "b300-270g": (275040, 2250, 4500, 7.75, 900),
    "gb200-186g": (189471, 2500, 5000, 8.0, 900),
    "gb300-278g": (284208, 2500, 5000, 8.0, 900),
    "rtx-pro-6000": (97887, 467.8, 935.6, 1.597, 64),
    "rtx-3090": (24576, 71.2, None, 0.936, 32),
    "rtx-4090": (24564, 165.2, 330.3, 1.008, 32),
    "rtx-5090": (32607, 209.5, 419, 1.792, 64),
    "v100-16g": (16384, 125, None, 0.9, 150),
    "v100-32g": (32768, 125, None, 0.9, 150),
    "t4": (15360, 65, None, 0.32, 16),
    "mi210-64g": (65520, 181, None, 1.6384, 32),
    "mi250x-64g": (65520, 191.5, None, 1.6384, 50),
    "mi300x-192g": (196592, 1307.4, 2614.9, 5.3, 448),
    "mi325x-256g": (262128, 1307.4, 2614.9, 6.0, 448),
    "mi355x-288g": (294896, 2516.6, 5033.2, 8.0, 537.6),
    "ascend-910b3-64g": (62433, 313, None, 1.6, 196),
    "ascend-910b4-32g": (30208, 280, None, 0.8, 196),
    "ascend-910c-64g": (62751, 376, None, 1.6, 196),
}
CALLED = {
    "NVIDIA H100 80GB HBM3": "h100-80g",
    "NVIDIA A100-SXM4-40GB": "a100-40g",
    "NVIDIA A100-SXM4-80GB": "a100-80g",
    "NVIDIA A100 80GB PCIe": "a100-pcie-80g",
    "NVIDIA H100 PCIe": "h100-pcie-80g",
    "NVIDIA H100 NVL": "h100-nvl-94g",
    "NVIDIA H200": "h200-141g",
    "NVIDIA H20": "h20-96g",
    "NVIDIA H20-3e": "h20-141g",
    "NVIDIA B300 SXM6 AC": "b300-270g",
    "NVIDIA RTX A6000": "a6000",
    "NVIDIA RTX 6000 Ada Generation": "rtx-6000-ada",
    "NVIDIA GeForce RTX 4090": "rtx-4090",
    "Tesla V100-SXM2-16GB": "v100-16g",
    "Tesla T4": "t4",
    "AMD Instinct MI300X": "mi300x-192g",
    "910B3": "ascend-910b3-64g",
    "H100-80G": "h100-80g",
    "rtx 4090": "rtx-4090",
}


@pytest.mark.parametrize("slug", FACTS)
def test_a_card_has_what_its_data_sheet_says(slug: str) -> None:
    memory, flops, fp8, bandwidth, link = FACTS[slug]
    gpu = catalogue()[slug]
    assert gpu.memory == memory * MIB
    assert gpu.flops == pytest.approx(flops * TERA)
    assert gpu.flops_fp8 == (pytest.approx(fp8 * TERA) if fp8 else None)
    assert gpu.bandwidth == pytest.approx(bandwidth * TERA)
    assert gpu.link == pytest.approx(link * GIGA)


def test_every_card_has_a_source_and_plain_order_of_speeds() -> None:
    for slug, gpu in catalogue().items():
        assert gpu.slug == slug
        assert len(gpu.source) > 30
        assert gpu.bandwidth > gpu.link >= gpu.network, slug
        assert gpu.flops_fp8 is None or 1.9 < gpu.flops_fp8 / gpu.flops < 2.1, slug


def test_no_two_cards_share_a_name() -> None:
    names = [name.casefold() for gpu in catalogue().values() for name in (gpu.slug, *gpu.names)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", CALLED)
def test_a_card_is_found_by_what_its_driver_calls_it(name: str) -> None:
    assert find(name).slug == CALLED[name]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", "a100-80g"),
        ("NVIDIA GeForce RTX 4090 D", "rtx-4090"),
        ("mi300", "mi300x-192g"),
        ("h10", "h100-80g"),
    ],
)
def test_an_unknown_card_is_refused_with_what_is_near(name: str, near: str) -> None:
    with pytest.raises(UnknownGpu, match="Did you mean") as refused:
        find(name)
    assert near in refused.value.near


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(UnknownGpu) as refused:
        find("abacus")
    assert refused.value.near == ()
    assert str(refused.value) == "The catalogue has no GPU called 'abacus'."


@pytest.mark.parametrize("name", ["", " ", "NVIDIA"])
def test_an_empty_name_is_no_card(name: str) -> None:
    with pytest.raises(UnknownGpu):
        find(name)
