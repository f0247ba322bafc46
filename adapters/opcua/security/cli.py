"""`plantproof opcua cert`: our certificate and whom we trust: create, show, trust, reject.

In: the data folder (`--data`), or its folder `keys/` alone (`--keys`). Out: a table, or JSON on stdout with `--json`.
Exit codes: 0 good, 3 something is expired, cannot be read or lies open, 4 no such certificate or one that exists, 5 no such folder, or it
cannot be written.
A certificate that waits in `rejected/` is trusted by its thumbprint or file name; compare the thumbprint with the one at the server first.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from adapters.opcua.security.trust import Listed

app = typer.Typer(help="本机证书与信任列表 (our certificate and the trust list)", no_args_is_help=True)

DEFAULT_DATA = Path("plantproof-data")
Data = Annotated[Path, typer.Option("--data", help="数据目录 (data folder)")]
Keys = Annotated[Path | None, typer.Option("--keys", help="密钥目录，缺省为数据目录下的 keys (folder of the keys)")]
AsJson = Annotated[bool, typer.Option("--json", help="结果以 JSON 输出到标准输出 (JSON on stdout)")]
Name = Annotated[str, typer.Argument(help="指纹(8 位以上)、文件名或证书文件 (thumbprint, file name or a file)")]


@app.command()
def create(
    data: Data = DEFAULT_DATA,
    keys: Keys = None,
    days: Annotated[int, typer.Option(min=1, max=7300, help="有效天数 (days)")] = 1825,
    bits: Annotated[int, typer.Option(min=2048, max=4096, help="RSA 位数 (bits)")] = 2048,
    host: Annotated[str, typer.Option(help="证书里的主机名，缺省为本机 (host name, default this machine)")] = "",
    as_json: AsJson = False,
) -> None:
    """生成本机的应用证书和私钥 (make our application certificate and key)."""
    from adapters.opcua.security.certificates import CertificateError, create_own
    from adapters.opcua.security.inventory import row_of

    folder = _folder(data, keys)
    try:
        own = create_own(folder / "own", _now(), days=days, bits=bits, host=host)
    except CertificateError as err:
        _fail(str(err), 4)
    except OSError as err:
        _fail(_not_written(err, folder), 5)
    row = row_of("own", own.path, own.certificate, _now())
    if as_json:
        _json(row)
        return
    _say(f"✔ 本机证书 {own.path}")
    _say(f"  应用 URI {row['uri']}   有效至 {row['not_after'][:10]}   指纹 {row['thumbprint']}")
    _say("下一步: 在 OPC UA 服务器上信任这张证书 (next: trust this certificate on the server)")


@app.command()
def show(data: Data = DEFAULT_DATA, keys: Keys = None, as_json: AsJson = False) -> None:
    """列出本机、已信任和待处理的证书 (our certificate, the trusted ones, those that wait)."""
    from adapters.opcua.security.inventory import listing

    rows, problems = listing(_folder(data, keys), _now())
    if as_json:
        _json({"certificates": rows, "problems": problems})
    else:
        _table(rows)
        for words in problems:
            _say(f"✘ {words}")
        waiting = [r for r in rows if r["list"] == "rejected"]
        if waiting:
            _say(
                f"待处理 {len(waiting)} 张: 核对指纹后 plantproof opcua cert trust 指纹 (compare the thumbprint, then trust it)"
            )
    raise typer.Exit(3 if problems else 0)


@app.command()
def trust(name: Name, data: Data = DEFAULT_DATA, keys: Keys = None, as_json: AsJson = False) -> None:
    """信任一张服务器证书 (trust a server's certificate)."""
    from adapters.opcua.security.certificates import CertificateError
    from adapters.opcua.security.trust import TrustList

    folder = _folder(data, keys)
    store = TrustList(folder)
    try:
        entry = store.add(Path(name)) if Path(name).is_file() else store.trust(name)
    except CertificateError as err:
        _fail(str(err), 4)
    except OSError as err:
        _fail(_not_written(err, folder), 5)
    _moved(
        entry, "trusted", "已信任, 一分钟内自动连接 (trusted; the connection comes within a minute)", as_json=as_json
    )


@app.command()
def reject(name: Name, data: Data = DEFAULT_DATA, keys: Keys = None, as_json: AsJson = False) -> None:
    """不再信任一张服务器证书 (trust a server's certificate no longer)."""
    from adapters.opcua.security.certificates import CertificateError
    from adapters.opcua.security.trust import TrustList

    folder = _folder(data, keys)
    try:
        entry = TrustList(folder).distrust(name)
    except CertificateError as err:
        _fail(str(err), 4)
    except OSError as err:
        _fail(_not_written(err, folder), 5)
    _moved(
        entry, "rejected", "已取消信任, 下次连接时生效 (no longer trusted, from the next connect on)", as_json=as_json
    )


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from adapters.opcua.said import plain

    labels = {"own": "本机 own", "trusted": "已信任 trusted", "rejected": "待处理 rejected"}
    table = Table("", "名称", "应用 URI", "有效至", "天", "指纹 (SHA-1)")
    for r in rows:
        said = (escape(r["name"]), escape(plain(r["uri"])))
        table.add_row(labels[r["list"]], *said, r["not_after"][:10], str(r["days_left"]), r["thumbprint"])
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    if not any(r["list"] == "own" for r in rows):
        _say("还没有本机证书: plantproof opcua cert create (no certificate of our own yet)")


def _moved(entry: Listed, where: str, words: str, *, as_json: bool) -> None:
    from adapters.opcua.security.inventory import row_of

    row = row_of(where, entry.path, entry.certificate, _now())
    if as_json:
        _json(row)
    else:
        _say(f"✔ {row['name']} {row['thumbprint']}: {words}")
        if row["problem"]:
            _say(f"  注意: 这张证书{row['problem']}")


def _folder(data: Path, keys: Path | None) -> Path:
    """`keys/opcua` of the data folder; exit 5 when there is no such data folder."""
    chosen = keys or data / "keys"
    if not chosen.is_dir():
        _fail(f"{chosen}: 没有这个目录, 检查 --data 或 --keys, 或先执行 plantproof init (no such folder)", 5)
    return chosen / "opcua"


def _not_written(err: OSError, folder: Path) -> str:
    return f"{folder}: 写不进去, 换有权限的用户再试 (cannot be written: {err.strerror})"


def _fail(words: str, code: int) -> NoReturn:
    sys.stderr.write(f"✘ {words}\n")
    raise typer.Exit(code)


def _say(words: str) -> None:
    typer.echo(words, err=True)


def _json(body: Any) -> None:
    from adapters.opcua.said import json_text

    typer.echo(json_text(body))


def _now() -> datetime:
    return datetime.now(UTC)
