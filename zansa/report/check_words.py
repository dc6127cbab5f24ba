"""Every sentence of `zansa check`, English beside Japanese: of each finding its title, why it matters and what to do.

{images} is the number of images concerned with its noun; the other names in braces are facts of the finding.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..words import count, counted

LANGUAGES = ("en", "ja")
Pair = dict[str, str]


class Told(NamedTuple):
    """The sentences of a kind: title, why, do; each by language."""

    title: Pair
    why: Pair
    do: Pair


def _told(*texts: str) -> Told:
    """From English and Japanese title, why and do, in this order."""
    return Told(*({"en": texts[i], "ja": texts[i + 1]} for i in (0, 2, 4)))


FINDINGS: dict[str, Told] = {
    "unreadable": _told(
        "Cannot be read: {images}",
        "{images}を読み込めません",
        "Nothing can be learnt from a file that is no image; the first is {first}.",
        "画像として開けないファイルからは学習できません。最初の例: {first}",
        "Save the files again from their source, or leave them out.",
        "元データから保存し直すか、除外してください。",
    ),
    "truncated": _told(
        "Cut short: {images}",
        "{images}が途中で切れています",
        "The end of the file is missing, as after an interrupted copy; the first is {first}.",
        "コピーの中断などでファイルの末尾が失われています。最初の例: {first}",
        "Copy the files again from their source.",
        "元データからコピーし直してください。",
    ),
    "lost": _told(
        "Read in part: {images}",
        "{images}は一部だけ読み込まれました",
        "Of these files something is lost in reading: {what}.",
        "読み込み時に失われる情報があります: {what}",
        "Save what you need as a plain image, if it matters.",
        "必要な情報であれば、通常の画像形式で保存し直してください。",
    ),
    "tiny": _told(
        "Tiny: {images}",
        "{images}が小さすぎます",
        "Their shorter side is below {side} pixels.",
        "短辺が{side}画素未満です。",
        "Look whether they are thumbnails or cut wrongly.",
        "縮小画像や切り出しの誤りでないか確認してください。",
    ),
    "blank": _told(
        "Nothing to be seen: {images}",
        "{images}に何も写っていません",
        "All their points have nearly the same level.",
        "ほぼ全画素が同じ明るさです。",
        "Look whether the camera or the light was off, and leave them out.",
        "カメラや照明が切れていなかったか確認し、除外してください。",
    ),
    "dark": _told(
        "Very dark: {images}",
        "{images}が暗すぎます",
        "All but 1 % of their points have a level below {level} of 255, and most other images do not.",
        "画素の99 %が255段階中{level}未満で、ほかの画像と異なります。",
        "Take them again with more light, or keep them only if such parts come in production.",
        "照明を確認して撮り直すか、実生産で起こり得る場合だけ残してください。",
    ),
    "bright": _told(
        "Washed out: {images}",
        "{images}が白飛びしています",
        "All but 1 % of their points have a level above {level} of 255.",
        "画素の99 %が255段階中{level}を超えています。",
        "Take them again with a shorter exposure.",
        "露光時間を短くして撮り直してください。",
    ),
    "blurred": _told(
        "Blurred: {images}",
        "{images}がぼけています",
        "For their contrast they have less than a quarter of the usual fine detail.",
        "コントラストに対する細部の量が、通常の4分の1未満です。",
        "Look whether they are out of focus; small defects cannot be seen in them.",
        "ピントを確認してください。小さな欠陥は写りません。",
    ),
    "odd_size": _told(
        "Of an odd size: {images}",
        "{images}の大きさがほかと異なります",
        "Most images are about {usual} pixels; these have other proportions, or are four times as large or small.",
        "多くの画像は約{usual}画素ですが、縦横比が異なるか、4倍以上大きいまたは小さい画像です。",
        "Cut all images alike; otherwise the size itself may tell the class.",
        "すべて同じ条件で切り出してください。大きさが見かけの手掛かりになることがあります。",
    ),
    "odd_channels": _told(
        "Another number of colours: {images}",
        "{images}の色数がほかと異なります",
        "Most images have {usual} channels (channels and images: {others}).",
        "多くの画像は{usual}チャンネルです (チャンネル数と枚数: {others})。",
        "Save all images as gray or all as colour.",
        "すべてグレー、またはすべてカラーに統一してください。",
    ),
    "odd_depth": _told(
        "Another bit depth: {images}",
        "{images}のビット深度がほかと異なります",
        "Most images have {usual} bits (bits and images: {others}); training leaves the others out.",
        "多くの画像は{usual}ビットです (ビット数と枚数: {others})。ほかは学習から除外されます。",
        "Take all images with one camera setting, or convert them.",
        "カメラ設定を統一するか、変換してください。",
    ),
    "copies_labels": _told(
        "The same picture with different labels: {images}",
        "{images}は同じ画像なのにラベルが異なります",
        "All pixels are equal, so at least one label of each set is wrong (sets: {sets}).",
        "{sets}組は画素が完全に一致しており、少なくとも一方はラベル誤りです。",
        "Decide which label holds.",
        "正しいラベルを決めてください。",
    ),
    "copies_parts": _told(
        "The same picture in two parts of the data: {images}",
        "{images}が学習用と評価用の両方にあります",
        "What is learnt by heart in one part is tested in the other (sets of equal pictures: {sets}).",
        "同じ画像{sets}組が分割をまたいでおり、丸暗記が評価されてしまいます (データ漏洩)。",
        "Keep each picture in one part; --fix keeps that of the test part.",
        "1つの分割だけに残してください。--fix は評価用を残します。",
    ),
    "copies_same": _told(
        "Exact copies within a class: {images}",
        "{images}は同じクラス内の完全な重複です",
        "They are equal in every pixel (sets: {sets}; copies that are equal in every byte: {equal_files}).",
        "{sets}組は全画素が一致します (うち{equal_files}個はファイルも一致)。",
        "Keep one of each, or they count twice and may end up in training and test.",
        "1枚だけ残してください。二重に数えられ、学習用と評価用に分かれるおそれがあります。",
    ),
    "near_labels": _told(
        "Nearly the same picture with different labels: {images}",
        "{images}はほぼ同一画像なのにラベルが異なります",
        "Laid on each other, they agree more than any two different images do here "
        "(sets: {sets}; line {line:.2f}; false accusations expected: {expected:.1f}).",
        "位置合わせ後、{sets}組は別々の画像では起こらないほど一致します "
        "(しきい値 {line:.2f}、誤検知の期待値 {expected:.1f}枚)。",
        "Look at the pictures and decide which label holds.",
        "画像を確認し、正しいラベルを決めてください。",
    ),
    "near_parts": _told(
        "A near copy in another part of the data: {images}",
        "{images}のほぼ同一画像が別の分割にあります",
        "Laid on each other, they agree more than any two different images do here (sets: {sets}; line {line:.2f}; "
        "false accusations expected: {expected:.1f}), so what is learnt by heart is tested.",
        "位置合わせ後、{sets}組は別々の画像では起こらないほど一致します "
        "(しきい値 {line:.2f}、誤検知の期待値 {expected:.1f}枚)。丸暗記が評価されてしまいます (データ漏洩)。",
        "Give the images of a set one group and one part; --fix does both.",
        "同じ組に同じグループと分割を与えてください。--fix で書き出せます。",
    ),
    "near_same": _told(
        "A near copy: {images}",
        "{images}にほぼ同一の画像があります",
        "Laid on each other, they agree more than any two different images do here "
        "(sets: {sets}; line {line:.2f}; false accusations expected: {expected:.1f}).",
        "位置合わせ後、{sets}組は別々の画像では起こらないほど一致します "
        "(しきい値 {line:.2f}、誤検知の期待値 {expected:.1f}枚)。",
        "Give the images of a set one group, so that they are never split; --fix writes it.",
        "同じ組を同一個体グループにまとめてください。--fix で書き出せます。",
    ),
    "near_reach": _told(
        "How well near copies would be found here",
        "このデータでほぼ同一画像が見つかる割合",
        "Of {planted} copies made for a test (saved anew, lighter, half the size, cut, shifted, turned) "
        "{found} would be found; {proved} pairs were laid on each other, and the line is {line:.2f}.",
        "試験用に作った{planted}枚の変形コピー (再保存、明るさ、縮小、切り出し、移動、回転) のうち"
        "{found}枚が見つかります。"
        "{proved}組を位置合わせして照合しました (しきい値 {line:.2f})。",
        "Nothing need be done.",
        "対応は不要です。",
    ),
    "alike": _told(
        "The images are too alike to judge near copies",
        "画像が互いに似すぎていて、ほぼ同一画像は判定できません",
        "Of {planted} copies made for a test only {found} would be told from different images. "
        "Nobody is accused; exact copies were looked for all the same.",
        "試験用に作った{planted}枚の変形コピーのうち、別の画像と区別できたのは{found}枚だけでした。"
        "そのため指摘はしません。完全な重複の検査は行っています。",
        "Name the part of each image in a column group, since pictures cannot tell.",
        "画像からは分からないので、group 列に個体番号を記入してください。",
    ),
    "leak": _told(
        "Several images show one part, and no groups are given",
        "同じ個体の画像が複数あるのに、グループがありません",
        "With a random split a mere look-up of the most similar image is right in {random} of cases; with whole "
        "groups held out in {held_out} (classes weighed equally). {order}",
        "無作為な分割では最も似た画像を引くだけで{random}が正解になりますが、グループごと除くと{held_out}です "
        "(クラスを等しく重み付け)。{order}",
        'Use groups: --group "{rule}" makes {groups} of them from the names ({inside} of the proven pairs lie inside); '
        "with --fix OUT.csv they are written.",
        'グループを使ってください。--group "{rule}" で{groups}個のグループになります '
        "(照合済みの組の{inside}が同じグループ)。"
        "--fix OUT.csv で書き出せます。",
    ),
    "leak_unnamed": _told(
        "Many images are siblings, and no rule of their names tells which",
        "似た画像の組が多くありますが、名前からは個体が分かりません",
        "{siblings} of the images have a proven near copy. {order}",
        "画像の{siblings}に、照合済みのほぼ同一画像があります。{order}",
        "Name the part of each image in a column group; --group alike takes the proven pairs alone.",
        "group 列に個体番号を記入してください。--group alike は照合済みの組だけを使います。",
    ),
    "no_leak": _told(
        "No leak between images is seen",
        "画像間のデータ漏洩は見られません",
        "The most similar image is no nearer in the order of names than by chance ({share} within six places), "
        "and no grouping by name or time makes the look-up worse by five points.",
        "最も似た画像がファイル名の順で近くにある割合は{share}で、名前や時刻によるグループ化でも差は5ポイント未満です。",
        "Nothing need be done.",
        "対応は不要です。",
    ),
    "torn": _told(
        "Groups in two parts of the data: {torn}",
        "{torn}個のグループが分割をまたいでいます",
        "Images of one part of production are learnt from and tested on: {groups}.",
        "同じ個体の画像が学習用と評価用に分かれています: {groups}",
        "Give each group one part; --fix does.",
        "グループごとに1つの分割にしてください。--fix で書き出せます。",
    ),
    "few_groups": _told(
        "A class comes from one group only",
        "1つのグループだけからなるクラスがあります",
        "Class {classes} cannot be learnt from one part and tested on another.",
        "クラス {classes} は、別の個体で評価することができません。",
        "Take images of more parts of this class.",
        "このクラスの別の個体を撮影してください。",
    ),
    "one_class": _told(
        "There is one class only",
        "クラスが1つしかありません",
        "Only {classes} is there; telling apart needs two.",
        "{classes} だけでは分類できません。",
        "Add images of another class, or name the folder above.",
        "別のクラスの画像を加えるか、1つ上のフォルダを指定してください。",
    ),
    "few": _told(
        "Classes have fewer than {least} images",
        "{least}枚未満のクラスがあります",
        "So few images can hardly be learnt from, and prove nothing: {classes}.",
        "学習にも実証にも足りません: {classes}",
        "Take more images of these classes; `zansa plan` says how many.",
        "これらのクラスの画像を追加してください。必要数は `zansa plan` で分かります。",
    ),
    "imbalance": _told(
        "The classes are uneven",
        "クラス不均衡があります",
        "The largest class has {times} times as many images as the smallest: {classes}.",
        "最大のクラスは最小のクラスの{times}倍です: {classes}",
        "Training makes rare classes count more; judge by the rates of each class.",
        "学習では少ないクラスを重く扱います。クラスごとの率で判断してください。",
    ),
    "missing": _told(
        "Classes are missing in the part {part}",
        "分割 {part} にないクラスがあります",
        "There is no image of {classes} in it.",
        "{classes} の画像がありません。",
        "Move some whole groups of these classes there, or leave the split to zansa.",
        "グループ単位で一部を移すか、分割を zansa に任せてください。",
    ),
    "shortcut": _told(
        "A class can be told from {property} alone",
        "{property}だけでクラスが分かってしまいます",
        "Of the {m} images with the {tail} {property}, {n} are {label}, where {chance} would be usual (p {p}). If this "
        "is set by camera or cutting, the network may learn it in place of the defect.",
        "{property}が{tail} {m}枚のうち{n}枚が {label} です (通常なら{chance}枚、p {p})。"
        "カメラや切り出しで決まるものなら、欠陥の代わりに学習されるおそれがあります (近道学習)。",
        "Is it so? If yes, take or cut all images alike; if no, nothing need be done.",
        "心当たりがあれば、撮影や切り出しを統一してください。なければ対応は不要です。",
    ),
    "shortcut_effect": _told(
        "With few groups, shortcuts cannot be tested",
        "グループが少ないため、近道学習は検定できません",
        "There are {groups} groups; a test needs {least}. The strongest sign is {property}: of the {m} images with the "
        "{tail} values {n} are {label}.",
        "グループは{groups}個で、検定には{least}個必要です。最も強い兆候は{property}で、{tail} {m}枚のうち{n}枚が "
        "{label} です。",
        "Look at it; more parts would tell.",
        "確認してください。個体を増やせば検定できます。",
    ),
    "suspects": _told(
        "The label may be wrong: {images}",
        "{images}はラベル誤りの疑いがあります",
        "{how}. Of {flipped} labels changed on purpose for a test, {recalled} were found so; of the others "
        "{accused} is accused.",
        "{how}。試験のため意図的に変えた{flipped}枚のうち{recalled}枚が同じ方法で見つかり、ほかの画像の{accused}が"
        "指摘されました。",
        "Look at each picture; borderline ones belong to limit samples. --fix marks them in a column suspect.",
        "1枚ずつ確認してください。境界的なものは限度見本で判断します。--fix は suspect 列に印を付けます。",
    ),
    "labels_fine": _told(
        "No wrong label is suspected",
        "ラベル誤りの疑いはありません",
        "Of {flipped} labels changed on purpose for a test, {recalled} were found; of the others none is accused.",
        "試験のため意図的に変えた{flipped}枚のうち{recalled}枚が見つかり、ほかに疑わしいものはありません。",
        "Nothing need be done.",
        "対応は不要です。",
    ),
    "unchecked": _told(
        "This data cannot be checked for wrong labels yet",
        "このデータではラベル誤りを検査できません",
        "Of {flipped} labels changed on purpose for a test, only {recalled} were found where 2 % of the others are "
        "accused. Nobody is accused.",
        "試験のため意図的に変えた{flipped}枚のうち、ほかの2 %を指摘する条件で見つかったのは{recalled}枚だけでした。"
        "そのため指摘はしません。",
        "Have a second person label a hundred images anew; more images make it possible.",
        "100枚ほどを別の人が付け直してください。画像を増やせば検査できるようになります。",
    ),
    "most_only": _told(
        "Of so many images some checks saw a part",
        "枚数が多いため、一部の検査は標本で行いました",
        "{what} looked at {seen} of {all} images.",
        "{what}は{all}枚のうち{seen}枚を対象にしました。",
        "Nothing need be done.",
        "対応は不要です。",
    ),
}

ORDER_TOLD = {
    "en": "Of the images {share} have their nearest neighbour within six places of {order}, {shuffled} when shuffled.",
    "ja": "最も似た画像が{order}で6枚以内にある割合は{share}、並べ替えると{shuffled}です。",
}
HOW = {
    "siblings": {
        "en": "None of their five nearest neighbours has their label",
        "ja": "最も似た5枚のどれともラベルが一致しません",
    },
    "margins": {
        "en": "A small network that learnt them for a while held another label for more likely throughout",
        "ja": "小さなネットワークの学習中、一貫して別のラベルのほうが確からしいとされました",
    },
}
CHECKS = {
    "labels": {"en": "The check of labels", "ja": "ラベルの検査"},
    "near": {"en": "The search", "ja": "類似画像の探索"},
}
ORDERS = (
    {"en": "the order of names", "ja": "ファイル名の順"},
    {"en": "the order of number {k}", "ja": "{k}番目の数字の順"},
)
TAILS = {"low": {"en": "lowest", "ja": "最も小さい"}, "high": {"en": "highest", "ja": "最も大きい"}}
PROPERTIES: dict[str, Pair] = {
    "width": {"en": "image width", "ja": "画像の幅"},
    "height": {"en": "image height", "ja": "画像の高さ"},
    "aspect": {"en": "proportions (width to height)", "ja": "縦横比"},
    "area": {"en": "image size", "ja": "画像の大きさ"},
    "weight": {"en": "bytes per pixel", "ja": "1画素当たりのファイル容量"},
    "format": {"en": "file format", "ja": "ファイル形式"},
    "channels": {"en": "number of colours", "ja": "色数"},
    "depth": {"en": "bit depth", "ja": "ビット深度"},
    "quality": {"en": "JPEG compression", "ja": "JPEG圧縮の強さ"},
    "taken": {"en": "time of exposure", "ja": "撮影日時"},
    "hour": {"en": "hour of exposure", "ja": "撮影時刻"},
    "changed": {"en": "time of the file", "ja": "ファイルの更新日時"},
    "mean": {"en": "brightness", "ja": "明るさ"},
    "spread": {"en": "contrast", "ja": "コントラスト"},
    "low": {"en": "darkest points", "ja": "最も暗い部分の明るさ"},
    "high": {"en": "brightest points", "ja": "最も明るい部分の明るさ"},
    "grain": {"en": "fine grain", "ja": "細かなざらつき"},
    "step": {"en": "mean gradient", "ja": "濃淡の変化量"},
    "border": {"en": "brightness of the border", "ja": "縁の明るさ"},
    "border_spread": {"en": "contrast of the border", "ja": "縁のコントラスト"},
    "border_step": {"en": "border less middle brightness", "ja": "縁と中央の明るさの差"},
    "corner_0": {"en": "upper left corner's brightness", "ja": "左上隅の明るさ"},
    "corner_1": {"en": "upper right corner's brightness", "ja": "右上隅の明るさ"},
    "corner_2": {"en": "lower left corner's brightness", "ja": "左下隅の明るさ"},
    "corner_3": {"en": "lower right corner's brightness", "ja": "右下隅の明るさ"},
}
PAGE: dict[str, Pair] = {
    "errors": {"en": "Mend before training", "ja": "学習前に直すもの"},
    "warnings": {"en": "Look at these", "ja": "確認するもの"},
    "notes": {"en": "Good to know", "ja": "参考"},
    "none": {"en": "Nothing was found here.", "ja": "該当はありません。"},
    "what": {"en": "What to do", "ja": "次に行うこと"},
    "more": {"en": "and {n} more", "ja": "ほか{n}件"},
    "summary": {
        "en": "{images} in {classes} classes were looked at: {errors} things must be mended before training, "
        "{warnings} should be looked at.",
        "ja": "{classes}クラス、{images}を検査しました。学習前に直すものが{errors}件、"
        "確認するものが{warnings}件あります。",
    },
    "clean": {
        "en": "{images} in {classes} classes were looked at: nothing must be mended before training.",
        "ja": "{classes}クラス、{images}を検査しました。学習前に直すものはありません。",
    },
    "footer": {
        "en": "Made by zansa check. Nothing of the data was changed.",
        "ja": "zansa check が作成しました。データは変更していません。",
    },
    "data": {"en": "The data", "ja": "データ"},
    "class": {"en": "class", "ja": "クラス"},
    "all": {"en": "all", "ja": "合計"},
}


def worded(kind: str, images: int, facts: Mapping[str, Any], lang: str) -> dict[str, str]:
    """Title, why and do of a finding in a language."""
    told = FINDINGS[kind]
    filled = {**_translated(facts, lang), "images": images_text(images, lang)}
    return {name: getattr(told, name)[lang].format(**filled) for name in Told._fields}


def images_text(number: int, lang: str) -> str:
    """A number of images."""
    return counted(number, "image") if lang == "en" else f"{count(number)}枚"


def _translated(facts: Mapping[str, Any], lang: str) -> dict[str, Any]:
    """Facts whose values are keys of the tables above, in words."""
    words: dict[str, Any] = dict(facts)
    tables = {"property": PROPERTIES, "tail": TAILS, "how": HOW, "what": CHECKS}
    for name, table in tables.items():
        if facts.get(name) in table:
            words[name] = table[facts[name]][lang]
    if isinstance(facts.get("order"), Mapping):
        told = facts["order"]
        order = ORDERS[told["field"] > 0][lang].format(k=told["field"])
        words["order"] = ORDER_TOLD[lang].format(share=told["share"], shuffled=told["shuffled"], order=order)
    return words
