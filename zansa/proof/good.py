"""Which class means "no defect": found by its name, in words of English, German, Japanese, Korean and Chinese.

A name is cut into words, each word is looked up in the tables below, and negations turn the word that they belong to.
Exactly one class must mean good; otherwise nobody guesses, and `unknown_good` says what to type.
"""

import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Container, Sequence, Set
from functools import cache, lru_cache
from typing import NamedTuple

# Words that say good wherever they stand. The tables are folded (`_folded`): lower case, one form of width, no umlauts.
GOOD = """
good ok okay normal intact flawless faultless undamaged accept accepted acceptable conforming conform healthy
nondefective fehlerfrei gut gute guter gutes einwandfrei ordnung inordnung konform unversehrt
良品 良好 優良 正常 合格 異常なし 問題なし 適合 無傷 無欠陥 健全
양품 양호 정상 합격 적합 무결함 무결점
好品 正品 完好 无缺陷 无瑕疵 无异常 合规
"""
# These words say good only where a quarter of the other classes is bad.
MAYBE_GOOD = """
fine free none pass passed perfect clean clear sound valid correct regular working safe fresh golden unused okey io frei
sauber heil 正解 綺麗 きれい 정품 好 可 干净
"""
# Signs of one letter say good only where every other class is bad.
GOOD_SIGNS = "p g 良 合 優 优 ○ 〇 ◯ ✓ ✔ 양 합"
BAD = """
bad ng nok nio fail failed failure faulty fault defect defective defekt reject rejected scrap rework flaw flawed
anomaly anomalous anomalie abnormal abnormality irregular imperfect imperfection invalid incorrect damage damaged
broken breakage crack cracked cracking microcrack scratch scratched dent dented chip chipped torn stain stained
contamination contaminated contaminant corrosion corroded rust rusty blowhole pinhole porosity pore pitted burr blister
bubble wrinkle misalignment misaligned deformed deformation bent foreign missing fray frayed uneven leak leakage crazing
inclusion scab spur mousebite solderbridge delamination discoloration discolored dirty dirt unsafe rotten tumor tumour
spalling chipping peeling flaking def defected debonded
malignant pneumonia infected parasitized disease diseased sick lesion unclean error noncompliant
schlecht schlechte schlechter schlechtes fehler fehlerhaft mangel mangelhaft kratzer riss beschaedigt schaden ausschuss
bruch gebrochen delle beule lunker verschmutzt verschmutzung rost pore grat makel einschluss
不良 欠陥 異常 不適合 不具合 問題 傷 キズ きず 疵 クラック ひび ヒビ 割れ 欠け 打痕 汚れ ヨゴレ 異物 バリ ピンホール
変形 錆 サビ へこみ ヘコミ 凹み 剥がれ 気泡 破損 損傷 シミ 良くない 欠品 擦り傷 亀裂 不良品 廃棄
ボイド ゴミ ズレ ずれ 浮き 変色
불량 이상 결함 불합격 부적합 스크래치 균열 크랙 찍힘 오염 파손 긁힘 손상 이물 얼룩 비정상 결점 기포 들뜸 변색
坏 坏品 次品 废品 异常 缺陷 瑕疵 划痕 裂纹 裂缝 破损 损坏 污渍 残次品 故障 脏污 气孔 凹坑 问题
瑕 划伤 毛刺 凹陷 缺损 脱落 崩边
"""
# These words say bad only where every other class but one is bad as well.
MAYBE_BAD = """
open short hole pit spot break patch patches scale void hot cold line finding issue problem wear worn
dr loose warped chip tear burn burned burnt f n × ✕ ✖ ✗ ✘ 否 不 劣 不可 x
"""
# No, and nothing of the kind is there: what follows is absent, whatever it is.
ABSENT = "no without ohne kein keine keinen 無 无 没有 zero"
NOT = "not non isnt nicht un 不 非 未 비 불 무"
GLUED_NOT = "un 不 非 未 비 무 불"  # only in front of a word, without a space between
# What stands before is absent or denied.
AFTER = "free less none absent frei los なし 無し ナシ 無 없음 아님 以外 ではない"
# Words that change nothing.
FILL = """
a an the is of from with has in and or yes present quality class classes type category label part piece product item
sample image img picture photo surface test data set unit area region object mit teil bild stueck von vom ist
品 部品 製品 の 画像 写真 サンプル 物 件 있음 제품 부품 이미지 품 产品 零件 图像 图片 样本 样品 有 あり 有り アリ
判定 クラス 製 級 データ 데이터 数据
"""
# What should be there: without it a part is bad, and with it nobody knows.
WANTED = """
mask helmet vest glove goggle hardhat seatbelt screw bolt nut cap lid seal gasket washer pin solder clip connector glue
adhesive barcode logo print coating
"""
# A word of the tables in another sense, told by the classes beside it: geology, games, sizes, gestures.
OTHER_SENSE = {
    "normal": "reverse thrust strike slip fire water grass electric large small fast slow wide narrow depth albedo",
    "ok": "palm fist peace thumb rock call victory mute",
}

