"""How the slate looks: a title, a large countdown, a calm line. Drawn by Pillow, frame by frame.

It knows sizes, colours and words, and nothing of time or of where it will be shown. What is drawn once
(ground, logo, words) is kept apart from what changes every second or every frame.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFont

# Where systems keep a font that has nearly all letters of the living alphabets. Pillow's own is the more
# beautiful one and has no letter beyond ASCII and a few signs.
_SYSTEM_FONTS = (
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
)
_ABSENT = "\uffff"  # no font has it: what is drawn in its place is what is drawn for all it lacks
_PIXELS_MAX = 16_000_000  # of a logo
SWEEP_S = 4.0  # the light needs so long from one end of its line to the other and back

Rgb = tuple[int, int, int]
Font = ImageFont.FreeTypeFont


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What an operator may say of the look. Colours are any that CSS writes."""

    width: int
    height: int
    title: str
    subtitle: str
    ending: str = "Any moment now"  # in the countdown's place when it is over
    waiting: str = "Back soon"  # and where it would be too long for a number
    background: str = "#10141f"
    foreground: str = "#f4f6fb"
    accent: str = "#5aa9ff"
    logo_file: str = ""  # PNG or JPEG
    font_file: str = ""  # "": the best that is at hand


class Painter:
    """Draws one card. Raises OSError and ValueError for a logo or a font that cannot be used."""

    def __init__(self, card: Card) -> None:
        self.card = card
        # Everything is sized by the largest 16:9 picture that fits.
        self._unit = min(card.width / 1280.0, card.height / 720.0)
        self._foreground = _rgb(card.foreground)
        self._accent = _rgb(card.accent)
        self._muted = _mix(self._foreground, _rgb(card.background), 0.38)
        self._middle = card.width / 2.0
        # Moves up without a logo: what is there stands in the middle of what is seen.
        self._top = card.height / 2.0 - 360.0 * self._unit
        self.base = self._drawn_base()
        left, right = self._middle - 210 * self._unit, self._middle + 210 * self._unit
        at = self._y(548)
        self._line = (left, at, right, at + max(2.0, 3.0 * self._unit))
        wide, high = self._box(1180), self._box(210)
        self._number_at = (round(self._middle - wide / 2), round(self._y(300)))
        self._number_size = (wide, high)

    def number(self, text: str) -> tuple[Image.Image, tuple[int, int]]:
        """Draw what stands in the countdown's place; returns the patch and where it goes."""
        x, y = self._number_at
        wide, high = self._number_size
        patch = self.base.crop((x, y, x + wide, y + high))
        draw = ImageDraw.Draw(patch)
        is_clock = all(each.isdigit() or each == ":" for each in text)
        size = 200 if is_clock else 104
        font, text = self._fitted(text, size, 30, wide)
        middle = high / 2.0
        if not is_clock:
            draw.text((wide / 2.0, middle), text, self._foreground, font, anchor="mm")
            return patch, (x, y)
        # Digits in cells of one width: a clock must not tremble.
        cell = max(font.getlength(digit) for digit in "0123456789")
        colon = font.getlength(":") * 1.3
        widths = [colon if each == ":" else cell for each in text]
        left = (wide - sum(widths)) / 2.0
        for each, width in zip(text, widths, strict=True):
            lift = 0.10 * font.size if each == ":" else 0.0
            draw.text((left + width / 2.0, middle + 0.36 * font.size - lift), each, self._foreground, font, anchor="ms")  # fmt: skip
            left += width
        return patch, (x, y)

    def light(self, second: float) -> tuple[Image.Image, tuple[int, int]]:
        """Draw the line and the light that wanders along it; the same again every SWEEP_S."""
        left, top, right, bottom = self._line
        x, y = math.floor(left), math.floor(top)
        wide, high = math.ceil(right) - x, max(1, math.ceil(bottom) - y)
        swing = 0.5 - 0.5 * math.cos(2.0 * math.pi * second / SWEEP_S)
        centre, reach = swing * wide, 0.20 * wide
        dim = _mix(self.base.getpixel((x, y)), self._foreground, 0.16)  # type: ignore[arg-type]
        row = Image.new("RGB", (wide, 1))
        row.putdata(
            [
                _mix(dim, self._accent, math.exp(-(((at - centre) / reach) ** 2)))
                for at in range(wide)
            ]
        )
        return row.resize((wide, high)), (x, y)

    # --- what does not change -----------------------------------------------------------------------

    def _drawn_base(self) -> Image.Image:
        card = self.card
        base = self._ground()
        draw = ImageDraw.Draw(base)
        title_at, title_size = 214.0, 64
        if card.logo_file:
            logo = _logo(Path(card.logo_file), self._box(520), self._box(110))
            at = (round(self._middle - logo.width / 2), round(self._y(112) - logo.height / 2))
            base.paste(logo, at, logo)
            title_at = 236.0
        lines = self._wrapped(card.title, title_size, 34, self._box(1120))
        font, texts = lines
        step = font.size * 1.18
        first = self._y(title_at) - step * (len(texts) - 1) / 2.0
        for number, text in enumerate(texts):
            where = (self._middle, first + step * number)
            draw.text(where, text, self._foreground, font, anchor="mm")
        if card.subtitle:
            font, texts = self._wrapped(card.subtitle, 34, 22, self._box(1040))
            for number, text in enumerate(texts):
                where = (self._middle, self._y(606) + font.size * 1.3 * number)
                draw.text(where, text, self._muted, font, anchor="mm")
        return base

    def _ground(self) -> Image.Image:
        """Draw the ground: the colour, darker below, with a breath of the accent above."""
        card = self.card
        size = (card.width, card.height)
        colour = _rgb(card.background)
        base = Image.new("RGB", size, _mix(colour, (255, 255, 255), 0.035))
        below = Image.new("RGB", size, _mix(colour, (0, 0, 0), 0.45))
        base.paste(below, (0, 0), Image.linear_gradient("L").resize(size, Image.Resampling.BICUBIC))
        falling = [round((255 - each) ** 2 / 255.0) for each in range(256)]
        glow = Image.radial_gradient("L").point(falling)
        wide, high = round(card.width * 1.6), round(card.height * 2.0)
        spread = Image.new("L", size)
        above = (round((card.width - wide) / 2), -high // 2)
        spread.paste(glow.resize((wide, high), Image.Resampling.BICUBIC), above)
        tinted = Image.blend(base, Image.new("RGB", size, self._accent), 0.12)
        base.paste(tinted, (0, 0), spread)
        # A shade of grain: without it a dark slope falls into steps.
        grain = [Image.effect_noise(size, 2.0) for _ in "RGB"]
        return ImageChops.add(base, Image.merge("RGB", grain), 1.0, -128)

    # --- words ----------------------------------------------------------------------------------------

    def _fitted(self, text: str, size: int, size_min: int, wide: float) -> tuple[Font, str]:
        """Return the largest font in which a line fits, and the line, cut where none is small enough."""
        text = _one_line(text)
        for points in range(size, size_min - 1, -2):
            font, shown = self._font(text, points)
            if font.getlength(shown) <= wide:
                return font, shown
        font, shown = self._font(text, size_min)
        return font, _cut(font, shown, wide)

    def _wrapped(
        self, text: str, size: int, size_min: int, wide: float
    ) -> tuple[Font, Sequence[str]]:
        """Return a font and one line or two; what does not fit into two is cut."""
        text = _one_line(text)
        for points in range(size, size_min - 1, -2):
            font, shown = self._font(text, points)
            # A long line is set smaller only so far; then it is better broken.
            if font.getlength(shown) <= wide and points >= size * 0.7:
                return font, (shown,)
            lines = _two_lines(font, shown, wide)
            if lines and points < size * 0.8:
                return font, lines
        font, shown = self._font(text, size_min)
        head, rest = _head_that_fits(font, shown, wide)
        return font, tuple(each for each in (head, _cut(font, rest, wide)) if each)

    def _font(self, text: str, points: int) -> tuple[Font, str]:
        size = max(6, round(points * self._unit))
        return font_for(text, size, self.card.font_file)

    def _y(self, y: float) -> float:
        return self._top + y * self._unit

    def _box(self, length: float) -> int:
        return max(2, round(length * self._unit))


# --- fonts ----------------------------------------------------------------------------------------------


def font_for(text: str, size: int, font_file: str = "") -> tuple[Font, str]:
    """Return the first font that has all letters of a text, and the text as it can be drawn in it.

    Where none has all, letters lose their marks rather than be boxes. Raises OSError.
    """
    names = [font_file] if font_file else ["", *_SYSTEM_FONTS]
    for name in names:
        font = _loaded(name, size)
        if font is not None and all(_has(name, each) for each in text):
            return font, text
    first = names[0]
    font = _loaded(first, size)
    if font is None:
        raise OSError(f"the font {font_file} cannot be read")
    bare = "".join(each if _has(first, each) else _bare(each) for each in text)
    return font, "".join(each for each in bare if _has(first, each))


def letters_lacking(text: str, font_file: str = "") -> str:
    """Return the letters that no font at hand can draw, not even without their marks."""
    _, shown = font_for(text, 32, font_file)
    left = len(shown)
    return "" if left >= len(text) else "".join(sorted(set(text) - set(shown)))


@lru_cache(maxsize=64)
def _loaded(name: str, size: int) -> Font | None:
    try:
        font = ImageFont.truetype(name, size) if name else ImageFont.load_default(size)
    except OSError:
        return None
    return font if isinstance(font, ImageFont.FreeTypeFont) else None


@lru_cache(maxsize=4096)
def _has(name: str, letter: str) -> bool:
    """Say whether a font draws a letter otherwise than what it lacks."""
    font = _loaded(name, 24)
    if font is None or letter.isspace():
        return font is not None
    mask, absent = font.getmask(letter), font.getmask(_ABSENT)
    return (mask.size, bytes(mask)) != (absent.size, bytes(absent))


def _bare(letter: str) -> str:
    parts = unicodedata.normalize("NFKD", letter)
    return "".join(each for each in parts if not unicodedata.combining(each))


def _one_line(text: str) -> str:
    shown = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(shown.split())


def _cut(font: Font, text: str, wide: float) -> str:
    if font.getlength(text) <= wide:
        return text
    head, _ = _head_of(font, text, wide - font.getlength("…"))
    return f"{head.rstrip()}…"


def _head_of(font: Font, text: str, wide: float) -> tuple[str, str]:
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle]) <= wide else (low, middle - 1)
    return text[:low], text[low:]


