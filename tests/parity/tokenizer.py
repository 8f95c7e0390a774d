"""Writes tests/fixtures/text: small CLIP tokenizer folders in every layout that is found in the wild, and the
ids that transformers' CLIPTokenizer gives for many prompts.

    python tests/parity/tokenizer.py

Needs transformers 5.23. Prints one line per folder.
"""

import json
import random
import shutil
import zlib
from collections import Counter
from pathlib import Path

from transformers import CLIPTokenizer

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "text"
MAX_LENGTH = 77  # where the folder names none

TEXT = """
a photo of a cat sitting on a red chair in the garden, highly detailed, 4k, sharp focus, cinematic lighting
an astronaut riding a horse on the moon, oil painting by a dutch master, dramatic shadows, warm colours
the quick brown fox jumps over the lazy dog. it's a dog's life; they're here, we'll see, i've been, i'm, he'd, don't
a watercolour of the old harbour at dawn with fishing boats, gulls and fog rolling in from the sea
portrait of a woman with flowers in her hair, soft light, bokeh background, 85mm lens, film grain
isometric view of a tiny village with red roofs, trees, a river, a bridge and a windmill, low poly, trending
a rocket, a guitar, a pizza, an octopus, a banana, a sunflower, a heart, a star, a football, a fire, an apple
cafe café naïve façade über straße größe señor mañana crème brûlée œuvre smørrebrød łódź žluťoučký
ein bild von einem hund auf der wiese, une photo d'un chat, una foto de un perro en la playa
кот сидит на красном стуле в саду, фотография, высокое качество, детали
η γάτα κάθεται στην καρέκλα στον κήπο, φωτογραφία, λεπτομέρεια
一只猫坐在花园里的红色椅子上 高清 细节 照片 庭の赤い椅子に座っている猫 写真 ネコ カメラ 고양이 사진 정원
قطة تجلس على كرسي أحمر في الحديقة صورة חתול יושב על כיסא אדום बिल्ली बगीचे में लाल कुर्सी पर บนเก้าอี้สีแดง
!!! ... ??? --- ,,, (((masterpiece))), [best quality], {detailed:1.2}, <lora:style:0.8>, 1girl, 2boys, 1920x1080
😀 😃 😄 🚀 🐱 🐶 🌻 ❤️ 👍🏽 👩‍🚀 🏳️‍🌈 🇩🇪 the emoji of a smiling face with open mouth, grinning, laughing
"""


def byte_symbols():
    """The character that stands for each byte in GPT-2's vocabularies."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def train(words, count):
    """`count` merges of byte-pair encoding over the words; ties go to the smaller pair."""
    symbols = byte_symbols()
    corpus = {}
    for word, times in Counter(words).items():
        parts = [symbols[byte] for byte in word.encode()]
        corpus[(*parts[:-1], parts[-1] + "</w>")] = times
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for parts, times in corpus.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += times
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        merged = {}
        for parts, times in corpus.items():
            out = []
            for part in parts:
                if out and (out[-1], part) == best:
                    out[-1] += part
                else:
                    out.append(part)
            merged[tuple(out)] = times
        corpus = merged
    return merges


def layout(symbols, merges, specials):
    """CLIP's order of ids: bytes, bytes that end a word, merged tokens, special tokens."""
    tokens = [*symbols, *(symbol + "</w>" for symbol in symbols), *("".join(pair) for pair in merges)]
    return {token: index for index, token in enumerate(dict.fromkeys([*tokens, *specials]))}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def token(content, **flags):
    return {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False, **flags}


def write_slow(folder, vocabulary, merges, config, special_tokens_map=None, added_tokens=None):
    write_json(folder / "vocab.json", vocabulary)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", config)
    if special_tokens_map:
        write_json(folder / "special_tokens_map.json", special_tokens_map)
    if added_tokens:
        write_json(folder / "added_tokens.json", added_tokens)


