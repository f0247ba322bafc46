"""空白表样: the templates used where a factory has none of its own: one workbook, one Word form, for any instrument and level.

In: nothing. Out: bytes of an .xlsx and a .docx with placeholders. The provinces' own forms were not at hand: `plantproof form templates`
writes these into a folder, a person rearranges them to the province's form and gives the folder with --templates.
Which file is taken: `<id>-<level>.xlsx`, else `<id>.xlsx`, else `default.xlsx` of that folder (id: GS25; same for .docx), else these.
"""

from __future__ import annotations

import io

import docx
from docx.shared import Pt
from openpyxl import Workbook
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

HEAD = PatternFill("solid", fgColor="DCE6F1")
THIN = Border(*(Side(style="thin", color="999999"),) * 4)
# sheet -> (table, [(heading, column, width)])
SHEETS: dict[str, tuple[str, tuple[tuple[str, str, int], ...]]] = {
    "条件对照": (
        "criteria",
        (
            ("条款", "article", 14),
            ("要求", "title", 26),
            ("门槛", "required", 16),
            ("申报", "declared", 12),
            ("实测", "seen", 18),
            ("可证明", "proven", 18),
            ("判定", "verdict", 14),
            ("说明", "why", 40),
            ("还缺什么", "needs", 40),
        ),
    ),
    "指标": (
        "metrics",
        (
            ("指标", "metric", 30),
            ("范围", "scope", 10),
            ("申报", "declared", 12),
            ("实测", "seen", 18),
            ("可证明（下限）", "proven", 18),
            ("比例（截断）", "percent", 12),
            ("上限", "upper", 18),
        ),
    ),
    "设备清单": (
        "devices",
        (
            ("资产编号", "asset_no", 12),
            ("设备编号", "id", 14),
            ("名称", "name", 20),
            ("制造商", "maker", 14),
            ("型号", "model", 14),
            ("产线", "line", 8),
            ("工序", "process", 10),
            ("数字化", "digital", 8),
            ("数控", "nc", 8),
            ("主要数控/加工中心", "major_nc", 12),
            ("通信", "protocol", 10),
            ("投用日期", "in_service", 12),
            ("联网", "networked", 14),
        ),
    ),
    "数控设备": (
        "nc_devices",
        (
            ("设备编号", "id", 14),
            ("名称", "name", 20),
            ("产线", "line", 8),
            ("控制器", "controller", 20),
            ("运行数据", "runtime", 10),
            ("计入与否", "proven", 24),
        ),
    ),
    "联网设备": (
        "networked_devices",
        (
            ("设备编号", "id", 14),
            ("名称", "name", 20),
            ("覆盖/应采（分钟）", "minutes", 20),
            ("计入与否", "proven", 24),
        ),
    ),
    "关键工序": (
        "key_processes",
        (
            ("工序编号", "id", 12),
            ("名称", "name", 20),
            ("产线", "line", 8),
            ("装备数", "machines", 8),
            ("数控装备数", "nc_machines", 12),
            ("自动化", "automatic", 14),
            ("在线检测", "inspected", 14),
        ),
    ),
    "停机": (
        "stops",
        (
            ("编号", "id", 12),
            ("设备", "devices", 30),
            ("开始", "start", 18),
            ("结束", "end", 18),
            ("登记", "entered", 18),
            ("是否扣除", "counts", 14),
            ("原因", "reason", 30),
        ),
    ),
    "成效前后": (
        "effects",
        (
            ("指标", "indicator", 18),
            ("范围", "scope", 8),
            ("时期", "period", 8),
            ("起", "first_day", 12),
            ("止", "last_day", 12),
            ("数值", "figure", 24),
            ("算法", "formula", 26),
            ("改善可证明", "proven", 14),
        ),
    ),
    "未能追溯的批次": ("batches_open", (("批次号", "id", 16), ("产品", "product", 16), ("原因", "why", 50))),
    "投资": (
        "investments",
        (
            ("编号", "id", 12),
            ("产线", "line", 8),
            ("类别", "category", 12),
            ("名称", "name", 26),
            ("金额", "amount", 18),
            ("附件", "papers", 26),
        ),
    ),
    "场景": (
        "scenes",
        (
            ("场景号", "no", 8),
            ("名称", "name", 24),
            ("产线", "line", 8),
            ("状态", "status", 10),
            ("投产", "since", 12),
            ("技术", "technologies", 30),
        ),
    ),
    "信息系统": (
        "systems",
        (("编号", "id", 12), ("名称", "name", 24), ("领域", "domains", 40), ("上线", "live_since", 12)),
    ),
    "材料": (
        "documents",
        (
            ("编号", "id", 12),
            ("类别", "kind", 24),
            ("名称", "name", 30),
            ("出具单位", "issuer", 20),
            ("有效期至", "valid_until", 12),
            ("状态", "state", 14),
            ("SHA-256", "sha256", 66),
        ),
    ),
}
COVER = (
    ("企业名称", "{{ plant_name }}"),
    ("统一社会信用代码", "{{ credit_code }}"),
    ("厂址", "{{ site }}"),
    ("依据", "{{ instrument }} {{ doc_no }}"),
    ("申报梯次", "{{ level }}"),
    ("证据截止（不含当日）", "{{ cut_off }}"),
    ("台账版次", "{{ register_revision }}"),
    ("账本", "{{ ledger }}"),
    ("行业（GB/T 4754）", "{{ industry }}"),
    ("企业规模", "{{ size }}"),
    ("法定代表人", "{{ 法定代表人 }}"),
    ("联系人", "{{ 联系人 }}"),
    ("联系电话", "{{ 联系电话 }}"),
    ("成熟度等级", "{{ maturity_level }}"),
    ("数据来源", "{{ mark }}"),
)


