"""A network at work: the watch, the queue of people, learning again."""

TABLE = {
    "parts": "部品数",
    "spread of the score within a lot": "ロット内のスコアのばらつき",
    "share of rejected parts": "不良判定の割合",
    "margin between two classes": "上位2クラスの差",
    "doubt of the answer": "判定の迷い（エントロピー）",
    "brightness": "明るさ",
    "contrast": "コントラスト",
    "sharpness": "鮮鋭度（ピント）",
    "darkest level": "最も暗い階調",
    "brightest level": "最も明るい階調",
    "share of saturated points": "白飛びの割合",
    "brightness from top to bottom": "上下の明るさの差",
    "share on which the second network disagrees": "並行モデルとの判定の不一致率",
    "feature component {number}": "特徴量の主成分 {number}",
    "what the feature components leave over": "主成分で表せない特徴量の残差",
    "distance to the nearest parts of the calm time": "安定期の最も近い部品との距離",
    "median picture (dirt, shift)": "中央値画像（汚れ・位置ずれ）",
    "higher than before": "以前より高い",
    "lower than before": "以前より低い",
    "more spread than before": "以前よりばらつきが大きい",
    "no direction": "方向なし",
    "learn again": "再学習する",
    "move the line only": "しきい値だけを変更する",
    "look at more parts first": "先に目視確認を増やす",
    "find and remove the cause first": "先に原因を突き止めて取り除く",
    "do nothing": "何もしない",
    "more defects are missed than is accepted": "見逃し率が許容値を超えている",
    "it is not shown that few enough defects are missed": "見逃し率が許容値以下であることが示されていない",
    "more good parts are rejected than is accepted": "過検出率が許容値を超えている",
    "a warning is open": "未確認の警告がある",
    "the last look is a year ago": "前回の確認から1年が経過した",
    "the gain does not pay": "効果が費用に見合わない",
    "it is not shown that it misses no more defects": "見逃しが増えないことが示されていない",
    "it is not shown that it raises no more false alarms": "過検出が増えないことが示されていない",
    "it misses a confirmed escape that nobody has waived": "許容されていない確認済みの流出品を見逃す",
    "its expected cost is higher": "期待費用が高くなる",
    "the same picture again and again": "同じ画像が続いている",
    "pictures without anything in them": "何も写っていない画像が続いている",
    "people have named a new kind of defect: {name}": "新しい種類の欠陥が判定者から報告された: {name}",
    "Time line": "時系列",
    "The last lots against the calm time": "直近のロットと安定期の比較",
    "Pictures": "画像",
    "What people found": "人の確認結果",
    "Without labels": "ラベルなしの推定",
    "What is promised": "保証の内容",
    "Made by zansa watch.": "zansa watch による監視ページ。",
    "Stop: the camera seems dead ({why}).": "停止: カメラの異常が疑われます（{why}）。",
    "The calm time is being learned: {units} of {calm} lots are there, and nothing is watched yet.": (
        "安定期を記録中です: {calm} ロット中 {units} ロット。監視はまだ始まっていません。"
    ),
    "Calm: {watched} lots after the calm time, no open warning.": (
        "異常なし: 安定期の後の {watched} ロットに未確認の警告はありません。"
    ),
    "Warnings: {count}": "警告: {count} 件",
    "Version {acting} acts by now and has judged no part yet; all of this is of version {version}.": (
        "現在はバージョン {acting} が動作中ですが、まだ判定した部品がありません。以下はすべてバージョン {version} についてです。"
    ),
    "The store has no file of the model that acts, so it is not known which version acts by now.": (
        "保管先に動作中のモデルのファイルがないため、現在どのバージョンが動作しているかは不明です。"
    ),
    "{statistic}: {way}, since {time}, lot {lot}; told at {told}, lot {told_lot}.": (
        "{statistic}: {way}。変化点は {time}、ロット {lot}。検知は {told}、ロット {told_lot}。"
    ),
    "moved by {shift} of the ranks; p = {p}{alarm}": "順位の移動 {shift}、p = {p}{alarm}",
    " – changed": " – 変化あり",
    "A change is large from about 0.2 on: then 7 of 10 parts lie beyond the old middle. The largest is first.": (
        "移動量が約0.2以上なら大きな変化です（10個中7個が以前の中央値を超える）。変化の大きい順に並べています。"
    ),
    "no images are kept": "画像が保存されていません",
    "defects among accepted parts": "合格品中の不良（見逃し）",
    "good among rejected parts": "不合格品中の良品（過検出）",
    "known defects sent through": "既知の不良品の投入",
    "{hits} of {count} were rejected": "{count} 個中 {hits} 個を不良と判定",
    "No warning, but a reason to look: the last lots differ in {statistics}.": (
        "警告ではありませんが、確認をお勧めします。直近のロットで変化: {statistics}"
    ),
    "about {value} ({low} to {high}) of {of}, from {looked} that people looked at": (
        "{of} 個中 約 {value} 個（信頼区間 {low}～{high}）、目視確認 {looked} 個からの推定"
    ),
    "; corrected, since people recognised {recognised} of {shown} known defects": (
        "（判定者が既知の不良 {shown} 個中 {recognised} 個を認めたことにより補正）"
    ),
    "{looks} accepted parts without a find show less than {share} defects among them: {days} days at 50 a day": (
        "合格品 {looks} 個を確認して不良が0個なら、不良は {share} 未満と示せます: 1日50個で {days} 日"
    ),
    "Nobody has looked yet; `zansa review STORE --plan 50` chooses what to look at.": (
        "まだ目視確認がありません。`zansa review STORE --plan 50` で確認する部品を選びます。"
    ),
    "accuracy, estimated: {now} (then {then})": "正解率の推定値: {now}（当時 {then}）",
    "share of defects, estimated: {now}": "不良率の推定値: {now}",
    "the share of defects is not estimated while a warning is open": "警告が未確認の間は不良率を推定しません",
    "assumes that nothing new appears: the same kinds of parts as at the acceptance": (
        "新しいものが現れないこと（受入時と同じ種類の部品）を仮定"
    ),
    "assumes that only the share of defects moves, and that parts and pictures look as before": (
        "不良率だけが変わり、部品と画像の様子は以前と同じであることを仮定"
    ),
    "no run was named; --reference RUN brings its validation samples": (
        "学習結果が指定されていません。--reference RUN で検証用の個体を使えます"
    ),
    "While nothing changes, all charts together give at most {alarms} false warnings a year on average, with lots as "
    "the unit. Changes within the margin of a calm time of {calm} lots are tolerated.": (
        "変化がない間、すべての管理図を合わせた誤警報は平均で年 {alarms} 回以下です（単位はロット）。"
        "安定期 {calm} ロットの誤差範囲内の変化は許容します。"
    ),
    "lots in the calm time, parts in them": "安定期のロット数と部品数",
    "lots a year at this pace": "この頻度での年間ロット数",
    "parts in lots too small to count": "小さすぎて数えないロットの部品数",
    "version and file": "バージョンとファイル",
    "last record of the chain": "記録の連鎖の最終ハッシュ",
    "Each line is the evidence that a statistic has changed, lot by lot over {units} lots; the dashed line is where a warning is given.": (
        "各線は「変化した」という証拠の強さをロットごとに示します（{units} ロット）。破線を超えると警告します。"
    ),
    "calm time": "安定期",
    "now": "現在",
    "difference": "差",
    "The median of the pictures of a lot: what stays in one place, such as dirt on the lens, is seen in it, and the parts are not.": (
        "ロット内の画像の中央値です。レンズの汚れのように同じ場所にあるものが見え、個々の部品は消えます。"
    ),
    "Typical of the change: {statistic}": "変化の典型例: {statistic}",
    "nearest of the calm time": "安定期で最も近いもの",
    "before, at its line": "変更前（変更前のしきい値）",
    "after, at its own line": "変更後（変更後のしきい値）",
    "after, at the line of before": "変更後（変更前のしきい値）",
    "warning acknowledged": "警告を確認",
    "decided": "判断",
    "compared": "比較",
    "promotion begun": "切替を開始",
    "promoted": "切替完了",
    "rollback begun": "切戻しを開始",
    "rolled back": "切戻し完了",
    "refused": "拒否",
    "Decision": "判断",
    "Records": "記録",
    "Change of an inspection (4M change: method)": "検査方法の変更（4M変更：方法）",
    "Made by zansa retrain.": "zansa retrain による変更報告。",
    "nothing that was measured asks for it": "測定結果に再学習を求めるものはない",
    "Decision: {do} – {why}.": "判断: {do} – {why}。",
    "The new network may act: on {parts} parts it is not worse by more than {margin}, and it finds {found} of "
    "{escapes} confirmed escapes.": (
        "新しいモデルを使用できます: {parts} 個の部品で {margin} を超える悪化がなく、"
        "確認済みの流出品 {escapes} 個中 {found} 個を検出します。"
    ),
    "its line: {rule}": "しきい値: {rule}",
    "rare classes were shown more often in training: {rare}": "少ないクラスは学習時に多く提示: {rare}",
    "it learned for {longer} times as many epochs as the run, because of them": (
        "そのため、エポック数を元の学習の {longer} 倍にしました"
    ),
    "its last weights were kept: too few validation parts of {few} to find the best": (
        "最後の重みを採用（{few} の検証用部品が少なく、最良の時点を決められないため）"
    ),
    "as the run asked for it": "学習時の指定どおり",
    "by the usual rule; nobody asked for a line, and none was accepted": "標準の規則（しきい値の指定も許容値もないため）",
    "by the usual rule; there are too few good validation parts to draw it by what is accepted": (
        "標準の規則（検証用の良品が少なく、許容値では決められないため）"
    ),
    "by the false alarms that are accepted, since the run asked for no line": (
        "許容された過検出率による（学習時にしきい値の指定がないため）"
    ),
    "it rejects more good parts than before, {rate} (at most {high}), and that is not above the accepted "
    "{accepted} by more than {margin}": (
        "過検出は以前より多く {rate}（上限 {high}）ですが、許容値 {accepted} に対する超過は {margin} 以内です"
    ),
    "confirmed escapes: {escapes}; it was made with {learned} of them, so that finding these tells nothing of others": (
        "確認済みの流出品: {escapes} 個。うち {learned} 個は学習・検証に使ったため、その検出は他の流出品についての証拠になりません"
    ),
    "people let it miss: {waived}; the reasons stand in the records": "見逃しを許容した流出品: {waived}（理由は記録にあります）",
    "escapes waived": "流出品の見逃しを許容",
    "The new network may not act: {why}.": "新しいモデルは使用できません: {why}。",
    " ({parts} such parts were compared; it takes {needed} or more)": "（比較した該当部品は {parts} 個、少なくとも {needed} 個必要）",
    "Records of changes: {count}": "変更の記録: {count} 件",
    "missed defects": "見逃し率",
    "rejected good parts": "過検出率",
    "not measured": "未測定",
    "{value} ({low} to {high})": "{value}（{low}～{high}）",
    "; accepted: {most}": "、許容値 {most}",
    "expected gain until the next look: {gain}, with a chance of {chance} to be above 0 (assumed: a training "
    "mends 20 to 80 % of what is wrong)": (
        "次回判断までの期待効果: {gain}、正になる確率 {chance}（再学習で誤りの20～80 %が直ると仮定）"
    ),
    "{who}: {missed} of {defects} defects missed, {false_alarms} of {good} good parts rejected": (
        "{who}: 不良 {defects} 個中 見逃し {missed} 個、良品 {good} 個中 過検出 {false_alarms} 個"
    ),
    "judged parts that the new network contradicts, to be read again by others: {again}": (
        "新しいモデルの判定と食い違う確認結果（別の判定者が再確認）: {again} 個"
    ),
    "The network before and after": "変更前と変更後のモデル",
    "McNemar's exact test of equal rates, over parts: p = {p}": "マクネマー正確検定（部品単位）: p = {p}",
    "nothing was decided this time": "今回は判断を行っていません",
    "nothing was compared": "今回は比較を行っていません",
    "parts that were right before and are wrong now: {count}": "以前は正しく、新たに誤判定となった部品: {count} 個",
    "Every record holds the hash of the one before; the last is {hash}.": (
        "各記録は直前の記録のハッシュを含みます。最後のハッシュ: {hash}"
    ),
}
