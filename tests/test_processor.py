"""Processors as Linux describes them; the excerpts are from real machines."""

from recsys.processor import Processor, processor, usable_cores

EPYC = """processor\t: 0
model name\t: AMD EPYC 9B45
flags\t\t: fpu sse2 avx2 avx512f avx_vnni avx512_vnni avx512_bf16

processor\t: 1
model name\t: AMD EPYC 9B45
flags\t\t: fpu sse2 avx2 avx512f avx_vnni avx512_vnni avx512_bf16
"""
GRAVITON = """processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd aes asimddp sve i8mm bf16
CPU implementer\t: 0x41
"""


def described(tmp_path, content):
    (tmp_path / "cpuinfo").write_text(content)
    return processor(tmp_path / "cpuinfo")


def test_features_have_their_common_names_in_one_order(tmp_path):
    found = described(tmp_path, EPYC)
    assert found.model == "AMD EPYC 9B45"
    assert found.features == ("AVX2", "AVX-512", "AVX-VNNI", "AVX-512 VNNI", "AVX-512 BF16")


def test_arm_names_its_flags_otherwise(tmp_path):
    assert described(tmp_path, GRAVITON).features == ("NEON dot product", "NEON int8 matrix", "SVE")


def test_a_system_without_cpuinfo_says_that_features_are_unknown(tmp_path):
    found = processor(tmp_path / "none")
    assert found.features == () and found.cores == usable_cores() >= 1
    assert "features unknown" in str(found)


def test_a_processor_reads_as_a_sentence():
    one = Processor("AMD EPYC", 2, ("AVX2", "AVX-512 VNNI"))
    assert str(one) == "AMD EPYC, 2 cores (AVX2, AVX-512 VNNI)"