def write_legacy_fast(source, folder):
    """The tokenizer.json of older releases: merges as strings, no special tokens in the pattern, and a
    configuration with added_tokens_decoder, here with tokens of every kind."""
    definition = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    model = definition["model"]
    model["merges"] = [" ".join(merge) if isinstance(merge, list) else merge for merge in model["merges"]]
    for key in ("byte_fallback", "ignore_merges"):
        model.pop(key, None)
    words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    definition["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = words
    definition["pre_tokenizer"]["pretokenizers"][1].pop("use_regex", None)
    definition["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<|startoftext|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            name: {"id": name, "ids": [model["vocab"][name]], "tokens": [name]}
            for name in ("<|startoftext|>", "<|endoftext|>")
        },
    }
    write_json(folder / "tokenizer.json", definition)
    size = len(model["vocab"])
    decoder = {
        str(model["vocab"]["<|startoftext|>"]): token("<|startoftext|>", special=True),
        str(model["vocab"]["<|endoftext|>"]): token("<|endoftext|>", normalized=False, special=True),
        str(size): token("<Cat-Toy>", special=False),
        str(size + 1): token("Sks", normalized=False, special=False, single_word=True),
        str(size + 2): token("<mask>", lstrip=True, rstrip=True, normalized=False, special=True),
        str(size + 3): token("<cat-toy>_1", special=False),
        str(size + 4): token("É", special=False),
    }
    write_json(folder / "tokenizer_config.json", {
        "added_tokens_decoder": decoder, "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "mask_token": "<mask>",
        "model_max_length": 1000000000000000019884624838656, "tokenizer_class": "CLIPTokenizer",
        "do_lower_case": True, "errors": "replace", "clean_up_tokenization_spaces": True,
    })  # fmt: skip


def write_folders():
    symbols = byte_symbols()
    words = [word for line in TEXT.strip().split("\n") for word in split_words(line)]
    merges = train(words, 520)
    specials = ["<|startoftext|>", "<|endoftext|>"]
    # "!" is id 0, as in CLIP's own vocabulary
    ordered = sorted(symbols, key=lambda symbol: (ord(symbol) < 0x21, ord(symbol)))
    vocabulary = layout(ordered, merges, specials)

    named = {"bos_token": token(specials[0]), "eos_token": token(specials[1]), "unk_token": token(specials[1])}
    typed = {key: {"__type": "AddedToken", **value} for key, value in named.items()}
    common = {"add_prefix_space": False, "do_lower_case": True, "errors": "replace", "tokenizer_class": "CLIPTokenizer"}

    def config(pad, length):
        return {**common, **typed, "pad_token": pad, "model_max_length": length}

    write_slow(FIXTURES / "slow", vocabulary, merges, config(specials[1], 77), {**named, "pad_token": specials[1]})
    write_slow(FIXTURES / "slow_bang", vocabulary, merges, config("!", 24), {**named, "pad_token": "!"})
    # Plain strings, no special_tokens_map.json, tokens of a textual inversion in added_tokens.json.
    size = len(vocabulary)
    strings = {"bos_token": specials[0], "eos_token": specials[1], "unk_token": specials[1], "pad_token": "!"}
    write_slow(FIXTURES / "slow_added", vocabulary, merges, {**strings, "model_max_length": 77},
               added_tokens={"<Toy>": size, "<toy>_1": size + 1})  # fmt: skip
    # A vocabulary with few bytes, so that the others are unknown, and end tokens of other names.
    few = [symbol for symbol in symbols if symbol.isascii() and symbol != "q"]
    small = [pair for pair in merges if all(set(part.removesuffix("</w>")) <= set(few) for part in pair)]
    write_slow(FIXTURES / "gaps", layout(few, small[:60], ["<s>", "</s>"]), small[:60],
               {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "</s>", "model_max_length": 12})  # fmt: skip

    for source, target in (("slow", "fast"), ("slow_bang", "fast_bang")):
        CLIPTokenizer.from_pretrained(FIXTURES / source).save_pretrained(FIXTURES / target)
        definition = json.loads((FIXTURES / target / "tokenizer.json").read_text(encoding="utf-8"))
        write_json(FIXTURES / target / "tokenizer.json", definition)  # the same without indentation
    write_legacy_fast(FIXTURES / "fast", FIXTURES / "legacy_fast")


