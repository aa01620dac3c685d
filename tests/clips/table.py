"""The labelled set: what each clip shows, how it is made, and what its operator has declared.

A picture is one of ffmpeg's graphs over stills (`stills.py`) or sources; a place such as {w} is filled in by
`making.py`. The label is what a person who watches would say.
"""

from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from keeper.core.viewing import Verdict
from keeper.ports import MediaKind, Region

LIVE, STATIC, FROZEN, BLACK = Verdict.LIVE, Verdict.STATIC, Verdict.FROZEN, Verdict.BLACK
SILENT, STUTTERING, CORRUPT = Verdict.SILENT, Verdict.STUTTERING, Verdict.CORRUPT
NO_BYTES = Verdict.NO_BYTES

MJPEG = "mjpeg"
RTMP, HLS = MediaKind.RTMP.value, MediaKind.HLS.value
ALL = (MJPEG, RTMP, HLS)
PLAYED = (RTMP, HLS)

# How the picture is pressed. Twitch, YouTube and Kick want a keyframe every two seconds, or every four.
X264 = "-c:v libx264 -preset veryfast -tune zerolatency -b:v 500k -maxrate 500k -bufsize 500k"
BASELINE = "-c:v libx264 -profile:v baseline -preset ultrafast -crf 28"
B_FRAMES = "-c:v libx264 -profile:v high -preset veryfast -bf 3 -b:v 400k"
POOR = "-c:v libx264 -preset veryfast -b:v 90k -maxrate 90k -bufsize 90k"
CBR = (
    "-c:v libx264 -preset veryfast -b:v 600k -minrate 600k -maxrate 600k -bufsize 600k "
    "-x264-params nal-hrd=cbr:force-cfr=1"
)
FULL_RANGE = f"{X264} -color_range pc"
X265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none -b:v 400k -tag:v hvc1"
FLV1 = "-c:v flv1 -b:v 500k"

TONE = "sine=f=440:r=44100,volume=0.5"
MUSIC = "aevalsrc='0.2*sin(2*PI*220*t)*(1+sin(2*PI*3*t))+0.1*sin(2*PI*331*t)':s=44100"
PAUSES = "aevalsrc='0.3*sin(2*PI*330*t)*gt(mod(t,4),2)':s=44100"
ROOM = "anoisesrc=a=0.006:r=44100:c=pink:s=1"
HUM = "aevalsrc='0.0001*sin(2*PI*50*t)':s=44100"
NOTHING = "anullsrc=r=44100:cl=mono"


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """One clip and what a person says of it."""

    name: str
    label: Verdict
    graph: str  # from [0], [1] … (the stills), or from nothing, to one picture
    stills: tuple[str, ...] = ()
    sound: str = TONE  # "": there is no track of it
    has_picture: bool = True
    size: tuple[int, int] = (320, 180)
    rate: int = 15
    gop_s: float = 2.0
    seconds: int = 8
    codec: str = X264
    damage: str = ""  # a filter over the finished stream
    is_fragmented: bool = False  # HLS in fragmented MP4
    ways: tuple[str, ...] = ALL
    declared: dict[str, Any] = field(default_factory=dict)  # of the View
    scene: str = ""  # this still is declared as a scene
    is_spare: bool = False  # the bench looks at it, each run of the tests need not


NOISE = "noise=alls=12:allf=t"
HEAVY_NOISE = "noise=alls=30:allf=t"
STAND = "[0]{stand}"
FIT = "scale={w}:{h}"
CORNER = Region(left=0.0, top=0.0, width=0.2, height=0.14)
FOOT = Region(left=0.0, top=0.9, width=1.0, height=0.1)
BOX = "scale={w}:{h}*3/4,pad={w}:{h}:0:{h}/8"
CLOCK = "[1]{loop},crop=72:24:0:'24*floor(mod(t,60))'[c];[0]{loop}[f];[f][c]overlay=20:12," + FIT
TICKER = "[1]{loop},crop=640:22:'mod(t*50,640)':0[c];[0]{loop}[f];[f][c]overlay=0:336," + FIT
TALK = "[0]{loop}[a];[1]{loop}[b];[a][b]overlay=enable='gt(sin(t*9)+sin(t*13.7),0.2)'," + FIT
FADES = (
    "[0]{loop},crop=640:360:'t*60':0,"
    + FIT
    + ",eq=eval=frame:contrast='{fade}':brightness='{fade}/2-0.5'"
)

