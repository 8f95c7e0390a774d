"""Writes tests/fixtures/text_t5: small T5 tokenizer folders in the layouts that are found in the wild, and the ids
that transformers' T5Tokenizer gives for the prompts of tests/fixtures/text/corpus.json and some more.

    python tests/parity/t5_tokenizer.py

Needs transformers 5.23 and sentencepiece (which trains the models). Prints one line per folder.
"""

import json
import shutil
import tempfile
from pathlib import Path

import sentencepiece
from tokenizer import FIXTURES as CLIP_FIXTURES
from tokenizer import TEXT, write_json
from transformers import T5Tokenizer

FIXTURES = CLIP_FIXTURES.parent / "text_t5"
MAX_TOKENS = 40
TOKENS = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
# What the small normalization does; the large one is sentencepiece's nmt_nfkc.
RULES = {"ﬁ": "fi", "e\u0301": "é", "e\u0323\u0301": "ẹ\u0301", "\u212b": "Å", "！": "!", "　": " ", "\u00a0": " ",
         "½": "1⁄2", "①": "1", "Ａ": "A", "＜": "<", "＞": ">", "\u200b": " ", "\u00ad": "", "ㄱㄴ": "x"}  # fmt: skip


def train(folder: Path, name: str, size: int, rules: dict | None = None, **options) -> Path:
    text = folder / "text.txt"
    text.write_text("\n".join(TEXT.strip().splitlines() * 3), encoding="utf-8")
    if rules is not None:
        table = folder / f"{name}.tsv"
        rows = (" ".join(f"{ord(c):X}" for c in key) + "\t" + " ".join(f"{ord(c):X}" for c in value)
                for key, value in rules.items())  # fmt: skip
        table.write_text("\n".join(rows) + "\n")
        options["normalization_rule_tsv"] = str(table)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / name), vocab_size=size, model_type="unigram", pad_id=0, eos_id=1,
        unk_id=2, bos_id=-1, hard_vocab_limit=False, character_coverage=0.98, minloglevel=2, **options,
    )  # fmt: skip
    return folder / f"{name}.model"


def folder_of(name: str, model: Path | None, config: dict | None, **files) -> Path:
    folder = FIXTURES / name
    folder.mkdir(parents=True)
    if model:
        shutil.copyfile(model, folder / "spiece.model")
    if config is not None:
        write_json(folder / "tokenizer_config.json", config)
    for file, content in files.items():
        write_json(folder / f"{file}.json", content)
    return folder


def write_folders(scratch: Path) -> None:
    extra = [f"<extra_id_{i}>" for i in range(100)]
    # As PixArt's: spiece.model, the sentinels in added_tokens.json.
    nfkc = train(scratch, "nfkc", 400, normalization_rule_name="nmt_nfkc")
    folder_of("slow", nfkc, TOKENS | {"extra_ids": 100, "additional_special_tokens": extra, "model_max_length": 512},
              special_tokens_map=TOKENS | {"additional_special_tokens": extra})  # fmt: skip
    # No normalization, few sentinels, a token of the user's, nothing but the model and its tokens.
    plain = train(scratch, "plain", 300, normalization_rule_name="identity", user_defined_symbols=["<sks>", "1girl"])
    folder_of("plain", plain, {"extra_ids": 3})
    small = train(scratch, "small", 330, rules=RULES, split_by_unicode_script=False, split_by_number=False)
    folder_of("small", small, None)
    # Both files, as Stable Diffusion 3's; tokenizer.json alone, as transformers 5 saves it.
    decoder = {
        str(i): {"content": t, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
        for i, t in [(0, "<pad>"), (1, "</s>"), (2, "<unk>")]
    }
    tokenizer = T5Tokenizer.from_pretrained(FIXTURES / "small")
    tokenizer.save_pretrained(FIXTURES / "fast")
    definition = json.loads((FIXTURES / "fast" / "tokenizer.json").read_text(encoding="utf-8"))
    write_json(FIXTURES / "fast" / "tokenizer.json", definition)
    size = len(tokenizer)
    decoder |= {str(size - 1 - i): decoder["0"] | {"content": t} for i, t in enumerate(extra)}
    decoder[str(size)] = decoder["0"] | {"content": "<Toy>", "special": False, "normalized": True, "lstrip": True}
    decoder[str(size + 1)] = decoder["0"] | {"content": "sks", "special": False, "single_word": True, "rstrip": True}
    folder_of("both", small, TOKENS | {"added_tokens_decoder": decoder, "extra_ids": 100, "legacy": True},
              tokenizer=definition)  # fmt: skip
    # Without sentinels, with other names.
    bare = json.loads(json.dumps(definition))
    bare["model"]["vocab"] = bare["model"]["vocab"][:200]
    bare["added_tokens"] = bare["added_tokens"][:3]
    bare["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "Precompiled", "precompiled_charsmap": definition["normalizer"]["precompiled_charsmap"]},
        {"type": "Strip", "strip_left": False, "strip_right": True},
    ]}  # fmt: skip
    folder_of("bare", None, TOKENS | {"extra_ids": 0}, tokenizer=bare)


