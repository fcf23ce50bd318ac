"""The sentence patterns of the arithmetic problems; data, hardly any code.

A problem is an opening, some changes, sometimes a comparison or a price, and a question; every
sentence is one pattern. Placeholders: {name} is who the problem is about, {friend} is somebody who
helps in a change, {other} is who is compared with {name}, {objects} is a plural noun, {at} is a
place with its preposition, {n} and {m} are numbers of at least two, {n} always the first in the
text. Kinds come in three worlds: things a person has (no prefix), things at a place (`place_`), and
money a person has (`money_`).
"""

from dataclasses import dataclass
from typing import Final, Literal

Needs = Literal["any", "food", "goods"]


@dataclass(frozen=True)
class Pattern:
    """One sentence with placeholders.

    Attributes:
        name: unique name, the kind and a running number.
        kind: what the sentence does; a key of `OPERATIONS`.
        text: the sentence, with placeholders in braces.
        fixed: the number that the words themselves say ("doubles" says 2), 0 when {n} says it.
        needs: which things the sentence is fit for.
        held_back: whether only test problems may use it.
    """

    name: str
    kind: str
    text: str
    fixed: int = 0
    needs: Needs = "any"
    held_back: bool = False


OPERATIONS: Final[dict[str, str]] = {
    "start": "=",
    "start_groups": "n*m",
    "start_sum": "n+m",
    "start_left": "n-m",
    "add": "+n",
    "subtract": "-n",
    "multiply": "*n",
    "divide": "/n",
    "add_groups": "+nm",
    "subtract_groups": "-nm",
    "compare_more": "+n",
    "compare_fewer": "-n",
    "compare_times": "*n",
    "price": "*n",
    "question": "",
    "question_other": "",
    "question_together": "total",
    "question_sale": "",
    "question_rest": "",
    "place_start": "=",
    "place_groups": "n*m",
    "place_sum": "n+m",
    "place_add": "+n",
    "place_subtract": "-n",
    "place_multiply": "*n",
    "place_divide": "/n",
    "place_add_groups": "+nm",
    "place_subtract_groups": "-nm",
    "question_place": "",
    "money_start": "=",
    "money_groups": "n*m",
    "money_sum": "n+m",
    "money_add": "+n",
    "money_subtract": "-n",
    "money_multiply": "*n",
    "money_divide": "/n",
    "money_add_groups": "+nm",
    "money_subtract_groups": "-nm",
    "question_money": "",
    "aside": "",
    "place_aside": "",
    "money_aside": "",
}
"""What each kind does to the running result.

`=` sets it to {n}; `n*m`, `n+m`, `n-m` set it from two numbers (one step); `+n`, `-n`, `*n`, `/n`
change it (one step); `+nm`, `-nm` change it by {n} times {m} (two steps); `total` adds the results
before and after the comparison (one step); the empty string leaves it alone.
"""

_Line = str | tuple[str, int | Needs]


def _kind(kind: str, trained: tuple[_Line, ...], held_back: tuple[_Line, ...]) -> list[Pattern]:
    """Names the sentences of one kind; a pair gives a fixed number or the things it is fit for."""
    patterns = []
    for index, line in enumerate(trained + held_back):
        text, extra = line if isinstance(line, tuple) else (line, "any")
        patterns.append(
            Pattern(
                name=f"{kind}-{index}",
                kind=kind,
                text=text,
                fixed=extra if isinstance(extra, int) else 0,
                needs="any" if isinstance(extra, int) else extra,
                held_back=index >= len(trained),
            )
        )
    return patterns