_SOUND = {"expects_sound": True}


def _live() -> list[Clip]:
    pan = "[0]{loop},crop=640:360:'t*{speed}':0," + FIT
    return [
        Clip(name="test card", label=LIVE, graph="testsrc2=s={w}x{h}:r={rate}"),
        Clip(name="walk", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "90"), is_spare=True),
        Clip(name="slow pan", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "12")),
        Clip(name="very slow pan", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "4")),
        Clip(name="slow pan, low bitrate", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "12"), codec=POOR),
        Clip(name="slow pan, grainy", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "12") + "," + NOISE, is_spare=True),
        Clip(name="tilt", label=LIVE, stills=("town",), graph="[0]{loop},crop=480:270:80:'t*8'," + FIT, is_spare=True),
        Clip(name="slow zoom", label=LIVE, stills=("town",), graph="[0]{loop},scale=w='640+2*trunc(t*6)':h=-2:eval=frame,crop=640:360," + FIT, is_spare=True),
        Clip(name="drifting colours", label=LIVE, graph="gradients=s={w}x{h}:r={rate}:speed=0.01:seed=4:n=4"),
        Clip(name="night walk", label=LIVE, stills=("night",), graph=pan.replace("{speed}", "60")),
        Clip(name="slow night pan", label=LIVE, stills=("night",), graph=pan.replace("{speed}", "12"), is_spare=True),
        Clip(name="stars", label=LIVE, stills=("stars",), graph=pan.replace("{speed}", "20")),
        Clip(name="dancer in the dark", label=LIVE, stills=("night", "dancer"), graph="[0]{loop},crop=640:360[a];[1]{loop}[b];[a][b]overlay='300+120*sin(t*2)':150," + FIT),
        Clip(name="night, grainy", label=LIVE, stills=("night",), graph=pan.replace("{speed}", "60") + "," + NOISE, is_spare=True),
        Clip(name="talking head", label=LIVE, stills=("head", "head_open"), graph=TALK),
        Clip(name="talking head, grainy", label=LIVE, stills=("head", "head_open"), graph=TALK + "," + NOISE),
        Clip(name="talking head, low bitrate", label=LIVE, stills=("head", "head_open"), graph=TALK, codec=POOR, is_spare=True),
        Clip(name="talking head, sharp", label=LIVE, stills=("head", "head_open"), graph=TALK, size=(640, 360), codec=B_FRAMES, is_spare=True),
        Clip(name="listening head", label=LIVE, stills=("head", "head_blinking"), graph="[0]{loop}[a];[1]{loop}[b];[a][b]overlay=enable='lt(mod(t,2.7),0.2)',crop=600:338:'20+6*sin(t*0.9)':'11+3*sin(t*1.3)'," + FIT),
        Clip(name="wandering eyes", label=LIVE, stills=("head", "head_aside", "head_blinking"), graph="[0]{loop}[a];[1]{loop}[b];[2]{loop}[c];[a][b]overlay=enable='gt(sin(t*1.7)+sin(t*2.9),0)'[d];[d][c]overlay=enable='lt(mod(t,3.1),0.2)'," + FIT, size=(640, 360), is_spare=True),
        Clip(name="letterbox", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "30").replace(FIT, BOX)),
        Clip(name="pillarbox", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "30").replace(FIT, "scale={w}*3/4:{h},pad={w}:{h}:{w}/8:0"), is_spare=True),
        Clip(name="talking head, letterbox", label=LIVE, stills=("head", "head_open"), graph=TALK.replace(FIT, BOX), is_spare=True),
        Clip(name="fades to black and back", label=LIVE, stills=("wide_town",), graph=FADES.replace("{fade}", "clip(abs(mod(t,6)-3)-0.5,0,1)")),
        Clip(name="long black between scenes", label=LIVE, stills=("wide_town",), graph=FADES.replace("{fade}", "clip(2*abs(mod(t,8)-4)-2.4,0,1)"), is_spare=True),
        Clip(name="cuts", label=LIVE, stills=("town", "head", "stadium"), graph="[0]{loop}[a];[1]{loop}[b];[2]{loop}[c];[a][b]overlay=enable='between(mod(t,4.5),1.5,3)'[d];[d][c]overlay=enable='gt(mod(t,4.5),3)'," + FIT),
        Clip(name="slow dissolve", label=LIVE, stills=("town", "stadium"), graph="[0]{stand}[a];[1]{stand},format=yuva420p,fade=in:st=1:d=6:alpha=1[b];[a][b]overlay"),
        Clip(name="scoreboard clock", label=LIVE, stills=("stadium", "clock"), graph=CLOCK),
        Clip(name="scoreboard clock, sharp", label=LIVE, stills=("stadium", "clock"), graph=CLOCK, size=(640, 360), is_spare=True),
        Clip(name="ticker over a still", label=LIVE, stills=("lobby", "ticker"), graph=TICKER),
        Clip(name="walk in heavy noise", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "60") + "," + HEAVY_NOISE, is_spare=True),
        Clip(name="five a second by design", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "60"), rate=5, declared={"target_frames_per_s": 5}),
        Clip(name="five a second by design, sent at thirty", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "60") + ",fps=5,fps={rate}", rate=30, declared={"target_frames_per_s": 5}),
        Clip(name="keyframes twice a second", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "40"), gop_s=0.5, rate=30),
        Clip(name="keyframes every four seconds", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "40"), gop_s=4),
        Clip(name="keyframes every ten seconds", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "40"), gop_s=10, seconds=20, ways=(HLS,), is_spare=True),
        Clip(name="baseline", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "40"), codec=BASELINE, ways=PLAYED, is_spare=True),
        Clip(name="reordered frames", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "40"), codec=B_FRAMES, rate=30, ways=PLAYED),
        Clip(name="filled up to a constant bitrate", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "12"), codec=CBR, ways=PLAYED),
        Clip(name="HEVC", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "40"), codec=X265, ways=(HLS,), is_spare=True),
        Clip(name="HEVC, fragmented", label=LIVE, stills=("head", "head_open"), graph=TALK, codec=X265, is_fragmented=True, ways=(HLS,)),
        Clip(name="H.264, fragmented", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "40"), is_fragmented=True, ways=(HLS,), is_spare=True),
        Clip(name="Sorenson", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "40"), codec=FLV1, ways=(RTMP,)),
        Clip(name="tiny", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "40"), size=(160, 90)),
        Clip(name="large", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "40"), size=(1280, 720), codec=BASELINE, is_spare=True),
        Clip(name="sixty a second", label=LIVE, graph="testsrc2=s={w}x{h}:r={rate}", rate=60, declared={"target_frames_per_s": 60}, is_spare=True),
        Clip(name="upright", label=LIVE, stills=("wide_town",), graph="[0]{loop},crop=203:360:'t*30':0," + FIT, size=(180, 320), is_spare=True),
        Clip(name="room tone", label=LIVE, stills=("head", "head_open"), graph=TALK, sound=ROOM, declared=_SOUND, ways=PLAYED),
        Clip(name="pauses in the music", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "40"), sound=PAUSES, declared=_SOUND, ways=PLAYED),
        Clip(name="music", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "40"), sound=MUSIC, declared=_SOUND, ways=PLAYED, is_spare=True),
        Clip(name="no sound, and none wanted", label=LIVE, stills=("wide_town",), graph=pan.replace("{speed}", "40"), sound="", ways=PLAYED),
    ]  # fmt: skip


