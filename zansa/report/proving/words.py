# ruff: noqa: E501
"""Every sentence of these pages, in English and Japanese; {} are places for values."""

SAID: dict[str, dict[str, str]] = {
    # --- plan
    "plan.title": {"en": "Plan of a proof", "ja": "実証計画"},
    "plan.passed": {
        "en": "The claim {0} can be shown with the test {1}s that are there{2}.",
        "ja": "主張する性能 {0} は、現在の評価用データで実証できる見込みです{2}。",
    },
    "plan.could": {
        "en": "The test {1}s that are there suffice for {0} if hardly any is mistaken; how good the model will be is not known.",
        "ja": "誤りがほとんどなければ、現在の評価用データで {0} を実証できます。モデルの性能はまだ不明です。",
    },
    "plan.failed": {
        "en": "The claim {0} cannot be shown yet{2}.",
        "ja": "主張する性能 {0} は、まだ実証できません{2}。",
    },
    "plan.chance": {
        "en": ": a model as good as expected passes with a chance of {0}",
        "ja": "（見込みどおりのモデルが合格する確率は {0}）",
    },
    "plan.next": {"en": "Next: {0}.", "ja": "次に行うこと：{0}。"},
    "plan.needs": {"en": "What it takes to show the claim", "ja": "実証に必要な個数"},
    "plan.needs.lead": {
        "en": "The claim is shown when the exact one-sided test of each of its numbers passes at {0} confidence. Counts "
        "are of {1}s of the test part, which nothing else may look at.",
        "ja": "主張の各数値について、信頼水準 {0} の片側正確検定に合格したとき「実証できた」とします。数は未使用の評価データの{1}数です。",
    },
    "plan.kind": {"en": "kind", "ja": "種別"},
    "plan.there": {"en": "there are", "ja": "現在"},
    "plan.least": {"en": "needed, without a mistake", "ja": "誤り0件なら必要"},
    "plan.power": {"en": "needed, to pass with {0}", "ja": "合格確率 {0} に必要"},
    "plan.up_to": {"en": "{0} with up to {1} mistakes", "ja": "{0}（誤り {1} 件まで可）"},
    "plan.if": {"en": ", if mistakes are {0} of those claimed", "ja": "（誤り率が主張の {0} の場合）"},
    "plan.now": {"en": "can be claimed today", "ja": "現在主張できる値"},
    "plan.chance.now": {"en": "chance to pass today", "ja": "現在の合格確率"},
    "plan.good": {"en": "good", "ja": "良品"},
    "plan.defective": {"en": "defective, all kinds", "ja": "不良品（全種別）"},
    "plan.recall": {"en": "detection ≥ {0}", "ja": "検出率 ≥ {0}"},
    "plan.false_alarms": {"en": "false alarms ≤ {0}", "ja": "過検出率 ≤ {0}"},
    "plan.none": {"en": "no number shows it", "ja": "何個でも不可"},
    "plan.enough": {"en": "{0} are enough", "ja": "{0} 個で足ります"},
    "plan.loosen": {
        "en": "{0} mistakes are expected and {1} are claimed: loosen the claim, or make the model better",
        "ja": "見込みの誤り率は {0}、主張は {1}：主張を緩めるか、モデルを改善してください",
    },
    "plan.near": {
        "en": "the model is too near to the claim for any number of them: loosen the claim",
        "ja": "見込みと主張が近すぎます：主張を緩めてください",
    },
    "plan.collect": {"en": "collect {0} more", "ja": "あと {0} 個集めてください"},
    "plan.or_claim": {"en": ", or claim {0}", "ja": "、または主張を {0} に変更"},
    "plan.expected.run": {
        "en": "Expected is what a trained run did on validation parts, plus one standard error: {0}.",
        "ja": "見込みは、学習済みモデルの検証用データでの結果に標準誤差1つ分を加えた値です：{0}。",
    },
    "plan.expected.curve": {
        "en": "Expected is what the small trainings did on validation parts, plus one standard error: {0}. The whole "
        "training is usually better: plan again with --like RUN after it.",
        "ja": "見込みは、短い試し学習の検証用データでの結果に標準誤差1つ分を加えた値です：{0}。本学習は通常これより良くなります。"
        "学習後に --like RUN で計画し直してください。",
    },
    "plan.expected.nothing": {
        "en": "Nothing is known of the model yet: numbers are given for a half, a third and a tenth of the claimed mistakes.",
        "ja": "モデルの性能はまだ不明です。主張の1/2、1/3、1/10の誤り率を仮定した数を示します。",
    },
    "plan.seen": {"en": "{0} of {1} {2} mistaken", "ja": "{2} {1} 個中 {0} 個が誤り"},
    "plan.curve": {"en": "What more data would bring", "ja": "学習曲線（データ量と性能）"},
    "plan.curve.lead": {
        "en": "Each point is {0} of {1} of the length, on nested shares of the training data. The error is the mean of the "
        "miss rate and the false-alarm rate on validation parts, where a part is rejected when it is more likely "
        "defective than not.",
        "ja": "各点は学習用データの一部だけを使った短い学習（{0}、長さ {1}）の結果です。誤り率は検証用データの見逃し率と過検出率の平均です。",
    },
    "plan.curve.trainings": {"en": "{0} trainings", "ja": "{0} 回"},
    "plan.curve.size": {"en": "training {0}s", "ja": "学習用{0}数"},
    "plan.curve.error": {"en": "error", "ja": "誤り率"},
    "plan.curve.ahead": {
        "en": "With {0} times the data: {1} (range {2} to {3}); now {4}.",
        "ja": "データが {0} 倍なら：{1}（範囲 {2}～{3}）、現在 {4}。",
    },
    "plan.curve.flat": {
        "en": "More of the same data does not help: the error does not fall with it.",
        "ja": "同種のデータを増やしても改善は見込めません（誤り率が下がっていません）。",
    },
    "plan.curve.hint": {
        "en": "The range is that of 72 measured curves; nothing is foretold beyond four times the data (extrapolation).",
        "ja": "範囲は72本の実測曲線によります。4倍を超える外挿は行いません。",
    },
    "plan.left_out": {"en": "Left out: {0}.", "ja": "省略：{0}。"},
    "plan.time": {"en": "Time, memory and energy", "ja": "時間・メモリ・消費電力量"},
    "plan.time.lead": {
        "en": "Foretold from a probe of a few steps on this machine; it does all else that a training does.",
        "ja": "この計算機での数ステップの試行から予測しました。",
    },
    "plan.time.busy": {
        "en": "Others use this machine now: on a quiet one it takes about {0}.",
        "ja": "現在ほかの処理が動いています。空いていれば約 {0} です。",
    },
    "plan.time.work": {"en": "work to be done", "ja": "作業"},
    "plan.time.now": {"en": "time", "ja": "時間"},
    "plan.time.cpu": {"en": "processor time", "ja": "CPU時間"},
    "plan.time.memory": {"en": "memory", "ja": "メモリ"},
    "plan.time.kwh": {"en": "energy", "ja": "消費電力量"},
    "plan.time.train": {"en": "training (zansa train)", "ja": "学習（zansa train）"},
    "plan.time.grow": {"en": "search (zansa grow)", "ja": "構造探索（zansa grow）"},
    "plan.time.running": {
        "en": "Running: about {0} an image on this machine, that is {1} images a second.",
        "ja": "実行時：この計算機で1枚当たり約 {0}（毎秒 {1} 枚）。",
    },
    "plan.power.given": {"en": "Energy is that of {0} W, as given.", "ja": "消費電力は指定の {0} W。"},
    "plan.power.measured": {"en": "Energy is measured: {0} W.", "ja": "消費電力は実測 {0} W。"},
    "plan.power.estimate": {
        "en": "Energy is an estimate from {0} W, to a factor of 2; --watts gives the true power.",
        "ja": "消費電力量は {0} W からの概算です（2倍の幅）。--watts で指定できます。",
    },
    "plan.money": {"en": "Does it pay?", "ja": "投資対効果"},
    "plan.money.pays": {
        "en": "It pays: a year saves {0} ({1} to {2}), and the investment of {3} is back after {4} years ({5} to {6}).",
        "ja": "採算が取れます：年間効果 {0}（{1}～{2}）、投資 {3} の回収期間は {4} 年（{5}～{6}）。",
    },
    "plan.money.late": {
        "en": "It does not pay within {7} years: a year saves {0} ({1} to {2}), and the investment of {3} is back after "
        "{4} years ({5} to {6}).",
        "ja": "{7} 年以内には採算が取れません：年間効果 {0}（{1}～{2}）、投資 {3} の回収期間は {4} 年（{5}～{6}）。",
    },
    "plan.money.never": {
        "en": "It does not pay: a year costs {0} more ({1} to {2}), so the investment of {3} never comes back.",
        "ja": "採算が取れません：年間 {0} の費用増（{1}～{2}）となり、投資 {3} は回収できません。",
    },
    "plan.money.row": {"en": "a year", "ja": "年間"},
    "plan.money.today": {"en": "today", "ja": "現状"},
    "plan.money.proposed": {"en": "proposed", "ja": "導入後"},
    "plan.money.difference": {"en": "saved", "ja": "効果"},
    "plan.money.misses": {"en": "missed defects", "ja": "見逃しの損失"},
    "plan.money.false_alarms": {"en": "false alarms", "ja": "過検出の費用"},
    "plan.money.asked": {"en": "asked of a person", "ja": "保留（目視確認）"},
    "plan.money.labour": {"en": "labour", "ja": "人件費"},
    "plan.money.energy": {"en": "energy", "ja": "電力"},
    "plan.money.maintenance": {"en": "maintenance", "ja": "保守"},
    "plan.money.retraining": {"en": "retraining", "ja": "再学習"},
    "plan.money.total": {"en": "total", "ja": "合計"},
    "plan.money.ranges": {
        "en": "Each figure is likely (low to high), in {0}, prices of {1}; the range of the saving is that of all prices "
        "at their best and at their worst.",
        "ja": "数値は 見込み（下限～上限）、単位 {0}、価格は {1} 時点。効果の範囲は全価格が最良・最悪の場合です。",
    },
    "plan.money.even.miss": {
        "en": "Break-even within {0} years: a missed defect that costs {1}.",
        "ja": "{0} 年での損益分岐点：見逃し1件の損失 {1}。",
    },
    "plan.money.even.parts": {
        "en": "Break-even within {0} years: {1} parts a year.",
        "ja": "{0} 年での損益分岐点：年間 {1} 個。",
    },
    "plan.money.decides": {
        "en": "What decides: {0}.",
        "ja": "結果を左右するもの：{0}。",
    },
    "plan.money.rates": {
        "en": "The model is taken to miss {0} of defective parts and to reject {1} of good ones.",
        "ja": "モデルの見逃し率 {0}、過検出率 {1} と仮定しています。",
    },
    "plan.footer": {
        "en": "Made by zansa. Exact limits: Clopper and Pearson 1934; both numbers of a claim are shown at the same "
        "confidence (intersection-union test).",
        "ja": "zansa が作成。信頼限界は正確法（クロッパー・ピアソン）によります。",
    },
    # --- compare
    "compare.title": {"en": "Comparison", "ja": "候補モデルの比較"},
    "compare.take": {
        "en": "Take {0}: of {1} within one standard error of the lowest cost it is the fastest.",
        "ja": "推奨：{0}。費用が最小のものから標準誤差1つ以内の {1} のうち最速です。",
    },
    "compare.only": {
        "en": "Take {0}: no other is within one standard error of its cost.",
        "ja": "推奨：{0}。標準誤差1つ以内に並ぶ候補はありません。",
    },
    "compare.candidates": {"en": "{0} candidates", "ja": "{0} 候補"},
    "compare.second": {"en": "The runner-up is {0}.", "ja": "次点は {0} です。"},
    "compare.best": {
        "en": "{0} has the lowest cost, but its lead is within chance: with more parts it may be the one to take.",
        "ja": "費用が最小なのは {0} ですが、差は偶然の範囲です。個数が増えれば選択が変わる可能性があります。",
    },
    "compare.offer": {
        "en": "{0} was as good on validation from {1} on ({2} of {3} at its end): a growth to {1} may do as well. "
        "A budget is a limit, not a wish.",
        "ja": "{0} は {1} の時点で検証用データの性能が同等でした（最終 {3} で {2}）。{1} の予算でも足りる見込みです。",
    },
    "compare.figures": {"en": "Side by side", "ja": "一覧"},
    "compare.lead": {
        "en": "Decided on {0} validation {1}s. The cost is {2}. Figures on test {1}s are shown and decide nothing.",
        "ja": "検証用データ {0}（{1}）で判定しました。費用は{2}です。評価用データの値は参考で、選択には使っていません。",
    },
    "compare.cost.balanced": {
        "en": "the share of wrong decisions, with good and defective weighing the same",
        "ja": "誤判定率（良品と不良品を同じ重みで平均）",
    },
    "compare.cost.priced": {"en": "the expected cost of one part", "ja": "1個当たりの期待費用"},
    "compare.name": {"en": "candidate", "ja": "候補モデル"},
    "compare.intervals": {
        "en": "Intervals: {0} confidence, exact.",
        "ja": "括弧内は信頼水準 {0} の信頼区間（正確法）。",
    },
    "compare.cost": {"en": "cost", "ja": "費用"},
    "compare.detection": {"en": "detection, validation", "ja": "検出率（検証）"},
    "compare.false_alarms": {"en": "false alarms, validation", "ja": "過検出率（検証）"},
    "compare.detection.test": {"en": "detection, test", "ja": "検出率（評価）"},
    "compare.false_alarms.test": {"en": "false alarms, test", "ja": "過検出率（評価）"},
    "compare.accuracy": {"en": "balanced accuracy, validation", "ja": "平均正解率（検証）"},
    "compare.ms": {"en": "time an image", "ja": "1枚当たり処理時間"},
    "compare.macs": {"en": "multiply-adds", "ja": "積和演算数"},
    "compare.params": {"en": "parameters", "ja": "パラメータ数"},
    "compare.bytes": {"en": "file", "ja": "ファイル"},
    "compare.seconds": {"en": "training", "ja": "学習時間"},
    "compare.front": {"en": "beaten by none", "ja": "パレート最適"},
    "compare.yes": {"en": "yes", "ja": "○ はい"},
    "compare.no": {"en": "no", "ja": "× いいえ"},
    "compare.differences": {"en": "Is the difference real?", "ja": "差は有意か"},
    "compare.against": {
        "en": "Each against {0}, which has the lowest cost. Tests flip the signs of whole parts; p-values are corrected "
        "for their number (Holm).",
        "ja": "費用が最小の {0} との比較です。個体単位の符号反転検定、Holm の補正済みです。",
    },
    "compare.difference": {"en": "costs more by", "ja": "費用の差"},
    "compare.p": {"en": "p", "ja": "p値"},
    "compare.real": {"en": "real", "ja": "有意差"},
    "compare.differ": {"en": "parts that differ", "ja": "判定が異なる個体"},
    "compare.not_worse": {"en": "not worse within {0} of parts", "ja": "{0} 以内で劣らない"},
    "compare.few": {
        "en": "Where fewer than 20 parts differ, a difference of the usual size cannot be seen.",
        "ja": "判定が異なる個体が20未満のときは、通常の大きさの差は検出できません。",
    },
    "compare.picture": {"en": "Cost of mistakes and time", "ja": "誤判定の費用と処理時間"},
    "compare.picture.hint": {
        "en": "Numbers are the rows of the table. Filled: beaten by none. Ringed: recommended.",
        "ja": "番号は表の行です。塗りつぶしはパレート最適、丸囲みは推奨です。",
    },
    "compare.footer": {
        "en": "Made by zansa. Intervals are exact; the rule is that of one standard error (Breiman et al. 1984), paired and by part.",
        "ja": "zansa が作成。区間は正確法、選択は標準誤差1つの規則（個体単位の対比較）によります。",
    },
    # --- poc
    "poc.title": {"en": "Proof of concept", "ja": "概念実証 (PoC)"},
    "poc.pass": {
        "en": "Pass: {0} is shown on the untouched test part.",
        "ja": "合格：{0} を未使用の評価データで実証できました。",
    },
    "poc.conditional": {"en": "Conditional pass: {0}.", "ja": "条件付き合格：{0}。"},
    "poc.fail": {"en": "Fail: {0} is not shown.", "ja": "不合格：{0} は実証できていません。"},
    "poc.open": {"en": "Not decided: {0} was not put to the test.", "ja": "未判定：{0} の受入試験は未実施です。"},
    "poc.gate": {"en": "The gate of the stage “{0}” failed: {1}.", "ja": "段階「{0}」の関門で停止：{1}。"},
    "poc.stage": {"en": "stage", "ja": "段階"},
    "poc.took": {"en": "time", "ja": "時間"},
    "poc.gate.head": {"en": "gate", "ja": "関門"},
    "poc.found": {"en": "what was found", "ja": "結果"},
    "poc.gate.passed": {"en": "passed", "ja": "○ 通過"},
    "poc.gate.failed": {"en": "failed", "ja": "× 停止"},
    "poc.gate.overridden": {"en": "failed, and overridden", "ja": "△ 停止（続行を指示）"},
    "poc.not_done": {"en": "not done", "ja": "未実施"},
    "poc.stages": {"en": "Stages and gates", "ja": "段階と関門"},
    "poc.stage.check": {"en": "data", "ja": "データ確認"},
    "poc.stage.plan": {"en": "plan", "ja": "計画"},
    "poc.stage.baseline": {"en": "baseline", "ja": "基準モデル"},
    "poc.stage.grow": {"en": "growth to the budget", "ja": "予算内での構造探索"},
    "poc.stage.compare": {"en": "comparison", "ja": "候補モデルの比較"},
    "poc.stage.point": {"en": "working point", "ja": "動作点"},
    "poc.stage.export": {"en": "exported file", "ja": "書き出し"},
    "poc.stage.accept": {"en": "acceptance test", "ja": "受入試験"},
    "poc.figures": {"en": "Acceptance", "ja": "受入試験の結果"},
    "poc.figure": {"en": "figure", "ja": "指標"},
    "poc.measured": {"en": "on the test part, by part", "ja": "評価用データ（個体単位）"},
    "poc.detection": {"en": "detection rate", "ja": "検出率"},
    "poc.false_alarms": {"en": "false-alarm rate", "ja": "過検出率"},
    "poc.number": {"en": "claimed", "ja": "主張"},
    "poc.number.recall": {"en": "detection of defective parts", "ja": "不良品の検出率"},
    "poc.number.false_alarms": {"en": "false alarms of good parts", "ja": "良品の過検出率"},
    "poc.mistakes": {"en": "mistakes", "ja": "誤り / 個数"},
    "poc.limit": {"en": "confidence limit", "ja": "信頼限界"},
    "poc.verdict": {"en": "verdict", "ja": "判定"},
    "poc.shown": {"en": "shown", "ja": "○ 実証できた"},
    "poc.not_shown": {"en": "not shown", "ja": "× 実証できていない"},
    "poc.claim": {"en": "The claim", "ja": "主張する性能（目標値）"},
    "poc.claim.lead": {
        "en": "{0}, at {1} confidence; written down on {2}, before anything learned.",
        "ja": "{0}（信頼水準 {1}）。学習開始前の {2} に記録しました。",
    },
    "poc.claim.data": {"en": "Data SHA-256 {0}", "ja": "データハッシュ値 SHA-256 {0}"},
    "poc.closed": {
        "en": "No stage before the acceptance test chose a network or a line by test images.",
        "ja": "受入試験より前の段階では、モデルや動作点の選択に評価用データを使っていません。",
    },
    "poc.signed": {"en": "Signed", "ja": "承認・審査・作成"},
    "poc.approved": {"en": "approved", "ja": "承認"},
    "poc.reviewed": {"en": "reviewed", "ja": "審査"},
    "poc.prepared": {"en": "prepared", "ja": "作成"},
    "poc.date": {"en": "name, date", "ja": "氏名・日付"},
    "poc.footer": {
        "en": "Made by zansa from the records in this folder; poc.yaml repeats the proof exactly.",
        "ja": "zansa がこのフォルダの記録から作成。poc.yaml により同じ手順を再現できます。",
    },
    "poc.raw": {"en": "{0}", "ja": "{0}"},
    "poc.why.check": {
        "en": "{0} images; {1} findings, {2} of them to be mended before training",
        "ja": "{0} 枚、指摘 {1} 件（うち学習前に要修正 {2} 件）",
    },
    "poc.why.series": {
        "en": "{0} series; {1} pairs of copies stand in two parts of the data, {2} have two labels",
        "ja": "{0} 件、学習と評価の混在（重複） {1} 組、ラベルの食い違い {2} 組",
    },
    "poc.do.leaks": {
        "en": "leave out one of {0} and {1}, which are the same, or give both one group",
        "ja": "{0} と {1} は同一です。一方を除くか、同じグループにしてください",
    },
    "poc.do.labels": {
        "en": "decide which label is right: {0} and {1} are the same",
        "ja": "{0} と {1} は同一でラベルが異なります。正しいラベルを決めてください",
    },
    "poc.why.unknown": {
        "en": "how good a model will be is not known yet",
        "ja": "モデルの性能はまだ不明です",
    },
    "poc.why.chance": {"en": "the chance to pass the test is {0}", "ja": "受入試験の合格確率 {0}"},
    "poc.why.baseline": {
        "en": "balanced accuracy on validation is at least {0}, and guessing has {1}",
        "ja": "検証用データの平均正解率は少なくとも {0}（当て推量は {1}）",
    },
    "poc.do.baseline": {
        "en": "look through the labels, give larger images (--size), or collect more of the rare classes",
        "ja": "ラベルを見直す、画像を大きくする（--size）、少ないクラスの画像を増やす、のいずれかを行ってください",
    },
    "poc.why.grow": {"en": "a network of {0} multiply-adds", "ja": "積和演算数 {0} のモデル"},
    "poc.why.compare": {"en": "{0} is recommended", "ja": "推奨：{0}"},
    "poc.why.refused": {"en": "there is no exported file: {0}", "ja": "書き出せませんでした：{0}"},
    "poc.why.export": {
        "en": "file and network differ by {0} in a probability, at most",
        "ja": "書き出したファイルとモデルの確率の差は最大 {0}",
    },
    "poc.why.no_file": {"en": "there is no exported file to be tested", "ja": "試験するファイルがありません"},
    "poc.why.shown": {"en": "the claim is shown", "ja": "主張を実証できた"},
    "poc.why.not_shown": {"en": "the claim is not shown", "ja": "主張を実証できていない"},
    "poc.do.none.recall": {
        "en": "collect defective test parts: there are none",
        "ja": "評価用の不良品を集めてください（0個）",
    },
    "poc.do.none.false_alarms": {
        "en": "collect good test parts: there are none",
        "ja": "評価用の良品を集めてください（0個）",
    },
    "poc.do.few.recall": {
        "en": "collect more defective test parts: {0} missed of {1} do not yet show at most {2}",
        "ja": "評価用の不良品を増やしてください：見逃し {0} / {1} では {2} 以下を実証できません",
    },
    "poc.do.few.false_alarms": {
        "en": "collect more good test parts: {0} rejected of {1} do not yet show at most {2}",
        "ja": "評価用の良品を増やしてください：過検出 {0} / {1} では {2} 以下を実証できません",
    },
    "poc.do.worse.recall": {
        "en": "{0} of {1} defective parts are missed, and at most {2} were claimed: loosen the claim, or collect more "
        "defective parts to learn from",
        "ja": "見逃し {0} / {1}（主張は {2} 以下）：主張を緩めるか、学習用の不良品を増やしてください",
    },
    "poc.do.worse.false_alarms": {
        "en": "{0} of {1} good parts are rejected, and at most {2} were claimed: loosen the claim, or collect more good "
        "parts to learn from",
        "ja": "過検出 {0} / {1}（主張は {2} 以下）：主張を緩めるか、学習用の良品を増やしてください",
    },
    "unit.part": {"en": "part", "ja": "個体"},
    "unit.image": {"en": "image", "ja": "画像"},
    "never": {"en": "never", "ja": "回収不能"},
}
