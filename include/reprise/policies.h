#pragma once

#include <vector>

#include "reprise/cachify.h"

#pragma GCC visibility push(default)

namespace reprise::cachify {

/// DeepCache (Ma et al., arXiv 2312.00858). Between full steps only a shallow path of the denoiser runs; the
/// rest is reused.
struct DeepCacheOptions {
    int interval = 3;  ///< steps from one full step to the next, at least 1; 1: no reuse
    /// The path that still runs, counted in layers from the outside in, from 0 (the least work). In a UNet
    /// whose up blocks have n layers: block branch / n, layer branch % n. In a transformer: branch + 1 blocks
    /// at each end.
    int branch = 0;
    bool uniform = true;  ///< true: full steps evenly spaced; false: close together around `center`
    double center = 15;   ///< a step; for non-uniform spacing
    double power = 1.4;   ///< above 1, at most 10; a larger power is denser around the center
};
Config deep_cache(const Pipeline& pipe, const DeepCacheOptions& options = {});
/// The full steps of the paper's non-uniform spacing. Error (usage) when these numbers have no such spacing.
std::vector<int> non_uniform_full_steps(int num_steps, const DeepCacheOptions& options);

/// T-Gate (Zhang et al., arXiv 2404.02747). From the gate step on, cross-attention is reused and only one
/// half of guidance runs. Before the gate, self-attention runs at intervals.
struct TGateOptions {
    int gate = 10;                ///< a step; the number of steps or more: no gate
    int warm_up = 2;              ///< the last step before self-attention is reused
    int interval = 5;             ///< steps between runs of self-attention before the gate; 1: each step
    int interval_after_gate = 1;  ///< the same from the gate on
    /// Which half of guidance runs from the gate on. False: the unconditional half, as in the paper's code
    /// for text to image. True: the conditional half, as in that code for image to video, where the
    /// unconditional half does not see the picture (`tgate` on Stable Video Diffusion).
    bool conditional = false;
};
Config t_gate(const TGateOptions& options = {});

/// Pyramid Attention Broadcast (Zhao et al., arXiv 2408.12588). Within a window of steps, each kind of
/// attention runs at every n-th step only.
struct AttentionBroadcastOptions {
    /// The n of each kind; 0 or 1: that kind is not reused.
    int self_attention = 2, cross_attention = 0, joint_attention = 2, temporal_attention = 0;
    /// The window, in shares of the steps. Defaults: timesteps between 800 and 100 of 1000.
    double from = 0.2, to = 0.9;
};
Config attention_broadcast(const Pipeline& pipe, const AttentionBroadcastOptions& options = {});

/// TaylorSeer (Liu et al., arXiv 2503.06923). Outputs are extrapolated between the steps that run.
struct TaylorSeerOptions {
    int interval = 5;  ///< steps from one full step to the next; 1: no reuse
    int before = 3;    ///< steps at the beginning that run in full, at least 1
    int after = -1;    ///< from this step on all steps run in full; -1: no such step
    int order = 1;     ///< 1 or 2
    std::vector<ModuleKind> kinds = {ModuleKind::block};
};
Config taylor_seer(const TaylorSeerOptions& options = {});

/// Reuse of the unconditional half of guidance. It runs at some steps only, and its difference from the
/// conditional half is kept (as in FasterCache, Lv et al., arXiv 2410.19355, which does it by frequency
/// bands).
struct GuidanceReuseOptions {
    int interval = 2;  ///< steps from one evaluation of both halves to the next; 1: no reuse
    int before = 2;    ///< steps at the beginning that evaluate both halves, at least 1
};
Config guidance_reuse(const GuidanceReuseOptions& options = {});

/// Joins two configurations. Where several entries match a module, the last of them holds.
Config operator+(Config a, const Config& b);

/// A policy by its name on the command line: "deepcache:interval=3,branch=0". '+' joins several. Error
/// (usage) with the list of names or parameters for an unknown one.
Config make_policy(const Pipeline& pipe, std::string_view text);
/// The same for a call with these options: "auto" takes what was tuned for its number of steps.
Config make_policy(const Pipeline& pipe, std::string_view text, const GenerateOptions& run);

}  // namespace reprise::cachify

#pragma GCC visibility pop