def _static() -> list[Clip]:
    return [
        Clip(name="slate", label=STATIC, stills=("slate",), graph=STAND, declared={"is_static_allowed": True}),
        Clip(name="slate, declared as a scene", label=STATIC, stills=("slate",), graph=STAND, scene="slate"),
        Clip(name="slate with music", label=STATIC, stills=("slate",), graph=STAND, scene="slate", sound=MUSIC, declared=_SOUND, ways=PLAYED, is_spare=True),
        Clip(name="lobby with a ticker that does not count", label=STATIC, stills=("lobby", "ticker"), graph=TICKER, scene="lobby", declared={"ignored": (FOOT,)}),
        Clip(name="menu with patience", label=STATIC, stills=("lobby",), graph=STAND, declared={"still_max_s": 600.0}),
        Clip(name="slate in noise, declared as a scene", label=STATIC, stills=("slate",), graph=STAND + "," + NOISE, scene="slate"),
    ]  # fmt: skip


def _frozen() -> list[Clip]:
    return [
        Clip(name="frozen", label=FROZEN, stills=("town",), graph=STAND),
        Clip(name="frozen, thirty a second", label=FROZEN, stills=("town",), graph=STAND, rate=30, declared={"target_frames_per_s": 30}),
        Clip(name="frozen in noise", label=FROZEN, stills=("town",), graph=STAND + "," + NOISE),
        Clip(name="frozen in heavy noise", label=FROZEN, stills=("town",), graph=STAND + "," + HEAVY_NOISE),
        Clip(name="frozen in noise, low bitrate", label=FROZEN, stills=("town",), graph=STAND + "," + NOISE, codec=POOR),
        Clip(name="frozen, low bitrate", label=FROZEN, stills=("town",), graph=STAND, codec=POOR, is_spare=True),
        Clip(name="frozen in noise, sixty a second", label=FROZEN, stills=("head",), graph=STAND + "," + NOISE, rate=60, seconds=6, is_spare=True),
        Clip(name="frozen, filled up to a constant bitrate", label=FROZEN, stills=("town",), graph=STAND, codec=CBR, ways=PLAYED),
        Clip(name="frozen letterbox", label=FROZEN, stills=("town",), graph=STAND.replace("{stand}", "{boxed}"), is_spare=True),
        Clip(name="frozen letterbox in noise", label=FROZEN, stills=("town",), graph="[0]{loop}," + NOISE + "," + BOX),
        Clip(name="frozen night", label=FROZEN, stills=("night",), graph="[0]{loop},crop=640:360," + FIT, is_spare=True),
        Clip(name="frozen night in noise", label=FROZEN, stills=("night",), graph="[0]{loop},crop=640:360," + FIT + "," + NOISE),
        Clip(name="frozen night, low bitrate", label=FROZEN, stills=("night",), graph="[0]{loop},crop=640:360," + FIT, codec=POOR, is_spare=True),
        Clip(name="frozen night in noise, low bitrate", label=FROZEN, stills=("night",), graph="[0]{loop},crop=640:360," + FIT + "," + NOISE, codec=POOR, is_spare=True),
        Clip(name="frozen head", label=FROZEN, stills=("head",), graph=STAND, is_spare=True),
        Clip(name="frozen head with music", label=FROZEN, stills=("head",), graph=STAND, sound=MUSIC, declared=_SOUND, ways=PLAYED),
        Clip(name="frozen head without sound", label=FROZEN, stills=("head",), graph=STAND, sound=NOTHING, declared=_SOUND, ways=PLAYED),
        Clip(name="green", label=FROZEN, graph="color=0x008700:s={w}x{h}:r={rate}"),
        Clip(name="grey", label=FROZEN, graph="color=0x808080:s={w}x{h}:r={rate}", is_spare=True),
        Clip(name="colour bars", label=FROZEN, graph="smptebars=s={w}x{h}:r={rate}"),
        Clip(name="scoreboard, its clock does not count", label=FROZEN, stills=("stadium", "clock"), graph=CLOCK, declared={"ignored": (CORNER,)}),
        Clip(name="ticker does not count", label=FROZEN, stills=("lobby", "ticker"), graph=TICKER, declared={"ignored": (FOOT,)}, is_spare=True),
        Clip(name="another picture than the scene", label=FROZEN, stills=("town",), graph=STAND, scene="slate"),
        Clip(name="logo on black", label=FROZEN, stills=("logo",), graph=STAND),
        Clip(name="frozen, keyframes twice a second", label=FROZEN, stills=("town",), graph=STAND, gop_s=0.5, rate=30, is_spare=True),
        Clip(name="frozen, keyframes every four seconds", label=FROZEN, stills=("town",), graph=STAND, gop_s=4),
        Clip(name="frozen, keyframes every ten seconds", label=FROZEN, stills=("town",), graph=STAND, gop_s=10, seconds=20, ways=(HLS,), is_spare=True),
        Clip(name="frozen baseline", label=FROZEN, stills=("town",), graph=STAND, codec=BASELINE, ways=PLAYED, is_spare=True),
        Clip(name="frozen, reordered frames", label=FROZEN, stills=("town",), graph=STAND, codec=B_FRAMES, rate=30, ways=PLAYED),
        Clip(name="frozen HEVC", label=FROZEN, stills=("town",), graph=STAND, codec=X265, ways=(HLS,), is_spare=True),
        Clip(name="frozen Sorenson", label=FROZEN, stills=("town",), graph=STAND, codec=FLV1, ways=(RTMP,)),
        Clip(name="frozen, tiny", label=FROZEN, stills=("town",), graph=STAND, size=(160, 90), is_spare=True),
        Clip(name="frozen in noise, tiny", label=FROZEN, stills=("town",), graph=STAND + "," + NOISE, size=(160, 90)),
        Clip(name="frozen, large", label=FROZEN, stills=("town",), graph=STAND, size=(1280, 720), codec=BASELINE, is_spare=True),
    ]  # fmt: skip


