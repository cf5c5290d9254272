// How the twelve warps of a block divide rows of weights: a warp has eight blocks of 32 columns of a row, so that those that share a row are a
// team, and where rows are short, as on one of several ranks, there are several teams, each with other rows.
#pragma once
#include "platform.h"

constexpr i32 chunks = 12, chunk_blocks = 8, most_teams = 4;

struct Teams {
  // Warps of a team, and how many teams there are; this warp's team, and which of its blocks this warp has. A warp whose team is none of
  // them has nothing to do.
  i32 warps, count, own, chunk;
  MX_DEVICE Teams(i32 blocks, i32 warp) {
    warps = (blocks + chunk_blocks - 1) / chunk_blocks;
    count = mx_min(most_teams, chunks / warps);
    own = warp / warps;
    chunk = warp - own * warps;
  }
};
