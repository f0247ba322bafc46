"""办法从哪里来: the instrument that is asked for, the shelf it stands on, and those that every plant is judged by.

In: an id (`CN-GS/GS25`, `GS25`), a file of the factory's own, or nothing: then `[rules] instrument` of the site's settings.
Out: `RuleSet`s.
Errors: `ConfigError` (exit code 4) with file, place, expected and found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from config.errors import ConfigError
from config.load import load_settings
from config.metric_names import TITLES
from config.rulebook import find_rules, load_ruleset, load_shelf, shipped_rules, unresolved
from config.ruleset import RuleSet

DEFAULT = "CN-GS/GS25"
PROVINCE = re.compile(r"^[A-Z]{2}-[A-Z0-9]{1,3}/")  # ISO 3166-2; national references stand under CN/


def default_instrument(settings: Path) -> str:
    """What the site's settings name; the shipped default where there are no settings."""
    return load_settings(settings).rules.instrument if settings.is_file() else DEFAULT


def choose(name: str) -> tuple[RuleSet, dict[str, RuleSet]]:
    """The instrument and the shelf from which it adopts. A file of the factory's own stands on the shelf in place of its namesake."""
    rules = load_ruleset(name, TITLES)
    path = find_rules(name)
    if path is None or path in shipped_rules().values():
        return rules, load_shelf(TITLES)
    beside = path.resolve().parent.parent.name == "rules"  # a rules folder of the factory's own: rules/CN-XX/XX25.yaml
    shelf = load_shelf(TITLES, name) if beside else load_shelf(TITLES) | {rules.id: rules}
    problems = unresolved(rules, shelf)
    if problems:
        raise ConfigError(problems)
    return rules, shelf


def provincial(shelf: Mapping[str, RuleSet]) -> list[RuleSet]:
    """The instruments somebody applies under, in the order of their ids."""
    return [shelf[name] for name in sorted(shelf) if PROVINCE.match(name) and shelf[name].levels]
