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
    "What was explained": "説明",
    "The known {image}s most like it, the nearest first, and the nearest of each class in question:": (
        "最も似ている既知の{image}（近い順）と、関係する各クラスで最も近いもの"
    ),
    "How far a map can be relied on": "マップの信頼性",
    "Which block decided": "どのブロックが決めたか",
    "{count} explained by {map}.": "{count}を次の方法で説明します。{map}。",
    "Red speaks for a defect, blue against it; the colours of all {image}s have one scale.": (
        "赤は不良の根拠、青は良品の根拠です。色の尺度は全{image}で共通です。"
    ),
    "Red speaks for the class that was named, blue against it; the colours of all {image}s have one scale.": (
        "赤は判定されたクラスの根拠、青は反対の根拠です。色の尺度は全{image}で共通です。"
    ),
    "Verdicts on the maps: {words}.": "マップの評価: {words}。",
    "rely": "信頼できる",
    "with care": "注意して使う",
    "do not rely": "信頼できない",
    "map not shown": "マップ非表示",
    "nothing to mark": "指摘箇所なし",
    "What these words are worth cannot be calibrated here: no masks of defects were given.": (
        "この評価は較正できません。欠陥のマスクが与えられていないためです。"
    ),
    "Whether the maps are this network's own was not measured: that takes 8 {image}s, or --data.": (
        "マップがこのネットワーク固有かは測定していません。{image}が 8 件以上、または --data が必要です。"
    ),
    "No map of a rejected {image} is shown: with shuffled weights the network draws nearly the same ones (rank "
    "correlation {value}).": (
        "不合格の{image}のマップは表示しません。重みをかき混ぜたネットワークでもほぼ同じマップになるためです"
        "（順位相関 {value}）。"
    ),
    "With shuffled weights the network draws other maps (rank correlation {value}).": (
        "重みをかき混ぜたネットワークのマップは異なります（順位相関 {value}）。"
    ),
    "Left out: {reason}": "除外: {reason}",
    "{count} of {all} {noun}s; --most takes more": "{noun} {all} 件中 {count} 件（--most で増やせます）",
    "As it was read: {note}.": "読み込み時: {note}。",
    "The network names {name}; the log-odds of a defect are {odds}.": (
        "ネットワークの分類は {name}、不良の対数オッズは {odds} です。"
    ),
    "The network names {name}; the log-odds of it are {odds}.": (
        "ネットワークの分類は {name}、その対数オッズは {odds} です。"
    ),
    "The strongest place is at x {x}, y {y}.": "最も強い位置は x {x}、y {y} です。",
    "The strongest place is number {at}.": "最も強い位置は {at} 番目です。",
    "The strongest place is letter {at} (… {letters} …).": "最も強い位置は {at} 文字目です（… {letters} …）。",
    "No place speaks clearly for it.": "はっきりした根拠となる位置はありません。",
    "The network accepts it, so no place is marked as a defect, and no verdict is given.": (
        "合格と判定したため、欠陥として指摘する位置はなく、評価もしません。"
    ),
    "In such cases the strongest place was the defect: {rate}.": "同じ評価の例で最も強い位置が欠陥だった割合: {rate}。",
    "Why not better: {faults}.": "評価を下げた理由: {faults}。",
    "; ": "、",
    "The region that is marked most: p = {p} against that region elsewhere; alone it brings back {share}; under small "
    "changes the map keeps a rank correlation of {kept}.": (
        "最も強く示された領域: 別の位置との比較で p = {p}、この領域だけで判定の {share} を再現します。"
        "わずかな変化に対するマップの順位相関は {kept} です。"
    ),
    "maps of this kind add up to nothing that could be checked": "この種類のマップには検算できる合計がない",
    "its places miss {share} of the decision": "各位置の合計が判定と {share} 食い違う",
    "whether it is this network's own was not measured": "このネットワーク固有のマップかを測定していない",
    "a network with shuffled weights draws nearly the same map": (
        "重みをかき混ぜたネットワークでもほぼ同じマップになる"
    ),
    "the marked region alone brings back less than half of the decision": (
        "示された領域だけでは判定の半分も再現しない"
    ),
    "the marked region matters no more than that region elsewhere": "示された領域の影響が別の位置と変わらない",
    "it changes where the {image} is changed by what nobody sees": "目に見えない変化でマップが変わる",
    "only {count} of 5 known {image}s like it are defects too (or of the class that was named)": (
        "似た既知の{image} 5 件のうち、不良（または同じクラス）は {count} 件だけ"
    ),
    "The verdict on a map is the weakest of five checks. Where the first or the second fails, no map is shown.": (
        "マップの評価は五つの検査のうち最も低いものです。第一か第二の検査で不合格のとき、マップは表示しません。"
    ),
    "complete: its places and what every {image} is given add up to the decision": (
        "完全性: 各位置と、全{image}に共通の分との合計が判定に一致する"
    ),
    "to 1 %": "1 % 以内",
    "specific: the same network with shuffled weights draws other maps": (
        "固有性: 重みをかき混ぜた同じネットワークは別のマップになる"
    ),
    "rank correlation at most 0.2": "順位相関 0.2 以下",
    "faithful: the region that is marked most matters more than that region elsewhere": (
        "忠実性: 最も強く示された領域は、同じ形の別の位置より影響が大きい"
    ),
    "p at most 0.05, and the region alone brings back half of the decision": (
        "p が 0.05 以下、かつ領域だけで判定の半分を再現"
    ),
    "stable: it stays where the {image} is changed by what nobody sees": (
        "安定性: 目に見えない変化ではマップが変わらない"
    ),
    "rank correlation at least 0.7": "順位相関 0.7 以上",
    "neighbours: the known {image}s like it are defects too (or of the class that was named)": (
        "近傍: 似た既知の{image}も不良である（良品クラスがなければ同じクラス）"
    ),
    "4 of 5": "5 件中 4 件",
    "What the words are worth cannot be calibrated here. With --masks FOLDER, masks of defects named like the run's "
    "images, it is counted on validation images.": (
        "この評価は較正できません。--masks FOLDER（画像と同じ名前の欠陥マスク）を指定すると、検証用の画像で較正します。"
    ),
    "Counted on {count} rejected validation images with a marked defect: how often the strongest place lay on it, or beside it "
    "by a twentieth of the longer side. A place drawn by lot would in {chance}. On a good part that is rejected, "
    "nothing that is marked is a defect.": (
        "不合格と判定されたマスク付き検証用画像 {count} 枚で、最も強い位置が欠陥の上、または長辺の 20 分の 1 以内にあった割合です。"
        "無作為な位置なら {chance} です。不合格とされた良品では、示された位置は欠陥ではありません。"
    ),
    "the strongest place was the defect": "最も強い位置が欠陥",
    "With the shares of the classes held fixed, {whole} is explained: {places} by places, {offsets} by what the network "
    "adds to every {image}.": (
        "クラスの割合を固定すると説明されるのは {whole} で、内訳は各位置 {places}、全{image}に共通のバイアス {offsets} です。"
    ),
    "Most was added by {blocks}.": "寄与が大きいブロック: {blocks}。",
    "On every {image} the blocks add up to the change from a network without them, to 1 %.": (
        "全{image}で、ブロックの寄与の合計はブロックなしのネットワークとの差に 1 % 以内で一致します。"
    ),
    "On some {image}s the blocks do not add up to the change from a network without them, to 1 %.": (
        "一部の{image}では、ブロックの寄与の合計がブロックなしのネットワークとの差に 1 % 以内で一致しません。"
    ),
    "The size of what each block added, in the mean of these {image}s. Strong colours: more.": (
        "各ブロックの寄与の大きさ（{image}の平均）。色が濃いほど大きい。"
    ),
    "map of a series": "系列のマップ",
}
