"""Names, things and places that fill the sentence patterns; data, no code."""

_NAMES = """
    Ada Ali Amir Anna Arun Bela Ben Carla Chen Clara Dana David Diego Elena Emil Emma Farid Felix
    Fiona Gita Grace Hana Hassan Hugo Ines Ivan Jamal Jonas Julia Kai Karim Kira Lars Leila Leo Lin
    Lucas Maria Maya Mei Milo Mona Nadia Nils Nina Noah Olga Omar Oscar Paula Pedro Priya Rosa Ruth
    Samir Sara Sofia Tara Tariq Tessa Theo Tom Uma Victor Wanda Yara Yusuf Zoe
"""
NAMES: tuple[str, ...] = tuple(_NAMES.split())
"""First names; the patterns repeat the name instead of using a pronoun."""

_FOOD = """
    apples pears oranges lemons plums peaches carrots tomatoes potatoes walnuts cookies muffins
    pancakes sandwiches eggs candies
"""
FOOD: tuple[str, ...] = tuple(_FOOD.split())
"""Things that are eaten, in the plural."""

_GOODS = """
    pencils pens crayons erasers notebooks books stickers stamps cards marbles beads buttons shells
    stones toys balls balloons ribbons candles cups spoons bottles keys flowers seeds photos badges
    bricks puzzles magnets
"""
GOODS: tuple[str, ...] = tuple(_GOODS.split())
"""Things that are kept, in the plural."""

PLACES: tuple[str, ...] = (
    "in the kitchen",
    "in the garage",
    "in the basket",
    "in the drawer",
    "in the cupboard",
    "in the shop",
    "in the classroom",
    "in the office",
    "in the barn",
    "in the cellar",
    "in the tent",
    "in the hall",
    "in the library",
    "in the chest",
    "in the suitcase",
    "in the cart",
    "on the shelf",
    "on the table",
    "on the counter",
    "on the bench",
)
"""Places and containers, each with its preposition."""
