#pragma once

#include <string>

#include "reprise/policies.h"
#include "reprise/profile.h"

namespace reprise::cachify {

/// Policies that decide while running. On transformers what lies between the first and the last blocks is
/// reused as one, kept as what it adds; on UNets those blocks are reused one by one, with their outputs.
struct RunningOptions {
    double threshold = 0.05;  ///< of the change relative to its magnitude; more is faster, 0 reuses nothing
    int warm_up = 1;          ///< steps at the beginning that run in full
    int most_in_a_row = 0;    ///< reused steps in a row; 0: no limit
    int most_in_all = 0;      ///< reused steps of a generation; 0: no limit
    std::string mask = {};  ///< a step mask of cache-dit's that says where reuse is allowed; empty: anywhere
};

/// DBCache (vipshop/cache-dit): the first and last blocks run at every step, and what the first ones add
/// decides. With one first and no last block it is first-block cache (chengzeyi/ParaAttention), which UNets
/// cannot have: their last block always runs.
struct DualBlockCacheOptions {
    int first = 8;
    int last = 0;
    int order = 0;  ///< 1 or 2: what the blocks between add is extrapolated (TaylorSeer)
    RunningOptions running = {0.08, 8};
};
Config dual_block_cache(const Pipeline& pipe, const DualBlockCacheOptions& options = {});

/// EasyCache (Zhou et al., arXiv 2507.02860): the whole denoiser is reused by what it adds to its input,
/// until the change that the input's own leads one to expect exceeds the threshold. The last step always
/// runs.
struct EasyCacheOptions {
    RunningOptions running = {0.05, 2};
    /// Weighed as in stable-diffusion.cpp for UNets (ucache), whose threshold is about 1; without a mask
    /// between 15 and 95 % of the steps.
    bool unet = false;
};
Config easy_cache(const EasyCacheOptions& options = {});

/// MagCache (Ma et al., arXiv 2506.09045): what all blocks add (UNets: the whole denoiser) is reused while
/// the magnitudes that a calibration measured say that it strays little.
struct MagCacheOptions {
    RunningOptions running = {0.06, 0, 3};
    /// Share of the steps, at the beginning, that run in full; a mask takes its place.
    double retention = 0.2;
};
Config mag_cache(const Pipeline& pipe, const Profile& profile, const MagCacheOptions& options = {});

/// TeaCache (Liu et al., arXiv 2411.19108): the same is reused until the changes of the first block's input,
/// as the timestep modulates it and as a calibration's polynomial translates them, add up to the threshold.
/// The last step always runs.
struct TeaCacheOptions {
    RunningOptions running = {0.15, 1};
};
Config tea_cache(const Pipeline& pipe, const Profile& profile, const TeaCacheOptions& options = {});

/// What a run decided, as a configuration that decides the same again: `decisions` is its report's. Equal to
/// the run bit for bit, for it is planned alike.
Config replay(Config config, const std::vector<std::vector<int>>& decisions);

}  // namespace reprise::cachify
