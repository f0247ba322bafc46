"""Rules as a pack carries them: the shipped file's exact bytes, and the same as canonical JSON for readers without YAML.

In: an instrument's id. Out: bytes, `RuleSet`; and what the verifier's reader knows, by digest.
"""

from __future__ import annotations

import hashlib

from collector.ledger.entry import canonical_json
from config.ruleset import RuleSet, parse_ruleset, shipped_rules
from evidence_api.pack.inputs import PackError
from metrics.registry import METRICS


def read_rules(instrument: str, level: str) -> tuple[bytes, RuleSet]:
    """A shipped instrument, exact bytes and model. Errors: `PackError` for an unknown one or a level it does not have."""
    path = shipped_rules().get(instrument)
    if path is None:
        raise PackError(f"--rules {instrument}: 没有这个办法 (unknown); 现有 {'、'.join(shipped_rules())}", 2)
    raw = path.read_bytes()
    rules = parse_ruleset(raw, str(path), METRICS)
    known = [x.id for x in rules.levels]
    if level not in known:
        raise PackError(f"--level {level}: {instrument} 没有这个梯次 (unknown level); 现有 {'、'.join(known)}", 2)
    return raw, rules


def rules_json(rules: RuleSet) -> bytes:
    """The rules as canonical JSON with every default written out; without the digest, which is the YAML's."""
    return canonical_json(rules.model_dump(mode="json", by_alias=True, exclude={"sha256"}))


def known_rules() -> dict[str, str]:
    """What `verify` compares with: SHA-256 of each shipped rules file -> SHA-256 of its canonical JSON."""
    found = {}
    for path in shipped_rules().values():
        raw = path.read_bytes()
        rules = parse_ruleset(raw, str(path), METRICS)
        found[hashlib.sha256(raw).hexdigest()] = hashlib.sha256(rules_json(rules)).hexdigest()
    return found