PLURALS = (("s", ""), ("es", ""), ("ies", "y"), ("e", ""), ("en", ""), ("n", ""))
CLEAR, MAYBE, SIGN = 3, 2, 1  # how much a word says alone
SHOWN = 6  # classes named in a sentence
LATELY = 1 << 14  # words that are remembered

_LATIN = "a-zß-öø-ɏ"
_CHUNK = re.compile(rf"[A-Z{_LATIN}À-ÖØ-Þ']+|[0-9]+|[○◯×✕✖✗✘✓✔]|[^\W\d_A-Z{_LATIN}À-ÖØ-Þ]+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "'": None})


class Item(NamedTuple):
    word: str
    denied: str  # "" | "not" | "absent"


class Reading(NamedTuple):
    sign: int  # 1 good, -1 bad, 0 unknown
    weight: int
    items: tuple[Item, ...]


def good_class(classes: Sequence[str]) -> str | None:
    """The class whose name says "no defect" in one of the usual words; None when none or several do.

    Case, separators, numbers and the words that all names share do not count: MT_Free beside MT_Crack is "free".
    """
    found = _found(classes)
    return found[0] if len(found) == 1 else None


def speaks_of_inspection(classes: Sequence[str]) -> bool:
    """Whether so many class names say good or bad that these are probably parts that somebody inspects."""
    if good_class(classes) is not None:
        return True
    readings = _readings(classes)
    clear = sum(reading.weight == CLEAR for reading in readings)  # one such word among a thousand names is chance
    return 4 * clear >= len(readings) > 0 or (len(readings) > 1 and all(reading.sign for reading in readings))


def unknown_good(classes: Sequence[str], noun: str = "image") -> str | None:
    """The one sentence to say where no class is known as the good one, with what to type; None where one is known.

    `noun` is what a sample is called (image, series). A set that does not look like inspection is told more briefly.
    """
    found = _found(classes)
    if len(found) == 1 or len(classes) < 2:
        return None
    if found:
        return (
            f"several class names say good ({_named(found)}), so no line is drawn between good and defect and "
            f"no {noun} is accepted or rejected: name the good class with --good, for example "
            f"--good {shlex.quote(found[0])}"
        )
    if speaks_of_inspection(classes) or len(classes) == 2:
        return (
            f"no class name says which class is the good one ({_named(classes)}), so no line is drawn between good and "
            f"defect and no {noun} is accepted or rejected: name it with --good{_example(classes)}"
        )
    return (
        f"the {len(classes)} classes are told apart as equals, without a line between good and defect: if one of them "
        "means that nothing is wrong, name it with --good NAME"
    )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _example(classes: Sequence[str]) -> str:
    """What could be typed: a class that is not known as bad, where there is one."""
    sign, name = max(((reading.sign, name) for reading, name in zip(_readings(classes), classes, strict=True)))
    return " NAME" if sign < 0 else f", for example --good {shlex.quote(name)}"


# ---- from readings to the good class -----------------------------------------------------------------------


def _found(classes: Sequence[str]) -> list[str]:
    """The classes that mean good; none when the only one is not sure enough beside the others."""
    for shared in (False, True):
        readings = _readings(classes, shared)
        good = [i for i, reading in enumerate(readings) if reading.sign > 0]
        if len(good) > 1 and any(_sure(readings, i) for i in good):
            return [classes[i] for i in good]
        if len(good) == 1 and _sure(readings, good[0]):
            return [classes[good[0]]]
    return []


def _sure(readings: Sequence[Reading], place: int) -> bool:
    """Whether a good reading holds beside the others: a vague word needs bad classes, a quarter or all."""
    others = [reading for i, reading in enumerate(readings) if i != place and reading.sign <= 0]
    weight, words = readings[place].weight, {item.word for reading in others for item in reading.items}
    if any(words & _set(OTHER_SENSE[item.word]) for item in readings[place].items if item.word in OTHER_SENSE):
        return False
    bad = sum(reading.sign < 0 and reading.weight == CLEAR for reading in others)
    if weight == MAYBE and 4 * bad >= len(others) > 0:
        return True
    return weight == CLEAR or (bool(others) and all(reading.sign < 0 for reading in others))


def _readings(classes: Sequence[str], shared: bool = False) -> list[Reading]:
    """What each class name says; `shared`: also a word for a defect that all names begin with is left out."""
    vocabulary = {word for name in classes for word in _plain(name)}
    names = _told_apart([_cut(name, vocabulary) for name in classes], shared)
    items = [_items(words) for words in names]
    held = Counter(word for own in items for word in {item.word for item in own if not item.denied})
    absent = {item.word for own in items for item in own if item.denied == "absent"}
    things = {word for word in absent if held[word] == len(names) - 1}
    return [_read(own, things) for own in items]


def _read(items: tuple[Item, ...], things: Container[str]) -> Reading:
    """What one name says; `things` are absent in one name and named in all others, as X beside no_X."""
    letters = [len(items) > 1 and len(item.word) == 1 and item.word.isascii() for item in items]
    said = [(0, 0) if letter else _said(item, things) for item, letter in zip(items, letters, strict=True)]
    known = [(sign, weight) for sign, weight in said if sign]
    unknown = len(items) - len(known)
    if len({sign for sign, _ in known}) != 1:
        return Reading(0, 0, items)
    sign, weight = known[0][0], min(weight for _, weight in known)
    if unknown and (weight < CLEAR or unknown > 2):
        return Reading(0, 0, items)
    return Reading(sign, MAYBE if unknown and sign > 0 else weight, items)


def _said(item: Item, things: Container[str]) -> tuple[int, int]:
    """(Sign, weight) of one word."""
    word = item.word
    if word in _set(WANTED):
        return (-1, CLEAR) if item.denied else (0, 0)
    sign, weight = _looked_up(word)
    if item.denied and sign:
        return -sign, CLEAR
    if not sign and word in things:
        return (1 if item.denied == "absent" else -1), CLEAR
    return (0, 0) if item.denied else (sign, weight)


@lru_cache(LATELY)
def _looked_up(word: str) -> tuple[int, int]:
    for table, sign, weight in ((GOOD, 1, CLEAR), (MAYBE_GOOD, 1, MAYBE), (GOOD_SIGNS, 1, SIGN), (BAD, -1, CLEAR)):
        if word in _set(table):
            return sign, weight
    return (-1, MAYBE) if word in _set(MAYBE_BAD) else (0, 0)


def _items(words: Sequence[str]) -> tuple[Item, ...]:
    """The words that say something, each with the negation that belongs to it."""
    items: list[Item] = []
    pending = ""
    for place, word in enumerate(words):
        after = word in _set(AFTER)
        if after and items and not items[-1].denied and not pending:
            items[-1] = items[-1]._replace(denied="absent")
        elif after and any(_looked_up(later)[0] < 0 for later in words[place + 1 :]):  # free of defects
            pending = "absent"
        elif word in _set(ABSENT) or (word in _set(NOT) and word not in _set(GOOD_SIGNS)):
            pending = "absent" if word in _set(ABSENT) else "not"
        elif word not in _set(FILL) or (len(words) == 1 and len(word) == 1):
            items.append(Item(word, pending))
            pending = ""
    if pending and items and not items[-1].denied:  # crack_no beside crack_yes
        items[-1] = items[-1]._replace(denied=pending)
    elif pending and not items:
        items.append(Item(words[-1], ""))
    return tuple(items)


# ---- from names to words -----------------------------------------------------------------------------------


def _told_apart(names: Sequence[list[str]], shared: bool) -> list[list[str]]:
    """Names without their numbering and without the words at both ends that all of them share."""
    good = _set(GOOD) | _set(MAYBE_GOOD) | _set(NOT) | _set(ABSENT) | _set(AFTER)
    kept = {word for word in good | _set(BAD) | _set(MAYBE_BAD) if len(word) > 1 or not word.isascii()}
    forward = _without_first(_unnumbered(names), good if shared else kept)
    backward = _without_first([words[::-1] for words in forward], kept)
    return [words[::-1] for words in backward]


def _unnumbered(names: Sequence[list[str]]) -> Sequence[list[str]]:
    """Names without a first letter that only counts them: a_good, b_scratch."""
    heads = {words[0] for words in names if len(words) > 1 and len(words[0]) == 1 and words[0].isascii()}
    return [words[1:] for words in names] if len(heads) == len(names) else names


def _without_first(names: Sequence[list[str]], kept: Container[str]) -> Sequence[list[str]]:
    """Names without the first word that all of them share, unless it is kept or leaves a mere negation."""
    lonely = _set(NOT) | _set(ABSENT) | {"none", "absent", "なし", "無し", "없음"}
    while min(map(len, names), default=0) > 1 and len({words[0] for words in names}) == 1:
        if names[0][0] in kept or any(set(words[1:]) <= lonely for words in names):
            break
        names = [words[1:] for words in names]
    return names


def _plain(name: str) -> list[str]:
    """The words of a name as its separators and capitals show them."""
    parts = [part for chunk in _CHUNK.findall(unicodedata.normalize("NFKC", name)) for part in _camel(chunk)]
    return [_one(_folded(part)) for part in parts if not part.isdigit()]


def _camel(chunk: str) -> list[str]:
    return _CAMEL.findall(chunk) if chunk.isascii() and chunk.isalpha() else [chunk]


def _cut(name: str, vocabulary: Set[str]) -> list[str]:
    """The words of a name in the tables' form: joined words are cut, single letters put together (i. O.)."""
    chunks = [chunk for chunk in _CHUNK.findall(unicodedata.normalize("NFKC", name)) if not chunk.isdigit()]
    whole = _folded("".join(chunks))
    if len(chunks) > 1 and _looked_up(whole)[0] and not any(_looked_up(_folded(chunk))[0] for chunk in chunks):
        return [whole]
    words: list[str] = []
    for chunk in _letters_together(chunks):
        words += _joined(chunk, vocabulary)
    return words


def _letters_together(chunks: Sequence[str]) -> list[str]:
    """Runs of single letters become one word where the tables know it: n, i, o is nio."""
    text = "\n".join(chunks)
    return re.sub(
        r"(?m)^[A-Za-z](?:\n[A-Za-z]){1,3}$",
        lambda run: word if _known(_folded(word := run[0].replace("\n", ""))) else run[0],
        text,
    ).split("\n")


def _joined(chunk: str, vocabulary: Set[str]) -> list[str]:
    """A chunk as its known words: notok is not, ok; NoTumour is no, tumour; 外観良品 is 外観, 良品."""
    text = _folded(chunk)
    found = _covered(text, vocabulary)
    if found:
        return found
    parts = _camel(chunk)
    if len(parts) > 1:
        return [word for part in parts for word in _joined(part, vocabulary)]
    least = 6 if text.isascii() else 2  # letters of a word that may end a compound: Schweissfehler
    for start in range(1, len(text) - least + 1):
        found = _covered(text[start:], set())
        if found and (not text.isascii() or (len(found) == 1 and _looked_up(found[0])[0] < 0)):
            return [text[:start], *found]
    return [_one(text)]


def _covered(text: str, nouns: Container[str]) -> list[str] | None:
    """The fewest words of the tables that make up the text; a noun of another name only beside a negation."""
    best: list[list[str] | None] = [[]] + [None] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(end):
            before, piece = best[start], text[start:end]
            word = _one(piece)
            noun = 2 < len(piece) < len(text) and word in nouns
            if before is None or not (noun or _fits(piece, whole=piece == text)):
                continue
            if best[end] is None or len(before) + 1 < len(best[end] or []):
                best[end] = [*before, word]
    found = best[-1]
    if found and not all(_known(word) for word in found):
        absent = len(found) == 2 and (found[0] in _set(ABSENT) or found[1] in _set(AFTER))
        return found if absent else None
    return found


def _fits(piece: str, whole: bool) -> bool:
    """Whether a piece is a word of the tables; a part of a longer word must not be a mere letter or syllable of it."""
    if whole:
        return _known(piece) and piece not in _set(GLUED_NOT)
    short = piece.isascii() and len(piece) < 3
    return _known(piece) and (not short or piece in {"ok", "ng", "no", "un"})


@lru_cache(LATELY)
def _one(word: str) -> str:
    """The singular where the tables know it; of an unknown word without its s."""
    if _known(word, plural=False) or not word.isascii() or word == "goods":
        return word
    forms = [word[: -len(end)] + instead for end, instead in PLURALS if word.endswith(end) and len(word) > 3]
    nouns = _set(BAD) | _set(MAYBE_BAD) | _set(FILL) | _set(WANTED)
    return next((form for form in forms if form in nouns), word.removesuffix("s") if len(word) > 3 else word)


@lru_cache(LATELY)
def _known(word: str, plural: bool = True) -> bool:
    tables = (GOOD, MAYBE_GOOD, GOOD_SIGNS, BAD, MAYBE_BAD, ABSENT, NOT, AFTER, FILL, WANTED)
    return any(word in _set(table) for table in tables) or (plural and _one(word) != word and _known(_one(word), False))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().translate(_UMLAUTS)


@cache
def _set(table: str) -> frozenset[str]:
    return frozenset(_folded(word) for word in table.split())
