#pragma once

#include <vector>

#include "reprise/cachify.h"

namespace reprise::cachify {

/// DeepCache (Ma et al., arXiv 2312.00858): all but a shallow path of the denoiser is reused between full
/// steps.
struct DeepCacheOptions {
    int interval = 3;  ///< one full step in so many, at least 1 (none reused)
    /// Which path still runs, counted in layers from the outside in, from 0 (the least work). In a UNet whose
    /// up blocks have n layers: block branch / n, layer branch % n. In a transformer: branch + 1 blocks at
    /// each end.
    int branch = 0;
    bool uniform = true;  ///< full steps evenly spaced; otherwise close together around `center`
    double center = 15;   ///< step; for non-uniform spacing
    double power = 1.4;   ///< above 1, at most 10: more is denser around the center
};
Config deep_cache(const Pipeline& pipe, const DeepCacheOptions& options = {});
/// The full steps of the paper's non-uniform spacing. Error (usage) when there is none for these numbers.
std::vector<int> non_uniform_full_steps(int num_steps, const DeepCacheOptions& options);

/// T-Gate (Zhang et al., arXiv 2404.02747): from the gate step on, cross-attention is what it was and
/// guidance is off; before it, self-attention runs at intervals.
struct TGateOptions {
    int gate = 10;                ///< step; from the number of steps on: cross-attention and guidance stay
    int warm_up = 2;              ///< the last step before self-attention is reused
    int interval = 5;             ///< of self-attention between warm-up and gate; 1: runs at each step
    int interval_after_gate = 1;  ///< of self-attention from the gate on
    /// Which half of guidance goes on alone from the gate on: the unconditional one, as in the paper's code
    /// for text to image, or the conditional one, as there for image to video (`tgate` on Stable Video
    /// Diffusion), whose unconditional half does not see the picture.
    bool conditional = false;
};
Config t_gate(const TGateOptions& options = {});

/// Pyramid Attention Broadcast (Zhao et al., arXiv 2408.12588): each kind of attention runs at one step in so
/// many within a window. 0: that kind is not reused.
struct AttentionBroadcastOptions {
    int self_attention = 2, cross_attention = 0, joint_attention = 2, temporal_attention = 0;
    /// The window, in shares of the steps. Defaults: timesteps between 800 and 100 of 1000.
    double from = 0.2, to = 0.9;
};
Config attention_broadcast(const Pipeline& pipe, const AttentionBroadcastOptions& options = {});

/// TaylorSeer (Liu et al., arXiv 2503.06923): outputs are extrapolated between the steps that run.
struct TaylorSeerOptions {
    int interval = 5;
    int before = 3;  ///< steps at the beginning that all run
    int after = -1;  ///< from this step on all run; -1: none
    int order = 1;   ///< 1 or 2
    std::vector<ModuleKind> kinds = {ModuleKind::block};
};
Config taylor_seer(const TaylorSeerOptions& options = {});

/// The unconditional half of guidance at chosen steps only, its difference to the conditional one kept (as in
/// FasterCache, Lv et al., arXiv 2410.19355, there by frequency bands).
struct GuidanceReuseOptions {
    int interval = 2;  ///< one step in so many evaluates both halves
    int before = 2;    ///< steps at the beginning that all do
};
Config guidance_reuse(const GuidanceReuseOptions& options = {});

/// Several configurations as one; of entries that match one module the last holds.
Config operator+(Config a, const Config& b);

/// A policy by its name on the command line: "deepcache:interval=3,branch=0", several joined by '+'. Error
/// (usage) listing names or parameters for one that is unknown.
Config make_policy(const Pipeline& pipe, std::string_view text);
/// The same for the call that these options make: "auto" takes what was tuned for its number of steps.
Config make_policy(const Pipeline& pipe, std::string_view text, const GenerateOptions& run);

}  // namespace reprise::cachify
