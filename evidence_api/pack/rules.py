"""Rules as a pack carries them: exact bytes of the instrument and of all it adopts, and the same as canonical JSON.

In: an instrument (its id, the last part of it, or a file of the factory's own). Out: `RuleBook`; and by digest what the reader of a
pack knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from collector.ledger.entry import canonical_json
from config.metric_names import TITLES
from config.rulebook import adopted, find_rules, load_shelf, parse_ruleset, shipped_rules
from config.ruleset import RuleSet
from evidence_api.pack.inputs import PackError


@dataclass(frozen=True, slots=True, eq=False)
class RuleBook:
    """One instrument and every other one at hand. raw: id -> exact bytes; shelf: id -> model."""

    own: str
    raw: Mapping[str, bytes]
    shelf: Mapping[str, RuleSet]

    @property
    def rules(self) -> RuleSet:
        """The instrument asked for."""
        return self.shelf[self.own]

    def needed(self, day: date) -> list[str]:
        """Ids of the instrument and of all it adopts on the day, directly or through another, sorted."""
        found, ahead = {self.own}, [self.own]
        while ahead:
            rules = self.shelf[ahead.pop()]
            editions = [adopted(rules, adoption.family, day, self.shelf) for adoption in rules.adopts]
            new = {e.id for e in editions if e is not None} - found
            found |= new
            ahead += sorted(new)
        return sorted(found)


def read_rules(instrument: str, level: str) -> RuleBook:
    """An instrument on its shelf. Errors: `PackError` for an unknown one or a level it does not have, `ConfigError`."""
    path = find_rules(instrument)
    if path is None:
        raise PackError(f"--rules {instrument}: 没有这个办法 (unknown); 现有 {'、'.join(shipped_rules())}", 2)
    shelf = load_shelf(TITLES, instrument)
    shipped, folder = shipped_rules(), path.resolve().parent.parent
    raw = {i: (shipped.get(i) or folder / f"{i}.yaml").read_bytes() for i in shelf}
    own = parse_ruleset(path.read_bytes(), str(path), TITLES)
    known = [x.id for x in own.levels]
    if level not in known:
        raise PackError(f"--level {level}: {own.id} 没有这个梯次 (unknown level); 现有 {'、'.join(known) or '无'}", 2)
    return RuleBook(own.id, raw, shelf)


def rules_json(rules: RuleSet) -> bytes:
    """The rules as canonical JSON with every default written out; without the digest, which is the YAML's."""
    return canonical_json(rules.model_dump(mode="json", by_alias=True, exclude={"sha256"}))


def known_rules() -> dict[str, str]:
    """What `verify` compares with: SHA-256 of each shipped rules file -> SHA-256 of its canonical JSON."""
    found = {}
    for path in shipped_rules().values():
        raw = path.read_bytes()
        rules = parse_ruleset(raw, str(path), TITLES)
        found[hashlib.sha256(raw).hexdigest()] = hashlib.sha256(rules_json(rules)).hexdigest()
    return found
