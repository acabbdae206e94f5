"""Whether a rewritten prompt still asks for what the user asked for: a rule in words, kept without a model.

The rule: every thing, direction and number of the goal is named again; its action is named again, in the same word or
one of the same family; no other action is added but those that serve one (grasp, lift, pull, …), and never the opposite
of one that the goal names; nothing is denied; and no deed or thing is spoken of that neither the goal nor the scene
has (see `wow.refine.further`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from functools import cache

from wow.refine.further import further_word


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


FAMILIES: tuple[frozenset[str], ...] = tuple(
    _set(words)
    for words in (
        "open", "close shut", "push press shove poke", "pull drag draw", "insert plug stick", "remove extract unplug",
        "lock bolt", "unlock unbolt", "assemble", "disassemble", "turn rotate twist spin", "slide", "hammer hit strike",
        "pick take get", "put place set", "throw toss dunk", "kick shoot", "sweep", "stack", "unstack", "pour", "cut",
        "fold", "unfold", "wipe", "break", "topple", "shake", "stir", "fetch bring", "reach touch", "lift raise",
        "lower", "drop", "slam",
    )
)  # fmt: skip
"""Actions that mean the same; no word is in two. Two families are different actions, some of them opposite."""

PREPARING = _set(
    "reach touch lift raise lower grasp grip hold hook move carry approach align line come go release follow guide "
    "keep rise rest stop stay end begin finish start position push pull drag slide turn rotate swing put place set "
    "bring drop"
)
"""Actions that serve another one: a rewrite may add them."""
OPPOSITES = (("open", "close"), ("push", "pull"), ("insert", "remove"), ("lock", "unlock"), ("assemble", "disassemble"))
"""By one word of their families."""

DIRECTIONS: tuple[frozenset[str], ...] = tuple(
    _set(words)
    for words in (
        "left leftward leftwards", "right rightward rightwards", "up upward upwards", "down downward downwards",
        "forward forwards", "back backward backwards", "toward towards", "away", "into in inside", "out", "onto on",
        "off", "over above", "under below beneath", "behind", "clockwise", "counterclockwise", "top", "bottom", "front",
    )
)  # fmt: skip
"""Words that say where to, those of one meaning together."""

DENIALS = _set("not no never without instead avoid except don't cannot nothing refuse ignore")
FILLERS = _set(
    "a an and the it its to of by at for from with until so that then this these those is are be has will please robot "
    "arm gripper hand your my some as"
)
PLACES = re.compile(r"\b(?:on|to|at|in|from|of|slightly)?\s*(?:the\s+)?(?:left|right)\s+(?:of|side|half|edge|corner)\b")
"""Where something is, not where it goes."""
OF_THE_HAND = re.compile(
    r"\b(?:open|clos|shut)\w*\s+(?:up\s+)?(?:the\s+|its\s+|both\s+)?(?:gripper|finger|hand|jaw|claw)\w*"
    r"|\b(?:gripper|finger|hand|jaw|claw)s?\s+(?:is\s+|are\s+|stays?\s+)?(?:open|clos|shut)\w*"
)
"""What the hand does to itself."""
AS_IT_IS = re.compile(r"\b(?:the|an|its|door)\s+(?:open|closed|shut|locked|unlocked|lock)\b")
"""What a thing is, not what is done to it."""


def change_of_goal(goal: str, rewrite: str, scene: Set[str] = frozenset()) -> str | None:
    """Why the rewrite asks for something else than the goal, in words; None where it does not.

    scene: further words, in lower case, that are known to belong to the goal's scene.
    """
    wanted, plain = words_of(goal), OF_THE_HAND.sub(" ", rewrite.lower())
    said = words_of(plain)
    denied = sorted((said & DENIALS) - wanted)
    if denied:
        return f"it denies something ({denied[0]})"
    actions = {family for family in FAMILIES if _names(wanted, family)}
    for family in sorted(actions, key=sorted):
        # "reach" and "pick" begin many goals whose other action says it all: one of the actions has to be kept.
        if not _names(said, family) and not (family & PREPARING and len(actions) > 1):
            return f"it does not say to {_first_of(wanted, family)}"
    if actions and not any(_names(said, family) for family in actions):
        return f"it does not say to {_first_of(wanted, min(actions, key=sorted))}"
    if added := _added_action(wanted, words_of(AS_IT_IS.sub(" ", plain)), actions):
        return f"it adds an action ({added})"
    return _other_direction(wanted, said, plain) or _missing_thing(wanted, said) or _further(plain, wanted | scene)


def _added_action(wanted: set[str], said: set[str], actions: set[frozenset[str]]) -> str | None:
    """A word for an action that the goal does not name, and that does not serve it."""
    denied = {other for pair in OPPOSITES for one, other in (pair, pair[::-1]) if any(one in f for f in actions)}
    for family in FAMILIES:
        is_opposite = bool(family & denied)
        for word in sorted(said - wanted):
            serves = not is_opposite and _verbs().get(word) in PREPARING
            if family not in actions and not serves and _names({word}, family):
                return word
    return None


def words_of(text: str) -> set[str]:
    """The words of a text, in lower case."""
    return set(re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.lower()))


def _other_direction(wanted: set[str], said: set[str], rewrite: str) -> str | None:
    for meaning in DIRECTIONS:
        if wanted & meaning and not said & meaning:
            return f"it does not say {min(wanted & meaning)!r}"
    going = words_of(PLACES.sub(" ", rewrite))
    for one, other in (("left", "right"), ("clockwise", "counterclockwise")):
        for here, there in ((one, other), (other, one)):
            if here in wanted and there in going - wanted:
                return f"it goes {there} where the goal says {here}"
    return None


def _missing_thing(wanted: set[str], said: set[str]) -> str | None:
    others = FILLERS.union(*FAMILIES, *DIRECTIONS)
    things = [word for word in sorted(wanted) if word not in others and word not in _verbs()]
    missing = [word for word in things if not any(_same(word, other) for other in said)]
    return f"it does not name {missing[0]!r}" if missing else None


def _further(rewrite: str, known: Set[str]) -> str | None:
    deeds = {_verbs()[word] for word in known if word in _verbs()}
    kin = frozenset().union(*(family for family in FAMILIES if family & deeds))

    def is_known(word: str) -> bool:
        goes = any(word in meaning for meaning in DIRECTIONS)
        serves = _verbs().get(word) in kin | PREPARING
        return goes or serves or word in FILLERS or any(_same(word, one) for one in known)

    word = further_word(rewrite, is_known)
    return f"it speaks of {word!r}, which neither the goal nor the scene has" if word else None


def _names(words: Iterable[str], family: frozenset[str]) -> str | None:
    """The first word that names an action of the family."""
    return next((word for word in sorted(words) if _verbs().get(word, "") in family), None)


def _first_of(words: set[str], family: frozenset[str]) -> str:
    found = _names(words, family)
    assert found is not None
    return found


@cache
def _verbs() -> dict[str, str]:
    """Every regular form of the verbs known here, and its verb: press for "pressing", put for "putting"."""
    found: dict[str, str] = {}
    for verb in frozenset.union(PREPARING, *FAMILIES):
        stem, doubled = verb.removesuffix("e"), verb + verb[-1]
        forms = (verb, f"{verb}s", f"{verb}es", f"{stem}ed", f"{stem}ing", f"{doubled}ing", f"{doubled}ed")
        found |= dict.fromkeys(forms, verb)
        if verb.endswith("y"):
            found |= dict.fromkeys((f"{verb[:-1]}ies", f"{verb[:-1]}ied"), verb)
    return found


def _same(word: str, other: str) -> bool:
    """Whether two words are one in singular and plural, or with an owner's ending."""
    word, other = (one.removesuffix("'s").removesuffix("’s") for one in (word, other))
    return word == other or word in (f"{other}s", f"{other}es") or other in (f"{word}s", f"{word}es")
