"""台账的另几页: control plan, data dictionary, scenes, systems, interfaces, energy factors: what some ratios count besides machines.

In: tables of the register. Out: frozen models. References (process, device, point, line) are checked with the register's
(`config/register_check.py`). Each is the denominator of a metric: parameters of M07, items of M08, scenes of M19 and M20, systems of M17,
interfaces of M25; energy factors are the coefficients of M24.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from config.model import Id, Model, Name, Wrong

Text = Name


class Parameter(Model):
    """关键工艺参数: one line of the control plan (控制计划、工艺卡). Without device and point it is on paper only, and M07 says so.

    The point must be marked key_parameter; specification limits stand at the point (spec_low, spec_high).
    """

    id: Id
    name: Name
    process: Id
    device: Id | None = None
    point: Id | None = None
    source: str = Field(default="", max_length=120)  # 控制计划 number

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.device is None) != (self.point is None):
            raise Wrong(
                "point" if self.point is None else "device",
                "设备和测点须同填或同空 (expected device and point together)",
            )
        return self


class Item(Model):
    """数据项: one entry of the required data dictionary (GB/T 37393-2019 §6.1: 90% 的数据可自动采集). 手工录入不是自动采集，扫码是.

    source point: a point of a device; scan: read by a scanner, arrives as records; system: another system's interface; manual: typed.
    records: the kind of production records in which scanned or system items arrive (docs/records.md).
    """

    id: Id
    name: Name
    line: Id | None = None
    source: Literal["point", "scan", "system", "manual"]
    device: Id | None = None
    point: Id | None = None
    records: str = Field(default="", max_length=32)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.source == "point" and (self.device is None or self.point is None):
            raise Wrong(
                "device" if self.device is None else "point", "来源为测点时须填设备和测点 (source point needs both)"
            )
        if self.source in ("scan", "system") and not self.records:
            raise Wrong("records", f"来源为扫码或系统时须填记录种类 (source {self.source} needs records)")
        return self


class SceneInstance(Model):
    """场景实例: a scene as built here. `no` of the guide (智能制造典型场景参考指引) tells its 环节. `ai`: uses a model (M19)."""

    id: Id
    no: int = Field(ge=1, le=200)
    name: Name
    line: Id | None = None
    status: Literal["planned", "building", "in_production"]
    since: date | None = None  # in production since
    ai: bool = False
    technologies: tuple[Text, ...] = ()  # 5G、人工智能、区块链、数字孪生、工业互联网 …

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.status == "in_production" and self.since is None:
            raise Wrong("since", "已投产的场景须填投产日期 (in_production needs since)", "", ("status",))
        return self


class System(Model):
    """信息系统: an information system and the domains it serves (M16, M17: names as the instrument writes them)."""

    id: Id
    name: Name
    kind: Literal["erp", "mes", "plm", "pdm", "wms", "qms", "scada", "aps", "crm", "srm", "ems", "hr", "fin", "other"]
    domains: tuple[Text, ...] = ()
    live_since: date | None = None


class Interface(Model):
    """系统接口: a pair of systems that must exchange data (M25), such as ERP-MES, MES-SCADA, PLM-MES, WMS-MES."""

    id: Id
    source: Id
    target: Id
    domains: tuple[Text, ...] = ()  # of M17 that it serves


class EnergyFactor(Model):
    """折标准煤系数: kgce per unit of a medium. Where it comes from stands beside it and is printed with every result (M24)."""

    medium: Id
    name: Name
    unit: str = Field(min_length=1, max_length=12)
    kgce_per_unit: Decimal = Field(gt=0, max_digits=9, decimal_places=4)
    source: Name
