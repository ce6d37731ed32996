"""Text that others wrote, without what would steer a terminal or turn the reading direction and so show something else."""

from __future__ import annotations

import re
import unicodedata

_HIDDEN = [
    *(code for code in range(0xA0) if unicodedata.category(chr(code)) == "Cc" and chr(code) not in "\n\t"),
    # Marks, embeddings, overrides and isolates of direction: https://trojansource.codes
    *(0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
]
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _HIDDEN}
_SURROGATES = re.compile("[\ud800-\udfff]")


def visible(text: str) -> str:
    """`text` with control characters and lone surrogates as escapes that can be seen; line ends and tabs stay."""
    if text.isprintable():  # most are: nothing that is hidden is printable
        return text
    text = text.replace("\r\n", "\n").translate(_ESCAPES)
    return _SURROGATES.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
