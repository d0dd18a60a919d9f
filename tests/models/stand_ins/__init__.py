"""Small untrained models of the supported families, and prompts to train them on."""

from stand_ins.catalogue import IMAGE_FAMILIES, STAND_INS, StandIn, make_stand_in
from stand_ins.encoding import inputs_of
from stand_ins.prompts import SYSTEM, held_out_pool, mixed_pool

__all__ = [
    "IMAGE_FAMILIES",
    "STAND_INS",
    "SYSTEM",
    "StandIn",
    "held_out_pool",
    "inputs_of",
    "make_stand_in",
    "mixed_pool",
]
