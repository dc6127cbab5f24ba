"""The words by which people call parts good and bad, in English, German, French, Spanish, Italian, Portuguese,
Japanese, Chinese, Korean, Vietnamese and Thai.

They are folded by their reader (`good._folded`): lower case, one form of width, Latin letters without their marks.
Words of several syllables that people write apart stand here as one.
"""

# Words that say good wherever they stand.
GOOD = """
good ok okay normal intact flawless faultless undamaged accept accepted acceptable conforming conform healthy
nondefective qualified approved compliant satisfactory pristine spotless unblemished
fehlerfrei gut gute guter gutes einwandfrei ordnung inordnung konform unversehrt fehlerlos makellos tadellos bestanden
bonne conforme acceptable accepte acceptee sain saine
bueno buena correcto correcta aceptado aceptada aceptable aprobado aprobada apto apta
buono buona buoni buone conformi idoneo idonea idonei accettato accettata accettabile integro integra
aprovado aprovada aceito aceita
binhthuong nguyenven
良品 良好 優良 正常 合格 異常なし 問題なし 適合 無傷 無欠陥 健全 良い
양품 양호 정상 합격 적합 무결함 무결점 적격 좋음
好品 正品 完好 无缺陷 无瑕疵 无异常 合规 好件 通过 通過
ดี ปกติ ผ่าน สมบูรณ์ ใช้ได้ ได้มาตรฐาน
"""
# These words say good only where a quarter of the other classes is bad.
MAYBE_GOOD = """
fine free none pass passed perfect clean clear sound valid correct regular working safe fresh golden unused okey io frei
passes usable functional standard sauber heil brauchbar
bon bien bom boa bem tot dat sano sana parfait parfaite perfecto perfecta perfetto perfetta perfeito perfeita pasa passa
passe cumple reussi reussie limpio limpia 正解 綺麗 きれい 정품 통과 好 可 干净 完整
"""
# Signs of one letter say good only where every other class is bad.
GOOD_SIGNS = "p g 良 合 優 优 ○ 〇 ◯ ✓ ✔ 양 합"
BAD_ROMANCE = """
mauvais mauvaise defaut defectueux defectueuse rebut rejete rejetee casse cassee rayure raye rayee fissure fissuree
tache tachee ebreche abime abimee endommage endommagee anomalie anormal anormale rouille echec manquant manquante
malo mala defecto defectuoso defectuosa rechazado rechazada rechazo roto rayado rayada grieta mancha falla fallo
fallado fallada danado danada dano abolladura oxidado oxidada anomalo anomala incorrecto incorrecta reprobado reprobada
cattivo cattiva cattivi difetto difetti difettoso difettosa difettosi scarto scarti scartato graffio graffi crepa rotto
rotta danneggiato danneggiata ammaccatura ruggine macchia rifiutato rifiutata fallito
ruim ruins defeito defeituoso defeituosa reprovado reprovada rejeitado rejeitada refugo riscado arranhao trinca quebrado
quebrada amassado amassada ferrugem falha avaria
"""
BAD_VIETNAMESE = "loi xau batthuong khuyettat trayxuoc phepham"
BAD = f"""
{BAD_ROMANCE} {BAD_VIETNAMESE}
bad ng nok nio fail failed failure faulty fault defect defective defekt reject rejected scrap rework flaw flawed
anomaly anomalous anomalie abnormal abnormality irregular imperfect imperfection invalid incorrect damage damaged
broken breakage crack cracked cracking microcrack scratch scratched dent dented chip chipped torn stain stained
contamination contaminated contaminant corrosion corroded rust rusty blowhole pinhole porosity pore pitted burr blister
bubble wrinkle misalignment misaligned deformed deformation bent foreign missing fray frayed uneven leak leakage crazing
inclusion scab spur mousebite solderbridge delamination discoloration discolored dirty dirt unsafe rotten tumor tumour
spalling chipping peeling flaking def defected debonded
malignant pneumonia infected parasitized disease diseased sick lesion unclean error noncompliant
ko unqualified disapproved blemish blemished spoiled spoilt substandard
schlecht schlechte schlechter schlechtes fehler fehlerhaft mangel mangelhaft kratzer riss beschaedigt schaden ausschuss
bruch gebrochen delle beule lunker verschmutzt verschmutzung rost pore grat makel einschluss unbrauchbar
不良 欠陥 異常 不適合 不具合 問題 傷 キズ きず 疵 クラック ひび ヒビ 割れ 欠け 打痕 汚れ ヨゴレ 異物 バリ ピンホール
異状 悪い 剥離 欠損 ムラ シワ しわ 膨れ フクレ カケ ワレ
変形 錆 サビ へこみ ヘコミ 凹み 剥がれ 気泡 破損 損傷 シミ 良くない 欠品 擦り傷 亀裂 不良品 廃棄
ボイド ゴミ ズレ ずれ 浮き 変色
불량 이상 결함 불합격 부적합 스크래치 균열 크랙 찍힘 오염 파손 긁힘 손상 이물 얼룩 비정상 결점 기포 들뜸 변색
부적격 탈락 나쁨 흠집 깨짐 찢어짐
坏 坏品 次品 废品 异常 缺陷 瑕疵 划痕 裂纹 裂缝 破损 损坏 污渍 残次品 故障 脏污 气孔 凹坑 问题
瑕 划伤 毛刺 凹陷 缺损 脱落 崩边 劣品 劣质 坏件 刮痕 刮伤 刮傷 擦伤 变形
污点 气泡 异物 断裂 开裂 锈蚀 不通过 毛邊 髒污
เสีย ผิดปกติ ชำรุด บกพร่อง ข้อบกพร่อง ตำหนิ แตก ร้าว บุบ สนิม รอยขีดข่วน รอยแตก ใช้ไม่ได้
"""
# These words say bad only where every other class but one is bad as well.
MAYBE_BAD = """
open short hole pit spot break patch patches scale void hot cold line finding issue problem wear worn
mal mau rota risco hong dr loose warped chip tear burn burned burnt f n × ✕ ✖ ✗ ✘ 否 不 劣 不可 x
"""
# No, and nothing of the kind is there: what follows is absent, whatever it is.
ABSENT = "no without ไม่มี ไร้ ohne kein keine keinen 無 无 没有 zero"
NOT = "not non isnt nicht ไม่ un 不 非 未 비 불 무"
GLUED_NOT = "un 不 非 未 비 무 불"  # only in front of a word, without a space between
# What stands before is absent or denied.
AFTER = "free less none absent frei los なし 無し ナシ 無 없음 아님 以外 ではない"
# Words that change nothing.
FILL = """
a an the is of from with has in and or yes present quality class classes type category label part piece product item
sample image img picture photo surface test data set unit area region object mit teil bild stueck von vom ist
品 部品 製品 の 画像 写真 サンプル 物 件 있음 제품 부품 이미지 품 产品 零件 图像 图片 样本 样品 有 あり 有り アリ
pieza pezzo pezzi peca ชิ้นงาน งาน ของ มี ภาพ 判定 クラス 製 級 データ 데이터 数据
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
# Little words of other languages, which count before words of these languages alone: SEM_crack was taken by an electron
# microscope, and sem_defeito is without a defect.
LITTLE = {"no": "sans sin senza sem", "with": "avec con com co", "not": "pas nao khong"}
