"""Every sentence of the depth page, English and Japanese, in one place."""

WORDS: dict[str, dict[str, str]] = {
    "title": {"en": "Depth seen as time", "ja": "深さを時間として見る"},
    "stages": {"en": "Verdict on each stage", "ja": "各ステージの判定"},
    "blocks": {"en": "Block by block", "ja": "ブロックごとの測定値"},
    "made": {"en": "How it became shorter", "ja": "ブロックを減らした経過"},
    "curves": {"en": "Accuracy against the number of blocks", "ja": "ブロック数と正解率"},
    "what": {
        "en": "A residual block adds a little to the stream, as a step of a solver adds a little to the state of a "
        "flow. Where neighbouring blocks add nearly the same, depth is time: steps can be taken longer, shorter or "
        "back. Everything here was measured on {count} samples.",
        "ja": "残差ブロックは、微分方程式の解法の一歩のように、流れに少しずつ値を足します。隣り合うブロックがほぼ"
        "同じものを足すとき、深さは時間とみなせ、歩幅を伸ばす・縮める・逆にたどることができます。以下は {count} "
        "件の標本で測りました。",
    },
    "smooth": {
        "en": "Stage {stage} is smooth: its {blocks} blocks are steps along one flow. Averaging, tying and projecting "
        "them is safe (a double step along every second block changes what the stage does by {doubled}).",
        "ja": "ステージ {stage} は滑らかです。{blocks} 個のブロックは一つの流れに沿った歩みで、平均・重み共有・射"
        "影が安全にできます（一つおきに歩幅を倍にしたときの変化は {doubled}）。",
    },
    "commuting": {
        "en": "Stage {stage} is rough but commuting: neighbours add different things, but hardly listen to each other. "
        "They can run side by side (that changes what the stage does by {beside}), and must not be averaged (a double "
        "step along every second block changes it by {doubled}).",
        "ja": "ステージ {stage} は粗いものの可換です。隣り合うブロックは別のものを足しますが、互いの出力にほとん"
        "ど依存しません。並列に並べられます（変化は {beside}）が、平均してはいけません（一つおきに倍の歩幅では変"
        "化は {doubled}）。",
    },
    "neither": {
        "en": "Stage {stage} is neither smooth nor commuting: each block builds on the one before it. Leave its blocks "
        "alone, or train after every change (side by side changes what the stage does by {beside}, a double step along "
        "every second block by {doubled}).",
        "ja": "ステージ {stage} は滑らかでも可換でもありません。どのブロックも前のブロックの出力を使っています。"
        "そのままにするか、変更のたびに学習し直してください（並列化での変化は {beside}、"
        "一つおきに倍の歩幅では {doubled}）。",
    },
    "short": {
        "en": "Stage {stage} has no two blocks that could be compared.",
        "ja": "ステージ {stage} には比較できる二つのブロックがありません。",
    },
    "invertible": {
        "en": "The way back through it is exact to {inversion}, so it can be trained without stored activations.",
        "ja": "逆向きにたどった誤差は {inversion} で、途中の値を保存せずに学習できます。",
    },
    "not_invertible": {
        "en": "The way back through it is wrong by {inversion}: it needs stored activations.",
        "ja": "逆向きにたどると誤差が {inversion} あり、途中の値の保存が必要です。",
    },
    "no_way_back": {
        "en": "It cannot be followed backwards, because an activation after each sum loses what was below zero.",
        "ja": "加算の後の活性化が負の値を失うため、逆向きにはたどれません。",
    },
    "legend": {
        "en": "size: share of the stream that the block changes, which is what deleting it costs. Next differs: how "
        "much what the next block adds differs from what this one adds, for the same input (0: equal, "
        "about 1.4: unrelated). Listens: how far this block changes what the next one adds (small: the two can run "
        "side by side). Weights: distance of the weights from the next block's (about 1.4: independent; it means "
        "something only between blocks of one descent). Truncation: the error of one step against two half steps. "
        "Double: the error of one double step in place of this block and the next. Back: the error of the step "
        "backwards.",
        "ja": "大きさ: ブロックが流れを変える割合（削除の影響）。次との差: 同じ入力に対し次のブロックが足すものと"
        "の差（0 は同じ、約 1.4 は無関係）。依存: このブロックが次のブロックの足すものを変える割合（小さければ並"
        "列化できる）。重み: 次のブロックの重みとの距離（約 1.4 は独立。由来が同じブロックの間でのみ意味がある）"
        "。打切り: 一歩と半歩二回の差。倍歩: 次と合わせて倍の一歩にした誤差。逆: 逆向きの一歩の誤差。",
    },
    "shortened": {
        "en": "From {before} blocks to {after}, without training; accuracy on validation samples went from {first} "
        "to {last}. Statistics of norms were taken anew after every edit.",
        "ja": "学習なしで {before} ブロックから {after} ブロックへ。検証標本での正解率は {first} から {last} にな"
        "りました。編集のたびに正規化の統計量を取り直しています。",
    },
    "refined": {
        "en": "Every step was split into two of half the length: from {before} blocks to {after}.",
        "ja": "各ステップを半分の長さの二つに分けました（{before} ブロックから {after} ブロック）。",
    },
    "healed": {"en": "Then it was trained for {epochs} epochs.", "ja": "その後 {epochs} エポック学習しました。"},
    "curve_note": {
        "en": "Each way alone, on validation samples. Milliseconds are those of the network in torch, one sample on "
        "one thread pool; the report has those of the exported file.",
        "ja": "各方法を単独で使った場合（検証標本）。時間は torch 上で 1 件あたり。書き出したファイルの時間はレポ"
        "ートにあります。",
    },
}
COLUMNS = {
    "at": {"en": "block", "ja": "ブロック"},
    "stage": {"en": "stage", "ja": "ステージ"},
    "way": {"en": "edit", "ja": "編集"},
    "changed": {"en": "foretold change", "ja": "予測した変化"},
    "loss": {"en": "loss", "ja": "損失"},
    "accuracy": {"en": "accuracy", "ja": "正解率"},
    "blocks": {"en": "blocks", "ja": "ブロック数"},
    "depth": {"en": "layers", "ja": "層数"},
    "macs": {"en": "multiply-adds", "ja": "積和演算"},
    "ms": {"en": "ms", "ja": "ミリ秒"},
    "scalar": {"en": "scalar", "ja": "係数"},
    "size": {"en": "size", "ja": "大きさ"},
    "size_times": {"en": "size × blocks", "ja": "大きさ × 数"},
    "apart": {"en": "next differs", "ja": "次との差"},
    "commutes": {"en": "listens", "ja": "依存"},
    "weights": {"en": "weights", "ja": "重み"},
    "truncation": {"en": "truncation", "ja": "打切り"},
    "doubling": {"en": "double", "ja": "倍歩"},
    "inversion": {"en": "back", "ja": "逆"},
}
WAYS = {
    "delete": {"en": "deleted", "ja": "削除"},
    "average": {"en": "averaged with the next", "ja": "次と平均"},
    "tie": {"en": "tied with the next", "ja": "次と重み共有"},
    "project": {"en": "stage projected to fewer steps", "ja": "少ない歩数へ射影"},
    "parallel": {"en": "runs beside the next, folded into one", "ja": "次と並列化し一つに畳み込み"},
}


def say(key: str, language: str = "en", **values: object) -> str:
    """A sentence in a language, with its figures."""
    return WORDS[key][language].format(**values)
