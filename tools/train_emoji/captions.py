"""What a picture may be called in training: its Unicode name, shortened names and everyday words."""

from __future__ import annotations

import random
import re
from collections import Counter

import torch

from common import Dataset

# Everyday words for names that nobody would type.
EVERYDAY: dict[str, list[str]] = {
    "airplane": ["plane"],
    "american football": ["football"],
    "artist palette": ["paint palette"],
    "aubergine": ["eggplant"],
    "automobile": ["car", "red car"],
    "baguette bread": ["baguette"],
    "beer mug": ["beer", "mug of beer"],
    "bicycle": ["bike"],
    "birthday cake": ["cake"],
    "black sun with rays": ["sun"],
    "black telephone": ["telephone", "red telephone"],
    "bread": ["loaf of bread", "toast"],
    "camera": ["photo camera"],
    "cat face": ["face of a cat", "cat head"],
    "cheese wedge": ["cheese"],
    "clapper board": ["clapperboard"],
    "clown face": ["clown"],
    "cocktail glass": ["cocktail", "martini"],
    "collision symbol": ["explosion"],
    "crescent moon": ["moon"],
    "deciduous tree": ["tree"],
    "desktop computer": ["computer", "monitor"],
    "dog face": ["face of a dog", "dog head", "puppy"],
    "doughnut": ["donut"],
    "dragon": ["green dragon"],
    "ear of maize": ["corn", "maize"],
    "earth globe europe-africa": ["earth", "globe"],
    "electric light bulb": ["light bulb"],
    "evergreen tree": ["fir", "fir tree", "pine tree"],
    "extraterrestrial alien": ["alien"],
    "eyeglasses": ["glasses"],
    "face with tears of joy": ["laughing face", "crying with laughter"],
    "father christmas": ["santa", "santa claus"],
    "fire": ["flame", "flames"],
    "fire engine": ["fire truck"],
    "fork and knife": ["cutlery"],
    "french fries": ["fries", "chips"],
    "frog face": ["frog", "green frog"],
    "game die": ["dice"],
    "gem stone": ["diamond", "gem", "blue diamond gem"],
    "grinning face": ["happy face", "smiley"],
    "hamburger": ["burger"],
    "heavy black heart": ["heart", "red heart"],
    "high voltage sign": ["lightning", "lightning bolt"],
    "honeybee": ["bee"],
    "horse face": ["head of a horse"],
    "hot beverage": ["coffee", "cup of coffee", "cup of tea"],
    "house building": ["house"],
    "jack-o-lantern": ["pumpkin", "halloween pumpkin"],
    "lady beetle": ["ladybug", "ladybird"],
    "left-pointing magnifying glass": ["magnifying glass"],
    "lion face": ["lion"],
    "lock": ["padlock"],
    "lower left paintbrush": ["paintbrush"],
    "mobile phone": ["phone", "smartphone"],
    "money bag": ["bag of money", "money"],
    "mushroom": ["red mushroom", "toadstool"],
    "orange heart": ["heart that is orange"],
    "panda face": ["panda"],
    "personal computer": ["laptop"],
    "pig face": ["face of a pig"],
    "pile of poo": ["poo", "poop"],
    "rainbow": ["colourful rainbow"],
    "red apple": ["apple"],
    "robot face": ["robot"],
    "rose": ["red rose"],
    "sailboat": ["sailing boat"],
    "skull": ["white skull"],
    "slice of pizza": ["pizza", "pizza slice"],
    "smiling face with sunglasses": ["cool face", "face with sunglasses"],
    "snow capped mountain": ["snowy mountain"],
    "soccer ball": ["soccer", "ball"],
    "soft ice cream": ["ice cream cone"],
    "steam locomotive": ["steam train", "locomotive"],
    "strawberry": ["red strawberry"],
    "t-rex": ["tyrannosaurus", "dinosaur"],
    "tangerine": ["orange fruit", "mandarin"],
    "television": ["tv"],
    "thumbs up sign": ["thumbs up"],
    "tiger face": ["head of a tiger"],
    "tomato": ["red tomato"],
    "umbrella with rain drops": ["umbrella in the rain"],
    "unicorn face": ["unicorn"],
    "violin": ["fiddle"],
    "white medium star": ["star", "yellow star"],
    "wine glass": ["wine", "glass of red wine"],
    "wolf face": ["wolf"],
    "wrapped present": ["present", "gift"],
}

