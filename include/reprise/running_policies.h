#pragma once

#include <string>

#include "reprise/policies.h"
#include "reprise/profile.h"

#pragma GCC visibility push(default)

namespace reprise::cachify {

/// Options of all policies that decide while running.
struct RunningOptions {
    double threshold = 0.05;  ///< of the relative change; a larger threshold is faster, 0 reuses nothing
    int warm_up = 1;          ///< steps at the beginning that run in full; step 0 always does
    int most_in_a_row = 0;    ///< reused steps in a row; 0: no limit
    int most_in_all = 0;      ///< reused steps of a generation; 0: no limit
    std::string mask = {};    ///< one of cache-dit's step masks: where reuse is allowed; empty: anywhere
};

/// DBCache (vipshop/cache-dit). The first and last blocks run at every step. The change of what the first
/// blocks add decides. The blocks between are reused: in transformers as one, by what they add; in UNets one
/// by one, by their outputs. With first = 1 and last = 0 this is first-block cache (chengzeyi/ParaAttention).
/// In a UNet the last block always runs, also with last = 0.
struct DualBlockCacheOptions {
    int first = 8;  ///< blocks at the beginning that always run, at least 1
    int last = 0;   ///< blocks at the end that always run
    int order = 0;  ///< 1 or 2: the kept values are extrapolated (TaylorSeer); 0: they are not
    RunningOptions running = {0.08, 8};
};
Config dual_block_cache(const Pipeline& pipe, const DualBlockCacheOptions& options = {});

/// EasyCache (Zhou et al., arXiv 2507.02860). The whole denoiser is reused by what it adds to its input. Its
/// output's change is predicted from the change of its input. It is reused until the predicted changes add up
/// to the threshold. The last step always runs.
struct EasyCacheOptions {
    RunningOptions running = {0.05, 2};
};
Config easy_cache(const EasyCacheOptions& options = {});

/// EasyCache as stable-diffusion.cpp weighs it for UNets (ucache): its threshold is about 1. Without a mask,
/// reuse is allowed between 15 and 95 % of the steps. The last step may be reused.
struct UNetCacheOptions {
    RunningOptions running = {1, 1};
};
Config unet_cache(const UNetCacheOptions& options = {});

/// MagCache (Ma et al., arXiv 2506.09045). What all blocks add (in UNets: the whole denoiser) is reused while
/// the error that follows from a calibration's magnitude ratios is below the threshold.
struct MagCacheOptions {
    RunningOptions running = {0.06, 1, 3};
    /// Share of the steps, at the beginning, that run in full. A mask replaces it.
    double retention = 0.2;
};
Config mag_cache(const Pipeline& pipe, const Profile& profile, const MagCacheOptions& options = {});

/// TeaCache (Liu et al., arXiv 2411.19108). What all blocks add (in UNets: the whole denoiser) is reused. The
/// changes of the first block's input, after modulation by the timestep, go through a calibration's
/// polynomial and are added. At the threshold the step runs in full. The last step always runs.
struct TeaCacheOptions {
    RunningOptions running = {0.15, 1};
};
Config tea_cache(const Pipeline& pipe, const Profile& profile, const TeaCacheOptions& options = {});

/// A configuration that repeats the decisions of a run; `decisions` is from the run's report. It gives the
/// run's result bit for bit.
Config replay(Config config, const std::vector<std::vector<int>>& decisions);

}  // namespace reprise::cachify

#pragma GCC visibility pop
