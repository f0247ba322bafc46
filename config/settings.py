"""`plantproof.toml`: the settings of one site. Every key has a default but the plant's name and its credit code.

In: a TOML table. Out: `Settings`, frozen. Unknown keys are refused. Secrets never stand here (environment or 0600 file).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from config.connections import Mqtt


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlantTable(_Table):
    """[plant] 企业: who applies."""

    name: str = Field(min_length=1, max_length=120)
    credit_code: str = Field(pattern=r"^[0-9A-HJ-NPQRTUWXY]{18}$")  # 统一社会信用代码 GB 32100-2015
    site: str = ""


class RulesTable(_Table):
    """[rules] 适用办法: which instrument is judged by default."""

    instrument: str = "GS25"


class StoreTable(_Table):
    """[store] 数据: where, and how often it is cut."""

    folder: Path = Path("plantproof-data")
    flush_ms: int = Field(default=1000, ge=20, le=10_000)
    segment_minutes: int = Field(default=10, ge=1, le=60)


class WebTable(_Table):
    """[web] 页面: loopback unless somebody decides otherwise."""

    host: Literal["127.0.0.1", "::1"] = "127.0.0.1"
    port: int = Field(default=8420, ge=0, le=65535)


class RecordsMqtt(_Table):
    """[records.mqtt] 记录经 MQTT 交来: keys as those of a device's connection (docs/records.md)."""

    broker: str = Field(min_length=1)
    topic: str = Field(pattern=r"^([^#]+|([^#]+/)?#)$")  # a filter: + and a last # stand for any level
    version: Literal["auto", "3.1.1", "5"] = "auto"
    username: str = ""
    password_env: str = ""  # the secret itself never stands in a file
    client_id: str = ""
    ca_file: str = ""
    certificate: str = ""
    key: str = ""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        try:
            _ = self.connection
        except ValidationError as err:
            first = err.errors()[0]
            raise ValueError(f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']}".lstrip(": ")) from None
        return self

    @property
    def connection(self) -> Mqtt:
        """As the MQTT link takes it: QoS 1, so that nothing is acknowledged before it is durable."""
        return Mqtt.model_validate({"protocol": "mqtt", "qos": 1, **self.model_dump(), "topic": "records"})


class RecordsTable(_Table):
    """[records] 记录自动导入: the table alone turns on REST; `watch` and `mqtt` add the other ways in."""

    watch: Path | None = None
    poll_s: int = Field(default=2, ge=1, le=3600)
    gather_s: int = Field(default=60, ge=1, le=3600)  # MQTT messages wait so long for others: one revision for all
    mqtt: RecordsMqtt | None = None


class Settings(_Table):
    """The whole file."""

    plant: PlantTable
    rules: RulesTable = RulesTable()
    store: StoreTable = StoreTable()
    web: WebTable = WebTable()
    records: RecordsTable | None = None


DEMO_PLANT = PlantTable(name="陇原精密制造（演示）", credit_code="91620100MA00DEM0X1", site="演示车间")


def settings_text(name: str, credit_code: str, site: str, data: Path) -> str:
    """A commented `plantproof.toml` with every default shown."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return f"""# PlantProof 工厂实证 · 站点设置 (site settings). 未写的键取所示默认值。

[plant]
name = {quoted(name)}              # 企业名称
credit_code = {quoted(credit_code)}   # 统一社会信用代码
site = {quoted(site)}

[rules]
instrument = "GS25"     # 甘工信发〔2025〕152号

[store]
folder = {quoted(str(data))}   # 数据目录
flush_ms = 1000         # 每隔多久落盘一帧，确认即已落盘
segment_minutes = 10    # 多久切一个数据段

[web]
host = "127.0.0.1"      # 只在本机
port = 8420

# [records]             # 去掉注释即自动导入生产记录 (docs/records.md)
# watch = "/srv/mes"    # 放进来的 csv、xlsx、json
# poll_s = 2            # 多久看一次文件夹
# gather_s = 60         # MQTT 消息攒多久导入一次
# [records.mqtt]
# broker = "mqtt://10.0.0.5:1883"
# topic = "mes/records/#"
"""