_PERSON_OPENINGS = [
    *_kind(
        "start",
        (
            "{name} has {n} {objects} at home.",
            "{name} buys {n} {objects} at the market.",
            "{name} starts the week with {n} {objects}.",
            ("On the way home, {name} finds {n} {objects}.", "goods"),
            "{friend} gives {name} {n} {objects} as a present.",
            "{name} carries a bag with {n} {objects} in it.",
            "{name} collects {n} {objects} for a school fair.",
            "A big box with {n} {objects} arrives for {name}.",
            "To begin with, {name} has {n} {objects}.",
            "{name} wins {n} {objects} in a game.",
            "There are {n} {objects} in a bag, and {name} gets the bag.",
            ("{name} prepares {n} {objects} for a party.", "food"),
            ("{name} owns a collection of {n} {objects}.", "goods"),
        ),
        (
            "{name} gets {n} {objects} from {friend} as a present.",
            "At the market, {name} buys a big bag with {n} {objects}.",
            "In a game, {name} wins a box with {n} {objects}.",
            "At home, there is a box with {n} {objects} for {name}.",
        ),
    ),
    *_kind(
        "start_groups",
        (
            "{name} fills {n} boxes with {m} {objects} each.",
            "{name} buys {n} bags of {m} {objects} each.",
            "{name} has {n} boxes with {m} {objects} in each box.",
            "Each of {n} friends gives {name} {m} {objects}.",
            "{name} collects {n} {objects} every day for {m} days.",
            "{name} gets {n} packs, and every pack holds {m} {objects}.",
            "{name} owns {n} rows of {m} {objects} each.",
            "There are {n} {objects} in a pack, and {name} buys {m} packs.",
            ("{name} makes {n} plates of {m} {objects} each.", "food"),
        ),
        (
            "{name} gets {n} {objects} every week for {m} weeks.",
            "{name} has {n} bags, and there are {m} {objects} in each bag.",
            "In each of {n} boxes, {name} puts {m} {objects}.",
        ),
    ),
    *_kind(
        "start_sum",
        (
            "{name} has {n} large {objects} and {m} small {objects}.",
            "{name} buys {n} {objects} in the morning and {m} in the evening.",
            "{name} finds {n} {objects} on Monday and {m} more on Tuesday.",
            "{name} gets {n} {objects} from {friend} and {m} from an aunt.",
            "{name} has {n} {objects} in one bag and {m} in another bag.",
            "{name} keeps {n} {objects} at home and {m} at school.",
            "{name} collects {n} {objects} on Saturday and another {m} on Sunday.",
            ("{name} has {n} old {objects} and buys {m} new ones.", "goods"),
        ),
        (
            "On Monday {name} buys {n} {objects}, and on Tuesday {name} buys {m} more.",
            "{name} has {n} {objects} in a box and {m} {objects} in a bag.",
            "{friend} gives {name} {n} {objects}, and an aunt gives {name} another {m}.",
        ),
    ),
    *_kind(
        "start_left",
        (
            "{name} has {n} {objects} and gives {m} of them to {friend}.",
            "{name} buys {n} {objects} but loses {m} of them on the way home.",
            "{name} brings {n} {objects} to school and gives away {m} of them.",
            "From a box of {n} {objects}, {name} throws {m} away and keeps the rest.",
            ("{name} prepares {n} {objects} and eats {m} of them.", "food"),
            ("{name} finds {n} {objects} but throws {m} of them away.", "goods"),
        ),
        (
            "{name} gets {n} {objects} and sends {m} of them to an aunt.",
            "From a bag of {n} {objects}, {name} gives {m} to {friend} and keeps the rest.",
        ),
    ),
]

