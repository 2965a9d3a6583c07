#!/usr/bin/env python3
# Keys and rotations, written from docs/keys.md alone: hashlib's BLAKE2b, ChaCha20 in twenty lines, numpy in double
# precision. Writes keys.safetensors beside it. Needs numpy and safetensors.
import hashlib, os, struct
import numpy as np
from safetensors.numpy import save_file


def chacha20(key, size):
    def quarter(s, a, b, c, d):
        for x, y, z, r in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            v = s[z] ^ s[x]
            s[z] = (v << r | v >> (32 - r)) & 0xFFFFFFFF

    out = b""
    for block in range((size + 63) // 64):
        start = list(struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key) + struct.unpack("<2I", struct.pack("<Q", block)) + (0, 0))
        s = start[:]
        for _ in range(10):
            for i in range(4):
                quarter(s, i, 4 + i, 8 + i, 12 + i)
            for i in range(4):
                quarter(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
        out += struct.pack("<16I", *((x + y) & 0xFFFFFFFF for x, y in zip(s, start)))
    return out[:size]


def normals(stream):
    w = np.frombuffer(stream, "<u4").reshape(-1, 3, 8).astype(np.uint64)
    a, b, c = w[:, 0], w[:, 1], w[:, 2]
    d = (a & 255) << 16 | (b & 255) << 8 | (c & 255)
    out = []
    for radius, angle in ((a >> 8, b >> 8), (c >> 8, d)):
        r = np.sqrt(-2 * np.log((radius + 1.0) / 2**24))
        t = 2 * np.pi * (angle + 0.5) / 2**24
        out += [r * np.cos(t), r * np.sin(t)]
    return np.stack(out, 1).reshape(-1)


def groups(m):
    return (m + 31) // 32


def exact(stream, z):
    y, at, n = z.astype(np.float64), 0, len(z)
    for k in range(n):
        m = n - k
        x = normals(stream[96 * at:96 * (at + groups(m))])[:m]
        at += groups(m)
        s = 1 if x[0] > 0 else -1
        v = x.copy()
        v[0] += s * np.linalg.norm(x)
        y[k:] = -s * (y[k:] - 2 * v * (v @ y[k:]) / (v @ v))
    return y


def fast(stream, z):
    n, y = len(z), z.astype(np.float64)
    h = np.ones((1, 1))
    while len(h) < n:
        h = np.block([[h, h], [h, -h]])
    bits = np.unpackbits(np.frombuffer(stream, np.uint8), bitorder="little")
    for i in range(3):
        y = h @ (y * (1 - 2.0 * bits[i * n:(i + 1) * n])) / np.sqrt(n)
    return y


blake = lambda size, purpose, message=b"", key=b"", salt=b"": hashlib.blake2b(message, digest_size=size, key=key, salt=salt, person=purpose).digest()
master, set_name, n = bytes(range(32)), bytes(range(16, 32)), 64
assert chacha20(bytes(32), 8).hex() == "76b8e0ada0f13d90"
salt = blake(16, b"advface-set-salt", set_name + struct.pack("<Q", 258))
record_key = blake(32, b"advface-rotation", key=master, salt=salt)
fast_key = blake(32, b"advface-rot-fast", key=master, salt=salt)
exact_stream = chacha20(record_key, 96 * sum(groups(m) for m in range(1, n + 1)))
fast_stream = chacha20(fast_key, 3 * n // 8)
z = np.sin(np.arange(n) ** 2 + 1.0).astype(np.float32)
z /= np.linalg.norm(z)
u8 = lambda b: np.frombuffer(b, np.uint8).copy()
print("check value", blake(16, b"advface-key-chk1", bytes(range(8)), master).hex())
# Of the set 00112233...: mode (per-record, per-set), then kind (exact, fast).
for mode in range(2):
    for kind in range(2):
        name = bytes.fromhex("00112233445566778899aabbccddeeff")
        print("set check", mode, kind, blake(16, b"advface-set-chk1", name + bytes([mode, kind]), master).hex())
save_file({
    "salt": u8(salt), "record_key": u8(record_key),
    "test_set": u8(blake(16, b"advface-test-set", struct.pack("<Q", 7), master)),
    "stream": u8(chacha20(record_key, 768)), "normals": normals(chacha20(record_key, 768)),
    "exact_stream": u8(exact_stream), "fast_stream": u8(fast_stream), "vector": z,
    "exact": exact(exact_stream, z), "fast": fast(fast_stream, z),
}, os.path.join(os.path.dirname(os.path.abspath(__file__)), "keys.safetensors"))
