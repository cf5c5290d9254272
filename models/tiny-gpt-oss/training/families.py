"""The families of problems. Each tells a story, works its answer out step by step and returns it."""
from story import GOODS, HOLDERS, JOBS, POSSESSIVE, THINGS, plural


def inventory(p):
    r, (name, he), thing = p.rng, p.person(), p.rng.choice(THINGS)
    n = r.randint(5, 60)
    p.say(r.choice((f"{name} has {n} {thing}.", f"{name} starts with {n} {thing}.", f"There are {n} {thing} in {name}'s room.")))
    for i in range(r.randint(1, 4)):
        who = r.choice((name, he))
        event = r.choice(("gain", "gain", "lose", "lose", "double", "half", "triple"))
        if event == "double" and n > 200 or event == "triple" and n > 150 or event == "half" and (n % 2 or n < 4):
            event = "gain"
        if event == "lose" and n < 3:
            event = "gain"
        if event == "gain":
            k = r.randint(2, 50)
            p.say(r.choice((f"{who} buys {k} more.", f"{who} finds {k} more {thing}.", f"then {who} gets {k} more from a friend.")))
            n = p.step("After getting more there are", n, "+", k)
        elif event == "lose":
            k = r.randint(1, n - 1)
            p.say(r.choice((f"{who} gives away {k}.", f"{who} loses {k} of them.", f"then {who} sells {k} {plural(thing, k)}.")))
            n = p.step("After that there are", n, "-", k)
        elif event == "double":
            p.say(r.choice((f"{who} then doubles the number of {thing}.", "then the number doubles.")))
            n = p.step("Doubled, that is", n, "*", 2)
        elif event == "triple":
            p.say(f"{who} works hard and ends up with three times as many.")
            n = p.step("Three times as many is", n, "*", 3)
        else:
            p.say(r.choice((f"{who} gives half of them to {POSSESSIVE[he]} sister.", f"{who} loses half of the {thing}.")))
            n = p.step("Half of them is", n, "/", 2)
    p.say(r.choice((f"How many {thing} does {name} have now?", f"How many {thing} are there in the end?")))
    return n


