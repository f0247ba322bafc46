"""Who we are as a user: nobody, a user name, or a certificate (IEC 62541-4 §7.40), and whether the server takes that kind.

In: the register's connection, the folder `keys/`, the time. Out: a client that has its user; or `OpenError` (DENIED).
The password comes from the environment variable that the register names, and goes nowhere but into the session. Where the server offers
several ways to send it, one that encrypts it is taken. A plain one is said in the log.
A refused password is followed by a long wait (`faults.LOCKOUT_WAIT_S`), so that we do not lock the account.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from asyncua import ua

from adapters.opcua.faults import LOCKOUT_WAIT_S, OpenError, denied
from adapters.opcua.security.certificates import WARN_DAYS, CertificateError, days_left, load_pair, validity
from adapters.opcua.transport import BoundedClient
from config.connections import OpcUa

_TOKENS = {
    ua.UserTokenType.Anonymous: "匿名 anonymous",
    ua.UserTokenType.UserName: "用户名 user name",
    ua.UserTokenType.Certificate: "X.509 证书 certificate",
    ua.UserTokenType.IssuedToken: "令牌 issued token",
}
_NONE = "http://opcfoundation.org/UA/SecurityPolicy#None"


class Login:
    """The user of one register connection."""

    def __init__(self, connection: OpcUa, known_policies: frozenset[str]) -> None:
        self._connection = connection
        self._known = known_policies

    @property
    def kind(self) -> ua.UserTokenType:
        """Anonymous, user name or certificate."""
        if self._connection.user_certificate:
            return ua.UserTokenType.Certificate
        return ua.UserTokenType.UserName if self._connection.username else ua.UserTokenType.Anonymous

    def prepare(self, client: BoundedClient, keys: Path | None, now: datetime, where: str) -> str:
        """Give the client its user; a warning, or nothing. Errors: `OpenError`."""
        if self.kind == ua.UserTokenType.UserName:
            client.set_user(self._connection.username)
            client.set_password(self._password(where))
        elif self.kind == ua.UserTokenType.Certificate:
            if keys is None:
                raise denied(
                    where, "没有数据目录, 找不到用户证书; 加上 --data (expected the folder of the certificates)"
                )
            try:
                user = load_pair(keys / self._connection.user_certificate, keys / self._connection.user_key)
            except CertificateError as err:
                raise denied(where, str(err)) from err
            if words := validity(user.certificate, now):
                raise denied(where, f"用户证书 {user.path} {words}")
            client.user_certificate, client.user_private_key = user.certificate, user.key
            if (days := days_left(user.certificate, now)) < WARN_DAYS:
                return f"用户证书 {user.path} {days} 天后到期 the user certificate expires soon"
        return ""

    def check(self, tokens: list[ua.UserTokenPolicy], endpoint_policy: str, where: str) -> bool:
        """Whether a password would go out in plain text by these; puts the best first, which the library takes. Errors: `OpenError`."""
        fitting = [t for t in tokens if t.TokenType == self.kind]
        if not fitting:
            takes = ", ".join(sorted({_TOKENS.get(t.TokenType, "?") for t in tokens})) or "无 none"
            raise denied(
                where,
                f"服务器不接受{_TOKENS[self.kind]}登录, 它接受: {takes}; 改台账里的连接 (the server does not take this kind of user)",
            )
        tokens.sort(key=lambda t: self._rank(t, endpoint_policy))
        return self.kind == ua.UserTokenType.UserName and all(self._rank(t, endpoint_policy) for t in fitting)

    def refused(self, name: str, where: str) -> OpenError:
        """The server said no to this user."""
        user = self._connection
        wait_s = 0.0 if self.kind == ua.UserTokenType.Anonymous else LOCKOUT_WAIT_S
        if self.kind == ua.UserTokenType.UserName:
            words = (
                f"用户 {user.username} 被拒, 检查环境变量 {user.password_env or '(未设 unset)'} 里的密码; "
                f"为免锁定账户, {wait_s / 60:.0f} 分钟后再试 (wrong user name or password"
            )
        elif self.kind == ua.UserTokenType.Certificate:
            words = f"用户证书 {user.user_certificate} 被拒, 在服务器上登记它 (user certificate refused"
        else:
            words = "服务器拒绝匿名登录, 在台账里填 username、password_env 或 user_certificate (anonymous refused"
        return denied(where, f"{words}: {name})", wait_s)

    def _password(self, where: str) -> str:
        variable = self._connection.password_env
        password = os.environ.get(variable, "") if variable else ""
        if variable and not password:
            raise denied(where, f"环境变量 {variable} 没有密码 (expected the password in this variable, found none)")
        return password

    def _rank(self, token: ua.UserTokenPolicy, endpoint_policy: str) -> int:
        """0: hides the password; 1: does not; 2: nobody here can speak it."""
        policy = token.SecurityPolicyUri or endpoint_policy
        if policy == _NONE:
            return 1
        return 0 if policy in self._known else 2
