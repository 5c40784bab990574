"""How expressions quote text, so that a brace in a quotation is not taken for the end of one.

See the CEL specification, "Lexical Elements": https://github.com/google/cel-spec.
"""

from typing import Final

_RAW: Final = r"""[bB]?[rR](?:'{3}(?s:.*?)'{3}|"{3}(?s:.*?)"{3}|'[^'\n\r]*'|"[^"\n\r]*")"""
_COOKED: Final = (
    r"""[bB]?(?:'{3}(?:[^\\]|\\(?s:.))*?'{3}|"{3}(?:[^\\]|\\(?s:.))*?"{3}"""
    r"""|'(?:[^'\\\n\r]|\\.)*'|"(?:[^"\\\n\r]|\\.)*")"""
)
STRING: Final = rf"(?:{_RAW}|{_COOKED})"
COMMENT: Final = r"//[^\n]*"
