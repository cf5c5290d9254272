"""Writes what Jinja2 makes of 800 templates that a generator with a fixed seed makes, as transformers compiles them, for
tests/text/template_python_test.ts.

    python3 make_generated_golden.py > generated.json        with transformers==5.24 or later installed

Expressions are of a type each (number, text, list, dictionary, truth), so that most can be rendered; those that Python
refuses are left out. Statements: loops with their variables, `break` and `else`, macros with all forms of arguments, blocks
that are called, namespaces, scopes. Each case: a template, and what it writes.
"""
import json
import random

from transformers.utils.chat_template_utils import _compile_jinja_template

MESSAGE = {"role": "user", "content": "Hi <b> there\u00e9", "n": 3, "f": 1.5, "z": None, "t": True, "list": [1, 2, {"a": [3]}],
           "d": {"b": 1, "a": "x", "c": 2, "<": 3}}
VALUES = {"messages": [MESSAGE, {"role": "assistant", "content": ""}], "m": MESSAGE, "s": "a,b c", "e": "", "el": [], "ed": {},
          "flag": False}
draw = random.Random(20261127)
one_of = draw.choice


def less(depth):
    return depth - 1 - draw.randrange(2)


def number(d):
    if d <= 0:
        return one_of(["0", "1", "2", "-3", "7", "10", "2.5", "-0.5", "0.0", "1.0", "m.n", "m.f", "m.list|length", "loop.index"])
    a, b = number(less(d)), number(less(d))
    return one_of([
        lambda: f"({a} {one_of('+-*')} {b})", lambda: f"({a} {one_of(['//', '%', '/'])} {b})", lambda: f"-{a}", lambda: f"({a}|abs)",
        lambda: f"({a})|int", lambda: f"({a})|float", lambda: f"{text(d - 1)}|length", lambda: f"{items(d - 1)}|length",
        lambda: f"{pairs(d - 1)}|length", lambda: f"({text(d - 1)})|int({a})", lambda: f"({a} if {truth(d - 1)} else {b})",
        lambda: f"({a} and {b})", lambda: f"({a} or {b})", lambda: f"{pairs(d - 1)}.get('n', {a})", lambda: f"2 ** {one_of('013')}",
        lambda: f"- {a} + {b} * {number(0)} - {number(0)}", lambda: f"{a} // {one_of(['2', '3', '-2', '1.5'])}",
        lambda: f"{a} % {one_of(['2', '3', '-2', '1.5'])}",
    ])()


def text(d):
    if d <= 0:
        return one_of(["'a'", "'B c'", "''", "'1'", "' x '", "m.content", "m.role", "s", "e", "'<b>'", "m['content']", '"it\'s"'])
    a = text(less(d))
    return one_of([
        lambda: f"({a} ~ {anything(d - 1)})", lambda: f"({a} + {text(less(d))})", lambda: f"({anything(d - 1)})|string",
        lambda: f"{anything(d - 1)}|tojson", lambda: f"{anything(d - 1)}|tojson(indent={one_of('201')})",
        lambda: f"{anything(d - 1)}|tojson(sort_keys=true, separators=(',', ':'))", lambda: f"{items(d - 1)}|join({a})",
        lambda: f"{items(d - 1)}|join", lambda: f"{a}|" + one_of(["upper", "lower", "title", "capitalize", "trim", "reverse", "indent(2)"]),
        lambda: f"{a}[{one_of(['0', '-1', '1:', '::-1', ':-1', '5:'])}]", lambda: f"({a} if {truth(d - 1)} else {text(less(d))})",
        lambda: f"({a} or {text(less(d))})", lambda: f"({a} and {text(less(d))})", lambda: f"{a}|default('q', true)",
        lambda: f"{pairs(d - 1)}.get('a', {a})|string", lambda: f"({pairs(d - 1)})['a']|string", lambda: f"{pairs(d - 1)}.a|string",
        lambda: a + "." + one_of(["upper()", "strip()", "replace('a', '-')", "split('a')[0]", "title()", "rstrip('x ')"]),
    ])()


