"""The protobuf messages of a Sparkplug B payload (Sparkplug 3.0 §6.4.1), built at import from a table of their fields.

In: nothing. Out: `PayloadMessage`, a protobuf class that parses and serialises in C (upb).
The table holds names, numbers and types only; extension ranges are left out, since protobuf skips what it does not know by itself.
No generated file: nothing to regenerate when protobuf changes its generator. A pool of its own: another copy of these messages in
the process does not clash. Strings are proto2's: a name that is not UTF-8 comes as bytes and spoils itself, not the whole message.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

__all__ = ["DecodeError", "PayloadMessage"]

_PACKAGE = "plantproof.sparkplug"
_SCALARS: dict[str, Any] = {
    "u32": FieldDescriptorProto.TYPE_UINT32,
    "u64": FieldDescriptorProto.TYPE_UINT64,
    "float": FieldDescriptorProto.TYPE_FLOAT,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
}


def _plain(first: int) -> str:
    """The members that every value has, numbered from `first`."""
    names = "|int_value u32, |long_value u64, |float_value float, |double_value double, |boolean_value bool, |string_value string"
    return ", ".join(f"{first + i} {name}" for i, name in enumerate(names.split(", ")))


# number, name, type; "*" repeated, "|" a member of the message's one-of
_MESSAGES: dict[str, str] = {
    "Payload": "1 timestamp u64, 2 *metrics Metric, 3 seq u64, 4 uuid string, 5 body bytes",
    "Metric": "1 name string, 2 alias u64, 3 timestamp u64, 4 datatype u32, 5 is_historical bool, 6 is_transient bool, "
    f"7 is_null bool, 8 metadata MetaData, 9 properties PropertySet, {_plain(10)}, 16 |bytes_value bytes, "
    "17 |dataset_value DataSet, 18 |template_value Template",
    "MetaData": "1 is_multi_part bool, 2 content_type string, 3 size u64, 4 seq u64, 5 file_name string, 6 file_type string, "
    "7 md5 string, 8 description string",
    "PropertySet": "1 *keys string, 2 *values PropertyValue",
    "PropertyValue": f"1 type u32, 2 is_null bool, {_plain(3)}, 9 |propertyset_value PropertySet, "
    "10 |propertysets_value PropertySetList",
    "PropertySetList": "1 *propertyset PropertySet",
    "DataSet": "1 num_of_columns u64, 2 *columns string, 3 *types u32, 4 *rows Row",
    "Row": "1 *elements DataSetValue",
    "DataSetValue": _plain(1),
    "Template": "1 version string, 2 *metrics Metric, 3 *parameters Parameter, 4 template_ref string, 5 is_definition bool",
    "Parameter": f"1 name string, 2 type u32, {_plain(3)}",
}


def _build() -> Any:
    file = FileDescriptorProto(name="plantproof/sparkplug.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if "|" in fields:
            message.oneof_decl.add(name="value")
        for text in fields.split(", "):
            number, label, kind = text.split(" ")
            field = message.field.add(name=label.lstrip("*|"), number=int(number))
            field.label = field.LABEL_REPEATED if label[0] == "*" else field.LABEL_OPTIONAL
            if label[0] == "|":
                field.oneof_index = 0
            if kind in _SCALARS:
                field.type = _SCALARS[kind]
            else:
                field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


PayloadMessage: Any = _build()
