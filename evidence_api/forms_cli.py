"""`plantproof form` 申报附表: the tables and the form of an application, filled in as far as the numbers go.

In: a data folder, an instrument, a level, templates of the factory's own where it has them. Out: an .xlsx and a .docx; on stdout what is
still to be filled in. Reads only. Exit codes: 0 complete, 3 fields are left to fill in, 2 usage, 4 a template that cannot be used.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from config.ruleset import RuleSet
    from evidence_api.forms.content import Content

app = typer.Typer(help="申报附表与申报书 (application forms)", no_args_is_help=True)
TO_FILL = 3
Data = Annotated[Path, typer.Option("--data", help="数据目录 (data folder)")]
Out = Annotated[Path, typer.Option("-o", "--out", help="写到哪个文件夹 (folder to write to)")]


@app.command("fill")
def fill(
    level: Annotated[str, typer.Option("--level", help="梯次，如 basic (level)")],
    rules: Annotated[str, typer.Option("--rules", help="办法编号或规则文件 (instrument id or file)")] = "CN-GS/GS25",
    templates: Annotated[Path | None, typer.Option("--templates", help="自有表样的文件夹 (own templates)")] = None,
    at: Annotated[str, typer.Option("--at", help="截止时刻，默认现在 (ISO 8601)")] = "",
    out: Out = Path(),
    data: Data = Path("plantproof-data"),
) -> None:
    """填写附表 (xlsx) 和申报书 (docx)，每个数字写明来源，缺的列出来 (fill both; list what is missing)."""
    from collector.durable import write_durably
    from evidence_api.forms.fill_document import fill_document
    from evidence_api.forms.fill_workbook import fill_workbook

    chosen, content = _content(data, rules, level, at)
    book_name, book_raw = _template(templates, chosen, level, "xlsx")
    form_name, form_raw = _template(templates, chosen, level, "docx")
    book, missing_cells = fill_workbook(book_raw, content, book_name)
    form, missing_words = fill_document(form_raw, content, form_name)
    simulated = str(content.fields["mark"].value).startswith("模拟")
    mark = "-DEMO" if simulated else ""
    stem = f"{chosen.id.rpartition('/')[2]}-{level}{mark}"
    raw = io.BytesIO()
    book.save(raw)
    write_durably(out / f"{stem}-附表.xlsx", raw.getvalue())
    write_durably(out / f"{stem}-申报书.docx", form)
    say = Console()
    for path, missing in ((out / f"{stem}-附表.xlsx", missing_cells), (out / f"{stem}-申报书.docx", missing_words)):
        say.print(f"✔ {path}", markup=False, soft_wrap=True)
        if missing:
            say.print(f"  待填 {len(missing)} 项：{'、'.join(missing)}", markup=False, soft_wrap=True)
    if simulated:
        say.print(f"数据为{content.fields['mark'].value}", style="yellow")
    raise typer.Exit(TO_FILL if missing_cells or missing_words else 0)


@app.command("templates")
def templates_(out: Out = Path("表样")) -> None:
    """写出空白表样，供改成省里的格式 (write the blank templates to adapt)."""
    from collector.durable import write_durably
    from evidence_api.forms.blank import blank_document, blank_workbook

    write_durably(out / "default.xlsx", blank_workbook())
    write_durably(out / "default.docx", blank_document())
    words = f"✔ {out}/default.xlsx、default.docx；可按 <办法>-<梯次>、<办法> 另存，如 GS25-basic.docx"
    Console().print(words, markup=False, soft_wrap=True)


def _template(folder: Path | None, rules: RuleSet, level: str, ending: str) -> tuple[str, bytes]:
    """The nearest template: this level's, this instrument's, the folder's default, ours."""
    from config.errors import ConfigError, Problem
    from evidence_api.forms.blank import blank_document, blank_workbook

    short = rules.id.rpartition("/")[2]
    if folder is not None:
        if not folder.is_dir():
            raise ConfigError(
                [Problem(str(folder), "", "没有这个文件夹 (no such folder)", "plantproof form templates -o 表样")]
            )
        for name in (f"{short}-{level}", short, "default"):
            path = folder / f"{name}.{ending}"
            if path.is_file():
                return str(path), path.read_bytes()
    return f"default.{ending}", blank_workbook() if ending == "xlsx" else blank_document()


def _content(data: Path, rules: str, level: str, at: str) -> tuple[RuleSet, Content]:
    from collector.folder import open_folder
    from config.errors import ConfigError, Problem
    from evidence_api.forms.content import Basis
    from evidence_api.forms.tables import content_of
    from metrics.cli import computed_at, known_level
    from metrics.evaluate import report_of
    from metrics.instruments import choose

    chosen, shelf = choose(rules)
    known_level(chosen, level)
    computed = computed_at(data, at, None)
    revision = computed.inputs.revision
    if revision is None:
        raise ConfigError(
            [Problem(str(data), "", "截止前没有生效的台账 (no register in force)", "plantproof register import …")]
        )
    basis = Basis(
        report=report_of(computed, chosen, shelf).at_level(level).to_json(),
        level=level,
        genesis=open_folder(data).genesis,
        register=revision.register,
        revision=revision.rev,
        records=computed.inputs.records,
        documents=computed.inputs.documents,
        excusing=computed.inputs.excusing,
    )
    return chosen, content_of(basis)
