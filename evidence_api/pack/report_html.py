"""report.html: the pack for people. One page without script, link or font from elsewhere; prints on A4.

In: pack.json's body, the report, the rules, all as plain JSON values. Out: UTF-8 bytes, the same for the same values.
Order: mark, what it is, verdicts, numbers with their bounds, days of each device, what it cannot prove. Percents are cut, never rounded up.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from html import escape
from typing import Any

from evidence_api.verify.recount import TITLE_OF, amount, percent

_BEIJING = timezone(timedelta(hours=8))
VERDICTS = {
    "met": "达标",
    "short": "差距",
    "insufficient_data": "数据不足",
    "needs_judgement": "需人工判断",
    "declared_only": "仅申报",
    "not_applicable": "不适用",
}
DAYS = {
    "R": ("#2f7d4f", "运行"),
    "S": ("#c0392b", "停机"),
    "U": ("#c9c9c9", "不明"),
    "E": ("#8fb3d9", "免计"),
    "-": ("#ffffff", "未在役"),
}
CSS = """
:root{color-scheme:light}body{font:14px/1.6 "Source Han Sans SC","Noto Sans CJK SC","Microsoft YaHei","PingFang SC",sans-serif;
max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2024;background:#fff}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;
margin:2rem 0 .5rem;border-bottom:1px solid #999}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.25rem .5rem;border-bottom:1px solid #ddd;vertical-align:top}.mark{border:3px solid #b00020;color:#b00020;
font-size:1.3rem;font-weight:700;text-align:center;padding:.5rem;margin:1rem 0}.n{text-align:right}th,.n,.k{white-space:nowrap}
code{font-family:"Cascadia Mono",Consolas,monospace;word-break:break-all}.short{color:#b00020}.met{color:#1f6b3d}small{color:#555}
svg{display:block}tr{break-inside:avoid}@page{size:A4;margin:15mm}.foot{display:none}@media print{body{margin:0;max-width:none}
.foot{display:block;position:fixed;bottom:0;left:0;right:0;text-align:center;color:#b00020;font-weight:700}}
"""


def report_page(body: Mapping[str, Any], report: Mapping[str, Any], rules: Mapping[str, Any]) -> bytes:
    """The whole page."""
    mark = f'<p class="mark" role="alert">{_t(body["mark"])}</p>' if body["mark"] else ""
    foot = f'<p class="foot">{_t(body["mark"])}</p>' if body["mark"] else ""  # on every printed page
    level = next((x["title"] for x in rules["levels"] if x["id"] == body["level"]), body["level"])
    parts = [
        f"<h1>智能工厂证据包报告</h1>{mark}",
        _about(body, report["instrument"], level),
        f"<h2>一、判定（{_t(level)}）</h2>{_verdicts(body, report, rules)}",
        f"<h2>二、引用的文件</h2>{_references(body, report)}",
        f"<h2>三、数字</h2>{_numbers(report)}",
        f"<h2>四、各设备逐日状态（下限口径）</h2>{_strips(report)}",
        f"<h2>五、本包不能证明</h2><ol>{''.join(f'<li>{_t(text)}</li>' for _, text in body['limits'])}</ol>",
        f"<p><small>由 PlantProof {_t(body['program'])} 生成。本页供阅读，不作核验依据；以核验程序的复算为准。</small></p>{foot}",
    ]
    style = f"<style>{CSS.strip()}</style>"
    title = f"<title>{_t(body['plant']['name'])} 证据包 {_t(body['pack_id'][:8])}</title>"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">{title}{style}'
    page = f'<!DOCTYPE html>\n<html lang="zh-CN"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"
    return page.encode()


def _about(body: Mapping[str, Any], instrument: Mapping[str, Any], level: str) -> str:
    plant, ledger, counts = body["plant"], body["ledger"], body["counts"]
    rows = [
        ("企业", f"{plant['name']}（{plant['credit_code']}）{plant['site']}"),
        ("申报", f"{level}，依据 {instrument['name']} {instrument['doc_no'] or ''}".rstrip()),
        ("证据窗口", f"{_time(body['window'][0])} 至 {_time(body['window'][1])}（前闭后开，北京时间）"),
        ("数据", f"{counts['devices']} 台设备，{counts['device_hours']:,} 个台时，{counts['seals']:,} 个小时封存"),
        ("包号", f"{body['pack_id']}，本账本第 {body['number']} 次导出"),
        ("账本", f"{ledger['log']}，{ledger['size']:,} 条，根 {ledger['root']}"),
    ]
    return "<table>" + "".join(f"<tr><th>{k}</th><td><code>{_t(v)}</code></td></tr>" for k, v in rows) + "</table>"


def _verdicts(body: Mapping[str, Any], report: Mapping[str, Any], rules: Mapping[str, Any]) -> str:
    criteria = {c["id"]: c for c in rules["criteria"]}
    rows = []
    decided = ("met", "short", "insufficient_data")  # what numbers decide comes first
    for v in sorted(report["verdicts"], key=lambda v: v["verdict"] not in decided):
        c = criteria.get(v["criterion"])
        if c is None or body["level"] not in c["levels"]:
            continue
        word = VERDICTS.get(v["verdict"], v["verdict"])
        shown = f'<td class="k {_t(v["verdict"])}">{_t(word)}</td><td>{_t(v["why"])}</td>'
        rows.append(f"<tr><td class=k>{_t(c['article'])}</td><td>{_t(c['quote'])}</td>{shown}</tr>")
    head = "<tr><th>条款</th><th>原文</th><th>判定</th><th>依据</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _references(body: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """What the adopted instruments come to at the level applied for."""
    rows = []
    for part in report["references"]:
        instrument, words = part["instrument"], {x["id"]: x for x in part["levels"]}
        level = words.get(body["level"])
        word = VERDICTS[level["verdict"]] if level else "没有同一梯次"
        counts = f"{level['total']} 条，达标 {level['met']} 条" if level else ""
        name = f"<td>{_t(instrument['name'])}</td><td class=k>{_t(instrument['doc_no'] or '')}</td>"
        rows.append(f"<tr>{name}<td class=k>{_t(word)}</td><td>{_t(counts)}</td></tr>")
    head = "<tr><th>文件</th><th>文号</th><th>同级判定</th><th></th></tr>"
    return f"<table>{head}{''.join(rows)}</table>" if rows else "<p>没有引用其他文件。</p>"


def _numbers(report: Mapping[str, Any]) -> str:
    rows = []
    for r in report["results"]:
        scope = "全厂" if r["scope"] == "plant" else r["scope"].replace("line:", "产线 ")
        cells = "".join(f'<td class="n">{_amount(r, k)}</td>' for k in ("lower", "value", "upper"))
        declared = _amount(r, "declared") if r["declared"] else ""
        name = f"{r['metric']} {TITLE_OF.get(r['metric'], '')}"
        bar = _bar(r) if r["unit"] == "ratio" else ""
        rows.append(
            f'<tr><td class=k>{_t(name)}</td><td class=k>{_t(scope)}</td><td class="n">{declared}</td>{cells}<td>{bar}</td></tr>'
        )
    bounds = "".join(f"<th class=n>{word}</th>" for word in ("申报", "下限", "实测", "上限"))
    head = f"<tr><th>指标</th><th>范围</th>{bounds}<th>0 – 100 %</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _amount(result: Mapping[str, Any], bound: str) -> str:
    """A fraction with its percent; what is no ratio in its own unit: yuan cut to whole ones, kgce exactly."""
    n, d = result[bound]
    return f"{n}/{d}<br>{percent((n, d))}" if result["unit"] == "ratio" else _t(amount((n, d), result["unit"]))


def _bar(result: Mapping[str, Any]) -> str:
    """Lower to upper as a band, the value as a line; 200 px are 100 %."""
    low, value, high = (n * 200 // d if d else 0 for n, d in (result["lower"], result["value"], result["upper"]))
    if not result["value"][1]:
        return "<small>数据不足</small>"
    band = f'<rect x="{low}" y="3" width="{max(high - low, 1)}" height="10" fill="#8fb3d9"/>'
    line = f'<rect x="{max(value - 1, 0)}" y="1" width="2" height="14" fill="#1c2024"/>'
    frame = '<rect x="0" y="3" width="200" height="10" fill="#eee"/>'
    return f'<svg width="200" height="16" role="img" aria-label="{percent(tuple(result["value"]))}">{frame}{band}{line}</svg>'


def _strips(report: Mapping[str, Any]) -> str:
    legend = " ".join(
        f'<span><svg width="10" height="10" style="display:inline"><rect width="10" height="10" fill="{c}" stroke="#999"/></svg> {w}</span>'
        for c, w in DAYS.values()
    )
    rows = []
    for device, days in report["strips"]:
        cells = "".join(
            f'<rect x="{start * 6}" width="{length * 6}" height="12" fill="{DAYS.get(letter, DAYS["U"])[0]}"/>'
            for letter, start, length in _runs(days)
        )
        counted = "，".join(f"{word} {days.count(k)}" for k, (_, word) in DAYS.items() if days.count(k))
        size = f'viewBox="0 0 {max(len(days), 1) * 6} 12" width="100%" height="12" preserveAspectRatio="none"'
        svg = f'<svg {size} role="img" aria-label="{counted}">{cells}</svg>'
        rows.append(f"<tr><td class=k>{_t(device)}</td><td>{svg}</td></tr>")
    return f"<p>{legend}</p><table>{''.join(rows)}</table>"


def _runs(letters: str) -> list[tuple[str, int, int]]:
    """(letter, first day, days) of equal days in a row."""
    found: list[tuple[str, int, int]] = []
    for i, letter in enumerate(letters):
        if found and found[-1][0] == letter:
            found[-1] = (letter, found[-1][1], found[-1][2] + 1)
        else:
            found.append((letter, i, 1))
    return found


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(_BEIJING).strftime("%Y-%m-%d %H:%M")


def _t(text: Any) -> str:
    return escape(str(text), quote=True)
