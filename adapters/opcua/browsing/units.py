"""Engineering units: what a server calls a unit (EUInformation, IEC 62541-8 §5.6.4.3) -> UCUM, the register's way to write units.

In: namespace URI, unit id, display name. Out: the UCUM code, or empty where it is not known: a unit is never guessed.
A unit id of the UNECE namespace is the three characters of the UN/ECE Recommendation 20 code, the first in the highest byte.
Servers without codes (unit id 0 or -1) are taken at their symbol, when it is exactly one of the usual ones.
"""

from __future__ import annotations

UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"

# UN/ECE Recommendation 20 common code -> UCUM (case sensitive)
_BY_CODE = {
    "C62": "1", "P1": "%", "59": "[ppm]", "2N": "dB",
    "MTR": "m", "CMT": "cm", "MMT": "mm", "4H": "um", "C45": "nm", "KMT": "km", "INH": "[in_i]", "FOT": "[ft_i]",
    "MTK": "m2", "CMK": "cm2", "MMK": "mm2", "MTQ": "m3", "DMQ": "dm3", "CMQ": "cm3", "LTR": "L", "MLT": "mL",
    "SEC": "s", "MIN": "min", "HUR": "h", "DAY": "d", "C26": "ms", "B98": "us",
    "MTS": "m/s", "KMH": "km/h", "2M": "cm/s", "C16": "mm/s", "2X": "m/min", "H81": "mm/min", "MSK": "m/s2",
    "RPM": "/min", "RPS": "/s", "HTZ": "Hz", "KHZ": "kHz", "MHZ": "MHz",
    "KGM": "kg", "GRM": "g", "MGM": "mg", "TNE": "t",
    "NEW": "N", "B47": "kN", "NU": "N.m", "B48": "kN.m",
    "PAL": "Pa", "A97": "hPa", "KPA": "kPa", "MPA": "MPa", "BAR": "bar", "MBR": "mbar",
    "JOU": "J", "KJO": "kJ", "3B": "MJ", "WHR": "W.h", "KWH": "kW.h", "MWH": "MW.h",
    "WTT": "W", "KWT": "kW", "MAW": "MW", "D46": "V.A", "KVA": "kV.A", "D44": "var", "KVR": "kvar",
    "AMP": "A", "4K": "mA", "VLT": "V", "2Z": "mV", "KVT": "kV", "OHM": "Ohm", "B49": "kOhm",
    "CEL": "Cel", "KEL": "K", "FAH": "[degF]",
    "DD": "deg", "C81": "rad", "D61": "'", "D62": "''",
    "MQH": "m3/h", "MQS": "m3/s", "L2": "L/min", "KGS": "kg/s", "E93": "kg/h",
    "KMQ": "kg/m3", "23": "g/cm3", "GL": "g/L", "LUX": "lx", "LUM": "lm",
    "FAR": "F", "4O": "uF", "81": "H", "D33": "T", "WEB": "Wb",
}  # fmt: skip

# symbols as people write them, for servers that give no code
_BY_SYMBOL = {
    "%": "%", "mm": "mm", "cm": "cm", "m": "m", "µm": "um", "μm": "um", "°C": "Cel", "℃": "Cel", "K": "K", "°": "deg", "deg": "deg",
    "s": "s", "ms": "ms", "min": "min", "h": "h", "r/min": "/min", "rpm": "/min", "1/min": "/min", "mm/min": "mm/min", "m/min": "m/min",
    "mm/s": "mm/s", "m/s": "m/s", "Hz": "Hz", "kHz": "kHz", "V": "V", "A": "A", "mA": "mA", "W": "W", "kW": "kW", "kWh": "kW.h",
    "kW·h": "kW.h", "N": "N", "kN": "kN", "N·m": "N.m", "Nm": "N.m", "bar": "bar", "Pa": "Pa", "kPa": "kPa", "MPa": "MPa", "kg": "kg",
    "g": "g", "L": "L", "L/min": "L/min", "m³/h": "m3/h",
}  # fmt: skip


def ucum(namespace_uri: str, unit_id: int, symbol: str) -> str:
    """The UCUM code of a unit; empty when it is not known."""
    if namespace_uri == UNECE and unit_id > 0:
        return _BY_CODE.get(unece_code(unit_id), "")
    return _BY_SYMBOL.get(symbol.strip(), "") if unit_id <= 0 or not namespace_uri else ""


def unece_code(unit_id: int) -> str:
    """The common code in a unit id: `4408652` is `CEL`."""
    raw = unit_id.to_bytes(4, "big").lstrip(b"\0") if 0 < unit_id < 2**32 else b""
    return raw.decode("ascii", "replace")
