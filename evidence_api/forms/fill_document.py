"""填表 (docx): a Word template with Jinja names -> the form filled in; every name that nobody knows reads 【待填：名称】 and is listed.

In: a template (docxtpl: `{{ name }}`, `{%tr for row in criteria %}`), `Content`. Out: bytes, unknown names. Templates run in Jinja's
sandbox: a form is data, never a program. Refuses (`ConfigError`, exit 4): what is no Word file, or no usable template.
"""

from __future__ import annotations

import io
from typing import Any

from docxtpl import DocxTemplate
from jinja2 import TemplateError, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from config.errors import ConfigError, Problem
from evidence_api.forms.content import Content, printable


def fill_document(template: bytes, content: Content, file: str) -> tuple[bytes, list[str]]:
    """The filled form and the unknown names."""
    unknown: list[str] = []

    class ToFill(Undefined):
        """A name nobody knows."""

        def __str__(self) -> str:
            unknown.append(str(self._undefined_name))
            return f"【待填：{self._undefined_name}】"

    context: dict[str, Any] = {name: printable(str(cell.value)) for name, cell in content.fields.items()}
    context |= {
        name: [{k: printable(str(c.value)) for k, c in row.items()} for row in rows]
        for name, rows in content.tables.items()
    }
    environment = ImmutableSandboxedEnvironment(autoescape=True, undefined=ToFill)
    try:
        document = DocxTemplate(io.BytesIO(template))
        document.render(context, jinja_env=environment, autoescape=True)
        out = io.BytesIO()
        document.save(out)
    except TemplateError as err:
        raise ConfigError([Problem(file, "", f"模板有误：{err} (template error)")]) from err
    except Exception as err:  # python-docx and zipfile have several of their own for what is no Word file
        raise ConfigError([Problem(file, "", f"不是可用的 docx 模板：{err} (not a Word file)")]) from err
    return out.getvalue(), list(dict.fromkeys(unknown))
