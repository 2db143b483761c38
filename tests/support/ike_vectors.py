#!/usr/bin/python3
"""Computes tests/unit/lib/ike/vectors.h anew: what IKEv1's key derivation and Diffie-Hellman must give, from Python's
integers, hmac and hashlib alone (AES from the cryptography package), so that the C code is held against a second
hand. The primes come from pi as RFC 2412 appendix E and RFC 3526 define them; RFC 3566's and RFC 5903's own vectors are checked
first. Usage: tests/support/ike_vectors.py > tests/unit/lib/ike/vectors.h"""
import hashlib
import hmac
import struct
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def fill(n, seed):
    return bytes((seed + i * 13) & 0xFF for i in range(n))


def aes(key, block):
    e = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return e.update(block) + e.finalize()


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def xcbc_mac(key, msg):
    k1, k2, k3 = (aes(key, bytes([n]) * 16) for n in (1, 2, 3))
    full = len(msg) and len(msg) % 16 == 0
    if not full:
        msg = msg + b"\x80" + bytes(-(len(msg) + 1) % 16)
    e = bytes(16)
    for i in range(0, len(msg) - 16, 16):
        e = aes(k1, xor(e, msg[i:i + 16]))
    return aes(k1, xor(xor(e, msg[-16:]), k2 if full else k3))


def xcbc_prf(key, msg):
    if len(key) > 16:
        key = xcbc_mac(bytes(16), key)
    return xcbc_mac(key.ljust(16, b"\0"), msg)


assert xcbc_mac(fill(0, 0) + bytes(range(16)), bytes(range(20))).hex() == "47f51b4564966215b8985c63055ed308"
assert xcbc_prf(bytes(range(10)), bytes(range(20))).hex() == "0fa087af7d866e7653434e602fdde835"


def pi_bits(n):
    """floor(pi * 2^n), by Machin's formula with guard bits."""
    one = 1 << (n + 64)

    def arctan(x):
        total = term = one // x
        k, sign = 3, -1
        while term:
            term //= x * x
            total += sign * (term // k)
            k, sign = k + 2, -sign
        return total
    return 4 * (4 * arctan(5) - arctan(239)) >> 64


def prime(bits, k):
    return 2 ** bits - 2 ** (bits - 64) - 1 + 2 ** 64 * (pi_bits(bits - 130) + k)


MODP = {1: (768, 149686), 2: (1024, 129093), 5: (1536, 741804), 14: (2048, 124476), 15: (3072, 1690314),
        16: (4096, 240904)}
# p, b, gx, gy of P-256, P-384, P-521 (RFC 5903 section 3); a is -3.
ECP = {
    19: (2 ** 256 - 2 ** 224 + 2 ** 192 + 2 ** 96 - 1, 32,
         0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
         0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5),
    20: (2 ** 384 - 2 ** 128 - 2 ** 96 + 2 ** 32 - 1, 48,
         0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
         0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F),
    21: (2 ** 521 - 1, 66,
         0x00C6858E06B70404E9CD9E3ECB662395B4429C648139053FB521F828AF606B4D3DBAA14B5E77EFE75928FE1DC127A2FFA8DE3348B3C1856A429BF97E7E31C2E5BD66,
         0x011839296A789A3BC0045C8A5FB42C7D1BD998F54449579B446817AFBD17273E662C97EE72995EF42640C550B9013FAD0761353C7086A272C24088BE94769FD16650),
}


def ec_add(p, a, b):
    if a is None:
        return b
    if b is None:
        return a
    if a[0] == b[0] and (a[1] + b[1]) % p == 0:
        return None
    s = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, p) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, p)
    x = (s * s - a[0] - b[0]) % p
    return x, (s * (a[0] - x) - a[1]) % p


def ec_mul(p, k, point):
    total = None
    while k:
        if k & 1:
            total = ec_add(p, total, point)
        point = ec_add(p, point, point)
        k >>= 1
    return total


P256 = ECP[19]
assert ec_mul(P256[0], 0xC88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433, P256[2:])[0] == \
    0xDAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180


def emit(name, data):
    print("static const uint8_t %s[] = {" % name)
    for i in range(0, len(data), 12):
        print("\t" + " ".join("0x%02x," % b for b in data[i:i + 12]))
    print("};")