def split_words(line):
    words, run, kind = [], "", None
    for character in line.lower() + " ":
        now = "letter" if character.isalpha() else "space" if character.isspace() else "other"
        if now != kind and run:
            words.append(run)
            run = ""
        kind = now
        if now != "space":
            run += character
    return words


def handmade_prompts():
    return [
        "", " ", "   ", "\t\n\r\v\f", "a", "A", "!", "!!", "a!", "! a", "!a photo!", ".", "...", "a photo of a cat",
        "A Photo Of A CAT", "a  photo   of\ta\ncat\r\n", "  leading and trailing  ", "a,b;c:d", "hello!!!???...", "--__--",
        "snake_case_name", "_", "__init__", "a_b", "1", "12", "2024", "3.14159", "4k", "1920x1080", "85mm f/1.8", "50%", "#1",
        "it's", "IT'S", "dogs'", "'s", "'S", "'T 'RE 'VE 'M 'LL 'D", "they're we'll i've i'm he'd don't", "don’t it’s",
        "'sample 'tis 'rever 'very 'llama 'dog 'more", "!'s", "''s", "'''", "a's's", "o'clock rock'n'roll", "x'l x'r x'v",
        "café", "cafe\u0301", "CAFÉ", "CAFE\u0301", "naïve façade", "e\u0301e\u0301\u0323e\u0323\u0301", "A\u030a \u212b Å", "\u1e9b\u0323",
        "q\u0307\u0323 q\u0323\u0307", "\u0344 \u0340 \u0341 \u0343", "Ω \u2126 K \u212a", "\u0958 \u0915\u093c", "\ufb1d", "\u0301a", " \u0301",
        "straße STRASSE ẞ ß", "İstanbul", "İ", "I\u0307", "ıIiİ", "ISTANBUL ıspanak", "ΣΊΣΥΦΟΣ", "ΟΔΟΣ Σ ς σ", "Ǆ ǅ ǆ Ǉ", "Ǳ",
        "ﬁ ﬀ ﬃ ſt", "Æ Œ Ø Đ Ł Þ", "ŉ", "ΐ ΰ", "ᾈ ᾘ ᾼ", "Ⓐ Ⓩ ⓐ", "ⅷ Ⅷ Ⅿ ↀ ↂ Ↄ", "² ³ ¹ ½ ¾ ⅓ ㉑ ① ㊀ 〇 一二三", "٠١٢٣ ०१२ ๐๑๒ ௧௨",
        "Ｆｕｌｌ　ｗｉｄｔｈ　１２３！", "１２３", "ａ１ｂ２", "𝒜𝓑𝒞 𝔸𝔹 𝟘𝟙𝟚", "𝒜", "𐐀𐐁 𐐨", "𞤀𞤢", "𐌰𐌱", "𝕬𝖇", "🄰 🅰",
        "😀", "😀😀😀", "a😀b", "👍🏽 👍🏿", "👩‍🚀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "❤️ ❤", "☺︎ ☺️", "1️⃣ #️⃣", "🫠🫨🪿", "cat🐱dog🐶",
        "一只猫坐在花园里", "庭の赤い椅子に座っている猫", "고양이 사진", "고양이", "ｶﾀｶﾅ カタカナ ひらがな", "が か\u3099 が", "㈱ ㍿ ℃ №",
        "قطة تجلس على كرسي", "مَرْحَبًا", "ﷺ ﻻ", "חתול יושב", "שָׁלוֹם", "बिल्ली बगीचे में", "क्षत्रिय", "வணக்கம்", "สวัสดีครับ เก้าอี้", "ខ្មែរ",
        "မြန်မာ", "བོད་ཡིག", "ქართული ᲥᲐᲠᲗᲣᲚᲘ", "ᏣᎳᎩ ꭰꭱ", "ՀԱՅԵՐԵՆ և", "Кот СИДИТ На Стуле", "Ґ Ѓ Ќ й и\u0306", "ѐ Ѐ Ё ё", "Ӂ",
        "Tiếng Việt TIẾNG VIỆT ệ e\u0323\u0302", "ơ\u0301 o\u031b\u0301 o\u0301\u031b",
        "a\u00a0b", "a\u2003b\u2009c\u200a", "a\u3000b", "a\u1680b", "a\u202fb\u205fc", "a\u2028b\u2029c", "a\u0085b", "a\u180eb", "a\ufeffb",
        "a\u200bb", "a\u200cb\u200dc", "a\u2060b", "a\u00adb", "\ufeffbom", "\u200e\u200fmarks\u202a\u202c", "a\u0000b", "\u0000",
        "\u0001\u0002\u0003", "a\u001cb\u001db\u001eb\u001f", "\u007f\u0080\u009f", "tab\tbed", "line\nbreak", "\x1b[31mred\x1b[0m",
        "\ufffd", "\ufffe\uffff", "\U0010ffff", "\ue000\uf8ff", "\U000e0041\U000e007f", "\ud7ff\ue000", "\U00010000", "\U0001f3f4\U000e0067\U000e007f",
        "<|startoftext|>", "<|endoftext|>", "<|startoftext|>a cat<|endoftext|>", "a<|endoftext|>b", "<|ENDOFTEXT|>", "<|StartOfText|> x",
        "<|endoftext|><|endoftext|>", "<|startoftext|>!!", "!<|startoftext|>!", "x<|startoftext|>y", "<|startoftext", "<|endoftext|", "|endoftext|>",
        "<|end\u00adoftext|>", "<|\u212astartoftext|>", "<s>a</s>", "</w>", "a</w> b", "<pad>", "<s><|startoftext|>!!</s>", "!!<|endoftext|>!!",
        "<cat-toy> on a table", "<Cat-Toy> <CAT-TOY>", "<cat-toy>_1 <cat-toy>_2", "Sks dog", "a Sks.", "Sksdog xSks", "sks SKS Sks_ Sks1 Sks-", "a  <mask>  b",
        "<mask><mask> <mask>\n", "x <mask>", "É é E\u0301", "aÉb", "<toy> <Toy> <TOY> <toy>_1", "a <Toy>s", "  <Toy>  ",
        "&amp; &lt;b&gt; &#39; &nbsp;", "<b>bold</b>", "a &quot;quote&quot;", "(a:1.2), [b], {c|d}", "(((masterpiece)))", "<lora:style:0.8>", "BREAK",
        "a \\ b / c | d", "~`@#$%^&*()-_=+[]{};:'\",.<>/?", "“quotes” ‘single’ «guillemets» „low“", "– — … • · ¿ ¡ § ¶ † ‡ ™ © ®", "€ £ ¥ ₹ ₿ ¢", "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋",
        "https://example.org/a?b=c&d=e#f", "name@example.org", "C++ C# .NET node.js", "a+b=c", "x² + y³", "10⁻³", "H₂O", "50 000 000", "1,234.56",
        "supercalifragilisticexpialidocious", "x" * 300, "ab" * 200, "aaaaaaaaaaaaaaaa", "a" * 2999, "é" * 500, "猫" * 100, "😀" * 60, "1" * 120, "!" * 200, "! " * 100,
        " ".join(["cat"] * 75), " ".join(["cat"] * 76), " ".join(["cat"] * 74), " ".join(["cat"] * 200), "a photo of a cat sitting on a red chair, " * 12,
        "一" * 24 + "二" * 3, "<|endoftext|>" * 80, "a cat, " * 40 + "\u001f\u001f", "x " * 75 + "\u001f", "dog " * 74 + "😀😀",
        "mixed Кот 猫 قطة cat γάτα บน 12 ½ 😀 é!", "МіЖ латиница latin ΕΛΛ", "aбγ", "a1б2γ3", "1a2b", "a\u0301\u0301\u0301\u0301", "\u0301" * 40,
        "Z" + "\u0300\u0316\u0301\u0317" * 12 + "algo", "Ẑ̴a̸l̷g̵o̶", "ᄒ\u1161\u11ab 한", "각\u11a8", "\u1100\u1161\u1100", "\U0001d15e \U0001d1bf", "\u2adc \U0001109a", "\ufa0e \uf900 \U0002f800",
        "\u07fd\u0345 x\u0345\u07fd\u0334", "x\u0345\u0898\u0334", "\u1c89\u1c8a", "\ua7cb\ua7dc", "\U00010d50\U00010d70", "\U00016ea0\U00016ebb", "\U0002ebf0", "\U00013460", "\U00010d40",
        "the end",
    ]  # fmt: skip


