"""Writes tests/fixtures/text/captions.json: what diffusers' PixArt pipeline makes of prompts with clean_caption.

    python tests/parity/captions.py

Needs diffusers 0.42, beautifulsoup4 and ftfy. Left out are prompts of which ftfy repairs the encoding, and those that
html.parser refuses.
"""

import json
import random

import ftfy
from diffusers import PixArtAlphaPipeline
from tokenizer import FIXTURES, TEXT, write_json

HANDMADE = [
    "A photo of a Cat", "  a   b \t c\n", "a cat, https://example.com/a/b.png and www.example.org/x?y=1", "http://a.it/b c",
    "see www:example here", "visit example.co.uk now!", "mail me@example.com today", "@nick and @nick_2: hi", "<person> on a horse",
    "<b>bold</b> and <i>it</i>", "a<br>b<br/>c<br />d</br>e", "a <b>x", "x</p>y", "1 < 2 > 0", "a <- b", "<", "<>", "a<", "a<b", "a <b", "</", "</>", "</ >",
    "<!-- hidden --> shown", "<!-- open", "a <!-- x -- > b", "<!doctype html>x", "<!foo>y", "<!foo y", "<?php echo 1 ?> z", "<? open",
    "<![cdata[kept <b> text]]> after", "<![if gte mso 9]>office<![endif]>", "<script>var x = '<b>';</script>after", "<script>open", "<style>p{}</style >s",
    "<script/>x", "<template>t<p>u</p></template>v", "<ruby>kan<rp>(</rp><rt>ji</rt><rp>)</rp></ruby>", "<pre>  a  b </pre>", "<pre>   </pre>x", "<p>   </p>x<p> \n </p>y",
    "<a href='x>y'>link</a>", '<a href="x" b=c d>link</a>', "<a href=x/>link", "<a b='c", "<a/b>c", "<a /b>c", "<a=b>c", "<a 'x'>c", "<img src=a.png alt='b'>c",
    "<a\u00e9>b</a\u00e9>", "<A HREF=X>y</A>", "</b foo>x", "</1>x", "<1>x", "a & b", "a &amp; b", "&lt;b&gt;x&lt;/b&gt;", "&amp;lt;b&amp;gt;", "&quot;x&quot;", "&quot y",
    "&eacute; &Eacute; &eacute", "caf&eacute;s", "&notit; &not it", "&hellip;&mdash;&ndash;", "&copy; &reg; &trade;", "&#65; &#x41; &#X41; &#128512;", "&#150; &#x92;", "&#0; &#xd800; &#x110000;",
    "&#99999999999;", "&#; x;", "&#x; y;", "&# z", "&#65", "&#65 b", "&", "&a", "&ab", "a&", "&;", "& ;", "&foo; &foo", "&frac12;x &nbsp;y", "&a.b; c", "&#1; &#31; &#129;",
    "\uff06lt;b\uff06gt;", "\uff06amp;amp x", "\uff06#65;", "\uff06notit;", "\uff06eacute x",
    "一只猫 cat 猫", "㍿ ㈱ ㆐ ㇰ ㇀ ䷀ 㐀", "a–b — c ‐ d ー ･ －", "“quoted” ‘single’ «french» `tick` ´acute ¨", "192.168.0.1 and 1.2.3", "at 3:45 ", "at 3:45", "a\\nb",
    "#1 #12 #123 #1234 #12345 #123456", "123456 12345 1234567", "photo.jpg my.cat.png x.PDF .webp a.mp4b", "\"\"\"shout\"\"\" ''' '", "wait... what.. ok.", "***A*** (b) [c] {d} |e| \\f\\ /g/ ~h~", "a . b .c. d",
    "this-is-my-cute-cat", "this_is_my_cute_cat", "a-b-c", "jc6640 jc6640vc 6640vc231 ab12 a123", "free shipping worldwide free shipping", "free download free", "download", "click for more click on this",
    "png image jpg images webpage", "page 12 pages 12", "j2d1a2a 2j3d4", "10x20 1.5x2.5 3х4 5×6 10x", "title : subtitle :x", "a,b.c/d 1,2", "'quoted'", '"quoted', "-dash", ";semi", "end-", "end:", ".hidden", ". hidden",
    "a+b%20c%C3%A9%c3%28 100% %zz", "%E7%8C%AB", "%3Cb%3Ebold%3C/b%3E", "a%2Bb", "é%C3é%A9", "ΟΔΟΣ ΣΊΣΥΦΟΣ", "İstanbul Iı", "STRASSE ẞ", "ﬁne ﬂow ĳ ŉ ǆ", "ｆｕｌｌ　ｗｉｄｔｈ ｶﾞ ￥", "a\u2028b\u2029c\x85d\re\r\nf",
    "\x1b[31mred\x1b[0m", "\x00a\x08b\x0bc\x7fd\ufeffe", "e\u0301", "\u02bcx \u201bx\u201fy", "tab\x1csep\x1fx", "", " ", "!", "...", "'", "\"\"", "a" * 300, "<b>" * 50, "&amp;" * 40, "x " * 100,
]  # fmt: skip


def drawn(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    words = TEXT.split() + ["<b>", "</b>", "<br/>", "&amp;", "&eacute;", "&#233;", "&lt", "<!--", "-->", "<a href='x'>", "</a>", "photo.jpg", "www.a.com", "@me",
             "#12", "1234567", "10x20", "jc6640", "-", "_", "...", ":", "free", "download", "png", "page", "12", "%20", "+", "“", "”", "<script>", "</script>", "<p", ">", "<", "&"]  # fmt: skip
    return ["".join(draw.choice(words) + draw.choice(["", " ", " "]) for _ in range(draw.randint(1, 12))) for _ in range(count)]


def main() -> None:
    corpus = json.loads((FIXTURES / "corpus.json").read_text(encoding="utf-8"))["prompts"]
    pipe = PixArtAlphaPipeline.__new__(PixArtAlphaPipeline)
    whole, kept, refused = ftfy.fix_text, [], 0
    for prompt in [*HANDMADE, *drawn(200, 1), *corpus]:
        try:
            ftfy.fix_text = whole
            cleaned = pipe._text_preprocessing(prompt, clean_caption=True)[0]
            ftfy.fix_text = lambda text: whole(text, fix_encoding=False)
            if cleaned == pipe._text_preprocessing(prompt, clean_caption=True)[0]:
                kept.append([prompt, cleaned, pipe._text_preprocessing(prompt)[0]])
            else:
                refused += 1
        except Exception as error:  # noqa: BLE001
            print(f"{prompt!r}: {error!r}"[:120])
            refused += 1
    write_json(FIXTURES / "captions.json", kept)
    print(f"{len(kept)} prompts, {refused} left out")


if __name__ == "__main__":
    main()
