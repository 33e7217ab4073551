"""The file of a repository to download is the named one or the best, and never a guess."""

import pytest

from models.acquisition.file_choice import choose, is_split, quantisation_of, why_not
from models.acquisition.hub import RepoFile
from models.errors import FileNotChosen, HubFileUnknown, HubRefused, ModelError


def files(*names: str) -> list[RepoFile]:
    return [RepoFile(name, 10**9 * (at + 1), "a" * 64) for at, name in enumerate(names)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Mistral-7B-Instruct-v0.3-Q4_K_M.gguf", "Q4_K_M"),
        ("qwen2.5-0.5b-instruct-q8_0.gguf", "Q8_0"),
        ("gguf/phi.IQ3_XXS.gguf", "IQ3_XXS"),
        ("x-Q4_0_4_8.gguf", "Q4_0_4_8"),
        ("Phi-3-mini-4k-instruct-fp16.gguf", "FP16"),
        ("llama-bf16.gguf", "BF16"),
        ("Q4_K_M/model.gguf", ""),
        ("Phi-3-mini-4k-instruct-q4.gguf", "Q4"),
        ("plain.gguf", ""),
    ],
)
def test_the_quantisation_is_read_from_the_name(name: str, expected: str) -> None:
    assert quantisation_of(name) == expected


@pytest.mark.parametrize(
    ("names", "wanted", "expected"),
    [
        (["a-Q8_0.gguf", "a-Q4_K_M.gguf", "a-Q5_K_M.gguf"], "", "a-Q4_K_M.gguf"),
        (["a-Q8_0.gguf"], "", "a-Q8_0.gguf"),
        (["a-Q8_0.gguf", "a-Q4_K_M.gguf"], "q8_0", "a-Q8_0.gguf"),
        (["a-Q8_0.gguf", "dir/a-Q4_K_M.gguf"], "a-Q4_K_M.gguf", "dir/a-Q4_K_M.gguf"),
        (["mmproj-f16.gguf", "a-Q6_K.gguf", "README.md"], "", "a-Q6_K.gguf"),
        (["b-00001-of-00002.gguf", "b-00002-of-00002.gguf", "a-Q6_K.gguf"], "", "a-Q6_K.gguf"),
        (["a-00001-of-00001.gguf"], "", "a-00001-of-00001.gguf"),
    ],
)
def test_the_best_file_is_chosen(names: list[str], wanted: str, expected: str) -> None:
    assert choose(files(*names), wanted, "choosing").name == expected


@pytest.mark.parametrize(
    ("names", "wanted", "error"),
    [
        (["a-Q8_0.gguf", "a-Q6_K.gguf"], "", FileNotChosen),
        (["a-Q4_K_M.gguf", "b-Q4_K_M.gguf"], "", FileNotChosen),
        (["a-Q8_0.gguf"], "Q4_K_M", FileNotChosen),
        (["a-Q8_0.gguf"], "b.gguf", HubFileUnknown),
        (["x/a.gguf", "y/a.gguf"], "a.gguf", HubFileUnknown),
        (["model.safetensors"], "", HubFileUnknown),
        ([], "", HubFileUnknown),
        (["a-00001-of-00002.gguf"], "", HubRefused),
        (["a-00001-of-00002.gguf", "b.gguf"], "a-00001-of-00002.gguf", HubRefused),
        (["mmproj-a.gguf"], "mmproj-a.gguf", HubRefused),
        (["../a.gguf"], "../a.gguf", HubFileUnknown),
    ],
)
def test_an_ambiguous_choice_is_refused(names: list[str], wanted: str, error: type[ModelError]) -> None:
    with pytest.raises(error):
        choose(files(*names), wanted, "choosing")


def test_the_choice_is_listed_by_size_up_to_a_limit() -> None:
    many = files(*(f"a{number}-Q8_0.gguf" for number in range(100)))
    with pytest.raises(FileNotChosen) as caught:
        choose(many, "", "choosing")
    lines = caught.value.hint.splitlines()
    assert (len(lines), lines[1].strip(), lines[-1].strip()) == (42, "a0-Q8_0.gguf  (1.00 GB)", "and 60 more")


def test_parts_and_projectors_are_recognised_by_their_names() -> None:
    assert is_split("m-00001-of-00003.gguf")
    assert not is_split("m-00001-of-00001.gguf")
    assert "merge" in why_not("m-00001-of-00003.gguf")
    assert why_not("model-mmproj-f16.gguf")
    assert not why_not("model.gguf")