def _head_that_fits(font: Font, text: str, wide: float) -> tuple[str, str]:
    """Break a line at its last space that fits; in the middle of a word where there is none."""
    head, rest = _head_of(font, text, wide)
    if rest and " " in head.strip():
        head, _, begun = head.rpartition(" ")
        rest = begun + rest
    return head.strip(), rest.strip()


def _two_lines(font: Font, text: str, wide: float) -> tuple[str, str] | None:
    """Break a line near its middle, so that neither half overflows; None: it cannot be done."""
    spaces = [at for at, each in enumerate(text) if each == " "]
    for at in sorted(spaces, key=lambda at: abs(at - len(text) / 2)):
        first, second = text[:at], text[at + 1 :]
        if font.getlength(first) <= wide and font.getlength(second) <= wide:
            return first, second
    return None


def _logo(path: Path, wide: int, high: int) -> Image.Image:
    with Image.open(path, formats=("PNG", "JPEG")) as image:
        if image.width * image.height > _PIXELS_MAX:
            raise ValueError(f"the logo {path} has more than {_PIXELS_MAX} pixels")
        logo = image.convert("RGBA")
    ratio = min(wide / logo.width, high / logo.height)
    size = max(1, round(logo.width * ratio)), max(1, round(logo.height * ratio))
    return logo.resize(size, Image.Resampling.LANCZOS)


def _rgb(colour: str) -> Rgb:
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return red, green, blue


def _mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    return (
        round(one[0] + (other[0] - one[0]) * share),
        round(one[1] + (other[1] - one[1]) * share),
        round(one[2] + (other[2] - one[2]) * share),
    )