def prompts() -> list[str]:
    return json.loads((CLIP_FIXTURES / "corpus.json").read_text(encoding="utf-8"))["prompts"] + [
        "<extra_id_0> and <extra_id_99>", "a<extra_id_2>b <extra_id_3> <extra_id_100>", "</s>", " x </s> y", "<pad>a<unk>b",
        "▁a ▁ ▁▁b c▁d e▁▁", "▁", "▁▁", "\u2581<extra_id_1>\u2581", "＜extra_id_1＞ ＜unk＞x ＜/s＞", "ﬁ\u0301 e\u0301\u0323 e\u0323\u0301 e\u0301x",
        "ㄱㄴ ㄱ ㄴ", "ａＡ　①½", "soft\u00adhyphen zero\u200bwidth", "1girl 2girl 1girls <sks>dog x<sks>", "a <Toy> b<Toy>", "sks sksx sks  x",
        "\r\n a\r\nb \r\u0301", "🇩🇪🇫🇷🇩", "a\u0301\u0302 o\u0308\u0304 \u0915\u094d\u0937", "ᄀ\u1161 가\u11a8", "unknown 龘龘龘 龘 a龘b",
        "<extra_id_1", "<<extra_id_1>>", "x" * 2000, "a photo of " * 30, "龘 " * 60,
    ]  # fmt: skip


def expected(tokenizer, prompt: str) -> list:
    """[ids without padding, what was cut off, where something was]"""
    result = tokenizer(prompt, padding="max_length", max_length=MAX_TOKENS, truncation=True)
    count = sum(result.attention_mask)
    ids = result.input_ids[:count]
    assert result.input_ids == ids + [tokenizer.pad_token_id] * (MAX_TOKENS - count)
    assert result.attention_mask == [1] * count + [0] * (MAX_TOKENS - count)
    whole = tokenizer(prompt, padding="longest").input_ids
    lost = tokenizer.batch_decode([whole[MAX_TOKENS - 1 : -1]])[0] if len(whole) > MAX_TOKENS else ""
    return [ids, lost] if lost else [ids]


def main() -> None:
    shutil.rmtree(FIXTURES, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        write_folders(Path(scratch))
    results = {}
    for folder in sorted(path.name for path in FIXTURES.iterdir() if path.is_dir()):
        tokenizer = T5Tokenizer.from_pretrained(FIXTURES / folder)
        encoded = [expected(tokenizer, prompt) for prompt in prompts()]
        results[folder] = {"pad_id": tokenizer.pad_token_id, "eos_id": tokenizer.eos_token_id, "size": len(tokenizer),
                           "encoded": encoded}  # fmt: skip
        print(f"{folder}: {len(tokenizer)} tokens, {len(encoded)} prompts, {sum(len(e) > 1 for e in encoded)} cut")
    extra = prompts()[len(json.loads((CLIP_FIXTURES / "corpus.json").read_text(encoding="utf-8"))["prompts"]) :]
    write_json(FIXTURES / "corpus.json", {"max_tokens": MAX_TOKENS, "prompts": extra, "folders": results})


if __name__ == "__main__":
    main()
