"""What records hold as English sentences, made where no language is spoken yet: rules of working points, notes."""

TABLE = {
    "at most {share} of good parts are rejected, {basis}": "過検出率 {share} 以下、{basis}",
    "at least {share} of defective parts are found, {basis}": "検出率 {share} 以上、{basis}",
    "on validation {alarms} of {good} good parts and {found} of {faulty} defective ones are rejected": "検証用では良品 {good} 個中 {alarms} 個、不良品 {faulty} 個中 {found} 個を不良と判定",
    "on validation {alarms} of {good} good parts and {found} of {faulty} defective ones are rejected, and a person is asked about {asked} of {all}": "検証用では良品 {good} 個中 {alarms} 個、不良品 {faulty} 個中 {found} 個を不良と判定し、{all} 個中 {asked} 個を保留",
    "{needed} good parts are needed to promise this {basis}, and there are {count}": "{basis}保証するには良品が {needed} 個必要ですが、{count} 個しかありません",
    "least expected cost for {costs} when {share} of parts are defective": "不良率 {share} のとき {costs} の期待費用を最小化",
    "given by hand, promises nothing": "手動で指定（保証なし）",
}