_PERSON_CHANGES = [
    *_kind(
        "add",
        (
            "{friend} gives {name} {n} more {objects}.",
            "Then {name} buys {n} more {objects}.",
            "Later, {name} finds another {n} {objects}.",
            "After school, {name} gets {n} {objects} from {friend}.",
            "The next day, {name} collects {n} more {objects}.",
            "An aunt sends {name} {n} more {objects}.",
            "{name} wins {n} {objects} in a game against {friend}.",
            "Another {n} {objects} arrive for {name} by mail.",
            "Then {friend} adds {n} {objects} to what {name} has.",
            "{name} trades a hat for {n} more {objects}.",
            "A week later, {name} receives {n} {objects} as a present.",
            "In a shop, {name} picks up {n} more {objects}.",
        ),
        (
            "{name} gets another {n} {objects} from an aunt.",
            "With the help of {friend}, {name} finds {n} more {objects}.",
            "Then a present of {n} {objects} arrives for {name}.",
            "{friend} sends {name} another {n} {objects}.",
        ),
    ),
    *_kind(
        "subtract",
        (
            "{name} gives {n} {objects} to {friend}.",
            "Then {name} loses {n} of the {objects}.",
            "After that, {name} gives away {n} {objects}.",
            "Then {friend} takes {n} of the {objects} home.",
            "By mistake, {name} leaves {n} {objects} on the bus.",
            "{name} donates {n} of the {objects} to the school.",
            "Later, {name} sends {n} of the {objects} to an aunt.",
            "{name} hands {n} {objects} over to {friend}.",
            "{name} uses up {n} of the {objects} at school.",
            "The next day, {n} of the {objects} are thrown away.",
            ("{name} eats {n} of the {objects}.", "food"),
            ("Together, {name} and {friend} eat {n} of the {objects}.", "food"),
            ("Then {n} of the {objects} get dirty, and {name} throws them away.", "goods"),
        ),
        (
            "Then {friend} gets {n} {objects} from {name}.",
            "By mistake, {name} throws {n} of the {objects} away.",
            "From {name}, {friend} gets {n} of the {objects}.",
            "On the bus, {name} loses {n} {objects}.",
        ),
    ),
    *_kind(
        "multiply",
        (
            ("Then {name} doubles the number of {objects}.", 2),
            ("Then {name} triples the number of {objects}.", 3),
            ("After a month, {name} has twice as many {objects}.", 2),
            ("{friend} gives {name} as many {objects} as {name} already has.", 2),
            "A week later, {name} has {n} times as many {objects}.",
            "{name} works hard and soon has {n} times as many {objects}.",
            "Then {name} gets more and has {n} times as many {objects}.",
            "{name} buys more and now has {n} times as many {objects}.",
        ),
        (
            "Soon {name} has {n} times the number of {objects}.",
            ("Then the number of {objects} that {name} has doubles.", 2),
            "{name} collects more and soon has {n} times as many {objects}.",
        ),
    ),
    *_kind(
        "divide",
        (
            "{name} packs the {objects} into {n} equal boxes and keeps one box.",
            "{name} splits the {objects} into {n} equal piles and keeps one pile.",
            "{name} is one of {n} friends who share all the {objects} equally.",
            "{n} friends, {name} among them, share all the {objects} equally.",
            "{name} packs the {objects} into {n} equal bags and gives away all the bags but one.",
            ("Then {name} gives half of the {objects} to {friend}.", 2),
            ("Later, {name} loses half of the {objects}.", 2),
            ("{name} keeps one third of the {objects} and gives away the rest.", 3),
            ("Then {name} keeps only a quarter of the {objects}.", 4),
        ),
        (
            ("Then {name} keeps only half of the {objects}.", 2),
            "{name} packs the {objects} into {n} equal boxes and gives all but one box away.",
            "{name} makes {n} equal piles of the {objects} and keeps one pile.",
        ),
    ),
    *_kind(
        "add_groups",
        (
            "Then {name} buys {n} packs of {m} {objects} each.",
            "Each of {n} friends gives {name} {m} more {objects}.",
            "Later, {name} gets {n} boxes with {m} {objects} in each box.",
            "{friend} brings {name} {n} bags of {m} {objects} each.",
            "For {n} days, {name} finds {m} more {objects} every day.",
            "After that, {name} collects {n} {objects} a day for {m} days.",
            "Then {n} boxes arrive for {name}, each with {m} {objects}.",
        ),
        (
            "Then {name} picks up {n} bags with {m} {objects} in each bag.",
            "Every day for {n} days, {friend} gives {name} {m} {objects}.",
        ),
    ),
    *_kind(
        "subtract_groups",
        (
            "{name} gives {n} {objects} to each of {m} friends.",
            "Then {name} gives away {n} bags with {m} {objects} each.",
            "For {n} days, {name} loses {m} {objects} every day.",
            "Then {n} friends each take {m} of the {objects}.",
            "{name} sends {n} boxes of {m} {objects} each to an aunt.",
            "Every week for {n} weeks, {name} donates {m} {objects} to the school.",
            ("{name} eats {n} {objects} a day for {m} days.", "food"),
        ),
        (
            "Each of {n} friends gets {m} of the {objects} from {name}.",
            "After that, {name} gives away {n} {objects} a day for {m} days.",
        ),
    ),
]

