"""MQTT reason codes to outcomes and words (MQTT 5 §2.4; the codes of 3.1.1 are translated in `packets.py`).

In: the code and what the broker added (reason string, server reference). Out: `ReadError` with what a plant engineer can act on.
A redirection is told and never followed: the register says which broker is whose, not the broker.
"""

from __future__ import annotations

from adapters.batch import Outcome
from adapters.contract import ReadError
from adapters.mqtt.packets import REASON_STRING, SERVER_REFERENCE, Answer
from adapters.shown import shown

WRONG_VERSION = frozenset({0x84, 0x01})
TAKEN_OVER = 0x8E

_WORDS: dict[int, tuple[Outcome, str]] = {
    0x80: (Outcome.UNREACHABLE, "未说明原因 (unspecified error)"),
    0x81: (Outcome.PROTOCOL, "报文格式错误 (malformed packet)"),
    0x82: (Outcome.PROTOCOL, "协议错误 (protocol error)"),
    0x84: (Outcome.PROTOCOL, "不支持这个 MQTT 版本, 把 version 改为 auto (unsupported protocol version)"),
    0x85: (Outcome.DENIED, "不接受这个 client_id, 换一个 (client identifier not valid)"),
    0x86: (Outcome.DENIED, "用户名或密码错误 (bad user name or password)"),
    0x87: (Outcome.DENIED, "没有权限, 检查账号和代理的访问控制 (not authorized)"),
    0x88: (Outcome.UNREACHABLE, "服务暂不可用 (server unavailable)"),
    0x89: (Outcome.UNREACHABLE, "服务忙 (server busy)"),
    0x8A: (Outcome.DENIED, "本机已被封禁 (banned)"),
    0x8B: (Outcome.DISCONNECTED, "代理正在关闭 (server shutting down)"),
    0x8C: (Outcome.DENIED, "不支持这种认证方式 (bad authentication method)"),
    0x8D: (Outcome.TIMEOUT, "代理超时未收到本机报文 (keep alive timeout)"),
    0x8E: (
        Outcome.DISCONNECTED,
        "另一个客户端用了同一个 client_id, 给每台采集机配置各自的 client_id (session taken over by another client)",
    ),
    0x90: (Outcome.DENIED, "不接受遗嘱主题 (topic name invalid)"),
    0x93: (Outcome.PROTOCOL, "未确认的报文过多 (receive maximum exceeded)"),
    0x95: (Outcome.PROTOCOL, "报文过大 (packet too large)"),
    0x96: (Outcome.DISCONNECTED, "消息速率过高 (message rate too high)"),
    0x97: (Outcome.DISCONNECTED, "超出配额 (quota exceeded)"),
    0x98: (Outcome.DISCONNECTED, "被管理员断开 (administrative action)"),
    0x9C: (Outcome.UNREACHABLE, "要求改用另一台服务器 (use another server)"),
    0x9D: (Outcome.UNREACHABLE, "服务器已迁移 (server moved)"),
    0x9E: (Outcome.DENIED, "不支持共享订阅 (shared subscriptions not supported)"),
    0x9F: (Outcome.UNREACHABLE, "连接过于频繁 (connection rate exceeded)"),
    0xA0: (Outcome.DISCONNECTED, "超过最长连接时间 (maximum connect time)"),
    0xA2: (Outcome.DENIED, "不支持通配符订阅 (wildcard subscriptions not supported)"),
}


def refusal(answer: Answer, where: str) -> ReadError:
    """The broker did not take the connection."""
    return _said(answer, where, "代理拒绝连接", Outcome.UNREACHABLE)


def goodbye(answer: Answer, where: str) -> ReadError:
    """The broker ended the connection and said why."""
    return _said(answer, where, "代理断开了连接", Outcome.DISCONNECTED)


def _said(answer: Answer, where: str, what: str, otherwise: Outcome) -> ReadError:
    outcome, words = _WORDS.get(answer.reason, (otherwise, f"原因码 0x{answer.reason:02X} (reason code)"))
    reference, remark = answer.text(SERVER_REFERENCE), answer.text(REASON_STRING)
    if reference:
        words += f": {shown(reference)}, 核实后改台账的 broker (then change the register)"
    if remark:
        words += f" [{shown(remark)}]"
    return ReadError(outcome, f"{where}: {what}: {words}")


def subscription_words(code: int) -> str:
    """Why a topic was refused (§3.9.3)."""
    if code in (0x80, 0x87):  # 3.1.1 has one code for all
        return "代理不允许订阅这个主题, 检查账号的访问控制 (the broker refuses this topic)"
    return _WORDS.get(code, (None, f"原因码 0x{code:02X} (the broker refuses this topic)"))[1]
