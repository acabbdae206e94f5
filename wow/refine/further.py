"""Whether a rewritten prompt speaks of something that nobody asked for: a further deed, or a further thing.

Grammar by rule of thumb, for short English sentences. A word is known when the goal or the scene has it, or when it is
among those below: what a hand does on its way, parts of a hand and of a picture, ways to move, colours. An unknown word
may describe ("the shiny drawer", "the drawer is ajar", "firmly"), but it may neither stand where a deed does ("and
smash …") nor be a thing that is spoken of ("… the window").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


THINGS = _set(
    "robot arm gripper hand finger fingers fingertip fingertips jaw jaws claw wrist elbow joint tool tip grip "
    "hold grasp handle knob lid edge rim side corner surface top bottom front back base center centre middle half "
    "part piece object item thing one table tabletop desk floor ground wall workspace picture image view frame "
    "camera scene video clip background start beginning end moment time step stage second position place location "
    "spot point pose path way line arc direction distance height level contact touch force pressure speed pace "
    "motion movement approach goal target task inch centimeter centimeters centimetre centimetres cm degree "
    "degrees care control precision success it them opening gap space room air order sequence result completion "
    "alignment orientation angle axis length width"
)
"""Nouns that name no other thing to handle."""
DEEDS = _set(
    "latch click snap wrap curl swing begin continue complete finish ensure make keep let see look use need must "
    "should can may could would want try extend retract adjust maintain secure apply center centre descend ascend "
    "hover steady stabilize stabilise wait pause return retreat locate find contact clear travel pass face point "
    "tilt advance back withdraw settle succeed become appear seem sit lie stand remain rest stay work perform "
    "execute proceed go leave"
)
"""Verbs that add no further deed."""
WAYS = _set(
    "slow slowly careful smooth steady straight firm gentle full wide close near nearby far small little large "
    "big whole entire same first second third last final next other both all each only single short long high low "
    "deep flat level vertical horizontal diagonal parallel upright open opened closed shut empty free loose tight "
    "still completely red green blue white black grey gray yellow orange brown silver golden dark light pink "
    "purple wooden metal plastic round square thin thick soft hard clear visible correct right proper new initial "
    "current together apart away again once now while during before after when where which who whose there here "
    "directly just very more most less further farther fully almost about around along across past between "
    "against through under over above below beneath beside behind ahead within outside inside without until as by "
    "per not no than also too enough how what why ready able aligned centered centred extended bent raised "
    "lowered toward towards forward forwards backward backwards upward upwards downward downwards inward outward "
    "sideways left leftmost rightmost two three four five half"
)
"""Words that describe or join."""

DETERMINERS = _set("the a an its this that these those another every each some any both your my their his her")
PREPOSITIONS = _set(
    "with of to from into onto in on at by for toward towards near over under above below behind beside against "
    "through across around along between off past using"
)
JOINTS = _set(
    "and then or to will must should can has have while first finally next also afterwards please it robot arm"
)
"""What stands before a deed."""
COPULAS = _set(
    "is are was were be been being stays stay remains remain looks look becomes become gets get seems appears"
)


def further_word(rewrite: str, is_known: Callable[[str], bool]) -> str | None:
    """The first word for a deed or a thing that is not known; None where all are.

    is_known: whether the goal, the scene or the verbs that serve them have a word.
    """
    for clause in re.split(r"[.,;:!?()]|\s-+\s", rewrite.lower()):
        words = re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", clause)
        for place, word in enumerate(words):
            if _is_fine(word, is_known):
                continue
            before, after = words[:place], words[place + 1 :]
            if _begins(before) or not _describes(before, after):
                return str(word)
    return None


def _is_fine(word: str, is_known: Callable[[str], bool]) -> bool:
    if word in THINGS | WAYS | DETERMINERS | PREPOSITIONS | JOINTS | COPULAS or word.isdigit() or word.endswith("ly"):
        return True
    stems = {word, word.removesuffix("s"), word.removesuffix("es"), word.removesuffix("ed"), word.removesuffix("d")}
    stems |= {
        word.removesuffix("ing"),
        word.removesuffix("ing") + "e",
        word.removesuffix("'s"),
        word.removesuffix("’s"),
    }
    parts = re.split(r"[-'’]", word)
    is_whole = len(parts) > 1 and all(is_known(part) or part in THINGS | WAYS | PREPOSITIONS for part in parts)
    return is_known(word) or is_whole or bool(stems & (DEEDS | THINGS))


def _begins(before: Sequence[str]) -> bool:
    """Whether a deed may stand here: at the beginning of a clause, or after what joins two deeds."""
    kept = [word for word in before if not word.endswith("ly")]
    return not kept or kept[-1] in JOINTS


def _describes(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether the word only describes: it follows a form of "to be", or a thing follows it that is looked at itself."""
    kept = [word for word in before if not word.endswith("ly")]
    if kept and kept[-1] in COPULAS:
        return True
    stops = PREPOSITIONS | DETERMINERS | JOINTS | COPULAS
    return bool(after) and after[0] not in stops and not after[0].endswith("ly")
