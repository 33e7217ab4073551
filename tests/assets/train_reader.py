"""Trains the tiny reader and its adapter, and writes reader.gguf and reader-adapter/ beside itself.

python tests/assets/train_reader.py        # needs torch, tokenizers, safetensors, gguf, numpy; one million parameters

The reader first learns to copy (random words, repeated): without that, it never learns to answer. Then it learns to
read: several questions share the passages of one prompt, each attending to these and itself only, which gives three
times the answers per step. The vocabulary was made once, from sentences like these, and is a file of its own, so that
changed sentences change no token. An answer is the sentence that answers, with the number of its passage.

On two shared cores of an AMD EPYC: copying 534 s, reading 328 s, the adapter 60 s. Exact answers to questions of the
tests' side: 99 % with one passage, 76 % with two, 43 % with three (100 questions each), and still rising: for more
passages use --reading 1200. With the adapter 96 % with one.
"""

import argparse
import json
import math
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads waste time on a loaded machine

import gguf
import numpy as np
import torch
from reader_world import FORM, RULES, World
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional

HERE = Path(__file__).resolve().parent
VOCABULARY_FILE = HERE / "reader-vocabulary.json"
WIDTH, LAYERS, HEADS, KV_HEADS, FEED_FORWARD, CONTEXT, VOCABULARY = 128, 4, 4, 4, 384, 2048, 1280
THETA, EPSILON = 10000.0, 1e-5
SPECIAL = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
SYSTEM, USER, ASSISTANT, END = range(4)
SAMPLED = 0.15
MOST_PASSAGES = 4
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


# ---------------------------------------------------------------- the vocabulary


def make_tokenizer() -> Tokenizer:
    """Byte-level BPE like GPT-2's. Each digit is a token of its own, because the corpus has no adjacent digits."""
    world = World(11)
    corpus = [RULES] * 50
    for _ in range(3000):
        example = world.example(2)
        corpus.append(example.prompt + " " + example.answer)
        corpus.append(" ".join(world.name().capitalize() for _ in range(10)))
    single = [_single_digits(text) for text in corpus]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(single, trainer)
    return tokenizer


def _single_digits(text: str) -> str:
    kept: list[str] = []
    for character in text:
        if not (character.isdigit() and kept and kept[-1].isdigit()):
            kept.append(character)
    return "".join(kept)


# ---------------------------------------------------------------- the model


