"""``birddog scan``: what stands out in a scene seen from above, as GeoJSON."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="GeoTIFF, PNG or JPEG")
    parser.add_argument("--before", metavar="IMAGE", help="the earlier scene on the same grid, for change")
    parser.add_argument("--detector", default="cfar", metavar="NAME",
                        help="cfar (bright objects), ir-mad (change), rx (optical anomaly); default cfar")
    parser.add_argument("--pfa", type=float, metavar="P",
                        help="false alarms a pixel that are accepted, 1e-12 to 0.01; ir-mad sets its own threshold")
    parser.add_argument("--tile", type=int, metavar="N", help="side of a window in px; changes speed and memory, never a flag")
    parser.add_argument("--threads", type=int, metavar="N", help="default: at most 2")
    parser.add_argument("--out", metavar="FILE", help="write the flags here instead of stdout")
    parser.add_argument("--mask", metavar="FILE.tif", help="1 above the threshold (or changed), 0 not, 255 not valid")
    parser.add_argument("--scores", metavar="FILE.tif", help="the score of every pixel, float32")
    parser.add_argument("--thumbnails", action="store_true", help="a small PNG in each flag")


def run(args: argparse.Namespace) -> int:
    """Exit 1 where a scene among good ones could not be read, 2 where none could."""
    import json
    import sys
    from pathlib import Path

    from birddog.errors import UsageError
    from imagery import detector as contract
    from imagery.geojson import collection
    from imagery.raster_out import write_text
    from imagery.scan import DEFAULT_TILE_PX, ScanResult, scan, spare
    from imagery.scene import Reader, SceneError, sha256_of
    from imagery.thumbnail import thumbnail
    from opsroom.commands.common import say

    if len(args.images) > 1 and (args.mask or args.scores or args.before):
        raise UsageError("goes with one IMAGE only", field="--mask" if args.mask else "--scores" if args.scores else "--before")
    pfa = args.pfa
    if pfa is not None and contract.find(args.detector).PFA is None:
        say(f"birddog scan: --pfa is ignored: {args.detector} sets its own threshold")
        pfa = None
    if args.threads is not None and args.threads < 1:
        raise UsageError("wants 1 or more", field="--threads")
    spare(args.out, [*args.images, *(f for f in (args.before, args.mask, args.scores) if f is not None)])
    results: dict[str, ScanResult] = {}
    pictures: dict[str, bytes] = {}
    bad: list[SceneError] = []
    for image in args.images:
        try:
            if len(args.images) > 1 and (twin := results.get(sha256_of(image))) is not None:
                say(f"birddog scan: {image}: is the same file as {twin.scene.path} (SHA-256); told once")
                continue
            result = scan(image, detector=args.detector, pfa=pfa, before=args.before, threads=args.threads,
                          tile=DEFAULT_TILE_PX if args.tile is None else args.tile, mask=args.mask, scores=args.scores)
            if args.thumbnails:
                with Reader(result.scene) as reader:
                    pictures |= {flag.flag_id: thumbnail(reader, flag) for flag in result.flags}
        except SceneError as error:
            bad.append(error)
            if len(args.images) > 1:
                say(f"birddog scan: {error}")
            continue
        if result.scene.placing is None and result.scene.unplaced:
            say(f"birddog scan: {image}: is placed by {result.scene.unplaced}, not understood here: its flags have no geometry")
        elif result.scene.placing is not None and (lost := sum(flag.lat_deg is None for flag in result.flags)):
            say(f"birddog scan: {image}: {lost} of {len(result.flags)} flags lie off the scene's ground: they have no geometry")
        results[result.sha256] = result
    if not results:
        if len(args.images) == 1:
            raise bad[0]
        return 2
    text = json.dumps(collection(list(results.values()), pictures), allow_nan=False, separators=(",", ":")) + "\n"
    if args.out is None:
        sys.stdout.write(text)
    else:
        write_text(Path(args.out), text)
    return 1 if bad else 0
