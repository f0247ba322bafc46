"""What no check of a pack can show (本核验不能证明). Printed at the end of each verification, and written into each pack."""

from __future__ import annotations

LIMITS: tuple[tuple[str, str], ...] = (
    ("L-SOURCE", "设备源头的真实性：接在网上的是不是铭牌上的那台机器，数值是不是真在加工"),
    ("L-UNLISTED", "既未联网又未入台账的设备：只有到现场才能数到"),
    ("L-DOCUMENTS", "申报文件 (发票、合同、报告) 的内容"),
    ("L-BEFORE-ANCHOR", "外部锚定之前的历史：掌握服务器和密钥的人可以整本重写；本包没有外部锚定"),
    ("L-SECOND-LEDGER", "是否另有一本台账：没有独立见证时无从得知"),
    ("L-RAW", "未开封的原始数据本身：包内只有它的承诺值，须到企业开封核对"),
)
