"""The still pictures that clips are made of, drawn with Pillow: the same bytes on every machine."""

import math
import random
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFont

SIZE = (640, 360)
CLOCK = (72, 24)  # one row of the strip that `clock` draws
CLOCK_ROWS = 60


def texture(size: tuple[int, int], seed: int) -> Image.Image:
    """Noise of all sizes, the large one strongest: what foliage, walls and clouds come to."""
    luck = random.Random(seed)
    total = Image.new("L", size, 128)
    for octave in range(6):
        columns, rows = 5 << octave, 3 << octave
        layer = Image.frombytes("L", (columns, rows), luck.randbytes(columns * rows))
        layer = layer.resize(size, Image.Resampling.BICUBIC)
        total = Image.blend(total, layer, 0.32)
    return ImageEnhance.Contrast(total).enhance(1.6)


def town(size: tuple[int, int] = SIZE) -> Image.Image:
    """A street: sky, houses with windows, a rough ground."""
    luck = random.Random(3)
    width, height = size
    grey = texture(size, 1)
    picture = Image.merge("RGB", (grey, texture(size, 2), ImageChops.invert(grey)))
    picture = Image.blend(picture, Image.new("RGB", size, (110, 120, 130)), 0.5)
    draw = ImageDraw.Draw(picture)
    left = 0
    while left < width:
        wide, high = luck.randrange(24, 80), luck.randrange(height // 4, height * 3 // 4)
        colour = tuple(luck.randrange(40, 200) for _ in range(3))
        draw.rectangle((left, height - 40 - high, left + wide, height - 40), fill=colour)
        for x in range(left + 5, left + wide - 8, 14):
            for y in range(height - 32 - high, height - 52, 18):
                light = (250, 240, 170) if luck.random() < 0.4 else (30, 30, 50)
                draw.rectangle((x, y, x + 7, y + 9), fill=light)
        left += wide + luck.randrange(0, 12)
    return picture


def wide_town() -> Image.Image:
    """The same street, wide enough to walk along."""
    return town((1920, 360))


def night() -> Image.Image:
    """The street with its lights off: nearly black, and not quite."""
    return ImageEnhance.Brightness(town((1920, 360))).enhance(0.08)


def stars() -> Image.Image:
    """A black sky with a few bright points."""
    luck = random.Random(5)
    picture = Image.new("RGB", (1280, 360))
    draw = ImageDraw.Draw(picture)
    for _ in range(220):
        x, y, size = luck.randrange(1280), luck.randrange(360), luck.choice((2, 3, 5))
        draw.ellipse((x, y, x + size, y + size), fill=(240, 240, 255))
    return picture


def head(*, is_open: bool = False, is_blinking: bool = False, gaze: int = 0) -> Image.Image:
    """A person before a wall."""
    wall = Image.blend(town(), Image.new("RGB", SIZE, (90, 80, 70)), 0.7)
    draw = ImageDraw.Draw(wall)
    draw.ellipse((200, 250, 440, 460), fill=(40, 50, 110))
    draw.ellipse((245, 60, 395, 270), fill=(214, 170, 140))
    for left in (275, 335):
        if is_blinking:
            draw.line((left, 140, left + 30, 140), fill=(120, 80, 60), width=3)
        else:
            draw.ellipse((left, 130, left + 30, 148), fill=(245, 245, 245))
            draw.ellipse((left + 10 + gaze, 132, left + 20 + gaze, 146), fill=(40, 30, 20))
    if is_open:
        draw.ellipse((290, 205, 350, 240), fill=(90, 20, 30))
    else:
        draw.line((292, 222, 348, 222), fill=(150, 60, 60), width=4)
    return wall


def stadium() -> Image.Image:
    """A field that nobody moves on, with the place of a clock in a corner."""
    picture = Image.blend(
        texture(SIZE, 9).convert("RGB"), Image.new("RGB", SIZE, (40, 140, 50)), 0.7
    )
    draw = ImageDraw.Draw(picture)
    draw.rectangle((20, 60, 620, 340), outline=(240, 240, 240), width=3)
    draw.line((320, 60, 320, 340), fill=(240, 240, 240), width=3)
    draw.rectangle((20, 12, 20 + CLOCK[0], 12 + CLOCK[1]), fill=(0, 0, 0))
    return picture


def clock() -> Image.Image:
    """A strip of the sixty seconds of a minute, one below the other."""
    width, height = CLOCK
    strip = Image.new("RGB", (width, height * CLOCK_ROWS))
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(size=20)
    for second in range(CLOCK_ROWS):
        draw.text((6, second * height), f"45:{second:02d}", fill=(255, 255, 255), font=font)
    return strip


def ticker() -> Image.Image:
    """A line of text that runs through."""
    strip = Image.new("RGB", (1280, 22), (20, 20, 90))
    words = "the next round begins soon   *   odds are open   *   thank you for waiting   *   "
    ImageDraw.Draw(strip).text(
        (0, 0), words * 4, fill=(255, 255, 255), font=ImageFont.load_default(size=16)
    )
    return strip


def slate() -> Image.Image:
    """What is shown while nothing is."""
    picture = Image.new("RGB", SIZE, (24, 32, 70))
    draw = ImageDraw.Draw(picture)
    for ring in range(6):
        angle = ring * math.pi / 3
        x, y = 320 + 90 * math.cos(angle), 150 + 60 * math.sin(angle)
        draw.ellipse((x - 22, y - 22, x + 22, y + 22), fill=(200, 120 + ring * 20, 60))
    draw.text(
        (190, 270), "We are back soon", fill=(255, 255, 255), font=ImageFont.load_default(size=32)
    )
    return picture


def lobby() -> Image.Image:
    """A menu of a game, with a free line at its foot."""
    picture = town()
    draw = ImageDraw.Draw(picture)
    for row in range(4):
        draw.rectangle((60, 70 + row * 56, 280, 110 + row * 56), fill=(250, 250, 250))
        draw.rectangle((66, 76 + row * 56, 274, 104 + row * 56), fill=(30, 60, 110))
    draw.rectangle((0, 336, 640, 358), fill=(20, 20, 90))
    return picture


def logo() -> Image.Image:
    """A sign on black, and nothing else."""
    picture = Image.new("RGB", SIZE)
    ImageDraw.Draw(picture).rectangle((540, 20, 620, 60), fill=(230, 230, 230))
    return picture


def dancer() -> Image.Image:
    """A dim figure, to be moved over black."""
    picture = Image.new("RGB", (60, 160), (0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((18, 0, 42, 30), fill=(46, 38, 34))
    draw.polygon(((30, 28), (56, 100), (44, 160), (14, 160), (4, 96)), fill=(34, 30, 44))
    return picture


STILLS: dict[str, Callable[[], Image.Image]] = {
    "town": town,
    "wide_town": wide_town,
    "night": night,
    "stars": stars,
    "head": head,
    "head_open": lambda: head(is_open=True),
    "head_blinking": lambda: head(is_blinking=True),
    "head_aside": lambda: head(gaze=6),
    "stadium": stadium,
    "clock": clock,
    "ticker": ticker,
    "slate": slate,
    "lobby": lobby,
    "logo": logo,
    "dancer": dancer,
}


def draw_all(folder: Path) -> None:
    """Draw every still into a folder."""
    for name, draw in STILLS.items():
        draw().save(folder / f"{name}.png", compress_level=1)