_PERSON_ENDS = [
    *_kind(
        "compare_more",
        (
            "{other} has {n} more {objects} than {name}.",
            "Now {name} has {n} fewer {objects} than {other}.",
            "{other} owns {n} more {objects} than {name} now does.",
            "Compared with {name}, {other} now has {n} more {objects}.",
        ),
        ("Compared with {other}, {name} now has {n} fewer {objects}.",),
    ),
    *_kind(
        "compare_fewer",
        (
            "{other} has {n} fewer {objects} than {name}.",
            "Now {name} has {n} more {objects} than {other}.",
            "{other} owns {n} fewer {objects} than {name} now does.",
            "Compared with {name}, {other} now has {n} fewer {objects}.",
        ),
        ("Compared with {other}, {name} now has {n} more {objects}.",),
    ),
    *_kind(
        "compare_times",
        (
            "{other} has {n} times as many {objects} as {name}.",
            ("{other} has twice as many {objects} as {name}.", 2),
            "Compared with {name}, {other} now has {n} times as many {objects}.",
            "{other} owns {n} times as many {objects} as {name} now does.",
        ),
        ("For each of the {objects} that {name} now has, {other} has {n} {objects}.",),
    ),
    *_kind(
        "price",
        (
            "{name} sells all the {objects} at {n} dollars each.",
            "Then {name} sells the {objects} for {n} dollars each.",
            "{other} buys all the {objects} from {name} for {n} dollars each.",
            "A shop pays {name} {n} dollars for each of the {objects}.",
            "At a fair, {name} sells each of the {objects} for {n} dollars.",
        ),
        (
            "For {n} dollars each, {name} sells all the {objects}.",
            "{name} gets {n} dollars for each of the {objects} at a fair.",
        ),
    ),
    *_kind(
        "question",
        (
            "How many {objects} does {name} have now?",
            "How many {objects} does {name} have in the end?",
            "Find how many {objects} {name} has now.",
            "At the end, how many {objects} does {name} have?",
            "After all this, how many {objects} does {name} have?",
            "In the end, how many {objects} does {name} have?",
        ),
        (
            "Now, how many {objects} does {name} have in all?",
            "Find how many {objects} {name} has in the end.",
        ),
    ),
    *_kind(
        "question_other",
        (
            "How many {objects} does {other} have?",
            "How many {objects} does {other} have now?",
            "Find how many {objects} {other} has.",
            "Now, how many {objects} does {other} have?",
        ),
        ("Find how many {objects} {other} has now.",),
    ),
    *_kind(
        "question_together",
        (
            "How many {objects} do {name} and {other} have together?",
            "How many {objects} do {name} and {other} have in all?",
            "In total, how many {objects} do {name} and {other} have?",
            "Together, how many {objects} do {name} and {other} have?",
            "Find how many {objects} {name} and {other} have together.",
        ),
        (
            "In all, how many {objects} do {other} and {name} have?",
            "Find how many {objects} {other} and {name} have in total.",
        ),
    ),
    *_kind(
        "question_sale",
        (
            "How many dollars does {name} get for the {objects}?",
            "How many dollars does {name} earn?",
            "Find how many dollars {name} gets for the {objects}.",
            "How many dollars does {name} get in all?",
        ),
        ("In dollars, how much does {name} earn for the {objects}?",),
    ),
    *_kind(
        "question_rest",
        (
            "How many dollars from the sale does {name} have left?",
            "How many dollars from this sale are left?",
            "After this, how many dollars are left from the sale?",
            "How much money, in dollars, is left from the sale?",
        ),
        ("From the sale, how many dollars does {name} have left?",),
    ),
    *_kind(
        "aside",
        (
            "{name} likes {objects} very much.",
            "{name} and {friend} live in the same street.",
            "{name} wants to count the {objects}.",
            "The {objects} are all of the same kind.",
            "{name} always counts with great care.",
        ),
        (
            "{name} counts the {objects} with {friend}.",
            "Together, {name} and {friend} count the {objects}.",
        ),
    ),
]