def blank_workbook() -> bytes:
    """The workbook: a cover and one sheet per table."""
    book = Workbook()
    cover = book.active
    if not isinstance(cover, Worksheet):  # a new workbook has one sheet of cells
        raise TypeError(type(cover))
    cover.title = "封面"
    cover.append(["智能工厂梯度培育 申报附表"])
    cover["A1"].font = Font(size=16, bold=True)
    cover.append(["每个数字的来源写在单元格批注里；标黄的【待填】须由企业填写"])
    for row in COVER:
        cover.append(row)
    cover.column_dimensions["A"].width, cover.column_dimensions["B"].width = 24, 70
    _printed(cover)
    for title, (table, columns) in SHEETS.items():
        sheet = book.create_sheet(title)
        sheet.append([heading for heading, _, _ in columns])
        sheet.append([f"{{{{ {table}.{column} }}}}" for _, column, _ in columns])
        sheet.freeze_panes, sheet.print_title_rows = "A2", "1:1"
        for i, (_, _, width) in enumerate(columns, 1):
            sheet.column_dimensions[get_column_letter(i)].width = width
            sheet.cell(1, i).fill, sheet.cell(1, i).font = HEAD, Font(bold=True)
            for row_number in (1, 2):
                sheet.cell(row_number, i).border = THIN
        _printed(sheet)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _printed(sheet: Worksheet) -> None:
    """A4 across, as many pages down as it takes; numbers to the left as people write them in such forms."""
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = sheet.PAPERSIZE_A4
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    for row in sheet.iter_rows():
        for cell in row:
            cell.alignment = Alignment(wrap_text=sheet.title != "封面", vertical="top", horizontal="left")


def blank_document() -> bytes:
    """The Word form: cover, commitment, basic facts, conditions, effects, what is still to be filled in."""
    doc = docx.Document()
    doc.styles["Normal"].font.size = Pt(11)
    doc.add_heading("{{ level }}申报书", 0)
    for label, field in COVER:
        doc.add_paragraph(f"{label}：{field}")
    doc.add_heading("真实性承诺", 1)
    doc.add_paragraph("本单位承诺：申报材料真实、准确、完整；不涉及国家秘密、商业秘密；配合现场核查。")
    doc.add_paragraph("法定代表人（签字）：                    单位（盖章）：                    日期：")
    doc.add_heading("一、申报主体基本情况", 1)
    doc.add_paragraph("{{ 企业简介 }}")
    doc.add_heading("二、条件对照", 1)
    _loop_table(
        doc,
        "criteria",
        (("条款", "article"), ("要求", "title"), ("门槛", "required"), ("可证明", "proven"), ("判定", "verdict")),
    )
    doc.add_heading("三、场景建设情况", 1)
    _loop_table(doc, "scenes", (("场景号", "no"), ("名称", "name"), ("状态", "status"), ("投产", "since")))
    doc.add_paragraph("{{ 场景建设情况 }}")
    doc.add_heading("四、实施成效", 1)
    _loop_table(
        doc, "effects", (("指标", "indicator"), ("时期", "period"), ("数值", "figure"), ("改善可证明", "proven"))
    )
    doc.add_heading("五、后续计划", 1)
    doc.add_paragraph("{{ 后续计划 }}")
    doc.add_heading("附：材料清单", 1)
    _loop_table(
        doc, "documents", (("类别", "kind"), ("名称", "name"), ("有效期至", "valid_until"), ("SHA-256", "sha256"))
    )
    out = io.BytesIO()
    doc.save(out)
    return out.getvalue()


def _loop_table(doc: docx.document.Document, table: str, columns: tuple[tuple[str, str], ...]) -> None:
    """A table whose middle row repeats (docxtpl's {%tr %} rows)."""
    grid = doc.add_table(rows=4, cols=len(columns), style="Table Grid")
    for i, (heading, column) in enumerate(columns):
        grid.cell(0, i).text = heading
        grid.cell(2, i).text = f"{{{{ row.{column} }}}}"
    grid.cell(1, 0).text = f"{{%tr for row in {table} %}}"
    grid.cell(3, 0).text = "{%tr endfor %}"
