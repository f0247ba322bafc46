"""The strongest liar: whoever holds the plant's key rewrites ledger, lines and results together, and signs all of it again.

In: files of a pack and what to change. Out: a pack in which every hash, signature, count, table, number and verdict follows again
from the changed parts, by the verifier's own arithmetic. What still fails is what the rules forbid, not what was forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from collector.ledger import merkle
from collector.ledger.checkpoint import Checkpoint, sign_checkpoint
from collector.ledger.entry import Entry, canonical_json, strict_json
from evidence_api.verify import bag, history, records, report_head
from evidence_api.verify.catalogue import KINDS
from evidence_api.verify.evidence import Document, Evidence, Exclusion, parse_register
from evidence_api.verify.judged import ground_of
from evidence_api.verify.judgement import judge_all
from evidence_api.verify.lines import DEVICE_FIELDS, LATE_FIELDS, PARAMETER_FIELDS, hour_number, hour_text, read_hours
from evidence_api.verify.obligation import Obligation
from evidence_api.verify.tables import Gaps, changes_table, devices_table, documents_table, packs_table
from evidence_api.verify.twin import TWINS, any_not_live, history_draw, recompute
from evidence_api.verify.twin_running import device_strips
from tests.evidence_api.packs.plant import SEEDS, Lines, reseal, seal

Files = dict[str, bytes]
HEADS = {
    bag.DEVICE_HOURS: (b"D", DEVICE_FIELDS),
    bag.LATE_HOURS: (b"L", LATE_FIELDS),
    bag.PARAMETER_HOURS: (b"P", PARAMETER_FIELDS),
}


def forged(
    files: Files,
    *,
    lines: Callable[[Lines], None] = lambda _: None,
    entries: Callable[[list[Entry], Files], None] = lambda _, __: None,
    hours: tuple[int, int] | None = None,
    numbers: Callable[[Any], None] = lambda _: None,
    results: Callable[[Any], None] = lambda _: None,
    stated: Callable[[Any], None] = lambda _: None,
) -> bytes:
    """`lines` are sealed again, `entries` are those before the intent (the files beside them), `hours` what is said to be opened.

    `numbers` changes the report before verdicts follow from it, `results` after.
    """
    files = dict(files)
    leaves = [Entry.parse(x) for x in files[bag.ENTRIES].splitlines()]
    body, intent = strict_json(files[bag.PACK_JSON]), leaves.pop()
    by_hour = _read(files)
    lines(by_hour)
    leaves = [_sealed_again(e, by_hour) for e in leaves]
    entries(leaves, files)
    if hours:
        body["hours"] = [hour_text(h) for h in hours]
    _write(files, by_hour, [hour_number(h) for h in body["hours"]])
    stated(body)
    ledger = _ledger(files, body, leaves, intent)
    evidence, gaps = _evidence(files, body, ledger)
    _tables(files, ledger, evidence, gaps, body["at_ms"])
    _report(files, body, ledger, evidence, (numbers, results))
    files[bag.PACK_JSON] = canonical_json(body) + b"\n"
    return reseal(files)


def _read(files: Files) -> Lines:
    found: Lines = {}
    for name in HEADS:
        for line in files[name].splitlines()[1:]:
            found.setdefault(hour_number(line.split(b",")[2].decode()), []).append(line)
    return {h: sorted(x) for h, x in found.items()}


def _sealed_again(entry: Entry, by_hour: Lines) -> Entry:
    if entry.t != "seal" or "span" in entry.body:
        return entry
    hour = hour_number(entry.body["hour"])
    fresh = seal(hour, sorted(by_hour[hour])).body
    return Entry("seal", entry.at_ms, entry.actor, entry.body | {k: fresh[k] for k in ("n", "root", "sums", "late")})


def _write(files: Files, by_hour: Lines, opened: list[int]) -> None:
    for name, (kind, head) in HEADS.items():
        mine = [x for h in sorted(by_hour) if opened[0] <= h < opened[1] for x in sorted(by_hour[h]) if x[:1] == kind]
        files[name] = b"".join(x + b"\n" for x in (head.encode(), *mine))


def _ledger(files: Files, body: Any, leaves: list[Entry], intent: Entry) -> history.Ledger:
    hashes = [merkle.leaf_hash(e.line()) for e in leaves]
    body["intent"] = {"root": merkle.root(hashes).hex(), "size": len(leaves)}
    body["pack_id"] = history.pack_id(body)
    asked = {"pack_id": body["pack_id"], "size": len(leaves), "window": body["window"]}
    asked["profile"] = f"{body['instrument']}/{body['level']}/{body['disclosure']}"
    leaves.append(Entry("pack_intent", intent.at_ms, intent.actor, asked))
    hashes.append(merkle.leaf_hash(leaves[-1].line()))
    root, log = merkle.root(hashes), body["ledger"]["log"]
    body["ledger"] = {"log": log, "root": root.hex(), "size": len(leaves)}
    files[bag.ENTRIES] = b"".join(e.line() + b"\n" for e in leaves)
    files[bag.CHECKPOINT] = sign_checkpoint(Checkpoint(log, len(leaves), root), SEEDS[0])
    return history.Ledger(tuple(leaves), tuple(hashes))


def _evidence(files: Files, body: Any, ledger: history.Ledger) -> tuple[Evidence, Gaps]:
    registers = [
        parse_register(n, e.body["effective_ms"] * 1000, strict_json(files[f"{history.REGISTERS}{n:06d}.json"]))
        for n, (_, e) in enumerate(ledger.of("register"), 1)
    ]
    rows, excluded, held = _records(files, ledger)
    root = bytes.fromhex(body["ledger"]["root"])
    evidence = Evidence(registers, excluded, rows, body["origin_class"], root, held)
    down = {e.body["hour"]: [tuple(x) for x in e.body["down"]] for _, e in ledger.of("seal") if "span" not in e.body}
    gaps, origins, counts = Gaps(), Counter[str](), Counter[str]()
    texts = [iter(files[n].splitlines()) for n in (bag.DEVICE_HOURS, bag.PARAMETER_HOURS, bag.LATE_HOURS)]
    for hour in read_hours(*texts):
        evidence.add_hour(hour, [(a, b) for a, b in down[hour_text(hour.hour)]])
        gaps.add(hour)
        origins.update(d.origin for d in hour.devices)
        counts.update(device_hours=len(hour.devices), parameter_hours=len(hour.parameters), late_lines=len(hour.late))
    body["origins"] = {n: origins[n] for n in bag.MARKS}
    present = {body["origin_class"], *origins}
    body["mark"] = bag.MARKS[next(n for n in ("simulated", "replay", "live") if n in present)]
    body["counts"] |= {k: counts[k] for k in ("device_hours", "parameter_hours", "late_lines")}
    body["counts"] |= {"devices": len(evidence.devices)}
    body["counts"]["commitments"] = 2 * counts["device_hours"] + counts["late_lines"]
    return evidence, gaps


class _Everything(set[Any]):
    """The liar allows himself every change of a stated cell."""

    def __contains__(self, _: object) -> bool:
        return True


def _records(files: Files, ledger: history.Ledger) -> tuple[Any, list[Exclusion], list[Document]]:
    merged, excluded = records._Merged(), []
    for _, e in ledger.of("records"):
        place = f"{records.RECORDS}{e.body['rev']:06d}/"
        if e.body["kind"] == "exclusion":
            excluded.append(records.exclusion_of(strict_json(files[place + records.EXCLUSION])))
        for kind in records.KEYS:
            if e.body["kind"] == "import" and f"{place}{kind}.csv" in files:
                merged.add(kind, records.read_table(files[f"{place}{kind}.csv"]), e.at_ms, _Everything())
    imported = any(e.body["kind"] == "import" for _, e in ledger.of("records"))
    rows = {kind: list(found.values()) for kind, found in merged.rows.items()} if imported else None
    return rows, excluded, records._documents(ledger)


def _tables(files: Files, ledger: history.Ledger, evidence: Evidence, gaps: Gaps, at_ms: int) -> None:
    tz = evidence.registers[-1].tz
    files[bag.DEVICES] = devices_table(evidence.registers, Obligation(evidence, at_ms * 1000).end_us)
    files[bag.CHANGES] = changes_table(ledger.entries, tz)
    files[bag.DOCUMENTS] = documents_table(ledger.entries, tz)
    files[bag.PACKS], files[bag.GAPS] = packs_table(ledger.entries, tz), gaps.table()


def _report(
    files: Files,
    body: Any,
    ledger: history.Ledger,
    evidence: Evidence,
    changes: tuple[Callable[[Any], None], Callable[[Any], None]],
) -> None:
    report = strict_json(files[bag.RESULTS])
    shelf = {i: strict_json(files[bag.rules_file(i, "json")]) for i in body["rules"]}
    obligation = Obligation(evidence, body["at_ms"] * 1000)
    inputs = [list(x) for x in report_head.digests(bag.PackJson(body), obligation, ledger).items()]
    old = {(r["metric"], r["scope"]): r for r in report["results"]}
    found = []
    for metric in TWINS:
        for twin in recompute(obligation, metric):
            result = old[metric, twin.scope] | {"inputs": inputs, "status": twin.status, "simulated": twin.simulated}
            result |= {k: list(getattr(twin, k)) for k in ("lower", "value", "upper")}
            result["parameters"] = [list(x) for x in (dict(result["parameters"]) | dict(twin.parameters)).items()]
            names = {m["id"]: m for m in result["members"]}
            result["members"] = [
                names.get(m.id, {"id": m.id, "name": m.id, "facts": []})
                | {k: getattr(m, k) for k in ("lower", "value", "upper", "why")}
                | ({"facts": [list(x) for x in m.facts.items()]} if m.facts is not None else {})
                for m in twin.members
            ]
            found.append(result)
    found.append(_drawn(old["M12", "plant"], obligation, inputs, simulated=found[0]["simulated"]))
    live = {name: any_not_live(evidence, w) for name, w in report_head.windows_of(obligation).items()}
    found += [
        r | {"inputs": inputs, "simulated": live[KINDS[metric].window]}
        for (metric, _), r in old.items()
        if metric not in TWINS and metric != "M12"
    ]
    report |= {"results": found, "root": body["ledger"]["root"], "size": body["ledger"]["size"]}
    report |= {"simulated": any(r["simulated"] for r in found), "strips": device_strips(obligation)}
    changes[0](report)
    judged = judge_all(body["instrument"], shelf, ground_of(report, obligation))
    for part in (report, *report["references"]):
        mine = judged[part["instrument"]["id"]]
        for verdict in part["verdicts"]:
            verdict.update(mine.words[verdict["criterion"]].to_json())
        part["levels"], part["adopted"] = mine.levels, mine.adopted
    changes[1](report)
    files[bag.RESULTS] = canonical_json(report) + b"\n"


def _drawn(old: Any, obligation: Obligation, inputs: Any, *, simulated: bool) -> Any:
    ids, eligible, seed = history_draw(obligation)
    members = [{"id": i, "name": i, "lower": True, "value": True, "upper": True, "why": "ok", "facts": []} for i in ids]
    parameters = dict(old["parameters"]) | {"seed": seed, "eligible": eligible}
    whole = [len(ids), len(ids)]
    fresh = {"members": members, "lower": whole, "value": whole, "upper": whole, "inputs": inputs}
    return old | fresh | {"parameters": [list(x) for x in parameters.items()], "simulated": simulated}
