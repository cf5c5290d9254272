"""Writes what Jinja2 makes of chat templates, as transformers compiles them, for tests/text/template_python_test.ts.

    python3 make_template_golden.py > template-python.json        with transformers==5.24 or later installed

Each case: a template, and what it writes. They are such as Python and JavaScript have other values for: truth, none,
lists as text; what is equal and what is in a list; blanks, remainders, floats; letters in other cases; where tags begin
and end, and which blanks around them go (300 templates of a generator with a fixed seed).
"""
import json
import random

from transformers.utils.chat_template_utils import _compile_jinja_template

MESSAGES = [{"role": "user", "content": "Hi  there", "list": [1, 2, {"a": [3]}], "n": 3, "f": 1.5, "z": None, "t": True}]
EXPRESSIONS = [
    "[1,2]==[1,2]", "{'a':1}=={'a':1}", "[]==[]", "tools==[]", "tools!=[]", "(1,2)==(1,2)", "(1,2)==[1,2]",
    "messages[0]['list']==[1,2,{'a':[3]}]", "[1]==[1.0]", "[1]==['1']", "[true]==[1]", "messages[0].z==none",
    "messages[0].q==none", "{'a':1}=={'a':1.0}", "{'a':1}!={'b':1}", "undefinedvar==undefinedvar2", "[]==false", "0==false",
    "1 in [1,2]", "'1' in [1]", "true in [1]", "[1] in [[1]]", "{'a':1} in [{'a':1}]", "'a' in {'a':1}", "'i' in 'hi'",
    "none in [none]", "1.0 in [1]", "(1,2) in [(1,2)]", "'<' in ['<']", "messages[0].list in [[1,2,{'a':[3]}]]",
    "[1,2] not in [[1,2]]", "1 in (1,2)", "-7%3", "7//2", "-7//2", "-10%3", "10%-3", "-10.5%3", "10/4", "10.0//4", "2**3",
    "'a'~1~1.0~true~none", "'a'~none", "true~1.0", "[1]~'x'", "undefinedvar~'x'", "'a'+'b'", "[1]+[2]", "0.1+0.2", "-0.0",
    "1.0", "100.0", "0.0000001", "123456789.125", "[1,'a',none,true,1.5]", "{'a':1,'b':[none]}",
    "['a\\'b','c\"d','e\\'f\"g','h\\\\i\\n\\t\u0001\u00ad\u200b\u3000\u00e9\U0001f600']", "(1,2)", "[]", "{}", "[[],{}]",
    "none", "true", "false", "undefinedvar", "[undefinedvar]", "messages[0].list", "messages[0]", "tools", "messages[0].f",
    "messages[0].content.split()", "messages[0].content.split(' ')", "['b','A','a']|sort", "'a,b'.split(',')",
    "messages|map(attribute='role')|list", "none|default('d')", "not []", "1==true", "'1'==1", "3 is odd", "1.0 is integer",
    "'abc'.startswith('a')", "messages[0].keys()|list", "['a','b']|reverse|list", "'  x y\u00a0\ufeff\u0085'|trim",
    "'\ufeff a\u001c'|trim", "'\\n\\n a \\n'.strip('\\n')", "'xyaxy'.lstrip('yx')", "'xyaxy'.rstrip('yx')", "'a b'.strip(none)",
    "' a '.strip()", "'\U0001f600a\U0001f600'.strip('\U0001f600')", "'\u00c9coLE'.capitalize()", "'\u00c9coLE'|capitalize",
    "[1,none,'a',1.0,true]|join('-')", "[1,'b']|join", "'abc'|join('-')", "[[1],[2]]|join", "[1,2]|join(d='+')",
    "'12abc'|int", "'1e3'|int", "' 12 '|int", "'-3'|int", "'x'|int(5)", "'1_0'|int", "-1.5|int", "1.9|int", "'1.5'|float",
    "'1.5x'|float", "'x'|float(2.5)", "3|float", "[1,1.0,true,2]|unique|list", "['a','A','b']|unique|list",
    "'ßa b'|title",
    "'it\\'s a-b c'|title", "'HELLO wORLD (a [b'|title", "'a\u001cb c'.split()", "'a\ufeffb'.split()", "'a  b c '.split(none,1)",
    "' a  b '.split()", "'a,b,c'.split(',',1)", "'a\U0001f600bc'[1]", "'a\U0001f600bc'[3]", "'a\U0001f600bc'[-4]",
    "'a\U0001f600bc'|length", "'a\U0001f600bc'[1:3]", "'a\U0001f600bc'['x'] is defined", "'a\\r\\nb\\x0bc'|indent(2)",
    "'a\\nb\\n\\nc\\n'|indent(2,true)", "true|string", "none|string", "[1,'a']|string", "1.0|string", "undefinedvar|string",
    "{'a':1,'b':2}.items()", "{'a':1}.items()|list", "{'a':1}.keys()", "{'a':[1]}.values()", "{'b':1,'A':2}|dictsort",
    "{'b':1,'A':2}|dictsort(true)", "{'b':1,'A':2}|dictsort(by='value')", "{'a':1}|items|list", "range(3)",
    "range(1,6,2)", "range(3)|list", "true is number", "true is integer", "1.0|tojson",
    "[1.0,'\u00e9<',(1,2),none]|tojson", "{'b':1,'a':2}|tojson(sort_keys=true)", "[1,{'a':[]}]|tojson(indent=2)",
    "[1]|tojson(indent=0)", "'\u00e9<\U0001f600'|tojson(ensure_ascii=true)", "[1,2]|tojson(separators=(',',':'))",
    "'\u00e9'|tojson(true)", "{'keys':1}['keys']", "{'items':2}['items']", "messages|map(attribute='role')|first",
    "1 ~ 2 + 'a'", "'a' + 1 ~ 2", "'a' ~ 1 ~ (2 + 3)", "'abc'.length", "[1].length", "(1,2)[:1]", "(1,2)+(3,4)",
    "'a\U0001f600b'[::-1]", "[1,2,3][::-1]", "[1,2,3][5:1:-1]", "2**3**2", "-7//2", "7.5//2", "-7.5//2", "-0.0//1",
    "7.5%-2", "'abc'|reverse", "'ab c'|first", "[]|first", "[]|last is defined",
    "['b','A','a']|sort(case_sensitive=true)", "[3,1]|sort(reverse=true)",
    "messages|selectattr('q','undefined')|list|length", "messages|rejectattr('q')|list|length",
    "messages|selectattr('n','eq',3)|list|length", "messages|selectattr('list.0','equalto',1)|list|length",
    "'hELLO wORLD 3d'.title()", "'\u00dfa'.capitalize()", "'a,b,c'.split(',',-2)", "'ab'.startswith(('x','a'))",
    "{} is iterable", "(1,2) is iterable", "undefinedvar is iterable", "range(2) is sequence",
    "{'a':1}.items() is sequence", "'a1' is lower", "'1' is lower", "'' is upper", "undefinedvar|length",
    "undefinedvar|list", "q|default('x',true)", "q|default(default_value='x')", "''|default('x',boolean=true)",
    "0.0|default('x',true)", "'a\\n\\nb'|indent(2,first=true,blank=true)", "''|indent(2,true)", "messages[0]|length",
    "messages[0].get('role')", "messages[0].get('nope',5)", "'x'.replace('','-')", "'aaa'.replace('a','b',2)",
    "'y' if messages|selectattr('nope') else 'n'", "'<b>'|safe", "1 if 0.0 else 2", "not 0.0", "[1] is sequence",
]
# Letters whose title case is not their upper case, and those of which upper case makes two.
LETTERS = [chr(c) for c in range(0x110000) if not 0xd800 <= c < 0xe000 and (chr(c).title() != chr(c).upper() or len(chr(c).upper()) > 1)]
EXPRESSIONS += [
    f'"{text}"{form}'
    for text in [" ".join(LETTERS), "".join(LETTERS), "\u0391\u03a3 \u03a3 a\u03a3b \u03a3\u03a3' \u0130I\u01c5", "a\x1cb\ufeffc\x85d-e(f[g{h<i"]
    for form in [".title()", ".capitalize()", ".upper()", ".lower()", "|title", "|capitalize", "|upper", "|lower"]
]
EXPRESSIONS += [
    "'\uff11\uff12'|int", "' \u0661\u0662.5'|float", "'\U0001d7d7\U0001d7d8'|int", "'\u0967_\u0966'|int", "'\u00b2'|int(5)",
    "'1e\u0663'|float", "'-\u0967'|int", "'1_0e1_0'|float", "1|upper", "[1]|title", "none|trim", "'xax'|trim('x')", "1|replace(1, 'b')",
    "'aXbX'|replace('X', '-', 1)", "'aXb'|replace('X', 2)", "00", "1.50", "010.5", "'a' < 'B'", "'\uffff' < '\U0001f600'", "'' <= ''",
    "'abc'.find('c')", "'\U0001f600c'.find('c')", "'aaa'.count('aa')", "'ab'.count('')", "'\U0001f600'.replace('', '-')", "'ab'.rfind('')",
    "'a\\r\\nb\\x0bc\\u2028d'.splitlines()", "'a\\n'.splitlines(true)", "'a b  c'.rsplit(none, 1)", "'a,b,c'.rsplit(',', 1)",
    "'a-b-c'.partition('-')", "'a-b-c'.rpartition('-')", "'abc'.partition('-')", "'abc'.rpartition('-')", "'abab'.removeprefix('ab')",
    "'abab'.removesuffix('ab')", "', '.join(['a', 'b'])", "''.join({'a': 1})", "'abcabc'.rindex('a')", "'abc'.split(maxsplit=1, sep='b')",
]
# What is called safe, formats, keys that are no texts, filters that choose, tests with arguments, numbers, tuples, comparisons in a row.
EXPRESSIONS += [
    "'a'|safe ~ '<b>'", "'a'|safe + '<b>'", "'<b>' + 'a'|safe", "['<'|safe]", "('<'|safe) == '<'", "(1|safe) + 1|string", "('a'|safe)|upper + '<'",
    "('a,b'|safe).split(',')", "('ab'|safe).replace('b', '<')", "('-'|safe).join(['<', 'a'|safe])", "('ab'|safe)[0]", "('ab'|safe)|list", "('<'|safe) is escaped",
    "'<&>\"'|e", "('<'|e)|e", "('<'|e)|forceescape", "[1,'<']|tojson|safe if [1] is sequence else 'x'|string", "{'a': '<'|safe}", "'<'|safe|tojson", "('a'|safe) * 2",
    "'{} {}'.format(1, 'b')", "'{0}{1}{0}'.format('a', 2)", "'{a}-{b.n}-{c[0]}-{d[k]}'.format(a=1, b=messages[0], c=[5], d={'k': none})", "'{{}} {!r:>5}|'.format('a')",
    "'{:>5}|{:<5}|{:^5}|{:*^5}|{:05}|{:+d}|{:x}|{:#b}'.format(1, 2, 3, 4, 5, 6, 255, 5)", "'{:.2f} {:.0f} {:.0f} {:e} {:g} {:%} {:,} {:_}'.format(2.675, 0.5, 1.5, 12345.678, 1e20, 0.25, 1234567, 1234567)",
    "'{:.3} {:10} {:{}}'.format('abcdef', 'x', 5, 4)", "'{} {:d} {:5}|'.format(true, true, true)", "'{:.10g} {:.3e} {:G}'.format(0.1, 0.00012345, 1e-10)", "'{a}'.format_map({'a': 1})",
    "'%s %d %5.1f %r %%' % ('a', 3.7, 2.25, 'b')", "'%(a)s' % {'a': none}", "'%05d|%-5s|%5s|%+d|% d' % (42, 'a', 'b', 1, 2)", "'%s'|format(1)", "'%(x)d'|format(x=5)", "'%e %g %G' % (0.5, 1e10, 1e-10)", "'%s' % [1]",
    "{1: 'x', 2: 'y'}", "{1: 'x'}[1]", "{1: 'x', true: 'y', 1.0: 'z'}", "{none: 1, 2.5: 2, false: 3}", "{1: 'x'}['1'] is defined", "1 in {1: 2}", "{'a': 1}[undefinedvar] is defined", "{'a': 1}[[1]] is defined", "{'a': 1}[{}]|default(3)", "{'a': 1}.get(undefinedvar)", "{'a': 1}.get(undefinedvar, 5)", "'1' in {1: 2}", "{1: 2} == {1.0: 2}", "{1: [2], true: 3}|tojson",
    "{none: 1, 1.5: 2, false: 3, 'a': 4}|tojson", "{2: 'b', 1: 'a'}|dictsort", "{2: 'b'}.items()|list", "{2: 'b'}|list", "{2: 'b'}.get(2.0)", "dict(a=1, b=[2])", "dict({1: 2}, a=3)", "dict([('a', 1), [2, 3]])",
    "[1,2,3]|select('odd')|list", "[0,1,'',none]|select|list", "[1,2,3]|reject('divisibleby', 3)|list", "none|selectattr('a')|list", "[{'a':1},{'a':2}]|selectattr('a','gt',1)|list",
    "[{'a':1},{'b':2}]|rejectattr('a','defined')|list", "['a','b']|map('upper')|list", "[1.25,2.5]|map('round', 1)|list", "['1','x']|map('int', default=7)|list", "[[1,2],[3]]|map('length')|list", "[{'a':{'b':1}},{}]|map(attribute='a.b', default={'b':2})|list",
    "[3,1,2]|min", "[3,1,2]|max", "['b','A']|min", "['b','A']|min(case_sensitive=true)", "[]|max is defined", "[{'a':2},{'a':1}]|min(attribute='a')", "[1,2,3.5]|sum", "[{'a':1},{'a':2}]|sum(attribute='a', start=5)", "[]|sum(start=2.5)",
    "[{'g':'X','n':1},{'g':'y','n':2},{'g':'x','n':3}]|groupby('g')", "[{'g':1},{}]|groupby('g', default=0)|map(attribute='list')|list", "[{'g':'b'},{'g':'a'}]|groupby('g')|map(attribute='grouper')|list",
    "[{'a':2,'b':1},{'a':1,'b':2},{'a':1,'b':1}]|sort(attribute='a,b')", "[[2,'a'],[1,'b'],[1,'a']]|sort", "['a','A','b']|unique(true)|list", "[{'a':1},{'a':1}]|unique(attribute='a')|list", "[1,2,3,4,5]|batch(2, 0)|list", "[1,2,3,4,5]|slice(3)|list",
    "[1,2,3,4,5]|slice(3, 'x')|list", "2.675|round(2)", "2.5|round", "-2.5|round", "3|round", "2.1|round(0, 'ceil')", "-2.15|round(1, 'floor')", "'ab'|center(7) ~ '|'", "'ab'.center(5, '*')", "'a b c d e f g'|truncate(5)", "'abcdefghijk'|truncate(5, true)",
    "'abcdefg'|truncate(5, leeway=0)", "'a b_c d1'|wordcount", "'42'.zfill(5)", "'-42'.zfill(5)", "'a'.ljust(3) ~ '|'", "'a'.rjust(3, '-')", "'12'.isdigit()", "'a1'.isalnum()", "''.isalpha()", "' \t'.isspace()", "'Ab'.isupper()", "[1,2,1].count(1)", "[1,2].index(2)",
    "4 is divisibleby 2", "4 is divisibleby(3)", "1 is in [1,2]", "none is sameas none", "1 is sameas true", "2 is gt 1", "2 is not le(1)", "'a' is eq 'a'", "'upper' is filter", "'nope' is test", "5 is ge 5 and 1", "1 is eq 1.0", "not 2 is lt 1",
    "1 < 2 < 3", "3 > 2 > 2", "1 < 2 in [2]", "1 == 1.0 != 2 <= 2", "0 < 1 == true", "1e3", "1.5E-3", "2e2", "0x1F", "0b101", "0o17", "1_000", "1_0.5", "(1,)", "()", "1, 2", "1,", "(1, 2,)", "[1, 2,]", "{'a': 1,}",
    "'a' 'b' \"c\"", "'\\x41\\u00e9\\101\\a\\q\\\n'", "'ab' * 3", "2 * [1]", "true + 1", "-true", "[1] < [1, 2]", "(1, 'a') >= (1, 'b')", "1 if false", "2 ** 3 ** 2", "-2 ** 2", "messages[0].list.0", "[[1]].0.0",
    "not 1 == 2", "'b' if 0 else 'c' if 0 else 'd'", "[1,2,3][-2:]", "'a'|upper ~ 'b'|upper", "('a'|upper)[0]", "[1,2]|first + 1", "messages[0]['content'][0:2]|upper", "'a'.upper()|lower", "[3,1]|sort|first",
]
# Parts of texts, lists and tuples, between places before, in and behind them, in steps of either direction.
PLACES = ["", "-9", "-3", "-1", "0", "1", "3", "9", "none"]
EXPRESSIONS += [
    f"{items}[{start}:{end}:{step}]"
    for items in ["'a\U0001f600c'", "[1,2,3]", "(1,2)", "''"]
    for start in PLACES
    for end in PLACES
    for step in ["", "2", "-1", "-2"]
    if items == "'a\U0001f600c'" or start in ("", "-1") or end == "-1"
]
EXPRESSIONS += ["('<b'|safe)[1:] ~ '<'"]
BLOCKS = [
    "a{% raw %}{{ x }} {% if %}{% endraw %}b", "a\n  {% raw %}\n b {{\n  {% endraw %}\n c", "{%- raw -%} x {%- endraw -%} y", "{% raw %}{# a #}{% raw %}{% endraw %}", "  {%+ raw %} a {%+ endraw +%}\n b",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}", "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% set a = 3 %}{{ a }}{% endwith %}{{ a }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}",
    "{% with a, b = (1, 2) %}{{ b }}{% endwith %}", "{% for i in [1, 2] %}{% with j = i %}{{ j }}{% if j == 1 %}{% continue %}{% endif %}x{% endwith %}{% endfor %}", "{% set x | upper | trim %} a {% endset %}[{{ x }}]", "{% set x | length %}abc{% endset %}{{ x + 1 }}",
    "{% filter upper | replace('A', '<') %}a{% endfilter %}", "{% filter e %}<{{ 1 }}{% endfilter %}", "{% set ns = namespace(a=1) %}{% set ns.a, x = 2, 3 %}{{ ns.a }}{{ x }}", "{% set x = 1, %}{{ x }}", "{% set (a, b) = [1, 2] %}{{ a }}{{ b }}",
    "{% for i in 1, 2 %}{{ i }}{% endfor %}", "{% for k, (a, b) in [(1, (2, 3))] %}{{ k }}{{ a }}{{ b }}{% endfor %}", "{% for k, v in {1: 'a', none: 'b'}.items() %}{{ k }}{{ v }}{% endfor %}", "{% for k in {2: 1} %}{{ k + 1 }}{% endfor %}",
    "{% for g in [{'a': 'x', 'b': 1}, {'a': 'x', 'b': 2}]|groupby('a') %}{{ g.grouper }}{{ g.list|length }}{{ g[0] }}{{ g }}{% endfor %}", "{% for a, b in [{'a': 1}]|groupby('a') %}{{ a }}{{ b }}{% endfor %}", "{% print 1, 'a' %}", "{% if 1: %}a{% endif %}",
    "{% macro f(kwargs) %}{{ kwargs }}{% endmacro %}{{ f(1) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(*range(1)) }}{{ f(**dict(a=2)) }}",
    "{% set a = messages[0].list | tojson | safe if messages[0].list is sequence else 'x' | string %}{{ a }}{{ a ~ '<' }}", "{% for i in [1,1,2] %}{{ loop.cycle is defined }}{{ loop.cycle('a','b') }}{{ loop.changed(i) }}{{ 'y' if loop.changed }}{% endfor %}",
    "{% for i in [1,1,2] %}{{ loop.changed(i, 'x') }}{{ loop.changed(i, 'x') }}{% endfor %}",
    "{{ 1 }}{-}\n", "a\ufeff{%- if true %}{% endif %}", "\u00a0{% if true %}x{% endif %}%}\ny", "a \u2028  {% if true %}x{% endif %}",
    "#}\n{{ [{'a': {}}] }}{{ '}}' }}{%- if true +%}\n x{{+ 'a' }}{ {%- endif %}",
    "{% set x = [1] %}{{ x }}{% if x == [1] %}y{% endif %}", "{% for m in messages %}{{ m.n }}{{ loop.first }}{% endfor %}",
    "{% macro f(a) %}<{{ a }}>{% endmacro %}{{ f(none) }}{{ f([true]) }}", "{% set x %}a{{ none }}b{% endset %}{{ x }}",
    "{% filter trim %}  x\ufeff {% endfilter %}|", "{% if tools %}t{% else %}n{% endif %}{% if tools != [] %}T{% endif %}",
    "{%- set ns = namespace(found=false) -%}{% for m in messages %}{% set ns.found = true %}{% endfor %}{{ ns.found }}",
    "{{ 'a' if messages[0].q is defined else 'b' }}{% for i in [] %}x{% else %}e{% endfor %}",
    "{% for i in range(4) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in [1,2] %}{{ x }}{% set x = i %}{% endfor %}{{ x is defined }}",
    "{% set x = 0 %}{% for i in [1,2] %}{{ x }}{% set x = i %}{% endfor %}{{ x }}",
    "{% macro f() %}{{ i }}|{{ y }}{% endmacro %}{% set y = 5 %}{% for i in [1,2] %}{{ f() }}{% endfor %}",
    "{% macro f(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, b=4) }}",
    "{% for i in [1,2,3] %}a{{ i }}{% if i == 2 %}b{% break %}{% endif %}c{% endfor %}",
    "{% for i in [1] %}a{% continue %}{% else %}e{% endfor %}",
    "{% for k, v in {'a':1}.items() %}{{ k }}{{ v }}{{ loop.length }}{% endfor %}{% for p in {'a':1}.items() %}{{ p }}{% endfor %}",
    "{% for c in 'a\U0001f600' %}{{ loop.index }}{{ c }}{% endfor %}{% for c in undefinedvar %}x{% else %}e{% endfor %}",
    "{% for i in [1,2,3] if i != 2 %}{{ loop.revindex }}{{ loop.last }}{{ loop.previtem }}{% endfor %}",
    "{% for a, b in [(1,2),[3,4]] %}{{ a }}{{ b }}{% endfor %}",
    "{% set y %}{% set z = 1 %}{{ z }}{% endset %}{{ y }}{{ z is defined }}",
    "{% filter upper %}{% set z = 1 %}a{% endfilter %}{{ z is defined }}",
    "{% generation %}{% set z = 1 %}a{% endgeneration %}{{ z is defined }}",
    "{% if false %}a{% elif not false %}b{% endif %}{{ 1 if 3 not in [1] and not none }}",
    "{%- generation -%} a {% endgeneration %}\n b",
    "a\r\n  {% if true %}\r\nb\r{% endif %}\r\n",
    "{% macro f(x) %}[{{ caller(x) }}]{% endmacro %}{% call(q) f(3) %}{{ q }}{% endcall %}",
]
TEXTS = ["a", " ", "  ", "\n", "\n", "\n\n", "\t", "\u00a0", "\u2028", "\x0b", "\x0c", "\x1c", "\ufeff", "\x85", "\r\n", "\r", "%}", "#}",
         "{", "}}", "-", "+", "{", "}", "x{", "-}", "%}\n", "#}\n", "}}\n", "\u3000", "'", '"']
