"""Writes what Hugging Face's `tokenizers` (Rust) makes of odd strings, for tests/text/tokenizer_test.ts.

    python3 make_tokenizer_golden.py        with tokenizers==0.22.1 installed; writes beside itself

tokenizer-tiny.json   cases for models/tiny-gpt-oss/tokenizer.json (digits one by one)
tokenizer-odd.json    cases for odd/tokenizer.json, which this script trains on the odd strings with the split pattern
                      that gpt-oss-20b and -120b use (digits in threes), a Latin and a Chinese added token that are not special,
                      and `ignore_merges` as those models have it
Each case: text, ids with special tokens spelt out as text, ids with special tokens recognised.
"""
import json
import random
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = Path(__file__).parent
TINY = HERE / "../../../models/tiny-gpt-oss/tokenizer.json"

SPLIT = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
])
SPECIALS = ["<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>",
            "<|message|>", "<|call|>"]

SPACES = ["\t", "\n", "\x0b", "\x0c", "\r", "\x1c", "\x1f", " ", "\x85", "\xa0", "\u1680", "\u180e", "\u2000", "\u2007",
          "\u200a", "\u200b", "\u200d", "\u2028", "\u2029", "\u202f", "\u205f", "\u2060", "\u3000", "\ufeff"]
DIGITS = ["0", "7", "٣", "६", "๕", "½", "²", "Ⅷ", "ⅷ", "㊿", "〇", "𝟘", "𐄇", "１"]
LETTERS = ["a", "Z", "é", "e\u0301", "ß", "ẞ", "ǅ", "ʰ", "ª", "İ", "ı", "ſ", "Σ", "ς", "Ж", "א", "ب", "हि", "ไ", "한", "ㅎ",
           "語", "𠮷", "ﬁ", "Ⓐ", "𝒜", "Ꭰ", "ꭰ", "\u0345"]
SYMBOLS = ["'", "’", "\"", "_", "-", "/", "\\", "//", "$", "€", "+", "=", "<", ">", "<|", "|>", "…", "。", "​", "\x00", "\x7f",
           "\u200f", "\u00ad", "\ufffd", "\ue000", "\U000f0000", "\uffff", "\U0010ffff", "👍", "👍🏽", "👩‍👩‍👧", "🇫🇷", "❤️", "\u20e3"]
ENDINGS = ["'s", "'S", "'ſ", "'t", "'T", "'re", "'rE", "'ve", "'VE", "'m", "'ll", "'lL", "'d", "'D", "'x", "’s"]


def odd_strings():
    out = ["", " ", "hello world", "Hello, World!", "don't DON'T Don'T dON't", "they're THEY'RE we'Ve I'LL o'clock 'tis",
           "x'ſ X'ſT", "1234567 12 1,234.5 3½ ²³ ٣٤٥٦", "HTMLParser parseHTML iPhone ǅungla ʰello", "a  b   c    d",
           "tail  ", "tail \n", "tail\n ", "\n\n\n", " \r\n \r\n", "\t\tx", "path/to//file\n/x", "https://a.b/c?d=e&f=1#g",
           "e\u0301\u0301 \u0301alone \u0301", "हिन्दी ไทย 한국어 語学 עברית العربية", "👍👍🏽 👩‍👩‍👧 🇫🇷🇩🇪 ❤️",
           "𠮷野家 𝒜𝒷𝒸 𐐀𐐨", "\ufeffbom", "a\ufeffb", "a\x00b", "zero\u200bwidth", "<|end|>", "<|end|><|end|>", " <|end|> ",
           "<|start|>user<|message|>hi<|end|><|start|>assistant", "<|end", "|end|>", "<|END|>", "<|end|", "<<|end|>>",
           "a<|return|>b<|nosuch|>c", "<| end |>", "<|start|>\n<|message|>", "x" * 300, " " * 40, "ab" * 200, "9" * 41,
           "Zh中文Latin文字", "special中not", "aSEPb SEP SEPx", "​SEP​"]
    out += [f"a{s}b {s}c{s}{s}d{s}" for s in SPACES]
    out += [f"{w}{e} {w}{e}X" for w in ("we", "WE", "Ж", "語") for e in ENDINGS]
    out += [f"{d}{d}{d}{d} x{d} {d}x" for d in DIGITS]
    rng = random.Random(5)
    parts = [SPACES, DIGITS, LETTERS, LETTERS, SYMBOLS, ENDINGS, SPECIALS, [" "], ["the", "How", "many"]]
    for _ in range(400):
        out.append("".join(rng.choice(rng.choice(parts)) for _ in range(rng.randint(1, 14))))
    return out


def cases(tok, texts):
    for text in texts:
        row = {"text": text}
        for name, plain in (("plain", True), ("special", False)):
            tok.encode_special_tokens = plain
            row[name] = tok.encode(text, add_special_tokens=False).ids
        yield row


def write(path, rows):
    path.write_text("[\n" + ",\n".join(json.dumps(r, ensure_ascii=True, separators=(",", ":")) for r in rows) + "\n]\n")


def train_odd(texts):
    tok = Tokenizer(models.BPE(ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(texts * 3, trainers.BpeTrainer(
        vocab_size=700, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tok.add_tokens([AddedToken(t, special=False, normalized=False) for t in ("SEP", "中")])
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIALS])
    return tok


def main():
    texts = odd_strings()
    write(HERE / "tokenizer-tiny.json", cases(Tokenizer.from_file(str(TINY)), texts))
    (HERE / "odd").mkdir(exist_ok=True)
    train_odd(texts).save(str(HERE / "odd/tokenizer.json"))
    write(HERE / "tokenizer-odd.json", cases(Tokenizer.from_file(str(HERE / "odd/tokenizer.json")), texts))


main()