def dh_vectors():
    table = []
    for g, (bits, k) in MODP.items():
        p, n = prime(bits, k), bits // 8
        a, b = (int.from_bytes(fill(40, s), "big") for s in (17, 99))
        emit("dh%d_private" % g, a.to_bytes(40, "big"))
        emit("dh%d_public" % g, pow(2, a, p).to_bytes(n, "big"))
        emit("dh%d_peer" % g, pow(2, b, p).to_bytes(n, "big"))
        emit("dh%d_shared" % g, pow(2, a * b, p).to_bytes(n, "big"))
        emit("dh%d_prime" % g, p.to_bytes(n, "big"))
        table.append(g)
    for g, (p, n, x, y) in ECP.items():
        a = int.from_bytes(fill(n - 2, 17), "big")
        b = int.from_bytes(fill(n - 2, 99), "big")
        if g == 19:  # RFC 5903 section 8.1
            a = 0xC88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433
            b = 0xC6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53
        pa, pb, s = (ec_mul(p, k, (x, y)) for k in (a, b, a * b))
        if g == 19:
            assert s[0] == 0xD6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE
        emit("dh%d_private" % g, a.to_bytes(n, "big"))
        emit("dh%d_public" % g, b"".join(c.to_bytes(n, "big") for c in pa))
        emit("dh%d_peer" % g, b"".join(c.to_bytes(n, "big") for c in pb))
        emit("dh%d_shared" % g, s[0].to_bytes(n, "big"))
        emit("dh%d_prime" % g, p.to_bytes(n, "big"))
        table.append(g)
    print("static const struct {\n\tuint16_t group;\n\tsize_t private_len, public_len, shared_len;"
          "\n\tconst uint8_t *private, *public, *peer, *shared, *prime;\n} dh_vectors[] = {")
    for g in table:
        print("\t{%d, sizeof(dh%d_private), sizeof(dh%d_public), sizeof(dh%d_shared), dh%d_private,\n\t\t"
              "dh%d_public, dh%d_peer, dh%d_shared, dh%d_prime}," % ((g,) * 9))
    print("};")


# number of the hash, name, cipher (1 DES, 5 3DES, 7 AES), key bits, block, xcbc, auth (1 PSK, 3 RSA)
SUITES = [(1, "md5", 1, 0, 8, False, 1), (2, "sha1", 5, 0, 8, False, 1), (1, "md5", 7, 256, 16, False, 1),
          (2, "sha1", 7, 256, 16, False, 3), (4, "sha256", 7, 128, 16, False, 3),
          (5, "sha384", 7, 256, 16, False, 1), (6, "sha512", 7, 192, 16, False, 1), (2, "sha1", 7, 128, 16, True, 1),
          (2, "sha1", 7, 256, 16, True, 3)]


def kdf_vectors():
    ni, nr, gxy, psk = fill(16, 1), fill(32, 2), fill(128, 3), fill(21, 4)
    cki, ckr, gxi, gxr = fill(8, 5), fill(8, 6), fill(128, 7), fill(128, 8)
    sai, idi, idr, rest, gqm = fill(52, 9), fill(8, 10), fill(20, 11), fill(77, 12), fill(128, 14)
    mid, spi = struct.pack(">I", 0x89ABCDEF), struct.pack(">I", 0x01234567)
    rows = []
    for i, (number, name, enc, bits, block, xcbc, auth) in enumerate(SUITES):
        def prf(key, msg):
            return xcbc_prf(key, msg) if xcbc else hmac.new(key, msg, name).digest()

        def h(msg):
            return hashlib.new(name, msg).digest()
        skeyid = prf(psk, ni + nr) if auth == 1 else prf(ni + nr, gxy)
        d = prf(skeyid, gxy + cki + ckr + b"\0")
        a = prf(skeyid, d + gxy + cki + ckr + b"\1")
        e = prf(skeyid, a + gxy + cki + ckr + b"\2")
        size = {1: 8, 5: 24, 7: bits // 8}[enc]
        key = e
        if len(e) < size:
            k = prf(e, b"\0")
            key = k
            while len(key) < size:
                k = prf(e, k)
                key += k
        iv = h(gxi + gxr)[:block]

        def keymat(pfs, n):
            k = out = b""
            while len(out) < n:
                k = prf(d, k + pfs + b"\3" + spi + ni + nr)
                out += k
            return out[:n]
        for what, value in (("skeyid", skeyid), ("d", d), ("a", a), ("e", e), ("key", key[:size]), ("iv", iv),
                            ("iv2", h(iv + mid)[:block]),
                            ("hash_i", prf(skeyid, gxi + gxr + cki + ckr + sai + idi)),
                            ("hash_r", prf(skeyid, gxr + gxi + ckr + cki + sai + idr)),
                            ("hash1", prf(a, mid + rest)), ("hash2", prf(a, mid + ni + rest)),
                            ("hash3", prf(a, b"\0" + mid + ni + nr)), ("keymat", keymat(b"", 44)),
                            ("keymat_pfs", keymat(gqm, 136)),
                            ("natd", h(cki + ckr + bytes([192, 0, 2, 33]) + struct.pack(">H", 500)))):
            emit("kdf%d_%s" % (i, what), value)
        rows.append("\t{{.enc = %d, .key_bits = %d, .hash = %d, .xcbc = %s, .auth = %d, .group = 2}, kdf%d_skeyid,"
                    % (enc, bits, number, str(xcbc).lower(), auth, i) + " ".join(
                        "kdf%d_%s," % (i, w) for w in "d a e key iv iv2 hash_i hash_r hash1 hash2 hash3 keymat keymat_pfs natd".split()) + "},")
    print("static const struct {\n\tstruct kex_offer offer;\n\tconst uint8_t *skeyid, *d, *a, *e, *key, *iv, *iv2, "
          "*hash_i, *hash_r, *hash1, *hash2, *hash3,\n\t\t*keymat, *keymat_pfs, *natd;\n} kdf_vectors[] = {")
    print("\n".join(rows))
    print("};")


print("/* Written by tests/support/ike_vectors.py; do not edit. */\n#pragma once\n#include \"lib/policy/ipsec.h\"\n#include <stdint.h>\n")
dh_vectors()
kdf_vectors()
