"""The good class is found by its name in eleven languages, and never where a name could mean something else."""

import itertools

import pytest
from torchvision.models import ResNet18_Weights
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights
from torchvision.models.video import R3D_18_Weights

from zansa.proof.good import good_class, speaks_of_inspection, unknown_good

# the first class is the good one
KNOWN = """
0_good / 1_scratch
good_parts / scratch
goodparts / badparts
GoodParts / BadParts
good parts / bad parts
good / 0 / 1
bottle_good / bottle_broken_large
good / bent_wire / cut_wire
good_weld / porosity
A_good / B_scratch
good / no_good
ok / no-good
ok / nok
ok / notok
OK / not OK
OK / Nicht OK
o.k. / n.o.k.
OKparts / NGparts
OK品 / NG品
ＯＫ / ＮＧ
OK / NG1 / NG2
01_OK / 02_NG_scratch / 03_NG_dent
G / NG
P / F
PASS / FAIL
accepted / rejected
Acceptable / Unacceptable
conforming / nonconforming
i.O. / n.i.O.
i. O. / n. i. O.
iO / niO
i_O / n_i_O
io / nio
no_crack / crack
no cracks / cracks
NoCrack / Crack
nocrack / crack
no_warpage / warpage
no_warpage / has_warpage
warpage_no / warpage_yes
warpage_none / warpage_small
warpage_free / warpage
crack_free / crack
crackless / cracked
uncracked / cracked
undamaged / damaged
defect_free / defective
without_defect / with_defect
free_of_defects / defects
non-defective / defective
NonDefective / Defective
faultfree / faulty
defect_none / defect_crack
fault_normal / fault_inner / fault_outer
normal_bearing / inner_race_fault
not bad / bad
normal / abnormal
NORMAL / PNEUMONIA
NORMAL / CNV / DME / DRUSEN
notumor / glioma / meningioma / pituitary
No_DR / Mild / Proliferate_DR
Uninfected / Parasitized
healthy / rust / scab
clean / dirty
MT_Free / MT_Blowhole / MT_Crack
Free / Blowhole / Break / Crack / Fray / Uneven
gut / schlecht
gut / Riss / Kratzer
Gutteile / Ausschuss
Gutteil / Schlechtteil
fehlerfrei / fehlerhaft
ohne_Fehler / mit_Fehler
frei von Fehlern / mit Fehlern
kein_Kratzer / Kratzer
keine Risse / Risse
in Ordnung / nicht in Ordnung
unbeschädigt / beschädigt
ohne_befund / befund
良品 / 不良品
良品 / 不良
良品 / 非良品
良品 / キズ / 汚れ
①良品 / ②不良品
外観良品 / 外観不良
正常 / 異常
正常品 / 異常品
合格 / 不合格
合格 / 不合格 / 要確認
良 / 否
○ / ×
〇 / ×
優良 / 不良
キズなし / キズあり
ｷｽﾞﾅｼ / ｷｽﾞ
異常なし / 異常あり
欠陥無し / 欠陥有り
無傷 / 傷
양품 / 불량
양품 / 불량품
정상 / 비정상
정상품 / 불량품
합격 / 불합격
결함 없음 / 결함 있음
스크래치없음 / 스크래치
正常 / 异常
合格品 / 次品
好品 / 坏品
无缺陷 / 有缺陷
没有裂纹 / 裂纹
正常データ / 異常データ
ok_front / def_front / unsure
无瑕 / 瑕疵
undefected / defected
无划伤 / 划伤
IO-Teile / NIO-Teile
Gut-Teile / NIO-Teile
正常产品 / 缺陷产品
이상없음 / 이상있음
良品A / 不良品B
cover_good / cover_missing
no_defect_detected / defect_detected
qualified / unqualified
approved / disapproved
bestanden / nicht bestanden
brauchbar / unbrauchbar
bon / mauvais
Bonnes / Mauvaises
bonne_piece / mauvaise_piece
conforme / non-conforme
OK / KO
ok / pas ok
sans défaut / avec défaut
sans_defaut / avec_defaut
accepté / rejeté
bon / rayure / fissuré
bueno / malo
buenas / malas
bien / mal
pasa / falla
pasa / no pasa
apto / no apto
conforme / no conforme
sin_defectos / con_defectos
sinDefecto / conDefecto
aprobado / rechazado
correcto / incorrecto
buono / cattivo
buoni / scarti
pezzi_buoni / pezzi_difettosi
conforme / non conforme
idoneo / non idoneo
senza difetti / con difetti
passa / non passa
integro / graffio / ammaccatura
bom / ruim
bom / mau
boa / ruim
aprovado / reprovado
conforme / não conforme
sem defeito / com defeito
sem_defeito / com_defeito
semdefeito / defeito
passa / falha
normal / anormal
良い / 悪い
良品 / ムラ / シワ
良品 / 割れ・欠け
良好 / 不良
通过 / 不通过
好件 / 坏件
良品 / 刮傷
통과 / 불통과
적격 / 부적격
좋음 / 나쁨
tốt / xấu
tot / xau
đạt / không đạt
dat / khong_dat
không lỗi / lỗi
không có lỗi / có lỗi
bình thường / bất thường
tốt / trầy xước
ดี / เสีย
ของดี / ของเสีย
งานดี / งานเสีย
ผ่าน / ไม่ผ่าน
ปกติ / ผิดปกติ
ไม่มีตำหนิ / มีตำหนิ
ใช้ได้ / ใช้ไม่ได้
"""

