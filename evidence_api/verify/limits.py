"""What no check of a pack can show (本核验不能证明). Printed at the end of each verification, and written into each pack."""

from __future__ import annotations

LIMITS: tuple[tuple[str, str], ...] = (
    ("L-SOURCE", "设备源头的真实性：接在网上的是不是铭牌上的那台机器，数值是不是真在加工"),
    ("L-UNLISTED", "既未联网又未入设备台账的设备：只有到现场才能数到"),
    (
        "L-DECLARED",
        "企业填报的内容是否属实：设备台账与点位含义、生产记录 (批次、工序、检验、出入库)、申报文件 (发票、合同、报告)",
    ),
    ("L-BEFORE-ANCHOR", "外部锚定之前的历史：掌握服务器、时钟和密钥的人可以整本重写；本包没有外部锚定"),
    ("L-SECOND-LEDGER", "是否另有一本账本：没有独立见证时无从得知"),
    ("L-PROGRAM", "采集程序是否被改过：账本里只有它自报的摘要"),
    ("L-WINDOW", "截止时刻由企业选定，是否挑了最好的一段：请对照历次导出和窗口以后的封存"),
    ("L-RAW", "小时行是否由原始数据算出 (M12 的抽查结果也是企业自报)：包内只有原始数据的承诺值，须到企业开封核对"),
)