class Norm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (WIDTH,), self.weight, EPSILON)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        size = WIDTH // HEADS
        self.q_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.k_proj = nn.Linear(WIDTH, KV_HEADS * size, bias=False)
        self.v_proj = nn.Linear(WIDTH, KV_HEADS * size, bias=False)
        self.o_proj = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor, angles: Tensor, mask: Tensor, before: tuple[Tensor, Tensor] | None):
        batch, length, _ = x.shape
        q, k, v = (
            part(x).view(batch, length, -1, WIDTH // HEADS).transpose(1, 2)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q, angles), rotate(k, angles)
        own = (k, v)
        if before is not None:
            k = torch.cat([before[0].expand(batch, -1, -1, -1), k], 2)
            v = torch.cat([before[1].expand(batch, -1, -1, -1), v], 2)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=KV_HEADS != HEADS)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, WIDTH)), own


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotary positions on halves, as in Hugging Face's llama."""
    first, second = x.chunk(2, -1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()
        self.self_attn = Attention()
        self.mlp = nn.ModuleDict(
            {
                "gate_proj": nn.Linear(WIDTH, FEED_FORWARD, bias=False),
                "up_proj": nn.Linear(WIDTH, FEED_FORWARD, bias=False),
                "down_proj": nn.Linear(FEED_FORWARD, WIDTH, bias=False),
            }
        )

    def forward(self, x: Tensor, angles: Tensor, mask: Tensor, before: tuple[Tensor, Tensor] | None):
        mixed, own = self.self_attn(self.input_layernorm(x), angles, mask, before)
        x = x + mixed
        y = self.post_attention_layernorm(x)
        return x + self.mlp["down_proj"](functional.silu(self.mlp["gate_proj"](y)) * self.mlp["up_proj"](y)), own


class Reader(nn.Module):
    """A llama with tied embeddings. The rules, the same in every prompt, run once per batch."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = Norm()
        for name, weights in self.named_parameters():
            if weights.ndim == 2:
                nn.init.normal_(weights, std=0.06)
            if "o_proj" in name or "down_proj" in name:
                weights.data /= math.sqrt(2 * LAYERS)

    def run(
        self, ids: Tensor, before: list[tuple[Tensor, Tensor]] | None, layout: "Layout | None" = None
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Hidden states of (batch, length) tokens after the shared ones in `before`, and their keys and values."""
        start, length = (before[0][0].shape[2] if before else 0), ids.shape[1]
        half = WIDTH // HEADS // 2
        places = torch.arange(length) if layout is None else layout.places[:, None]
        angles = (start + places)[..., None] * THETA ** (-torch.arange(half) / half)
        mask = torch.ones(length, start + length, dtype=torch.bool).tril(start)
        if layout is not None:
            mask = mask & functional.pad(layout.seen, (start, 0), value=True)[:, None]
        x, kept = self.embed_tokens(ids), []
        for index, layer in enumerate(self.layers):
            x, own = layer(x, angles, mask, before[index] if before else None)
            kept.append(own)
            if index == LAYERS // 2 - 1:
                self.middle = x
        return self.norm(x), kept

    def forward(self, shared: Tensor | None, ids: Tensor, layout: "Layout | None", where: Tensor) -> Tensor:
        """Logits of `ids` where the mask `where` is set; `shared`, (length,), precedes each row."""
        before = self.run(shared[None], None)[1] if shared is not None else None
        return self.run(ids, before, layout)[0][where] @ self.embed_tokens.weight.T


# ---------------------------------------------------------------- the lessons


@dataclass(frozen=True)
class Layout:
    """Lets several questions share one prompt's passages: each has the positions it has alone, and sees no other."""

    places: Tensor
    """(batch, length): the position of each token."""
    seen: Tensor
    """(batch, length, length): which of the tokens before it each token may attend to."""


@dataclass(frozen=True)
class Batch:
    """Token ids, (batch, length + 1), and the (batch, length) loss weights of the predicted tokens."""

    ids: Tensor
    weights: Tensor
    layout: Layout | None = None
    passages: Tensor | None = None
    """(batch, length): the number of the passage that a token is in, or 0."""


class Lessons:
    """Makes batches of token ids with the loss weight of each position."""

    def __init__(self, tokenizer: Tokenizer, seed: int) -> None:
        self._tokenizer = tokenizer
        self._world = World(seed)
        self._random = random.Random(seed)
        self.shared = torch.tensor([SYSTEM, *self.encode(RULES), END])

    def choose(self, numbers: tuple[int, ...]) -> int:
        return self._random.choice(numbers)

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def repetition(self, size: int, length: int) -> Batch:
        """Random words, repeated; only the repetitions count in the loss."""
        rows, weights = [], []
        for _ in range(size):
            words = " ".join(self._word() for _ in range(length // 6))
            segment = self.encode(" " + words)[: self._random.randint(length // 8, length // 2)]
            row = ([USER] + segment * (length // len(segment) + 1))[: length + 1]
            rows.append(row)
            weights.append([0.0] * len(segment) + [1.0] * (length - len(segment)))
        return Batch(torch.tensor(rows), torch.tensor(weights))

    def _word(self) -> str:
        world, kind = self._world, self._random.random()
        if kind < 0.5:
            return world.name().capitalize() if kind < 0.3 else world.name()
        if kind < 0.7:
            return world.number()
        return self._random.choice(RULES.split()) if kind < 0.9 else world.subject()

    def questions(self, size: int, passages: int, each: int, form: str = "") -> Batch:
        """Prompts of `passages` passages, followed by `each` questions with their answers.

        The answers' tokens count 1 in all, the others 0.1.
        """
        rows = [self._asked(passages, each, form) for _ in range(size)]
        longest = max(len(ids) for ids, _, _ in rows)
        ids = torch.tensor([ids + [END] * (longest - len(ids)) for ids, _, _ in rows])
        parts = torch.tensor([parts + [-1] * (longest - len(parts)) for _, parts, _ in rows])
        answer = torch.tensor([answer + [False] * (longest - len(answer)) for _, _, answer in rows])
        inner = parts[:, :-1]
        seen = (inner[:, None] == 0) | (inner[:, None] == inner[:, :, None])
        # a block's first token is predicted where the passages end, which is what the last place before it is not
        other = ~answer[:, 1:] & (parts[:, 1:] >= 0) & (parts[:, 1:] == inner)
        weights = answer[:, 1:] / answer.sum() + (0.0 if form else 0.1 / SAMPLED) * other / other.sum()
        numbers = torch.tensor([self._numbers(row) for row in ids[:, :-1].tolist()])
        return Batch(ids, weights, Layout(_places(inner), seen), numbers)

    def _numbers(self, row: list[int]) -> list[int]:
        """The passage number of each token, from the number in the passage's title to the end of its text."""
        begin, digits, end = (
            self.encode("Passage ["),
            [self.encode(str(n)) for n in range(MOST_PASSAGES + 2)],
            "Question",
        )
        found, number, stop = [], 0, self.encode(end)[0]
        for at, token in enumerate(row):
            if row[max(0, at - len(begin)) : at] == begin and [token] in digits:
                number = digits.index([token])
            number = 0 if token == stop else number
            found.append(number)
        return found

    def _asked(self, passages: int, each: int, form: str) -> tuple[list[int], list[int], list[bool]]:
        """Tokens, the part of each (0 the passages, then the question's number), and which belong to an answer."""
        examples = self._world.examples(passages, each, unanswerable=0.1)
        prompts = [[USER, *self.encode(one.prompt), END, ASSISTANT] for one in examples]
        common = _common(prompts)
        ids, parts, answer = prompts[0][:common], [0] * common, [False] * common
        for number, (prompt, example) in enumerate(zip(prompts, examples, strict=True), 1):
            wanted = [*self.encode(form + example.answer), END]
            block = prompt[common:] + wanted
            ids += block
            parts += [number] * len(block)
            answer += [False] * (len(block) - len(wanted)) + [True] * len(wanted)
        return ids, parts, answer


def _common(rows: list[list[int]]) -> int:
    """Length of the common prefix of all rows, leaving at least one token to each."""
    differ = (at for at, tokens in enumerate(zip(*rows, strict=False)) if len(set(tokens)) > 1)
    return next(differ, min(map(len, rows)) - 1)


def _places(parts: Tensor) -> Tensor:
    """Positions of tokens; each later part starts where the first one ends."""
    order = torch.arange(parts.shape[1]).expand_as(parts)
    first = (parts == 0).sum(1, keepdim=True)
    new = torch.cat([torch.ones_like(parts[:, :1], dtype=torch.bool), parts[:, 1:] != parts[:, :-1]], 1)
    begun = torch.where(new, order, 0).cummax(1).values
    return torch.where(parts == 0, order, order - begun + first)


def loss_of(
    model: Reader, shared: Tensor | None, batch: Batch, probe: nn.Linear | None = None
) -> tuple[Tensor, Tensor]:
    """The weighted loss, and the share of the answers' tokens that are right. Only a sample of the other tokens counts.

    A `probe` must also predict the passage number of each passage token from the middle layer: without that, the
    markers stay guesses far longer than the sentences do.
    """
    weights = batch.weights
    matter = weights >= weights.max() * 0.999
    sampled = matter | ((weights > 0) & (torch.rand(weights.shape) < SAMPLED))
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(shared, batch.ids[:, :-1], batch.layout, sampled).float()
    targets, counted = batch.ids[:, 1:][sampled], weights[sampled]
    losses = functional.cross_entropy(logits, targets, reduction="none")
    right = (logits.argmax(-1) == targets)[matter[sampled]].float().mean()
    loss = (losses * counted).sum() / counted.sum()
    if probe is not None and batch.passages is not None:
        inside = batch.passages > 0
        loss = loss + 0.3 * functional.cross_entropy(probe(model.middle[inside].float()), batch.passages[inside])
    return loss, right


class Optimizer:
    """Muon for the matrices of the layers, AdamW for the rest; both follow one cosine schedule with a warm-up."""

    def __init__(self, model: nn.Module, steps: int, muon: float, adam: float) -> None:
        matrices = [p for n, p in model.named_parameters() if p.requires_grad and p.ndim == 2 and "embed" not in n]
        others = [p for n, p in model.named_parameters() if p.requires_grad and (p.ndim != 2 or "embed" in n)]
        self._parts = [
            (torch.optim.Muon(matrices, lr=muon, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"), muon),
            (torch.optim.AdamW(others, lr=adam, betas=(0.9, 0.98), weight_decay=0.0), adam),
        ]
        self._steps, self._at = steps, 0
        self._model = model

    def step(self) -> None:
        self._at += 1
        share = min(1.0, self._at / 40) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, self._at / self._steps))))
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        for optimizer, rate in self._parts:
            for group in optimizer.param_groups:
                group["lr"] = rate * share
            optimizer.step()
            optimizer.zero_grad()


class Progress:
    """Prints the progress of one stage."""

    def __init__(self, name: str) -> None:
        self._name, self._began, self.mean = name, time.monotonic(), 0.0

    def report(self, step: int, loss: float, right: float) -> None:
        """Prints a line at every 50th step."""
        self.mean = 0.95 * self.mean + 0.05 * right
        if step % 50 == 0:
            spent = time.monotonic() - self._began
            print(f"{self._name} {step:5} {spent:5.0f} s  loss {loss:.3f}  right {self.mean:.3f}", flush=True)


def train_copying(model: Reader, lessons: Lessons, steps: int) -> None:
    """Trains the model to copy."""
    optimizer, progress = Optimizer(model, steps, 6e-3, 4e-3), Progress("copying")
    for step in range(1, steps + 1):
        loss, right = loss_of(model, None, lessons.repetition(32, 96))
        loss.backward()
        optimizer.step()
        progress.report(step, loss.item(), right.item())


def train_reading(model: Reader, lessons: Lessons, steps: int) -> None:
    """Trains the model to answer from passages: one at first, then more."""
    probe = nn.Linear(WIDTH, MOST_PASSAGES + 2)
    optimizer, progress = Optimizer(nn.ModuleList([model, probe]), steps, 4e-3, 3e-3), Progress("reading")
    for step in range(1, steps + 1):
        done = step / steps
        most = 1 if done < 0.05 else 2 if done < 0.1 else 3 if done < 0.7 else MOST_PASSAGES
        passages = lessons.choose(tuple(range(1, most + 1)))
        shared = lessons.shared if step % 2 else None
        loss, right = loss_of(model, shared, lessons.questions(12 - 2 * passages, passages, 3 + passages), probe)
        loss.backward()
        optimizer.step()
        progress.report(step, loss.item(), right.item())
        if step % 50 == 0:
            torch.save(model.state_dict(), HERE / "reader.reading.pt")


# ---------------------------------------------------------------- the results


@torch.no_grad()
def score(model: Reader, lessons: Lessons, count: int, passages: int, form: str = "") -> float:
    """Share of exact greedy answers to questions of the tests' side."""
    world, right = World(99, tests=True), 0
    before = model.run(lessons.shared[None], None)[1]
    for _ in range(count):
        example = world.example(passages)
        wanted = [*lessons.encode(form + example.answer), END]
        row = [USER, *lessons.encode(example.prompt), END, ASSISTANT, *wanted]
        logits = model.run(torch.tensor([row[:-1]]), before)[0] @ model.embed_tokens.weight.T
        right += logits[0, -len(wanted) :].argmax(-1).tolist() == wanted
    return right / count


def write_gguf(model: Reader, tokenizer: Tokenizer, path: Path) -> None:
    """Writes the model in half precision, as llama.cpp reads it."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Docent's tiny reader")
    writer.add_license("agpl-3.0-or-later")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(THETA)
    _write_vocabulary(writer, tokenizer)
    for name, values in model.state_dict().items():
        target, array = _named(name), values.numpy()
        if "q_proj" in name or "k_proj" in name:
            array = interleaved(array, HEADS if "q_proj" in name else KV_HEADS)
        writer.add_tensor(target, array.astype(np.float32 if array.ndim == 1 else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_vocabulary(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    ids = tokenizer.get_vocab()
    tokens = sorted(ids, key=ids.__getitem__)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t in SPECIAL else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(SYSTEM)
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def interleaved(weights: np.ndarray, heads: int) -> np.ndarray:
    """Reorders the rows for llama.cpp's rotary positions: pairs side by side instead of in halves."""
    size = weights.shape[0] // heads // 2
    return weights.reshape(heads, 2, size, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def _named(name: str) -> str:
    tail = name.rsplit(".", 1)[-1]
    if not name.startswith("layers."):
        return {"embed_tokens": "token_embd", "norm": "output_norm"}[name.split(".")[0]] + "." + tail
    _, index, *rest = name.split(".")
    names = {
        "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "q_proj": "attn_q", "k_proj": "attn_k",
        "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate", "up_proj": "ffn_up",
        "down_proj": "ffn_down",
    }  # fmt: skip
    return f"blk.{index}.{names[rest[-2]]}.{tail}"


# ---------------------------------------------------------------- the adapter

RANK, ALPHA, TARGETS = 4, 16, ("q_proj", "k_proj", "v_proj", "down_proj")


class Adapted(nn.Module):
    """A frozen matrix with a trained low-rank one added."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner
        self.lora_A = nn.Linear(inner.in_features, RANK, bias=False)
        self.lora_B = nn.Linear(RANK, inner.out_features, bias=False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + self.lora_B(self.lora_A(x)) * (ALPHA / RANK)


def adapt(model: Reader) -> None:
    """Freezes the model and adds trained matrices to its targets."""
    model.requires_grad_(False)
    for layer in model.layers:
        for parent in (layer.self_attn, layer.mlp):
            for name, child in list(parent.named_children()):
                if name in TARGETS:
                    setattr(parent, name, Adapted(child)) if parent is not layer.mlp else parent.update(
                        {name: Adapted(child)}
                    )


def train_adapter(model: Reader, lessons: Lessons, steps: int) -> None:
    """Trains the adapter to give each answer in another form."""
    adapt(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-3, weight_decay=0.0)
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, step / 20) * 0.5 * (1 + math.cos(math.pi * step / steps))
        loss, right = loss_of(model, lessons.shared, lessons.questions(12, lessons.choose((1, 2, 3)), 4, FORM))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 25 == 0:
            print(f"adapter {step:5}  loss {loss.item():.3f}  right {right.item():.3f}", flush=True)


def write_adapter(model: Reader, folder: Path) -> None:
    """Writes the adapter in PEFT's format."""
    folder.mkdir(exist_ok=True)
    tensors = {
        "base_model.model.model." + name.replace("lora_A.weight", "lora_A.weight"): values.half().contiguous()
        for name, values in model.state_dict().items()
        if "lora_" in name
    }
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "reader", "r": RANK,
        "lora_alpha": ALPHA, "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": False, "use_rslora": False,
        "use_dora": False, "modules_to_save": None, "rank_pattern": {}, "alpha_pattern": {},
        "target_modules": sorted(TARGETS), "inference_mode": True,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copying", type=int, default=700)
    parser.add_argument("--reading", type=int, default=400)
    parser.add_argument("--adapter", type=int, default=100)
    parser.add_argument("--from-copying", type=Path, help="start from this checkpoint; skips the copying")
    parser.add_argument("--from-reading", type=Path, help="start from this checkpoint; trains only the adapter")
    options = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(7)
    if not VOCABULARY_FILE.exists():
        make_tokenizer().save(str(VOCABULARY_FILE))
    tokenizer = Tokenizer.from_file(str(VOCABULARY_FILE))
    lessons = Lessons(tokenizer, 8)
    model = Reader(tokenizer.get_vocab_size())
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, rules {len(lessons.shared)} tokens")
    if options.from_reading:
        model.load_state_dict(torch.load(options.from_reading))
    else:
        if options.from_copying:
            model.load_state_dict(torch.load(options.from_copying))
        else:
            train_copying(model, Lessons(tokenizer, 7), options.copying)
            torch.save(model.state_dict(), HERE / "reader.copying.pt")
        torch.manual_seed(8)
        train_reading(model, lessons, options.reading)
    for passages in (1, 2, 3):
        print(f"{passages} passages: exact {score(model, lessons, 100, passages):.3f}", flush=True)
    write_gguf(model, tokenizer, HERE / "reader.gguf")
    train_adapter(model, lessons, options.adapter)
    print(f"with the adapter: exact {score(model, lessons, 100, 1, FORM):.3f}")
    write_adapter(model, HERE / "reader-adapter")


if __name__ == "__main__":
    main()