_PLACES = [
    *_kind(
        "place_start",
        (
            "There are {n} {objects} {at}.",
            "{name} puts {n} {objects} {at}.",
            "{name} counts {n} {objects} {at}.",
            "To begin with, there are {n} {objects} {at}.",
            "{name} and {friend} keep {n} {objects} {at}.",
            "In the morning, {name} sees {n} {objects} {at}.",
        ),
        (
            "{at}, there are {n} {objects}.",
            "{at}, {name} counts {n} {objects}.",
        ),
    ),
    *_kind(
        "place_groups",
        (
            "There are {n} boxes {at}, and each box holds {m} {objects}.",
            "{name} leaves {n} bags with {m} {objects} each {at}.",
            "{name} counts {n} rows of {m} {objects} each {at}.",
            "There are {n} boxes of {m} {objects} each {at}.",
            "Every day for {n} days, {name} puts {m} {objects} {at}.",
        ),
        (
            "{at}, there are {n} bags with {m} {objects} in each bag.",
            "{name} puts {n} {objects} {at} every day for {m} days.",
        ),
    ),
    *_kind(
        "place_sum",
        (
            "There are {n} large {objects} and {m} small {objects} {at}.",
            "{name} puts {n} {objects} {at}, and {friend} adds {m} more.",
            "On Monday {name} puts {n} {objects} {at}, and on Tuesday another {m}.",
            "There are {n} {objects} in a box and {m} in a bag {at}.",
        ),
        ("{at}, {name} counts {n} large {objects} and {m} small {objects}.",),
    ),
    *_kind(
        "place_add",
        (
            "{name} puts {n} more {objects} {at}.",
            "Then {friend} adds another {n} {objects}.",
            "Later, {name} brings {n} more {objects}.",
            "The next day, {n} more {objects} arrive.",
            "After that, {name} and {friend} put {n} more {objects} {at}.",
            "{friend} finds {n} {objects} and adds them to the others.",
        ),
        (
            "Then another {n} {objects} arrive.",
            "{friend} brings {n} {objects} and puts them {at}.",
        ),
    ),
    *_kind(
        "place_subtract",
        (
            "{name} takes {n} of the {objects} away.",
            "Then {friend} takes {n} {objects} home.",
            "Later, {name} throws away {n} of the {objects}.",
            "After that, {name} gives {n} of these {objects} to {friend}.",
            "The next day, {n} of the {objects} are gone.",
            ("{name} and {friend} eat {n} of the {objects}.", "food"),
            ("{n} of the {objects} get dirty, and {name} throws them away.", "goods"),
        ),
        (
            "Then {name} and {friend} take {n} of the {objects} home.",
            "After that, {friend} takes away {n} of the {objects}.",
        ),
    ),
    *_kind(
        "place_multiply",
        (
            ("Then {name} doubles the number of {objects} {at}.", 2),
            ("Then {name} triples the number of {objects} {at}.", 3),
            ("After a month, there are twice as many {objects} {at}.", 2),
            "A week later, there are {n} times as many {objects} {at}.",
            "{name} brings more until there are {n} times as many {objects} {at}.",
            "The number of {objects} {at} then grows to {n} times what it was.",
        ),
        (
            "Soon there are {n} times the number of {objects} {at}.",
            ("Then the number of {objects} {at} doubles.", 2),
        ),
    ),
    *_kind(
        "place_divide",
        (
            "{name} packs the {objects} into {n} equal boxes and leaves one box {at}.",
            "{name} splits the {objects} into {n} equal piles and takes all piles but one away.",
            ("Then {name} takes half of the {objects} away.", 2),
            ("Later, half of the {objects} are gone.", 2),
            ("{name} leaves one third of the {objects} {at} and gives away the rest.", 3),
        ),
        (
            "{name} packs the {objects} into {n} equal bags and leaves one bag {at}.",
            ("Then {friend} takes home half of the {objects}.", 2),
        ),
    ),
    *_kind(
        "place_add_groups",
        (
            "Then {name} brings {n} packs of {m} {objects} each.",
            "Each of {n} friends puts {m} more {objects} {at}.",
            "For {n} days, {name} adds {m} {objects} every day.",
            "Later, {n} boxes arrive, each with {m} {objects}.",
        ),
        ("Then {friend} adds {n} bags with {m} {objects} in each bag.",),
    ),
    *_kind(
        "place_subtract_groups",
        (
            "Then {n} friends each take away {m} {objects}.",
            "{name} gives {n} of the {objects} to each of {m} friends.",
            "For {n} days, {name} takes away {m} {objects} every day.",
            "{name} takes home {n} bags with {m} of the {objects} each.",
        ),
        ("Each of {n} friends takes {m} of the {objects} home.",),
    ),
    *_kind(
        "question_place",
        (
            "How many {objects} are there {at} now?",
            "How many {objects} are {at} in the end?",
            "How many {objects} are now {at}?",
            "Find how many {objects} are {at} now.",
            "After all this, how many {objects} are there {at}?",
        ),
        (
            "In the end, how many {objects} are there {at}?",
            "Find how many {objects} are {at} in the end.",
        ),
    ),
    *_kind(
        "place_aside",
        (
            "{name} wants to count the {objects}.",
            "The {objects} are all of the same kind.",
            "{name} and {friend} often come here.",
            "{name} always counts with great care.",
        ),
        ("{name} often counts the {objects} {at}.",),
    ),
]

