"""What the kernel tells of devices and rules that are gone: two multicast groups, of each the attribute that matters.

The numbers are those of linux/rtnetlink.h, linux/if_link.h and linux/netfilter/nf_tables.h, which never change.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

_RTMGRP_LINK = 1
_RTM_NEWLINK = 16
_RTM_DELLINK = 17
_IFLA_IFNAME = 3
_LINK_BODY = 16

_NETLINK_NETFILTER = 12
_GROUP_NFTABLES = 1 << (7 - 1)
_NFTABLES = 10 << 8
_DELETED = frozenset(_NFTABLES | message for message in (2, 5, 8, 11, 14))
"""NFT_MSG_DELTABLE, DELCHAIN, DELRULE, DELSET and DELSETELEM."""
_NAME_OF_TABLE = 1
"""In every one of these messages."""
_RULES_BODY = 4

_HEADER = struct.Struct("=LHHLL")
_ATTRIBUTE = struct.Struct("=HH")


def links() -> socket.socket:
    """A socket that hears of devices."""
    return _socket(socket.NETLINK_ROUTE, _RTMGRP_LINK)


def rules() -> socket.socket:
    """A socket that hears of rules."""
    return _socket(_NETLINK_NETFILTER, _GROUP_NFTABLES)


def deleted_devices(data: bytes) -> Iterator[str]:
    """The names of the devices that a batch of messages says were deleted."""
    for type_, body in _messages(data):
        if type_ == _RTM_DELLINK:
            yield from _text(body[_LINK_BODY:], _IFLA_IFNAME)


def devices(data: bytes) -> Iterator[str]:
    """The names of the devices that a batch of messages says are there, new or changed."""
    for type_, body in _messages(data):
        if type_ == _RTM_NEWLINK:
            yield from _text(body[_LINK_BODY:], _IFLA_IFNAME)


def tables_with_less(data: bytes) -> frozenset[str]:
    """The names of the tables from which a batch of messages says that something was deleted."""
    found = (_text(body[_RULES_BODY:], _NAME_OF_TABLE) for type_, body in _messages(data) if type_ in _DELETED)
    return frozenset(name for names in found for name in names)


def _socket(protocol: int, groups: int) -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
    made.bind((0, groups))
    return made


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, type_, _, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield type_, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _text(attributes: bytes, wanted: int) -> Iterator[str]:
    at = 0
    while at + _ATTRIBUTE.size <= len(attributes):
        length, type_ = _ATTRIBUTE.unpack_from(attributes, at)
        if length < _ATTRIBUTE.size:
            return
        if type_ == wanted:
            yield attributes[at + _ATTRIBUTE.size : at + length].rstrip(b"\0").decode(errors="replace")
            return
        at += (length + 3) & ~3