VALUES = ["1", "'x'", "'}}'", '"%}"', "'{%'", "{'a':{'b':1}}", "[1,{'a':2}]", "(1,2)", "-1", "+1", "'a' 'b'", "'{#'", "\n1\n", "{}|length",
          "'a\nb'", "'it\\'s'", "'{{'"]
draw = random.Random(20261127)


def words():
    return "".join(draw.choice(TEXTS) for _ in range(draw.randrange(5)))


def tag(statement):
    return "{%" + draw.choice(["", "", "-", "+"]) + draw.choice([" ", "", "\n"]) + statement + " " + draw.choice(["", "", "-", "+"]) + "%}"


def piece(depth):
    inner = lambda: "".join(piece(depth - 1) for _ in range(draw.randrange(5)))
    return draw.choice([
        words, words, words, lambda: "{{" + draw.choice(["", "-", "+"]) + " " + draw.choice(VALUES) + " " + draw.choice(["", "-"]) + "}}",
        lambda: "{#" + draw.choice(["", "-", "+"]) + draw.choice(["", " c ", "\n", "{{ x", "'"]) + draw.choice(["", "-", "+"]) + "#}",
        *([] if depth == 0 else [
            lambda: tag("if true") + inner() + tag("else") + inner() + tag("endif"),
            lambda: tag("for i in [1,2]") + inner() + tag("endfor"), lambda: tag("set q") + inner() + tag("endset") + "{{ q }}",
            lambda: tag("generation") + inner() + tag("endgeneration"), lambda: tag("filter trim") + inner() + tag("endfilter"),
        ]),
    ])()


STATIC = len(BLOCKS)
while len(BLOCKS) < STATIC + 307:
    template = "".join(piece(2) for _ in range(5)) + words()
    try:
        _compile_jinja_template(template)
    except Exception:  # what Jinja2 does not read is another test's
        continue
    BLOCKS.append(template)
templates = ["{{ " + expression + " }}" for expression in EXPRESSIONS] + BLOCKS
cases = [[one, _compile_jinja_template(one).render(messages=MESSAGES, tools=[])] for one in templates]
print(json.dumps({"messages": MESSAGES, "cases": cases}, indent=1))