# Things whose Unicode name is the everyday word already.
FAMILIAR = {
    "banana", "blue book", "cactus", "candle", "carrot", "cat", "cherries", "christmas tree", "cow",
    "crown", "dog", "ear", "elephant", "envelope", "eyes", "fish", "flamingo", "ghost", "grapes",
    "green apple", "green heart", "guitar", "hammer", "hibiscus", "hot dog", "key", "kiwifruit", "lemon",
    "octopus", "owl", "pancakes", "peach", "pear", "penguin", "pineapple", "potato", "rabbit", "rocket",
    "snail", "snowman", "spider", "spoon", "sun with face", "sunflower", "taxi", "tent", "tropical fish",
    "tulip", "turtle", "umbrella", "watermelon", "whale",
}

_EMPTY_WORDS = re.compile(
    r"\b(face|sign|symbol|black|white|heavy|medium|building|ornament|hand|emblem|mark)\b"
)
_CLAUSE = re.compile(r" (with|without|and|of|behind|in|on|over|for) .*$")
_DANGLING = re.compile(r"^((with|of|and|in|without) )+|( (with|of|and|in|without))+$")
_PREFIXES = ("a", "a", "the", "a picture of a", "an emoji of a", "one")


def _shortened(caption: str) -> set[str]:
    """Names with empty words or a trailing clause left out."""
    found = {_EMPTY_WORDS.sub("", caption), _CLAUSE.sub("", caption)}
    found |= {_EMPTY_WORDS.sub("", name) for name in found}
    found = {_DANGLING.sub("", " ".join(name.split())) for name in found}
    return {name for name in found if len(name) > 2 and name != caption}


class CaptionBook:
    """For each picture, the short names that no other picture shares."""

    def __init__(self, captions: list[str]) -> None:
        self.captions = captions
        everyday = {name for names in EVERYDAY.values() for name in names}
        unknown = (set(EVERYDAY) | FAMILIAR) - set(captions)
        if unknown:
            raise ValueError(f"everyday things that no picture shows: {sorted(unknown)}")
        short = [_shortened(caption) for caption in captions]
        uses = Counter(name for names in short for name in names)
        taken = set(captions) | everyday
        self.variants: list[list[str]] = [
            EVERYDAY.get(caption, []) * 2
            + sorted(name for name in names if uses[name] == 1 and name not in taken)
            for caption, names in zip(captions, short, strict=True)
        ]
        self.is_everyday = [caption in EVERYDAY for caption in captions]
        self.is_familiar = [caption in EVERYDAY or caption in FAMILIAR for caption in captions]

    def sample(self, index: int, rng: random.Random) -> str:
        """The full name at least 55 % of the time, else a variant; sometimes with an article."""
        variants = self.variants[index]
        name = self.captions[index]
        if variants and rng.random() < 0.4:
            name = rng.choice(variants)
        if rng.random() < 0.12:
            name = f"{rng.choice(_PREFIXES)} {name}"
        return name

    def corpus(self) -> list[str]:
        """Every text the tokenizer should know well."""
        return self.captions + [name for names in self.variants for name in names] + list(_PREFIXES)


class Draw:
    """Draws pictures and a caption for each; things with everyday words three times as often.

    With `focus`, what everyone knows is drawn that many times as often instead; `inf` draws nothing else.
    """

    def __init__(self, dataset: Dataset, focus: float = 0.0) -> None:
        self.book = CaptionBook(dataset.captions)
        liked, factor = (self.book.is_familiar, focus) if focus else (self.book.is_everyday, 3.0)
        factors = torch.tensor([1.0 if known else 1.0 / factor for known in liked])
        self.weights = torch.from_numpy(dataset.weights) * factors

    def __call__(self, count: int, rng: random.Random) -> tuple[torch.Tensor, list[str]]:
        """Indices of pictures and as many captions."""
        chosen = torch.multinomial(self.weights, count, replacement=True)
        return chosen, [self.book.sample(i, rng) for i in chosen.tolist()]