_MONEY = [
    *_kind(
        "money_start",
        (
            "{name} has {n} dollars in a purse.",
            "{name} saves {n} dollars for a trip.",
            "{friend} pays {name} {n} dollars for help in the garden.",
            "{name} starts the week with {n} dollars.",
            "An aunt gives {name} {n} dollars as a present.",
            "To begin with, {name} has {n} dollars.",
        ),
        (
            "For a trip, {name} has {n} dollars in a purse.",
            "{name} gets {n} dollars from {friend} for help in the garden.",
        ),
    ),
    *_kind(
        "money_groups",
        (
            "{name} earns {n} dollars a day for {m} days.",
            "{name} saves {n} dollars every week for {m} weeks.",
            "{name} washes {n} cars and gets {m} dollars for each car.",
            "Each of {n} friends pays {name} {m} dollars.",
            "{name} sells {n} old shirts for {m} dollars each.",
        ),
        (
            "Every day for {n} days, {name} earns {m} dollars.",
            "For help at home, each of {n} friends pays {name} {m} dollars.",
        ),
    ),
    *_kind(
        "money_sum",
        (
            "{name} earns {n} dollars on Monday and {m} dollars on Tuesday.",
            "{name} has {n} dollars in a purse and {m} dollars in a box.",
            "{name} gets {n} dollars from {friend} and {m} dollars from an aunt.",
            "{name} sells a lamp for {n} dollars and a chair for {m} dollars.",
        ),
        ("On Saturday {name} earns {n} dollars, and on Sunday {name} earns {m} dollars.",),
    ),
    *_kind(
        "money_add",
        (
            "{friend} pays {name} {n} dollars for help at home.",
            "Then {name} earns {n} more dollars.",
            "Later, {name} finds {n} dollars in a coat.",
            "The next day, {name} sells a bike for {n} dollars.",
            "An uncle sends {name} another {n} dollars.",
            "After that, {name} wins {n} dollars in a game.",
        ),
        (
            "Then {name} gets another {n} dollars from an uncle.",
            "For help at home, {friend} gives {name} {n} more dollars.",
        ),
    ),
    *_kind(
        "money_subtract",
        (
            "{name} spends {n} dollars on lunch.",
            "Then {name} buys a map for {n} dollars.",
            "Later, {name} gives {n} dollars of this money to {friend}.",
            "{name} pays {n} dollars for a train ticket.",
            "A toy car then costs {name} {n} dollars.",
            "On the way home, {name} loses {n} dollars.",
            "After that, {name} donates {n} dollars to the school.",
        ),
        (
            "Lunch costs {name} {n} dollars.",
            "For a map, {name} pays {n} dollars.",
        ),
    ),
    *_kind(
        "money_multiply",
        (
            ("Then {name} works hard and doubles this money.", 2),
            ("Soon {name} has three times as much money.", 3),
            "A month later, {name} has {n} times as much money.",
            "{name} works until there is {n} times as much money.",
            ("An uncle then doubles the money of {name}.", 2),
        ),
        (
            "Soon the money that {name} has grows to {n} times what it was.",
            ("After a month, {name} has twice as much money.", 2),
        ),
    ),
    *_kind(
        "money_divide",
        (
            "{name} is one of {n} friends who share all the money equally.",
            "{n} friends, {name} among them, share all this money equally.",
            ("Then {name} spends half of the money on books.", 2),
            ("Later, {name} gives half of the money to {friend}.", 2),
            ("{name} keeps one third of the money and gives away the rest.", 3),
        ),
        (
            ("Then {name} keeps only half of the money.", 2),
            "{name} makes {n} equal piles of the money and keeps one pile.",
        ),
    ),
    *_kind(
        "money_add_groups",
        (
            "Then {name} earns {n} dollars a day for {m} days.",
            "Later, {name} sells {n} hats for {m} dollars each.",
            "Each of {n} friends gives {name} {m} more dollars.",
            "For {n} weeks, {name} saves {m} more dollars every week.",
        ),
        ("Then {name} gets {n} more dollars every day for {m} days.",),
    ),
    *_kind(
        "money_subtract_groups",
        (
            "Then {name} buys {n} shirts for {m} dollars each.",
            "{name} gives {n} dollars to each of {m} friends.",
            "For {n} days, {name} spends {m} dollars every day.",
            "{name} buys {n} train tickets, and each ticket costs {m} dollars.",
        ),
        ("After that, {name} pays {n} dollars a day for {m} days.",),
    ),
    *_kind(
        "question_money",
        (
            "How many dollars does {name} have now?",
            "How much money, in dollars, does {name} have in the end?",
            "After all this, how many dollars does {name} have?",
            "Find how many dollars {name} has now.",
            "At the end, how many dollars does {name} have?",
        ),
        (
            "In the end, how many dollars does {name} have?",
            "Find how many dollars {name} has in the end.",
        ),
    ),
    *_kind(
        "money_aside",
        (
            "{name} always counts money with great care.",
            "{name} and {friend} live in the same street.",
            "{name} wants to count the money.",
            "{name} keeps all the money in one place.",
        ),
        ("{name} counts the money with {friend}.",),
    ),
]

PATTERNS: Final[tuple[Pattern, ...]] = tuple(
    _PERSON_OPENINGS + _PERSON_CHANGES + _PERSON_ENDS + _PLACES + _MONEY
)
"""Every pattern, in a fixed order: generated problems depend on it, so append within a kind only
together with regenerated test files."""
