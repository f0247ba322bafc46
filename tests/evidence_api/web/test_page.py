"""The first page over a small plant: what it says, how it says it, and what it must never do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

import httpx

from evidence_api.web.app import create_app
from tests.evidence_api.web.plant_folder import DEVICES, Plant, browser


class Page(HTMLParser):
    """Elements, their attributes and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


async def overview(client: httpx.AsyncClient) -> Page:
    answer = await client.get("/")
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


async def test_simulated_data_is_said_loudly_and_on_paper_too(client: httpx.AsyncClient) -> None:
    page = await overview(client)
    assert page.text.count("模拟数据 · 不得用于申报") >= 3  # banner and watermark
    assert "[模拟]" in page.text
    assert "达标（模拟）" in page.text


async def test_replayed_data_is_marked_as_such(make_plant: Callable[..., Plant]) -> None:
    plant = make_plant("replay")
    plant.write_report()
    async with browser(create_app(plant.folder.path, clock=plant.clock, command=())) as client:
        assert "回放数据 · 不得用于申报" in (await overview(client)).text


async def test_live_folder_has_no_mark_unless_one_result_is_simulated(make_plant: Callable[..., Plant]) -> None:
    plant = make_plant("live")
    app = create_app(plant.folder.path, clock=plant.clock, command=())
    async with browser(app) as client:
        plant.write_report(simulated=False)
        clean = await overview(client)
        plant.write_report(simulated=True)
        assert "不得用于申报" in (await overview(client)).text
    assert "watermark" not in {a.get("class") for _, a in clean.elements}
    assert "模拟" not in clean.text


async def test_numbers_are_those_of_the_report_cut_never_rounded(client: httpx.AsyncClient) -> None:
    text = re.sub(r"\s+", " ", (await overview(client)).text)
    assert "申报100.0 % 3/3" in text
    assert "实测66.6 % 2/3" in text
    assert "可证明33.3 % 1/3" in text
    assert "还差 2 台" in text
    assert "第十二条(三)3" in text
    assert "甘工信发〔2025〕152号" in text


async def test_levels_say_how_many_criteria_have_which_word(client: httpx.AsyncClient) -> None:
    text = re.sub(r"\s+", " ", (await overview(client)).text)
    assert "基础级：2 条差距 · 先进级：1 条差距" in text
    assert "共 20 条" in text


async def test_every_criterion_is_on_the_page_with_article_bar_numbers_and_names(
    client: httpx.AsyncClient, plant: Plant
) -> None:
    for name in ("CN-GS/GS25", "CN-SD/SD22", "CN-SD/SD25", "CN-TJ/TJ"):
        report = json.loads((plant.folder.state / "reports" / f"{name}.json").read_bytes())
        text = Page((await client.get(f"/?rules={name}")).text).text
        for criterion in report["criteria"]:
            assert f"{criterion['article']} · {criterion['id']}" in text
            assert criterion["quote"] in text
            assert criterion["required"] in text
    text = re.sub(r"\s+", " ", (await overview(client)).text)
    assert "3/3 100.0 % / 2/3 66.6 % / 1/3 33.3 %" in text
    assert "2 台X1 设备1覆盖率不足 90%" in text
    assert "1 份材料营业执照没有这份材料" in text


async def test_a_criterion_that_refers_to_another_instrument_opens_into_its_criteria(client: httpx.AsyncClient) -> None:
    text = (await client.get("/?rules=SD25")).text
    assert "智能工厂梯度培育要素条件（2025年版） · " in text
    assert "ELEMENTS25-base-1" in text


async def test_the_picker_names_each_instrument_with_its_standing(client: httpx.AsyncClient) -> None:
    page = await overview(client)
    links = [a["href"] for tag, a in page.elements if tag == "a" and (a.get("href") or "").startswith("/?rules=")]
    assert links == ["/?rules=CN-GS/GS25", "/?rules=CN-SD/SD22", "/?rules=CN-SD/SD25", "/?rules=CN-TJ/TJ"]
    assert "已失效" in page.text
    assert "征求意见稿" in page.text
    for name, words in (("SD22", "（已于 2025-12-31 失效）"), ("SD25", "（征求意见稿，未施行）")):
        html = (await client.get(f"/?rules={name}")).text
        text = Page(html).text
        assert text.count(words) >= 3  # header, picker, note
        assert "对谁都没有约束力" in text
        assert 'class="chip v-met"' not in html


async def test_ids_of_a_page_are_its_own(client: httpx.AsyncClient) -> None:
    ids = [a["id"] for _, a in (await overview(client)).elements if "id" in a]
    assert len(ids) == len(set(ids))


async def test_day_strips_name_each_cause(client: httpx.AsyncClient) -> None:
    page = await overview(client)
    for words in (
        "（11 天） 断线：无数据上报，覆盖 0.0 %",
        "（7 天） 计划停机，覆盖 —",
        "停采：采集停止",
        "未接入，覆盖 0.0 %",
        "部分：网络不可达，覆盖 62.5 %",
    ):
        assert words in page.text
    strips = [a for tag, a in page.elements if tag == "svg" and a.get("class") == "days"]
    assert len(strips) == len(DEVICES)
    assert all(a["role"] == "img" and "天中" in (a["aria-label"] or "") for a in strips)


async def test_page_obeys_its_own_policy(client: httpx.AsyncClient) -> None:
    page = await overview(client)
    assert not [tag for tag, a in page.elements if tag in ("script", "style", "iframe", "form") or "style" in a]
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
    for tag, attributes in page.elements:
        for name in ("src", "href"):
            target = attributes.get(name) or "/"
            assert target.startswith(("/", "#")), (tag, target)


async def test_names_from_the_register_are_escaped(client: httpx.AsyncClient) -> None:
    html = (await client.get("/")).text
    assert "16#&lt;注塑机&gt;" in html
    assert "16#<注塑机>" not in html


async def test_page_tells_which_numbers_are_missing_instead_of_inventing_them(make_plant: Callable[..., Plant]) -> None:
    plant = make_plant()
    async with browser(create_app(plant.folder.path, clock=plant.clock, command=())) as client:
        text = (await overview(client)).text
        assert "尚无可用的数字" in text
        assert "达标情况尚未计算" in text
        assert "2026-11-22 11:00–12:00" in text  # the seal is there all the same
        plant.write_report(size=1)
        assert "已有更新的封存" in (await overview(client)).text
        (plant.folder.state / "reports" / "index.json").write_text("{}")
        assert "不是 check 的输出" in (await overview(client)).text


async def test_changed_checkpoint_is_a_problem_and_not_a_root(client: httpx.AsyncClient, plant: Plant) -> None:
    note = (plant.folder.ledger / "checkpoint").read_text()
    assert plant.folder.origin_class == "simulated"
    assert "签名有效" in (await overview(client)).text
    (plant.folder.ledger / "checkpoint").write_text(note.replace("\n5\n", "\n4\n", 1))
    text = (await overview(client)).text
    assert "检查点不可信" in text
    assert "签名有效" not in text
