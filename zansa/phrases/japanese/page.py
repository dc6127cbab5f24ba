"""The frame of every page."""

TABLE = {
    "Left out": "省略した項目",
    "Sections": "項目一覧",
    "This record does not hold what these sections need.": "次の項目に必要な記録がありません。",
    "The result cannot be told: {reason}.": "結果を示せません: {reason}。",
    "The warnings could not be worked out": "注意事項を求められませんでした",
    "{count} entries": "{count} 件",
}
