"""What records hold as English sentences, made where no language is spoken yet: rules of working points, notes."""

TABLE = {
    "at most {share} of good parts are rejected, {basis}": "過検出率 {share} 以下、{basis}",
    "at least {share} of defective parts are found, {basis}": "検出率 {share} 以上、{basis}",
    "on validation {alarms} of {good} good parts and {found} of {faulty} defective ones are rejected": "検証用では良品 {good} 個中 {alarms} 個、不良品 {faulty} 個中 {found} 個を不良と判定",
    "on validation {alarms} of {good} good parts and {found} of {faulty} defective ones are rejected, and a person is asked about {asked} of {all}": "検証用では良品 {good} 個中 {alarms} 個、不良品 {faulty} 個中 {found} 個を不良と判定し、{all} 個中 {asked} 個を保留",
    "{needed} good parts are needed to promise this {basis}, and there are {count}": "{basis}保証するには良品が {needed} 個必要ですが、{count} 個しかありません",
    "least expected cost for {costs} when {share} of parts are defective": "不良率 {share} のとき {costs} の期待費用を最小化",
    "{train} images to learn from, {val} to decide by, {test} to prove it": "学習用 {train} 枚、検証用 {val} 枚、評価用 {test} 枚",
    "the classes are uneven ({few}, {many} images): rare ones are made to count in training (balance {balance}; --balance none switches it off)": "クラスの枚数が不均衡です（{few}、{many} 枚）。学習では少ないクラスを重く扱います（balance {balance}。--balance none で無効）",
    "the network is not clearly better than plain rules: {share} of its decisions on test images are right ({told}), with each side weighing the same; more or larger images (--size), more epochs, or labels looked through again, may help": "ネットワークは単純な規則より明らかに優れているとは言えません: 評価用画像での判定の {share} が正解（{told}、良品と不良品を同じ重みで評価）。画像を増やす・大きくする (--size)、エポックを増やす、ラベルを見直すと改善する可能性があります",
    "nobody is asked, since that pays below a price of {price} only": "目視確認は費用が {price} 未満の場合にのみ有利なため、保留はありません",
    "not calibrated, for lack of validation parts": "検証用の個体が足りないため較正していません",
    "the best chance to show {claim} on {defects} defective and {good} good parts, about {share}": "{claim} を不良品 {defects} 個・良品 {good} 個で実証できる確率が最大（約 {share}）",
    "it was not asked for (--curve none)": "指定により省略（--curve none）",
    "the validation part has no defective or no good part": "検証用データに不良品または良品がありません",
    "no learning curve: the rarest class has {rarest} separate parts, and {needed} are needed for a quarter, a half and the whole of the data; collect more of it": "学習曲線なし：最も少ないクラスは {rarest} 個で、1/4・1/2・全量の学習には {needed} 個必要です。追加してください",
    "{file} lacks {names}": "{file} に {names} がありません",
    "commonest class {share}": "常に最多クラス {share}",
    "nearest thumbnail {share}": "縮小画像の最近傍 {share}",
    "plain statistics {share}": "画像の統計量 {share}",
    "given by hand, promises nothing": "手動で指定（保証なし）",
}
