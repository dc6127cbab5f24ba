"""What a reader must know before trusting a figure."""

TABLE = {
    "These images were drawn by a program, not taken by a camera. The figures show how the tool works; they say nothing "
    "about real parts.": "これらの画像はプログラムで描いたもので、カメラで撮影したものではありません。数値は道具の動作を示すだけで、実際の製品については何も言えません。",
    "All figures come from the validation {image}s, on which the threshold and the stopping were chosen. Expect new "
    "{image}s to do worse.": "すべての数値は検証用の{image}によるものです。しきい値と学習の終了もこれで決めたため、新しい{image}では悪くなると考えてください。",
    "{pairs} of identical {image}s stand in two of training, validation and test, so the figures look better than they "
    "are.": "同一の{image}が学習用・検証用・評価用のうち二つに {pairs} 入っています（データ漏洩）。数値は実際より良く見えます。",
    "No groups were given. If several {image}s are of the same part, person or machine, they may stand in training and "
    "test, and the figures look better than they are.": "同一個体グループが指定されていません。同じ個体・人・機械の{image}が複数あると、学習用と評価用に分かれて入り、数値が実際より良く見えることがあります。",
    "What the weights of {file} had seen is not known. If {image}s of the test part were among it, the figures look "
    "better than they are.": "{file} の重みが何を学習したかは不明です。評価用の{image}が含まれていれば、数値は実際より良く見えます。",
    "The weights of {file} were learned from the same source, split in another way perhaps: they may have seen {image}s "
    "of the test part, and then the figures prove nothing.": "{file} の重みは同じデータから学習されたもので、分け方が違えば評価用の{image}を見ている可能性があります。その場合、数値は何の証拠にもなりません。",
    "The weights of {file} were learned from {count} of the test part, which is split in another way: the figures on them prove nothing.": "{file} の重みは、分け方が異なるため評価用のうち {count} を学習済みです。その数値は何の証拠にもなりません。",
    "The teacher {file} learned from {image}s of the test part, so the figures look better than they are.": "教師 {file} は評価用の{image}を学習に使っているため、数値は実際より良く見えます。",
    "A teacher that knows the answers": "答えを知る教師",
    "{name} with a linear head would be better: it names {best} of {many} held-out images, this network {right} of {few} "
    "validation images. It costs {price} an image in place of {ours}: `zansa finetune DATA --weights {name} --linear`. "
    "`--teacher {name} --unlabelled FOLDER` gives this network a part of that": "{name} に線形分類器を付ける方が良さそうです。学習に使わなかった画像 {many} 枚で {best}、このネットワークは検証用画像 {few} 枚で {right} が正解です。費用は一枚当たり {ours} に対し {price} です: `zansa finetune DATA --weights {name} --linear`。`--teacher {name} --unlabelled フォルダ` で、その一部をこのネットワークに移せます",
    "With so few {image}s the true rates can lie anywhere in these ranges. More test {image}s narrow them.": "{image}が少ないため、真の割合はこの範囲のどこにでもあり得ます。評価用の{image}を増やすと狭まります。",
    "The validation loss was still falling when the training ended (by {share} over the last {epochs} epochs). A longer "
    "training may do better: name a larger --epochs.": "学習の終了時にも検証損失が下がり続けていました（最後の {epochs} エポックで {share}）。--epochs を大きくすると良くなる可能性があります。",
    "The difference is larger than chance explains: the validation {image}s were too few or too like the training "
    "{image}s, or the test {image}s differ.": "差は偶然では説明できません。検証用の{image}が少なすぎるか学習用に似すぎている、または評価用の{image}が異なっています。",
    "It has trained {epochs}. ": "{epochs}まで学習しました。",
    "It has trained {done} of {planned} epochs. ": "{planned} エポックのうち {done} エポックまで学習しました。",
    "Each line says what was left out, read in part or converted, and why.": (
        "除外、一部のみの読み込み、変換とその理由を1行ずつ示します。"
    ),
    "They were used as told.": "ここに示したとおりに使用しました。",
    "Sections without data are left out, and the figures here can still change.": "データのない項目は省略しています。数値は今後変わることがあります。",
    "Fewer than {few} {image}s to learn from in {classes}.": "学習用の{image}が {few} 枚未満のクラスが {classes}あります。",
    "Fewer than {few} test {image}s in {classes}: their own figures say little.": "評価用の{image}が {few} 枚未満のクラスが {classes}あります。これらのクラスの数値はほとんど参考になりません。",
    "Not one {image} was named correctly in {classes}.": "{classes}では{image}を一枚も正しく分類できませんでした。",
    "It names {same} of {count} {image}s as the trained network does.": "{count} 枚中 {same} 枚の{image}だけが学習したネットワークと同じ分類になりました。",
    "… and {count} more": "… ほか {count} 件",
    "Synthetic images": "合成画像",
    "This run is not finished": "この実行は終わっていません",
    "No test figures": "評価用データの数値がありません",
    "Still improving at the end": "終了時にもまだ改善していました",
    "Told while it learned": "学習中の注意",
    "{name} cannot be read": "{name} を読めません",
    "Identical {image}s in two parts of the data": "同一の{image}の混在（データ漏洩）",
    "Remarks from reading the {image}s": "{image}の読み込み時の指摘",
    "`zansa plan` tells what more {image}s would bring.": "{image}を増やした場合の効果は `zansa plan` で見積もれます。",
    "Few training {image}s": "学習用の{image}が少ない",
    "They are enough to tell learning from chance, and too few to tell which of two good epochs, thresholds or networks is better: one {image} more or less changes the share of its class by ten points or more.": "偶然ではなく学習できたかどうかは分かりますが、良いエポック・しきい値・ネットワーク同士の優劣は分かりません。{image}一枚の違いがそのクラスの 10 ポイント以上に当たるためです。",
    "--folds 5 holds every {image} out once.": "--folds 5 で全{image}を一度ずつ評価に回せます。",
    "Every {image} was judged by one of {folds} networks that had not seen it or its group. The network handed over is another one, which learned from all of them in the same way; it had more to learn from, so it should not be worse.": "どの{image}も、それ自身とそのグループを見ていない {folds} 個のネットワークの一つで判定しました。引き渡すネットワークは同じ方法ですべてから学習した別のもので、学習データが多いため、悪くはならないはずです。",
    "All {image}s of these classes come from one or two parts. What is learned and what is proven is what these parts look like, however many pictures there are of them.": "これらのクラスの{image}はすべて一つか二つの個体のものです。枚数が多くても、学習し確認できるのはその個体の見え方だけです。",
    "Nothing was learned": "何も学習できませんでした",
    "Fewer than {few} validation {image}s in {classes}.": "検証用の{image}が {few} 枚未満のクラスが {classes}あります。",
    "Few validation {image}s": "検証用の{image}が少ない",
    "Classes of one or two parts": "個体が一つか二つのクラス",
    "Proven by folds": "交差検証による確認",
    "Few test {image}s": "評価用の{image}が少ない",
    "Learned weights": "学習済みの重み",
    "Split {image} by {image}": "{image}単位の分割",
    "Wide intervals": "信頼区間が広い",
    "Not clearly better than guessing": "当て推量より明らかに良いとは言えません",
    "Certainty not to be taken literally": "確からしさは確率として読めません",
    "Classes never recognised": "一度も正しく分類できなかったクラス",
    "Worse on test than on validation": "検証用より評価用で悪い",
    "The exported file answers differently": "書き出したファイルの答えが異なります",
    "What the network calls its certainty is off by {gap} on average. Rank by it, but do not read it as a probability.": "ネットワークの言う確からしさは平均 {gap} ずれています。順位付けには使えますが、確率としては読まないでください。",
    "Defects ({found}) are not clearly rejected more often than good parts ({thrown}).": "不良品の検出 ({found}) が良品の過検出 ({thrown}) より明らかに多いとは言えません。",
    "Always answering with the most frequent class would be right for {share} of the {image}s; this network is right for "
    "{right}.": "常に最多のクラスを答えるだけで{image}の {share} が正解になります。このネットワークの正解率は {right} です。",
    "{name}: {before} on validation, {after} on test": "{name}: 検証用 {before}、評価用 {after}",
}
