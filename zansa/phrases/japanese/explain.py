"""Why a network answers as it does."""

TABLE = {
    "layer-wise relevance: what each place added, followed back through every layer": (
        "層別関連性伝播（LRP）: 各位置の寄与を全層にわたり逆にたどったもの"
    ),
    "HiResCAM: what each place of a middle stage added": "HiResCAM: 中間ステージの各位置の寄与",
    "class map: what each place of the last stage added, exactly, and coarsely": (
        "クラスマップ: 最終ステージの各位置の寄与（正確、ただし粗い）"
    ),
    "occlusion: by how much the answer falls where a patch is blurred": ("遮蔽: 部分をぼかしたときの判定の低下量"),
    "Why {name} answers so": "{name} の判定根拠",
    "A map says what counted for the network, not whether it was right.": (
        "マップはネットワークが何を根拠にしたかを示すもので、判定の正しさは示しません。"
    ),
    "Images": "画像",
    "Which block decided": "どのブロックが決めたか",
    "{count} images are explained by {map}.": "{count} 枚の画像を次の方法で説明します。{map}。",
    "Red speaks for a defect, blue against it; the colours of all images have one scale.": (
        "赤は不良の根拠、青は良品の根拠です。色の尺度は全画像で共通です。"
    ),
    "Red speaks for the class that was named, blue against it; the colours of all images have one scale.": (
        "赤は判定されたクラスの根拠、青は反対の根拠です。色の尺度は全画像で共通です。"
    ),
    "No verdict is given on whether a map can be relied on: that was not calibrated for this model.": (
        "マップの信頼性はこのモデルでは較正していないため、判定しません。"
    ),
    "Left out: {reason}": "除外: {reason}",
    "The network names {name}; the log-odds of a defect are {odds}.": (
        "ネットワークの分類は {name}、不良の対数オッズは {odds} です。"
    ),
    "The network names {name}; the log-odds of it are {odds}.": (
        "ネットワークの分類は {name}、その対数オッズは {odds} です。"
    ),
    "The strongest place is at x {x}, y {y}.": "最も強い位置は x {x}、y {y} です。",
    "No place speaks clearly for it.": "はっきりした根拠となる位置はありません。",
    "With the shares of the classes held fixed, {whole} is explained: {places} by places, {offsets} by what the network "
    "adds to every image.": (
        "クラスの割合を固定すると説明されるのは {whole} で、内訳は各位置 {places}、全画像に共通のバイアス {offsets} です。"
    ),
    "Most was added by {blocks}.": "寄与が大きいブロック: {blocks}。",
    "On every image the blocks add up to the change from a network without them, to 1 %.": (
        "全画像で、ブロックの寄与の合計はブロックなしのネットワークとの差に 1 % 以内で一致します。"
    ),
    "On some images the blocks do not add up to the change from a network without them, to 1 %.": (
        "一部の画像では、ブロックの寄与の合計がブロックなしのネットワークとの差に 1 % 以内で一致しません。"
    ),
    "The size of what each block added, in the mean of these images.": "各ブロックの寄与の大きさ（画像の平均）",
}
