"""A folder of a Hugging Face model as a provider, with real torch and a tiny random model."""

from pathlib import Path
from typing import Any

import pytest

from models.errors import ContextOverflow, ModelLoadFailed, NotSupported
from models.providers.interface import ProviderSpec
from models.providers.registry import upstream_of
from models.providers.remote import Remote
from models.types import ChatMessage, FinalPiece, GenerationRequest, Piece, Sampling, TextPiece

pytestmark = pytest.mark.train
WORDS = ("the", "a", "of", "answer", "question", "page", "pump", "valve", "is", "are", "not", "bar", "open", "closed")
CHAT = (ChatMessage(role="user", content="the pump is open"),)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("hf")
    words = {word: number for number, word in enumerate(["<unk>", "<s>", "</s>", *WORDS])}
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="<unk>", eos_token="</s>")
    tokenizer.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, eos_token_id=2, bos_token_id=1,
    )  # fmt: skip
    transformers.set_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def remote(folder: Path) -> Remote:
    spec = ProviderSpec("dev", "transformers", str(folder), context=8192)
    return Remote(spec, upstream_of(spec))


async def said(provider: Remote, **asked: Any) -> list[Piece]:
    async with provider.lease() as lease, lease.generate(GenerationRequest(**asked)) as generation:
        return [piece async for piece in generation]


async def test_it_streams_and_counts_and_is_the_same_again_when_greedy(model: Path) -> None:
    dev = remote(model)
    *texts, end = await said(dev, messages=CHAT, max_tokens=6)
    assert isinstance(end, FinalPiece)
    assert texts
    assert (end.usage.prompt_tokens, 1 <= end.usage.completion_tokens <= 6) == (4, True)
    again = await said(dev, messages=CHAT, max_tokens=6)
    assert again[:-1] == texts
    drawn = await said(dev, prompt="the valve is", max_tokens=6, sampling=Sampling(temperature=1.0, seed=3))
    assert isinstance(drawn[-1], FinalPiece)
    await dev.aclose()


async def test_the_context_is_the_models_own_and_a_longer_prompt_is_refused(model: Path) -> None:
    dev = remote(model)
    async with dev.lease() as lease:
        assert lease.context == 64
    with pytest.raises(ContextOverflow, match="70 tokens, the context 64"):
        await said(dev, prompt="the " * 70, max_tokens=4)
    with pytest.raises(NotSupported):
        await said(dev, prompt="the", json_schema="{}")
    assert dev.breaker.state == "closed"


async def test_unsupported_sampling_is_refused_and_a_penalty_counts_when_greedy_too(model: Path) -> None:
    dev = remote(model)
    for asked in ({"presence_penalty": 0.5}, {"frequency_penalty": 0.5}, {"penalty_tokens": 8}):
        with pytest.raises(NotSupported, match=next(iter(asked))):
            await said(dev, messages=CHAT, max_tokens=4, sampling=Sampling.model_validate(asked))
    plain = await said(dev, messages=CHAT, max_tokens=20)
    assert await said(dev, messages=CHAT, max_tokens=20, sampling=Sampling(repeat_penalty=8.0)) != plain
    drawn = Sampling(temperature=2.0, min_p=1.0, top_k=0, presence_penalty=0.0)
    assert (await said(dev, messages=CHAT, max_tokens=20, sampling=drawn))[:-1] == plain[:-1]
    await dev.aclose()


async def test_closing_it_stops_the_generation(model: Path) -> None:
    dev = remote(model)
    async with dev.lease() as lease:
        generation = lease.generate(GenerationRequest(messages=CHAT, max_tokens=60))
        assert isinstance(await anext(generation), TextPiece)
    assert (await said(dev, messages=CHAT, max_tokens=2))[-1]


async def test_a_folder_without_a_model_is_reported(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(ModelLoadFailed, match=str(tmp_path)):
        await said(remote(tmp_path), messages=CHAT)
