"""READ-ME-FIRST.txt: what a reviewer reads before anything else, in Chinese. Fixed words around a few facts of pack.json."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

_BEIJING = timezone(timedelta(hours=8))


def read_me(body: dict[str, Any], level: str, rules: str, public_key: str) -> bytes:
    """`level`: the level's title; `rules`: the instrument's name as it must be shown.

    UTF-8 with BOM (old Windows editors), CRLF (Notepad).
    """
    plant, ledger, counts = body["plant"], body["ledger"], body["counts"]
    mark = f"★ {body['mark']} ★\n\n" if body["mark"] else ""
    text = f"""{mark}智能工厂证据包 (PlantProof 工厂实证)
企业      {plant["name"]}
信用代码  {plant["credit_code"]}
场所      {plant["site"]}
申报梯次  {level}
依据      {rules} ({body["instrument"]})
证据窗口  {_day(body["window"][0])} 00:00 至 {_day(body["window"][1])} 00:00，前闭后开，北京时间
包号      {body["pack_id"]}，本账本第 {body["number"]} 次导出
账本      {ledger["log"]}，{ledger["size"]:,} 条，根 {ledger["root"]}

请先看这一条
  核验程序须由您自己取得，不要用企业随包送来的。包里的任何东西都不能证明包自己。

能证明什么
  1. 本包字节自签名之后未被改动。
  2. 联网率、数字化率、数控化率、自动化率、关键工艺参数、稳定运行、批次追溯率、投资与营收可由包内的小时行、设备台账和记录重新算出，
     核验程序当场重算；其余指标由企业计算，核验程序只查前后是否自洽，并逐项列出“未复算”。
     历史数据可追溯要回到原始数据核对，包里没有原始数据，核验程序只核对抽了哪些台时。
  3. 每个小时对设备台账中每台设备都有一行，有数据或写明断档及原因；少一台、少一小时都会被发现。
  4. 判定取最不利口径 (下限)：断档、不明一律算不满足。

不能证明什么
{_limits(body)}
怎样核验
  一条命令   plantproof verify 本文件.zip --key 公钥
             公钥请向企业书面索取，或向备案的主管部门核对，不要照抄下一行。
             包内自称的公钥: {public_key}
  只用系统自带工具   解压后在文件夹里执行
             sha256sum -c manifest-sha256.txt
             sha256sum -c tagmanifest-sha256.txt
             签名与账本的手工核法见随核验程序提供的 verify-by-hand.md
  电话核对   双方各自对 tagmanifest-sha256.txt 求 SHA-256，念前 16 位 (校验码)。

包里有什么
  data/report/report.html            给人看的报告，可打印
  data/metrics/results.json          全部结果、成员名单与判定
  data/rules/                        所依据的条文与门槛，连同它引用的文件
  data/rollups/device-hours.csv      {counts["device_hours"]:,} 个台时，每台设备每小时一行
  data/inventory/                    设备台账各版与变更
  data/records/                      历次导入的记录与停机豁免
  data/accounting/                   断档与历次导出
  data/ledger/                       整本账本
  attest/                            签名；此后附加的材料也放这里，不受本签名保护
原始数据未随包提供，账本中有它的承诺值 {counts["commitments"]:,} 个，可在企业现场开封核对。
证明材料原件、导入的原始文件和被隔离的行也留在企业，账本中有各自的 SHA-256，可当面比对。
"""
    return text.replace("\n", "\r\n").encode("utf-8-sig")


def _limits(body: dict[str, Any]) -> str:
    return "".join(f"  {i}. {text}。\n" for i, (_, text) in enumerate(body["limits"], 1))


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(_BEIJING).strftime("%Y-%m-%d")