# another sense, two that say good, or nothing that says anything
UNKNOWN = """
free_kick / corner_kick / penalty
goods_train / passenger_train
normal_fault / reverse_fault
normal_fault / thrust_fault / strike_slip_fault
normal / fire / water
normal_map / depth_map
okapi / zebra
Io / Europa / Ganymede
fine_arts / sculpture
good_luck / thank_you
ok_hand / thumbs_up
goodyear / michelin
gutter / roof
passport / id_card
normandy / brittany
nook / kitchen
notebook / book
pass / shot / dribble
free / occupied
parking_free / parking_occupied
none / mild / severe
open / closed
clear / cloudy / rain
perfect / fifth / octave
fresh_apple / fresh_banana / rotten_apple
airplane / automobile / bird / cat / deer / dog / frog / horse / ship / truck
T-shirt / Trouser / Sandal / Bag
0 / 1 / 2 / 3 / 4 / 5 / 6 / 7 / 8 / 9
A / B / C / F / G / P
O / X
良 / 山 / 川 / 否
優 / 良 / 可 / 不可
crazing / inclusion / patches / pitted_surface / rolled-in_scale / scratches
Positive / Negative
yes / no
0 / 1
bad / worse
good / ok / bad
good_a / good_b
good / fine / bad
OK / ok / NG
mask / no_mask
with_mask / without_mask
screw / no_screw
label / no_label
hotdog / not_hotdog
dog / cat / no_dog
call / dislike / fist / ok / palm / peace / stop
speed_limit_20 / no_vehicles / vehicles / priority_road
Mexican hairless / hair slide / safe / bubble / canoe / desk / drum / flute
not_wrinkled / wrinkled
ng / nok
boa / python
tot / lebendig
sin / cos
SEM_crack / TEM_crack
SEM_image / optical_image
PAS / HE
vrai / faux
alto / basso
sim / nao
loại / khác
bonsai / carbon / tomate
bon / bien
Dat / Loc
standard / premium
"""


def rows(table):
    return [tuple(line.split(" / ")) for line in table.strip().splitlines()]


@pytest.mark.parametrize("classes", rows(KNOWN), ids="/".join)
def test_the_good_class_is_known(classes):
    for order in itertools.islice(itertools.permutations(classes), 6):
        assert good_class(order) == classes[0]
    assert unknown_good(classes) is None
    assert speaks_of_inspection(classes)


@pytest.mark.parametrize("classes", rows(UNKNOWN), ids="/".join)
def test_nobody_guesses(classes):
    assert good_class(classes) is None
    assert good_class(classes[::-1]) is None
    assert "--good " in unknown_good(classes)


def test_numbers_of_synsets_are_no_signs():
    assert not speaks_of_inspection(("n01443537", "n01629819"))
    assert speaks_of_inspection(("P", "F"))


@pytest.mark.parametrize(
    "weights", [ResNet18_Weights.DEFAULT, FasterRCNN_ResNet50_FPN_Weights.DEFAULT, R3D_18_Weights.DEFAULT], ids=str
)
def test_sets_of_everyday_things_are_no_inspection(weights):
    """The 1000 classes of ImageNet, 91 of COCO, 400 of Kinetics."""
    classes = tuple(weights.meta["categories"])
    assert good_class(classes) is None
    assert not speaks_of_inspection(classes)
    assert unknown_good(classes).startswith(f"the {len(classes)} classes are told apart as equals")


@pytest.mark.parametrize("change", [str.upper, str.lower, str.title, lambda name: f"  {name} (2)", "part_{}_x".format])
@pytest.mark.parametrize("pair", [("good", "scratch"), ("no_crack", "crack"), ("defect_free", "defective")])
def test_case_numbers_and_what_all_names_share_do_not_count(pair, change):
    good, bad = map(change, pair)
    assert good_class((bad, good)) == good


def test_an_electron_microscope_denies_nothing():
    """SEM and PAS are methods too: SEM_good is not bad, SEM_crack is not good."""
    assert good_class(("SEM_crack", "SEM_good")) == "SEM_good"
    assert good_class(("SEM_defect", "SEM_scratch")) is None
    assert good_class(("PAS_bad", "PAS_normal")) != "PAS_bad"


def test_one_class_or_none_is_no_question():
    assert good_class(()) is None
    assert unknown_good(("a",)) is None


def test_what_to_type_is_told_in_the_words_of_the_set():
    two = unknown_good(("good part", "ok", "bad"))
    assert "several class names say good (good part, ok)" in two
    assert two.endswith("--good 'good part'")
    assert "no image is accepted or rejected" in unknown_good(("crack", "part b"))
    assert unknown_good(("crack", "part b"), "series").endswith("--good 'part b'")  # the one that says nothing bad
    many = unknown_good(tuple("abcdefghij"))
    assert many.startswith("the 10 classes are told apart as equals")
    assert "accepted" not in many
