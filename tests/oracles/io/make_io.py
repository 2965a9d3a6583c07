"""Makes the files beside it: what the safetensors package, NumPy and Pillow write and compute, for test_io.cpp.

Run: python make_io.py (needs numpy, torch, safetensors, pillow). No file holds anything random; only the order of the metadata in types.safetensors varies.
"""
import pathlib

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent


def make_safetensors():
    ramp = torch.arange(12).reshape(3, 4)
    halves = torch.tensor([0.0, -0.0, 1.0, -2.5, 65504.0, 6e-8, 6.1e-5, 0.333, float("inf"), -float("inf")])
    save_file(
        {
            "f32": ramp.float() / 7, "f64": ramp.double() / 7, "i32": ramp.int() - 5, "i64": ramp.long() << 33,
            "u8": ramp.to(torch.uint8)[:, :3].contiguous(), "f16": halves.half(), "bf16": halves.bfloat16(),
            "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "f16_wide": halves.half().float(),
            "bf16_wide": halves.bfloat16().float(), "layer.0.weight/ü": ramp.float().reshape(2, 1, 3, 1, 2),
        },
        HERE / "types.safetensors", metadata={"format": "pt", "note": 'a "quoted" line\n'})


def make_npy():
    a = np.arange(24, dtype=np.float32).reshape(4, 3, 2) / 7
    np.save(HERE / "f4.npy", a)
    np.save(HERE / "f8.npy", a.astype("<f8"))
    np.save(HERE / "i4.npy", np.arange(5, dtype="<i4") - 2)
    np.save(HERE / "i8.npy", np.arange(5, dtype="<i8") << 40)
    np.save(HERE / "u1.npy", np.arange(7, dtype="u1"))
    np.save(HERE / "f2.npy", np.array([[0.5, -1.25], [1e-7, 65504]], "<f2"))
    np.save(HERE / "scalar.npy", np.float32(3.5))
    np.save(HERE / "fortran.npy", np.asfortranarray(a[0]))
    np.save(HERE / "big_endian.npy", a.astype(">f4"))
    np.save(HERE / "record.npy", np.zeros(2, dtype=[("x", "<f4")]))
    np.save(HERE / "complex.npy", np.zeros(2, dtype="<c8"))
    for version in (2, 3):
        with open(HERE / f"v{version}.npy", "wb") as f:
            np.lib.format.write_array(f, a, version=(version, 0))


def picture(height, width, channels):
    """p(y, x, c) = (7x + 13y + 29c + floor(x*y/5)) mod 256; test_io.cpp has the same formula."""
    y, x, c = np.meshgrid(range(height), range(width), range(channels), indexing="ij")
    return ((7 * x + 13 * y + 29 * c + x * y // 5) % 256).astype(np.uint8)


def smooth(height, width, channels):
    """Survives JPEG within a few grey levels."""
    y, x, c = np.meshgrid(range(height), range(width), range(channels), indexing="ij")
    return np.round(128 + 80 * np.sin(x / 6 + c) * np.cos(y / 7)).astype(np.uint8)


def make_images():
    Image.fromarray(picture(9, 13, 3)).save(HERE / "rgb.png")
    Image.fromarray(picture(9, 13, 1)[..., 0]).save(HERE / "grey.png")
    rgba = np.concatenate([picture(9, 13, 3), np.full((9, 13, 1), 7, np.uint8)], 2)
    Image.fromarray(rgba).save(HERE / "rgba.png")
    Image.fromarray(picture(9, 13, 3)).save(HERE / "rgb.ppm")
    Image.fromarray(picture(9, 13, 1)[..., 0]).save(HERE / "grey.pgm")
    # What Pillow decodes is the expectation; decoders may differ by a level or two in the inverse DCT.
    for name, image, options in (("baseline", smooth(24, 32, 3), {}), ("progressive", smooth(24, 32, 3), {"progressive": True}),
                                 ("grey_jpeg", smooth(24, 32, 1)[..., 0], {}), ("no_subsampling", smooth(24, 32, 3), {"subsampling": 0})):
        path = HERE / f"{name}.jpg"
        Image.fromarray(image).save(path, quality=90, **options)
        np.save(HERE / f"{name}.npy", np.asarray(Image.open(path)).reshape(24, 32, -1))
    four_channels = Image.fromarray(smooth(24, 32, 4), mode="CMYK")
    four_channels.save(HERE / "cmyk.jpg", quality=90)
    np.save(HERE / "cmyk.npy", np.asarray(Image.open(HERE / "cmyk.jpg").convert("RGB")))
    # Channels that are R, G, B as they are, told by ids and Adobe's segment.
    Image.fromarray(smooth(24, 32, 3)).save(HERE / "keep_rgb.jpg", quality=90, keep_rgb=True)
    np.save(HERE / "keep_rgb.npy", np.asarray(Image.open(HERE / "keep_rgb.jpg")))


def area_axis(values, begin, end, size):
    """Means over equal intervals of [begin, end) along axis 0, by the integral of the piecewise constant signal."""
    n = len(values)
    integral = np.concatenate([np.zeros((1,) + values.shape[1:]), np.cumsum(values, 0)])

    def at(t):  # the integral up to t; outside, the edge pixel goes on
        inside = np.clip(t, 0, n)
        k = min(int(np.floor(inside)), n - 1)
        total = integral[k] + (inside - k) * values[k]
        return total + (t - inside) * (values[0] if t < 0 else values[-1])

    edges = np.linspace(begin, end, size + 1)
    return np.stack([(at(b) - at(a)) / (b - a) for a, b in zip(edges, edges[1:])])


def make_resize():
    source = picture(20, 24, 1)[..., 0]
    image = Image.fromarray(source.astype(np.float32), "F")
    box = (5.25, 4.5, 17.75, 14.0)  # inside by more than the bicubic's two taps
    np.save(HERE / "resize_up.npy", np.asarray(image.resize((31, 27), Image.BICUBIC, box=box)) / 255)
    np.save(HERE / "resize_half.npy", np.asarray(image.resize((6, 10), Image.BOX)) / 255)
    area = area_axis(source / 255.0, -1.5, 18.25, 7)
    area = area_axis(area.T, 3.3, 27.8, 9).T  # beyond the right edge
    np.save(HERE / "resize_area.npy", np.ascontiguousarray(area, np.float32))


if __name__ == "__main__":
    make_safetensors()
    make_npy()
    make_images()
    make_resize()
