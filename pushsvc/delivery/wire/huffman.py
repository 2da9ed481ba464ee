"""The Huffman code of HPACK strings, decoding only (RFC 7541 section 5.2 and appendix B)."""

from typing import Final

from pushsvc.delivery.wire.errors import ErrorCode, PeerError

#: Symbols by the length of their code, as hex. The code is canonical: counting up within a
#: length, and shifting to the next length, gives every code of the appendix.
_SYMBOLS: Final = {
    5: "303132616365696f7374",
    6: "20252d2e2f333435363738393d415f62646667686c6d6e707275",
    7: "3a42434445464748494a4b4c4d4e4f5051525354555657596a6b71767778797a",
    8: "262a2c3b585a",
    10: "212228293f",
    11: "272b7c",
    12: "233e",
    13: "0024405b5d7e",
    14: "5e7d",
    15: "3c607b",
    19: "5cc3d0",
    20: "808283a2b8c2e0e2",
    21: "99a1a7acb0b1b3d1d8d9e3e5e6",
    22: "8184858688929a9ca0a3a4a9aaadb2b5b9babbbdbec4c6e4e8e9",
    23: "0187898a8b8c8d8f93959697989b9d9ea5a6a8aeafb4b6b7bcbfc5e7ef",
    24: "098e9091949fabced7e1eced",
    25: "c7cfeaeb",
    26: "c0c1c8c9cacdd2d5dadbeef0f2f3ff",
    27: "cbccd3d4d6dddedff1f4f5f6f7f8fafbfcfdfe",
    28: "020304050607080b0c0e0f1011121314151718191a1b1c1d1e1f7fdcf9",
    30: "0a0d16",
}
_EOS: Final = 256
_EOS_BITS: Final = 30


def _codes() -> list[tuple[int, int, int]]:
    """(symbol, code, bits) in the order of the codes."""
    codes: list[tuple[int, int, int]] = []
    code = previous = 0
    for bits, symbols in [*_SYMBOLS.items(), (_EOS_BITS, None)]:
        code <<= bits - previous
        previous = bits
        for symbol in bytes.fromhex(symbols) if symbols else (_EOS,):
            codes.append((symbol, code, bits))
            code += 1
    return codes


def _tree() -> list[list[int]]:
    """Inner nodes as [child for 0, child for 1]; a leaf is the complement of its symbol."""
    nodes: list[list[int]] = [[0, 0]]
    for symbol, code, bits in _codes():
        node = 0
        for shift in range(bits - 1, 0, -1):
            branch = code >> shift & 1
            if not nodes[node][branch]:
                nodes[node][branch] = len(nodes)
                nodes.append([0, 0])
            node = nodes[node][branch]
        nodes[node][code & 1] = ~symbol
    return nodes


def _paddings(tree: list[list[int]]) -> frozenset[int]:
    """Where a string may end: up to seven ones from the root (the start of EOS)."""
    node, ends = 0, [0]
    for _ in range(7):
        node = tree[node][1]
        ends.append(node)
    return frozenset(ends)


_TREE: Final = _tree()
_PADDINGS: Final = _paddings(_TREE)


#: What one octet does: the row that comes next, and the symbols completed.
_Step = tuple["_Row", bytes]
#: The steps of one node by octet; empty until the node is first come to.
_Row = list[_Step]


class _Code:
    """Walks the tree octet by octet: each row is made once, for all connections.

    There are 256 nodes, so all rows together have 65,536 steps, and a usual peer needs a tenth.
    """

    def __init__(self) -> None:
        self._rows: dict[int, _Row] = {node: [] for node in {0, *_PADDINGS}}
        self.root = self._rows[0]
        #: The rows at which a string may end, by their identity: lists have no hash.
        self.ends = frozenset(id(self._rows[node]) for node in _PADDINGS)
        #: Where EOS leads, which may not be in a string: nothing leads out, nothing ends here.
        self._dead: _Row = []
        self._dead += [(self._dead, b"")] * 256

    def fill(self, row: _Row) -> None:
        """Make the steps of a row that was come to."""
        (node,) = (node for node, known in self._rows.items() if known is row)
        row += [self._walk(node, octet) for octet in range(256)]

    def _walk(self, node: int, octet: int) -> _Step:
        symbols = bytearray()
        for shift in range(7, -1, -1):
            node = _TREE[node][octet >> shift & 1]
            if node == ~_EOS:
                return self._dead, b""
            if node < 0:
                symbols.append(~node)
                node = 0
        return self._rows.setdefault(node, []), bytes(symbols)


_CODE: Final = _Code()


def decode(coded: bytes) -> bytes:
    """The string behind `coded`.

    Raises:
        PeerError: EOS within the string, or padding that is long or not all ones.
    """
    row = _CODE.root
    pieces: list[bytes] = []
    octets, octet = iter(coded), 0
    while True:
        try:
            for octet in octets:
                row, symbols = row[octet]
                pieces.append(symbols)
            break
        except IndexError:
            _CODE.fill(row)
            row, symbols = row[octet]
            pieces.append(symbols)
    if id(row) not in _CODE.ends:
        raise PeerError(ErrorCode.COMPRESSION_ERROR, "EOS or bad padding in a Huffman string")
    return b"".join(pieces)
