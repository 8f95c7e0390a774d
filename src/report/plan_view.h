#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cachify/plan.h"

namespace reprise::report {

/// What `reprise plan` shows of a plan, as plain values.
struct PlanView {
    struct Segment {
        std::string parts;  ///< the modules just below the root that it computes something of
        double flops = 0;
        double weight_bytes = 0;
        bool prologue = false;  ///< run once per generation and branch, before everything
    };
    struct Execution {  ///< one call of the denoiser for one branch
        int step = 0, evaluation = 0, branch = 0;
        std::vector<bool> runs;  ///< by segment that is no prologue
        double flops = 0;
        double share = 0;                 ///< of a full execution's FLOPs
        std::vector<std::string> reused;  ///< modules
    };
    struct Slot {
        enum class Use { kept, once, scratch } use = Use::kept;
        std::string module;       ///< innermost that the value is from
        int output = -1;          ///< which of the module's outputs it is; -1: a value inside
        bool of_several = false;  ///< whether the module has more than one output
        int branch = -1;          ///< -1: shared by the branches
        int version = 0;          ///< 0 unless several executions back are kept
        std::string type, shape;
        std::size_t bytes = 0;
    };

    int num_steps = 0, num_branches = 1;
    bool variants = false;  ///< segments are whole executions, compiled one by one
    std::vector<Segment> segments;
    std::vector<Execution> executions;
    std::vector<Slot> slots;
    double full_flops = 0;  ///< of one execution with nothing reused
    double prologue_flops = 0;
    double total_flops = 0;  ///< of all executions, prologue included
    double full_total_flops = 0;
    std::size_t kept_bytes = 0, prologue_bytes = 0, scratch_bytes = 0;
    double expected_speedup = 1;  ///< of the denoiser, by FLOPs
    bool decided = false;         ///< while running: the figures are for reuse wherever it is allowed
};

PlanView view_of(const cachify::Plan& plan);

/// Glyphs for a segment that runs and one that does not.
struct PlanStyle {
    std::string run = "█", reused = "░";
};
std::string to_text(const PlanView& view, const PlanStyle& style = {});
nlohmann::ordered_json to_json(const PlanView& view);

/// Names with a common beginning joined: "down_blocks.0", "down_blocks.1", "mid_block" give "down_blocks.0-1,
/// mid_block".
std::string joined_names(const std::vector<std::string>& names);

}  // namespace reprise::report
