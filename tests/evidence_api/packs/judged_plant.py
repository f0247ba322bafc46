"""A plant judged by every kind of criterion, under an instrument that adopts another one; records and documents of each kind.

In: a folder. Out: `Plant` with two sets of rules; imports in two revisions, the second completing and replacing cells of the first.
"""

from __future__ import annotations

from pathlib import Path

from collector.documents import Statement, add_document
from collector.intake.imports import import_deliveries
from collector.intake.tables import delivery_of_file
from tests.evidence_api.packs.plant import Plant, make_plant

SCENE = '[[scene]]\nid = "S1"\nno = 1\nname = "排产"\nstatus = "in_production"\nsince = 2026-05-01\n'
OWN = """format: plantproof-rules/2
id: CN-XX/J1
edition: 1
title: 各类判定办法
doc_no: 试〔2026〕2号
issuer: 试验
status: in_force
in_force: {from: 2025-08-06, until: null}
levels:
  - {id: basic, title: 基础级}
  - {id: advanced, title: 先进级}
shown:
  - {metric: M01, why: 只作展示}
adopts:
  - family: CN/G
    how: named
    article: 第九条
    as_written: 引用文件
    editions: [{from: 2025-08-06, until: null, instrument: CN/G1}]
procedures:
  - {id: P-valid, kind: validity, title: 有效期, article: 第二十条, quote: 有效期3年, levels: [advanced],
     values: [{from: 2025-08-06, until: null, years: 3, as_written: 有效期3年}]}
  - {id: P-renew, kind: renewal, title: 复核, article: 第二十条, quote: 结束前3个月复核，延长3年, levels: [advanced],
     values: [{from: 2025-08-06, until: null, months: 3, years: 3, as_written: 结束前3个月复核，延长3年}]}
criteria:
  - {id: J-metric, title: 联网, levels: [basic], article: 第一条, quote: 全部联网, gate: hard, judged_by: metric, metric: M03, scope: plant,
     op: "==", values: [{from: 2025-08-06, until: null, threshold: 1/1, threshold_by: instrument, as_written: 全部}]}
  - {id: J-members, title: 领域, levels: [basic], article: 第二条, quote: 采购库存全部, gate: hard, judged_by: metric, metric: M16,
     scope: plant, members: [采购, 库存],
     op: "==", values: [{from: 2025-08-06, until: null, threshold: 1/1, threshold_by: instrument, as_written: 全部}]}
  - {id: J-money, title: 营收, levels: [basic], article: 第三条, quote: 营收2000万元, gate: hard, judged_by: metric, metric: FIN,
     scope: plant,
     op: ">=", values: [{from: 2025-08-06, until: null, threshold: 20000000/1, unit: CNY, threshold_by: instrument, as_written: 2000万元}]}
  - {id: J-paper, title: 承诺, levels: [basic], article: 第四条, quote: 承诺书, gate: hard, judged_by: document,
     documents: [{kind: commitment}]}
  - {id: J-years, title: 报表, levels: [basic], article: 第五条, quote: 近三年报表, gate: hard, judged_by: document,
     documents: [{kind: financial_statements, years: 3}]}
  - {id: J-level, title: 成熟度, levels: [advanced], article: 第六条, quote: 三级及以上, gate: hard, judged_by: document,
     documents: [{kind: maturity}],
     op: ">=", values: [{from: 2025-08-06, until: null, threshold: 3/1, unit: level, threshold_by: instrument, as_written: 三级}]}
  - {id: J-small, title: 小企业, levels: [basic], article: 第七条, quote: 中小企业评测, gate: hard, judged_by: document,
     documents: [{kind: sme_index, only_for: [small]}]}
  - {id: J-event, title: 无事故, levels: [basic], article: 第八条, quote: 近三年无较大事故, gate: exclusion, judged_by: event,
     event: {kinds: [accident], months: 36, severity: 较大}}
  - {id: J-clean, title: 无失信, levels: [basic], article: 第八条, quote: 无失信, gate: exclusion, judged_by: event,
     event: {kinds: [dishonesty], months: 36}}
  - {id: J-title, title: 先有基础级, levels: [advanced], article: 第十条, quote: 已获基础级, gate: hard, judged_by: title, holds: [basic]}
  - {id: J-renewed, title: 先有先进级, levels: [advanced], article: 第十条, quote: 已获先进级, gate: hard, judged_by: title,
     holds: [advanced]}
  - {id: J-better, title: 优于行业, levels: [advanced], article: 第十一条, quote: 优于省内平均, gate: soft,
     judged_by: benchmark, metric: M18, benchmark: province_mean}
  - {id: J-scene, title: 场景, levels: [basic], article: 第十二条, quote: 所列场景, gate: hard, judged_by: scene, adopts: CN/G}
  - {id: J-same, title: 引用, levels: [basic, advanced], article: 第九条, quote: 引用文件同级, gate: hard,
     judged_by: reference, adopts: CN/G}
  - {id: J-annex, title: 附件, levels: [basic], article: 第十三条, quote: 按附件, gate: hard, judged_by: annex}
  - {id: J-person, title: 管理, levels: [basic], article: 第十四条, quote: 管理规范, gate: hard, judged_by: person}
"""
GUIDE = """format: plantproof-rules/2
id: CN/G1
family: CN/G
edition: 1
title: 引用文件
doc_no: 试〔2025〕9号
issuer: 试验
status: in_force
in_force: {from: 2025-08-06, until: null}
levels:
  - {id: basic, title: 基础级}
criteria:
  - {id: G-1, title: 联网, levels: [basic], article: 一, quote: 全部联网, gate: hard, judged_by: metric, metric: M03, scope: plant,
     op: "==", values: [{from: 2025-08-06, until: null, threshold: 1/1, threshold_by: instrument, as_written: 全部}]}
scenes:
  - {no: 1, name: 排产, stage8: 生产作业, stage5: 生产管理, plant_floor: strong}
"""
FIRST = {
    "incidents.csv": "incident_id,kind,on,severity,punished\nI1,accident,2026-03-01,一般,0\n",
    "titles.csv": "title_id,level,name,granted_on,state\nT1,basic,基础级,2025-12-01,held\n"
    "T2,advanced,先进级,2023-01-10,held\n",
    "applications.csv": "application_id,level,purpose,filed_on,result,title_id\nA1,advanced,renewal,2025-10-01,granted,T2\n",
    "effects.csv": "indicator,scope,period,first_day,last_day,numerator,denominator,formula\n"
    "oee,plant,after,2026-06-01,2026-10-31,82.5,100,有效÷计划\n",
    "benchmarks.csv": "indicator,reach,year,numerator,denominator,data_source\noee,province_mean,2025,80,100,统计年鉴\n",
    "profile.csv": "name,value\nsize,large\n",
    "finance.csv": "year,revenue\n2025,10000000.00\n",
    "batches.csv": "batch_id,product,quantity,closed_at,trial\nB1,轴,10,2026-11-21T23:00:00,0\nB2,轴,,,0\n"
    "B3,轴,10,2026-11-21T22:00:00,0\n",
}
SECOND = {
    "finance.csv": "year,revenue\n2025,30000000.00\n",
    "batches.csv": "batch_id,product,quantity,closed_at,trial\nB2,轴,5,2026-11-21T23:30:00,0\n"
    "B3,轴,10,2026-11-21T22:00:00,1\n",
}
PAPERS = (
    Statement("commitment", "承诺书", issued="2026-01-05"),
    Statement("financial_statements", "报表", issued="2026-04-01", years=(2023, 2024, 2025)),
    Statement("maturity", "自评估", issued="2026-02-01", level=3),
    Statement("accident_free", "无事故证明", issued="2026-10-01"),
    Statement("credit", "信用报告", issued="2026-10-02"),
)


def judged_plant(place: Path) -> Plant:
    """Everything is declared but what numbers decide."""
    plant = make_plant(place, register_more=SCENE, rules=OWN, others=(GUIDE.encode(),))
    for n, said in enumerate(PAPERS):
        file = place / f"paper{n}.pdf"
        file.write_bytes(b"%PDF " + said.kind.encode())
        add_document(plant.folder, file, said, clock=plant.clock, actor="tester")
    _import(plant, place / "first", FIRST, replace=False)
    _import(plant, place / "second", SECOND, replace=True)
    return plant


def _import(plant: Plant, place: Path, files: dict[str, str], *, replace: bool) -> None:
    place.mkdir()
    for name, text in files.items():
        (place / name).write_text(text, encoding="utf-8")
    found = [delivery_of_file(place / name) for name in files]
    done = import_deliveries(
        plant.folder,
        found,
        reason="更正营收" if replace else "导入",
        clock=plant.clock,
        actor="tester",
        replace=replace,
    )
    assert not done.quarantined, [(q.offered.row.kind.name, q.faults) for q in done.quarantined]