def random_prompts(count, seed):
    draw = random.Random(seed)
    pools = [
        [chr(c) for c in range(0x20, 0x7F)], [chr(c) for c in range(0xA0, 0x250)], [chr(c) for c in range(0x300, 0x370)],
        [chr(c) for c in range(0x370, 0x590)], [chr(c) for c in range(0x590, 0x780)], [chr(c) for c in range(0x900, 0xE80)],
        [chr(c) for c in range(0x1E00, 0x2070)], [chr(c) for c in range(0x2070, 0x2C00)], [chr(c) for c in range(0x3000, 0x3400)],
        [chr(c) for c in range(0xAC00, 0xD7A4, 7)], [chr(c) for c in range(0xA640, 0xABF0)], [chr(c) for c in range(0xF900, 0x10000)],
        [chr(c) for c in range(0x10000, 0x12000)], [chr(c) for c in range(0x1D000, 0x1D800)], [chr(c) for c in range(0x1F000, 0x1FB00)],
        [chr(c) for c in [*range(0, 0xD800, 13), *range(0xE000, 0x110000, 211)]], list(" \t\n\u00a0\u2003'"),
        ["<|startoftext|>", "<|endoftext|>", "<|", "|>", "'s", "'LL", "!", "cat", "photo", " of ", "\u0301", "\u0345", "\u200d", "\u093c"],
    ]  # fmt: skip
    prompts = []
    for _ in range(count):
        chosen = draw.sample(pools, draw.randint(1, 4))
        prompts.append("".join(draw.choice(draw.choice(chosen)) for _ in range(draw.choice([3, 8, 20, 45]))))
    return prompts


