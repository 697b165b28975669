"""Words that make a password guessable and that zxcvbn's lists do not have: Korean ones and our own."""

from __future__ import annotations

COMMON_PASSWORDS = (
    "mcpcore", "mcp-core", "mcp core", "mcpservice", "modelcontextprotocol", "changeme", "letmein", "default",
    "correcthorsebatterystaple", "correct horse battery staple", "administrator", "passwordpassword",
    "비밀번호", "비밀번호입니다", "안녕하세요", "안녕하세요비밀번호", "안녕히가세요", "사랑해", "사랑해요",
    "사랑합니다", "대한민국", "우리나라", "감사합니다", "고맙습니다", "반갑습니다", "관리자", "관리자입니다",
    "관리자비밀번호", "사용자", "로그인", "회원가입", "암호", "암호입니다", "나의비밀번호", "내비밀번호", "패스워드",
    "행복하세요", "화이팅", "파이팅", "가나다라마바사", "가나다라마바사아자차카타파하", "동해물과백두산이",
    "동해물과백두산이마르고닳도록", "무궁화", "서울특별시", "부산광역시", "한국사람", "세종대왕", "이순신장군",
    "아이디", "아이디비밀번호", "테스트", "테스트입니다", "새해복많이받으세요",
)  # fmt: skip

_INITIALS = tuple("rRseEfaqQtTdwWczxvg")
_VOWELS = (
    "k",
    "o",
    "i",
    "O",
    "j",
    "p",
    "u",
    "P",
    "h",
    "hk",
    "ho",
    "hl",
    "y",
    "n",
    "nj",
    "np",
    "nl",
    "b",
    "m",
    "ml",
    "l",
)
_FINALS = (
    "", "r", "R", "rt", "s", "sw", "sg", "e", "f", "fr", "fa", "fq", "ft", "fx", "fv", "fg", "a", "q", "qt", "t", "T", "d",
    "w", "c", "z", "x", "v", "g",
)  # fmt: skip
_FIRST_SYLLABLE = 0xAC00
_LAST_SYLLABLE = 0xD7A3


def keyboard_spelling(text: str) -> str:
    """How Hangul comes out on a Latin layout with the two-set keyboard: 비밀번호 becomes qlalfqjsgh."""
    letters = []
    for character in text:
        code = ord(character)
        if not _FIRST_SYLLABLE <= code <= _LAST_SYLLABLE:
            letters.append(character)
            continue
        initial, rest = divmod(code - _FIRST_SYLLABLE, len(_VOWELS) * len(_FINALS))
        vowel, final = divmod(rest, len(_FINALS))
        letters.append(_INITIALS[initial] + _VOWELS[vowel] + _FINALS[final])
    return "".join(letters).casefold()
