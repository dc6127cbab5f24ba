"""The network drawn: what its parts are."""

TABLE = {
    "{count} classes": "{count} クラス",
    "{count} channels": "{count} チャネル",
    "stride {stride}": "ストライド {stride}",
    "input": "入力",
    "local contrast over {count} pixels": "{count} 画素の局所コントラスト",
    "{size} convolution": "{size} 畳み込み",
    "norm and activation": "正規化と活性化",
    "max pool": "最大値プーリング",
    "linear layer": "線形層",
    "identity shortcut": "恒等ショートカット",
    "padded shortcut": "ゼロ埋めショートカット",
    "projected shortcut": "射影ショートカット",
    "convolved shortcut": "畳み込みショートカット",
    "average shortcut": "平均ショートカット",
    "no shortcut": "ショートカットなし",
    "global average pooling": "大域平均プーリング",
    "global max pooling": "大域最大プーリング",
    "global average and max pooling": "大域平均・最大プーリング",
    "{kind} step": "{kind} ステップ",
    "{kind} step with a learned scale": "学習した係数つき {kind} ステップ",
}
