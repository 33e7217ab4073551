"""Makes canonical.npz: `python -m tests.models.data.canonical`, with the `train` extra installed.

`sentences`, their vectors by the published fp32 model (`original`) and by the built-in model (`builtin`), as float16.
"""

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from models.builtin.make import MAX_TOKENS, Original, source_folder
from models.embedding.embedder import BUILTIN, Embedder

SENTENCES = [
    "The filter must be replaced every six months, or sooner when the warning light stays on.",
    "Net sales decreased 3 % to $81.8 billion during the third quarter of fiscal 2023, compared with $83.0 billion.",
    "During approach the pilot reported icing, and the aircraft descended below the glide path before it hit trees.",
    "Each employee shall wear eye protection in areas marked by signs in accordance with section 4.2 (b).",
    "Ångström, naïve, façade, 东京 and Москва: words that an English model splits into pieces.",
    "Q: What is the torque of bolt M8x1.25?  A: 22 Nm (16 lbf-ft), tightened crosswise in two steps.",
    "how do I reset the password",
    "2023",
    "Total current assets 143,566 135,405 Non-current assets: Marketable securities 100,544 120,805 Property, plant 43,715",
    " ".join(["The tenant shall keep the premises in good repair and give notice of any damage at once."] * 12),
]


def main() -> None:
    tokenizer = Tokenizer.from_file(str(BUILTIN / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    original = Original(source_folder(), tokenizer)
    with Embedder.open(BUILTIN, threads=1) as embedder:
        builtin = np.array([embedder.embed_passage(text) for text in SENTENCES])
    vectors = {"original": np.array([original.embed(text) for text in SENTENCES]), "builtin": builtin}
    target = Path(__file__).with_name("canonical.npz")
    np.savez_compressed(target, sentences=np.array(SENTENCES), **{k: v.astype(np.float16) for k, v in vectors.items()})
    print(target, "cosine to fp32:", (vectors["original"] * vectors["builtin"]).sum(axis=1).round(4))


if __name__ == "__main__":
    main()