def items(d):
    if d <= 0:
        return one_of(["[]", "[1,2,3]", "['b','A','a']", "[1,'a',none]", "m.list", "range(3)|list", "[[1,2],[3,4]]", "el", "(1,2)", "[true,1.0,0]"])
    a = items(less(d))
    return one_of([
        lambda: f"[{anything(d - 1)}, {anything(d - 1)}]", lambda: f"({a} + {items(less(d))})",
        lambda: f"{a}[{one_of(['1:', ':2', '::-1', '::2', '-2:'])}]", lambda: text(d - 1) + one_of([".split()", ".split(' ')"]),
        lambda: f"{a}|reverse|list", lambda: f"{a}|list", lambda: f"{pairs(d - 1)}|list", lambda: f"{pairs(d - 1)}|dictsort",
        lambda: f"{pairs(d - 1)}.{one_of(['keys', 'items', 'values'])}()|list", lambda: f"{text(d - 1)}|list",
        lambda: f"[{number(d - 1)}, {number(d - 1)}, {number(0)}]|sort", lambda: f"[{text(d - 1)}, {text(0)}]|sort(reverse=true)",
        lambda: f"[{text(d - 1)}, {number(0)}, {text(0)}]|unique|list", lambda: f"({a} if {truth(d - 1)} else {items(0)})",
        lambda: f"[{pairs(d - 1)}, {pairs(0)}, {{'n': 1}}]|map(attribute='n', default={number(0)})|list",
        lambda: f"[{pairs(d - 1)}, {pairs(0)}]|selectattr('a')|list", lambda: f"[{pairs(d - 1)}]|rejectattr('n', 'defined')|list",
        lambda: f"[{pairs(d - 1)}, {{'a': 1}}]|selectattr('a', 'eq', {anything(0)})|list",
        lambda: f"messages|map(attribute='{one_of(['role', 'n', 'list.0', 'd.a', 'zz'])}')|list",
    ])()


def pairs(d):
    if d <= 0:
        return one_of(["{}", "{'a':1,'b':2}", "{'b':'x','a':[1]}", "m.d", "m", "{'n': 2.5, 'a': none}", "ed", "messages[1]"])
    return one_of([
        lambda: f"{{'k': {anything(d - 1)}, 'a': {anything(d - 1)}}}", lambda: f"{{'n': {number(d - 1)}, {text(0)}: {anything(0)}}}",
        lambda: f"({pairs(0)} if {truth(d - 1)} else {pairs(0)})", lambda: f"({pairs(0)} or {pairs(0)})",
        lambda: f"[{pairs(d - 1)}, {pairs(0)}]|{one_of(['first', 'last'])}",
    ])()


def truth(d):
    if d <= 0:
        return one_of(["true", "false", "m.t", "flag", "undef is defined", "m.z is none", "loop is defined"])
    order = lambda: one_of(["<", ">", "<=", ">="])
    inside = lambda: one_of(["in", "not in"])
    tests = ["string", "number", "integer", "float", "boolean", "mapping", "sequence", "iterable", "none", "defined", "true", "callable"]
    return one_of([
        lambda: f"({anything(d - 1)} {one_of(['==', '!='])} {anything(d - 1)})", lambda: f"({number(d - 1)} {order()} {number(d - 1)})",
        lambda: f"({text(d - 1)} {order()} {text(d - 1)})", lambda: f"({text(d - 1)} {inside()} {text(d - 1)})",
        lambda: f"({anything(d - 1)} {inside()} {items(d - 1)})", lambda: f"({text(d - 1)} {inside()} {pairs(d - 1)})",
        lambda: f"({truth(less(d))} {one_of(['and', 'or'])} {truth(less(d))})", lambda: f"not {truth(less(d))}",
        lambda: f"({anything(d - 1)} is {one_of(['', 'not '])}{one_of(tests)})", lambda: f"({number(d - 1)}|int is {one_of(['odd', 'even'])})",
        lambda: f"({text(d - 1)} is {one_of(['upper', 'lower'])})", lambda: f"not {number(d - 1)} {one_of(['==', '>'])} {number(0)}",
    ])()


