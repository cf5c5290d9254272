"""Writes how Hugging Face's `tokenizers` (Rust) normalizes and cuts odd strings, for tests/text/cuts_test.ts.

    python3 make_cuts_golden.py > cuts.json        with tokenizers==0.22.1 or later installed

Each case: a part of tokenizer.json, and what it makes of every text: a text (normalizers) or words (pre-tokenizers).
"""
import json

from tokenizers import Regex, normalizers, pre_tokenizers

# Spelled apart, as a file of a program that sorts out odd blanks would not keep them.
TEXTS = [
    "", " ", "a", "\u0391\u03a3 \u03a3\u0391\u03a3", "\u03a3", "a\u03a3b \u03a3'\u03a3", "\u0130stanbul I\u0307",
    "\ufeffa\ufeff", "\x85a\x85", "\u180ea\u180e", "\u200ba\u200b", "\xa0 a\u2028\u3000", "\x1ca\x1f", "\x0ba\x0c",
    "\u1e9e\u00df \ufb01\ufb00\ufb05 \uff76\uff9e", "e\u0301\u0903\u20dd\u0345 \u00e9", "1\u00b2\u00bd\u0663 \u2460x\u2167\U00010107",
    "it's 'S'\u017f K\u212ak ss\u00df 's't", "'\u017f'd'M'LL'\u212a", "\u00c9\u00e9 \u01c5\u01c4", "\r\n \t\n",
    "\ufeff's \x85's", "a  \ufeff \r\n\x85 ",
    "1234567 (i:s) (S\u017f :k:) .a-!\r\n",
]
NORMALIZERS = [
    {"type": "NFC"}, {"type": "NFD"}, {"type": "NFKC"}, {"type": "NFKD"}, {"type": "Lowercase"}, {"type": "StripAccents"},
    {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Strip", "strip_left": True, "strip_right": False},
    {"type": "Strip", "strip_left": False, "strip_right": True},
    {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"},
                                         {"type": "Strip", "strip_left": True, "strip_right": True}]},
]
PATTERNS = ["(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?i:[sdmt]|ll|ve|re)", "(?i:[^s])", "(?i:[a-s'])", "(?i:k)", "(?i:[j-l])",
            r"(?i:[^\]K])", r"'(?i:s)|\p{L}+",
            # Where groups end: letters behind them are themselves alone.
            r"(?i:'s|'k)|(?i:(?:a|k)s)s", r"(?i:[)s(]|\)k)k", r"(?i:[^])]k|[]s]a)s?", r"(?i:s(?:k(?:'|a)))s|k",
            # No groups, and letters that stand apart, or after a hyphen.
            "[(?i:s]", r"\(?i:s\)", "(?i:s|s)|(?i:s)(?i:s)", r"(?i:[-s])",
            # Repeated twice, and without giving back.
            r"\p{N}{1,3}+", r"[^\r\n\p{L}\p{N}]?+\p{L}++", r" ?[^\s\p{L}\p{N}]++[\r\n]*+", "a{1,2}?b?"]
# What is cut off, left out and kept, by texts too, some of whose characters mean something in patterns.
LEFT_OUT = [{"String": p} for p in ["a", " ", "'s", "\u212a", ".", "(?i:a)", "[\\\\", "\u0301"]] + [
    {"Regex": p} for p in [r"(a|e)+", r"\s?(\p{L})", r"[(\]a](')?", r"\(|(x)", r"(?i:s)(?:'|(a))",
                            r"[.[:upper:][-[](]k]]", "([[a](s])+"]]
PRE_TOKENIZERS = [
    {"type": "Digits", "individual_digits": True}, {"type": "Digits", "individual_digits": False},
    *({"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False} for p in PATTERNS),
    *({"type": "Split", "pattern": p, "behavior": behavior, "invert": invert} for p in LEFT_OUT
      for behavior in ["Isolated", "Removed"] for invert in [False, True]),
    *({"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}
      for prefix in [False, True] for regex in [False, True]),
]


def normalizer(part):
    kind = part["type"]
    if kind == "Sequence":
        return normalizers.Sequence([normalizer(inner) for inner in part["normalizers"]])
    if kind == "Strip":
        return normalizers.Strip(left=part["strip_left"], right=part["strip_right"])
    return getattr(normalizers, kind)()


def pre_tokenizer(part):
    if part["type"] == "Digits":
        return pre_tokenizers.Digits(individual_digits=part["individual_digits"])
    if part["type"] == "ByteLevel":
        return pre_tokenizers.ByteLevel(add_prefix_space=part["add_prefix_space"], use_regex=part["use_regex"])
    pattern = part["pattern"]
    given = Regex(pattern["Regex"]) if "Regex" in pattern else pattern["String"]
    return pre_tokenizers.Split(given, part["behavior"].lower(), part["invert"])


print(json.dumps({
    "texts": TEXTS,
    "normalizers": [[part, [normalizer(part).normalize_str(text) for text in TEXTS]] for part in NORMALIZERS],
    "pre_tokenizers": [[part, [[word for word, _ in pre_tokenizer(part).pre_tokenize_str(text)] for text in TEXTS]]
                       for part in PRE_TOKENIZERS],
}, indent=1))
