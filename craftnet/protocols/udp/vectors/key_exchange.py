"""Vectors of the exchange of keys inside …/connect."""

from __future__ import annotations

from base64 import urlsafe_b64decode

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

from craftnet.protocols.udp.core.key_exchange import CIPHERTEXT_SIZE, combined_secret, naming
from craftnet.protocols.udp.core.keys import SessionToken

Json = dict[str, object]

SEED = bytes(range(64))
"""d ‖ z of FIPS 203, algorithm 16."""

CIPHERTEXT = urlsafe_b64decode(
    "aVpg2cefCDQ-2f9YAlggY8LKOmSOVD2SSv-7Oe9N5lZZHw12ieZia-fqf-2vE04sJ8Z5fHOl7a8WgI8UHIr88xYU6KtmU3lXPk0KIDfL"
    "93YEgWe6U1dgAaJZZALPJLXUU2K8iTzq7zWZ92sQgS5iYALmbbXFsPK5pwgOMtto3MjQTCT4RhpYu35H7-Zw10CtivmCADOEXvX4gPJv"
    "DgCtsqvvh29ScEd-u7At5nh85yyoeF-xgfRsP_euN4fCXGjMzu-zVRh1udd8TUObYFDrOCqs-edEIn6MRuCppVg46nA09bS8th8QI6gB"
    "hueV9LPYrpOYiZQiT6LYPiFxFnDaAeKz4nL4FhbAvIjMRvZB0W4NDAkkz0pKXBqRKMIm1JGKo5vvlBmd__ozh27wv6DZVg0l9boIBo1S"
    "cfMtL52IvPU8fc-BGo1e_mF_XgVwDTR408t5MlKNG86yQBmKTPh1LK6j04fwB1mhNWt6W_GDjSbDVz6S5p8PV8BujCVFnrg-Es3XX1Qa"
    "gc5xDq_OKYR4PzDjezJ_-TtyKXxs2MeMGFrVOGSVIGnX1sO8Yzrl4aWSWFXfC35xS73iRfaIIuCVDCPJbWERdTpu0MRszkN_U7a7cIwa"
    "PiWXlzMZjZh54yN-dpRx-SLlefN8_WQdKb3P26qB7a4JrrBGNm4DdtBCgtF3eKjVR3Toyb48gisekM2IlavB24lRt2h_Y_7lDsQ_ryNz"
    "CxUYnnyYKyLYlqly2jwu5Sm7X-Y2MMnC3fudHkJjo9Sa8oMgU9l--ivReC8l17hk1vs3CL-51LxsLMZFjU8UWZlds4fotQOCWkSWxzUl"
    "KqYwobyqeiZ0cnOW3K9nAwtTRzlRZR3CbCJHa_0R0zIGrw_wNe0DXjRxbJBejd8EOkza4UUjjY9hLby3XoeWU7ueJlfatYuUT_NPl3_h"
    "XOkH9oFKX5Izh3Tm8qtSV9JJF97N0VjG1FlBifQqm3-pFZqK9qqCW6kEZU4IyJSQEpj_snI53eqCg91FuHYDbArs8DWDukRFKXV0RMhX"
    "__bk-O1I-KGArepUl5pnjxbcasjtzI5y7QjpYILw_0Ug3GNdSoRqMCb9hqSLEpfgzfwGAIeT54O94cP8anGHHmax_rVgSVgXqrvcWfAU"
    "nz52rdm1vWzjRzTedZPtYH77hMbnMpYMdEyQipy4lHN1pVtV-i8M1nQrdcEPZVItOES-2bBb1EG7vqF8-6va75hHoO3ZyDKadi405Tlg"
    "FNiLTTRPJQqt3v2Re7ISDRFpx5ywn1m60hhQdSwQmf_5i3G82qt29wYzI-ePqlIc0kP3Tdx_d3WqeZYGIuE1gKaDHmm7fyMh0UHTXaiD"
    "F3GQeNTbMZ8whZTCaDZQP2I2LEAAUCKTfBKYqSjAQIeWYTSae1Ni0KdfKJO5eiYA1TNyOacKa2SkV-bf1cdNRi5-eQu57zzuFGE"
    "="
)
"""Of the message 40 41 … 5f (m of FIPS 203, algorithm 17), by an implementation that is not the one used here."""


def document(token: SessionToken) -> Json:
    """The part of the document, for the session_token of an answer."""
    private = MLKEM768PrivateKey.from_seed_bytes(SEED)
    key = private.public_key().public_bytes_raw()
    exchanges: list[Json] = []
    for name, ciphertext in (
        ("the server's", CIPHERTEXT),
        ("a flipped bit: another secret, which opens nothing", bytes([CIPHERTEXT[0] ^ 1]) + CIPHERTEXT[1:]),
    ):
        assert len(ciphertext) == CIPHERTEXT_SIZE
        shared = private.decapsulate(ciphertext)
        opened = SessionToken(token.connection_id, combined_secret(token, shared, key, ciphertext))
        exchanges.append(
            {
                "name": name,
                "ciphertext": ciphertext.hex(),
                "shared": shared.hex(),
                "secret": opened.secret.hex(),
                "naming_token": naming(opened).text,
            }
        )
    return {"key_exchange": {"seed": SEED.hex(), "encapsulation_key": key.hex(), "exchanges": exchanges}}
