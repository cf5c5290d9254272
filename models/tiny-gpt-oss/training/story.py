"""A word problem under construction, and the words that problems are made of."""
import operator
import re

NAMES = {
    "he": "Tom Ben Sam Leo Max Omar Ravi Ken Hugo Ivan Luis Noah Adam Eric Paul Theo Yuki Amir Dan Finn".split(),
    "she": "Ann Mia Zoe Eva Lily Sara Nina Rosa Maya Jade Iris Emma Lucy Aisha Priya Olga Kate Tara Vera Wen".split(),
}
POSSESSIVE = {"he": "his", "she": "her"}
THINGS = ("apples marbles stickers pencils books coins cards shells stamps cookies oranges balloons toys beads buttons "
          "flowers eggs candles ribbons muffins peaches bottles rocks photos puzzles tickets magnets keys hats cups").split()
GOODS = ("pen book shirt ball cake lamp hat mug toy bag kite scarf plant notebook ticket sandwich cap puzzle game cup").split()
HOLDERS = "boxes bags baskets jars trays shelves crates packs".split()
JOBS = ("washing cars", "at a bakery", "mowing lawns", "at a shop", "walking dogs", "painting fences", "at a farm", "teaching music")


def plural(thing, n):
    return thing if n != 1 else thing[:-1]


class Unsound(Exception):
    """The drawn numbers leave a negative or fractional quantity (only Harder draws such)."""


class Problem:
    """One problem under construction: sentences of the question, steps of the answer."""

    def __init__(self, rng):
        self.rng, self.text, self.steps = rng, [], []

    def person(self):
        pronoun = self.rng.choice(("he", "she"))
        return self.rng.choice(NAMES[pronoun]), pronoun

    def people(self, n):
        picked = []
        while len(picked) < n:
            p = self.person()
            if p[0] not in [q[0] for q in picked]:
                picked.append(p)
        return picked

    def say(self, sentence):
        self.text.append(re.sub(r"(^|[.?] )([a-z])", lambda m: m[1] + m[2].upper(), sentence))

    def step(self, why, a, op, b):
        value = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.floordiv}[op](a, b)
        if value < 0 or op == "/" and value * b != a:
            raise Unsound
        self.steps.append(f"{why} {a} {op} {b} = {value}.")
        return value
