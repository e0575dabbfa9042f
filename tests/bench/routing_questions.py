"""Questions with one exact answer each, made by computing it: easy ones and hard ones for a small model.

The answers are computed, never judged. The same seed makes the same questions.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

__all__ = ["Question", "is_right", "questions"]

_CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Germany": "Berlin", "Japan": "Tokyo", "Egypt": "Cairo",
    "Russia": "Moscow", "China": "Beijing", "Greece": "Athens", "Portugal": "Lisbon", "Poland": "Warsaw",
    "Austria": "Vienna", "Ireland": "Dublin", "Norway": "Oslo", "Sweden": "Stockholm", "Finland": "Helsinki",
    "Denmark": "Copenhagen", "Hungary": "Budapest", "Peru": "Lima", "Cuba": "Havana", "Canada": "Ottawa",
    "Kenya": "Nairobi", "Chile": "Santiago", "Mongolia": "Ulaanbaatar", "Bhutan": "Thimphu", "Malta": "Valletta",
    "Burkina Faso": "Ouagadougou", "Kyrgyzstan": "Bishkek", "Suriname": "Paramaribo", "Eritrea": "Asmara",
}  # fmt: skip
_OPPOSITES = {
    "hot": "cold", "big": "small", "up": "down", "day": "night", "left": "right", "open": "closed", "fast": "slow",
    "light": "dark", "old": "young", "rich": "poor", "wet": "dry", "early": "late", "push": "pull", "first": "last",
    "buy": "sell", "begin": "end", "true": "false", "inside": "outside", "above": "below", "love": "hate",
}  # fmt: skip
_WORDS = ("house", "river", "stone", "cloud", "apple", "tiger", "bread", "chair", "green", "music", "paper", "light")


class Question(NamedTuple):
    """`kind` is the task; the answer is right when `answer` stands in it as a word of its own."""

    kind: str
    text: str
    answer: str


def questions(count: int, seed: int = 7) -> list[Question]:
    """So many different questions, of every kind in turn."""
    makers = [_made(make, random.Random(seed + number)) for number, make in enumerate(_MAKERS)]
    found: dict[str, Question] = {}
    while len(found) < count and makers:
        for maker in list(makers):
            if question := next(maker, None):
                found.setdefault(question.text, question)
            else:
                makers.remove(maker)
    return list(found.values())[:count]


def is_right(question: Question, answer: str) -> bool:
    """Whether the answer is in what was said, and no other number or word in its place before it."""
    said = "".join(character if character.isalnum() or character == "-" else " " for character in answer.lower())
    words = said.split()
    wanted = question.answer.lower()
    if wanted.lstrip("-").isdigit():
        numbers = [word for word in words if word.lstrip("-").isdigit()]
        return bool(numbers) and numbers[-1] == wanted
    return wanted in words


def _made(make: Callable[[random.Random], Iterator[Question]], rng: random.Random) -> Iterator[Question]:
    yield from make(rng)


def _capitals(rng: random.Random) -> Iterator[Question]:
    for country in rng.sample(list(_CAPITALS), len(_CAPITALS)):
        yield Question("capital", f"What is the capital of {country}? Answer with its name only.", _CAPITALS[country])


def _opposites(rng: random.Random) -> Iterator[Question]:
    for word in rng.sample(list(_OPPOSITES), len(_OPPOSITES)):
        yield Question("opposite", f"What is the opposite of '{word}'? Answer with one word.", _OPPOSITES[word])


def _sums(rng: random.Random) -> Iterator[Question]:
    for digits in (1, 1, 2, 2, 3) * 16:
        one, two = (rng.randrange(10 ** (digits - 1), 10**digits) for _ in range(2))
        yield Question("sum", f"What is {one} + {two}? Answer with the number only.", str(one + two))


def _products(rng: random.Random) -> Iterator[Question]:
    for digits in (1, 1, 2) * 20:
        one, two = (rng.randrange(2, 10**digits) for _ in range(2))
        yield Question("product", f"What is {one} * {two}? Answer with the number only.", str(one * two))


def _lengths(rng: random.Random) -> Iterator[Question]:
    for word in rng.sample(_WORDS, len(_WORDS)):
        letter = rng.choice(word)
        count = str(word.count(letter))
        yield Question("letters", f"How many times is the letter {letter} in '{word}'? Answer with the number.", count)


def _copies(rng: random.Random) -> Iterator[Question]:
    for _ in range(50):
        words = rng.sample(_WORDS, 4)
        place = rng.randrange(4)
        name = ("first", "second", "third", "last")[place]
        yield Question("place", f"What is the {name} word of: {' '.join(words)}? Answer with one word.", words[place])


def _python(rng: random.Random) -> Iterator[Question]:
    for _ in range(50):
        word, number = rng.choice(_WORDS), rng.randrange(2, 9)
        text, value = rng.choice(
            [
                (f"len('{word}') * {number}", len(word) * number),
                (f"sum(range({number}))", sum(range(number))),
                (f"{number} ** 2 - 1", number**2 - 1),
                (f"max({number}, {number * 3}, 4)", max(number, number * 3, 4)),
            ]
        )
        yield Question("python", f"What does print({text}) show in Python? Answer with the number.", str(value))


_MAKERS = (_capitals, _opposites, _sums, _products, _lengths, _copies, _python)
