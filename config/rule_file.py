"""规则文件: bytes of a rules file -> plain data, and pydantic's errors in the words of a person.

In: bytes. Out: mappings, lists, text, integers, true, false, null. Days, decimals, `yes` and `no` stay text, so that a wrong one is
reported with its key path. Refuses, as `ConfigError` with the line: bytes that are not UTF-8 or YAML, duplicate keys, keys that are no
words, tags, several documents, nesting that no rules file needs.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from config.errors import ConfigError, Problem

_EXPECTED: dict[str, str] = {
    "missing": "缺这一项 (expected a value, found none)",
    "date_from_datetime_parsing": "应为存在的日期，如 2025-08-06 (expected a date that exists)",
    "date_parsing": "应为存在的日期，如 2025-08-06 (expected a date that exists)",
    "model_type": "应为键值表 (expected a mapping)",
    "dict_type": "应为键值表 (expected a mapping)",
    "tuple_type": "应为列表 (expected a list)",
    "string_type": "应为文字 (expected text)",
    "string_too_short": "不能为空 (expected some text)",
    "string_pattern_mismatch": "应为整数分数，如 70/100 (expected a fraction of integers)",
    "int_parsing": "应为整数 (expected an integer)",
    "int_type": "应为整数 (expected an integer)",
    "bool_type": "应为 true 或 false (expected true or false)",
    "bool_parsing": "应为 true 或 false (expected true or false)",
    "too_short": "不能为空 (expected at least one)",
}


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where the wheel has it: ten times as fast


class _Loader(_SafeLoader):  # type: ignore[misc]
    """SafeLoader that refuses duplicate keys and leaves dates as text, so that a wrong one is reported with its key path."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, "键应是一个词 (a key is one word)", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"键 {key!r} 出现两次 (key given twice)", key_node.start_mark
                )
            seen.add(key)
        return dict(super().construct_mapping(node, deep))


_LEFT_AS_TEXT = (":timestamp", ":float", ":bool")  # of YAML 1.1; `no`, `on`, `yes` are words here
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(_LEFT_AS_TEXT)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])


def read_yaml(raw: bytes, file: str) -> Any:
    """Bytes -> plain data. Errors: `ConfigError`."""
    try:
        text = raw.decode("utf-8")
        if not _shallow(text):
            raise RecursionError
        return yaml.load(text, _Loader)  # noqa: S506  (a SafeLoader)
    except UnicodeDecodeError as err:
        problem = Problem(
            file, f"byte {err.start}", "应为 UTF-8 文本 (expected UTF-8 text)", "另存为 UTF-8 (save as UTF-8)"
        )
    except yaml.MarkedYAMLError as err:
        line = f"line {err.problem_mark.line + 1}" if err.problem_mark else ""
        problem = Problem(file, line, f"不是可用的 YAML：{err.problem} (not usable YAML)")
    except yaml.YAMLError as err:
        problem = Problem(file, "", f"不是可用的 YAML：{err} (not usable YAML)")
    except RecursionError:
        problem = Problem(file, "", "不是可用的 YAML：嵌套太深，或一行太长 (nested too deeply, or a line too long)")
    except ValueError as err:  # a number of more digits than Python reads
        problem = Problem(file, "", f"不是可用的 YAML：{err} (not usable YAML)")
    raise ConfigError([problem])


def explained(error: dict[str, Any], body: Any, file: str) -> Problem:
    """One error of pydantic in our words, with the key path by which a person finds the place."""
    where = _key_path(error["loc"], body)
    found = error.get("input")
    shown = f", found {found!r}" if isinstance(found, str | int) else ""
    expected = _EXPECTED.get(error["type"])
    if error["type"] == "extra_forbidden":
        return Problem(file, where, "不认识的键 (unknown key)", "删去或改正 (remove or correct it)")
    if error["type"] == "value_error":
        return Problem(file, where, str(error["ctx"]["error"]))
    if error["type"] == "literal_error":
        expected = f"应为其中之一 (expected one of) {error['ctx']['expected']}".replace(" or ", ", ")
    return Problem(file, where, f"{expected or error['msg']}{shown}")


def _shallow(text: str) -> bool:
    """Whether libyaml, which recurses without a limit of its own, can take it: by brackets and by indentation at most thousands deep."""
    return len(re.findall(r"[\[{]", text)) <= 5000 and max(map(len, text.splitlines()), default=0) <= 4000


def _key_path(loc: tuple[int | str, ...], body: Any) -> str:
    """`criteria[GS25-12-3-3g].values[0].from`: criteria by their id, which a reader can search for."""
    path = ""
    for i, part in enumerate(loc):
        if not isinstance(part, int):
            path += f".{part}" if path else part
            continue
        name: Any = part
        if i == 1 and loc[0] in ("criteria", "procedures") and isinstance(body[loc[0]][part], dict):
            name = body[loc[0]][part].get("id", part)
        path += f"[{name}]"
    return path