def _black() -> list[Clip]:
    black = "color=black:s={w}x{h}:r={rate}"
    return [
        Clip(name="black", label=BLACK, graph=black, sound=""),
        Clip(name="black with sound", label=BLACK, graph=black, sound=MUSIC, ways=PLAYED, is_spare=True),
        Clip(name="black with sound that is wanted", label=BLACK, graph=black, sound=MUSIC, declared=_SOUND, ways=PLAYED),
        Clip(name="black in noise", label=BLACK, graph=black + ",noise=c0s=8:c0f=t"),
        Clip(name="black, full range", label=BLACK, graph=black + ",scale=out_range=pc,format=yuv420p", codec=FULL_RANGE, ways=PLAYED),
        Clip(name="black HEVC", label=BLACK, graph=black, codec=X265, ways=(HLS,), is_spare=True),
        Clip(name="black though it may stand", label=BLACK, graph=black, declared={"is_static_allowed": True}),
        Clip(name="black, keyframes every four seconds", label=BLACK, graph=black, gop_s=4, is_spare=True),
    ]  # fmt: skip


def _other() -> list[Clip]:
    pan = "[0]{loop},crop=640:360:'t*60':0," + FIT
    return [
        Clip(name="no track of sound", label=SILENT, stills=("wide_town",), graph=pan, sound="", declared=_SOUND, ways=PLAYED),
        Clip(name="digital silence", label=SILENT, stills=("wide_town",), graph=pan, sound=NOTHING, declared=_SOUND, ways=PLAYED),
        Clip(name="hum below hearing", label=SILENT, stills=("head", "head_open"), graph=TALK, sound=HUM, declared=_SOUND, ways=PLAYED),
        Clip(name="muted head", label=SILENT, stills=("head", "head_open"), graph=TALK, sound=NOTHING, declared=_SOUND, ways=PLAYED, is_spare=True),
        Clip(name="muted slate", label=SILENT, stills=("slate",), graph=STAND, scene="slate", sound=NOTHING, declared=_SOUND, ways=PLAYED),
        Clip(name="muted, reordered frames", label=SILENT, stills=("wide_town",), graph=pan, sound=NOTHING, codec=B_FRAMES, declared=_SOUND, ways=PLAYED, is_spare=True),
        Clip(name="five of thirty a second", label=STUTTERING, stills=("wide_town",), graph=pan + ",fps=5,fps={rate}", rate=30, declared={"target_frames_per_s": 30}),
        Clip(name="three of thirty a second", label=STUTTERING, stills=("wide_town",), graph=pan + ",fps=3,fps={rate}", rate=30, declared={"target_frames_per_s": 30}),
        Clip(name="five of thirty a second, reordered frames", label=STUTTERING, stills=("wide_town",), graph=pan + ",fps=5,fps={rate}", rate=30, codec=B_FRAMES, declared={"target_frames_per_s": 30}, ways=PLAYED, is_spare=True),
        Clip(name="damaged", label=CORRUPT, stills=("wide_town",), graph=pan, damage="noise=amount=300", ways=PLAYED),
        Clip(name="sound and no picture", label=NO_BYTES, graph="", has_picture=False, sound=MUSIC, ways=PLAYED),
    ]  # fmt: skip


CLIPS: tuple[Clip, ...] = (*_live(), *_static(), *_frozen(), *_black(), *_other())


def a_few() -> list[tuple[Clip, str]]:
    """Return clips of every class, each by one way: looked at in a minute.

    RTMP has the fewest, because a look at it lasts until a keyframe comes.
    """
    turns = {ALL: cycle((MJPEG, HLS, MJPEG, HLS, RTMP)), PLAYED: cycle((HLS, RTMP, HLS))}
    return [
        (clip, next(turns[clip.ways]) if clip.ways in turns else clip.ways[0])
        for clip in CLIPS
        if not clip.is_spare
    ]


def all_ways() -> list[tuple[Clip, str]]:
    """Return every clip, by every way that carries it."""
    return [(clip, way) for clip in CLIPS for way in clip.ways]