def anything(d):
    return one_of([number, text, text, items, pairs, truth, truth, lambda _: one_of(["none", "undef", "m.z", "m.undef", "i", "q"])])(d)


def body(d):
    return "".join(statement(d - 1) for _ in range(draw.randrange(1, 3))) if d > 0 else "{{ " + anything(1) + " }}"


def statement(d):
    known = ["index", "first", "last", "revindex0", "length", "previtem", "nextitem", "depth", "cycle('a','b')", "changed(i)", "other"]
    leaves = ["", "", "{% break %}", "{% if loop.first %}{% continue %}{% endif %}q", "{% if loop.index > 1 %}{% break %}{% endif %}"]
    return one_of([
        *[lambda: "{{ " + anything(3) + " }}"] * 4,
        lambda: "{% set " + one_of("xyiq") + " = " + anything(2) + " %}{{ x }}",
        lambda: "{% set x, y = " + number(1) + ", " + text(1) + " %}{{ x }}{{ y }}",
        lambda: "{% for i in " + one_of([items, pairs, text])(2) + " %}{{ loop." + one_of(known) + " }}" + body(d) + one_of(leaves)
        + one_of(["", "{% else %}" + body(d)]) + "{% endfor %}",
        lambda: "{% for k, v in " + pairs(2) + one_of([".items()", "|items", "|dictsort"]) + " %}{{ k }}={{ v }};{{ loop.last }}{% endfor %}",
        lambda: "{% for i in " + one_of([items, text, pairs])(2) + " if " + one_of(["i", "i != 1", "i is string", "not i", "i == x"])
        + " %}{{ i }}{{ loop.index }}{{ loop.length }}{{ loop.previtem is defined }}{% else %}E{% endfor %}",
        lambda: "{% macro g(a, b=" + anything(1) + ") %}{{ a }}{{ b }}" + one_of(["", "{{ varargs }}", "{{ kwargs }}", "{{ x }}", body(d)])
        + "{% endmacro %}{{ g(" + one_of([anything(1), "", "a=1", "b=2, a=1", "*[1,2]", "**{'a':3}", "1, 2, 3", "1, c=3", "x"]) + ") }}",
        lambda: "{% if " + anything(2) + " %}A" + body(d) + "{% elif " + truth(2) + " %}B{% set x = 5 %}{% else %}C{% endif %}{{ x }}",
        lambda: "{% set ns = namespace(a=" + number(1) + ", l=[]) %}{% for i in " + items(1) + " %}{% set ns." + one_of("abl") + " = "
        + one_of(["ns.a ~ i", "i", "ns.l + [i]", anything(1)]) + " %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.l }}{{ ns.zz is defined }}",
        lambda: "{% set b %}" + body(d) + "{% endset %}{{ b|" + one_of(["upper", "length", "trim", "tojson", "reverse"]) + " }}",
        lambda: "{% filter " + one_of(["upper", "trim", "replace('a','b')", "indent", "title"]) + " %}" + body(d) + "{% endfilter %}",
        lambda: "{% macro h(a, c) %}<{{ a }}{{ caller(" + one_of(["", "1", "a"]) + ") }}{{ c is defined }}>{% endmacro %}{% call"
        + one_of(["", "(q)", "(q, r=2)"]) + " h(" + one_of(["1", "2, 3", "c=1"]) + ") %}in{{ q }}{{ r }}{{ x }}{% set x = 9 %}{% endcall %}{{ x }}",
        lambda: "{% for i in range(" + one_of(["3", "1,3", "3,0,-1"]) + ") %}{% for j in range(i) %}{{ loop.index }}{{ i }}{{ j }}"
        + "{% if j == 1 %}{% break %}{% endif %}{% endfor %}{% set x = i %}{{ x }}{% endfor %}{{ x }}{{ i }}",
    ])()


cases = []
while len(cases) < 800:
    template = statement(2)
    try:
        text_of = _compile_jinja_template(template).render(**VALUES)
    except Exception:  # what Python refuses is another test's
        continue
    if len(template) < 600 and " object at 0x" not in text_of:
        cases.append([template, text_of])
print(json.dumps({"values": VALUES, "cases": cases}, indent=0))
