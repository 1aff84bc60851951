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
    parser.add_argument("--csv", metavar="FILE", help="the flags as a table, too")
    parser.add_argument("--band", action="append", default=[], metavar="N",
                        help="look at this band (from 1); may be repeated, or 1,2: what any of them shows is one object. "
                             "Without it a picture's brightness, both bands of a stack of two, else the first")
    parser.add_argument("--land", nargs="?", const="basemap", metavar="FILE",
                        help="look at no land: a GeoJSON (WGS 84), a GeoTIFF (land where not 0), or without FILE the "
                             "shipped basemap, which is coarse (1:50 million)")
    parser.add_argument("--shore", type=float, metavar="M",
                        help="look at nothing within this many metres of the land either; default 0, of the basemap 1000")
    parser.add_argument("--aoi", metavar="FILE", help="look at nothing outside these polygons (GeoJSON)")
    parser.add_argument("--fixed", metavar="FILE",
                        help="what stands there is no ship: GeoJSON or CSV (lat, lon, radius_m; default 150 m)")
    parser.add_argument("--min-length", type=float, metavar="M", help="leave out what is shorter, metres")
    parser.add_argument("--max-length", type=float, metavar="M", help="leave out what is longer, metres; without it 600")
    parser.add_argument("--thumbnails", action="store_true", help="a small PNG in each flag")


def run(args: argparse.Namespace) -> int:
    """Exit 1 where a scene among good ones could not be read or was unfit, 2 where none could be judged."""
    import json
    import sys
    from pathlib import Path

    from birddog.errors import UsageError
    from imagery import detector as contract
    from imagery.geojson import collection, csv_of
    from imagery.only import Only
    from imagery.raster_out import write_text
    from imagery.scan import DEFAULT_TILE_PX, ScanResult, Unfit, scan, spare
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
    only = Only(bands=_bands(args.band), land=args.land, shore_m=args.shore, aoi=args.aoi, fixed=args.fixed,
                min_length_m=args.min_length, max_length_m=args.max_length)
    own = [f for f in (args.aoi, args.fixed, args.land if args.land != "basemap" else None) if f is not None]
    spare(args.csv, [*args.images, *own, *(f for f in (args.before, args.mask, args.scores, args.out) if f is not None)])
    spare(args.out, [*args.images, *own, *(f for f in (args.before, args.mask, args.scores) if f is not None)])
    results: dict[str, ScanResult] = {}
    pictures: dict[str, bytes] = {}
    bad: list[SceneError] = []
    for image in args.images:
        try:
            if len(args.images) > 1 and (twin := results.get(sha256_of(image))) is not None:
                say(f"birddog scan: {image}: is the same file as {twin.scene.path} (SHA-256); told once")
                continue
            result = scan(image, detector=args.detector, pfa=pfa, before=args.before, threads=args.threads,
                          tile=DEFAULT_TILE_PX if args.tile is None else args.tile, mask=args.mask, scores=args.scores,
                          only=only)
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
        for doubt in result.doubts:
            say(f"birddog scan: {image}: {doubt}")
        if result.left_out:
            say(f"birddog scan: {image}: left out: " + ", ".join(f"{n} {why}" for why, n in result.left_out.items()))
    unfit = [error for error in bad if isinstance(error, Unfit)]
    if not results and not unfit:
        if len(args.images) == 1:
            raise bad[0]
        return 2
    if args.csv is not None:
        write_text(Path(args.csv), csv_of(list(results.values())))
    text = json.dumps(collection(list(results.values()), pictures, unfit), allow_nan=False, separators=(",", ":")) + "\n"
    if args.out is None:
        sys.stdout.write(text)
    else:
        write_text(Path(args.out), text)
    if not results and len(args.images) == 1:
        raise bad[0]
    return (1 if results else 2) if bad else 0


def _bands(asked: list[str]) -> tuple[int, ...]:
    from birddog.errors import UsageError

    try:
        return tuple(int(one) for part in asked for one in part.split(","))
    except ValueError as error:
        raise UsageError("wants numbers from 1, as in --band 2 or --band 1,2", field="--band") from error