def sweep_texts():
    """Every code point, in two settings, as texts of 4096 of them; tests/text builds the same."""
    for base in range(0, 0x110000, 0x1000):
        block = [chr(c) for c in range(base, base + 0x1000) if not 0xD800 <= c < 0xE000]
        yield "".join("a" + c for c in block)
        yield "".join("x\u0345" + c + "\u0334B" for c in block)


def expected(tokenizer, prompt, length):
    ids = tokenizer(prompt, padding="max_length", max_length=length, truncation=True).input_ids
    whole = tokenizer(prompt).input_ids
    lost = tokenizer.batch_decode([whole[length - 1 : -1]])[0] if len(whole) > length else ""
    body = ids[: 2 + min(len(whole) - 2, length - 2)]
    assert ids == body + [tokenizer.pad_token_id] * (length - len(body))
    return [body, lost] if lost else [body]


def main():
    shutil.rmtree(FIXTURES, ignore_errors=True)
    write_folders()
    prompts = handmade_prompts() + random_prompts(300, seed=20261123)
    results, seen = {}, {}
    for folder in sorted(path.name for path in FIXTURES.iterdir() if path.is_dir()):
        tokenizer = CLIPTokenizer.from_pretrained(FIXTURES / folder)
        length = tokenizer.model_max_length if tokenizer.model_max_length < 10**6 else MAX_LENGTH
        known = {
            "max_length": length, "pad_id": tokenizer.pad_token_id, "bos_id": tokenizer.bos_token_id,
            "eos_id": tokenizer.eos_token_id, "size": len(tokenizer),
            "sweep": [] if folder != "slow" else [zlib.crc32(b"".join(i.to_bytes(4, "little") for i in tokenizer(text, add_special_tokens=False).input_ids))
                      for text in sweep_texts()],
        }  # fmt: skip
        encoded = [expected(tokenizer, prompt, length) for prompt in prompts]
        key = json.dumps(encoded)
        known["encoded"] = seen.setdefault(key, folder) if key in seen else encoded
        seen.setdefault(key, folder)
        results[folder] = known
        print(f"{folder}: {len(tokenizer)} tokens, {len(prompts)} prompts, {sum(len(e) > 1 for e in encoded)} cut")
    write_json(FIXTURES / "corpus.json", {"prompts": prompts, "folders": results})


if __name__ == "__main__":
    main()