def purchase(p):
    r, (name, he) = p.rng, p.person()
    kinds, total = r.sample(GOODS, r.randint(1, 3)), 0
    parts = []
    for g in kinds:
        a, c = r.randint(2, 12), r.randint(2, 15)
        parts.append((g, a, c))
    listing = [f"{a} {g}s that cost ${c} each" for g, a, c in parts]
    p.say(f"{name} buys " + (listing[0] if len(listing) == 1 else ", ".join(listing[:-1]) + " and " + listing[-1]) + ".")
    for i, (g, a, c) in enumerate(parts):
        cost = p.step(f"The {g}s cost", a, "*", c)
        total = cost if i == 0 else p.step("Together that is", total, "+", cost)
    kind = r.choice(("total", "change", "share"))
    if kind == "change":
        paid = (total // 10 + r.randint(1, 5)) * 10
        p.say(f"{he} pays with ${paid}. How much change does {name} get?")
        return p.step("The change is", paid, "-", total)
    if kind == "share" and any(total % k == 0 for k in range(2, 7)):
        k = r.choice([k for k in range(2, 7) if total % k == 0])
        p.say(f"The cost is split equally among {k} people. How many dollars does each one pay?")
        return p.step("Each one pays", total, "/", k)
    p.say(f"How many dollars does {name} spend in total?")
    return total


def wages(p):
    r, (name, he) = p.rng, p.person()
    rate, hours, days = r.randint(5, 20), r.randint(2, 9), r.randint(2, 7)
    p.say(f"{name} earns ${rate} an hour {r.choice(JOBS)}. {name} works {hours} hours a day for {days} days.")
    h = p.step("The hours are", hours, "*", days)
    pay = p.step("The pay is", h, "*", rate)
    if r.random() < .5:
        spent = r.randint(5, pay - 1)
        p.say(f"{he} spends ${spent} on a gift. How many dollars are left?")
        return p.step("What is left is", pay, "-", spent)
    p.say(f"How many dollars does {name} earn?")
    return pay


def packing(p):
    r, thing, holder = p.rng, p.rng.choice(THINGS), p.rng.choice(HOLDERS)
    b, k = r.randint(3, 15), r.randint(3, 20)
    p.say(f"There are {b} {holder} with {k} {thing} each.")
    n = p.step(f"All the {holder} hold", b, "*", k)
    if r.random() < .6:
        m = r.randint(1, n - 2)
        p.say(r.choice((f"{m} of the {thing} are taken away.", f"{m} {plural(thing, m)} {'is' if m == 1 else 'are'} broken and thrown out.")))
        n = p.step("What remains is", n, "-", m)
    divisors = [c for c in range(2, 10) if n % c == 0]
    if divisors and r.random() < .6:
        c = r.choice(divisors)
        p.say(f"The rest are shared equally by {c} children. How many {thing} does each child get?" if r.random() < .5
              else f"They are put into {c} equal piles. How many {thing} are in each pile?")
        return p.step("Each share is", n, "/", c)
    p.say(f"How many {thing} are there?")
    return n


def comparison(p):
    r, thing = p.rng, p.rng.choice(THINGS)
    (a, _), (b, _), (c, _) = p.people(3)
    n = r.randint(4, 40)
    p.say(f"{a} has {n} {thing}.")

    def relate(who, other, m):
        kind = r.choice(("more", "fewer", "times"))
        if kind == "fewer" and m < 3:
            kind = "more"
        if kind == "more":
            k = r.randint(2, 30)
            p.say(f"{who} has {k} more than {other}.")
            return p.step(f"{who} has", m, "+", k)
        if kind == "fewer":
            k = r.randint(1, m - 1)
            p.say(f"{who} has {k} fewer than {other}.")
            return p.step(f"{who} has", m, "-", k)
        k = r.randint(2, 5)
        p.say(f"{who} has {k} times as many as {other}.")
        return p.step(f"{who} has", m, "*", k)

    nb = relate(b, a, n)
    if r.random() < .5:
        nc = relate(c, b, nb)
        if r.random() < .5:
            p.say(f"How many {thing} does {c} have?")
            return nc
        p.say(f"How many {thing} do the three have together?")
        t = p.step("The first two have", n, "+", nb)
        return p.step("All three have", t, "+", nc)
    p.say(f"How many {thing} do they have together?")
    return p.step("Together they have", n, "+", nb)


def travel(p):
    r, (name, he) = p.rng, p.person()
    v, h = r.randint(3, 12) * 5, r.randint(2, 8)
    p.say(f"{name} drives at {v} miles an hour for {h} hours.")
    d = p.step("The first part is", v, "*", h)
    if r.random() < .7:
        v2, h2 = r.randint(3, 12) * 5, r.randint(2, 8)
        p.say(f"Then {he} drives at {v2} miles an hour for {h2} hours.")
        d2 = p.step("The second part is", v2, "*", h2)
        d = p.step("The whole way is", d, "+", d2)
    if r.random() < .4:
        more = r.randint(5, 200)
        p.say(f"The trip is {d + more} miles long. How many miles are left?")
        return p.step("What is left is", d + more, "-", d)
    p.say(f"How many miles does {name} drive?")
    return d


def ages(p):
    r = p.rng
    (a, _), (b, _) = p.people(2)
    n, k = r.randint(4, 30), r.randint(2, 20)
    p.say(f"{a} is {n} years old.")
    if r.random() < .5:
        p.say(f"{b} is {k} years older than {a}.")
        m = p.step(f"{b} is", n, "+", k)
    else:
        k = r.randint(2, 3)
        p.say(f"{b} is {'twice' if k == 2 else 'three times'} as old as {a}.")
        m = p.step(f"{b} is", n, "*", k)
    y = r.randint(2, 20)
    if r.random() < .5:
        p.say(f"How old will {b} be in {y} years?")
        return p.step(f"In {y} years {b} will be", m, "+", y)
    p.say(f"What is the sum of their ages?")
    return p.step("The sum is", n, "+", m)


def discount(p):
    r, (name, he), good = p.rng, p.person(), p.rng.choice(GOODS)
    q = r.choice((10, 20, 25, 50))
    part = {10: 10, 20: 5, 25: 4, 50: 2}[q]
    price = part * r.randint(2, 30)
    p.say(f"A {good} costs ${price}. It is on sale for {q}% off.")
    off = p.step("The discount is", price, "/", part)
    now = p.step("The sale price is", price, "-", off)
    if r.random() < .5:
        k = r.randint(2, 6)
        p.say(f"{name} buys {k} of them. How many dollars does {he} pay?")
        return p.step("The pay is", now, "*", k)
    p.say(f"How many dollars does {name} pay for one?")
    return now


def saving(p):
    r, (name, he) = p.rng, p.person()
    s, w, had = r.randint(3, 15), r.randint(3, 20), r.randint(1, 40)
    goal = s * w + had
    p.say(f"{name} wants a bike that costs ${goal}. {he} already has ${had} and saves ${s} every week.")
    need = p.step("The money still needed is", goal, "-", had)
    p.say(f"How many weeks does {he} have to save?")
    return p.step("The weeks are", need, "/", s)


def reading(p):
    r, (name, he) = p.rng, p.person()
    per, days = r.randint(5, 40), r.randint(2, 9)
    pages = per * days + r.randint(5, 200)
    p.say(f"{name} reads a book of {pages} pages. {he} reads {per} pages a day for {days} days.")
    done = p.step("The pages read are", per, "*", days)
    left = p.step("The pages left are", pages, "-", done)
    p.say(f"How many pages are left?")
    return left


def garden(p):
    r, (name, he), thing = p.rng, p.person(), p.rng.choice(("trees", "flowers", "bushes", "cabbages", "tulips", "carrots"))
    rows, per = r.randint(3, 15), r.randint(4, 20)
    p.say(f"{name} plants {rows} rows of {thing} with {per} in each row.")
    n = p.step("The number planted is", rows, "*", per)
    if r.random() < .7:
        k = r.randint(1, n - 1)
        p.say(f"{k} of them {'does' if k == 1 else 'do'} not grow.")
        n = p.step("What grows is", n, "-", k)
    if r.random() < .4:
        c = r.randint(2, 6)
        p.say(f"{he} sells each one for ${c}. How many dollars does {name} get?")
        return p.step("The money is", n, "*", c)
    p.say(f"How many {thing} grow?")
    return n


def school(p):
    r = p.rng
    f = r.choice((2, 3, 4, 5))
    g = f * r.randint(3, 30)
    p.say(f"A class trip has {g} children. {'Half' if f == 2 else 'One ' + {3: 'third', 4: 'fourth', 5: 'fifth'}[f]} of them are girls.")
    girls = p.step("The girls are", g, "/", f)
    boys = p.step("The boys are", g, "-", girls)
    if r.random() < .5:
        c = r.randint(2, 9)
        p.say(f"Each boy carries {c} bottles. How many bottles do the boys carry?")
        return p.step("The bottles are", boys, "*", c)
    p.say("How many boys are there?")
    return boys


FAMILIES = (inventory, inventory, purchase, purchase, wages, packing, packing, comparison, comparison, travel, ages,
            discount, saving, reading, garden, school)
