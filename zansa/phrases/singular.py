"""English counts of one: sentences say "{count} images are", and where the count is 1 they are told as "1 image is"."""

import re

NOUNS = (
    "alarms|answers|arrays|bands|bits|blocks|branches|bytes|candidates|cells|channels|classes|clients|columns|"
    "conditions|connections|copies|days|decisions|defects|dimensions|edits|elements|entries|epochs|errors|"
    "escapes|features|fields|files|findings|folds|groups|hours|images|kinds|labels|layers|letters|levels|lines|"
    "looks|lots|masks|mistakes|moments|networks|nodes|numbers|ones|outcomes|pages|pairs|parameters|parts|"
    "pictures|pixels|places|points|processes|readings|records|rows|runs|samples|scores|seconds|sequences|signals|"
    "sizes|stages|steps|stretches|symbols|things|times|trainings|units|values|verdicts|warnings|ways|weights|"
    "words|years|\ue004s"
)
BEFORE = (
    "accepted|calm|chosen|confirmed|defective|differing|different|false|golden|good|held-out|known|large|"
    "living|mirrored|more|other|planned|rejected|separate|shared|small|such|test|training|turned|upside-down|"
    "validation|whole"
)
VERBS = {"are": "is", "were": "was", "have": "has", "do": "does"} | {
    f"{verb}": f"{verb}s" for verb in ("agree", "count", "cost", "hold", "remain", "show", "stand", "wait", "belong")
}
ONE = re.compile(
    r"(?<![\w.,:/×–’'\u202f-])(?<!class )(?<!stage )(?<!block )(?<!row )"  # no larger number, no name
    rf"(?P<one>1[\ue001\ue003]?)(?P<more>[ \u00a0](?:(?:{BEFORE}) )*)(?P<noun>{NOUNS})\b(?![/\\]|\.\w)"  # no path
    r"(?P<between>(?: (?:without labels|beside \S+|(?:of|in) (?!1 )\S+))*)"
    rf"(?: (?P<verb>{'|'.join(VERBS)})\b)?"
)

LONGEST = 200  # signs of a folder's name that are looked at


def singular(text: str) -> str:
    """An English text with a singular after each count of one."""
    return ONE.sub(_one, text) if "1" in text else text


def _one(found: re.Match[str]) -> str:
    if _in_a_path(found.string[max(0, found.start() - LONGEST) : found.start()]):
        return found[0]
    noun = found["noun"]
    one = f"{noun[:-3]}y" if noun.endswith("ies") else noun[:-2] if re.search("(ss|ch)es$", noun) else noun[:-1]
    verb = f" {VERBS[found['verb']]}" if found["verb"] else ""
    return f"{found['one']}{found['more']}{one}{found['between']}{verb}"


def _in_a_path(before: str) -> bool:
    """Whether the name of a folder goes on behind this text: parts/set 1 images."""
    last = before.removesuffix(" ").rpartition(" ")[2]
    return "/" in last and last[-1:] not in "/:;,)"
