#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "models/denoiser.h"
#include "pipelines/caller.h"
#include "pipelines/watch.h"
#include "reprise/cachify.h"
#include "reprise/pipeline.h"
#include "schedulers/scheduler.h"

namespace reprise::pipelines {

/// The shape of a run of the denoiser.
struct RunShape {
    std::int64_t height = 0, width = 0;  ///< of the latents
    std::int64_t text_tokens = 0;
    std::int64_t frames = 0;  ///< of videos
    bool guidance = false;
    GuidanceMode mode = GuidanceMode::automatic;

    /// Of the denoiser's graph: both halves of guidance are one batch of two, unless they are split.
    models::DenoiserShape of_graph() const {
        const bool batched = guidance && mode != GuidanceMode::split;
        return {batched ? 2 : 1, height, width, text_tokens, frames};
    }
};

/// What a run reuses. The functions of its configurations are the user's: plans are made on the thread of the
/// call, under no lock.
struct Ways {
    std::optional<cachify::Config> config = {};  ///< none: nothing is reused, and nothing is said of it
    /// In place of `config`: each step runs in one of them, as Run::choose says. The first is for step 0.
    std::vector<cachify::Config> modes = {};
    cachify::Count count = cachify::Count::steps;
    bool in_full = false;  ///< the cut runs with nothing reused

    bool reuses() const { return (config || !modes.empty()) && !in_full; }
    /// Whether it needs the halves of guidance as two passes.
    bool needs_two_passes() const;
};

/// What a run needs to know beforehand.
struct RunRequest {
    RunShape shape;
    std::vector<Evaluation> evaluations;
    Ways ways = {};
    /// What looks at modules while they run; for runs that reuse nothing.
    std::optional<Watch> watch = {};
    Caller caller = {};
    std::function<void(std::string_view)> on_phase = {};

    void phase(std::string_view name) const {
        if (on_phase) on_phase(name);
    }
};

/// What guides one picture: the unconditional half first, then the conditional; one alone without guidance.
/// Batches of one.
using Branches = std::vector<models::Conditioning>;

}  // namespace reprise::pipelines
